//! Bytes and numbers of a function's arguments, by row.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;
use store::limits;

/// Whole numbers of an argument, by row.
pub(super) enum Whole {
    Same(Option<i64>),
    Each(ArrayRef),
}

impl Whole {
    pub(super) fn new(arg: Option<&ColumnarValue>, rows: usize) -> Self {
        let number = |array: &ArrayRef| cast(array, &DataType::Int64).ok();
        match arg {
            Some(ColumnarValue::Array(array)) if array.len() == rows => {
                number(array).map_or(Whole::Same(None), Whole::Each)
            }
            Some(ColumnarValue::Scalar(value)) => {
                let array = value.to_array().ok().and_then(|array| number(&array));
                Whole::Same(array.and_then(|a| {
                    let a = a.as_primitive::<Int64Type>();
                    (!a.is_empty() && a.is_valid(0)).then(|| a.value(0))
                }))
            }
            _ => Whole::Same(None),
        }
    }

    pub(super) fn of(&self, row: usize) -> Option<i64> {
        match self {
            Whole::Same(value) => *value,
            Whole::Each(array) => {
                let array = array.as_primitive::<Int64Type>();
                array.is_valid(row).then(|| array.value(row))
            }
        }
    }
}

/// Bytes of an argument, by row.
pub(super) enum Sizes<'a> {
    Same(u64),
    Each(&'a ArrayRef),
}

impl<'a> Sizes<'a> {
    pub(super) fn new(arg: Option<&'a ColumnarValue>, rows: usize) -> Self {
        match arg {
            Some(ColumnarValue::Array(array)) if array.len() == rows => Sizes::Each(array),
            Some(ColumnarValue::Scalar(value)) => Sizes::Same(scalar(value)),
            _ => Sizes::Same(0),
        }
    }

    pub(super) fn of(&self, row: usize) -> u64 {
        match self {
            Sizes::Same(bytes) => *bytes,
            Sizes::Each(array) => one(array, row),
        }
    }
}

fn one(array: &ArrayRef, row: usize) -> u64 {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row) as u64,
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as u64,
        DataType::Utf8View => u64::from(array.as_string_view().lengths().nth(row).unwrap_or(0)),
        DataType::Binary => array.as_binary::<i32>().value_length(row) as u64,
        DataType::List(_) if array.is_valid(row) => bytes(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) if array.is_valid(row) => bytes(&array.as_list::<i64>().value(row)),
        kind => match kind.primitive_width() {
            Some(width) => width as u64,
            None => bytes(&array.slice(row, 1)).max(16),
        },
    }
}

/// Bytes of the largest value of a column.
pub(super) fn largest(array: &ArrayRef) -> u64 {
    if bytes(array) <= limits().result_bytes as u64 {
        return 0;
    }
    (0..array.len()).map(|row| one(array, row)).max().unwrap_or(0)
}

/// Bytes of one constant.
pub(super) fn scalar(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.as_ref().map_or(0, String::len) as u64
        }
        other => other.size().saturating_sub(size_of::<ScalarValue>()).max(8) as u64,
    }
}

/// Bytes of all rows of an argument.
pub(super) fn total(arg: &ColumnarValue, rows: usize) -> u64 {
    match arg {
        ColumnarValue::Scalar(value) => scalar(value).saturating_mul(rows as u64),
        ColumnarValue::Array(array) => bytes(array),
    }
}

/// Bytes of the values of an array, not of what it is a slice of.
pub(super) fn bytes(array: &ArrayRef) -> u64 {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().map(u64::from).sum(),
        _ => {
            let data = array.to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size()) as u64
        }
    }
}
