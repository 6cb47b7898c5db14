//! Which rows at the edge of a cursor have landed.
//!
//! Rows may share a cursor value, and a row may appear later with the very value that was read last
//! (two writes in one second). `WHERE cursor > last` loses it, `>=` doubles the others. So a committed
//! cursor carries a fingerprint of each landed row at its edge (and within the overlap behind it); the
//! next read starts at the edge and leaves out exactly those.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::moment::{back, micros};
use crate::error::SourceError;

/// Fingerprints that a cursor carries at most: 1.6 MB of text, kept in the metadata database.
pub(crate) const MOST_SEEN: usize = 100_000;
/// Cells of those rows that a cursor carries at most, another 1.6 MB: rows of more cells cannot be compared
/// once a column is gone.
const MOST_CELLS: usize = 200_000;
/// Hexadecimal digits of a cell in a cursor.
pub(super) const CELL_DIGITS: usize = 8;

/// The value of a cursor column as a cursor carries it: comparable again at the source.
///
/// # Errors
/// The column has a type without an order, such as binary.
fn value(column: &ArrayRef, row: usize) -> Result<Value, SourceError> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Date32 => {
            json!(column.as_primitive::<Date32Type>().value_as_date(row).map(|d| d.to_string()))
        }
        DataType::Timestamp(_, zone) => {
            let at = column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row);
            json!(at.map(|t| format!(
                "{}{}",
                t.format("%Y-%m-%dT%H:%M:%S%.6f"),
                if zone.is_some() { "Z" } else { "" }
            )))
        }
        DataType::Decimal128(..) => json!(column.as_primitive::<Decimal128Type>().value_as_string(row)),
        other => {
            return Err(SourceError::never(format!(
                "a column of type {other} cannot be a cursor; choose an update time or a growing number"
            )));
        }
    })
}

/// The cursor values of a batch.
pub(crate) enum Places {
    /// As they land.
    Column(ArrayRef),
    /// As the source keeps them, where one column holds numbers beside text (SQLite).
    Values(Vec<Value>),
}

impl Places {
    pub(crate) fn len(&self) -> usize {
        match self {
            Places::Column(column) => column.len(),
            Places::Values(values) => values.len(),
        }
    }

    pub(crate) fn nulls(&self) -> usize {
        match self {
            Places::Column(column) => column.null_count(),
            Places::Values(values) => values.iter().filter(|v| v.is_null()).count(),
        }
    }

    pub(crate) fn get(&self, row: usize) -> Result<Value, SourceError> {
        match self {
            Places::Column(column) => value(column, row),
            Places::Values(values) => Ok(values.get(row).cloned().unwrap_or(Value::Null)),
        }
    }
}

/// Refuses a cursor column that ends in values behind which nothing can be read: PostgreSQL's `infinity`
/// and NaN come last, and a cursor there would read everything again at each sync. NULLs come first.
/// `before`: the value behind which these rows are.
pub(crate) fn check_order(name: &str, before: Option<&Value>, places: &Places) -> Result<(), SourceError> {
    let Some(end) = places.len().checked_sub(1) else { return Ok(()) };
    // Infinity lands as the last day of the calendar.
    let last_day = |text: &str| text == "9999-12-31" || text.starts_with("9999-12-31T23:59:59");
    let endless = |at: &Value| {
        at.is_null()
            || at.as_str().is_some_and(|t| matches!(t, "NaN" | "Infinity" | "infinity") || last_day(t))
    };
    let last = places.get(end)?;
    if !endless(&last) {
        return Ok(());
    }
    let mut comes_behind = !last.is_null() || before.is_some_and(|at| !at.is_null());
    for row in 0..end {
        comes_behind = comes_behind || !places.get(row)?.is_null();
    }
    match comes_behind {
        false => Ok(()),
        true => Err(SourceError::never(format!(
            "the cursor column `{name}` holds infinity, NaN or a value out of range, behind which no new row can be found; correct these rows, leave them out with `query`, or choose another `cursor`"
        ))),
    }
}

