//! Delimited text → text columns, streaming.
//!
//! A row with fewer or more fields than the header is set aside with its text, never dropped. Fields
//! land as written; empty stays the empty string, because only cleaning knows what empty means.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor as Bytes, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::columns::unique_names;
use super::encoding::{Utf8Reader, detect, unreadable};
use super::sink::{BATCH_BYTES, BATCH_ROWS, Sink, Stop};
use crate::error::SourceError;
use crate::spec::CsvSpec;

const BUFFER: usize = 1 << 20;
/// How much of the file the delimiter is guessed from.
const SNIFFED: u64 = 64 << 10;
/// A longer row means that a quote was never closed: reading on would swallow the file.
const ROW_BYTES: u64 = 16 << 20;
const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The delimiter that a definition names; `None` for `auto`.
///
/// # Errors
/// It is not one ASCII character.
pub(crate) fn delimiter(spec: &CsvSpec) -> Result<Option<u8>, String> {
    match spec.delimiter.as_str() {
        "auto" => Ok(None),
        "tab" | "\\t" => Ok(Some(b'\t')),
        one if one.len() == 1 && !matches!(one.as_bytes()[0], b'"' | b'\r' | b'\n') => {
            Ok(Some(one.as_bytes()[0]))
        }
        other => Err(format!("`{other}` is not a delimiter: write auto or one ASCII character")),
    }
}

/// Reads one file.
pub(crate) fn read(path: &Path, spec: &CsvSpec, sink: &mut Sink) -> Result<(), Stop> {
    let mut file = File::open(path).map_err(unreadable)?;
    let found = detect(&mut file, &spec.encoding)?;
    let mut text = BufReader::with_capacity(BUFFER, Utf8Reader::new(file, found));
    let mut skipped = Vec::new();
    for _ in 0..spec.skip {
        skipped.clear();
        text.by_ref().take(ROW_BYTES).read_until(b'\n', &mut skipped).map_err(unreadable)?;
    }
    let mut sample = Vec::new();
    text.by_ref().take(SNIFFED).read_to_end(&mut sample).map_err(unreadable)?;
    let cut = sample.len() as u64 == SNIFFED;
    let by = delimiter(spec).map_err(SourceError::never)?.unwrap_or_else(|| sniff(&sample, cut));
    // Line numbers help only where lines end in \n; old Mac files are counted by row.
    let first_end = sample.iter().position(|b| *b == b'\n');
    let lines = match first_end {
        None => Lines::ByRow,
        Some(at) if at > 0 && sample[at - 1] == b'\r' => Lines::CrLf,
        Some(_) => Lines::Lf,
    };
    let since = Rc::new(Cell::new(0));
    let guarded = Guard { inner: Bytes::new(sample).chain(text), since: since.clone() };
    let rows = ReaderBuilder::new()
        .delimiter(by)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BUFFER)
        .from_reader(guarded);
    Parse { rows, since, by, lines, skipped: spec.skip as u64 }.run(spec.header, sink)
}

/// Counts bytes since the last row ended and refuses endless rows.
struct Guard<R> {
    inner: R,
    since: Rc<Cell<u64>>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.since.set(self.since.get() + n as u64);
        if self.since.get() > ROW_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a row longer than 16 MiB: a quote (\") is probably never closed",
            ));
        }
        Ok(n)
    }
}

/// How rows are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Lf,
    CrLf,
    ByRow,
}

struct Parse<R> {
    rows: Reader<Guard<R>>,
    since: Rc<Cell<u64>>,
    by: u8,
    lines: Lines,
    skipped: u64,
}

impl<R: Read> Parse<R> {
    fn run(mut self, header: bool, sink: &mut Sink) -> Result<(), Stop> {
        let mut record = ByteRecord::new();
        if !self.next(&mut record)? {
            return Ok(());
        }
        let width = record.len();
        let names = if header {
            unique_names(record.iter().map(String::from_utf8_lossy))
        } else {
            unique_names(std::iter::repeat_n("", width))
        };
        sink.text_columns(&names);
        let mut batch = Batch::new(width);
        if !header {
            batch.push(&record, self.number(&record, 1));
        }
        let mut ordinal = 1;
        while self.next(&mut record)? {
            ordinal += 1;
            let number = self.number(&record, ordinal);
            // Empty fields behind the last column say nothing: a delimiter at the end of each row.
            if record.len() == width
                || (record.len() > width && record.iter().skip(width).all(<[u8]>::is_empty))
            {
                batch.push(&record, number);
                if batch.is_full() {
                    batch.flush(sink)?;
                }
            } else {
                let reason = format!("{} fields where the header has {width}", record.len());
                let text = record
                    .iter()
                    .map(String::from_utf8_lossy)
                    .collect::<Vec<_>>()
                    .join(char::from(self.by).encode_utf8(&mut [0; 4]));
                sink.reject(number, reason, &text)?;
            }
        }
        batch.flush(sink)
    }

