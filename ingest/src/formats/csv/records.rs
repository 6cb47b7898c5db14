//! Bytes → records, seen raw: what RFC 4180 does not allow is a flaw of its line and never moves a field.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2, memchr3_iter};

use super::dialect::Dialect;

/// Where a field stands in its record, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    start: u32,
    end: u32,
    pub(super) quoted: bool,
    /// Holds doubled quotes or escapes, so that its value is not its bytes.
    escaped: bool,
}

/// Why a line is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Text between a closing quote and the next delimiter, in this field (from 0).
    AfterQuote(usize),
    /// A quote that opens in this field (from 0) is never closed.
    OpenQuote(usize),
    /// A carriage return that ends no line.
    Return,
}

/// What stands at the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record: bytes with its line end, fields (those beyond the bound are only counted), lines.
    Record { bytes: usize, width: usize, lines: u64 },
    /// Its first line, which cannot be read as a record.
    Flawed { bytes: usize, flaw: Flaw },
    /// A line that is no row.
    Comment { bytes: usize },
    /// The record goes on behind the buffer.
    More,
}

/// Takes the fields of a record, those up to a bound.
pub(super) struct Fields {
    pub(super) list: Vec<Field>,
    width: usize,
    most: usize,
}

impl Fields {
    pub(super) fn new(most: usize) -> Self {
        Fields { list: Vec::new(), width: 0, most }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.width = 0;
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, quoted: bool, escaped: bool) {
        self.width += 1;
        if self.width <= self.most {
            // A record is at most some MiB: see `limits().record_bytes`.
            self.list.push(Field { start: start as u32, end: end as u32, quoted, escaped });
        }
    }
}

impl Field {
    pub(super) fn raw<'b>(&self, record: &'b [u8]) -> &'b [u8] {
        &record[self.start as usize..self.end as usize]
    }

    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// The value: without doubled quotes and escapes.
    #[inline]
    pub(super) fn value<'b>(&self, record: &'b [u8], dialect: &Dialect) -> Cow<'b, [u8]> {
        let raw = self.raw(record);
        if !self.escaped {
            return Cow::Borrowed(raw);
        }
        let mut out = Vec::with_capacity(raw.len());
        let mut rest = raw.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            let next = rest.peek().copied();
            let takes = match next {
                Some(next) if Some(byte) == dialect.escape => dialect.has_meaning(next),
                Some(next) => self.quoted && Some(byte) == dialect.quote && next == byte,
                None => false,
            };
            out.push(if takes { rest.next().unwrap_or(byte) } else { byte });
        }
        Cow::Owned(out)
    }
}

impl Dialect {
    /// Bytes that an escape takes the meaning of; before others it is text, as in `C:\new`.
    fn has_meaning(&self, byte: u8) -> bool {
        byte == self.delimiter
            || Some(byte) == self.quote
            || Some(byte) == self.escape
            || matches!(byte, b'\n' | b'\r')
    }

    /// Cuts the first record off a buffer; `last`: nothing follows the buffer.
    pub(super) fn cut(&self, buffer: &[u8], last: bool, fields: &mut Fields) -> Cut {
        fields.clear();
        if self.escape.is_some() || self.padded {
            return self.cut_slowly(buffer, 0, last, fields);
        }
        let quote = self.quote.unwrap_or(self.delimiter);
        let mut start = 0;
        for hit in memchr3_iter(self.delimiter, quote, self.end, buffer) {
            let byte = buffer[hit];
            if byte == self.delimiter {
                fields.push(start, hit, false, false);
                start = hit + 1;
            } else if byte == self.end {
                return self.finish(buffer, start, hit, fields);
            } else if hit == start {
                return self.cut_slowly(buffer, start, last, fields);
            }
            // A quote inside an unquoted field is text, such as an inch mark.
        }
        match last {
            true if !buffer.is_empty() => self.finish(buffer, start, buffer.len(), fields),
            _ => Cut::More,
        }
    }

    /// Ends a record with an unquoted field; `end` is where the line end stands.
    fn finish(&self, buffer: &[u8], start: usize, end: usize, fields: &mut Fields) -> Cut {
        let bytes = (end + 1).min(buffer.len());
        let text = match buffer[..end].last() {
            Some(b'\r') if self.end == b'\n' && end > start => end - 1,
            _ => end,
        };
        fields.push(start, text, false, false);
        if self.end == b'\n' && memchr(b'\r', &buffer[..text]).is_some() {
            return self.flawed(buffer, true, Flaw::Return);
        }
        Cut::Record { bytes, width: fields.width, lines: 1 }
    }

