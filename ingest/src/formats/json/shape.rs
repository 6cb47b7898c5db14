//! Records → columns: objects are opened one level (`address_city`), deeper ones and arrays land as JSON text.

use std::borrow::Cow;
use std::collections::HashMap;

use super::value::Raw;
use crate::error::SourceError;
use crate::formats::columns::{TextColumns, unique_names};

/// Visits the fields of a record, one level of objects opened.
fn flat(record: &Raw<'_>, visit: &mut dyn FnMut(Cow<'_, str>, Raw<'_>)) {
    record.fields(&mut |key, value| {
        if !value.is_object() {
            return visit(key, value);
        }
        let mut empty = true;
        value.fields(&mut |deeper, value| {
            empty = false;
            visit(format!("{key}_{deeper}").into(), value);
        });
        if empty {
            visit(key, value);
        }
    });
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
}

impl Shape {
    /// Learns the columns of one record.
    ///
    /// # Errors
    /// There are more than a table may have.
    pub(crate) fn learn(&mut self, record: &Raw<'_>) -> Result<(), SourceError> {
        let most = store::limits().columns;
        flat(record, &mut |key, _| {
            if self.keys.len() <= most && !self.index.contains_key(&*key) {
                self.index.insert(key.to_string(), self.keys.len());
                self.keys.push(key.into_owned());
            }
        });
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
    pub(crate) fn push(&self, record: &Raw<'_>, number: i64, columns: &mut TextColumns) -> Vec<Odd> {
        let mut row: Vec<Option<Option<String>>> = vec![None; self.keys.len()];
        let mut odd = Vec::new();
        flat(record, &mut |key, field| {
            let Some(column) = self.index.get(&*key).copied() else { return };
            let text = field.landed().map(Cow::into_owned);
            if field.odd {
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
