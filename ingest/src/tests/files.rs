use serde_json::json;

use super::support::{House, clock, spec};
use crate::contract::resumes_anywhere;
use crate::sources::{Parts, open};
use crate::spec::SourceSpec;

fn csv(glob: &str) -> SourceSpec {
    spec(
        json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": glob, "format": {"csv": {}}}}}),
    )
}

/// GB 18030 bytes of a text.
fn gb(text: &str) -> Vec<u8> {
    encoding_rs::GB18030.encode(text).0.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn messy_csv_lands_every_row_or_says_why_not() {
    let house = House::new().await;
    house.folder.write(
        "drops/a.csv",
        gb("编号,金额,部门\r\n1,100.50,销售部\r\n2,\"1,234\",研发部\r\n3,坏行\r\n4,5,6,7\r\n"),
    );
    house.folder.write("drops/b.csv", "\u{feff}编号;金额;部门\n5;7;\"多\n行\"\n");
    house.folder.write("drops/.hidden.csv", "x");
    let report = house.sync_one(&csv("*.csv")).await;
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!((report.rows, report.rejected_rows, report.files), (3, 2, 2));
    let rows = house.sql("select 编号, 金额, 部门, _file, _row from raw.s_o order by 编号").await;
    assert_eq!(
        rows,
        [
            ["1", "100.50", "销售部", "a.csv", "2"],
            ["2", "1,234", "研发部", "a.csv", "3"],
            ["5", "7", "多\n行", "b.csv", "2"]
        ]
    );
    let rejected = house.sql("select _file, _row, reason, text from raw.s_o_rejected order by _row").await;
    assert_eq!(rejected[0], ["a.csv", "4", "2 fields where the header has 3", "3,坏行"]);
    assert_eq!(rejected[1][1..], ["5", "4 fields where the header has 3", "4,5,6,7"]);
    let (outcome, warnings): (String, String) =
        sqlx::query_as("select outcome, warnings from source_runs").fetch_one(house.db.pool()).await.unwrap();
    assert_eq!(outcome, "set_aside");
    assert!(
        warnings.contains("2 rows do not fit and were set aside with their reasons in raw.s_o_rejected"),
        "{warnings}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_most_columns_is_named_in_one_short_warning() {
    let house = House::new().await;
    let header: Vec<String> = (0..40).map(|i| format!("c{i}")).collect();
    house.folder.write("drops/a.csv", format!("id,{}\n1{}\n", header.join(","), ",x".repeat(40)));
    house.sync_one(&csv("*.csv")).await;
    house.folder.write("drops/b.csv", "id\n2\n");
    let report = house.sync_one(&csv("*.csv")).await;
    let warning = report.warnings.first().unwrap();
    assert!(warning.starts_with("file `b.csv` no longer has the columns `c0`, `c1`"), "{warning}");
    assert!(warning.ends_with("`c7` and 32 more; new rows have NULL there"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_of_few_rows_do_not_gather_in_memory() {
    let house = House::new().await;
    let line = format!("{}\n", "x".repeat(50_000));
    for name in ["a", "b", "c"] {
        let rows = if name == "c" { 1 } else { 1_100 };
        house.folder.write(&format!("drops/{name}.csv"), format!("v\n{}", line.repeat(rows)));
    }
    let report = house.sync_one(&csv("*.csv")).await;
    assert_eq!((report.rows, report.version), (2_201, Some(1)), "two commits: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_lands_once_and_a_changed_one_again() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,v\n1,x\n2\n");
    house.folder.write("drops/b.csv", "id,v\n9,z\n");
    let spec = csv("*.csv");
    assert_eq!(house.sync_one(&spec).await.rows, 2);
    let again = house.sync_one(&spec).await;
    assert_eq!((again.rows, again.version), (0, None), "nothing new, no commit");
    // Changed: a column more, the bad row gone.
    house.folder.write("drops/a.csv", "id,v,w\n1,x,1\n2,y,2\n");
    assert_eq!(house.sync_one(&spec).await.rows, 2);
    assert_eq!(
        house.sql("select id, v, w from raw.s_o order by id").await,
        [["1", "x", "1"], ["2", "y", "2"], ["9", "z", "∅"]]
    );
    assert_eq!(house.count("raw.s_o_rejected").await, 0);
    // A server that lost its metadata lands the files in place of themselves.
    let House { folder, .. } = house;
    let house = House::at(folder, store::Metadata::memory().await.unwrap()).await;
    house.sync_one(&spec).await;
    assert_eq!(house.count("raw.s_o").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_files_share_commits_and_a_small_log() {
    let house = House::new().await;
    for i in 0..2000 {
        house.folder.write(&format!("drops/{}/f{i}.csv", i % 20), format!("id,v\n{i},x\n"));
    }
    let spec = csv("**/*.csv");
    let report = house.sync_one(&spec).await;
    assert_eq!((report.rows, report.files, report.error.is_none()), (2000, 2000, true));
    assert!(report.version.unwrap() < 12, "{:?}", report.version);
    let mark = house.warehouse.mark(&SourceSpec::table("s", "o"), "s/o").await.unwrap().unwrap();
    assert!(mark.cursor.to_string().len() < 500, "{}", mark.cursor);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    // With the database lost, the list of files is lost: still nothing doubles.
    let House { folder, .. } = house;
    house_without_list(folder, &spec).await;
}

async fn house_without_list(folder: super::support::Folder, spec: &SourceSpec) {
    for i in 20..2000 {
        std::fs::remove_file(folder.0.join(format!("drops/{}/f{i}.csv", i % 20))).unwrap();
    }
    let house = House::at(folder, store::Metadata::memory().await.unwrap()).await;
    let report = house.sync_one(spec).await;
    assert_eq!(report.rows, 20, "{report:?}");
    assert_eq!(house.count("raw.s_o").await, 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_a_commit_streams_and_its_bad_rows_are_set_aside() {
    let house = House::new().await;
    let mut text = String::from("id,v\n");
    for i in 0..450_000 {
        text.push_str(&format!("{i},value {i}\n"));
        if i % 10 == 0 {
            text.push_str("short\n");
        }
    }
    house.folder.write("drops/big.csv", &text);
    let mut broken = text.clone().into_bytes();
    broken.extend_from_slice(b"1,\xff\xfe\xff\n");
    house.folder.write("drops/damaged.csv", &broken);
    house.folder.write("drops/small.csv", "id,v\n-1,last\n");
    let report = house.sync_one(&csv("*.csv")).await;
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!((report.rows, report.rejected_rows, report.files), (900_001, 90_001, 3));
    let bad = house.sql("select _row, reason from raw.s_o_rejected where reason like '%no character%'").await;
    assert_eq!(bad[0][0], "495002");
    assert!(bad[0][1].contains(&format!("byte {} of the file (FF", text.len() + 2)), "{bad:?}");
    assert_eq!(house.one("select count(distinct id) from raw.s_o where _file = 'big.csv'").await, "450000");
    assert_eq!(house.one("select max(_row) from raw.s_o where _file = 'big.csv'").await, "495001");
    assert_eq!(house.count("raw.s_o_rejected where _file = 'big.csv'").await, 45_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lands_as_text_with_columns_of_every_record() {
    let house = House::new().await;
    house.folder.write("drops/a.json", r#"{"data":{"items":[{"id":1,"who":{"name":"王","at":{"x":1}},"tags":[1,2]},{"id":2.5,"extra":null},7]}}"#);
    house.folder.write("drops/b.ndjson", "{\"id\":1}\n\n{\"id\":2,\"late\":true}\nnot json\n");
    let spec = spec(json!({"kind": {"files": {"path": "drops"}}, "streams": {
        "j": {"glob": "*.json", "format": {"json": {"records": "$.data.items"}}},
        "n": {"glob": "*.ndjson", "format": {"ndjson": {}}}}}));
    let report = house.sync(&spec).await;
    assert!(report.ok(), "{report:?}");
    assert_eq!(
        house.sql("select id, who_name, who_at, tags, extra from raw.s_j order by _row").await,
        [["1", "王", "{\"x\":1}", "[1,2]", "∅"], ["2.5", "∅", "∅", "∅", "∅"]]
    );
    assert_eq!(
        house.sql("select id, late, _row from raw.s_n order by _row").await,
        [["1", "∅", "1"], ["2", "true", "3"]]
    );
    assert_eq!((report.streams[0].rejected_rows, report.streams[1].rejected_rows), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_the_contract() {
    let house = House::new().await;
    for i in 0..5 {
        house.folder.write(&format!("drops/f{i}.csv"), format!("id,v\n{i},x\n{i},x\n"));
    }
    let spec = csv("*.csv");
    let parts = Parts {
        outbound: std::sync::Arc::new(access::outbound::Outbound::new(Default::default()).unwrap()),
        clock: clock(),
        base: house.folder.0.as_path().into(),
        zone: chrono_tz::Asia::Shanghai,
    };
    let source = open(&spec, &parts).await.unwrap();
    let cursors = resumes_anywhere(source.as_ref(), &spec.streams["o"], 10).await;
    assert_eq!(cursors.len(), 5);
}
