//! The rows of one file behind its header.

use std::io::Read;

use memchr::memchr;

use super::batch::Batch;
use super::dialect::Dialect;
use super::kinds::{Kind, kind};
use super::layout::Layout;
use super::records::{Cut, Fields, Flaw};
use super::tally::Tally;
use super::window::Window;
use crate::error::SourceError;
use crate::formats::encoding::{Undecoded, unreadable};
use crate::formats::sink::{Sink, Stop};

/// Text of a line that is set aside.
const SHOWN: usize = 64 << 10;
/// So many lines with undecodable bytes, and more than half of all, mean another encoding.
const UNDECODED_LINES: u64 = 100;

/// Text of a file behind its header, and the places in it that stand for undecodable bytes.
pub(super) struct Text<R> {
    pub(super) window: Window<R>,
    pub(super) undecoded: Undecoded,
    pub(super) encoding: &'static str,
}

/// What means no value.
pub(super) struct Nulls {
    /// Unquoted texts.
    pub(super) texts: Vec<Vec<u8>>,
    /// They are the default one, which starts with a backslash.
    pub(super) default: bool,
    /// Missing last fields, too.
    pub(super) padding: bool,
}

pub(super) struct Body<R> {
    window: Window<R>,
    undecoded: Undecoded,
    encoding: &'static str,
    dialect: Dialect,
    layout: Layout,
    nulls: Nulls,
    fields: Fields,
    batch: Batch,
    tally: Tally,
    line: u64,
    /// First column whose values are numbers or times.
    typed: Option<usize>,
}

/// A header among the rows.
enum Second {
    Again,
    Other,
}

impl<R: Read> Body<R> {
    pub(super) fn new(text: Text<R>, dialect: Dialect, layout: Layout, nulls: Nulls) -> Self {
        let width = layout.names.len();
        Body {
            window: text.window,
            undecoded: text.undecoded,
            encoding: text.encoding,
            fields: Fields::new(width + layout.extra.max(1)),
            batch: Batch::new(width),
            tally: Tally::new(width, layout.header.is_some()),
            line: 1,
            typed: layout.kinds.iter().position(|k| matches!(k, Kind::Number | Kind::Time)),
            dialect,
            layout,
            nulls,
        }
    }

    pub(super) fn run(mut self, first_line: u64, sink: &mut Sink) -> Result<(), Stop> {
        self.line = first_line;
        let most = store::limits().record_bytes;
        let mut bad = self.pass();
        loop {
            let cut = self.dialect.cut(self.window.rest(), self.window.ended, &mut self.fields);
            let (bytes, lines) = match cut {
                Cut::More if self.window.ended => break,
                Cut::More if self.window.rest().len() < most => {
                    self.window
                        .more()
                        .map_err(|e| unreadable(e).about(&format!("near line {}", self.line)))?;
                    bad = self.pass();
                    continue;
                }
                Cut::More => {
                    self.endless(most, sink)?;
                    bad = self.pass();
                    continue;
                }
                Cut::Record { bytes, width, lines } if lines > 1 && self.swallows(bytes, width) => {
                    let first = self.dialect.first_line(self.window.rest()).unwrap_or(bytes);
                    self.flawed(first, Flaw::OpenQuote(self.quoted_column()), sink)?;
                    (first, 1)
                }
                Cut::Record { bytes, .. } | Cut::Flawed { bytes, .. }
                    if bad < self.window.offset + bytes as u64 =>
                {
                    (bytes, self.undecodable(bytes, sink)?)
                }
                Cut::Record { bytes, width, lines } => {
                    self.record(bytes, width, sink)?;
                    (bytes, lines)
                }
                Cut::Flawed { bytes, flaw } => {
                    self.flawed(bytes, flaw, sink)?;
                    (bytes, 1)
                }
            };
            self.window.take(bytes);
            self.line += lines;
            if bad < self.window.offset {
                bad = self.pass();
            }
        }
        self.batch.flush(sink)?;
        self.tally.tell(self.line, sink);
        Ok(())
    }

