//! CSV files through a sync: from the folder to the raw table.

use serde_json::json;

use super::support::{House, spec};
use crate::spec::SourceSpec;
use crate::sync::StreamReport;

fn csv(format: serde_json::Value) -> SourceSpec {
    spec(
        json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": "*.csv", "format": {"csv": format}}}}),
    )
}

fn says(report: &StreamReport, what: &str) -> bool {
    report.warnings.iter().any(|w| w.contains(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_inch_mark_in_ten_thousand_rows_costs_one_row() {
    let house = House::new().await;
    let rows: String = (1..=10_000).map(|i| format!("{i},商品{i},{i}.50\n")).collect();
    let text = format!("id,name,price\n{}", rows.replacen("3,商品3,3.50\n", "3,\"15寸显示器,3.50\n", 1));
    house.folder.write("drops/quote.csv", text);
    let report = house.sync_one(&csv(json!({}))).await;
    assert_eq!((report.rows, report.rejected_rows, report.error.is_none()), (9_999, 1, true), "{report:?}");
    let rejected = house.sql("select _row, reason, text from raw.s_o_rejected").await;
    assert_eq!(rejected, [["4", "a quote opens `name` and does not close it", "3,\"15寸显示器,3.50"]]);
    // 1.5 + … + 10000.5 without the third.
    assert_eq!(house.one("select sum(cast(price as double)) from raw.s_o").await, "50009996.5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_file_without_header_is_set_aside_whole_and_named() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,amount\n1,10\n");
    assert_eq!(house.sync_one(&csv(json!({}))).await.rows, 1);
    house.folder.write("drops/b.csv", "id,amount\n2,20\n");
    house.folder.write("drops/d.csv", "4,40\n5,50\n");
    house.folder.write("drops/e.csv", "name,city\nx,y\n");
    let report = house.sync_one(&csv(json!({}))).await;
    let error = report.error.as_ref().unwrap().to_string();
    assert!(
        error.contains("file `d.csv`: it is set aside whole") && error.contains("`id`, `amount`"),
        "{error}"
    );
    assert!(error.contains("file `e.csv`"), "{error}");
    assert_eq!(house.sql("select id, amount from raw.s_o order by id").await, [["1", "10"], ["2", "20"]]);
    // With its header given to it, it lands.
    house.folder.write("drops/d.csv", "id,amount\n4,40\n5,50\n");
    std::fs::remove_file(house.folder.0.join("drops/e.csv")).unwrap();
    let report = house.sync_one(&csv(json!({}))).await;
    assert_eq!((report.rows, report.error.is_none()), (2, true), "{report:?}");
    assert_eq!(house.one("select sum(cast(amount as int)) from raw.s_o").await, "120");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_match_without_case_and_each_file_is_compared() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,Amount,区域\n1,10,华东\n");
    house.folder.write("drops/b.csv", "ID,amount,区域\n2,20,华北\n");
    house.folder.write("drops/c.csv", "id,区域,note\n3,华南,x\n");
    let report = house.sync_one(&csv(json!({}))).await;
    assert_eq!((report.rows, report.error.is_none()), (3, true), "{report:?}");
    assert_eq!(
        house.sql("select id, \"Amount\", 区域, note from raw.s_o order by id").await,
        [["1", "10", "华东", "∅"], ["2", "20", "华北", "∅"], ["3", "∅", "华南", "x"]]
    );
    assert!(says(&report, "file `c.csv` no longer has the column `Amount`"), "{report:?}");
    assert!(says(&report, "file `c.csv` brings the new column `note`"), "{report:?}");
    assert!(!says(&report, "b.csv"), "{report:?}");
    // Also in another sync.
    house.folder.write("drops/d.csv", "Id,AMOUNT,区域,Note\n4,40,华中,y\n");
    let report = house.sync_one(&csv(json!({}))).await;
    assert_eq!((report.rows, report.warnings.len(), report.error.is_none()), (1, 0, true), "{report:?}");
    assert_eq!(house.one("select note from raw.s_o where \"Amount\" = '40'").await, "y");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cut_byte_costs_one_row() {
    let house = House::new().await;
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let mut bytes = gbk("编号,摘要\n");
    (1..1000).for_each(|i| bytes.extend(gbk(&format!("{i},付款{i}\n"))));
    bytes.extend(b"1000,");
    bytes.extend(&gbk("差旅费")[..5]);
    bytes.extend(b"\n1001,ok\n");
    house.folder.write("drops/cut.csv", bytes);
    let report = house.sync_one(&csv(json!({}))).await;
    assert_eq!((report.rows, report.rejected_rows, report.error.is_none()), (1_000, 1, true), "{report:?}");
    let aside = house.sql("select _row, reason, text from raw.s_o_rejected").await;
    assert_eq!(aside[0][0], "1001");
    assert!(
        aside[0][1].contains("no character of gb18030") && aside[0][2].starts_with("1000,差旅"),
        "{aside:?}"
    );
    assert!(!says(&report, "encoding"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn big5_is_found_and_an_uncertain_guess_is_said() {
    let house = House::new().await;
    house.folder.write("drops/big5.csv", encoding_rs::BIG5.encode("編號,部門\n1,財務部\n2,資訊處\n").0);
    let report = house.sync_one(&csv(json!({}))).await;
    assert_eq!(report.rows, 2, "{report:?}");
    assert_eq!(
        house.sql("select 編號, 部門 from raw.s_o order by 1").await,
        [["1", "財務部"], ["2", "資訊處"]]
    );
    house.folder.write("drops/few.csv", encoding_rs::GBK.encode("編號,部門\n3,x\n").0);
    let report = house.sync_one(&csv(json!({}))).await;
    assert!(says(&report, "file `few.csv`: its encoding is a guess"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_file_is_read_again_and_copies_and_gone_files_are_said() {
    let house = House::new().await;
    let path = |name: &str| house.folder.0.join("drops").join(name);
    house.folder.write("drops/a.csv", "id,v\n1,10\n");
    let spec = csv(json!({}));
    assert_eq!(house.sync_one(&spec).await.rows, 1);
    // Another content of the same size and time, as `cp -p` or unzip leave it.
    let before = std::fs::metadata(path("a.csv")).unwrap().modified().unwrap();
    house.folder.write("drops/a.csv", "id,v\n1,99\n");
    std::fs::File::options().write(true).open(path("a.csv")).unwrap().set_modified(before).unwrap();
    assert_eq!(house.sync_one(&spec).await.rows, 1);
    assert_eq!(house.sql("select id, v from raw.s_o").await, [["1", "99"]]);
    std::fs::copy(path("a.csv"), path("a (1).csv")).unwrap();
    let report = house.sync_one(&spec).await;
    assert!(says(&report, "file `a (1).csv` has the same content as `a.csv`"), "{report:?}");
    std::fs::remove_file(path("a (1).csv")).unwrap();
    let report = house.sync_one(&spec).await;
    assert!(says(&report, "1 file that landed is no longer there"), "{report:?}");
    assert_eq!((report.rows, report.version, report.error.is_none()), (0, None, true), "{report:?}");
    // Said with the next file that lands, then no more.
    house.folder.write("drops/b.csv", "id,v\n2,20\n");
    house.sync_one(&spec).await;
    let report = house.sync_one(&spec).await;
    assert!(report.warnings.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_encoding_delimiter_and_header_row() {
    let house = House::new().await;
    house.folder.write(
        "drops/a.csv",
        encoding_rs::GBK.encode("销售明细\n编号;金额;部门\n1;2,5;销售部\n2;3,5;研发部\n").0,
    );
    let seen = house.ingest.preview("s", &csv(json!({})), "o", 1).await.unwrap();
    for (what, value) in [("encoding", "gb18030"), ("delimiter", "\";\""), ("header row", "2")] {
        assert!(seen.found.contains(&(what.into(), value.into())), "{what}: {seen:?}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn links_and_special_files_are_not_read() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,v\n1,10\n");
    house.folder.write("secret.csv", "id,v\n666,secret\n");
    house.folder.write("outside/x.csv", "id,v\n667,secret\n");
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(house.folder.0.join(to), house.folder.0.join("drops").join(name)).unwrap();
    };
    link("secret.csv", "b.csv");
    link("/etc/passwd", "c.csv");
    link("outside", "deep");
    std::process::Command::new("mkfifo").arg(house.folder.0.join("drops/f.csv")).status().unwrap();
    let deep = spec(
        json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": "**/*.csv", "format": {"csv": {}}}}}),
    );
    let report = house.sync_one(&deep).await;
    assert_eq!((report.rows, report.files, report.error.is_none()), (1, 1, true), "{report:?}");
    for name in ["`b.csv`", "`c.csv`", "`deep`"] {
        assert!(says(&report, &format!("{name} is a link and was not followed")), "{name} {report:?}");
    }
    assert_eq!(house.one("select count(*) from raw.s_o where id > '1'").await, "0");
    // Nor is the place of a source: a link there leads elsewhere unseen, and the system's own folders hold no data.
    link("../outside", "../led");
    for (path, why) in
        [("led", "the link led"), ("/proc/self", "belongs to the system"), ("/dev", "belongs to")]
    {
        let files = spec(
            json!({"kind": {"files": {"path": path}}, "streams": {"o": {"glob": "*.csv", "format": {"csv": {}}}}}),
        );
        let database = spec(json!({"kind": {"sqlite": {"path": path}}, "streams": {"o": {"table": "t"}}}));
        for spec in [files, database] {
            let error = house.ingest.test(&spec).await.unwrap_err().to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_70_000_columns_is_refused_before_it_costs_memory() {
    let house = House::new().await;
    let names: Vec<String> = (0..70_000).map(|i| format!("c{i}")).collect();
    house.folder.write("drops/wide.csv", format!("{}\n{}\n", names.join(","), vec!["1"; 70_000].join(",")));
    let report = house.sync_one(&csv(json!({}))).await;
    let error = report.error.unwrap().to_string();
    assert!(error.contains("wide.csv") && error.contains("2000 columns"), "{error}");
}

#[test]
fn wrong_options_are_found_by_check() {
    let cases = [
        (json!({"delimiter": "ab"}), "delimiter"),
        (json!({"quote": "''"}), "quote"),
        (json!({"escape": "no"}), "escape"),
        (json!({"comment": ""}), "comment"),
        (json!({"delimiter": ",", "quote": ","}), "quote"),
        (json!({"null": ["a\nb"]}), "null"),
        (json!({"encoding": "klingon"}), "encoding"),
    ];
    for (format, key) in cases {
        let spec: SourceSpec = serde_json::from_value(
            json!({"kind": {"files": {"path": "d"}}, "streams": {"o": {"glob": "*", "format": {"csv": format}}}}),
        )
        .unwrap();
        let found: Vec<String> = spec.check().iter().map(|p| format!("{:?} {p}", p.path)).collect();
        assert!(found.len() == 1 && found[0].contains(&format!("\"{key}\"")), "{format}: {found:?}");
    }
    let good = json!({"delimiter": "tab", "quote": "none", "escape": "\\", "comment": "#", "null": ["\\N", "NULL"], "skip": 3, "header": false, "null_padding": true});
    csv(good);
}
