//! Column names that a table can have, and text columns built row by row.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};

/// Columns that a raw table adds itself.
const RESERVED: [&str; 3] = ["_file", "_row", "_loaded_at"];

/// Names trimmed, never empty, and different even when case is ignored (Delta compares them so):
/// an empty one becomes `column_<position>`, a repeated one gets `_2`, `_3`, ….
pub(crate) fn unique_names<S: AsRef<str>>(raw: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut taken: HashSet<String> = RESERVED.iter().map(|s| s.to_string()).collect();
    let mut names = Vec::new();
    for (i, name) in raw.into_iter().enumerate() {
        let name = clean_name(name.as_ref());
        let base = if name.is_empty() { format!("column_{}", i + 1) } else { name };
        let mut unique = base.clone();
        let mut n = 2;
        while !taken.insert(unique.to_lowercase()) {
            unique = format!("{base}_{n}");
            n += 1;
        }
        names.push(unique);
    }
    names
}

/// One line, no control characters, at most 200 characters.
fn clean_name(name: &str) -> String {
    let words: Vec<&str> = name
        .trim_start_matches('\u{feff}')
        .split(|c: char| c.is_control() || c == '\n')
        .map(str::trim)
        .filter(|w| !w.is_empty())
        .collect();
    words.join(" ").chars().take(200).collect()
}

/// Text columns of one batch.
pub(crate) struct TextColumns {
    builders: Vec<StringBuilder>,
    pub(crate) rows: Vec<i64>,
    pub(crate) bytes: usize,
}

impl TextColumns {
    pub(crate) fn new(width: usize) -> Self {
        TextColumns {
            builders: (0..width).map(|_| StringBuilder::new()).collect(),
            rows: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds the value of one column; the caller adds every column of a row, then calls [`TextColumns::end_row`].
    pub(crate) fn push(&mut self, column: usize, value: Option<&str>) {
        self.bytes += value.map_or(0, str::len);
        self.builders[column].append_option(value);
    }

    pub(crate) fn end_row(&mut self, number: i64) {
        self.rows.push(number);
    }

    /// The arrays and row numbers, leaving this empty.
    pub(crate) fn take(&mut self) -> (Vec<ArrayRef>, Vec<i64>) {
        self.bytes = 0;
        let arrays = self.builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        (arrays, std::mem::take(&mut self.rows))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() >= super::sink::BATCH_ROWS || self.bytes >= super::sink::BATCH_BYTES
    }
}
