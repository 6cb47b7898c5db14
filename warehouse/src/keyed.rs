//! Replacing rows by key: which files hold one of the keys, and what stays of them.
//!
//! Files are skipped by the log's statistics, then by reading only their key columns; only files that do hold a key
//! are written again, streaming. Memory is the landing's keys (16 bytes and a number each), never the table.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::common::stats::Precision;

use crate::error::{Error, Result};
use crate::log::DataFile;
use crate::replaced::Replaces;
use crate::same;
use crate::scan::comparable;
use crate::table::TableName;

/// Keys of one landing that fit into memory (about half a GiB).
const KEYS: usize = 8_000_000;
/// Up to this many keys, a file is kept out when no single key lies within its bounds.
const LISTED: usize = 4096;

/// The keys of staged rows; a key's value is the ordinal of its last row.
pub(crate) struct Keys {
    columns: Vec<String>,
    /// The table's type of each key column: both sides are hashed in it.
    kinds: Vec<DataType>,
    converter: RowConverter,
    last: HashMap<u128, u64>,
    /// The first key column's values while they are few, for skipping files.
    listed: Option<Vec<ScalarValue>>,
    bounds: Vec<Option<(ScalarValue, ScalarValue)>>,
    pub rows: u64,
}

impl Keys {
    pub(crate) fn new(table: &TableName, columns: &[String], schema: &SchemaRef) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::invalid(format!("{table}: an upsert needs at least one key column")));
        }
        let mut kinds = vec![];
        for name in columns {
            let field = schema.field_with_name(name).map_err(|_| {
                Error::invalid(format!(
                    "{table}: the key column `{name}` is not among the delivered columns; correct the key"
                ))
            })?;
            kinds.push(field.data_type().clone());
        }
        let converter = RowConverter::new(kinds.iter().cloned().map(SortField::new).collect())?;
        Ok(Self {
            columns: columns.to_vec(),
            bounds: vec![None; kinds.len()],
            kinds,
            converter,
            last: HashMap::new(),
            listed: Some(vec![]),
            rows: 0,
        })
    }

    fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        let mut columns: Vec<ArrayRef> = vec![];
        for (name, kind) in self.columns.iter().zip(&self.kinds) {
            let column = rows
                .column_by_name(name)
                .ok_or_else(|| Error::invalid(format!("the key column `{name}` is missing from a batch")))?;
            columns.push(cast(column, kind)?);
        }
        Ok(same::hashes(&self.converter.convert_columns(&columns)?).collect())
    }

    /// Adds staged rows, in their order.
    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        for hash in self.hashes(rows)? {
            self.last.insert(hash, self.rows);
            self.rows += 1;
        }
        if self.last.len() > KEYS {
            return Err(Error::Exhausted {
                message: format!("one upsert may hold {KEYS} different keys; land the rows in smaller parts"),
            });
        }
        if let Some(listed) = &mut self.listed {
            if listed.len() + rows.num_rows() > LISTED {
                self.listed = None;
            } else if let Some(first) = rows.column_by_name(&self.columns[0]) {
                for i in 0..first.len() {
                    listed.push(ScalarValue::try_from_array(first, i)?);
                }
            }
        }
        Ok(())
    }

    /// Takes the bounds of the staged files' statistics.
    pub(crate) fn bound(&mut self, files: &[Arc<DataFile>], schema: &SchemaRef) {
        for (name, slot) in self.columns.iter().zip(&mut self.bounds) {
            let Some((index, field)) = schema.column_with_name(name) else { continue };
            if !comparable(field.data_type()) {
                continue;
            }
            let mut range: Option<(ScalarValue, ScalarValue)> = None;
            let known = files.iter().all(|f| {
                let Some((least, most, nulls)) = bounds_of(f, index) else { return false };
                if nulls != 0 {
                    return false;
                }
                range = Some(match range.take() {
                    None => (least, most),
                    Some((a, b)) => (if least < a { least } else { a }, if most > b { most } else { b }),
                });
                true
            });
            *slot = if known { range } else { None };
        }
    }

    pub(crate) fn distinct(&self) -> usize {
        self.last.len()
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.columns
    }

    /// The keys of rows of the table that are among these, each with its row's place in the batch.
    pub(crate) fn among(&self, rows: &RecordBatch) -> Result<Vec<(usize, u128)>> {
        let keys = self.hashes(rows)?.into_iter().enumerate();
        Ok(keys.filter(|(_, key)| self.last.contains_key(key)).collect())
    }

    /// Leaves keys out: their rows stay as they are.
    pub(crate) fn forget(&mut self, keys: impl IntoIterator<Item = u128>) {
        for key in keys {
            self.last.remove(&key);
        }
    }

    /// For staged rows from ordinal `from` on: those that are the last of their key.
    pub(crate) fn last_ones(&self, rows: &RecordBatch, from: u64) -> Result<BooleanArray> {
        let hashes = self.hashes(rows)?;
        Ok(hashes
            .into_iter()
            .enumerate()
            .map(|(i, h)| Some(self.last.get(&h) == Some(&(from + i as u64))))
            .collect())
    }
}

impl Replaces for Keys {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    fn may_touch(&self, file: &DataFile, schema: &SchemaRef) -> bool {
        if self.last.is_empty() {
            return false;
        }
        for (at, (name, range)) in self.columns.iter().zip(&self.bounds).enumerate() {
            let (Some((index, _)), Some((least, most))) = (schema.column_with_name(name), range) else {
                continue;
            };
            if let (Precision::Exact(rows), Some(column)) =
                (&file.statistics.num_rows, file.statistics.column_statistics.get(index))
                && column.null_count == Precision::Exact(*rows)
            {
                return false; // only NULL keys here, and none delivered
            }
            let Some((low, high, _)) = bounds_of(file, index) else { continue };
            if *most < low || *least > high {
                return false;
            }
            if at == 0
                && let Some(listed) = &self.listed
                && !listed.iter().any(|v| *v >= low && *v <= high)
            {
                return false;
            }
        }
        true
    }

    fn stays(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        Ok(self.hashes(rows)?.into_iter().map(|h| Some(!self.last.contains_key(&h))).collect())
    }
}

pub(crate) fn bounds_of(file: &DataFile, index: usize) -> Option<(ScalarValue, ScalarValue, usize)> {
    let column = file.statistics.column_statistics.get(index)?;
    let nulls = *column.null_count.get_value()?;
    Some((column.min_value.get_value()?.clone(), column.max_value.get_value()?.clone(), nulls))
}
