//! Spreadsheets → text columns, in two passes over the sheet: one to find header and columns, one for
//! the rows, so that memory does not grow with the sheet (xlsx; other kinds are held as calamine does).
//!
//! Title rows above the header are skipped. A header may span rows (merged cells): its parts are joined
//! with `_`. Dates land as ISO text, numbers with the 15 digits that Excel shows, formulas as their
//! last value. An error value (`#DIV/0!`) lands as NULL and is counted in a warning: the rest of its
//! row is good. Empty rows are skipped.

mod cell;
mod layout;

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::Int64Array;
use calamine::{Data, Dimensions, Reader, Sheets, Xlsx, open_workbook_auto_from_rs};

use super::columns::TextColumns;
use super::encoding::unreadable;
use super::sink::{Sink, Stop};
use super::zip_guard;
use crate::error::SourceError;
use crate::spec::XlsxSpec;
use layout::{Layout, Merges, Survey};

const FILE_BYTES: u64 = 256 << 20;
const CELLS: u64 = 100_000_000;

type Bytes = Cursor<Arc<[u8]>>;
/// Visits one row: its 0-based number and its cells as (0-based column, value).
type Visit<'v> = &'v mut dyn FnMut(u32, &[(u32, Data)]) -> Result<(), Stop>;

/// Reads one sheet of one file.
pub(crate) fn read(path: &Path, spec: &XlsxSpec, sink: &mut Sink) -> Result<(), Stop> {
    let bytes = bytes_of(path)?;
    // Some damaged files make the reader panic; they must not take the server along.
    catch_unwind(AssertUnwindSafe(|| read_book(bytes, spec, sink)))
        .unwrap_or_else(|_| Err(damaged(&"its parts contradict each other").into()))
}

fn bytes_of(path: &Path) -> Result<Arc<[u8]>, SourceError> {
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > FILE_BYTES {
        return Err(SourceError::never(format!(
            "a spreadsheet of {} MiB; above 256 MiB export it as CSV",
            size >> 20
        )));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(damaged(&"the file is empty"));
    }
    if bytes.starts_with(b"PK") {
        zip_guard::check(&bytes).map_err(|e| damaged(&e))?;
    }
    Ok(bytes.into())
}

fn damaged(e: &dyn std::fmt::Display) -> SourceError {
    SourceError::never(format!(
        "not a readable spreadsheet: {e}; open and save it again, or ask for the file again"
    ))
}

fn read_book(bytes: Arc<[u8]>, spec: &XlsxSpec, sink: &mut Sink) -> Result<(), Stop> {
    let mut book = Book::open(bytes)?;
    let Some((sheet, survey)) = choose(&mut book, spec)? else {
        sink.warn("no sheet has any cell".into());
        return Ok(());
    };
    let merges = book.merges(&sheet);
    let layout = Layout::new(&survey, spec, &merges).map_err(SourceError::never)?;
    sink.text_columns(&layout.names);
    let mut fill = Merges::new(if spec.fill_merged { merges } else { Vec::new() }, layout.last_header);
    let mut errors = Errors::default();
    let mut columns = TextColumns::new(layout.columns.len());
    book.each_row(&sheet, &mut |row, cells| {
        if layout.last_header.is_some_and(|last| row <= last) {
            return Ok(());
        }
        let values = layout.place(row, cells, &mut fill, |column, value| errors.note(row, column, value));
        if values.iter().all(Option::is_none) {
            return Ok(());
        }
        for (i, value) in values.iter().enumerate() {
            columns.push(i, value.as_deref());
        }
        columns.end_row(i64::from(row) + 1);
        if columns.is_full() { flush(&mut columns, sink) } else { Ok(()) }
    })?;
    flush(&mut columns, sink)?;
    errors.warn(&sheet, sink);
    Ok(())
}

