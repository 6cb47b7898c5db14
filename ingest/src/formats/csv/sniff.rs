//! The dialect of a file, found over a sample of it: every likely one cuts the sample, and the one that
//! makes the most regular table of the cleanest cells wins.

use super::dialect::{Choice, Choices, Dialect};
use super::kinds::{Kind, kind};
use super::records::{Cut, Fields};

/// How much of a file is looked at.
pub(super) const SAMPLE: usize = 256 << 10;
/// Records of the sample that are cut, and those whose cells are looked at.
const RECORDS: usize = 2_000;
const LOOKED_AT: usize = 200;
const DELIMITERS: [u8; 10] = [b',', b';', b'\t', b'|', 1, 0x1F, b'^', b'~', b' ', b':'];

/// A record of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Line that it starts on, from 1 at the sample's start.
    pub(super) line: u64,
    /// Offset in the sample, and bytes with the line end.
    pub(super) at: usize,
    pub(super) bytes: usize,
    /// Fields; 0 when the line is no record.
    pub(super) width: usize,
    /// Its fields' values, when it is among the first.
    pub(super) cells: Vec<Cell>,
}

/// A field of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) value: Vec<u8>,
    pub(super) quoted: bool,
    pub(super) kind: Kind,
}

impl Row {
    pub(super) fn filled(&self) -> usize {
        self.cells.iter().filter(|c| !c.value.trim_ascii().is_empty()).count()
    }

    /// An empty line, or only delimiters.
    pub(super) fn is_blank(&self) -> bool {
        self.width > 0 && self.cells.iter().all(|c| c.value.trim_ascii().is_empty() && !c.quoted)
    }
}

/// Cuts a sample; `whole`: it is the whole file, so that its last record counts.
pub(super) fn rows(sample: &[u8], whole: bool, dialect: &Dialect, most: usize) -> Vec<Row> {
    let (mut at, mut line, mut out) = (0, 1, Vec::new());
    let mut fields = Fields::new(most);
    while at < sample.len() && out.len() < RECORDS {
        let rest = &sample[at..];
        if dialect.comment == Some(rest[0]) {
            at += dialect.first_line(rest).unwrap_or(rest.len());
            line += 1;
            continue;
        }
        let (bytes, width, lines) = match dialect.cut(rest, whole, &mut fields) {
            Cut::Record { bytes, width, lines } => (bytes, width, lines),
            Cut::Flawed { bytes, .. } => (bytes, 0, 1),
            // A quote that stays open over much of the sample is no reason to look at nothing else.
            Cut::More if rest.len() > SAMPLE / 8 => match dialect.first_line(rest) {
                Some(bytes) => (bytes, 0, 1),
                None => break,
            },
            Cut::More | Cut::Comment { .. } => break,
        };
        let cells = match width {
            0 => Vec::new(),
            _ if out.len() >= LOOKED_AT => Vec::new(),
            _ => {
                fields.list.iter().map(|f| Cell::of(f.value(rest, dialect).into_owned(), f.quoted)).collect()
            }
        };
        let row = Row { line, at, bytes, width, cells };
        let blank = rest[..bytes].trim_ascii().is_empty() || (!row.cells.is_empty() && row.is_blank());
        if !blank {
            out.push(row);
        }
        at += bytes;
        line += lines;
    }
    out
}

impl Cell {
    fn of(value: Vec<u8>, quoted: bool) -> Self {
        let kind = kind(&value);
        Cell { value, quoted, kind }
    }

    /// How much this looks like one value rather than several, or part of one.
    fn clean(&self) -> f64 {
        if self.quoted || self.kind != Kind::Text {
            return 1.0;
        }
        let value = self.value.trim_ascii();
        let ends = |q: u8| value.first() == Some(&q) || value.last() == Some(&q);
        if value.contains(&b'\t') {
            -1.0
        } else if ends(b'"') || ends(b'\'') {
            0.2
        } else if value.contains(&b';') || value.contains(&b'|') {
            0.4
        } else if value.contains(&b',') {
            0.6
        } else {
            0.95
        }
    }
}

/// The most frequent width above one among rows that are records.
pub(super) fn majority(rows: &[Row]) -> Option<(usize, usize)> {
    let mut counts = std::collections::BTreeMap::<usize, usize>::new();
    for row in rows.iter().filter(|r| r.width > 0) {
        *counts.entry(row.width).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(width, count)| (*count, *width))
}