    fn next(&mut self, record: &mut ByteRecord) -> Result<bool, Stop> {
        self.since.set(0);
        self.rows.read_byte_record(record).map_err(|e| {
            let line = self.rows.position().line() + self.skipped;
            match e.into_kind() {
                csv::ErrorKind::Io(e) => Stop::Failed(unreadable(e).about(&format!("near line {line}"))),
                other => Stop::Failed(SourceError::never(format!("near line {line}: {other:?}"))),
            }
        })
    }

    /// The row's number in the file: the line it starts on.
    fn number(&self, record: &ByteRecord, ordinal: u64) -> i64 {
        let line = match record.position() {
            Some(position) if self.lines == Lines::Lf => position.line(),
            // The reader leaves the \n of a \r\n to the next row, and counts it there.
            Some(position) if self.lines == Lines::CrLf => position.line() + u64::from(ordinal > 1),
            _ => ordinal,
        };
        (line + self.skipped) as i64
    }
}

/// Columns of one batch as plain bytes: text is checked once per column instead of once per field.
struct Batch {
    values: Vec<Vec<u8>>,
    ends: Vec<Vec<i32>>,
    numbers: Vec<i64>,
    bytes: usize,
}

impl Batch {
    fn new(width: usize) -> Self {
        let ends = (0..width).map(|_| fresh_ends()).collect();
        Batch { values: vec![Vec::new(); width], ends, numbers: Vec::with_capacity(BATCH_ROWS), bytes: 0 }
    }

    fn push(&mut self, record: &ByteRecord, number: i64) {
        for ((field, values), ends) in record.iter().zip(&mut self.values).zip(&mut self.ends) {
            values.extend_from_slice(field);
            // A batch is flushed long before 2 GiB: BATCH_BYTES plus one row of at most ROW_BYTES.
            ends.push(values.len() as i32);
        }
        self.bytes += record.as_slice().len();
        self.numbers.push(number);
    }

    fn is_full(&self) -> bool {
        self.numbers.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    fn flush(&mut self, sink: &mut Sink) -> Result<(), Stop> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.values.len());
        for (values, ends) in self.values.iter_mut().zip(&mut self.ends) {
            let room = values.len() + values.len() / 8;
            let values = std::mem::replace(values, Vec::with_capacity(room));
            let ends = std::mem::replace(ends, fresh_ends());
            let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
            // A field cannot cut a character: delimiters, quotes and line ends are ASCII.
            let array = StringArray::try_new(offsets, Buffer::from_vec(values), None)
                .map_err(|e| SourceError::never(format!("text is not UTF-8: {e}")))?;
            columns.push(Arc::new(array));
        }
        let numbers = std::mem::replace(&mut self.numbers, Vec::with_capacity(BATCH_ROWS));
        self.bytes = 0;
        sink.rows(columns, Int64Array::from(numbers))
    }
}

fn fresh_ends() -> Vec<i32> {
    let mut ends = Vec::with_capacity(BATCH_ROWS + 1);
    ends.push(0);
    ends
}

/// The candidate that cuts the sample into the most regular table.
fn sniff(sample: &[u8], cut: bool) -> u8 {
    let mut best = (0.0f64, b',');
    for by in CANDIDATES {
        let widths = widths(sample, cut, by);
        let rows = widths.len();
        let mode = widths
            .iter()
            .copied()
            .filter(|w| *w > 1)
            .max_by_key(|w| (widths.iter().filter(|x| *x == w).count(), *w));
        let Some(mode) = mode else { continue };
        let regular = widths.iter().filter(|w| **w == mode).count() as f64 / rows as f64;
        // Regularity decides; among equally regular cuts the one with more columns.
        let score = regular * regular * (1.0 + (mode as f64).ln() / 4.0);
        if score > best.0 + 1e-9 {
            best = (score, by);
        }
    }
    best.1
}

/// Fields per row of the sample, without the row that the sample's end cuts.
fn widths(sample: &[u8], cut: bool, by: u8) -> Vec<usize> {
    let mut reader = ReaderBuilder::new().delimiter(by).has_headers(false).flexible(true).from_reader(sample);
    let mut record = ByteRecord::new();
    let mut widths = Vec::new();
    while widths.len() < 500 && reader.read_byte_record(&mut record).unwrap_or(false) {
        widths.push(record.len());
    }
    if cut && widths.len() > 1 {
        widths.pop();
    }
    widths
}
