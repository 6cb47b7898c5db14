//! Random tables, damaged at random places: every row is kept as it was written or set aside with its text.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::{Read, read};

/// A value without line ends, with what CSV finds hard.
fn value() -> impl Strategy<Value = String> {
    let hard = prop::sample::select(vec!["a", "b", "部", "\"", ",", ";", "'", " ", "\\", "7", "é", "\t"]);
    prop::collection::vec(hard, 0..6).prop_map(|parts| parts.concat())
}

/// A table of an id, a number and texts.
fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (2usize..5, 3usize..25).prop_flat_map(|(texts, rows)| {
        prop::collection::vec(prop::collection::vec(value(), texts), rows).prop_map(|rows| {
            let numbered = |(i, texts): (usize, Vec<String>)| {
                [format!("{}", 10_000 + i), format!("{}.50", i * 7)].into_iter().chain(texts).collect()
            };
            rows.into_iter().enumerate().map(numbered).collect()
        })
    })
}

fn written(row: &[String], by: char, end: &str) -> String {
    let cell = |v: &String| match v.contains([by, '"', '\n']) || v.starts_with(' ') {
        true => format!("\"{}\"", v.replace('"', "\"\"")),
        false => v.clone(),
    };
    row.iter().map(cell).collect::<Vec<_>>().join(&by.to_string()) + end
}

/// Header and rows as bytes of lines.
fn lines(table: &[Vec<String>], by: char, end: &str) -> Vec<Vec<u8>> {
    let names = ["id", "amount", "alpha", "beta", "gamma", "delta"];
    let header = names[..table[0].len()].join(&by.to_string()) + end;
    std::iter::once(header)
        .chain(table.iter().map(|row| written(row, by, end)))
        .map(String::into_bytes)
        .collect()
}

/// What happens to one line: a byte put in or taken out, or its end cut off.
fn damage(line: &mut Vec<u8>, kind: usize, at: usize, end: usize) {
    let body = line.len() - end;
    let at = at % (body + 1);
    match kind {
        0 => line.insert(at, b'"'),
        1 => line.insert(at, b','),
        2 => line.insert(at, 0xFF),
        3 => line.insert(at, b'\r'),
        4 if at < body => {
            line.remove(at);
        }
        _ => {
            line.drain(at..body);
        }
    }
}

/// With dialect and header given, so that only the reading of records is tried.
fn given() -> serde_json::Value {
    json!({"header": true, "skip": 0, "delimiter": ",", "quote": "\"", "escape": "none", "encoding": "utf-8", "null": []})
}

fn undamaged_rows_are_kept_or_told(
    table: &[Vec<String>],
    hurt: &[usize],
    found: &Read,
) -> Result<(), TestCaseError> {
    for (i, row) in table.iter().enumerate().filter(|(i, _)| !hurt.contains(i)) {
        let kept: Vec<_> = found.rows.iter().filter(|r| r[0] == row[0]).collect();
        let told = found.aside.iter().any(|(_, _, text)| text.contains(&row[0]));
        prop_assert!(kept.len() == 1 || (kept.is_empty() && told), "row {i} {row:?} in {found:?}");
        if let Some(kept) = kept.first() {
            prop_assert_eq!(*kept, row);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_clean_table_comes_back_whole(table in table(), crlf in any::<bool>()) {
        let bytes = lines(&table, ',', if crlf { "\r\n" } else { "\n" }).concat();
        let found = read(&bytes, given());
        prop_assert_eq!(&found.rows, &table);
        prop_assert!(found.aside.is_empty() && found.error.is_none());
    }

    #[test]
    fn what_is_found_by_itself_is_right_or_said(
        table in table(),
        by in prop::sample::select(vec![',', ';', '\t', '|']),
    ) {
        let found = read(&lines(&table, by, "\n").concat(), json!({}));
        let loud = !found.said.is_empty() || !found.aside.is_empty() || found.error.is_some();
        prop_assert!(found.rows == table || loud, "{:?} {:?}", found, table);
    }

    #[test]
    fn rows_in_are_rows_kept_and_set_aside(
        table in table(),
        crlf in any::<bool>(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, 0usize..60), 1..4),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut lines = lines(&table, ',', end);
        let mut hurt = Vec::new();
        for (row, kind, at) in wounds {
            let row = row.index(table.len());
            damage(&mut lines[row + 1], kind, at, end.len());
            hurt.push(row);
        }
        let found = read(&lines.concat(), given());
        prop_assert!(found.error.is_none(), "{:?}", found.error);
        undamaged_rows_are_kept_or_told(&table, &hurt, &found)?;
        hurt.sort_unstable();
        hurt.dedup();
        if hurt.len() > 1 {
            // One row that lost its closing quote above one that lost its opening one is a text of two lines.
            return Ok(());
        }
        // A line of nothing but its end is no row.
        let body = |l: &Vec<u8>| {
            let line = l.strip_suffix(b"\n").unwrap_or(l);
            line.strip_suffix(b"\r").unwrap_or(line).to_vec()
        };
        let blank = lines.iter().map(body).filter(|l| l.iter().all(|b| matches!(b, b',' | b' '))).count();
        let swallowed: usize = found.aside.iter().map(|(_, _, text)| text.matches('\n').count()).sum();
        prop_assert_eq!(found.rows.len() + found.aside.len() + swallowed + blank, table.len(), "{:?}", found);
    }
}

/// Anything at all: no panic, no hang, and what is kept has the table's width.
fn survives(bytes: &[u8]) {
    let found = read(bytes, json!({}));
    assert!(found.rows.iter().all(|row| row.len() == found.names.len()));
    let lines = 1 + bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count();
    assert!(found.rows.len() + found.aside.len() <= lines, "{found:?}");
}

#[test]
fn bytes_of_any_kind_are_read_or_refused() {
    const PARTS: [&[u8]; 22] = [
        b",",
        b",",
        b"\n",
        b"\n",
        b"\"",
        b"\"",
        b"\r\n",
        b"\r",
        b";",
        b"\t",
        b"'",
        b"\\",
        b" ",
        b"1",
        b"a,b,c\n",
        b"2026-11-27",
        b"\xff",
        b"\xe5\x90\x8d",
        b"\xb2\xee",
        b"\0",
        b"\"\"",
        b"1,2,3\n",
    ];
    let seconds = std::env::var("GUANLAN_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2u64);
    let (started, mut seed, mut rounds) = (Instant::now(), 0x9E37_79B9_7F4A_7C15_u64, 0u64);
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    while started.elapsed() < Duration::from_secs(seconds) {
        let mut bytes = Vec::new();
        for _ in 0..next(60) {
            bytes.extend_from_slice(PARTS[next(PARTS.len())]);
        }
        survives(&bytes);
        rounds += 1;
    }
    assert!(rounds > 50, "{rounds}");
}
