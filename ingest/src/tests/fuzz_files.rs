//! Valid files damaged at random places: no panic, bounded memory, and every row of what was read is accounted for.
//!
//! A few seconds with a fixed seed; `GUANLAN_FUZZ_SECONDS` goes on for as long with each format.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, ListBuilder, StringArray, StringBuilder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::parquet_files::{batch, written};
use super::reading::{Read, format, read_path};
use super::sheets::{by_hand, zipped};
use super::support::Folder;

const SEED: u64 = 20_261_127;
/// Highest address space that a case may add: far below what a server has.
const GROWTH_MIB: u64 = 900;

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Damages bytes: flips, cuts, copies, numbers at their edges, words of the format.
fn damage(bytes: &[u8], words: &[&[u8]], random: &mut StdRng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..random.random_range(1..=4) {
        if out.is_empty() {
            return out;
        }
        let at = random.random_range(0..out.len());
        match random.random_range(0..8) {
            0 => out[at] ^= 1 << random.random_range(0..8),
            1 => out[at] = [0, 0xff, 0x7f, 0x80, b'"', b'<'][random.random_range(0..6)],
            2 => out.truncate(at),
            3 => {
                let to = (at + random.random_range(1..64)).min(out.len());
                out.drain(at..to);
            }
            4 => {
                let to = (at + random.random_range(1..64)).min(out.len());
                let copy = out[at..to].to_vec();
                let place = random.random_range(0..=out.len());
                out.splice(place..place, copy);
            }
            5 => {
                let edge =
                    [u32::MAX, 0x7fff_ffff, 0x8000_0000, 0, 1 << 24][random.random_range(0..5)].to_le_bytes();
                let to = (at + 4).min(out.len());
                out[at..to].copy_from_slice(&edge[..to - at]);
            }
            _ => {
                let word = words[random.random_range(0..words.len())];
                out.splice(at..at, word.iter().copied());
            }
        }
    }
    out
}

/// Reads damaged copies for a while; `check` sees each outcome.
fn torment(name: &str, spec: Value, corpus: &[Vec<u8>], words: &[&[u8]], check: impl Fn(&[u8], &Read)) {
    let seconds = std::env::var("GUANLAN_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let (time, most) = match seconds {
        Some(seconds) => (Duration::from_secs(seconds), usize::MAX),
        None => (Duration::from_secs(4), 1500),
    };
    let folder = Folder::new();
    let path = folder.0.join(name);
    let spec = format(spec);
    let mut random = StdRng::seed_from_u64(SEED);
    let (started, before) = (Instant::now(), peak_mib());
    let mut cases = 0;
    while started.elapsed() < time && cases < most {
        let bytes = damage(&corpus[cases % corpus.len()], words, &mut random);
        std::fs::write(&path, &bytes).unwrap();
        let read = read_path(&path, name, &spec);
        if let Some(error) = &read.error {
            assert!(error.len() > 20 && error.len() < 4000, "{error}");
        }
        assert!(read.rows.iter().all(|r| r.len() == read.columns.len()));
        check(&bytes, &read);
        cases += 1;
    }
    let growth = peak_mib().saturating_sub(before);
    eprintln!("{name}: {cases} damaged files in {:.1} s, {growth} MiB more", started.elapsed().as_secs_f64());
    assert!(growth < GROWTH_MIB, "{growth} MiB");
}

#[test]
fn json_lines_lose_no_line() {
    let text: String = (0..40)
        .map(|i| format!("{{\"id\":{i},\"n\":1.10,\"名\":\"王\\n\",\"a\":{{\"b\":[1,null]}}}}\n"))
        .collect();
    let words: [&[u8]; 6] = [b"NaN", b"{\"a\":1}", b"\\u00", b"\n", b"[[[[", b"\"id\":"];
    torment("a.ndjson", json!({"ndjson": {}}), &[text.into_bytes()], &words, |bytes, read| {
        if read.error.is_none()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            let lines = text.split('\n').filter(|l| !l.trim().is_empty()).count();
            assert_eq!(read.rows.len() + read.rejected.len(), lines, "{text}");
        }
    });
}

#[test]
fn json_documents_agree_with_another_reader() {
    let text =
        "[{\"id\":1,\"n\":1.5,\"a\":{\"b\":[1,null]}},{\"id\":2,\"t\":\"王\\u5c0f\"},{\"id\":3}]".to_owned();
    let inside = format!("{{\"x\":[1,{{}}],\"data\":{text},\"y\":null}}");
    let words: [&[u8]; 6] = [b"null", b"{\"a\":1},", b"\\u00", b"]", b"}", b"\"id\":"];
    torment("a.json", json!({"json": {}}), &[text.into_bytes()], &words, |bytes, read| {
        if let Ok(Value::Array(known)) = serde_json::from_slice::<Value>(bytes) {
            assert_eq!(read.error, None, "{}", String::from_utf8_lossy(bytes));
            assert_eq!(read.rows.len() + read.rejected.len(), known.len());
            assert_eq!(read.rows.len(), known.iter().filter(|v| v.is_object()).count());
        }
    });
    torment("b.json", json!({"json": {"records": "data"}}), &[inside.into_bytes()], &words, |_, _| {});
}

