//! Which column types a table holds, and bringing delivered rows into them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, Result};
use crate::table::{TableName, Zone};

/// The type under which a delivered type is kept.
///
/// # Errors
/// Names the type that has no home in Delta.
fn kept(kind: &DataType) -> std::result::Result<DataType, String> {
    use DataType as T;
    Ok(match kind {
        T::Null | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) | T::Duration(_) | T::Interval(_) => T::Utf8,
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        T::Decimal32(p, s) | T::Decimal64(p, s) => T::Decimal128(*p, *s),
        T::Decimal256(p, s) if *p <= 38 => T::Decimal128(*p, *s),
        T::Dictionary(_, value) => kept(value)?,
        T::RunEndEncoded(_, value) => kept(value.data_type())?,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::ListView(item) => {
            T::List(Arc::new(Field::new("element", kept(item.data_type())?, true)))
        }
        T::Struct(fields) => {
            T::Struct(fields.iter().map(kept_field).collect::<std::result::Result<Fields, _>>()?)
        }
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Utf8
        | T::Binary
        | T::Date32
        | T::Decimal128(_, _) => kind.clone(),
        other => return Err(other.to_string()),
    })
}

fn kept_field(field: &FieldRef) -> std::result::Result<FieldRef, String> {
    Ok(Arc::new(Field::new(field.name(), kept(field.data_type())?, true)))
}

