//! Rows of a database → typed Arrow columns.
//!
//! Integers land as 64 bit, floats as double and decimals with 38 digits whatever their width at the
//! source, so that widening a column there never breaks the raw table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    StringArray, StringBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::SourceError;
use crate::formats::sink::{BATCH_BYTES, BATCH_ROWS, instant_type, meta_fields, rejected_schema};

/// What a column lands as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Float,
    Text,
    Binary,
    Date,
    /// Microseconds UTC.
    Instant,
    /// Microseconds on a clock whose zone the source does not tell.
    Clock,
    /// Total digits, digits behind the point.
    Decimal(u8, i8),
}

impl Kind {
    /// A decimal of the source, as wide as it may ever become there.
    pub(crate) fn decimal(scale: i8) -> Kind {
        Kind::Decimal(38, scale)
    }

    pub(crate) fn arrow(self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Binary => DataType::Binary,
            Kind::Date => DataType::Date32,
            Kind::Instant => instant_type(),
            Kind::Clock => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Decimal(p, s) => DataType::Decimal128(p, s),
        }
    }
}

/// The growing cells of one column.
pub(crate) enum Cells {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder),
}

impl Cells {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Cells::Bool(BooleanBuilder::with_capacity(BATCH_ROWS)),
            Kind::Int => Cells::Int(Int64Builder::with_capacity(BATCH_ROWS)),
            Kind::Float => Cells::Float(Float64Builder::with_capacity(BATCH_ROWS)),
            Kind::Text => Cells::Text(StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * 8)),
            Kind::Binary => Cells::Binary(BinaryBuilder::new()),
            Kind::Date => Cells::Date(Date32Builder::with_capacity(BATCH_ROWS)),
            Kind::Instant | Kind::Clock => Cells::Time(
                TimestampMicrosecondBuilder::with_capacity(BATCH_ROWS).with_data_type(kind.arrow()),
            ),
            Kind::Decimal(..) => {
                Cells::Decimal(Decimal128Builder::with_capacity(BATCH_ROWS).with_data_type(kind.arrow()))
            }
        }
    }

    pub(crate) fn null(&mut self) {
        match self {
            Cells::Bool(b) => b.append_null(),
            Cells::Int(b) => b.append_null(),
            Cells::Float(b) => b.append_null(),
            Cells::Text(b) => b.append_null(),
            Cells::Binary(b) => b.append_null(),
            Cells::Date(b) => b.append_null(),
            Cells::Time(b) => b.append_null(),
            Cells::Decimal(b) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Cells::Bool(b) => Arc::new(b.finish()),
            Cells::Int(b) => Arc::new(b.finish()),
            Cells::Float(b) => Arc::new(b.finish()),
            Cells::Text(b) => Arc::new(b.finish()),
            Cells::Binary(b) => Arc::new(b.finish()),
            Cells::Date(b) => Arc::new(b.finish()),
            Cells::Time(b) => Arc::new(b.finish()),
            Cells::Decimal(b) => Arc::new(b.finish()),
        }
    }
}

/// The columns of one batch.
pub(crate) struct Table {
    pub(crate) cells: Vec<Cells>,
    schema: SchemaRef,
    loaded_at: i64,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Table {
    /// Columns by name and kind; `loaded_at` in microseconds UTC.
    pub(crate) fn new(columns: &[(String, Kind)], loaded_at: i64) -> Self {
        let fields =
            columns.iter().map(|(name, kind)| Arc::new(Field::new(name, kind.arrow(), true)) as FieldRef);
        let schema = Arc::new(Schema::new(fields.chain(meta_fields()).collect::<Vec<_>>()));
        Table {
            cells: columns.iter().map(|(_, kind)| Cells::new(*kind)).collect(),
            schema,
            loaded_at,
            rows: 0,
            bytes: 0,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The batch so far, with `_file` and `_row` NULL, leaving this empty.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, SourceError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = self.cells.iter_mut().map(Cells::finish).collect();
        columns.push(Arc::new(StringArray::new_null(rows)));
        columns.push(arrow::array::new_null_array(&DataType::Int64, rows));
        columns
            .push(Arc::new(TimestampMicrosecondArray::from_value(self.loaded_at, rows).with_timezone("UTC")));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| SourceError::never(format!("rows do not fit their columns: {e}")))
    }
}

/// Rows that cannot land, with their reasons and texts; `None` when there are none. `loaded_at` in microseconds UTC.
pub(crate) fn rejected_rows(
    reasons: Vec<String>,
    texts: Vec<String>,
    loaded_at: i64,
) -> Result<Option<RecordBatch>, SourceError> {
    let count = texts.len();
    if count == 0 {
        return Ok(None);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::new_null(count)),
        arrow::array::new_null_array(&DataType::Int64, count),
        Arc::new(StringArray::from(reasons)),
        Arc::new(StringArray::from(texts)),
        Arc::new(TimestampMicrosecondArray::from_value(loaded_at, count).with_timezone("UTC")),
    ];
    RecordBatch::try_new(rejected_schema(), columns)
        .map(Some)
        .map_err(|e| SourceError::never(format!("rejected rows do not fit their columns: {e}")))
}

/// Largest value of a decimal with `precision` digits, exclusive.
fn limit(precision: u8) -> i128 {
    10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX)
}

/// Decimal text → unscaled value; `None` when it is no number or needs more digits than the column has.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim().trim_start_matches('+')),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits_only = whole.bytes().chain(fraction.bytes()).all(|c| c.is_ascii_digit());
    if !digits_only || fraction.len() > scale || !digits.bytes().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let mut value: i128 = 0;
    for c in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', scale - fraction.len())) {
        value = value.checked_mul(10)?.checked_add(i128::from(c - b'0'))?;
    }
    (value < limit(precision)).then_some(if negative { -value } else { value })
}