#[test]
fn event_logs_lose_no_event() {
    let mut log = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><log>");
    for case in 0..6 {
        log.push_str(&format!("<trace><string key=\"concept:name\" value=\"{case}\"/>"));
        log.push_str(&"<event><string key=\"concept:name\" value=\"甲\"/><date key=\"time:timestamp\" value=\"2026-11-27T08:00:00\"/></event>".repeat(3));
        log.push_str("</trace>");
    }
    log.push_str("</log>");
    let words: [&[u8]; 7] =
        [b"<event/>", b"</trace>", b"&#x0;", b"<![CDATA[", b"<!--", b"encoding=\"GB18030\"", b"<trace>"];
    let gz = {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, log.as_bytes()).unwrap();
        gz.finish().unwrap()
    };
    torment("a.xes", json!({"xes": {}}), &[log.into_bytes(), gz], &words, |bytes, read| {
        let text = String::from_utf8_lossy(bytes);
        // Comments and sections hide events; without them each that a whole log has is a row or set aside.
        if read.error.is_none() && bytes.starts_with(b"<") && !text.contains("<!") {
            let events = text.matches("<event").count();
            assert!(read.rows.len() + read.rejected.len() <= events, "{text}");
        }
    });
}

#[test]
fn workbooks_do_not_break_their_reader() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for row in 0..20u32 {
        sheet.write(row, 0, format!("名 {row}")).unwrap();
        sheet.write(row, 1, f64::from(row) * 1.5).unwrap();
    }
    sheet.merge_range(2, 2, 4, 3, "x", &rust_xlsxwriter::Format::new()).unwrap();
    let packed = book.save_to_buffer().unwrap();
    // Unpacked parts, so that damage reaches the XML.
    let sheet = r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:B2"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" s="1"><v>1</v></c></row><row r="2"><c r="A2" t="b"><v>1</v></c><c r="B2"><f>A1</f><v>2</v></c></row></sheetData><mergeCells count="1"><mergeCell ref="A1:B1"/></mergeCells></worksheet>"#;
    let words: [&[u8]; 8] = [
        b"r=\"XFD1048576\"",
        b"<c r=\"ZZZZZZZ99999999999\"><v>1</v></c>",
        b"<row r=\"4294967295\">",
        b"t=\"s\"",
        b"PK\x05\x06",
        b"<v>1e309</v>",
        b"ref=\"A1:XFD1048576\"",
        b"</row>",
    ];
    torment("a.xlsx", json!({"xlsx": {}}), &[packed, stored(sheet)], &words, |_, _| {});
    let text = "<Workbook><Worksheet ss:Name=\"a\"><Table><Row ss:Index=\"2\"><Cell ss:MergeAcross=\"1\"><Data ss:Type=\"String\">a</Data></Cell></Row></Table></Worksheet></Workbook>";
    let html = "<html><table><tr><td colspan=2>a</td></tr><tr><td>b<td>c</table></html>";
    let words: [&[u8]; 6] =
        [b"ss:Index=\"4294967295\"", b"<table>", b"rowspan=4294967295", b"&#55555555;", b"<td>", b"</tr>"];
    torment("b.xls", json!({"xlsx": {}}), &[text.into(), html.into()], &words, |_, _| {});
}

/// The hand-written workbook with its parts unpacked, without checksums to protect them.
fn stored(sheet: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(by_hand(sheet))).unwrap();
    let mut parts = Vec::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        parts.push((file.name().unwrap().into_owned(), bytes));
    }
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    zipped(&parts)
}

#[test]
fn parquet_does_not_break_its_reader() {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..200 {
        for i in 0..row % 4 {
            lists.values().append_value(format!("{i}"));
        }
        lists.append(row % 5 > 0);
    }
    let columns = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..200))),
        (
            "t",
            Arc::new(StringArray::from_iter(
                (0..200).map(|i| (i % 7 > 0).then(|| format!("text {}", i % 3))),
            )),
        ),
        ("l", Arc::new(lists.finish())),
    ]);
    let packed = parquet::file::properties::WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    let corpus = [written(&columns, None), written(&columns, Some(packed))];
    let words: [&[u8]; 3] =
        [b"PAR1", &[0x29, 0xFC, 0x80, 0xA8, 0xD6, 0xB9, 0x07], &[0x15, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F]];
    torment("a.parquet", json!({"parquet": {}}), &corpus, &words, |bytes, read| {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        let Ok(file) = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)) else { return };
        if read.error.is_none() {
            let promised = file.metadata().file_metadata().num_rows();
            assert_eq!(read.rows.len() + read.rejected.len(), promised as usize);
        }
    });
}
