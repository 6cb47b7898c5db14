//! Values of a result as JSON and as CSV, for the web and the terminal alike.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::datatypes::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// Whole numbers beyond this lose digits in a browser, so they travel as text.
const EXACT_IN_BROWSER: i128 = 1 << 53;

fn options() -> FormatOptions<'static> {
    FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.f%:z"))
}

/// One value as JSON: numbers raw where a browser keeps them exact, everything else as text.
pub fn json(column: &dyn Array, row: usize) -> Result<Value, ArrowError> {
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return Ok(Value::Null);
    }
    let whole = |v: i128| {
        if v.abs() <= EXACT_IN_BROWSER { Value::from(v as i64) } else { Value::from(v.to_string()) }
    };
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int8 => whole(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => whole(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => whole(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => whole(column.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => whole(column.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => whole(column.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => whole(column.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => whole(column.as_primitive::<UInt64Type>().value(row).into()),
        // NaN and infinity have no JSON number; they arrive as text rather than as a silent null.
        DataType::Float32 => number(column.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => number(column.as_primitive::<Float64Type>().value(row)),
        _ => Value::from(ArrayFormatter::try_new(column, &options())?.value(row).to_string()),
    })
}

fn number(v: f64) -> Value {
    serde_json::Number::from_f64(v).map_or_else(|| Value::from(v.to_string()), Value::Number)
}

/// The rows of `batch` as JSON arrays, in column order.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, ArrowError> {
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| json(column.as_ref(), row)).collect())
        .collect()
}

/// Who reads a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// People in a spreadsheet: a byte order mark says that it is UTF-8, and text that would run as a
    /// formula (it begins with `= + - @`, a tab or a carriage return) is prefixed with an apostrophe.
    Spreadsheet,
    /// Programs: values as they are.
    Program,
}

/// Appends the header line of a CSV file.
pub fn csv_header(reader: For, names: impl Iterator<Item = String>, out: &mut String) {
    if reader == For::Spreadsheet {
        out.push('\u{feff}');
    }
    for (n, name) in names.enumerate() {
        if n > 0 {
            out.push(',');
        }
        push_field(&name, reader == For::Spreadsheet, out);
    }
    out.push_str(end_of_line(reader));
}

fn end_of_line(reader: For) -> &'static str {
    if reader == For::Spreadsheet { "\r\n" } else { "\n" }
}

/// Appends `batch` as CSV lines; numbers are never changed.
pub fn csv_rows(reader: For, batch: &RecordBatch, out: &mut String) -> Result<(), ArrowError> {
    let options = options();
    let formatters = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let mut field = String::new();
    for row in 0..batch.num_rows() {
        for (n, (column, formatter)) in batch.columns().iter().zip(&formatters).enumerate() {
            if n > 0 {
                out.push(',');
            }
            if column.is_valid(row) {
                field.clear();
                use std::fmt::Write as _;
                write!(field, "{}", formatter.value(row)).map_err(|e| ArrowError::CsvError(e.to_string()))?;
                let may_be_formula = reader == For::Spreadsheet && !column.data_type().is_numeric();
                push_field(&field, may_be_formula, out);
            }
        }
        out.push_str(end_of_line(reader));
    }
    Ok(())
}

fn push_field(text: &str, may_be_formula: bool, out: &mut String) {
    let formula = may_be_formula && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains([',', '"', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    #[test]
    fn numbers_stay_raw_and_the_rest_is_text() {
        let decimal = Decimal128Array::from(vec![123_450]).with_precision_and_scale(18, 2).unwrap();
        let at = TimestampMicrosecondArray::from(vec![1_700_000_000_000_000]).with_timezone("UTC");
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![7])) as _),
            ("big", Arc::new(Int64Array::from(vec![(1 << 53) + 1])) as _),
            ("nan", Arc::new(Float64Array::from(vec![f64::NAN])) as _),
            ("amount", Arc::new(decimal) as _),
            ("at", Arc::new(at) as _),
            ("none", Arc::new(StringArray::from(vec![None::<&str>])) as _),
        ])
        .unwrap();
        let expected =
            serde_json::json!([[7, "9007199254740993", "NaN", "1234.50", "2023-11-14T22:13:20+00:00", null]]);
        assert_eq!(serde_json::to_value(rows(&batch).unwrap()).unwrap(), expected);
    }

    #[test]
    fn text_that_a_spreadsheet_would_run_is_disarmed() {
        let batch = RecordBatch::try_from_iter([
            ("t", Arc::new(StringArray::from(vec!["=1+1", "a\"b,c", "观澜"])) as _),
            ("n", Arc::new(Int64Array::from(vec![-1, 2, 3])) as _),
        ])
        .unwrap();
        let mut out = String::new();
        csv_header(For::Spreadsheet, ["t".to_owned(), "n".to_owned()].into_iter(), &mut out);
        csv_rows(For::Spreadsheet, &batch, &mut out).unwrap();
        assert_eq!(out, "\u{feff}t,n\r\n\"'=1+1\",-1\r\n\"a\"\"b,c\",2\r\n观澜,3\r\n");
    }
}
