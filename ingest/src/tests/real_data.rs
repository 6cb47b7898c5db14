use std::path::Path;

use serde_json::{Value, json};

use super::support::{House, shared_data, spec};
use crate::spec::SourceSpec;
use crate::sync::StreamReport;

/// A workbook with a title row, a two-row header with merged cells, a merged column and an error value.
pub(super) fn workbook() -> Vec<u8> {
    use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let plain = Format::new();
    sheet.merge_range(0, 0, 0, 3, "2026 年销售报表", &plain).unwrap();
    sheet.merge_range(2, 0, 3, 0, "区域", &plain).unwrap();
    sheet.merge_range(2, 1, 2, 2, "金额", &plain).unwrap();
    sheet.merge_range(2, 3, 3, 3, "日期", &plain).unwrap();
    sheet.write(3, 1, "本月").unwrap();
    sheet.write(3, 2, "上月").unwrap();
    sheet.merge_range(4, 0, 5, 0, "华东", &plain).unwrap();
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let at = ExcelDateTime::parse_from_str("2026-03-01").unwrap();
    for row in [4, 5] {
        sheet.write(row, 1, 0.1 + 0.2).unwrap();
        sheet.write(row, 2, 100 * row).unwrap();
        sheet.write_with_format(row, 3, &at, &day).unwrap();
    }
    sheet.write_formula(5, 2, rust_xlsxwriter::Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
    book.save_to_buffer().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn title_rows_merged_headers_and_merged_cells_are_understood() {
    let house = House::new().await;
    house.folder.write("drops/a.xlsx", workbook());
    let spec = spec(
        json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": "*.xlsx", "format": {"xlsx": {}}}}}),
    );
    let report = house.sync_one(&spec).await;
    assert!(report.error.is_none(), "{report:?}");
    let rows = house.sql("select 区域, 金额_本月, 金额_上月, 日期, _row from raw.s_o order by _row").await;
    assert_eq!(rows[0], ["华东", "0.3", "400", "2026-03-01", "5"]);
    assert_eq!(rows[1][0], "华东");
    assert_eq!(rows[1][4], "6");
}

/// Lands one folder of real files with one format; each file is a stream of its own so that one table has one shape.
pub(super) async fn land_each(house: &House, folder: &Path, format: &Value) -> Vec<(String, StreamReport)> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|e| e.path().is_file())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let streams: serde_json::Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            (format!("f{i}"), json!({"glob": name.replace(['[', ']', '{', '}'], "?"), "format": format}))
        })
        .collect();
    let spec: SourceSpec =
        serde_json::from_value(json!({"kind": {"files": {"path": folder}}, "streams": streams})).unwrap();
    let report = house.sync(&spec).await;
    report.streams.into_iter().map(|r| (names[r.stream[1..].parse::<usize>().unwrap()].clone(), r)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn event_logs_have_their_published_case_and_event_counts() {
    let Some(folder) = shared_data("eventlogs") else { return };
    let house = House::new().await;
    let logs = [
        ("running_example", 6, 42),
        ("receipt", 1434, 8577),
        ("bpic2012", 13087, 262_200),
        ("helpdesk", 4580, 21348),
        ("bpic2020_domestic", 10357, 55628),
    ];
    let streams: serde_json::Map<String, Value> = logs
        .iter()
        .map(|(n, ..)| (n.to_string(), json!({"glob": format!("{n}.xes.gz"), "format": {"xes": {}}})))
        .collect();
    let report = house.sync(&spec(json!({"kind": {"files": {"path": folder}}, "streams": streams}))).await;
    assert!(report.ok(), "{report:?}");
    for (name, cases, events) in logs {
        let rows = house.sql(&format!("select count(distinct case_id), count(*), count(\"timestamp\"), count(activity) from raw.s_{name}")).await;
        assert_eq!(
            rows[0],
            [cases.to_string(), events.to_string(), events.to_string(), events.to_string()],
            "{name}"
        );
    }
    let variants = "select count(distinct v) from (select case_id, string_agg(activity, '>' order by _row) v from raw.s_receipt group by case_id)";
    assert_eq!(house.one(variants).await, "116");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_parquet_gives_a_clean_error_or_its_rows() {
    let Some(folder) = shared_data("parquet_bad") else { return };
    let house = House::new().await;
    let reports = land_each(&house, &folder, &json!({"parquet": {}})).await;
    assert!(reports.len() > 5);
    let mut failed = 0;
    for (name, report) in reports.iter().filter(|(n, _)| n.ends_with(".parquet")) {
        if let Some(e) = &report.error {
            assert!(e.to_string().contains(name.as_str()), "{e}");
            assert_eq!(report.rows, 0, "{name}: nothing of a damaged file lands");
            failed += 1;
        }
    }
    assert!(failed >= 4, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_csv_spectrum_is_read_exactly() {
    let Some(folder) = shared_data("csv/spectrum") else { return };
    let house = House::new().await;
    for (name, report) in land_each(&house, &folder.join("csvs"), &json!({"csv": {}})).await {
        assert!(report.error.is_none(), "{name}: {:?}", report.error);
        let expected: Vec<serde_json::Map<String, Value>> =
            match std::fs::read_to_string(folder.join("json").join(name.replace(".csv", ".json"))) {
                Ok(text) => serde_json::from_str(&text).unwrap(),
                Err(_) => continue,
            };
        // The shared copy lost its \r on the way through git.
        let crlf = std::fs::read(folder.join("csvs").join(&name)).unwrap().windows(2).any(|w| w == b"\r\n");
        let columns: Vec<String> = expected[0].keys().map(|k| format!("\"{k}\"")).collect();
        let rows =
            house.sql(&format!("select {} from {} order by _row", columns.join(","), report.table)).await;
        let wanted: Vec<Vec<String>> = expected
            .iter()
            .map(|r| {
                r.values()
                    .map(|v| {
                        v.as_str().map_or_else(
                            || v.to_string(),
                            |s| if crlf { s.to_owned() } else { s.replace("\r\n", "\n") },
                        )
                    })
                    .collect()
            })
            .collect();
        assert_eq!(rows, wanted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_spreadsheets_land_or_name_themselves() {
    for part in ["sheets/calamine", "sheets/readxl"] {
        let Some(folder) = shared_data(part) else { return };
        let house = House::new().await;
        let reports = land_each(&house, &folder, &json!({"xlsx": {}})).await;
        let landed = reports.iter().filter(|(_, r)| r.error.is_none()).count();
        eprintln!("{part}: {landed} of {} workbooks landed", reports.len());
        for (name, report) in &reports {
            if let Some(e) = &report.error {
                eprintln!("  {e}");
                assert!(e.to_string().contains(name.as_str()), "{e}");
            }
        }
        assert!(landed * 2 > reports.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_decoded_by_their_folder_name() {
    let Some(root) = shared_data("encodings") else { return };
    let house = House::new().await;
    for (folder, encoding) in [
        ("utf-8", "auto"),
        ("utf-8-sig", "auto"),
        ("UTF-16LE", "auto"),
        ("UTF-16BE", "auto"),
        ("UTF-16", "auto"),
        ("GB2312", "auto"),
        ("Big5", "big5"),
    ] {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let mut file = std::fs::File::open(entry.path()).unwrap();
            let found = crate::formats::encoding::detect(&mut file, encoding).unwrap();
            let mut text = String::new();
            let read = std::io::Read::read_to_string(
                &mut crate::formats::encoding::Utf8Reader::new(file, found),
                &mut text,
            );
            assert!(
                read.is_ok() && !text.contains('\u{fffd}') && !text.contains('\0'),
                "{folder}/{:?}: {} {read:?}",
                entry.file_name(),
                found.encoding.name()
            );
        }
    }
    drop(house);
}
