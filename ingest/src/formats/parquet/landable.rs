//! Columns in types that a Delta table has. What has no such type lands as text, and it is said: one column must not
//! keep a whole file out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit, TimestampNanosecondType};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// How a column lands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// By a cast to this type (or as it is).
    Cast(DataType),
    /// As the text of its number.
    Text(&'static str),
    /// As JSON text.
    Json(&'static str),
}

impl Way {
    pub(super) fn of(kind: &DataType) -> Way {
        match kind {
            DataType::Dictionary(_, value) => Way::of(value),
            DataType::Decimal256(precision, _) if *precision > 38 => {
                Way::Text("more than the 38 digits of a table's decimals")
            }
            DataType::Map(_, _) => Way::Json("a map, which a table has not"),
            DataType::ListView(_) | DataType::LargeListView(_) => {
                Way::Json("a list in a form that a table has not")
            }
            DataType::Union(_, _) => Way::Json("a union, which a table has not"),
            DataType::Struct(fields) if !is_plain(fields) => {
                Way::Json("a structure with parts that a table has not")
            }
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)
                if !is_plain_kind(item.data_type()) =>
            {
                Way::Json("a list with parts that a table has not")
            }
            kind => Way::Cast(plain(kind)),
        }
    }

    pub(super) fn kind(&self) -> DataType {
        match self {
            Way::Cast(kind) => kind.clone(),
            Way::Text(_) | Way::Json(_) => DataType::Utf8,
        }
    }

    /// What a person should know about it.
    pub(super) fn told(&self, name: &str, kind: &DataType) -> Option<String> {
        let (form, why) = match self {
            Way::Cast(_) => return None,
            Way::Text(why) => ("text", why),
            Way::Json(why) => ("JSON text", why),
        };
        let mut shown = kind.to_string();
        if shown.chars().count() > 80 {
            shown = format!("{}…", shown.chars().take(80).collect::<String>());
        }
        Some(format!("column `{name}` is {shown}, {why}: it lands as {form}"))
    }

    /// The column as it lands.
    ///
    /// # Errors
    /// The values cannot be brought into any text.
    pub(super) fn land(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self {
            Way::Cast(kind) if kind == column.data_type() => Ok(column.clone()),
            Way::Cast(kind) => {
                let options = CastOptions { safe: true, ..CastOptions::default() };
                match cast_with_options(column, kind, &options) {
                    Err(_) if *kind == DataType::Utf8 => shown(column),
                    other => other,
                }
            }
            Way::Text(_) => cast(column, &DataType::Utf8).or_else(|_| shown(column)),
            Way::Json(_) => json(column).or_else(|_| shown(column)),
        }
    }
}

/// Values that a cast emptied or cut, as (reason, row of the first, count).
pub(super) fn lost(before: &ArrayRef, after: &ArrayRef) -> Vec<(&'static str, usize, u64)> {
    let mut lost = Vec::new();
    let mut note = |how: &'static str, at: &mut dyn Iterator<Item = usize>| {
        if let Some(first) = at.next() {
            lost.push((how, first, 1 + at.count() as u64));
        }
    };
    if after.logical_null_count() > before.logical_null_count() {
        let (was, is) = (before.logical_nulls(), after.logical_nulls());
        let null = |n: &Option<arrow::buffer::NullBuffer>, i: usize| n.as_ref().is_some_and(|n| n.is_null(i));
        note(
            "NULL: the value is out of the range of a table's type",
            &mut (0..after.len()).filter(|i| null(&is, *i) && !null(&was, *i)),
        );
    }
    if matches!(before.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) {
        let values = before.as_primitive::<TimestampNanosecondType>();
        note(
            "cut to the microsecond",
            &mut (0..values.len()).filter(|i| values.is_valid(*i) && values.value(*i) % 1000 != 0),
        );
    }
    lost
}

/// Each value as JSON text.
fn json(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", column.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![column.clone()])?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner()).map_err(|e| ArrowError::JsonError(e.to_string()))?;
    let mut values = StringBuilder::new();
    for line in text.lines() {
        let value = line.strip_prefix("{\"v\":").and_then(|l| l.strip_suffix('}'));
        let value = value.ok_or_else(|| ArrowError::JsonError("unexpected form".into()))?;
        values.append_option((value != "null").then_some(value));
    }
    let values: StringArray = values.finish();
    match values.len() == column.len() {
        true => Ok(Arc::new(values)),
        false => Err(ArrowError::JsonError("unexpected number of lines".into())),
    }
}

/// Each value as it is shown.
fn shown(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let mut values = StringBuilder::new();
    for row in 0..column.len() {
        values.append_option(column.is_valid(row).then(|| formatter.value(row).to_string()));
    }
    Ok(Arc::new(values.finish()))
}

/// Whether a structure has only parts that a table has, by names that differ without case.
fn is_plain(fields: &Fields) -> bool {
    let names: Vec<String> = fields.iter().map(|f| f.name().to_lowercase()).collect();
    let different = names.iter().enumerate().all(|(i, n)| !n.is_empty() && !names[..i].contains(n));
    !fields.is_empty() && different && fields.iter().all(|f| is_plain_kind(f.data_type()))
}

fn is_plain_kind(kind: &DataType) -> bool {
    matches!(Way::of(kind), Way::Cast(_))
}

/// Dictionaries are unpacked, unsigned widened, times to microseconds.
fn plain(of: &DataType) -> DataType {
    match of {
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
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
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal256(p, s) => {
            DataType::Decimal128(*p, *s)
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(Field::new("element", plain(item.data_type()), true)))
        }
        DataType::Struct(fields) => {
            let part = |f: &FieldRef| Arc::new(Field::new(f.name(), plain(f.data_type()), true));
            DataType::Struct(fields.iter().map(part).collect())
        }
        other => other.clone(),
    }
}
