//! What a cleaning could not keep as it was, by column, count and first place.

use arrow::array::{Array, ArrayRef};
use arrow::util::display::array_value_to_string;
use serde::Serialize;

use super::reject::Reject;

/// Different reasons of one cleaning that are counted apart.
const REASONS: usize = 100;

/// Rows that went to quarantine for one reason in one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The output column.
    pub column: String,
    pub reason: String,
    pub count: u64,
    /// Where the first one stands and what it holds, such as `a.csv row 4: 12x`.
    pub first: String,
}

/// Cells of kept rows that are not as they were delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adjusted {
    /// The output column.
    pub column: String,
    /// What became of the cells.
    pub how: String,
    pub count: u64,
    /// Where the first one stands and what it held.
    pub first: String,
}

/// The place of a row for people: file and row, else its key.
pub(super) fn place(file: Option<&str>, row: Option<i64>, key: Option<&str>) -> String {
    match (file, row, key) {
        (Some(file), Some(row), _) => format!("{file} row {row}"),
        (Some(file), None, _) => file.to_owned(),
        (None, _, Some(key)) => format!("key {key}"),
        (None, Some(row), None) => format!("row {row}"),
        (None, None, None) => "a row".to_owned(),
    }
}

/// The key of a row as text; None when it has no key or a part of it has no value.
pub(super) fn key_of<'a>(parts: impl Iterator<Item = &'a ArrayRef>, row: usize) -> Option<String> {
    let parts: Option<Vec<String>> =
        parts.map(|part| part.is_valid(row).then(|| array_value_to_string(part, row).ok())?).collect();
    let mut parts = parts?;
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(serde_json::Value::from(parts).to_string()),
    }
}

/// Counts while rows stream through.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) adjusted: Vec<Adjusted>,
}

impl Ledger {
    pub(super) fn reject(&mut self, reject: &Reject) {
        let reason = reject.reason.as_str();
        let known = self.quarantined.iter_mut().find(|q| q.column == reject.column && q.reason == reason);
        if let Some(known) = known {
            known.count += 1;
        } else if self.quarantined.len() < REASONS {
            let place = place(reject.file.as_deref(), reject.row, reject.key.as_deref());
            self.quarantined.push(Quarantined {
                column: reject.column.clone(),
                reason: reason.to_owned(),
                count: 1,
                first: match &reject.value {
                    Some(value) => format!("{place}: {value}"),
                    None => place,
                },
            });
        } else if let Some(last) = self.quarantined.last_mut() {
            last.count += 1;
        }
    }

    pub(super) fn adjust(&mut self, adjusted: Vec<Adjusted>) {
        for new in adjusted {
            match self.adjusted.iter_mut().find(|a| a.column == new.column && a.how == new.how) {
                Some(known) => known.count += new.count,
                None => self.adjusted.push(new),
            }
        }
    }
}

/// Reasons as one text: `2 × amount: not a number (first: a.csv row 4: 12x)`.
pub fn told(quarantined: &[Quarantined]) -> String {
    const TOLD: usize = 3;
    let mut all: Vec<&Quarantined> = quarantined.iter().collect();
    all.sort_by_key(|q| std::cmp::Reverse(q.count));
    let mut parts: Vec<String> = all
        .iter()
        .take(TOLD)
        .map(|q| {
            let times = if q.count > 1 { format!("{} × ", q.count) } else { String::new() };
            format!("{times}{}: {} (first: {})", q.column, q.reason, q.first)
        })
        .collect();
    if all.len() > TOLD {
        parts.push(format!("{} more reasons", all.len() - TOLD));
    }
    parts.join("; ")
}
