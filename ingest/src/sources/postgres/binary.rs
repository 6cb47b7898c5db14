//! The binary copy format → cells.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>: a header, then per row a 16-bit field count
//! and per field a 32-bit length (−1 is NULL) with big-endian bytes; a count of −1 ends it.

use super::catalogue::{Column, Wire};
use crate::error::SourceError;
use crate::sources::sql::columns::{Cells, Kind, Table};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Days and microseconds between 1970-01-01 and PostgreSQL's 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Cuts a byte stream into rows.
pub(super) struct Decoder {
    columns: Vec<Column>,
    buffer: Vec<u8>,
    at: usize,
    started: bool,
    /// The end mark was seen.
    pub(super) ended: bool,
    /// Values that Arrow cannot hold: infinite dates, NaN in decimals.
    pub(super) out_of_range: u64,
}

impl Decoder {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Decoder { columns, buffer: Vec::new(), at: 0, started: false, ended: false, out_of_range: 0 }
    }

    /// Adds bytes as they arrive, cut anywhere.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        } else if self.at > 1 << 20 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// Decodes one row into a table; `false` when more bytes are needed or the end was reached.
    pub(super) fn row(&mut self, table: &mut Table) -> Result<bool, SourceError> {
        if !self.started && !self.start()? {
            return Ok(false);
        }
        let rest = &self.buffer[self.at..];
        let Some(count) = rest.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)) else { return Ok(false) };
        if count == -1 {
            self.ended = true;
            return Ok(false);
        }
        if count as usize != self.columns.len() {
            return Err(SourceError::later(format!(
                "PostgreSQL sent {count} fields instead of {}; the table changed while it was read",
                self.columns.len()
            )));
        }
        // The whole row must be here before the first cell is written.
        let Some(length) = row_length(rest, self.columns.len()) else { return Ok(false) };
        let mut at = 2;
        for (column, cells) in self.columns.iter().zip(&mut table.cells) {
            let size = i32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            at += 4;
            match usize::try_from(size) {
                Err(_) => cells.null(),
                Ok(size) => {
                    if !put(column, cells, &rest[at..at + size])? {
                        cells.null();
                        self.out_of_range += 1;
                    }
                    at += size;
                }
            }
        }
        self.at += length;
        table.rows += 1;
        table.bytes += length;
        Ok(true)
    }

    fn start(&mut self) -> Result<bool, SourceError> {
        let rest = &self.buffer[self.at..];
        if rest.len() < 19 {
            return Ok(false);
        }
        if !rest.starts_with(SIGNATURE) {
            return Err(SourceError::never(
                "the server did not answer in PostgreSQL's binary copy format; is a proxy in between?",
            ));
        }
        let extension = u32::from_be_bytes([rest[15], rest[16], rest[17], rest[18]]) as usize;
        if rest.len() < 19 + extension {
            return Ok(false);
        }
        self.at += 19 + extension;
        self.started = true;
        Ok(true)
    }
}

/// Bytes of the first row, when it is complete.
fn row_length(bytes: &[u8], fields: usize) -> Option<usize> {
    let mut at = 2;
    for _ in 0..fields {
        let size = i32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?);
        at += 4 + usize::try_from(size).unwrap_or(0);
    }
    (at <= bytes.len()).then_some(at)
}

