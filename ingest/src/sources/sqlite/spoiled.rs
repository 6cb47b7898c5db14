//! Rows with a value that does not fit its column, with the reason and the way out.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::declared::Column;
use super::reader::class;
use crate::error::SourceError;
use crate::sources::sql::columns::rejected_rows;

/// Characters of a value that a message shows, and that a rejected row keeps of each.
const SHOWN: usize = 40;
const KEPT: usize = 64 << 10;

/// Why a value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Another storage class than the column's type has.
    Class,
    /// No number, or more digits than the column is declared with.
    Digits,
    NotUtf8,
    TooLarge,
    Unreadable,
}

/// Rows waiting to be sent, and what is said of them at the end.
pub(super) struct Spoiled {
    keys: Vec<String>,
    loaded_at: i64,
    reasons: Vec<String>,
    texts: Vec<String>,
    /// Rows and the first place, by column and what is wrong.
    counts: BTreeMap<(String, String), (u64, String)>,
}

impl Spoiled {
    pub(super) fn new(keys: Vec<String>, loaded_at: i64) -> Self {
        Spoiled { keys, loaded_at, reasons: Vec::new(), texts: Vec::new(), counts: BTreeMap::new() }
    }

    pub(super) fn waiting(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn add(&mut self, row: &SqliteRow, columns: &[Column], bad: usize, why: Why, number: u64) {
        let column = &columns[bad];
        let (wrong, way_out) = told(column, &class(row, bad), &shown(row, bad, SHOWN), why);
        self.reasons.push(format!("column `{}` {wrong}: {}", column.name, shown(row, bad, SHOWN)));
        let fields: serde_json::Map<String, Value> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let value = match class(row, i).as_str() {
                    "NULL" if i == bad && why == Why::TooLarge => json!("(too large)"),
                    "NULL" => Value::Null,
                    "BLOB" => json!("(blob)"),
                    _ => json!(shown(row, i, KEPT)),
                };
                (c.name.clone(), value)
            })
            .collect();
        let place = self.place(&fields, number);
        let entry = self
            .counts
            .entry((column.name.clone(), format!("{wrong}|{way_out}")))
            .or_insert_with(|| (0, format!("{} at {place}", shown(row, bad, SHOWN))));
        entry.0 += 1;
        self.texts.push(Value::Object(fields).to_string());
    }

    fn place(&self, fields: &serde_json::Map<String, Value>, number: u64) -> String {
        let keys: Vec<String> =
            self.keys.iter().filter_map(|k| Some(format!("{k} {}", fields.get(k)?.as_str()?))).collect();
        if keys.is_empty() { format!("row {number}") } else { keys.join(", ") }
    }

    /// One message a column and reason: how many, the first, and what to write to land them.
    pub(super) fn summary(&self) -> Vec<String> {
        self.counts
            .iter()
            .take(20)
            .map(|((column, told), (count, first))| {
                let (wrong, way_out) = told.split_once('|').unwrap_or((told, ""));
                let rows = if *count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
                format!("column `{column}` {wrong} in {rows}, first {first}; {way_out}")
            })
            .collect()
    }

    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        rejected_rows(std::mem::take(&mut self.reasons), std::mem::take(&mut self.texts), self.loaded_at)
    }
}

/// What is wrong with a value, and how its row can land all the same.
fn told(column: &Column, class: &str, value: &str, why: Why) -> (String, String) {
    let (name, declared) = (&column.name, &column.declared);
    let class = match class {
        "TEXT" => "text",
        "REAL" => "a fraction",
        "BLOB" => "bytes",
        _ => "another number",
    };
    let query =
        |part: String| format!("to land them, read with `query: select …, {part} as {name}, … from …`");
    match why {
        Why::Class if value == "''" => {
            (format!("is declared {declared} but holds an empty text"), query(format!("nullif({name}, '')")))
        }
        Why::Class => {
            (format!("is declared {declared} but holds {class}"), query(format!("cast({name} as text)")))
        }
        Why::Digits if value == "''" => {
            (format!("is declared {declared} but holds an empty text"), query(format!("nullif({name}, '')")))
        }
        Why::Digits => (
            format!("is declared {declared} but holds what does not fit these digits"),
            query(format!("cast({name} as text)")),
        ),
        Why::NotUtf8 => ("holds text that is not UTF-8".to_owned(), query(format!("hex({name})"))),
        Why::TooLarge => (
            format!("holds more than {} bytes", store::limits().value_bytes),
            format!(
                "leave it out or cut it with `query: select …, substr({name}, 1, 10000) as {name}, … from …`, or raise `limits.value_bytes` in guanlan.yaml"
            ),
        ),
        Why::Unreadable => ("cannot be read".to_owned(), query(format!("cast({name} as text)"))),
    }
}

/// A value for people, cut.
fn shown(row: &SqliteRow, i: usize, most: usize) -> String {
    let class = class(row, i);
    let bytes = match class.as_str() {
        "NULL" => return "(too large)".into(),
        "BLOB" => return "(blob)".into(),
        _ => row.try_get_unchecked::<&[u8], _>(i).unwrap_or_default(),
    };
    let text: String = String::from_utf8_lossy(bytes).chars().take(most).collect();
    if class == "TEXT" && most == SHOWN { format!("'{text}'") } else { text }
}
