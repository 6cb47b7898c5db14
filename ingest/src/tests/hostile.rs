//! Small files made to eat memory: each ends with a message that names the limit and what to do.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::reading::{Read, read};
use super::sheets::{by_hand, zipped};

/// Highest resident memory of this process in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn refused(read: &Read, words: &[&str]) {
    let error = read.error.as_deref().unwrap_or_else(|| panic!("not refused: {} rows", read.rows.len()));
    assert!(words.iter().all(|w| error.contains(w)), "{error}");
}

fn packed(write: impl FnOnce(&mut GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    write(&mut gz);
    gz.finish().unwrap()
}

#[test]
fn an_event_log_with_an_endless_attribute_is_refused() {
    let before = peak_mib();
    let bytes = packed(|gz| {
        gz.write_all(b"<log><trace><event><string key=\"x\" value=\"").unwrap();
        (0..200).for_each(|_| gz.write_all(&[b'A'; 1 << 20]).unwrap());
        gz.write_all(b"\"/></event></trace></log>").unwrap();
    });
    refused(&read("attr.xes.gz", bytes, json!({"xes": {}})), &["larger than 16 MiB", "value_bytes"]);
    assert!(peak_mib() - before < 400, "{} MiB", peak_mib() - before);
}

#[test]
fn an_event_log_that_unpacks_without_end_is_refused() {
    let mut gz = GzEncoder::new(Vec::new(), Compression::best());
    gz.write_all(b"<log>").unwrap();
    let comment = [b"<!--".as_slice(), &[b'A'; 4 << 20], b"-->"].concat();
    (0..80).for_each(|_| gz.write_all(&comment).unwrap());
    gz.write_all(b"</log>").unwrap();
    refused(
        &read("many.xes.gz", gz.finish().unwrap(), json!({"xes": {}})),
        &["more than is safe", "unpack it first"],
    );
}

#[test]
fn an_event_with_endless_attributes_is_refused() {
    let many = "<string key=\"x\" value=\"\"/>".repeat(400_000);
    let log = |inside: &str| format!("<log><trace>{inside}</trace></log>");
    refused(
        &read("a.xes", log(&format!("<event>{many}</event>")), json!({"xes": {}})),
        &["an event", "record_bytes"],
    );
    refused(&read("a.xes", log(&many), json!({"xes": {}})), &["attributes of a case", "record_bytes"]);
}

#[test]
fn a_document_of_millions_of_small_records_is_read_in_little_memory() {
    let before = peak_mib();
    let text = format!("[{}{{}}]", "{\"a\":0},".repeat(300_000));
    let read = read("empty.json", text, json!({"json": {}}));
    assert_eq!((read.rows.len(), read.error), (300_001, None));
    assert!(peak_mib() - before < 400, "{} MiB", peak_mib() - before);
}

#[test]
fn json_of_unreasonable_shape_is_refused_or_set_aside() {
    let large = format!("[{{\"a\":\"{}\"}}]", "x".repeat(17 << 20));
    refused(
        &read("a.json", &large, json!({"json": {}})),
        &["record 1", "larger than 16 MiB", "record_bytes"],
    );
    refused(&read("a.ndjson", &large, json!({"ndjson": {}})), &["line 1", "16 MiB"]);
    let wide: Vec<String> = (0..2001).map(|i| format!("\"c{i}\":1")).collect();
    refused(&read("a.json", format!("[{{{}}}]", wide.join(",")), json!({"json": {}})), &["more than 2000"]);
    let deep = format!("[{{\"a\":{}1{}}},{{\"a\":2}}]", "[".repeat(100_000), "]".repeat(100_000));
    let read = read("a.json", deep, json!({"json": {}}));
    assert_eq!((read.rows.len(), read.rejected.len(), read.error), (1, 1, None));
    assert!(read.rejected[0].1.contains("deeper than 512"), "{:?}", read.rejected[0].1);
}

/// A workbook with this part besides those of [`by_hand`], and a directory that a careless guard would read.
fn two_directories(strings: &[u8]) -> Vec<u8> {
    let part = |n: &str, t: &[u8]| (n.to_owned(), t.to_vec());
    let mut evil: Vec<(String, Vec<u8>)> = Vec::new();
    let mut book = zip::ZipArchive::new(std::io::Cursor::new(by_hand(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row></sheetData></worksheet>"#,
    )))
    .unwrap();
    for i in 0..book.len() {
        let mut file = book.by_index(i).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        evil.push(part(file.name().unwrap().as_ref(), &bytes));
    }
    evil.push(part("xl/sharedStrings.xml", strings));
    let evil: Vec<(&str, &[u8])> = evil.iter().map(|(n, t)| (n.as_str(), t.as_slice())).collect();
    let good = zipped(&[("xl/workbook.xml", b"<workbook/>")]);
    let bad = zipped(&evil);
    // Both archives one behind the other: the last directory counts for a reader that shifts, the declared offset
    // for one that does not.
    [good, bad].concat()
}

#[test]
fn an_archive_is_counted_as_its_own_reader_unpacks_it() {
    let strings = format!("<sst><si><t>{}</t></si></sst>", "A".repeat(40 << 20));
    refused(
        &read("strings.xlsx", two_directories(strings.as_bytes()), json!({"xlsx": {}})),
        &["sharedStrings.xml", "larger than 16 MiB"],
    );
    let many = format!("<sst>{}</sst>", "<si/>".repeat(13 << 20));
    refused(
        &read("strings.xlsx", two_directories(many.as_bytes()), json!({"xlsx": {}})),
        &["sharedStrings.xml", "entries"],
    );
}

#[test]
fn sheets_of_unreasonable_shape_are_refused() {
    let sheet = |rows: &str| {
        by_hand(&format!(
            r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
        ))
    };
    let wide: String = (0..2001).map(|_| "<c><v>1</v></c>").collect();
    refused(
        &read("a.xlsx", sheet(&format!("<row r=\"1\">{wide}</row>")), json!({"xlsx": {}})),
        &["2001 columns", "2000"],
    );
    // A column more in each row.
    let stairs: String = (0..2001)
        .map(|i| format!("<row r=\"{0}\"><c r=\"{1}{0}\"><v>1</v></c></row>", i + 1, letters(i)))
        .collect();
    refused(&read("a.xlsx", sheet(&stairs), json!({"xlsx": {}})), &["2001 columns"]);
    let cell = format!("<c t=\"inlineStr\"><is><t>{}</t></is></c>", "x".repeat(17 << 20));
    refused(
        &read("a.xlsx", sheet(&format!("<row r=\"1\">{cell}</row>")), json!({"xlsx": {}})),
        &["sheet1.xml", "16 MiB"],
    );
    let runs = format!(
        "<c t=\"inlineStr\"><is>{}</is></c>",
        format!("<r><t>{}</t></r>", "x".repeat(1 << 20)).repeat(17)
    );
    refused(
        &read("a.xlsx", sheet(&format!("<row r=\"1\">{runs}</row>")), json!({"xlsx": {}})),
        &["sheet1.xml", "16 MiB"],
    );
    let cells = format!("<c t=\"inlineStr\"><is><t>{}</t></is></c>", "x".repeat(1 << 20)).repeat(17);
    refused(
        &read("a.xlsx", sheet(&format!("<row r=\"1\">{cells}</row>")), json!({"xlsx": {}})),
        &["row 1", "16 MiB"],
    );
}

fn letters(mut column: u32) -> String {
    let mut out = String::new();
    loop {
        out.insert(0, char::from(b'A' + (column % 26) as u8));
        if column < 26 {
            return out;
        }
        column = column / 26 - 1;
    }
}

#[test]
fn an_opendocument_sheet_of_repeated_cells_is_refused() {
    let content = |inside: &str| {
        let text = format!(
            "<office:document-content xmlns:office=\"o\" xmlns:table=\"t\" xmlns:text=\"x\"><office:body><office:spreadsheet><table:table table:name=\"a\">{inside}</table:table></office:spreadsheet></office:body></office:document-content>"
        );
        zipped(&[
            ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
            ("META-INF/manifest.xml", b"<manifest:manifest/>"),
            ("content.xml", text.as_bytes()),
        ])
    };
    let row = |rows: u32, columns: u32| {
        format!(
            "<table:table-row table:number-rows-repeated=\"{rows}\"><table:table-cell office:value-type=\"float\" office:value=\"1\" table:number-columns-repeated=\"{columns}\"><text:p>1</text:p></table:table-cell></table:table-row>"
        )
    };
    refused(&read("a.ods", content(&row(1_000_000, 1000)), json!({"xlsx": {}})), &["cells", "CSV"]);
    let apart =
        format!("{}<table:table-row table:number-rows-repeated=\"1000000\"/>{}", row(1, 1), row(1, 1000));
    refused(&read("a.ods", content(&apart), json!({"xlsx": {}})), &["cells", "CSV"]);
    let read = read("a.ods", content(&row(3, 2)), json!({"xlsx": {"header_row": "none"}}));
    assert_eq!((read.rows.len(), read.error), (3, None));
}
