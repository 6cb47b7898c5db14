//! Columns of one batch as plain bytes: text is checked once per column instead of once per field.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::dialect::Dialect;
use super::records::Fields;
use crate::error::SourceError;
use crate::formats::sink::{BATCH_ROWS, Sink, Stop};

/// Cells of a batch: what a wide table costs before its first value.
const BATCH_CELLS: usize = 4 << 20;

pub(super) struct Batch {
    values: Vec<Vec<u8>>,
    ends: Vec<Vec<i32>>,
    /// Rows of each column that are NULL.
    nulls: Vec<Vec<u32>>,
    numbers: Vec<i64>,
    bytes: usize,
    rows: usize,
}

impl Batch {
    pub(super) fn new(width: usize) -> Self {
        let rows = BATCH_ROWS.min(BATCH_CELLS / width.max(1)).max(1);
        Batch {
            values: vec![Vec::new(); width],
            ends: (0..width).map(|_| fresh_ends(rows)).collect(),
            nulls: vec![Vec::new(); width],
            numbers: Vec::with_capacity(rows),
            bytes: 0,
            rows,
        }
    }

    /// Adds a record; a field equal to one of `nulls` and not quoted is NULL, as are missing last ones.
    #[inline]
    pub(super) fn push(
        &mut self,
        record: &[u8],
        fields: &Fields,
        dialect: &Dialect,
        nulls: &[Vec<u8>],
        number: i64,
    ) {
        let row = self.numbers.len() as u32;
        let columns = self.values.iter_mut().zip(&mut self.ends);
        for ((column, (values, ends)), field) in columns.enumerate().zip(&fields.list) {
            let value = field.value(record, dialect);
            if !nulls.is_empty() && !field.quoted && nulls.iter().any(|n| n == field.raw(record)) {
                self.nulls[column].push(row);
            } else {
                values.extend_from_slice(&value);
            }
            // A batch is flushed long before 2 GiB: `batch_bytes` plus one record.
            ends.push(values.len() as i32);
        }
        for column in fields.list.len()..self.values.len() {
            self.nulls[column].push(row);
            self.ends[column].push(self.values[column].len() as i32);
        }
        self.bytes += record.len();
        self.numbers.push(number);
    }

    pub(super) fn is_full(&self) -> bool {
        self.numbers.len() >= self.rows || self.bytes >= store::limits().batch_bytes
    }

    pub(super) fn flush(&mut self, sink: &mut Sink) -> Result<(), Stop> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let count = self.numbers.len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.values.len());
        for ((values, ends), nulls) in self.values.iter_mut().zip(&mut self.ends).zip(&mut self.nulls) {
            let room = values.len() + values.len() / 8;
            let values = std::mem::replace(values, Vec::with_capacity(room));
            let ends = std::mem::replace(ends, fresh_ends(self.rows));
            let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
            // A field cannot cut a character: delimiters, quotes and line ends are ASCII.
            let array = StringArray::try_new(offsets, Buffer::from_vec(values), valid(nulls, count))
                .map_err(|e| SourceError::never(format!("text is not UTF-8: {e}")))?;
            nulls.clear();
            columns.push(Arc::new(array));
        }
        let numbers = std::mem::replace(&mut self.numbers, Vec::with_capacity(self.rows));
        self.bytes = 0;
        sink.rows(columns, Int64Array::from(numbers))
    }
}

fn valid(nulls: &[u32], count: usize) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut valid = vec![true; count];
    nulls.iter().for_each(|row| valid[*row as usize] = false);
    Some(NullBuffer::from(valid))
}

fn fresh_ends(rows: usize) -> Vec<i32> {
    let mut ends = Vec::with_capacity(rows + 1);
    ends.push(0);
    ends
}
