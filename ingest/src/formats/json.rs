//! JSON records → text columns.
//!
//! Numbers and booleans land as their JSON text: what is an integer on one page is a fraction or null
//! on the next, and a raw table whose types follow the last page would break. Cleaning types them.
//! Objects are flattened one level (`address_city`); deeper ones and arrays land as JSON text.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use arrow::array::{ArrayRef, Int64Array};
use serde_json::{Map, Value};

use super::columns::{TextColumns, unique_names};
use super::encoding::{Utf8Reader, detect, unreadable};
use super::sink::{Sink, Stop};
use crate::error::SourceError;
use crate::spec::JsonSpec;

/// A JSON document is held in memory; larger ones belong in ndjson.
const DOCUMENT_BYTES: u64 = 256 << 20;
const LINE_BYTES: u64 = 16 << 20;
/// Columns that one set of records may have: records keyed by id would otherwise make a column each.
const COLUMNS: usize = 2_000;

/// The columns of a set of records, in order of appearance.
#[derive(Default)]
pub(crate) struct Shape {
    keys: Vec<String>,
    index: HashMap<String, usize>,
}

impl Shape {
    /// Learns the columns of one record.
    ///
    /// # Errors
    /// There are more than 2000.
    pub(crate) fn learn(&mut self, record: &Map<String, Value>) -> Result<(), SourceError> {
        flat(record, &mut |key, _| {
            if !self.index.contains_key(&*key) {
                self.index.insert(key.to_string(), self.keys.len());
                self.keys.push(key.into_owned());
            }
        });
        if self.keys.len() > COLUMNS {
            let example = self.keys.last().cloned().unwrap_or_default();
            return Err(SourceError::never(format!(
                "records have more than {COLUMNS} different fields (such as `{example}`); point `records` at an array of similar objects"
            )));
        }
        Ok(())
    }

    /// Column names as they land.
    pub(crate) fn names(&self) -> Vec<String> {
        unique_names(&self.keys)
    }

    pub(crate) fn width(&self) -> usize {
        self.keys.len()
    }

    /// Adds one record as a row.
    pub(crate) fn push(&self, record: &Map<String, Value>, number: i64, columns: &mut TextColumns) {
        let mut row: Vec<Option<String>> = vec![None; self.keys.len()];
        flat(record, &mut |key, value| {
            if let Some(at) = self.index.get(&*key) {
                row[*at] = text(value);
            }
        });
        for (i, value) in row.iter().enumerate() {
            columns.push(i, value.as_deref());
        }
        columns.end_row(number);
    }
}

/// Visits the fields of a record, one level of objects opened.
fn flat(record: &Map<String, Value>, visit: &mut dyn FnMut(std::borrow::Cow<'_, str>, &Value)) {
    for (key, value) in record {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                for (deeper, value) in inner {
                    visit(format!("{key}_{deeper}").into(), value);
                }
            }
            other => visit(key.as_str().into(), other),
        }
    }
}

/// The text of one value; null is null.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

/// Reads one document with an array of records (a single object is one record).
pub(crate) fn read_document(path: &Path, spec: &JsonSpec, sink: &mut Sink) -> Result<(), Stop> {
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > DOCUMENT_BYTES {
        return Err(SourceError::never(format!("a JSON document of {} MiB; above 256 MiB use one record per line and `format: {{ ndjson: {{}} }}`", size >> 20)).into());
    }
    let mut text = String::new();
    utf8(file)?.read_to_string(&mut text).map_err(unreadable)?;
    let mut document: Value = serde_json::from_str(&text)
        .map_err(|e| SourceError::never(format!("not JSON: {e}; ask for the file again")))?;
    drop(text);
    let records = match &spec.records {
        Some(at) => at
            .take(&mut document)
            .ok_or_else(|| SourceError::never(format!("has nothing at {at}; {}", keys_of(&document))))?,
        None => document,
    };
    let records = match records {
        Value::Array(records) => records,
        one @ Value::Object(_) => vec![one],
        _ => {
            return Err(SourceError::never(
                "holds no array of records; point `records` at it, for example `$.data.items`",
            )
            .into());
        }
    };
    let mut shape = Shape::default();
    for record in records.iter().filter_map(Value::as_object) {
        shape.learn(record)?;
    }
    sink.text_columns(&shape.names());
    let mut columns = TextColumns::new(shape.width());
    for (i, record) in records.iter().enumerate() {
        add(record, i as i64 + 1, &shape, &mut columns, sink)?;
    }
    flush(&mut columns, sink)
}

/// What a document has instead, for messages.
pub(crate) fn keys_of(document: &Value) -> String {
    match document {
        Value::Object(o) => {
            format!("its fields are {}", o.keys().take(20).cloned().collect::<Vec<_>>().join(", "))
        }
        Value::Array(_) => "it is an array itself: leave `records` out".into(),
        _ => "it is a single value".into(),
    }
}

fn add(
    record: &Value,
    number: i64,
    shape: &Shape,
    columns: &mut TextColumns,
    sink: &mut Sink,
) -> Result<(), Stop> {
    match record {
        Value::Object(record) => shape.push(record, number, columns),
        other => sink.reject(number, "not a JSON object".into(), &other.to_string())?,
    }
    if columns.is_full() { flush(columns, sink) } else { Ok(()) }
}

fn flush(columns: &mut TextColumns, sink: &mut Sink) -> Result<(), Stop> {
    let (arrays, rows): (Vec<ArrayRef>, Vec<i64>) = columns.take();
    if rows.is_empty() { Ok(()) } else { sink.rows(arrays, Int64Array::from(rows)) }
}

/// Reads one record per line. The first pass over the file learns the columns, so that every batch has the same.
pub(crate) fn read_lines(path: &Path, sink: &mut Sink) -> Result<(), Stop> {
    let mut shape = Shape::default();
    each_line(path, |_, line| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(record)) => Ok(shape.learn(&record)?),
        _ => Ok(()),
    })?;
    sink.text_columns(&shape.names());
    let mut columns = TextColumns::new(shape.width());
    each_line(path, |number, line| match serde_json::from_str::<Value>(line) {
        Ok(record) => add(&record, number, &shape, &mut columns, sink),
        Err(e) => sink.reject(number, format!("not JSON: {e}"), line),
    })?;
    flush(&mut columns, sink)
}

fn each_line(path: &Path, mut visit: impl FnMut(i64, &str) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut lines = BufReader::with_capacity(1 << 20, utf8(File::open(path).map_err(unreadable)?)?);
    let mut line = String::new();
    let mut number = 0;
    loop {
        line.clear();
        let got = lines.by_ref().take(LINE_BYTES).read_line(&mut line).map_err(unreadable)?;
        if got == 0 {
            return Ok(());
        }
        number += 1;
        if got as u64 == LINE_BYTES && !line.ends_with('\n') {
            return Err(SourceError::never(format!("line {number}: longer than 16 MiB; is this one JSON document? then use `format: {{ json: {{}} }}`")).into());
        }
        if !line.trim().is_empty() {
            visit(number, line.trim_end())?;
        }
    }
}

fn utf8(mut file: File) -> Result<Utf8Reader<File>, SourceError> {
    let found = detect(&mut file, "auto")?;
    Ok(Utf8Reader::new(file, found))
}
