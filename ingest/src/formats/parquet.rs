//! Parquet → rows with their types.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::unique_names;
use super::encoding::unreadable;
use super::sink::{Sink, Stop};
use crate::error::SourceError;

/// Fewer rows than text formats: one row can be wide.
const ROWS: usize = 16 * 1024;

/// Reads one file.
pub(crate) fn read(path: &Path, sink: &mut Sink) -> Result<(), Stop> {
    let file = File::open(path).map_err(unreadable)?;
    let reader = guarded(|| {
        ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.with_batch_size(ROWS).build())
    })?;
    let mut reader = reader.map_err(|e| damaged(&e))?;
    let names = unique_names(
        arrow::array::RecordBatchReader::schema(&reader).fields().iter().map(|f| f.name().clone()),
    );
    let mut number = 0i64;
    while let Some(batch) = guarded(|| reader.next())? {
        let batch = batch.map_err(|e| damaged(&e))?;
        let (fields, columns) = landable(&batch, &names)?;
        if number == 0 {
            sink.columns(fields);
        }
        let count = batch.num_rows() as i64;
        sink.rows(columns, (number + 1..=number + count).collect::<Int64Array>())?;
        number += count;
    }
    Ok(())
}

/// Damaged pages make the decoder panic in places; a broken file must not take the server along.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, SourceError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        SourceError::never("damaged Parquet: its pages contradict each other; ask for the file again")
    })
}

fn damaged(e: &dyn std::fmt::Display) -> SourceError {
    SourceError::never(format!("damaged or unsupported Parquet: {e}; ask for the file again"))
}

/// Columns in types that a Delta table has; dictionaries are unpacked, unsigned widened, times to microseconds.
fn landable(batch: &RecordBatch, names: &[String]) -> Result<(Vec<FieldRef>, Vec<ArrayRef>), SourceError> {
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut columns = Vec::new();
    for ((field, column), name) in batch.schema().fields().iter().zip(batch.columns()).zip(names) {
        let target = landable_type(field.data_type());
        let column = if &target == field.data_type() {
            column.clone()
        } else {
            cast(column, &target).map_err(|e| damaged(&format!("column `{name}`: {e}")))?
        };
        fields.push(Arc::new(Field::new(name, target, true)));
        columns.push(column);
    }
    Ok((fields, columns))
}

fn landable_type(of: &DataType) -> DataType {
    match of {
        DataType::Dictionary(_, value) => landable_type(value),
        DataType::Null
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_) => DataType::Utf8,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
        }
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        other => other.clone(),
    }
}
