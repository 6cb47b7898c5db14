//! Delimited text → text columns, streaming.
//!
//! Delimiter, quote, header and title lines are found over a sample; what was found is said when it is
//! surprising. A line that is no record of the table is set aside with its text, never bent into one:
//! what is read = rows kept + lines set aside + empty lines. Fields land as written; empty stays the empty
//! string, because only cleaning knows what empty means.

mod batch;
mod body;
mod dialect;
mod foreign;
mod kinds;
mod layout;
mod records;
mod sniff;
mod tally;
#[cfg(test)]
mod tests;
mod window;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::encoding::{Bad, Undecoded, Utf8Reader, detect, unreadable};
use super::sink::{Sink, Stop};
use crate::error::SourceError;
use crate::spec::CsvSpec;
use body::{Body, Nulls, Text};
pub(crate) use dialect::Choices;
use dialect::{Dialect, shown};
use layout::{Layout, Wanted};
use sniff::{Row, SAMPLE};
use window::Window;

/// Reads one file.
pub(crate) fn read(path: &Path, spec: &CsvSpec, sink: &mut Sink) -> Result<(), Stop> {
    let mut file = File::open(path).map_err(unreadable)?;
    foreign::refuse(&mut file)?;
    let found = detect(&mut file, &spec.encoding)?;
    if let Some(doubt) = found.doubt() {
        warn(sink, &doubt);
    }
    sink.found("encoding", found.encoding.name().to_lowercase());
    let (text, undecoded) = Utf8Reader::lenient(file, found);
    read_text(text, undecoded, found.encoding.name(), spec, sink)
}

/// Reads text; `undecoded` tells which of its places stand for bytes that are no characters.
fn read_text<R: Read>(
    text: R,
    undecoded: Undecoded,
    encoding: &'static str,
    spec: &CsvSpec,
    sink: &mut Sink,
) -> Result<(), Stop> {
    let choices = Choices::of(spec).map_err(|(_, message)| SourceError::never(message))?;
    let mut window = Window::new(text);
    let mut line = 1;
    fill(&mut window, line)?;
    let end = line_end(window.rest());
    for _ in 0..spec.skip.unwrap_or(0) {
        skip_line(&mut window, end)?;
        line += 1;
    }
    fill(&mut window, line)?;
    let (dialect, hinted) = find_dialect(&mut window, end, spec, choices);
    line += u64::from(hinted);
    fill(&mut window, line)?;
    let (sample, whole) = sample(&window, end);
    let rows = table_rows(sample, whole, &dialect, line)?;
    if rows.is_empty() {
        warn(sink, "it is empty");
        return Ok(());
    }
    let known = sink.known();
    let wanted = Wanted { header: spec.header, skipped: spec.skip.is_some(), known: known.as_deref() };
    let layout = layout::layout(&rows, &wanted);
    bounded(&rows, &layout)?;
    show(&dialect, &rows, &layout, sink);
    say_dialect(&dialect, choices, &layout, sink);
    layout.notes.iter().for_each(|note| warn(sink, note));
    say_one_column(&rows, &layout, sample, choices, sink);
    sink.text_columns(&layout.names);
    if let Some((at, reason)) = &layout.broken {
        let row = &rows[*at];
        let text = String::from_utf8_lossy(&sample[row.at..row.at + row.bytes]);
        sink.reject(row.line as i64, reason.clone(), text.trim_end_matches(['\r', '\n']))?;
    }
    let (bytes, first_line) = start_of(&rows, &layout, sample.len(), line);
    let data_at = window.offset + bytes as u64;
    let in_header = |bad: &&Bad| bad.at < data_at && bad.until > window.offset && layout.header.is_some();
    if let Some(bad) = undecoded.borrow().iter().find(in_header) {
        return Err(bad.refusal(encoding).into());
    }
    window.take(bytes);
    let text = Text { window, undecoded, encoding };
    Body::new(text, dialect, layout, nulls(spec)).run(first_line, sink)
}

