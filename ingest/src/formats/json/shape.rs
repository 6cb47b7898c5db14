//! Records → columns: objects are opened one level (`address_city`), deeper ones and arrays land as JSON text.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::value::Raw;
use crate::error::SourceError;
use crate::formats::columns::{TextColumns, unique_names};

/// A field of a record.
pub(crate) enum Field<'r> {
    Tree(&'r Value),
    Text(Raw<'r>),
}

impl<'r> Field<'r> {
    fn landed(&self) -> Option<Cow<'r, str>> {
        match self {
            Field::Tree(Value::String(s)) => Some(Cow::Borrowed(s)),
            Field::Tree(value) => super::text(value).map(Cow::Owned),
            Field::Text(raw) => raw.landed(),
        }
    }
}

/// Something that has fields.
pub(crate) trait Record {
    /// Visits the fields, one level of objects opened.
    fn flat(&self, visit: &mut dyn FnMut(Cow<'_, str>, Field<'_>));
}

impl Record for Map<String, Value> {
    fn flat(&self, visit: &mut dyn FnMut(Cow<'_, str>, Field<'_>)) {
        for (key, value) in self {
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    for (deeper, value) in inner {
                        visit(format!("{key}_{deeper}").into(), Field::Tree(value));
                    }
                }
                other => visit(key.as_str().into(), Field::Tree(other)),
            }
        }
    }
}

impl Record for Raw<'_> {
    fn flat(&self, visit: &mut dyn FnMut(Cow<'_, str>, Field<'_>)) {
        self.fields(&mut |key, value| {
            if !value.is_object() {
                return visit(key, Field::Text(value));
            }
            let mut empty = true;
            value.fields(&mut |deeper, value| {
                empty = false;
                visit(format!("{key}_{deeper}").into(), Field::Text(value));
            });
            if empty {
                visit(key, Field::Text(value));
            }
        });
    }
}

/// A value of a record that did not land as delivered, or is none that JSON knows.
pub(crate) struct Odd {
    /// The column, as [`Shape::names`] counts.
    pub(crate) column: usize,
    pub(crate) how: &'static str,
    /// The value concerned.
    pub(crate) text: String,
}

/// The columns of a set of records, in order of appearance.
#[derive(Default)]
pub(crate) struct Shape {
    keys: Vec<String>,
    index: HashMap<String, usize>,
    /// Bytes of the names: each may be as long as a record, and is kept.
    bytes: usize,
}

impl Shape {
    /// Learns the columns of one record.
    ///
    /// # Errors
    /// There are more than a table may have.
    pub(crate) fn learn(&mut self, record: &impl Record) -> Result<(), SourceError> {
        let (most, room) = (store::limits().columns, store::limits().record_bytes);
        record.flat(&mut |key, _| {
            if self.keys.len() <= most && self.bytes <= room && !self.index.contains_key(&*key) {
                self.bytes += key.len();
                self.index.insert(key.to_string(), self.keys.len());
                self.keys.push(key.into_owned());
            }
        });
        if self.bytes > room {
            return Err(SourceError::never(format!(
                "the names of the fields take more than {} MiB; point `records` at an array of similar objects, or raise `limits: record_bytes` of guanlan.yaml",
                room >> 20
            )));
        }
        if self.keys.len() > most {
            let example: String = self.keys.last().into_iter().flat_map(|k| k.chars().take(60)).collect();
            return Err(SourceError::never(format!(
                "records have more than {most} different fields (such as `{example}`); point `records` at an array of similar objects"
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

    /// Adds one record as a row, and answers what of it did not land as delivered.
    pub(crate) fn push(&self, record: &impl Record, number: i64, columns: &mut TextColumns) -> Vec<Odd> {
        let mut row: Vec<Option<Option<String>>> = vec![None; self.keys.len()];
        let mut odd = Vec::new();
        record.flat(&mut |key, field| {
            let Some(column) = self.index.get(&*key).copied() else { return };
            let text = field.landed().map(Cow::into_owned);
            if matches!(&field, Field::Text(raw) if raw.odd) {
                let how = "kept as text: NaN and Infinity are no JSON numbers";
                odd.push(Odd { column, how, text: text.clone().unwrap_or_default() });
            }
            if let Some(before) = row[column].replace(text) {
                let how = "the last of several values was kept: the record names the field more than once";
                odd.push(Odd { column, how, text: before.unwrap_or_else(|| "null".into()) });
            }
        });
        for (i, value) in row.iter().enumerate() {
            columns.push(i, value.as_ref().and_then(|v| v.as_deref()));
        }
        columns.end_row(number);
        odd
    }
}