    #[inline]
    fn record(&mut self, bytes: usize, width: usize, sink: &mut Sink) -> Result<(), Stop> {
        let record = &self.window.rest()[..bytes];
        let columns = self.layout.names.len();
        let first = self.fields.list.first();
        let quoted = first.is_some_and(|f| f.quoted);
        if self.dialect.comment.is_some() && !quoted && self.dialect.comment == record.first().copied() {
            return Ok(());
        }
        // An empty line, or one of only delimiters, is no row.
        if first.is_none_or(|f| !f.quoted && f.raw(record).trim_ascii().is_empty())
            && self.fields.list.iter().all(|f| !f.quoted && f.raw(record).trim_ascii().is_empty())
            && width <= self.fields.list.len()
        {
            return Ok(());
        }
        if width != columns && !self.fits(record, width) {
            return self.odd(bytes, width, sink);
        }
        if bytes > store::limits().value_bytes
            && let Some(long) = self.fields.list.iter().find(|f| f.len() > store::limits().value_bytes)
        {
            let reason = format!(
                "a value of {} bytes; `limits.value_bytes` of guanlan.yaml allows {}",
                long.len(),
                store::limits().value_bytes
            );
            return self.aside(bytes, reason, sink);
        }
        match self.second_header(record) {
            None => {}
            Some(Second::Again) => {
                self.tally.repeated(self.line);
                return self.aside(bytes, "the header again".into(), sink);
            }
            Some(Second::Other) => {
                self.tally.second(self.line);
                return self.aside(bytes, "it looks like the header of a second table".into(), sink);
            }
        }
        let nulls: &[Vec<u8>] =
            if self.nulls.default && memchr(b'\\', record).is_none() { &[] } else { &self.nulls.texts };
        self.batch.push(record, &self.fields, &self.dialect, nulls, self.line as i64);
        self.tally.kept();
        if self.batch.is_full() { self.batch.flush(sink) } else { Ok(()) }
    }

    /// Whether a row that is not as wide as the table may stand in it.
    fn fits(&self, record: &[u8], width: usize) -> bool {
        let columns = self.layout.names.len();
        if width < columns {
            return self.nulls.padding;
        }
        width <= columns + self.layout.extra
            && self
                .fields
                .list
                .iter()
                .skip(columns)
                .all(|f| !f.quoted && f.raw(record).trim_ascii().is_empty())
    }

    fn odd(&mut self, bytes: usize, width: usize, sink: &mut Sink) -> Result<(), Stop> {
        let columns = self.layout.names.len();
        let has = if self.layout.header.is_some() { "the header has" } else { "the table has" };
        let reason = match width {
            1 => format!("1 field where {has} {columns}"),
            n => format!("{n} fields where {has} {columns}"),
        };
        self.tally.odd(width, self.line);
        self.aside(bytes, reason, sink)
    }