/// The rows of a sample, with their lines in the file.
fn table_rows(sample: &[u8], whole: bool, dialect: &Dialect, line: u64) -> Result<Vec<Row>, SourceError> {
    // One field more than a table can have is enough to refuse it.
    let mut rows = sniff::rows(sample, whole, dialect, store::limits().columns + 1);
    rows.iter_mut().for_each(|row| row.line += line - 1);
    if rows.is_empty() && !sample.trim_ascii().is_empty() && !whole {
        return Err(SourceError::never(format!(
            "line {line}: no record ends within {} KiB: this is no delimited text, or its `quote` is another",
            sample.len() >> 10
        )));
    }
    Ok(rows)
}

fn nulls(spec: &CsvSpec) -> Nulls {
    let texts = match &spec.null {
        Some(given) => given.iter().map(|n| n.as_bytes().to_vec()).collect(),
        // As MySQL and PostgreSQL write it.
        None => vec![b"\\N".to_vec()],
    };
    Nulls { texts, default: spec.null.is_none(), padding: spec.null_padding }
}

/// A message about the file that is read.
fn warn(sink: &mut Sink, message: &str) {
    let message = format!("file `{}`: {message}", sink.file());
    sink.warn(message);
}

/// Reads until a sample with a whole line is in memory or the file has ended.
fn fill<R: Read>(window: &mut Window<R>, line: u64) -> Result<(), Stop> {
    let most = store::limits().record_bytes;
    while !window.ended && (window.rest().len() < SAMPLE || first_line(window.rest()).is_none()) {
        if window.rest().len() > most {
            return Err(SourceError::never(format!(
                "line {line} is longer than {} MiB: this is no delimited text; `limits.record_bytes` of guanlan.yaml raises the bound",
                most >> 20
            ))
            .into());
        }
        window.more().map_err(unreadable)?;
    }
    Ok(())
}

fn first_line(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', b'\r', text)
}

/// What the dialect and the layout are told from, and whether that is all there is.
fn sample<R: Read>(window: &Window<R>, end: u8) -> (&[u8], bool) {
    let rest = window.rest();
    let first = memchr::memchr(end, rest).map_or(rest.len(), |at| at + 1);
    let sample = &rest[..rest.len().min(SAMPLE.max(first))];
    (sample, window.ended && sample.len() == rest.len())
}

fn line_end(sample: &[u8]) -> u8 {
    match (memchr::memchr(b'\n', sample), memchr::memchr(b'\r', sample)) {
        (None, Some(_)) => b'\r',
        _ => b'\n',
    }
}

fn skip_line<R: Read>(window: &mut Window<R>, end: u8) -> Result<(), Stop> {
    loop {
        if let Some(at) = memchr::memchr(end, window.rest()) {
            window.take(at + 1);
            return Ok(());
        }
        window.take(window.rest().len());
        if window.ended {
            return Ok(());
        }
        window.more().map_err(unreadable)?;
    }
}

/// The dialect; `true` when the first line was Excel's `sep=;` and was taken.
fn find_dialect<R: Read>(
    window: &mut Window<R>,
    end: u8,
    spec: &CsvSpec,
    mut choices: Choices,
) -> (Dialect, bool) {
    let hint = window.rest().strip_prefix(b"sep=").and_then(|rest| match rest {
        [by, b'\r', b'\n', ..] if spec.skip.is_none() => Some((*by, 7)),
        [by, line, ..] if *line == end && spec.skip.is_none() => Some((*by, 6)),
        _ => None,
    });
    if let Some((by, bytes)) = hint.filter(|(by, _)| by.is_ascii_punctuation() || *by == b'\t') {
        window.take(bytes);
        if choices.delimiter == dialect::Choice::Auto {
            choices.delimiter = dialect::Choice::Byte(by);
        }
    }
    let (sample, whole) = sample(window, end);
    (sniff::sniff(sample, whole, end, &choices, store::limits().columns + 1), hint.is_some())
}