    /// Only the first line is given up; what follows it is read anew.
    fn flawed(&self, buffer: &[u8], last: bool, flaw: Flaw) -> Cut {
        match memchr(self.end, buffer) {
            Some(at) => Cut::Flawed { bytes: at + 1, flaw },
            None if last => Cut::Flawed { bytes: buffer.len(), flaw },
            None => Cut::More,
        }
    }

    /// The line that a record which never ends starts on, when it is complete.
    pub(super) fn first_line(&self, buffer: &[u8]) -> Option<usize> {
        memchr(self.end, buffer).map(|at| at + 1)
    }

    /// Field by field from `at`: quotes, escapes, spaces behind delimiters.
    fn cut_slowly(&self, buffer: &[u8], mut at: usize, last: bool, fields: &mut Fields) -> Cut {
        if buffer.is_empty() {
            return Cut::More;
        }
        loop {
            let mut start = at;
            if self.padded {
                start += buffer[at..].iter().take_while(|b| **b == b' ').count();
            }
            let ended = if self.quote.is_some() && buffer.get(start) == self.quote.as_ref() {
                self.quoted(buffer, start, last, fields)
            } else {
                self.unquoted(buffer, start, last, fields)
            };
            match ended {
                Ended::Field(next) => at = next,
                Ended::Record(bytes) => return self.whole(buffer, bytes, fields),
                Ended::More => return Cut::More,
                Ended::Flawed(flaw) => return self.flawed(buffer, last, flaw),
            }
        }
    }

    fn whole(&self, buffer: &[u8], bytes: usize, fields: &Fields) -> Cut {
        let ends = memchr_iter(self.end, &buffer[..bytes]).count() as u64;
        let lines = if buffer[..bytes].last() == Some(&self.end) { ends } else { ends + 1 };
        if self.end == b'\n'
            && fields.list.iter().any(|f| !f.quoted && memchr(b'\r', f.raw(buffer)).is_some())
        {
            return self.flawed(buffer, true, Flaw::Return);
        }
        Cut::Record { bytes, width: fields.width, lines }
    }

    fn quoted(&self, buffer: &[u8], start: usize, last: bool, fields: &mut Fields) -> Ended {
        let quote = buffer[start];
        let column = fields.width;
        let mut from = start + 1;
        let mut escaped = false;
        let close = loop {
            let hit = match self.escape {
                Some(escape) => memchr2(quote, escape, &buffer[from..]),
                None => memchr(quote, &buffer[from..]),
            };
            let Some(hit) = hit.map(|hit| from + hit) else {
                return if last { Ended::Flawed(Flaw::OpenQuote(column)) } else { Ended::More };
            };
            match buffer.get(hit + 1) {
                None if !last => return Ended::More,
                Some(_) if buffer[hit] != quote => (escaped, from) = (true, hit + 2),
                None if buffer[hit] != quote => return Ended::Flawed(Flaw::OpenQuote(column)),
                Some(next) if *next == quote => (escaped, from) = (true, hit + 2),
                _ => break hit,
            }
        };
        let mut next = close + 1;
        if self.delimiter != b' ' {
            next += buffer[next..].iter().take_while(|b| **b == b' ').count();
        }
        let ended = match (buffer.get(next), buffer.get(next + 1)) {
            (None, _) if last => Ended::Record(next),
            (None, _) => Ended::More,
            (Some(byte), _) if *byte == self.delimiter => Ended::Field(next + 1),
            (Some(byte), _) if *byte == self.end => Ended::Record(next + 1),
            (Some(b'\r'), Some(b'\n')) => Ended::Record(next + 2),
            (Some(b'\r'), None) if last => Ended::Record(next + 1),
            (Some(b'\r'), None) => Ended::More,
            _ => Ended::Flawed(Flaw::AfterQuote(column)),
        };
        if matches!(ended, Ended::Field(_) | Ended::Record(_)) {
            fields.push(start + 1, close, true, escaped);
        }
        ended
    }

    fn unquoted(&self, buffer: &[u8], start: usize, last: bool, fields: &mut Fields) -> Ended {
        let mut from = start;
        let mut escaped = false;
        loop {
            let hit = match self.escape {
                Some(escape) => memchr::memchr3(self.delimiter, self.end, escape, &buffer[from..]),
                None => memchr2(self.delimiter, self.end, &buffer[from..]),
            };
            let Some(hit) = hit.map(|hit| from + hit) else {
                if !last {
                    return Ended::More;
                }
                fields.push(start, buffer.len(), false, escaped);
                return Ended::Record(buffer.len());
            };
            if buffer[hit] == self.delimiter {
                fields.push(start, hit, false, escaped);
                return Ended::Field(hit + 1);
            }
            if buffer[hit] == self.end {
                let cr = self.end == b'\n' && hit > start && buffer[hit - 1] == b'\r';
                fields.push(start, if cr { hit - 1 } else { hit }, false, escaped);
                return Ended::Record(hit + 1);
            }
            match buffer.get(hit + 1) {
                None if !last => return Ended::More,
                None => from = hit + 1,
                Some(next) if self.has_meaning(*next) => (escaped, from) = (true, hit + 2),
                Some(_) => from = hit + 1,
            }
        }
    }
}

