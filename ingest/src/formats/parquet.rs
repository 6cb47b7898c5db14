//! Parquet → rows with their types.
//!
//! Texts are read as views into the pages, so that a text that stands once in the file and a million times in the
//! table costs its place only; they are written out batch by batch, bounded in bytes. What pages would unpack to is
//! measured before any is.

mod landable;
mod measure;
mod thrift;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::columns::unique_names;
use super::encoding::unreadable;
use super::sink::{Sink, Stop, too_wide};
use crate::error::SourceError;
use landable::{Way, lost};

/// Fewer rows than text formats: one row can be wide.
const ROWS: usize = 16 * 1024;
/// What one value of a column takes at most besides its text.
const SLOT: usize = 16;

/// Reads one file.
pub(crate) fn read(path: &Path, sink: &mut Sink) -> Result<(), Stop> {
    let file = File::open(path).map_err(unreadable)?;
    measure::footer(&file)?;
    let (mut reader, promised) = guarded(|| open(file))??;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let names = unique_names(schema.fields().iter().map(|f| f.name().clone()));
    let ways: Vec<Way> = schema.fields().iter().map(|f| Way::of(f.data_type())).collect();
    for ((way, name), field) in ways.iter().zip(&names).zip(schema.fields()) {
        if let Some(told) = way.told(name, field.data_type()) {
            let file = sink.file().to_owned();
            sink.warn(format!("`{file}`: {told}"));
        }
    }
    let field = |(name, way): (&String, &Way)| Arc::new(Field::new(name, way.kind(), true)) as FieldRef;
    sink.columns(names.iter().zip(&ways).map(field).collect::<Vec<_>>());
    let mut rows = Rows { names, ways, number: 0 };
    while let Some(batch) = guarded(|| reader.next())? {
        let batch = batch.map_err(|e| damaged(&e))?;
        guarded(|| rows.add(&batch, sink))??;
    }
    match rows.number == promised {
        true => Ok(()),
        false => Err(SourceError::never(format!(
            "damaged Parquet: its footer promises {promised} rows and its pages hold {}; ask for the file again",
            rows.number
        ))
        .into()),
    }
}

/// The reader of a measured file, and how many rows its footer promises.
fn open(file: File) -> Result<(ParquetRecordBatchReader, i64), SourceError> {
    let meta = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| damaged(&e))?;
    let columns = meta.schema().fields().len();
    if columns > store::limits().columns {
        return Err(too_wide(columns, "write fewer columns into the file"));
    }
    measure::pages(&file, meta.metadata())?;
    let (rows, promised) = (batch_rows(&meta), meta.metadata().file_metadata().num_rows());
    // Where the reader cannot view texts it reads them as they are.
    let viewed = ArrowReaderOptions::new().with_schema(viewed(&meta));
    let meta = ArrowReaderMetadata::try_new(meta.metadata().clone(), viewed).unwrap_or(meta);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, meta);
    let reader = builder.with_batch_size(rows).build().map_err(|e| damaged(&e))?;
    Ok((reader, promised))
}

/// Rows that are read together: few where rows are large or columns are many.
fn batch_rows(meta: &ArrowReaderMetadata) -> usize {
    let groups = meta.metadata().row_groups();
    let bytes: i64 = groups.iter().map(|g| g.total_byte_size().max(0)).fold(0, i64::saturating_add);
    let rows: i64 = groups.iter().map(|g| g.num_rows().max(0)).fold(0, i64::saturating_add);
    let leaves = groups.first().map_or(1, |g| g.columns().len());
    let row = (bytes / rows.max(1)) as usize * 2 + leaves * SLOT;
    (store::limits().batch_bytes / row.max(1)).clamp(16, ROWS)
}

/// The same columns with texts and bytes as views, and old Spark times in a unit that holds the year 9999.
fn viewed(meta: &ArrowReaderMetadata) -> SchemaRef {
    let stored = meta.metadata().file_metadata().schema_descr().root_schema().get_fields();
    let is_old_time = |i: usize| {
        stored
            .get(i)
            .is_some_and(|t| t.is_primitive() && t.get_physical_type() == parquet::basic::Type::INT96)
    };
    let kind = |i: usize, kind: &DataType| match kind {
        DataType::Dictionary(_, value) if matches!(**value, DataType::Utf8 | DataType::LargeUtf8) => {
            Some(DataType::Utf8View)
        }
        DataType::Utf8 | DataType::LargeUtf8 => Some(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => Some(DataType::BinaryView),
        DataType::Timestamp(TimeUnit::Nanosecond, None) if is_old_time(i) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        _ => None,
    };
    let schema = meta.schema();
    let fields: Fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| match kind(i, field.data_type()) {
            Some(kind) => Arc::new(field.as_ref().clone().with_data_type(kind)),
            None => field.clone(),
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Damaged pages make the decoder panic in places; a broken file must not take the server along.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, SourceError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        SourceError::never("damaged Parquet: its pages contradict each other; ask for the file again")
    })
}

