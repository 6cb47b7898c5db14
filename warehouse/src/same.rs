//! Whether rows are the same rows. Every value of a row goes into a keyed 128-bit hash; only [`LOADED`], which says
//! when a row was read and not what it holds, stays out.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::error::Result;

/// The column of a raw table that says when a row was read.
pub(crate) const LOADED: &str = "_loaded_at";

/// Two independent keyed hashes make 128 bits: a chance collision would need more rows than exist.
static KEYS: LazyLock<(RandomState, RandomState)> =
    LazyLock::new(|| (RandomState::new(), RandomState::new()));

/// The hash of each row.
pub(crate) fn hashes(rows: &Rows) -> impl Iterator<Item = u128> + '_ {
    rows.iter().map(|row| {
        let half = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write(row.as_ref());
            u128::from(hasher.finish())
        };
        half(&KEYS.0) << 64 | half(&KEYS.1)
    })
}

/// Reads rows as those of one schema: by name, a column that they lack as without values.
pub(crate) struct Whole {
    columns: Vec<(String, DataType)>,
    converter: RowConverter,
}

impl Whole {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let columns: Vec<(String, DataType)> = schema
            .fields()
            .iter()
            .filter(|f| f.name() != LOADED)
            .map(|f| (f.name().clone(), f.data_type().clone()))
            .collect();
        let fields = columns.iter().map(|(_, kind)| SortField::new(kind.clone())).collect();
        Ok(Self { columns, converter: RowConverter::new(fields)? })
    }

    pub(crate) fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        if self.columns.is_empty() {
            return Ok(vec![0; rows.num_rows()]);
        }
        let mut columns: Vec<ArrayRef> = vec![];
        for (name, kind) in &self.columns {
            columns.push(match rows.column_by_name(name) {
                Some(column) if column.data_type() == kind => column.clone(),
                Some(column) => cast(column, kind)?,
                None => new_null_array(kind, rows.num_rows()),
            });
        }
        Ok(hashes(&self.converter.convert_columns(&columns)?).collect())
    }
}

/// Rows without their order: how many, and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Content {
    rows: u64,
    sum: u128,
}

impl Content {
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn add(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    pub(crate) async fn of(whole: &Arc<Whole>, mut rows: BoxStream<'_, Result<RecordBatch>>) -> Result<Self> {
        let mut content = Content::default();
        while let Some(batch) = rows.next().await {
            for hash in whole.hashes(&batch?)? {
                content.add(hash);
            }
            tokio::task::yield_now().await;
        }
        Ok(content)
    }
}
