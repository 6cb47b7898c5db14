//! Workbooks as people and programs make them.

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use serde_json::json;

use super::reading::{Read, read, read_path};
use super::support::shared_data;

fn book(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut book = Workbook::new();
    fill(book.add_worksheet());
    book.save_to_buffer().unwrap()
}

/// Cells by comma; numbers are numbers, `=…` are formulas, empty ones are none.
fn sheet(lines: &[&str]) -> Vec<u8> {
    book(|sheet| {
        for (row, line) in (0u32..).zip(lines) {
            for (column, text) in (0u16..).zip(line.split(',')) {
                match text.parse::<f64>() {
                    _ if text.is_empty() => {}
                    Ok(number) => drop(sheet.write(row, column, number).unwrap()),
                    Err(_) => drop(sheet.write(row, column, text).unwrap()),
                }
            }
        }
    })
}

fn xlsx(bytes: Vec<u8>) -> Read {
    let read = read("a.xlsx", bytes, json!({"xlsx": {}}));
    assert_eq!(read.error, None);
    read
}

#[test]
fn days_dates_and_years_above_words_are_the_header() {
    let read = xlsx(sheet(&["工号,姓名,1,2,3", "E001,甲,,,", "E002,乙,√,√,迟到", "E003,丙,√,事假,√"]));
    assert_eq!(read.columns, ["工号", "姓名", "1", "2", "3"]);
    assert_eq!(read.rows.len(), 3);
    assert!(
        read.warnings[0].contains("row 1 is taken as the header (工号, 姓名, 1, 2, 3)"),
        "{:?}",
        read.warnings
    );
    let month = Format::new().set_num_format("yyyy\"年\"m\"月\"");
    let read = xlsx(book(|sheet| {
        sheet.write(0, 0, "2026 年利润表").unwrap();
        sheet.write(1, 0, "项目").unwrap();
        for (column, day) in [(1, "2026-01-01"), (2, "2026-02-01")] {
            let day = ExcelDateTime::parse_from_str(day).unwrap();
            sheet.write_with_format(1, column, &day, &month).unwrap();
        }
        for (row, name) in [(2, "收入"), (3, "成本")] {
            sheet.write(row, 0, name).unwrap();
            sheet.write(row, 1, if row == 3 { "—" } else { "N/A" }).unwrap();
            sheet.write(row, 2, if row == 3 { "—" } else { "未报" }).unwrap();
        }
    }));
    assert_eq!(read.columns, ["项目", "2026-01-01", "2026-02-01"]);
    assert_eq!(read.rows, [["收入", "N/A", "未报"], ["成本", "—", "—"]]);
    assert!(
        read.warnings[0].contains("row 2") && read.warnings[0].contains("2026 年利润表"),
        "{:?}",
        read.warnings
    );
}

#[test]
fn rows_above_the_header_are_said_and_words_are_silent() {
    let read = xlsx(sheet(&["期初,100", "客户,产品,数量", "a,b,1"]));
    assert_eq!((read.columns.len(), read.rows.len()), (3, 1));
    assert!(read.warnings[0].contains("not read (row 1: 期初, 100)"), "{:?}", read.warnings);
    assert!(xlsx(sheet(&["id,name", "1,a"])).warnings.is_empty());
}

#[test]
fn a_sheet_without_a_header_loses_no_row() {
    let lines = ["1,10.5,x", "2,11,y", "3,12,z"];
    let found = xlsx(sheet(&lines));
    assert_eq!(found.columns, ["column_1", "column_2", "column_3"]);
    assert_eq!(found.rows.len(), 3);
    assert!(found.warnings[0].contains("header_row: none"), "{:?}", found.warnings);
    let asked = read("a.xlsx", sheet(&["甲,乙", "丙,丁"]), json!({"xlsx": {"header_row": "none"}}));
    assert_eq!(asked.rows, [["甲", "乙"], ["丙", "丁"]]);
    assert!(asked.warnings.is_empty());
}

