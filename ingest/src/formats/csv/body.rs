//! The rows of one file behind its header.

mod suspect;

use std::io::Read;

use memchr::memchr;

use super::batch::Batch;
use super::dialect::Dialect;
use super::kinds::Kind;
use super::layout::Layout;
use super::records::{Cut, Fields, Flaw};
use super::tally::Tally;
use super::window::Window;
use crate::formats::encoding::{Undecoded, unreadable};
use crate::formats::sink::{Sink, Stop};
use suspect::Second;

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
    /// Where the next undecodable byte is.
    bad: u64,
    /// First column whose values are numbers or times.
    typed: Option<usize>,
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
            bad: 0,
            typed: layout.kinds.iter().position(|k| matches!(k, Kind::Number | Kind::Time)),
            dialect,
            layout,
            nulls,
        }
    }

    pub(super) fn run(mut self, first_line: u64, sink: &mut Sink) -> Result<(), Stop> {
        self.line = first_line;
        let most = store::limits().record_bytes;
        self.pass();
        loop {
            let cut = match self.comment() {
                Some(bytes) => Cut::Comment { bytes },
                None => self.dialect.cut(self.window.rest(), self.window.ended, &mut self.fields),
            };
            let (bytes, lines) = match cut {
                Cut::Comment { bytes } => (bytes, 1),
                Cut::More if self.window.ended => break,
                Cut::More if self.window.rest().len() < most => {
                    self.more()?;
                    continue;
                }
                Cut::More => {
                    self.endless(most, sink)?;
                    self.pass();
                    continue;
                }
                Cut::Record { bytes, width, lines } if lines > 1 && self.swallows(bytes, width) => {
                    let first = self.dialect.first_line(self.window.rest()).unwrap_or(bytes);
                    self.flawed(first, Flaw::OpenQuote(self.quoted_column()), sink)?;
                    (first, 1)
                }
                Cut::Record { bytes, .. } | Cut::Flawed { bytes, .. }
                    if self.bad < self.window.offset + bytes as u64 =>
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
            if self.bad < self.window.offset {
                self.pass();
            }
        }
        self.batch.flush(sink)?;
        self.tally.tell(self.line, sink);
        Ok(())
    }

    fn more(&mut self) -> Result<(), Stop> {
        self.window.more().map_err(|e| unreadable(e).about(&format!("near line {}", self.line)))?;
        self.pass();
        Ok(())
    }

    /// Bytes of a line that is a comment, when it is whole.
    #[inline]
    fn comment(&self) -> Option<usize> {
        let comment = self.dialect.comment?;
        let rest = self.window.rest();
        let line = || self.dialect.first_line(rest).or(self.window.ended.then_some(rest.len()));
        (rest.first() == Some(&comment)).then(line).flatten()
    }

    #[inline]
    fn record(&mut self, bytes: usize, width: usize, sink: &mut Sink) -> Result<(), Stop> {
        let record = &self.window.rest()[..bytes];
        let columns = self.layout.names.len();
        let first = self.fields.list.first();
        // An empty line, or one of only delimiters, is no row.
        if first.is_none_or(|f| !f.quoted && f.raw(record).trim_ascii().is_empty())
            && self.fields.list.iter().all(|f| !f.quoted && f.raw(record).trim_ascii().is_empty())
            && width <= self.fields.list.len()
        {
            return Ok(());
        }
        if self.was_utf8(record) {
            let reason = format!(
                "the line is UTF-8 and the file {}: files of two encodings were joined",
                self.encoding
            );
            return self.aside(bytes, reason, sink);
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
                if self.goes_on_typed(bytes)? {
                    return self.aside(bytes, "it looks like the header of a second table".into(), sink);
                }
            }
        }
        let record = &self.window.rest()[..bytes];
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

    /// Forgets the undecodable places that were passed.
    fn pass(&mut self) {
        let mut places = self.undecoded.borrow_mut();
        while places.front().is_some_and(|bad| bad.until <= self.window.offset) {
            places.pop_front();
        }
        // Places that were not remembered one by one may reach on.
        if let Some(first) = places.front_mut() {
            first.at = first.at.max(self.window.offset);
        }
        self.bad = places.front().map_or(u64::MAX, |bad| bad.at);
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
            self.window.more().map_err(unreadable)?;
        }
        self.line += 1;
        Ok(())
    }
}