/// Fingerprints of rows; the columns that landing adds, and NULLs, do not count, so that a column added
/// at the source does not make old rows look new.
pub(crate) struct Fingerprints<'b> {
    columns: Vec<(&'b str, ArrayFormatter<'b>, &'b ArrayRef)>,
}

impl<'b> Fingerprints<'b> {
    pub(crate) fn of(batch: &'b RecordBatch, options: &'b FormatOptions<'b>) -> Result<Self, SourceError> {
        let mut columns = Vec::new();
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if matches!(field.name().as_str(), "_file" | "_row" | "_loaded_at") {
                continue;
            }
            let format = ArrayFormatter::try_new(column.as_ref(), options)
                .map_err(|e| SourceError::never(format!("column `{}`: {e}", field.name())))?;
            columns.push((field.name().as_str(), format, column));
        }
        Ok(Fingerprints { columns })
    }

    pub(crate) fn row(&self, row: usize) -> u64 {
        self.mark(row, true)
    }

    /// The fingerprint that cursors carried before a column's digits did not count any more.
    pub(super) fn row_with_digits(&self, row: usize) -> Option<u64> {
        let mut types = self.columns.iter().map(|(_, _, column)| column.data_type());
        types.any(|kind| matches!(kind, DataType::Decimal128(..))).then(|| self.mark(row, false))
    }

    fn mark(&self, row: usize, trimmed: bool) -> u64 {
        let mut hash = Sha256::new();
        for (name, format, column) in &self.columns {
            if column.is_valid(row) {
                hash.update(name.as_bytes());
                hash.update([0]);
                hash.update(written(format, column, row, trimmed).as_bytes());
                hash.update([0]);
            }
        }
        let digest = hash.finalize();
        u64::from_be_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ])
    }

    /// One value, by the place of its column; NULL is 0.
    pub(super) fn cell(&self, place: usize, row: usize) -> u32 {
        let (_, format, column) = &self.columns[place];
        if column.is_null(row) {
            return 0;
        }
        let digest = Sha256::digest(written(format, column, row, true).as_bytes());
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1)
    }

    /// Where a column is, by the name that a cursor carries.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(of, ..)| counted(of) == name)
    }

    /// Whether columns other than these hold anything.
    pub(super) fn has_values_beside(&self, names: &[String]) -> bool {
        self.columns.iter().any(|(name, _, column)| {
            column.null_count() < column.len() && !names.iter().any(|n| *n == counted(name))
        })
    }

    fn cells(&self, row: usize) -> Vec<u32> {
        (0..self.columns.len()).map(|place| self.cell(place, row)).collect()
    }
}

/// A value as fingerprints read it. A decimal without the zeros at its end, so that a row is the same after its
/// column got more digits at the source.
fn written(format: &ArrayFormatter<'_>, column: &ArrayRef, row: usize, trimmed: bool) -> String {
    let text = format.value(row).to_string();
    match column.data_type() {
        DataType::Decimal128(_, scale) if trimmed && *scale > 0 => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text,
    }
}

/// A column's name in the list of a cursor, which has one a line.
pub(super) fn counted(name: &str) -> String {
    name.replace('\n', " ")
}

/// Rows that landed before, as a multiset to be crossed off.
pub(crate) fn landed(cursor: Option<&Value>) -> HashMap<u64, u32> {
    let text = cursor.and_then(|c| c.get("seen")).and_then(Value::as_str).unwrap_or_default();
    let mut rows = HashMap::new();
    for part in text.as_bytes().chunks_exact(16) {
        if let Some(mark) = std::str::from_utf8(part).ok().and_then(|p| u64::from_str_radix(p, 16).ok()) {
            *rows.entry(mark).or_insert(0) += 1;
        }
    }
    rows
}

/// A row at the edge.
struct Standing {
    at: Value,
    mark: u64,
    /// Empty when the rows have more cells than a cursor can carry.
    cells: Vec<u32>,
}

