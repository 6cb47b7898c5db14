//! Values of a row → cells. What a cell cannot hold is counted by column with its first place.

use arrow::datatypes::Date32Type;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use sqlx::mysql::MySqlRow;
use sqlx::{Row, TypeInfo, ValueRef};

use super::columns::Column;
use crate::ledger::Changes;
use crate::sources::sql::columns::{Cells, Kind, Table, decimal};

/// A row and its number in this read.
pub(super) struct Place<'r> {
    pub(super) row: &'r MySqlRow,
    pub(super) number: u64,
}

impl Place<'_> {
    /// For people: the row's number, and its first column when that is short.
    fn told(&self, columns: &[Column], value: &str) -> String {
        let first = columns.first().and_then(|c| {
            let text = match c.kind {
                Kind::Int if c.unsigned => self.row.try_get_unchecked::<u64, _>(0).ok()?.to_string(),
                Kind::Int => self.row.try_get_unchecked::<i64, _>(0).ok()?.to_string(),
                Kind::Text => self.row.try_get_unchecked::<String, _>(0).ok()?,
                _ => return None,
            };
            (text.len() <= 40).then(|| format!(", {} {text}", c.name))
        });
        format!("row {}{}: {value}", self.number, first.unwrap_or_default())
    }
}

/// Why a value is not kept.
enum Lost {
    /// A date that no calendar has, as the server writes it.
    NoDate(String),
    /// Anything else.
    Misfit,
}

/// Adds one row.
pub(super) fn add(place: &Place, columns: &[Column], table: &mut Table, changes: &mut Changes) {
    let flags: String = place.row.try_get_unchecked(columns.len()).unwrap_or_default();
    for at in flags.split(',').filter_map(|f| f.parse::<usize>().ok()) {
        if let Some(column) = columns.get(at) {
            let how = format!("NULL: larger than `limits.value_bytes` ({})", store::limits().value_bytes);
            changes.note(&column.name, &how, || place.told(columns, "too large"));
        }
    }
    for (i, (column, cells)) in columns.iter().zip(&mut table.cells).enumerate() {
        match put(place.row, i, column, cells) {
            Ok(bytes) => table.bytes += bytes,
            Err(lost) => {
                cells.null();
                let keep = format!("`cast({} as char)` in a `query` keeps it as text", column.name);
                let (how, value) = match lost {
                    Lost::NoDate(text) if text.starts_with("0000-00-00") => {
                        (format!("NULL: the zero date 0000-00-00 is no date; {keep}"), text)
                    }
                    Lost::NoDate(text) => (
                        format!("NULL: a date such as 2020-00-00 or 2021-02-31 is in no calendar; {keep}"),
                        text,
                    ),
                    Lost::Misfit => (format!("NULL: does not fit the column; {keep}"), "a value".to_owned()),
                };
                changes.note(&column.name, &how, || place.told(columns, &value));
            }
        }
    }
    table.rows += 1;
}

/// Writes one value; returns its bytes.
fn put(row: &MySqlRow, i: usize, column: &Column, cells: &mut Cells) -> Result<usize, Lost> {
    let misfit = |_| Lost::Misfit;
    let kind = column.kind;
    let raw = row.try_get_raw(i).map_err(misfit)?;
    // The driver takes a zero date for NULL: only its bytes tell.
    if matches!(raw.type_info().name(), "DATE" | "DATETIME" | "TIMESTAMP") {
        return match row.try_get_unchecked::<&[u8], _>(i) {
            Err(_) => {
                cells.null();
                Ok(1)
            }
            Ok(bytes) => {
                let moment = moment(bytes)?;
                match cells {
                    Cells::Date(b) => b.append_value(Date32Type::from_naive_date(moment.date())),
                    Cells::Time(b) => b.append_value(moment.and_utc().timestamp_micros()),
                    _ => return Err(Lost::Misfit),
                }
                Ok(8)
            }
        };
    }
    if raw.is_null() {
        cells.null();
        return Ok(1);
    }
    match cells {
        Cells::Bool(b) => b.append_value(row.try_get_unchecked::<i8, _>(i).map_err(misfit)? != 0),
        // Read with a sign, 200 in a TINYINT UNSIGNED would be -56.
        Cells::Int(b) if column.unsigned => {
            let value: u64 = row.try_get_unchecked(i).map_err(misfit)?;
            b.append_value(i64::try_from(value).map_err(|_| Lost::Misfit)?);
        }
        Cells::Int(b) => b.append_value(row.try_get_unchecked(i).map_err(misfit)?),
        Cells::Float(b) => b.append_value(match column.single {
            // The shortest text of a 32 bit float: 12.34, not 12.34000015258789.
            true => {
                let value: f32 = row.try_get_unchecked(i).map_err(misfit)?;
                value.to_string().parse().unwrap_or(f64::from(value))
            }
            false => row.try_get_unchecked(i).map_err(misfit)?,
        }),
        Cells::Decimal(b) => {
            let value = match kind {
                _ if column.unsigned => Some(i128::from(row.try_get_unchecked::<u64, _>(i).map_err(misfit)?)),
                Kind::Decimal(p, s) => decimal(row.try_get_unchecked(i).map_err(misfit)?, p, s),
                _ => None,
            };
            b.append_value(value.ok_or(Lost::Misfit)?);
        }
        Cells::Binary(b) => {
            let bytes: &[u8] = row.try_get_unchecked(i).map_err(misfit)?;
            b.append_value(bytes);
            return Ok(bytes.len());
        }
        Cells::Text(b) => {
            let text: &str = row.try_get_unchecked(i).map_err(misfit)?;
            b.append_value(text);
            return Ok(text.len());
        }
        Cells::Date(_) | Cells::Time(_) => return Err(Lost::Misfit),
    }
    Ok(8)
}

/// A date or time of the binary protocol: its length, year (little endian), month, day, then hour, minute,
/// second, then microseconds; what is zero at the end is left out.
fn moment(bytes: &[u8]) -> Result<NaiveDateTime, Lost> {
    let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let part = |i: usize| u32::from(byte(i));
    let (year, month, day) = (i32::from(u16::from_le_bytes([byte(1), byte(2)])), part(3), part(4));
    let (hour, minute, second) = (part(5), part(6), part(7));
    let micros = u32::from_le_bytes([byte(8), byte(9), byte(10), byte(11)]);
    let date = NaiveDate::from_ymd_opt(year, month, day).filter(|_| year > 0);
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros);
    match (date, time) {
        (Some(date), Some(time)) => Ok(date.and_time(time)),
        _ if (hour, minute, second) == (0, 0, 0) => {
            Err(Lost::NoDate(format!("{year:04}-{month:02}-{day:02}")))
        }
        _ => Err(Lost::NoDate(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))),
    }
}