fn damaged(e: &dyn std::fmt::Display) -> SourceError {
    let text = e.to_string();
    if text.contains("Disabled feature") || text.contains("not installed") {
        return SourceError::never(format!(
            "it is packed in a way that is not read here ({text}); write it with snappy, zstd or unpacked"
        ));
    }
    SourceError::never(format!("damaged or unsupported Parquet: {text}; ask for the file again"))
}

/// Rows on their way out.
struct Rows {
    names: Vec<String>,
    ways: Vec<Way>,
    number: i64,
}

impl Rows {
    /// Sends a batch on in parts of bounded size; a row with a value too large is set aside.
    fn add(&mut self, batch: &RecordBatch, sink: &mut Sink) -> Result<(), Stop> {
        let limits = store::limits();
        let (mut from, mut bytes) = (0, 0);
        for row in 0..batch.num_rows() {
            let (size, largest) = size_of(batch, row);
            if let Some((column, _)) = largest.filter(|(_, size)| *size > limits.value_bytes) {
                self.part(batch, from, row, sink)?;
                let reason = format!(
                    "a value of column `{}` is larger than {} MiB (`limits: value_bytes` of guanlan.yaml)",
                    self.names[column],
                    limits.value_bytes >> 20
                );
                sink.reject(self.number + 1, reason, &beginning(batch.column(column), row))?;
                self.number += 1;
                (from, bytes) = (row + 1, 0);
                continue;
            }
            if bytes > 0 && bytes + size > limits.batch_bytes {
                self.part(batch, from, row, sink)?;
                (from, bytes) = (row, 0);
            }
            bytes += size;
        }
        self.part(batch, from, batch.num_rows(), sink)
    }

    fn part(&mut self, batch: &RecordBatch, from: usize, to: usize, sink: &mut Sink) -> Result<(), Stop> {
        if from >= to {
            return Ok(());
        }
        let part = batch.slice(from, to - from);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.ways.len());
        for ((way, name), column) in self.ways.iter().zip(&self.names).zip(part.columns()) {
            let landed = way.land(column).map_err(|e| damaged(&format!("column `{name}`: {e}")))?;
            for (how, first, count) in lost(column, &landed) {
                let first = self.number + 1 + first as i64;
                for _ in 0..count {
                    sink.changed(name, how, || format!("row {first}"));
                }
            }
            columns.push(landed);
        }
        let last = self.number + (to - from) as i64;
        let numbers: Int64Array = (self.number + 1..=last).collect();
        self.number = last;
        sink.rows(columns, numbers)
    }
}

/// Bytes of a row's texts, and the largest of them with its column.
fn size_of(batch: &RecordBatch, row: usize) -> (usize, Option<(usize, usize)>) {
    let mut all = 0;
    let mut largest = None;
    for (i, column) in batch.columns().iter().enumerate() {
        let size = match column.data_type() {
            DataType::Utf8View => view_length(column.as_string_view().views()[row]),
            DataType::BinaryView => view_length(column.as_binary_view().views()[row]),
            DataType::Utf8 => column.as_string::<i32>().value_length(row) as usize,
            DataType::Binary => column.as_binary::<i32>().value_length(row) as usize,
            _ => 8,
        };
        all += size;
        if largest.is_none_or(|(_, most)| size > most) {
            largest = Some((i, size));
        }
    }
    (all, largest)
}

/// A view holds its length in its first four bytes.
fn view_length(view: u128) -> usize {
    view as u32 as usize
}

/// The first letters of a text.
fn beginning(column: &ArrayRef, row: usize) -> String {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row).chars().take(1000).collect(),
        DataType::Utf8 => column.as_string::<i32>().value(row).chars().take(1000).collect(),
        _ => "(bytes)".into(),
    }
}