/// The rows at the edge of what has been read so far.
pub(crate) struct Edge {
    overlap: Duration,
    rows: VecDeque<Standing>,
    pub(crate) last: Option<Value>,
    /// Names of the columns that count, one a line.
    columns: String,
    /// More rows share the edge than a cursor can carry.
    pub(crate) crowded: bool,
}

impl Edge {
    pub(crate) fn new(overlap: Duration) -> Self {
        Edge { overlap, rows: VecDeque::new(), last: None, columns: String::new(), crowded: false }
    }

    /// Moves the edge behind a batch that is ordered by its cursor column.
    pub(crate) fn pass(&mut self, batch: &RecordBatch, places: &Places) -> Result<(), SourceError> {
        let Some(end) = batch.num_rows().checked_sub(1) else { return Ok(()) };
        let last = places.get(end)?;
        let options = FormatOptions::default();
        let marks = Fingerprints::of(batch, &options)?;
        self.columns = marks.columns.iter().map(|(name, ..)| counted(name)).collect::<Vec<_>>().join("\n");
        let most_with_cells = MOST_CELLS / marks.columns.len().max(1);
        let floor = floor(&last, self.overlap);
        let mut fresh = VecDeque::new();
        let mut whole_batch = true;
        for row in (0..=end).rev() {
            let at = places.get(row)?;
            if !near(&at, &last, floor) {
                whole_batch = false;
                break;
            }
            if fresh.len() < MOST_SEEN + 1 {
                let cells = if fresh.len() < most_with_cells { marks.cells(row) } else { Vec::new() };
                fresh.push_front(Standing { at, mark: marks.row(row), cells });
            }
        }
        if whole_batch {
            self.rows.retain(|row| near(&row.at, &last, floor));
            // Crowded stays crowded while the same group goes on: its earlier rows were let go.
            self.crowded &= self.last.as_ref().is_some_and(|before| near(before, &last, floor));
        } else {
            self.rows.clear();
            self.crowded = false;
        }
        self.rows.extend(fresh);
        if self.rows.len() > MOST_SEEN {
            self.crowded = true;
            self.rows.clear();
        }
        if self.rows.len() > most_with_cells {
            self.rows.iter_mut().for_each(|row| row.cells = Vec::new());
        }
        self.last = Some(last);
        Ok(())
    }

    /// The cursor that says so; `None` before the first row.
    pub(crate) fn cursor(&self) -> Option<Value> {
        let at = self.last.clone()?;
        if self.crowded {
            return Some(json!({"at": at, "whole": true}));
        }
        let seen: String = self.rows.iter().map(|row| format!("{:016x}", row.mark)).collect();
        let mut cursor = json!({"at": at, "seen": seen, "columns": self.columns});
        if self.rows.iter().all(|row| !row.cells.is_empty()) {
            let cells = self.rows.iter().flat_map(|row| &row.cells);
            cursor["cells"] = cells.map(|cell| format!("{cell:0CELL_DIGITS$x}")).collect::<String>().into();
        }
        Some(cursor)
    }
}

/// Refuses an overlap that cannot look back: it would be written down and do nothing.
pub(crate) fn check_overlap(name: &str, overlap: Duration, last: Option<&Value>) -> Result<(), SourceError> {
    match last.filter(|at| !overlap.is_zero() && !at.is_null() && micros(at).is_none()) {
        None => Ok(()),
        Some(at) => Err(SourceError::never(format!(
            "the cursor column `{name}` holds {at}, which tells no time, so `overlap` cannot look back from it; remove `overlap`, choose a cursor that is a time (as text, or as seconds, milliseconds or a date in digits), or read with mode full"
        ))),
    }
}

/// Where the next read starts, in microseconds, when the cursor is a time that can be moved back.
fn floor(last: &Value, overlap: Duration) -> Option<i64> {
    if overlap.is_zero() { None } else { micros(&back(last, overlap)) }
}

/// Whether a value is the last one or comes again with the next read.
fn near(at: &Value, last: &Value, floor: Option<i64>) -> bool {
    at == last || floor.is_some_and(|floor| micros(at).is_some_and(|at| at >= floor))
}
