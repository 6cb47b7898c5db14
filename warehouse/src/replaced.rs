//! Which rows of a table go when others come.

use datafusion::arrow::array::{BooleanArray, RecordBatch, Scalar};
use datafusion::arrow::compute::kernels::cmp::gt_eq;
use datafusion::arrow::compute::{and, cast};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;

use crate::error::{Error, Result};
use crate::keyed::{Keys, bounds_of};
use crate::log::DataFile;

/// Says which rows of a file go.
pub(crate) trait Replaces: Sync {
    /// The columns by which it tells.
    fn columns(&self) -> Vec<&str>;
    /// Whether the file's statistics allow such a row in it.
    fn may_touch(&self, file: &DataFile, schema: &SchemaRef) -> bool;
    /// True for the rows that stay.
    fn stays(&self, rows: &RecordBatch) -> Result<BooleanArray>;
}

/// Which rows of a file go when a landing replaces some.
pub(crate) enum Replaced {
    Keys(Box<Keys>),
    /// Rows at or after a moment, and rows with a key.
    Interval(Box<Keys>, Interval),
    /// Rows whose `_file` is this.
    File(String),
}

/// From a value of a column on, without end.
pub(crate) struct Interval {
    pub column: String,
    pub since: ScalarValue,
}

impl Interval {
    /// True for rows before it; a row without a value lies before it too.
    fn before(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let column = rows
            .column_by_name(&self.column)
            .ok_or_else(|| Error::invalid(format!("the column `{}` is missing from a batch", self.column)))?;
        let since = cast(&self.since.to_array()?, column.data_type())?;
        let after = gt_eq(column, &Scalar::new(since))?;
        Ok(after.iter().map(|after| Some(after != Some(true))).collect())
    }
}

impl Replaced {
    /// The key, where rows are replaced by one.
    pub(crate) fn keys(&self) -> Option<&Keys> {
        match self {
            Replaced::Keys(keys) | Replaced::Interval(keys, _) => Some(keys),
            Replaced::File(_) => None,
        }
    }
}

impl Replaces for Replaced {
    fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = match self.keys() {
            Some(keys) => keys.columns(),
            None => vec!["_file"],
        };
        if let Replaced::Interval(_, interval) = self
            && !columns.contains(&interval.column.as_str())
        {
            columns.push(&interval.column);
        }
        columns
    }

    fn may_touch(&self, file: &DataFile, schema: &SchemaRef) -> bool {
        match self {
            Replaced::Keys(keys) => keys.may_touch(file, schema),
            Replaced::Interval(keys, interval) => {
                let after = || {
                    let (index, _) = schema.column_with_name(&interval.column)?;
                    let (_, most, _) = bounds_of(file, index)?;
                    Some(most.partial_cmp(&interval.since) != Some(std::cmp::Ordering::Less))
                };
                keys.may_touch(file, schema) || after().unwrap_or(true)
            }
            Replaced::File(name) => {
                let Some((index, _)) = schema.column_with_name("_file") else { return false };
                let Some((low, high, _)) = bounds_of(file, index) else { return true };
                let name = ScalarValue::Utf8(Some(name.clone()));
                low <= name && name <= high
            }
        }
    }

    fn stays(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        match self {
            Replaced::Keys(keys) => keys.stays(rows),
            Replaced::Interval(keys, interval) => Ok(and(&keys.stays(rows)?, &interval.before(rows)?)?),
            Replaced::File(name) => {
                let column = rows
                    .column_by_name("_file")
                    .ok_or_else(|| Error::invalid("the table has no column `_file`"))?;
                let column = cast(column, &DataType::Utf8)?;
                let column = datafusion::common::cast::as_string_array(&column)?;
                Ok(column.iter().map(|v| Some(v != Some(name.as_str()))).collect())
            }
        }
    }
}