/// The schema that a delivery is written with: our types, and where the table has the column in a type that holds
/// every delivered value (a wider number, or anything for a column without values), the table's type. A raw decimal
/// with fewer digits takes what fits: [`brought`] refuses the first value that does not.
pub(crate) fn written(table: &TableName, delivered: &Schema, present: Option<&Schema>) -> Result<SchemaRef> {
    fits(table, delivered.fields().len())?;
    let mut fields: Vec<FieldRef> = Vec::with_capacity(delivered.fields().len());
    for field in delivered.fields() {
        if fields.iter().any(|f| f.name().eq_ignore_ascii_case(field.name())) {
            return Err(Error::invalid(format!(
                "{table}: the column `{}` is delivered twice (Delta does not tell upper from lower case); rename one",
                field.name()
            )));
        }
        let mut kind = kept(field.data_type()).map_err(|kind| {
            Error::invalid(format!(
                "{table}: column `{}` has type {kind}, which a table cannot hold; cast it",
                field.name()
            ))
        })?;
        if let Some(there) = present.and_then(|p| p.field_with_name(field.name()).ok())
            && (field.data_type() == &DataType::Null
                || holds(there.data_type(), &kind)
                || (table.zone == Zone::Raw && narrower(there.data_type(), &kind)))
        {
            kind = there.data_type().clone();
        }
        fields.push(Arc::new(Field::new(field.name(), kind, true)));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Refuses a table wider than the limit: each column costs builders, statistics and a place in every batch.
fn fits(table: &TableName, columns: usize) -> Result<()> {
    let most = store::limits().columns;
    if columns <= most {
        return Ok(());
    }
    Err(Error::refused(
        format!("{table} would have {columns} columns; a table may have {most}"),
        "select fewer columns at the source, or turn them into rows; `limits: { columns: … }` in guanlan.yaml raises the bound",
    ))
}

/// The same decimal with fewer digits before the point.
fn narrower(there: &DataType, kind: &DataType) -> bool {
    matches!((there, kind), (DataType::Decimal128(p, s), DataType::Decimal128(q, t)) if p < q && s == t)
}

/// Whether every value of `narrow` is a value of `wide`.
fn holds(wide: &DataType, narrow: &DataType) -> bool {
    use DataType as T;
    let digits = |kind: &DataType| match kind {
        T::Int8 => Some(3),
        T::Int16 => Some(5),
        T::Int32 => Some(10),
        T::Int64 => Some(19),
        _ => None,
    };
    match (wide, narrow) {
        (T::Float64, T::Float32 | T::Int8 | T::Int16 | T::Int32) => true,
        (T::Decimal128(p, s), T::Decimal128(q, t)) => {
            s >= t && i16::from(*p) - i16::from(*s) >= i16::from(*q) - i16::from(*t)
        }
        (T::Decimal128(p, s), kind) => digits(kind).is_some_and(|d| i16::from(*p) - i16::from(*s) >= d),
        (a, b) => matches!((digits(a), digits(b)), (Some(wide), Some(narrow)) if wide >= narrow),
    }
}

/// The table's schema after rows of `written` join it: new columns at the end; `None` when it does not change.
///
/// # Errors
/// [`Error::SchemaChanged`] names the column whose type differs.
pub(crate) fn grown(table: &TableName, present: &Schema, written: &Schema) -> Result<Option<SchemaRef>> {
    let mut fields: Vec<FieldRef> = present.fields().iter().cloned().collect();
    for field in written.fields() {
        match present.field_with_name(field.name()) {
            Ok(there) if same(there.data_type(), field.data_type()) => {}
            Ok(there) => {
                return Err(changed(table, field.name(), there.data_type(), field.data_type()));
            }
            Err(_) => {
                if let Some(other) =
                    present.fields().iter().find(|f| f.name().eq_ignore_ascii_case(field.name()))
                {
                    return Err(Error::invalid(format!(
                        "{table}: the delivered column `{}` differs from `{}` only by upper and lower case; rename it",
                        field.name(),
                        other.name()
                    )));
                }
                fields.push(field.clone());
            }
        }
    }
    fits(table, fields.len())?;
    let longer = fields.len() != present.fields().len();
    Ok(longer.then(|| Arc::new(Schema::new(fields)) as SchemaRef))
}

fn changed(table: &TableName, column: &str, was: &DataType, now: &DataType) -> Error {
    Error::SchemaChanged {
        table: table.clone(),
        column: column.to_owned(),
        was: was.to_string(),
        now: now.to_string(),
    }
}

/// The table's schema after rows of `written` took the place of all others: their types, and the columns that they
/// lack as they were. `None` when it does not change.
pub(crate) fn replaced(present: &Schema, written: &Schema) -> Option<SchemaRef> {
    let delivered =
        |name: &str| written.fields().iter().find(|f| f.name().eq_ignore_ascii_case(name)).cloned();
    let mut fields: Vec<FieldRef> = Vec::with_capacity(present.fields().len());
    for there in present.fields() {
        fields.push(match delivered(there.name()) {
            Some(field) if field.name() == there.name() && same(there.data_type(), field.data_type()) => {
                there.clone()
            }
            Some(field) => field,
            None => there.clone(),
        });
    }
    let new: Vec<FieldRef> =
        written.fields().iter().filter(|f| !fields.iter().any(|g| g.name() == f.name())).cloned().collect();
    fields.extend(new);
    let differs = fields.len() != present.fields().len()
        || fields.iter().zip(present.fields()).any(|(a, b)| !Arc::ptr_eq(a, b));
    differs.then(|| Arc::new(Schema::new(fields)) as SchemaRef)
}

/// Equal but for the names inside lists, which engines choose differently.
fn same(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => same(a.data_type(), b.data_type()),
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b.iter())
                    .all(|(a, b)| a.name() == b.name() && same(a.data_type(), b.data_type()))
        }
        _ => a == b,
    }
}

/// The rows in the types of `schema`, column by column in the same order.
pub(crate) fn brought(table: &TableName, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
    for (column, field) in rows.columns().iter().zip(schema.fields()) {
        columns.push(if column.data_type() == field.data_type() {
            column.clone()
        } else {
            cast_with_options(column, field.data_type(), &options).map_err(|e| {
                if narrower(field.data_type(), column.data_type()) {
                    return changed(table, field.name(), field.data_type(), column.data_type());
                }
                Error::invalid(format!("{table}: column `{}`: {e}", field.name()))
            })?
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
