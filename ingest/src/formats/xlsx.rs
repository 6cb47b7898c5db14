//! Spreadsheets → text columns, in two passes over the sheet: one to find header and columns, one for
//! the rows, so that memory does not grow with the sheet (xlsx, xlsb; other kinds are held as calamine does, and
//! measured before).
//!
//! Title rows above the header are skipped and said. A header may span rows (merged cells): its parts are joined
//! with `_`. Dates land as ISO text, numbers with the 15 digits that Excel shows, codes with the zeros of their
//! format, formulas as their last value. What cannot land as it stands (an error value, a formula without a value, a
//! number of more digits than a sheet keeps) is told by column. Empty rows are skipped. Tables that other programs
//! write as HTML, XML of 2003 or text under the name `.xls` are read as what they are.

mod book;
mod cell;
mod disguise;
mod heading;
mod layout;
mod markup;
mod ods;
mod ole;
mod second;

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::Int64Array;
use bytes::Bytes;
use calamine::Data;

use super::columns::TextColumns;
use super::encoding::unreadable;
use super::sink::{Sink, Stop, crowded, too_wide};
use super::{csv, zip_guard};
use crate::error::SourceError;
use crate::spec::{CsvSpec, HeaderRow, XlsxSpec};
use book::{Book, Kind};
use disguise::Nature;
use layout::{Layout, Merges, Survey};
use second::{Place, Watch};

const FILE_BYTES: u64 = 256 << 20;
const CELLS: u64 = 100_000_000;

/// Reads one sheet of one file.
pub(crate) fn read(path: &Path, spec: &XlsxSpec, sink: &mut Sink) -> Result<(), Stop> {
    let bytes = bytes_of(path)?;
    let book = match disguise::nature(&bytes) {
        Nature::Delimited => return as_text(path, spec, sink),
        Nature::Html => {
            sink.warn(format!(
                "`{}` is a web page saved under the name of a workbook; its table was read, every value as text",
                sink.file()
            ));
            guarded(|| open(Nature::Html, bytes))?
        }
        // Some damaged files make the reader panic; they must not take the server along.
        nature => guarded(|| open(nature, bytes))?,
    };
    let mut book = book?;
    guarded(|| read_book(&mut book, spec, sink))?
}

fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, SourceError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| damaged(&"its parts contradict each other"))
}