/// A table with more columns than a table may have is refused before anything is built for them.
fn bounded(rows: &[Row], layout: &Layout) -> Result<(), SourceError> {
    let most = store::limits().columns;
    let width = layout.names.len();
    if width <= most && layout.header.as_ref().is_none_or(|h| h.len() <= most) {
        return Ok(());
    }
    let line = rows.get(layout.first.saturating_sub(1)).map_or(1, |r| r.line);
    let fields = rows.iter().map(|r| r.width).max().unwrap_or(width);
    Err(SourceError::never(format!(
        "line {line} has {fields} fields; a table has at most {most} columns: is its `delimiter` another? `limits.columns` of guanlan.yaml raises the bound"
    )))
}

/// How the file is understood, for a preview.
fn show(dialect: &Dialect, rows: &[Row], layout: &Layout, sink: &mut Sink) {
    sink.found("delimiter", shown(dialect.delimiter));
    sink.found("quote", dialect.quote.map_or("none".into(), shown));
    if let Some(escape) = dialect.escape {
        sink.found("escape", shown(escape));
    }
    let header = layout.header.as_ref().and_then(|_| rows.get(layout.first.checked_sub(1)?));
    sink.found("header row", header.map_or("none".to_owned(), |row| row.line.to_string()));
}

/// What was found beyond commas, semicolons, tabs and doubled quotes is said, unless the definition names it.
fn say_dialect(found: &Dialect, choices: Choices, layout: &Layout, sink: &mut Sink) {
    let mut keys = Vec::new();
    if choices.delimiter == dialect::Choice::Auto
        && layout.names.len() > 1
        && !matches!(found.delimiter, b',' | b';' | b'\t' | b'|')
    {
        keys.push(format!("`delimiter: {}`", shown(found.delimiter)));
    }
    if let (dialect::Choice::Auto, Some(quote)) = (choices.quote, found.quote.filter(|q| *q != b'"')) {
        keys.push(format!("`quote: {}`", shown(quote)));
    }
    if let (dialect::Choice::Auto, Some(escape)) = (choices.escape, found.escape) {
        keys.push(format!("`escape: {}`", shown(escape)));
    }
    if !keys.is_empty() {
        warn(
            sink,
            &format!(
                "it is read with {}, found from its text; write so in the format to confirm",
                keys.join(" and ")
            ),
        );
    }
}

/// One column of lines that hold the same signs each is rather several columns.
fn say_one_column(rows: &[Row], layout: &Layout, sample: &[u8], choices: Choices, sink: &mut Sink) {
    if layout.names.len() != 1 || choices.delimiter != dialect::Choice::Auto || rows.len() < 2 {
        return;
    }
    let lines = || rows.iter().map(|r| &sample[r.at..r.at + r.bytes]);
    let spaced = lines().filter(|line| memchr::memmem::find(line.trim_ascii(), b"  ").is_some()).count();
    if spaced * 10 >= rows.len() * 9 {
        warn(
            sink,
            "it is read as one column, but its lines look like columns padded with spaces, which is no CSV: ask for it with a delimiter",
        );
        return;
    }
    let signs = (0x21..0x7Fu8).filter(|sign| sign.is_ascii_punctuation() && !b"\"'.-_:".contains(sign));
    for sign in signs {
        let mut counts = lines().map(|line| memchr::memchr_iter(sign, line).count());
        let first = counts.next().unwrap_or(0);
        if first > 0 && counts.all(|count| count == first) {
            let sign = shown(sign);
            warn(
                sink,
                &format!(
                    "it is read as one column, but each line has {first} {sign}; when that is the delimiter, write `delimiter: {sign}` in the format"
                ),
            );
            return;
        }
    }
}

/// Bytes of the sample above the first row of data, and its line.
fn start_of(rows: &[Row], layout: &Layout, sample: usize, line: u64) -> (usize, u64) {
    match (rows.get(layout.first), layout.first) {
        (_, 0) => (0, line),
        (Some(row), _) => (row.at, row.line),
        // Only a header, or data behind the sample: the header's own end.
        (None, first) => {
            let row = &rows[first - 1];
            ((row.at + row.bytes).min(sample), row.line + 1)
        }
    }
}
