//! The binary copy format → cells.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>: a header, then per row a 16-bit field count
//! and per field a 32-bit length (−1 is NULL) with big-endian bytes; a count of −1 ends it.

use encoding_rs::Encoding;

use super::catalogue::{Column, Wire};
use super::value::put;
use crate::error::SourceError;
use crate::ledger::Changes;
use crate::sources::sql::columns::Table;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Cuts a byte stream into rows.
pub(super) struct Decoder {
    columns: Vec<Column>,
    buffer: Vec<u8>,
    at: usize,
    started: bool,
    /// The end mark was seen.
    pub(super) ended: bool,
    encoding: Option<&'static Encoding>,
    rows: u64,
}

impl Decoder {
    /// A decoder of these columns and one more: the places of values that stayed at the server.
    pub(super) fn new(columns: Vec<Column>, encoding: Option<&'static Encoding>) -> Self {
        Decoder { columns, buffer: Vec::new(), at: 0, started: false, ended: false, encoding, rows: 0 }
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
    pub(super) fn row(&mut self, table: &mut Table, changes: &mut Changes) -> Result<bool, SourceError> {
        if !self.started && !self.start()? {
            return Ok(false);
        }
        let rest = &self.buffer[self.at..];
        let Some(count) = rest.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)) else { return Ok(false) };
        if count == -1 {
            self.ended = true;
            return Ok(false);
        }
        if count as usize != self.columns.len() + 1 {
            return Err(SourceError::later(format!(
                "PostgreSQL sent {count} fields instead of {}; the table changed while it was read",
                self.columns.len() + 1
            )));
        }
        // The whole row must be here before the first cell is written.
        let Some(length) = row_length(rest, self.columns.len() + 1) else { return Ok(false) };
        self.rows += 1;
        let number = self.rows;
        let mut at = 2;
        let mut field = || {
            let size = i32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            at += 4;
            let bytes = usize::try_from(size).ok().map(|size| &rest[at..at + size]);
            at += bytes.map_or(0, <[u8]>::len);
            bytes
        };
        let first = self.columns.first().zip(rest.get(6..)).map(|(column, bytes)| {
            let size = i32::from_be_bytes([rest[2], rest[3], rest[4], rest[5]]);
            told_first(column, usize::try_from(size).ok().and_then(|size| bytes.get(..size)))
        });
        let place = |value: &str| format!("row {number}{}: {value}", first.clone().unwrap_or_default());
        for (column, cells) in self.columns.iter().zip(&mut table.cells) {
            match field() {
                None => cells.null(),
                Some(bytes) => {
                    if let Some((how, value)) = put(column, cells, bytes, self.encoding)? {
                        changes.note(&column.name, &how, || place(&value));
                    }
                }
            }
        }
        let flags = field().and_then(|f| std::str::from_utf8(f).ok()).unwrap_or_default();
        for column in flags.split(',').filter_map(|f| self.columns.get(f.parse::<usize>().ok()?)) {
            let how = format!("NULL: larger than `limits.value_bytes` ({})", store::limits().value_bytes);
            changes.note(&column.name, &how, || place("too large"));
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

/// The first column of a row for people, when it is a whole number or a short text.
fn told_first(column: &Column, bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes.filter(|b| b.len() <= 40) else { return String::new() };
    let value = match (column.wire, bytes) {
        (Wire::Int2, [a, b]) => i16::from_be_bytes([*a, *b]).to_string(),
        (Wire::Int4, [a, b, c, d]) => i32::from_be_bytes([*a, *b, *c, *d]).to_string(),
        (Wire::Int8, bytes) => match bytes.try_into() {
            Ok(bytes) => i64::from_be_bytes(bytes).to_string(),
            Err(_) => return String::new(),
        },
        (Wire::Text | Wire::Cast, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => return String::new(),
    };
    format!(", {} {value}", column.name)
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