/// How a field ended.
enum Ended {
    /// At a delimiter; the next field starts here.
    Field(usize),
    /// With its record of this many bytes.
    Record(usize),
    More,
    Flawed(Flaw),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of every record, or the flaw of a line.
    fn read(dialect: &Dialect, text: &str) -> Vec<Result<Vec<String>, Flaw>> {
        let (mut rest, mut fields, mut out) = (text.as_bytes(), Fields::new(100), Vec::new());
        while !rest.is_empty() {
            match dialect.cut(rest, true, &mut fields) {
                Cut::Record { bytes, .. } => {
                    let value = |f: &Field| String::from_utf8(f.value(rest, dialect).into_owned()).unwrap();
                    out.push(Ok(fields.list.iter().map(value).collect()));
                    rest = &rest[bytes..];
                }
                Cut::Flawed { bytes, flaw } => {
                    out.push(Err(flaw));
                    rest = &rest[bytes..];
                }
                other => panic!("{other:?}: the buffer is the last"),
            }
        }
        out
    }

    fn row(values: &[&str]) -> Result<Vec<String>, Flaw> {
        Ok(values.iter().map(|v| v.to_string()).collect())
    }

    #[test]
    fn rfc_4180_and_its_flaws() {
        let plain = Dialect::plain();
        type Cut = Result<Vec<String>, Flaw>;
        let cases: [(&str, Vec<Cut>); 10] = [
            ("a,b\r\nc,\r\n", vec![row(&["a", "b"]), row(&["c", ""])]),
            ("\"a,\"\"x\"\"\n\",b", vec![row(&["a,\"x\"\n", "b"])]),
            ("a,15\" disk,c\n", vec![row(&["a", "15\" disk", "c"])]),
            ("\"\",\"\"\n,\n", vec![row(&["", ""]), row(&["", ""])]),
            ("a,\"b\" x,c\nd,e,f\n", vec![Err(Flaw::AfterQuote(1)), row(&["d", "e", "f"])]),
            ("a,\"b\nc,d\n", vec![Err(Flaw::OpenQuote(1)), row(&["c", "d"])]),
            (
                "a,\"b\n1,2\n3,\"4\n",
                vec![Err(Flaw::AfterQuote(1)), row(&["1", "2"]), Err(Flaw::OpenQuote(1))],
            ),
            ("a\rb,c\nd,e\n", vec![Err(Flaw::Return), row(&["d", "e"])]),
            ("\"a\" ,b\n", vec![row(&["a", "b"])]),
            ("\"", vec![Err(Flaw::OpenQuote(0))]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&plain, text), expected, "{text:?}");
        }
    }

    #[test]
    fn escapes_padding_and_other_quotes() {
        let escaped = Dialect { escape: Some(b'\\'), ..Dialect::plain() };
        assert_eq!(read(&escaped, "1,\"say \\\"hi\\\", ok\",2\n"), [row(&["1", "say \"hi\", ok", "2"])]);
        assert_eq!(read(&escaped, "a\\,b,C:\\new,\\N\n"), [row(&["a,b", "C:\\new", "\\N"])]);
        let padded = Dialect { padded: true, ..Dialect::plain() };
        assert_eq!(read(&padded, "a, \"b, c\",  d\n"), [row(&["a", "b, c", "d"])]);
        let single = Dialect { quote: Some(b'\''), ..Dialect::plain() };
        assert_eq!(read(&single, "'a,b','it''s'\n"), [row(&["a,b", "it's"])]);
        let none = Dialect { quote: None, ..Dialect::plain() };
        assert_eq!(read(&none, "\"a,b\"\n"), [row(&["\"a", "b\""])]);
    }

    #[test]
    fn a_record_cut_by_the_buffer_waits_and_fields_are_bounded() {
        let (plain, mut fields) = (Dialect::plain(), Fields::new(2));
        let whole = b"a,\"b\"\r\n";
        for end in 0..whole.len() {
            assert_eq!(plain.cut(&whole[..end], false, &mut fields), Cut::More, "{end}");
        }
        assert_eq!(plain.cut(whole, false, &mut fields), Cut::Record { bytes: 7, width: 2, lines: 1 });
        assert_eq!(plain.cut(b"1,2,3,4\n", false, &mut fields), Cut::Record { bytes: 8, width: 4, lines: 1 });
        assert_eq!(fields.list.len(), 2);
    }
}
