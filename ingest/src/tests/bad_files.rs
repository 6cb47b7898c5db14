use serde_json::json;

use super::support::{House, spec};
use crate::spec::SourceSpec;

fn files(glob: &str, format: serde_json::Value) -> SourceSpec {
    spec(json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": glob, "format": format}}}))
}

async fn error_of(house: &House, spec: &SourceSpec) -> String {
    let report = house.sync_one(spec).await;
    report.error.unwrap_or_else(|| panic!("no error: rows {} {:?}", report.rows, report.warnings)).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_encoding_is_refused_with_file_and_byte() {
    let house = House::new().await;
    house.folder.write("drops/gb.csv", encoding_rs::GB18030.encode("id,名\n1,王小明\n").0);
    let error = error_of(&house, &files("gb.csv", json!({"csv": {"encoding": "utf-8"}}))).await;
    assert!(error.contains("gb.csv") && error.contains("byte 3") && error.contains("encoding"), "{error}");
    house.folder.write("drops/u8.csv", "id,名\n1,王小明张三李四\n");
    let error = error_of(&house, &files("u8.csv", json!({"csv": {"encoding": "gb18030"}}))).await;
    assert!(error.contains("u8.csv") && error.contains("byte 3") && error.contains("UTF-8"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_name_themselves_and_let_the_others_pass() {
    let house = House::new().await;
    house.folder.write("drops/good.xlsx", super::real_data::workbook());
    let mut cut = super::real_data::workbook();
    cut.truncate(cut.len() * 2 / 3);
    house.folder.write("drops/cut.xlsx", cut);
    house.folder.write("drops/empty.xlsx", "");
    house.folder.write("drops/text.xlsx", "this is no workbook");
    let report = house.sync_one(&files("*.xlsx", json!({"xlsx": {}}))).await;
    let error = report.error.unwrap().to_string();
    for name in ["cut.xlsx", "empty.xlsx", "text.xlsx"] {
        assert!(error.contains(name), "{error}");
    }
    assert_eq!((report.files, report.rows), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_that_never_closes_does_not_swallow_the_file() {
    let house = House::new().await;
    let mut text = String::from("id,v\n1,\"open\n");
    while text.len() < 40 << 20 {
        text.push_str("2,abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz\n");
    }
    let lines = text.lines().count() as u64 - 2;
    house.folder.write("drops/quote.csv", text);
    let report = house.sync_one(&files("*.csv", json!({"csv": {}}))).await;
    assert_eq!((report.rows, report.rejected_rows, report.error.is_none()), (lines, 1, true), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_bomb_is_refused() {
    let house = House::new().await;
    house.folder.write("drops/bomb.xlsx", bomb(600 << 20, 600 << 20));
    let error = error_of(&house, &files("bomb.xlsx", json!({"xlsx": {}}))).await;
    assert!(error.contains("bomb.xlsx") && error.contains("larger than 16 MiB"), "{error}");
    house.folder.write("drops/liar.xlsx", bomb(600 << 20, 1));
    let error = error_of(&house, &files("liar.xlsx", json!({"xlsx": {}}))).await;
    assert!(error.contains("liar.xlsx") && error.contains("sheet1.xml"), "{error}");
}

/// An archive whose one part unpacks to `size` zeros and says another size.
fn bomb(size: u64, said: u32) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::repeat(0).take(size), &mut packer).unwrap();
    let packed = packer.finish().unwrap();
    let name = b"xl/worksheets/sheet1.xml";
    let mut zip = Vec::new();
    let sizes = |out: &mut Vec<u8>| {
        out.extend([0, 0, 0, 0]);
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend(said.to_le_bytes());
        out.extend((name.len() as u16).to_le_bytes());
    };
    zip.extend(b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0");
    sizes(&mut zip);
    zip.extend([0, 0]);
    zip.write_all(name).unwrap();
    zip.write_all(&packed).unwrap();
    let directory = zip.len() as u32;
    zip.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0");
    sizes(&mut zip);
    zip.extend([0; 16]);
    zip.write_all(name).unwrap();
    let length = zip.len() as u32 - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(length.to_le_bytes());
    zip.extend(directory.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_and_damaged_logs_say_what_to_do() {
    let house = House::new().await;
    let error = error_of(&house, &files("*", json!({"csv": {}}))).await;
    assert!(error.contains("there is no folder") && error.contains("create it"), "{error}");
    house.folder.write("drops/a.xes", "<log><trace><event><string key='a' value='b'/></event>");
    house.folder.write("drops/b.xes", "<html></html>");
    house.folder.write("drops/c.xes", [0x1f, 0x8b, 8, 0, 1, 2, 3]);
    let error = error_of(&house, &files("*.xes", json!({"xes": {}}))).await;
    for name in ["a.xes", "b.xes", "c.xes"] {
        assert!(error.contains(name), "{error}");
    }
}
