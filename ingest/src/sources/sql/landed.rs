//! Rows that landed before, left out of what is read again.
//!
//! A row is known by its whole fingerprint. When a column is gone since, those fingerprints say nothing
//! any more, and rows are compared by the columns both sides have. They are never left out by number: a
//! row that has moved on makes room that another row may have taken. In doubt a row lands twice rather
//! than never.

use std::collections::HashMap;
use std::hash::Hash;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use arrow::util::display::FormatOptions;
use serde_json::Value;

use super::seen::{CELL_DIGITS, Fingerprints, counted, landed};
use crate::error::SourceError;
use crate::source::Cursor;

/// Rows that landed before.
pub(super) struct Landed {
    /// The cursor that says so, until the first batch was compared with it.
    after: Option<Cursor>,
    /// Fingerprints, crossed off one by one.
    rows: HashMap<u64, u32>,
    /// Instead of them, when a column is gone.
    shared: Option<Shared>,
    /// Said once.
    warning: Option<String>,
}

impl Landed {
    pub(super) fn new(after: Option<&Cursor>) -> Self {
        Landed { after: after.cloned(), rows: landed(after), shared: None, warning: None }
    }

    /// The batch without rows that landed before.
    pub(super) fn leave_out(&mut self, batch: RecordBatch) -> Result<RecordBatch, SourceError> {
        if let Some(after) = self.after.take()
            && lost_column(&after, &batch)
        {
            self.compare_what_is_shared(&after, &batch);
        }
        if batch.num_rows() == 0 {
            return Ok(batch);
        }
        let keep = match &mut self.shared {
            Some(shared) if !shared.rows.is_empty() => shared.keep(&batch)?,
            None if !self.rows.is_empty() => {
                let options = FormatOptions::default();
                let marks = Fingerprints::of(&batch, &options)?;
                (0..batch.num_rows())
                    .map(|row| Some(self.rows.is_empty() || !known(&mut self.rows, &marks, row)))
                    .collect()
            }
            _ => return Ok(batch),
        };
        filter_record_batch(&batch, &keep)
            .map_err(|e| SourceError::never(format!("cannot leave out rows: {e}")))
    }

    pub(super) fn warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    fn compare_what_is_shared(&mut self, after: &Cursor, batch: &RecordBatch) {
        let known: u32 = std::mem::take(&mut self.rows).into_values().sum();
        self.shared = Shared::of(after, batch, known as usize);
        if self.shared.is_none() && known > 0 {
            self.warning = Some(format!(
                "a column is gone, and the {known} newest rows cannot be compared without it; those still there land once more"
            ));
        }
    }
}

/// A column that the committed fingerprints count and these rows no longer have: then the fingerprints
/// of the same rows differ.
fn lost_column(cursor: &Cursor, batch: &RecordBatch) -> bool {
    let there: Vec<String> = batch.schema_ref().fields().iter().map(|f| counted(f.name())).collect();
    names(cursor).any(|name| !name.is_empty() && !there.iter().any(|t| t == name))
}

fn names(cursor: &Cursor) -> impl Iterator<Item = &str> {
    cursor.get("columns").and_then(Value::as_str).unwrap_or_default().split('\n')
}

/// Landed rows by the cells of the columns that are still there.
struct Shared {
    names: Vec<String>,
    rows: HashMap<Vec<u32>, u32>,
}

impl Shared {
    /// `None` when the cursor does not carry the cells of its `known` rows.
    fn of(after: &Cursor, batch: &RecordBatch, known: usize) -> Option<Self> {
        let cells = after.get("cells")?.as_str()?;
        let there: Vec<String> = batch.schema_ref().fields().iter().map(|f| counted(f.name())).collect();
        let kept: Vec<bool> = names(after).map(|name| there.iter().any(|t| t == name)).collect();
        if cells.len() != known * kept.len() * CELL_DIGITS {
            return None;
        }
        let mut rows = HashMap::new();
        for row in cells.as_bytes().chunks_exact(kept.len() * CELL_DIGITS) {
            let mut key = Vec::new();
            for (cell, kept) in row.chunks_exact(CELL_DIGITS).zip(&kept) {
                if *kept {
                    key.push(u32::from_str_radix(std::str::from_utf8(cell).ok()?, 16).ok()?);
                }
            }
            *rows.entry(key).or_insert(0) += 1;
        }
        let names = names(after).zip(&kept).filter(|(_, kept)| **kept).map(|(name, _)| name.to_owned());
        Some(Shared { names: names.collect(), rows })
    }

    /// Which rows of a batch are new. The cursor column is always shared, so that only a row at its old
    /// place is left out.
    fn keep(&mut self, batch: &RecordBatch) -> Result<BooleanArray, SourceError> {
        let options = FormatOptions::default();
        let marks = Fingerprints::of(batch, &options)?;
        let places: Vec<Option<usize>> = self.names.iter().map(|name| marks.place(name)).collect();
        let key = |row| places.iter().map(|p| p.map_or(0, |p| marks.cell(p, row))).collect::<Vec<u32>>();
        let keys: Vec<Vec<u32>> = (0..batch.num_rows()).map(key).collect();
        if marks.has_values_beside(&self.names) {
            // Columns were added too: among rows that differ only there, the one that landed cannot be told.
            let mut standing = HashMap::new();
            keys.iter().for_each(|key| *standing.entry(key).or_insert(0) += 1);
            self.rows.retain(|key, landed| standing.get(key).is_none_or(|n| n <= landed));
        }
        Ok(keys.iter().map(|key| Some(!cross_off(&mut self.rows, key))).collect())
    }
}

fn known(rows: &mut HashMap<u64, u32>, marks: &Fingerprints, row: usize) -> bool {
    cross_off(rows, &marks.row(row)) || marks.row_with_digits(row).is_some_and(|mark| cross_off(rows, &mark))
}

fn cross_off<K: Eq + Hash>(rows: &mut HashMap<K, u32>, row: &K) -> bool {
    let Some(n) = rows.get_mut(row) else { return false };
    *n -= 1;
    if *n == 0 {
        rows.remove(row);
    }
    true
}