fn flush(columns: &mut TextColumns, sink: &mut Sink) -> Result<(), Stop> {
    let (arrays, rows) = columns.take();
    if rows.is_empty() { Ok(()) } else { sink.rows(arrays, Int64Array::from(rows)) }
}

/// The sheet to read and what its first pass found.
fn choose(book: &mut Book, spec: &XlsxSpec) -> Result<Option<(String, Survey)>, Stop> {
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
    for sheet in wanted {
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
            return Ok(Some((sheet, survey)));
        }
    }
    Ok(None)
}

/// Error values met, for one warning.
#[derive(Default)]
struct Errors {
    count: u64,
    first: Option<String>,
}

impl Errors {
    fn note(&mut self, row: u32, column: u32, value: &Data) {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{}{} {value}", cell::letters(column), row + 1));
    }

    fn warn(self, sheet: &str, sink: &mut Sink) {
        if let Some(first) = self.first {
            sink.warn(format!(
                "sheet `{sheet}`: {} cells hold an error value (first: {first}) and landed as NULL",
                self.count
            ));
        }
    }
}

enum Book {
    /// Streams its cells.
    Xlsx(Box<Xlsx<Bytes>>),
    Other(Box<Sheets<Bytes>>),
}

impl Book {
    fn open(bytes: Arc<[u8]>) -> Result<Self, SourceError> {
        let zip = bytes.starts_with(b"PK");
        let xlsx = zip.then(|| Xlsx::new(Cursor::new(bytes.clone())));
        match xlsx {
            Some(Ok(book)) if !book.sheet_names().is_empty() => Ok(Book::Xlsx(Box::new(book))),
            tried => open_workbook_auto_from_rs(Cursor::new(bytes))
                .map(|b| Book::Other(Box::new(b)))
                .map_err(|e| match tried {
                    Some(Err(first)) => damaged(&first),
                    _ => damaged(&e),
                }),
        }
    }

    fn sheets(&self) -> Vec<String> {
        match self {
            Book::Xlsx(book) => book.sheet_names(),
            Book::Other(book) => book.sheet_names(),
        }
    }

    /// Merged regions; only xlsx and xls tell them.
    fn merges(&mut self, sheet: &str) -> Vec<Dimensions> {
        match self {
            Book::Xlsx(book) => book.merge_cells_by_sheet_name(sheet).unwrap_or_default(),
            Book::Other(book) => match &**book {
                Sheets::Xls(book) => book.merge_cells_by_sheet_name(sheet).unwrap_or_default(),
                _ => Vec::new(),
            },
        }
    }

    fn each_row(&mut self, sheet: &str, visit: Visit<'_>) -> Result<(), Stop> {
        match self {
            Book::Xlsx(book) => {
                let mut reader = match book.worksheet_cells_reader(sheet) {
                    Ok(reader) => reader,
                    // Chart sheets have no cells.
                    Err(calamine::XlsxError::NotAWorksheet(_)) => return Ok(()),
                    Err(e) => return Err(damaged(&e).into()),
                };
                let mut row: Vec<(u32, Data)> = Vec::new();
                let mut at = 0;
                while let Some(cell) = reader.next_cell().map_err(|e| damaged(&e))? {
                    let (cell_row, column) = cell.get_position();
                    if cell_row != at {
                        visit(at, &row)?;
                        row.clear();
                        at = cell_row;
                    }
                    row.push((column, Data::from(cell.get_value().clone())));
                }
                visit(at, &row)
            }
            Book::Other(book) => {
                let range = book.worksheet_range(sheet).map_err(|e| damaged(&e))?;
                let Some((first_row, first_column)) = range.start() else { return Ok(()) };
                for (i, cells) in range.rows().enumerate() {
                    let row: Vec<(u32, Data)> =
                        cells.iter().enumerate().map(|(c, v)| (first_column + c as u32, v.clone())).collect();
                    visit(first_row + i as u32, &row)?;
                }
                Ok(())
            }
        }
    }
}