/// Writes one value; `false` when Arrow cannot hold it.
fn put(column: &Column, cells: &mut Cells, bytes: &[u8]) -> Result<bool, SourceError> {
    let wrong = || {
        SourceError::never(format!(
            "column `{}`: {} bytes are not a {:?}",
            column.name,
            bytes.len(),
            column.wire
        ))
    };
    match (column.wire, cells) {
        (Wire::Bool, Cells::Bool(b)) => b.append_value(bytes.first().ok_or_else(wrong)? != &0),
        (Wire::Int2, Cells::Int(b)) => {
            b.append_value(i64::from(i16::from_be_bytes(bytes.try_into().map_err(|_| wrong())?)))
        }
        (Wire::Int4, Cells::Int(b)) => {
            b.append_value(i64::from(i32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?)))
        }
        (Wire::Int8, Cells::Int(b)) => {
            b.append_value(i64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?))
        }
        (Wire::Float4, Cells::Float(b)) => {
            b.append_value(f64::from(f32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?)))
        }
        (Wire::Float8, Cells::Float(b)) => {
            b.append_value(f64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?))
        }
        (Wire::Text | Wire::Cast, Cells::Text(b)) => {
            b.append_value(std::str::from_utf8(bytes).map_err(|_| wrong())?)
        }
        (Wire::Jsonb, Cells::Text(b)) => {
            b.append_value(std::str::from_utf8(bytes.get(1..).ok_or_else(wrong)?).map_err(|_| wrong())?)
        }
        (Wire::Uuid, Cells::Text(b)) => b.append_value(uuid(bytes.try_into().map_err(|_| wrong())?)),
        (Wire::Bytea, Cells::Binary(b)) => b.append_value(bytes),
        (Wire::Date, Cells::Date(b)) => match i32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?) {
            i32::MIN | i32::MAX => return Ok(false),
            days => b.append_value(days.saturating_add(EPOCH_DAYS)),
        },
        (Wire::Time, Cells::Time(b)) => {
            match i64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?).checked_add(EPOCH_MICROS) {
                Some(micros) if micros != i64::MIN + EPOCH_MICROS => b.append_value(micros),
                _ => return Ok(false),
            }
        }
        (Wire::Numeric, Cells::Decimal(b)) => {
            let Kind::Decimal(precision, scale) = column.kind else { return Err(wrong()) };
            match numeric(bytes, scale).filter(|v| v.unsigned_abs() < 10u128.pow(u32::from(precision))) {
                Some(value) => b.append_value(value),
                None => return Ok(false),
            }
        }
        _ => return Err(wrong()),
    }
    Ok(true)
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Base-10000 digits → unscaled value at `scale`; `None` for NaN, infinity and what does not fit.
fn numeric(bytes: &[u8], scale: i8) -> Option<i128> {
    let word = |i: usize| bytes.get(i * 2..i * 2 + 2).map(|b| i16::from_be_bytes([b[0], b[1]]));
    let (count, weight, sign) = (word(0)?, word(1)?, word(2)? as u16);
    if sign != 0 && sign != 0x4000 {
        return None;
    }
    let mut value: i128 = 0;
    for i in 0..usize::try_from(count).ok()? {
        let digit = i128::from(word(4 + i)?);
        // This digit stands for digit × 10^exponent.
        let exponent = (i32::from(weight) - i as i32) * 4 + i32::from(scale);
        let part = if exponent >= 0 {
            digit.checked_mul(10i128.checked_pow(exponent as u32)?)?
        } else if exponent > -4 {
            // The server rounded to the scale: what is cut off here is zero.
            digit / 10i128.pow(exponent.unsigned_abs())
        } else {
            0
        };
        value = value.checked_add(part)?;
    }
    Some(if sign == 0x4000 { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::numeric;

    /// Words of the wire form: digit count, weight, sign, display scale, digits.
    fn wire(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_keep_every_digit() {
        // 12345.67 = 1, 2345, 6700 with weight 1
        assert_eq!(numeric(&wire(&[3, 1, 0, 2, 1, 2345, 6700]), 2), Some(1_234_567));
        assert_eq!(numeric(&wire(&[3, 1, 0x4000, 2, 1, 2345, 6700]), 2), Some(-1_234_567));
        // 0.0001 at scale 4, and zero
        assert_eq!(numeric(&wire(&[1, 0xffff, 0, 4, 1]), 4), Some(1));
        assert_eq!(numeric(&wire(&[0, 0, 0, 2]), 2), Some(0));
        // 100000000 = 1 with weight 2
        assert_eq!(numeric(&wire(&[1, 2, 0, 0, 1]), 0), Some(100_000_000));
        // NaN
        assert_eq!(numeric(&wire(&[0, 0, 0xc000, 0]), 2), None);
    }
}
