//! A row that does not fit: what is remembered of it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

/// Why a value does not fit its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    Missing,
    UnknownCode,
    NotANumber,
    DecimalComma,
    Currency,
    Amount,
    Dash,
    Shortened,
    NoMatch,
    NotWhole,
    TooLarge,
    NotABool,
    NotADate,
    NotATime,
    WrongType,
}

impl Reason {
    /// Short and without the value, so that reasons can be counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Missing => "required value is missing",
            Reason::UnknownCode => "code is not in the map",
            Reason::NotANumber => "not a number",
            Reason::DecimalComma => "not a number with a decimal point (`decimal: \",\"` reads it)",
            Reason::Currency => {
                "amount of another currency (`amount: {currencies: […]}` reads a column of it)"
            }
            Reason::Amount => "not a plain number (`amount: {}` reads it)",
            Reason::Dash => "a dash (`null_values` or `zero_values` says what it means)",
            Reason::Shortened => {
                "a long number shortened to an exponent, its last digits are lost (export it as text)"
            }
            Reason::NoMatch => "the pattern of `extract` finds nothing",
            Reason::NotWhole => "not a whole number",
            Reason::TooLarge => "number is too large for the column",
            Reason::NotABool => "neither yes nor no",
            Reason::NotADate => "not a date in any of the formats (`formats: […]` names more)",
            Reason::NotATime => "not a time in any of the formats (`formats: […]` names more)",
            Reason::WrongType => "type of the source cannot be read as the type of the column",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One rejected row. `column`, `reason` and `value` tell of the first column that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Row number in the source file, 1-based with the header; None for database rows.
    pub row: Option<i64>,
    pub file: Option<String>,
    /// When the raw row was landed, microseconds UTC.
    pub loaded_at: Option<i64>,
    /// Output column.
    pub column: String,
    pub reason: Reason,
    /// The source value, at most 200 characters.
    pub value: Option<String>,
    /// Further columns of the row that do not fit: `column: reason; …`.
    pub also: Option<String>,
    /// The whole raw row as a JSON object.
    pub record: String,
    /// The row's key where it could be read: its value, or a JSON list of several. A row of this key that arrives
    /// later and fits stands for this one.
    pub key: Option<String>,
}

pub(crate) const VALUE_CHARS: usize = 200;

/// Columns of `clean.<name>_rejected`.
pub(crate) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("file"),
        Field::new("row", DataType::Int64, true),
        text("column"),
        text("reason"),
        text("value"),
        text("also"),
        text("record"),
        Field::new("loaded_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        text("key"),
    ]))
}

/// The rows of `clean.<name>_rejected`.
pub(crate) fn batch(rejects: &[Reject]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Reject) -> Option<&str>| -> ArrayRef {
        Arc::new(rejects.iter().map(of).collect::<StringArray>())
    };
    let loaded: TimestampMicrosecondArray = rejects.iter().map(|r| r.loaded_at).collect();
    RecordBatch::try_new(
        schema(),
        vec![
            text(|r| r.file.as_deref()),
            Arc::new(rejects.iter().map(|r| r.row).collect::<Int64Array>()),
            text(|r| Some(&r.column)),
            text(|r| Some(r.reason.as_str())),
            text(|r| r.value.as_deref()),
            text(|r| r.also.as_deref()),
            text(|r| Some(&r.record)),
            Arc::new(loaded.with_timezone("UTC")),
            text(|r| r.key.as_deref()),
        ],
    )
}

/// Text of one cell for people, at most 200 characters; None for no value.
pub(crate) fn shown(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let text = arrow::util::display::array_value_to_string(array, row).ok()?;
    Some(text.chars().take(VALUE_CHARS).collect())
}
