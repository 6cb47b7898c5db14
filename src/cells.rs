//! Values of a result as JSON and as CSV, for the web and the terminal alike. Times have one form everywhere: an
//! instant is told on the site's clock with its offset, a time without a zone has none.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::datatypes::{
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::datatypes::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use serde_json::Value;

/// Whole numbers beyond this lose digits in a browser, so they travel as text.
const EXACT_IN_BROWSER: i128 = 1 << 53;

fn options() -> FormatOptions<'static> {
    FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"))
}

/// How the values of one column are written.
struct Written<'a> {
    column: &'a dyn Array,
    zone: Tz,
    formatter: ArrayFormatter<'a>,
}

impl<'a> Written<'a> {
    fn new(column: &'a dyn Array, zone: Tz, options: &'a FormatOptions<'a>) -> Result<Self, ArrowError> {
        Ok(Self { column, zone, formatter: ArrayFormatter::try_new(column, options)? })
    }

    /// Appends a value that is there.
    fn write(&self, row: usize, out: &mut String) -> Result<(), ArrowError> {
        if let DataType::Timestamp(unit, Some(_)) = self.column.data_type()
            && let Some(text) = instant(self.column, *unit, row, self.zone)
        {
            out.push_str(&text);
            return Ok(());
        }
        write!(out, "{}", self.formatter.value(row)).map_err(|_| {
            let kind = self.column.data_type();
            ArrowError::CastError(format!(
                "a value of type {kind} cannot be written: it lies beyond the calendar"
            ))
        })
    }

    fn text(&self, row: usize) -> Result<String, ArrowError> {
        let mut text = String::new();
        self.write(row, &mut text)?;
        Ok(text)
    }
}

/// An instant on the site's clock; `None` beyond the calendar.
fn instant(column: &dyn Array, unit: TimeUnit, row: usize, zone: Tz) -> Option<String> {
    let utc = match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(column.as_primitive::<TimestampSecondType>().value(row), 0)?
        }
        TimeUnit::Millisecond => {
            DateTime::from_timestamp_millis(column.as_primitive::<TimestampMillisecondType>().value(row))?
        }
        TimeUnit::Microsecond => {
            DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(row))?
        }
        TimeUnit::Nanosecond => {
            DateTime::from_timestamp_nanos(column.as_primitive::<TimestampNanosecondType>().value(row))
        }
    };
    let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
    let wall = utc.naive_utc().checked_add_offset(offset)?;
    Some(format!("{}{offset}", wall.format("%Y-%m-%dT%H:%M:%S%.f")))
}

/// One value as JSON: numbers raw where a browser keeps them exact, everything else as text.
fn json(written: &Written<'_>, row: usize) -> Result<Value, ArrowError> {
    let column = written.column;
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
        _ => Value::from(written.text(row)?),
    })
}

fn number(v: f64) -> Value {
    serde_json::Number::from_f64(v).map_or_else(|| Value::from(v.to_string()), Value::Number)
}

/// The rows of `batch` as JSON arrays, in column order; instants on the clock of `zone`.
pub fn rows(batch: &RecordBatch, zone: Tz) -> Result<Vec<Vec<Value>>, ArrowError> {
    let options = options();
    let columns = batch.columns().iter().map(|column| Written::new(column.as_ref(), zone, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| json(column, row)).collect()).collect()
}

/// Who reads a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// People in a spreadsheet: a byte order mark says that it is UTF-8, and text that would run as a
    /// formula (it begins with a sign of `FORMULA`) is prefixed with an apostrophe.
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

/// Appends `batch` as CSV lines; numbers are never changed, instants are told on the clock of `zone`.
pub fn csv_rows(reader: For, batch: &RecordBatch, zone: Tz, out: &mut String) -> Result<(), ArrowError> {
    let options = options();
    let columns = batch.columns().iter().map(|column| Written::new(column.as_ref(), zone, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut field = String::new();
    for row in 0..batch.num_rows() {
        for (n, written) in columns.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            if written.column.is_valid(row) {
                field.clear();
                written.write(row, &mut field)?;
                let may_be_formula = reader == For::Spreadsheet && !written.column.data_type().is_numeric();
                push_field(&field, may_be_formula, out);
            }
        }
        out.push_str(end_of_line(reader));
    }
    Ok(())
}

/// Signs with which spreadsheets begin a formula, or that they pass over before one: full-width ones are folded by some,
/// and what cannot be seen is dropped by others.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet may take the text for a formula.
fn formula(text: &str) -> bool {
    let unseen = |c: char| {
        matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
            || (c.is_control() && c != '\t' && c != '\r')
    };
    text.starts_with(FORMULA) || text.trim_start_matches(unseen).trim_start().starts_with(FORMULA)
}

fn push_field(text: &str, may_be_formula: bool, out: &mut String) {
    let formula = may_be_formula && formula(text);
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

    const SHANGHAI: Tz = Tz::Asia__Shanghai;

    #[test]
    fn a_time_without_a_zone_is_told_without_one() {
        // 2026-01-01 08:00:00, and half a second later.
        let wall =
            TimestampMicrosecondArray::from(vec![1_767_254_400_000_000, 1_767_254_400_500_000, i64::MAX]);
        let instant = wall.clone().with_timezone("UTC");
        let batch =
            RecordBatch::try_from_iter([("wall", Arc::new(wall) as _), ("at", Arc::new(instant) as _)])
                .unwrap();
        let expected = serde_json::json!([
            ["2026-01-01T08:00:00", "2026-01-01T16:00:00+08:00"],
            ["2026-01-01T08:00:00.500", "2026-01-01T16:00:00.500+08:00"],
        ]);
        assert_eq!(serde_json::to_value(rows(&batch.slice(0, 2), SHANGHAI).unwrap()).unwrap(), expected);
        let mut out = String::new();
        csv_rows(For::Program, &batch.slice(0, 1), SHANGHAI, &mut out).unwrap();
        assert_eq!(out, "2026-01-01T08:00:00,2026-01-01T16:00:00+08:00\n");
        let _ = rows(&batch, SHANGHAI);
        let _ = csv_rows(For::Program, &batch, SHANGHAI, &mut out);
    }

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
            serde_json::json!([[7, "9007199254740993", "NaN", "1234.50", "2023-11-15T06:13:20+08:00", null]]);
        assert_eq!(serde_json::to_value(rows(&batch, SHANGHAI).unwrap()).unwrap(), expected);
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
        csv_rows(For::Spreadsheet, &batch, SHANGHAI, &mut out).unwrap();
        assert_eq!(out, "\u{feff}t,n\r\n\"'=1+1\",-1\r\n\"a\"\"b,c\",2\r\n观澜,3\r\n");
    }

    #[test]
    fn every_sign_that_begins_a_formula_is_disarmed() {
        for sign in ["=", "+", "-", "@", "\t", "\r", "\0=", "＝", "＋", "－", "＠", " =", "\u{200b}=", "\n@"]
        {
            let mut out = String::new();
            push_field(&format!("{sign}1+1"), true, &mut out);
            assert_eq!(out, format!("\"'{sign}1+1\""), "{sign:?}");
        }
        let mut out = String::new();
        push_field("1+1=2", true, &mut out);
        assert_eq!(out, "1+1=2");
    }
}