#[test]
fn merged_words_are_filled_and_merged_amounts_are_not() {
    let plain = Format::new();
    let read = xlsx(book(|sheet| {
        for (column, name) in [(0, "单"), (1, "部门"), (2, "明细"), (3, "金额")] {
            sheet.write(0, column, name).unwrap();
        }
        sheet.merge_range(1, 0, 3, 0, "B1", &plain).unwrap();
        sheet.merge_range(1, 1, 3, 1, "销售部", &plain).unwrap();
        sheet.merge_range(1, 3, 3, 3, "", &plain).unwrap();
        sheet.write_with_format(1, 3, 3000, &plain).unwrap();
        for (row, what) in [(1, "机票"), (2, "酒店"), (3, "餐费")] {
            sheet.write(row, 2, what).unwrap();
        }
    }));
    let amounts: Vec<&str> = read.rows.iter().map(|r| r[3].as_str()).collect();
    assert_eq!(amounts, ["3000", "∅", "∅"]);
    assert!(read.rows.iter().all(|r| r[0] == "B1" && r[1] == "销售部"));
}

#[test]
fn cells_that_do_not_land_as_meant_are_told_by_column_and_place() {
    let code = Format::new().set_num_format("000000");
    let read = xlsx(book(|sheet| {
        for (column, name) in [(0, "证号"), (1, "工号"), (2, "税额"), (3, "比"), (4, "名")] {
            sheet.write(0, column, name).unwrap();
        }
        for row in 1..=3u32 {
            sheet.write(row, 0, 110_101_199_003_070_000_f64 + f64::from(row) * 100.0).unwrap();
            sheet.write_with_format(row, 1, row + 6, &code).unwrap();
            sheet.write_formula(row, 2, Formula::new("=B2*2").set_result("")).unwrap();
            sheet.write_formula(row, 3, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
            sheet.write(row, 4, "x").unwrap();
        }
    }));
    assert_eq!(read.rows[0][1], "000007");
    let long = read.changed("证号").unwrap();
    assert_eq!((long.count, long.first.starts_with("cell A2")), (3, true));
    let error = read.changed("比").unwrap();
    assert_eq!((error.count, error.first.as_str()), (3, "cell D2 #DIV/0!"));
    assert!(read.rows.iter().all(|r| r[3] == "∅"));
}

/// An xlsx file of one sheet, written by hand.
pub(super) fn by_hand(sheet: &str) -> Vec<u8> {
    let parts = [
        (
            "[Content_Types].xml",
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#,
        ),
        (
            "_rels/.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
        ),
        (
            "xl/workbook.xml",
            r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
        ),
        (
            "xl/_rels/workbook.xml.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
        ),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    zipped(&parts.map(|(n, t)| (n, t.as_bytes())))
}

pub(super) fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn formulas_without_a_value_are_told() {
    let read = xlsx(by_hand(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" t="inlineStr"><is><t>税额</t></is></c></row><row r="2"><c r="A2"><v>1</v></c><c r="B2"><f>A2*2</f><v/></c></row><row r="3"><c r="A3"><v>2</v></c><c r="B3"><f>A3*2</f></c></row></sheetData></worksheet>"#,
    ));
    assert_eq!(read.rows, [["1", "∅"], ["2", "∅"]]);
    let told = read.changed("税额").unwrap();
    assert_eq!((told.count, told.first.as_str()), (2, "cell B2"));
    assert!(told.how.contains("no computed value"), "{}", told.how);
}

#[test]
fn other_files_under_the_name_of_a_workbook_are_read_or_named() {
    let gb = encoding_rs::GB18030.encode("单号\t金额\n001\t12.50\n").0.into_owned();
    let html = "<html><head><meta charset=\"gb2312\"></head><body><table><tr><td>单号</td><td>金额</td></tr><tr><td>001</td><td>12.50</td></tr></table></body></html>";
    let html = encoding_rs::GB18030.encode(html).0.into_owned();
    let xml = "<?xml version=\"1.0\"?><?mso-application progid=\"Excel.Sheet\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\" xmlns:ss=\"urn:schemas-microsoft-com:office:spreadsheet\"><Worksheet ss:Name=\"S\"><Table><Row><Cell><Data ss:Type=\"String\">单号</Data></Cell><Cell><Data ss:Type=\"String\">金额</Data></Cell></Row><Row><Cell><Data ss:Type=\"String\">001</Data></Cell><Cell><Data ss:Type=\"Number\">12.50</Data></Cell></Row></Table></Worksheet></Workbook>";
    for (name, bytes, amount) in
        [("tsv.xls", gb, "12.50"), ("html.xls", html, "12.50"), ("xml.xls", xml.into(), "12.5")]
    {
        let read = read(name, bytes, json!({"xlsx": {}}));
        assert_eq!(read.error, None, "{name}");
        assert_eq!(read.columns, ["单号", "金额"], "{name}");
        assert_eq!(read.rows, [["001", amount]], "{name}");
    }
    let told = |bytes: &[u8]| read("x.xls", bytes, json!({"xlsx": {}})).error.unwrap();
    for (bytes, words) in [
        (&b"%PDF-1.7"[..], "PDF"),
        (b"<html><body>please sign in</body></html>", "sign-in"),
        (b"{\"a\": 1}", "format: { json"),
        (b"this is no workbook", "plain text"),
        (&zipped(&[("word/document.xml", b"<w/>")]), "Word document"),
        (&zipped(&[("a.csv", b"1"), ("b.csv", b"2")]), "archive of 2 files"),
        (&[0xD0, 0xCF, 0x11, 0xE0, 1, 2, 3], "not a readable spreadsheet"),
    ] {
        assert!(told(bytes).contains(words), "{words}: {}", told(bytes));
    }
}

#[test]
fn sheets_of_others_have_one_form_for_dates_and_name_their_locks() {
    let Some(folder) = shared_data("sheets/calamine") else { return };
    let of = |name: &str, sheet: serde_json::Value| {
        read_path(&folder.join(name), name, &super::reading::format(json!({"xlsx": sheet})))
    };
    for name in ["pass_protected.xlsx", "pass_protected.ods"] {
        let error = of(name, json!({})).error.unwrap();
        assert!(error.contains("password") && error.contains("save a copy without one"), "{name}: {error}");
    }
    for name in ["date.ods", "date.xlsb"] {
        let read = of(name, json!({"header_row": "none"}));
        assert_eq!(read.error, None, "{name}");
        assert!(read.rows.iter().flatten().all(|v| !v.contains('T')), "{name}: {:?}", read.rows);
        assert_eq!(read.rows[0][0], "2021-01-01", "{name}: {:?}", read.rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_that_were_changed_stand_in_the_report_of_a_sync() {
    let house = super::support::House::new().await;
    let bytes = book(|sheet| {
        sheet.write(0, 0, "名").unwrap();
        sheet.write(0, 1, "证号").unwrap();
        for row in 1..=3u32 {
            sheet.write(row, 0, "x").unwrap();
            sheet.write(row, 1, 110_101_199_003_070_000_f64).unwrap();
        }
    });
    house.folder.write("drops/a.xlsx", bytes);
    let spec = super::support::spec(
        json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": "*.xlsx", "format": {"xlsx": {}}}}}),
    );
    let report = house.sync_one(&spec).await;
    assert_eq!((report.rows, report.error.is_none()), (3, true));
    let changed = report.changed.iter().find(|c| c.column == "证号").expect("told");
    assert_eq!((changed.count, changed.first.contains("cell B2")), (3, true), "{changed:?}");
}

#[test]
fn a_second_table_and_other_sheets_are_told() {
    let lines = ["门店,收入", "甲,100", "乙,335", "", "门店,支出", "甲,35", "乙,400"];
    let found = xlsx(sheet(&lines));
    assert_eq!(found.rows, [["甲", "100"], ["乙", "335"]]);
    assert_eq!(found.rejected.len(), 3, "{:?}", found.rejected);
    assert!(
        found.warnings[0].contains("row 5 looks like the header of a second table"),
        "{:?}",
        found.warnings
    );
    let mut book = Workbook::new();
    for name in ["一月", "空", "二月"] {
        let sheet = book.add_worksheet().set_name(name).unwrap();
        if name != "空" {
            sheet.write(0, 0, "金额").unwrap();
            sheet.write(1, 0, 5).unwrap();
        }
    }
    let bytes = book.save_to_buffer().unwrap();
    let found = xlsx(bytes.clone());
    assert_eq!(found.rows, [["5"]]);
    assert!(found.warnings[0].contains("sheet `一月` was read, and not `二月`;"), "{:?}", found.warnings);
    assert!(read("a.xlsx", bytes, json!({"xlsx": {"sheet": "二月"}})).warnings.is_empty());
}