fn bytes_of(path: &Path) -> Result<Bytes, SourceError> {
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > FILE_BYTES {
        return Err(SourceError::never(format!(
            "a spreadsheet of {} MiB; above 256 MiB export it as CSV",
            size >> 20
        )));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.by_ref().take(FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(damaged(&"the file is empty"));
    }
    Ok(bytes.into())
}

fn damaged(e: &dyn std::fmt::Display) -> SourceError {
    SourceError::never(format!(
        "not a readable spreadsheet: {e}; open and save it again, or ask for the file again"
    ))
}

/// Something else under the name of a spreadsheet, with what to do.
fn other(what: &str) -> SourceError {
    SourceError::never(format!("not a spreadsheet: {what}"))
}

fn open(nature: Nature, bytes: Bytes) -> Result<Book, SourceError> {
    let kind = match nature {
        Nature::Zip => {
            let contents = zip_guard::check(&bytes).map_err(|e| damaged(&e))?;
            if let Some(what) = disguise::of_archive(&contents) {
                return Err(other(&what));
            }
            if contents.has("content.xml") {
                ods::measure(&bytes).map_err(|e| other(&e))?;
                Kind::Ods
            } else if contents.has("xl/workbook.bin") {
                Kind::Xlsb
            } else {
                Kind::Xlsx
            }
        }
        Nature::Compound => {
            let file = ole::Compound::open(&bytes);
            if let Some(what) = disguise::of_compound(file.as_ref()) {
                return Err(other(&what));
            }
            let file = file.ok_or_else(|| damaged(&"its directory is damaged or cut off"))?;
            file.measure().map_err(|e| damaged(&e))?;
            Kind::Xls
        }
        Nature::Html | Nature::Xml2003 => {
            let text = markup::decoded(&bytes).map_err(|e| other(&e))?;
            let html = nature == Nature::Html;
            let tables = if html { markup::html(&text) } else { markup::xml_2003(&text) };
            let tables = tables.map_err(|e| damaged(&e))?;
            if tables.is_empty() {
                return Err(other(
                    "it is a web page without a table; perhaps the download needed a sign-in: ask for the file again",
                ));
            }
            return Ok(Book::Tables(tables));
        }
        Nature::Other(what) => return Err(other(what)),
        Nature::Bare | Nature::Delimited => {
            return Err(other("it is a workbook of a kind older than Excel 97; open it and save it as xlsx"));
        }
    };
    Book::open(bytes, kind)
}

/// Delimited text under the name of a spreadsheet.
fn as_text(path: &Path, spec: &XlsxSpec, sink: &mut Sink) -> Result<(), Stop> {
    if spec.header_row != HeaderRow::Auto || spec.sheet.is_some() {
        return Err(other(
            "it is delimited text; write `format: { csv: {} }`, which knows `header` and `skip`",
        )
        .into());
    }
    let message = format!(
        "`{}` is delimited text, not a spreadsheet, and was read as such; write `format: {{ csv: {{}} }}` to say how",
        sink.file()
    );
    sink.warn(message);
    csv::read(path, &CsvSpec::default(), sink)
}

fn read_book(book: &mut Book, spec: &XlsxSpec, sink: &mut Sink) -> Result<(), Stop> {
    let Some((sheet, survey)) = choose(book, spec, sink)? else {
        sink.warn(format!("`{}`: no sheet has any cell", sink.file()));
        return Ok(());
    };
    if survey.width() > store::limits().columns {
        return Err(too_wide(survey.width(), &format!("sheet `{sheet}`: split it")).into());
    }
    let merges = book.merges(&sheet);
    let layout = Layout::new(&survey, &merges).map_err(SourceError::never)?;
    if let Some(told) = survey.told(&layout) {
        sink.warn(format!("`{}`, sheet `{sheet}`: {told}", sink.file()));
    }
    sink.found("sheet", sheet.as_str());
    sink.found("header row", layout.header.map_or("none".to_owned(), |(_, last)| (last + 1).to_string()));
    sink.text_columns(&layout.names);
    let last_header = layout.header.map(|(_, last)| last);
    let mut fill = Merges::new(if spec.fill_merged { merges } else { Vec::new() }, last_header);
    let mut columns = TextColumns::new(layout.columns.len());
    let mut watch = Watch::new(layout.written(&survey), layout.columns.len());
    let mut apart = Apart::default();
    let empty = book.each_row(&sheet, &mut |row, cells| {
        if last_header.is_some_and(|last| row <= last) {
            return Ok(());
        }
        let values = layout.place(row, cells, &mut fill, |at, column, value| {
            if let Some(how) = oddity(value) {
                let first = || format!("cell {} {value}", cell::place(row, column));
                sink.changed(&layout.names[at], how, first);
            }
        });
        if values.iter().all(Option::is_none) {
            return Ok(());
        }
        let place = watch.see(row, &layout.held(cells));
        if place != Place::Row {
            let texts: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or_default()).collect();
            return sink.reject(i64::from(row) + 1, apart.reason(place, row), &texts.join("\t"));
        }
        for (i, value) in values.iter().enumerate() {
            columns.push(i, value.as_deref());
        }
        columns.end_row(i64::from(row) + 1);
        if columns.is_full() || crowded(columns.rows.len(), layout.columns.len()) {
            flush(&mut columns, sink)
        } else {
            Ok(())
        }
    })?;
    for told in apart.told() {
        sink.warn(format!("`{}`, sheet `{sheet}`: {told}", sink.file()));
    }
    if empty {
        book.uncomputed(&sheet, &mut |row, column| {
            if let Some(name) = layout.name(column).filter(|_| last_header.is_none_or(|last| row > last)) {
                let how =
                    "NULL: the formula has no computed value; open the file in a spreadsheet program and save it";
                sink.changed(name, how, || format!("cell {}", cell::place(row, column)));
            }
        });
    }
    flush(&mut columns, sink)
}

/// Rows of a sheet that are none of its table: how many, and where the first is (1-based).
#[derive(Default)]
struct Apart {
    again: (u64, u32),
    second: (u64, u32),
}

