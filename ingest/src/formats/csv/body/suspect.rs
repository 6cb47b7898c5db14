//! Records that are well formed and yet no rows of the table: a header again, rows between stray quotes.

use std::io::Read;

use encoding_rs::Encoding;
use memchr::memchr;

use super::Body;
use crate::formats::csv::dialect::Dialect;
use crate::formats::csv::kinds::{Kind, kind};
use crate::formats::csv::records::{Cut, Field, Fields};
use crate::formats::sink::Stop;

/// A header among the rows.
pub(super) enum Second {
    Again,
    Other,
}

impl<R: Read> Body<R> {
    /// Whether a row as wide as the table is the header again, or that of another table.
    #[inline]
    pub(super) fn second_header(&self, record: &[u8]) -> Option<Second> {
        let header = self.layout.header.as_ref()?;
        let fields = &self.fields.list;
        let (first, raw) = (header.first()?, fields.first()?);
        let is = |h: &Vec<u8>, f: &Field| {
            let value = f.value(record, &self.dialect);
            // Files joined byte by byte keep their marks.
            value.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&value) == h.as_slice()
        };
        if raw.len() >= first.len()
            && is(first, raw)
            && fields.len() >= header.len()
            && header.iter().zip(fields).all(|(h, f)| is(h, f))
        {
            return Some(Second::Again);
        }
        let typed = fields.get(self.typed?)?.raw(record);
        let letter = typed.first().is_some_and(|b| b.is_ascii_alphabetic() || !b.is_ascii());
        (letter && self.looks_like_header(record)).then_some(Second::Other)
    }

    /// Different words in every field, also where the rows have numbers and times.
    fn looks_like_header(&self, record: &[u8]) -> bool {
        let cells: Vec<_> = self.fields.list.iter().map(|f| f.value(record, &self.dialect)).collect();
        let typed = self.layout.kinds.iter().filter(|k| matches!(k, Kind::Number | Kind::Time)).count();
        let mut seen = std::collections::HashSet::new();
        (typed >= 2 || typed == self.layout.kinds.len())
            && cells.len() >= 2
            && cells.iter().all(|c| kind(c) == Kind::Text && c.len() <= 60 && seen.insert(c.as_ref()))
    }

    /// Whether a record of a file in two-byte characters was UTF-8 before it was decoded: files of two encodings were
    /// joined. The bytes of a line that are whole characters of both, and everyday ones of UTF-8, are no accident.
    pub(super) fn was_utf8(&self, record: &[u8]) -> bool {
        if record.is_ascii() || !matches!(self.encoding, "gb18030" | "GBK" | "Big5") {
            return false;
        }
        let (Some(encoding), Ok(text)) =
            (Encoding::for_label(self.encoding.as_bytes()), std::str::from_utf8(record))
        else {
            return false;
        };
        let (bytes, _, unmapped) = encoding.encode(text);
        let Ok(before) = std::str::from_utf8(&bytes) else { return false };
        let everyday = |c: char| matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}');
        let foreign = || before.chars().filter(|c| !c.is_ascii());
        !unmapped && foreign().count() > 1 && foreign().all(everyday)
    }

    /// Whether the record behind `bytes` has numbers and times again wherever the table has them. Only then are words
    /// between them no row; else the table may hold words there as well, and the row stays.
    pub(super) fn goes_on_typed(&mut self, bytes: usize) -> Result<bool, Stop> {
        loop {
            let mut fields = Fields::new(self.layout.names.len());
            let rest = &self.window.rest()[bytes..];
            match self.dialect.cut(rest, self.window.ended, &mut fields) {
                Cut::More if !self.window.ended && rest.len() < store::limits().record_bytes => {
                    self.more()?
                }
                Cut::Record { width, .. } => {
                    let pairs = fields.list.iter().zip(&self.layout.kinds);
                    let typed = pairs.filter(|(_, wanted)| matches!(wanted, Kind::Number | Kind::Time));
                    let found: Vec<_> =
                        typed.map(|(f, wanted)| (kind(&f.value(rest, &self.dialect)), wanted)).collect();
                    let alike = found.iter().filter(|(found, wanted)| found == *wanted).count();
                    let empty = found.iter().filter(|(found, _)| *found == Kind::Empty).count();
                    // A gap is no contradiction, yet gaps alone prove nothing.
                    return Ok(width == self.layout.names.len()
                        && alike + empty == found.len()
                        && alike > empty);
                }
                _ => return Ok(false),
            }
        }
    }

    /// Whether a record of several lines is rather several rows between stray quotes: its lines have the
    /// table's fields, of the kinds that the columns have.
    pub(super) fn swallows(&self, bytes: usize, width: usize) -> bool {
        let columns = self.layout.names.len();
        if columns < 2 {
            return false;
        }
        let record = &self.window.rest()[..bytes];
        let plain = Dialect { quote: None, escape: None, padded: false, ..self.dialect.clone() };
        let (mut at, mut likes, mut clean) = (0, Vec::new(), Vec::new());
        while at < record.len() && likes.len() < 10_000 {
            let line = &record[at..];
            let end = self.dialect.first_line(line).unwrap_or(line.len());
            let line = &line[..end];
            likes.push(
                self.is_row_alone(&self.dialect, line, false) || self.is_row_alone(&plain, line, false),
            );
            clean.push(likes.last() == Some(&true) && self.is_row_alone(&self.dialect, line, true));
            at += end;
        }
        let (Some(first), Some(last)) = (likes.first(), likes.last()) else { return false };
        let inner = likes.len().saturating_sub(2);
        let between = clean.iter().skip(1).take(inner).any(|clean| *clean);
        // The line that closes a text has a quote behind its first characters: a row of its own has none.
        if clean.last() == Some(&true) || (between && columns > 2 && self.typed.is_some()) {
            return true;
        }
        let alike = likes.iter().skip(1).take(inner).filter(|like| **like).count();
        if width < columns || width > columns + self.layout.extra {
            // A row that fits nowhere: what it swallowed is read for itself.
            return alike > 0 || *last;
        }
        let proven = self.typed.is_some() || (inner > 0 && columns > 2);
        proven && *first && *last && alike * 5 >= inner * 4
    }

    /// Whether a line alone is a row of the table; `clean`: without a quote inside an unquoted field.
    fn is_row_alone(&self, dialect: &Dialect, line: &[u8], clean: bool) -> bool {
        let columns = self.layout.names.len();
        let mut fields = Fields::new(columns);
        let Cut::Record { width, .. } = dialect.cut(line, true, &mut fields) else { return false };
        let fits = |(field, wanted): (&Field, &Kind)| {
            let value = field.raw(line).trim_ascii();
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            let found = kind(value.strip_suffix(b"\"").unwrap_or(value));
            !matches!(wanted, Kind::Number | Kind::Time) || found == *wanted || found == Kind::Empty
        };
        let stray =
            |f: &Field| !f.quoted && dialect.quote.is_some_and(|quote| memchr(quote, f.raw(line)).is_some());
        width == columns
            && fields.list.iter().zip(&self.layout.kinds).all(fits)
            && !(clean && fields.list.iter().any(stray))
    }

    pub(super) fn quoted_column(&self) -> usize {
        self.fields.list.iter().position(|f| f.quoted).unwrap_or(0)
    }
}
