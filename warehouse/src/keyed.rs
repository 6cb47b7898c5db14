//! Replacing rows by key: which files hold one of the keys, and what stays of them.
//!
//! Files are skipped by the log's statistics, then by reading only their key columns; only files that do hold a key
//! are written again, streaming. Memory is the landing's keys (16 bytes and a number each), never the table.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::common::stats::Precision;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot};
use crate::scan::{Place, comparable, part};
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
    /// Two independent keyed hashes make 128 bits: a chance collision would need more rows than exist.
    hashers: (RandomState, RandomState),
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
            hashers: (RandomState::new(), RandomState::new()),
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
            columns.push(datafusion::arrow::compute::cast(column, kind)?);
        }
        let converted = self.converter.convert_columns(&columns)?;
        Ok(converted
            .iter()
            .map(|row| {
                let half = |state: &RandomState| {
                    let mut hasher = state.build_hasher();
                    hasher.write(row.as_ref());
                    u128::from(hasher.finish())
                };
                half(&self.hashers.0) << 64 | half(&self.hashers.1)
            })
            .collect())
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

    /// Whether the file's statistics allow one of the keys in it.
    pub(crate) fn may_touch(&self, file: &DataFile, schema: &SchemaRef) -> bool {
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

    /// For rows of the table: those whose key is not replaced.
    fn stays(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        Ok(self.hashes(rows)?.into_iter().map(|h| Some(!self.last.contains_key(&h))).collect())
    }

    /// For staged rows from ordinal `from` on: those that are the last of their key.
    fn last_ones(&self, rows: &RecordBatch, from: u64) -> Result<BooleanArray> {
        let hashes = self.hashes(rows)?;
        Ok(hashes
            .into_iter()
            .enumerate()
            .map(|(i, h)| Some(self.last.get(&h) == Some(&(from + i as u64))))
            .collect())
    }
}

fn bounds_of(file: &DataFile, index: usize) -> Option<(ScalarValue, ScalarValue, usize)> {
    let column = file.statistics.column_statistics.get(index)?;
    let nulls = *column.null_count.get_value()?;
    Some((column.min_value.get_value()?.clone(), column.max_value.get_value()?.clone(), nulls))
}

/// Which rows of a file go when a landing replaces some.
pub(crate) enum Replaced {
    Keys(Box<Keys>),
    /// Rows whose `_file` is this.
    File(String),
}

impl Replaced {
    fn columns(&self) -> Vec<&str> {
        match self {
            Replaced::Keys(keys) => keys.columns.iter().map(String::as_str).collect(),
            Replaced::File(_) => vec!["_file"],
        }
    }

    pub(crate) fn may_touch(&self, file: &DataFile, schema: &SchemaRef) -> bool {
        match self {
            Replaced::Keys(keys) => keys.may_touch(file, schema),
            Replaced::File(name) => {
                let Some((index, _)) = schema.column_with_name("_file") else { return false };
                let Some((low, high, _)) = bounds_of(file, index) else { return true };
                let name = ScalarValue::Utf8(Some(name.clone()));
                low <= name && name <= high
            }
        }
    }

    /// True for the rows that stay.
    fn stays(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        match self {
            Replaced::Keys(keys) => keys.stays(rows),
            Replaced::File(name) => {
                let column = rows
                    .column_by_name("_file")
                    .ok_or_else(|| Error::invalid("the table has no column `_file`"))?;
                let column = datafusion::arrow::compute::cast(column, &DataType::Utf8)?;
                let column = datafusion::common::cast::as_string_array(&column)?;
                Ok(column.iter().map(|v| Some(v != Some(name.as_str()))).collect())
            }
        }
    }
}

/// Reads files in their order, one after the other.
pub(crate) struct Reading {
    pub snapshot: Arc<Snapshot>,
    pub place: Place,
    /// One partition, so that order holds.
    pub context: SessionContext,
}

impl Reading {
    pub(crate) async fn rows(
        &self,
        files: Vec<Arc<DataFile>>,
        columns: Option<&[&str]>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let frame = self.context.read_table(part(self.snapshot.clone(), files, &self.place))?;
        let frame = match columns {
            Some(columns) => frame.select(columns.iter().map(|c| datafusion::prelude::ident(*c)))?,
            None => frame,
        };
        let stream = frame.execute_stream().await?;
        Ok(stream.map(|batch| batch.map_err(Error::from)).boxed())
    }

    /// Whether the file holds a row that is replaced; reads only the key columns and stops at the first.
    pub(crate) async fn touches(&self, file: &Arc<DataFile>, replaced: &Replaced) -> Result<bool> {
        let mut rows = self.rows(vec![file.clone()], Some(&replaced.columns())).await?;
        while let Some(batch) = rows.next().await {
            let stays = replaced.stays(&batch?)?;
            if stays.true_count() < stays.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What stays of the files.
    pub(crate) async fn remaining<'a>(
        &self,
        files: Vec<Arc<DataFile>>,
        replaced: &'a Replaced,
    ) -> Result<BoxStream<'a, Result<RecordBatch>>> {
        let rows = self.rows(files, None).await?;
        Ok(rows
            .map(move |batch| {
                let batch = batch?;
                Ok(filter_record_batch(&batch, &replaced.stays(&batch)?)?)
            })
            .boxed())
    }

    /// The staged rows without those that a later row of the same key replaces.
    pub(crate) async fn last_ones<'a>(
        &self,
        files: Vec<Arc<DataFile>>,
        keys: &'a Keys,
    ) -> Result<BoxStream<'a, Result<RecordBatch>>> {
        let rows = self.rows(files, None).await?;
        let mut from = 0u64;
        Ok(rows
            .map(move |batch| {
                let batch = batch?;
                let last = keys.last_ones(&batch, from)?;
                from += batch.num_rows() as u64;
                Ok(filter_record_batch(&batch, &last)?)
            })
            .boxed())
    }
}