/// Finds what the definition leaves open; `ends` is the last byte of a line.
pub(super) fn sniff(sample: &[u8], whole: bool, end: u8, choices: &Choices, most: usize) -> Dialect {
    let delimiters = match choices.delimiter.byte() {
        Some(byte) => vec![byte],
        None => DELIMITERS.into_iter().filter(|d| sample.contains(d)).collect(),
    };
    let quotes = match choices.quote {
        Choice::Byte(quote) => vec![Some(quote)],
        Choice::Nothing => vec![None],
        Choice::Auto if sample.contains(&b'\'') => vec![Some(b'"'), Some(b'\'')],
        Choice::Auto => vec![Some(b'"')],
    };
    let plain = Dialect {
        delimiter: choices.delimiter.byte().unwrap_or(b','),
        quote: quotes[0],
        escape: choices.escape.byte(),
        end,
        padded: false,
        comment: choices.comment,
    };
    let mut best = (0.0, plain);
    for delimiter in delimiters {
        for quote in quotes.iter().copied().filter(|q| *q != Some(delimiter)) {
            let escapes = match (choices.escape, quote) {
                (Choice::Byte(escape), _) => vec![Some(escape)],
                (Choice::Auto, Some(quote)) if escapes(sample, quote) || escapes(sample, delimiter) => {
                    vec![None, Some(b'\\')]
                }
                _ => vec![None],
            };
            for escape in escapes {
                let bare = Dialect { delimiter, quote, escape, ..best.1.clone() };
                let bare = Dialect { padded: false, ..bare };
                let padded = Dialect { padded: true, ..bare.clone() };
                let spaced = delimiter != b' ' && contains(sample, &[delimiter, b' ']);
                for dialect in std::iter::once(bare).chain(spaced.then_some(padded)) {
                    let score = score(sample, whole, &dialect, choices, most);
                    if score > best.0 + 1e-9 {
                        best = (score, dialect);
                    }
                }
            }
        }
    }
    best.1
}

fn escapes(sample: &[u8], byte: u8) -> bool {
    contains(sample, &[b'\\', byte])
}

fn contains(sample: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(sample, what).is_some()
}

fn score(sample: &[u8], whole: bool, dialect: &Dialect, choices: &Choices, most: usize) -> f64 {
    let rows = rows(sample, whole, dialect, most);
    let given = choices.delimiter.byte().is_some();
    let Some((width, count)) = majority(&rows) else { return 0.0 };
    if width < 2 && !given {
        return 0.0;
    }
    if dialect.padded && !all_padded(sample, &rows, dialect) {
        return 0.0;
    }
    if matches!(dialect.delimiter, b' ' | b':') && !given && !holds_weakly(&rows, width, dialect.delimiter) {
        return 0.0;
    }
    let fit = count as f64 / rows.len() as f64;
    let cells: Vec<f64> =
        rows.iter().filter(|r| r.width == width).flat_map(|r| &r.cells).map(Cell::clean).collect();
    let clean = cells.iter().sum::<f64>() / cells.len().max(1) as f64;
    let quoted = rows.iter().flat_map(|r| &r.cells).any(|c| c.quoted);
    // Of equals: the common quote, no escape; padding only where it explains every space.
    let rare = match (dialect.quote, dialect.escape) {
        (Some(b'\''), _) if !quoted => 0.9,
        (Some(b'\''), _) => 0.995,
        (_, Some(_)) => 0.999,
        _ => 1.0,
    };
    let padding = if dialect.padded { 1.02 } else { 1.0 };
    let weak = if matches!(dialect.delimiter, b' ' | b':') { 0.8 } else { 1.0 };
    let columns = 1.0 - 0.5 / width as f64;
    (fit * fit * clean.max(0.01) * columns * rare * padding * weak).max(1e-6)
}

/// Nearly every field behind a delimiter starts with a space.
fn all_padded(sample: &[u8], rows: &[Row], dialect: &Dialect) -> bool {
    let (mut spaced, mut all) = (0usize, 0usize);
    for row in rows.iter().filter(|r| r.width > 1) {
        let record = &sample[row.at..row.at + row.bytes];
        let pairs = record.windows(2).filter(|w| w[0] == dialect.delimiter);
        for pair in pairs {
            all += 1;
            spaced += usize::from(pair[1] == b' ');
        }
    }
    all > 0 && spaced * 50 >= all * 49
}

/// Spaces and colons stand in texts and times too: they delimit only where nearly every row, the first
/// included, has the same fields, and the fields are values of their own.
fn holds_weakly(rows: &[Row], width: usize, delimiter: u8) -> bool {
    let fits = rows.iter().skip(1).filter(|r| r.width == width).count();
    // R leaves the name of the rows' names out.
    let names = rows
        .first()
        .is_some_and(|r| r.width == width || (r.width + 1 == width && r.cells.iter().all(|c| c.quoted)));
    if rows.len() < 2 || fits * 10 < (rows.len() - 1) * 9 || !names {
        return false;
    }
    let body: Vec<&Row> = rows.iter().skip(1).filter(|r| r.width == width && !r.cells.is_empty()).collect();
    let typed = (0..width)
        .filter(|c| {
            let found = super::kinds::of_column(body.iter().filter_map(|r| r.cells.get(*c)).map(|c| c.kind));
            matches!(found, Kind::Number | Kind::Time)
        })
        .count();
    let quoted = body.iter().flat_map(|r| &r.cells).any(|c| c.quoted);
    let date_and_time =
        |r: &&Row| r.width == 2 && r.cells[0].kind == Kind::Time && r.cells[1].kind == Kind::Time;
    let clock = delimiter == b':' && body.iter().any(|r| r.cells.iter().all(|c| c.value.len() <= 2));
    !body.is_empty() && (typed * 2 >= width || quoted) && !body.iter().all(date_and_time) && !clock
}