impl Apart {
    fn reason(&mut self, place: Place, row: u32) -> String {
        let again = place == Place::Again;
        let (count, first) = if again { &mut self.again } else { &mut self.second };
        if *count == 0 {
            *first = row + 1;
        }
        *count += 1;
        match (again, *count) {
            (true, _) => "the header again".to_owned(),
            (false, 1) => "it looks like the header of a second table".to_owned(),
            (false, _) => format!("a row of the second table, which begins at row {first}"),
        }
    }

    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        let ((again, at), (second, first)) = (self.again, self.second);
        if again > 0 {
            told.push(format!(
                "row {at} is the header again (so often in all: {again}): sheets were joined; the rows below were read under the first header"
            ));
        }
        if second > 0 {
            told.push(format!(
                "row {first} looks like the header of a second table: it and what stands below ({second} rows in all) were set aside; put the second table on a sheet of its own and read it by a stream of its own, or delete the empty row above when it is no table"
            ));
        }
        told
    }
}

/// What of a cell does not land as it was meant.
fn oddity(value: &Data) -> Option<&'static str> {
    match value {
        Data::Error(_) => Some("NULL: the cell holds an error value"),
        value if cell::is_too_long(value) => Some(
            "kept with zeros at the end: a sheet keeps 15 digits of a number; ask for the column as text",
        ),
        _ => None,
    }
}

fn flush(columns: &mut TextColumns, sink: &mut Sink) -> Result<(), Stop> {
    let (arrays, rows) = columns.take();
    if rows.is_empty() { Ok(()) } else { sink.rows(arrays, Int64Array::from(rows)) }
}

/// Whether a sheet holds anything; looks no further than the first row that does.
fn has_cells(book: &mut Book, sheet: &str) -> bool {
    let mut any = false;
    // Found is enough: the visit ends by a stop of its own.
    let _ = book.each_row(sheet, &mut |_, cells| {
        any |= cells.iter().any(|(_, value)| !matches!(value, Data::Empty));
        if any { Err(Stop::Closed) } else { Ok(()) }
    });
    any
}

fn listed(sheets: &[String]) -> String {
    let named: Vec<String> = sheets.iter().take(5).map(|sheet| format!("`{sheet}`")).collect();
    let more = if sheets.len() > 5 { format!(" and {} more", sheets.len() - 5) } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// The sheet to read and what its first pass found.
fn choose(book: &mut Book, spec: &XlsxSpec, sink: &mut Sink) -> Result<Option<(String, Survey)>, Stop> {
    let names = book.sheets();
    let wanted: Vec<String> = match &spec.sheet {
        Some(name) if names.contains(name) => vec![name.clone()],
        Some(name) => {
            return Err(
                SourceError::never(format!("has no sheet `{name}`; it has {}", names.join(", "))).into()
            );
        }
        None => names,
    };
    let mut wanted = wanted.into_iter();
    while let Some(sheet) = wanted.next() {
        let mut survey = Survey::new(spec);
        book.each_row(&sheet, &mut |row, cells| {
            survey.see(row, cells);
            match survey.cells > CELLS {
                true => Err(SourceError::never(format!(
                    "sheet `{sheet}` has more than {CELLS} cells; export it as CSV"
                ))
                .into()),
                false => Ok(()),
            }
        })?;
        if survey.cells > 0 || spec.sheet.is_some() {
            if let (Book::Tables(tables), None) = (&*book, &spec.sheet)
                && tables.len() > 1
            {
                sink.warn(format!(
                    "`{}` has {} tables; the largest, `{sheet}`, was read; name another in `sheet`",
                    sink.file(),
                    tables.len()
                ));
            } else if spec.sheet.is_none() {
                let others: Vec<String> = wanted.filter(|sheet| has_cells(book, sheet)).collect();
                if !others.is_empty() {
                    sink.warn(format!(
                        "`{}`: sheet `{sheet}` was read, and not {}; name one in `sheet`, each by a stream of its own",
                        sink.file(),
                        listed(&others)
                    ));
                }
            }
            return Ok(Some((sheet, survey)));
        }
    }
    Ok(None)
}