    /// Whether a row as wide as the table is the header again, or that of another table.
    #[inline]
    fn second_header(&self, record: &[u8]) -> Option<Second> {
        let header = self.layout.header.as_ref()?;
        let fields = &self.fields.list;
        let (first, raw) = (header.first()?, fields.first()?);
        if raw.len() >= first.len()
            && raw.value(record, &self.dialect).as_ref() == first.as_slice()
            && fields.len() >= header.len()
            && header.iter().zip(fields).all(|(h, f)| f.value(record, &self.dialect).as_ref() == h.as_slice())
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

    /// Whether a record of several lines is rather several rows between stray quotes: its lines have the
    /// table's fields, of the kinds that the columns have.
    fn swallows(&self, bytes: usize, width: usize) -> bool {
        let columns = self.layout.names.len();
        if columns < 2 {
            return false;
        }
        let record = &self.window.rest()[..bytes];
        let (mut at, mut likes) = (0, Vec::new());
        while at < record.len() && likes.len() < 10_000 {
            let line = &record[at..];
            let end = self.dialect.first_line(line).unwrap_or(line.len());
            likes.push(self.is_row_alone(&line[..end]));
            at += end;
        }
        let (Some(first), Some(last)) = (likes.first(), likes.last()) else { return false };
        let inner = likes.len().saturating_sub(2);
        let alike = likes.iter().skip(1).take(inner).filter(|like| **like).count();
        if width < columns || width > columns + self.layout.extra {
            // A row that fits nowhere: what it swallowed is read for itself.
            return alike > 0 || *last;
        }
        let proven = self.typed.is_some() || (inner > 0 && columns > 2);
        proven && *first && *last && alike * 5 >= inner * 4
    }

    /// Whether a line alone is a row of the table, its quotes taken as such or as text.
    fn is_row_alone(&self, line: &[u8]) -> bool {
        let columns = self.layout.names.len();
        let plain = Dialect { quote: None, escape: None, padded: false, ..self.dialect.clone() };
        [&self.dialect, &plain].into_iter().any(|dialect| {
            let mut fields = Fields::new(columns);
            let Cut::Record { width, .. } = dialect.cut(line, true, &mut fields) else { return false };
            let fits = |(field, wanted): (&super::records::Field, &Kind)| {
                let value = field.raw(line).trim_ascii();
                let value = value.strip_prefix(b"\"").unwrap_or(value);
                let found = kind(value.strip_suffix(b"\"").unwrap_or(value));
                !matches!(wanted, Kind::Number | Kind::Time) || found == *wanted || found == Kind::Empty
            };
            width == columns && fields.list.iter().zip(&self.layout.kinds).all(fits)
        })
    }

    fn quoted_column(&self) -> usize {
        self.fields.list.iter().position(|f| f.quoted).unwrap_or(0)
    }

    fn flawed(&mut self, bytes: usize, flaw: Flaw, sink: &mut Sink) -> Result<(), Stop> {
        let named = |column: usize| match self.layout.names.get(column) {
            Some(name) => format!("`{name}`"),
            None => format!("field {}", column + 1),
        };
        let reason = match flaw {
            Flaw::AfterQuote(column) => format!("characters after the closing quote of {}", named(column)),
            Flaw::OpenQuote(column) => format!("a quote opens {} and does not close it", named(column)),
            Flaw::Return => "a carriage return inside the line".to_owned(),
        };
        if flaw != Flaw::Return {
            self.tally.quote(self.line);
        }
        self.aside(bytes, reason, sink)
    }

    /// Sets a line aside, its text as it stands in the file.
    fn aside(&mut self, bytes: usize, reason: String, sink: &mut Sink) -> Result<(), Stop> {
        let line = &self.window.rest()[..bytes];
        let end = line.len() - line.iter().rev().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        // Cut by the sink at the same bound, but without a copy of a line of many MiB.
        let text = String::from_utf8_lossy(&line[..end.min(SHOWN + 4)]);
        self.tally.aside();
        sink.reject(self.line as i64, reason, &text)
    }

    /// Forgets the undecodable places that were passed; answers where the next one is.
    fn pass(&self) -> u64 {
        let mut places = self.undecoded.borrow_mut();
        while places.front().is_some_and(|bad| bad.until <= self.window.offset) {
            places.pop_front();
        }
        // Places that were not remembered one by one may reach on.
        if let Some(first) = places.front_mut() {
            first.at = first.at.max(self.window.offset);
        }
        places.front().map_or(u64::MAX, |bad| bad.at)
    }

    /// Sets a record with undecodable bytes aside; answers its lines.
    fn undecodable(&mut self, bytes: usize, sink: &mut Sink) -> Result<u64, Stop> {
        let Some(first) = self.undecoded.borrow().front().cloned() else { return Ok(0) };
        self.tally.undecoded += 1;
        if self.tally.undecoded >= UNDECODED_LINES && self.tally.undecoded * 2 > self.tally.rows() {
            return Err(first.refusal(self.encoding).into());
        }
        self.aside(bytes, first.reason(self.encoding), sink)?;
        let record = &self.window.rest()[..bytes];
        Ok(memchr::memchr_iter(self.dialect.end, record).count().max(1) as u64)
    }

    /// A record longer than a record may be: its first line is set aside, whether a quote in it is never
    /// closed or it has no end itself.
    fn endless(&mut self, most: usize, sink: &mut Sink) -> Result<(), Stop> {
        if let Some(bytes) = self.dialect.first_line(self.window.rest()) {
            self.flawed(bytes, Flaw::OpenQuote(self.fields.list.len()), sink)?;
            self.window.take(bytes);
            self.line += 1;
            return Ok(());
        }
        let reason = format!("a line longer than {} MiB (`limits.record_bytes` of guanlan.yaml)", most >> 20);
        self.aside(self.window.rest().len().min(SHOWN), reason, sink)?;
        loop {
            if let Some(bytes) = self.dialect.first_line(self.window.rest()) {
                self.window.take(bytes);
                break;
            }
            self.window.take(self.window.rest().len());
            if self.window.ended {
                break;
            }
            self.window.more().map_err(unreadable).map_err(SourceError::from)?;
        }
        self.line += 1;
        Ok(())
    }
}
