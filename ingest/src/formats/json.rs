//! JSON records → text columns.
//!
//! Numbers and booleans land as their JSON text, digit by digit: what is an integer on one page is a fraction or
//! null on the next, and a raw table whose types follow the last page would break. Cleaning types them. A document is
//! read twice, to learn the columns and to land the rows, and only one record is in memory at a time. A record that is
//! no JSON is set aside; the others stand.

mod shape;
mod stream;
pub(crate) mod value;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use arrow::array::{ArrayRef, Int64Array};
use serde_json::Value;

use super::columns::TextColumns;
use super::encoding::{Utf8Reader, unreadable};
use super::sink::{Sink, Stop, crowded};
use crate::error::SourceError;
use crate::spec::JsonSpec;
pub(crate) use shape::Shape;
use value::Raw;

type Utf8 = BufReader<Utf8Reader<File>>;

/// The text of one value; null is null.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

fn open(path: &Path) -> Result<Utf8, SourceError> {
    stream::utf8(File::open(path).map_err(unreadable)?)
}

/// Reads one document with an array of records (a single object is one record).
pub(crate) fn read_document(path: &Path, spec: &JsonSpec, sink: &mut Sink) -> Result<(), Stop> {
    let mut shape = Shape::default();
    stream::each_record(open(path)?, spec.records.as_ref(), &mut |_, _, text| learn(&mut shape, text))?;
    let mut rows = Rows::new(shape, sink);
    stream::each_record(open(path)?, spec.records.as_ref(), &mut |number, line, text| {
        rows.add(number, text, sink, &|| format!("record {number}, line {line}"))
    })?;
    rows.flush(sink)
}

/// Reads one record per line. The first pass over the file learns the columns, so that every batch has the same.
pub(crate) fn read_lines(path: &Path, sink: &mut Sink) -> Result<(), Stop> {
    let mut shape = Shape::default();
    each_line(path, |_, line| learn(&mut shape, line))?;
    let mut rows = Rows::new(shape, sink);
    each_line(path, |number, line| rows.add(number, line, sink, &|| format!("line {number}")))?;
    rows.flush(sink)
}

fn learn(shape: &mut Shape, text: &str) -> Result<(), Stop> {
    match Raw::parse(text) {
        Ok(record) if record.is_object() => Ok(shape.learn(&record)?),
        _ => Ok(()),
    }
}

/// Records on their way into columns.
struct Rows {
    shape: Shape,
    names: Vec<String>,
    columns: TextColumns,
}

impl Rows {
    fn new(shape: Shape, sink: &mut Sink) -> Self {
        let names = shape.names();
        sink.text_columns(&names);
        let columns = TextColumns::new(shape.width());
        Rows { shape, names, columns }
    }

    fn add(
        &mut self,
        number: i64,
        text: &str,
        sink: &mut Sink,
        place: &dyn Fn() -> String,
    ) -> Result<(), Stop> {
        match Raw::parse(text) {
            Ok(record) if record.is_object() => {
                for odd in self.shape.push(&record, number, &mut self.columns) {
                    sink.changed(&self.names[odd.column], odd.how, || {
                        format!("{}: {}", place(), odd.text.chars().take(60).collect::<String>())
                    });
                }
            }
            Ok(_) => sink.reject(number, "not a JSON object".into(), text)?,
            Err(e) => sink.reject(number, format!("not JSON: {e}"), text)?,
        }
        match self.columns.is_full() || crowded(self.columns.rows.len(), self.names.len()) {
            true => self.flush(sink),
            false => Ok(()),
        }
    }

    fn flush(&mut self, sink: &mut Sink) -> Result<(), Stop> {
        let (arrays, rows): (Vec<ArrayRef>, Vec<i64>) = self.columns.take();
        if rows.is_empty() { Ok(()) } else { sink.rows(arrays, Int64Array::from(rows)) }
    }
}

fn each_line(path: &Path, mut visit: impl FnMut(i64, &str) -> Result<(), Stop>) -> Result<(), Stop> {
    let most = store::limits().record_bytes as u64;
    let mut lines = open(path)?;
    let mut line = String::new();
    let mut number = 0;
    loop {
        line.clear();
        let got = lines.by_ref().take(most).read_line(&mut line).map_err(unreadable)?;
        if got == 0 {
            return Ok(());
        }
        number += 1;
        if got as u64 == most && !line.ends_with('\n') {
            return Err(SourceError::never(format!("line {number}: longer than {} MiB; is this one JSON document? then use `format: {{ json: {{}} }}`", most >> 20)).into());
        }
        if !line.trim().is_empty() {
            visit(number, line.trim())?;
        }
    }
}
