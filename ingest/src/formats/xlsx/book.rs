//! A workbook of any kind as rows of cells.

use std::io::Cursor;

use bytes::Bytes;
use calamine::{Cell, Data, DataRef, Dimensions, Ods, Range, Reader, Sheets, Xls, Xlsb, Xlsx};

use super::cell::Mask;
use super::damaged;
use super::disguise::LOCKED;
use super::markup::Table;
use crate::error::SourceError;
use crate::formats::sink::{Stop, too_wide};

pub(super) type Input = Cursor<Bytes>;
/// Visits one row: its 0-based number and its cells as (0-based column, value).
pub(super) type Visit<'v> = &'v mut dyn FnMut(u32, &[(u32, Data)]) -> Result<(), Stop>;

/// Kinds of workbooks.
pub(super) enum Kind {
    Xlsx,
    Xlsb,
    Xls,
    Ods,
}

fn unopened(e: &dyn std::fmt::Display) -> SourceError {
    match e.to_string().to_lowercase().contains("password") {
        true => SourceError::never(format!("not a readable spreadsheet: {LOCKED}")),
        false => damaged(e),
    }
}

pub(super) enum Book {
    /// Streams its cells.
    Xlsx(Box<Xlsx<Input>>),
    /// Streams its cells.
    Xlsb(Box<Xlsb<Input>>),
    /// Holds its sheets as rectangles (xls, ods).
    Held(Box<Sheets<Input>>),
    /// Holds tables read by ourselves.
    Tables(Vec<Table>),
}

/// A row being gathered, bounded as every record.
struct Row {
    at: u32,
    cells: Vec<(u32, Data)>,
    bytes: usize,
}

impl Row {
    fn add(&mut self, row: u32, column: u32, value: Data, visit: Visit<'_>) -> Result<(), Stop> {
        if row != self.at {
            visit(self.at, &self.cells)?;
            *self = Row { at: row, cells: std::mem::take(&mut self.cells), bytes: 0 };
            self.cells.clear();
        }
        let (limits, size) = (store::limits(), if let Data::String(s) = &value { s.len() } else { 8 });
        self.bytes += size;
        if self.bytes > limits.record_bytes || size > limits.value_bytes {
            return Err(SourceError::never(format!(
                "row {} is larger than {} MiB; a sheet is no place for texts of this size: ask for CSV or JSON, or raise `limits: record_bytes` of guanlan.yaml",
                u64::from(row) + 1,
                limits.record_bytes >> 20
            ))
            .into());
        }
        if value != Data::Empty {
            // Cells with nothing but a style are no columns.
            if self.cells.len() >= limits.columns {
                return Err(too_wide(
                    self.cells.len() + 1,
                    &format!("row {} of the sheet: split the sheet", u64::from(row) + 1),
                )
                .into());
            }
            self.cells.push((column, value));
        }
        Ok(())
    }
}

impl Book {
    /// Opens a workbook of a kind known by its container.
    ///
    /// # Errors
    /// It is damaged, or protected with a password.
    pub(super) fn open(bytes: Bytes, kind: Kind) -> Result<Self, SourceError> {
        let input = Cursor::new(bytes);
        match kind {
            Kind::Xlsx => Xlsx::new(input).map(|b| Book::Xlsx(Box::new(b))).map_err(|e| unopened(&e)),
            Kind::Xlsb => Xlsb::new(input).map(|b| Book::Xlsb(Box::new(b))).map_err(|e| unopened(&e)),
            Kind::Xls => {
                Xls::new(input).map(|b| Book::Held(Box::new(Sheets::Xls(b)))).map_err(|e| unopened(&e))
            }
            Kind::Ods => {
                Ods::new(input).map(|b| Book::Held(Box::new(Sheets::Ods(b)))).map_err(|e| unopened(&e))
            }
        }
    }

    pub(super) fn sheets(&self) -> Vec<String> {
        match self {
            Book::Xlsx(book) => book.sheet_names(),
            Book::Xlsb(book) => book.sheet_names(),
            Book::Held(book) => book.sheet_names(),
            Book::Tables(tables) => tables.iter().map(|t| t.name.clone()).collect(),
        }
    }

    /// Merged regions, as far as the kind of workbook tells them.
    pub(super) fn merges(&mut self, sheet: &str) -> Vec<Dimensions> {
        match self {
            Book::Xlsx(book) => book.merge_cells_by_sheet_name(sheet).unwrap_or_default(),
            Book::Xlsb(_) => Vec::new(),
            Book::Held(book) => match &**book {
                Sheets::Xls(book) => book.merge_cells_by_sheet_name(sheet).unwrap_or_default(),
                _ => Vec::new(),
            },
            Book::Tables(tables) => {
                tables.iter().find(|t| t.name == sheet).map(|t| t.merges.clone()).unwrap_or_default()
            }
        }
    }

    /// Visits every row; answers whether there may be cells that hold something and no value.
    pub(super) fn each_row(&mut self, sheet: &str, visit: Visit<'_>) -> Result<bool, Stop> {
        let mut row = Row { at: 0, cells: Vec::new(), bytes: 0 };
        let mut empty = false;
        match self {
            Book::Xlsx(book) => {
                let mut reader = match book.worksheet_cells_reader(sheet) {
                    Ok(reader) => reader,
                    // Chart sheets have no cells.
                    Err(calamine::XlsxError::NotAWorksheet(_)) => return Ok(false),
                    Err(e) => return Err(damaged(&e).into()),
                };
                let code =
                    |s: &calamine::Style| s.number_format.as_ref().and_then(|n| Mask::parse(&n.format_code));
                let masks: Vec<Option<Mask>> = reader.styles().iter().map(code).collect();
                while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(|e| damaged(&e))? {
                    let mask = masks.get(style).and_then(Option::as_ref);
                    let value = match (cell.get_value(), mask) {
                        (DataRef::Float(x), Some(mask)) => {
                            mask.show(*x).map_or(Data::Float(*x), Data::String)
                        }
                        (value, _) => checked(&cell, value)?,
                    };
                    let (at, column) = cell.get_position();
                    empty |= value == Data::Empty;
                    row.add(at, column, value, visit)?;
                }
                visit(row.at, &row.cells)?;
                Ok(empty)
            }
            Book::Xlsb(book) => {
                let mut reader = book.worksheet_cells_reader(sheet).map_err(|e| damaged(&e))?;
                while let Some(cell) = reader.next_cell().map_err(|e| damaged(&e))? {
                    let (at, column) = cell.get_position();
                    row.add(at, column, checked(&cell, cell.get_value())?, visit)?;
                }
                visit(row.at, &row.cells)?;
                Ok(false)
            }
            Book::Held(book) => {
                let range = book.worksheet_range(sheet).map_err(|e| damaged(&e))?;
                let Some((first_row, first_column)) = range.start() else { return Ok(false) };
                for (i, cells) in range.rows().enumerate() {
                    row.at = first_row + i as u32;
                    for (c, value) in cells.iter().enumerate().filter(|(_, v)| **v != Data::Empty) {
                        row.add(row.at, first_column + c as u32, value.clone(), visit)?;
                    }
                    visit(row.at, &row.cells)?;
                    row = Row { at: row.at, cells: std::mem::take(&mut row.cells), bytes: 0 };
                    row.cells.clear();
                }
                Ok(true)
            }
            Book::Tables(tables) => {
                let Some(table) = tables.iter().find(|t| t.name == sheet) else { return Ok(false) };
                for (at, cells) in &table.rows {
                    visit(*at, cells)?;
                }
                Ok(false)
            }
        }
    }

    /// Visits the cells that hold a formula and no value: the program that wrote the file did not compute it.
    pub(super) fn uncomputed(&mut self, sheet: &str, visit: &mut dyn FnMut(u32, u32)) {
        match self {
            Book::Xlsx(book) => {
                let Ok(mut reader) = book.worksheet_cells_reader(sheet) else { return };
                // What is wrong with a formula's own text is nobody's trouble here.
                while let Ok(Some(record)) = reader.next_cell_with_formula_metadata() {
                    if record.formula.is_some() && record.value == DataRef::Empty {
                        visit(record.pos.0, record.pos.1);
                    }
                }
            }
            Book::Held(book) => {
                let (Ok(formulas), Ok(values)) = (book.worksheet_formula(sheet), book.worksheet_range(sheet))
                else {
                    return;
                };
                without_value(&formulas, &values, visit);
            }
            Book::Xlsb(_) | Book::Tables(_) => {}
        }
    }
}

fn without_value(formulas: &Range<String>, values: &Range<Data>, visit: &mut dyn FnMut(u32, u32)) {
    let Some((row, column)) = formulas.start() else { return };
    for (r, c, formula) in formulas.used_cells() {
        let (Ok(r), Ok(c)) = (u32::try_from(r), u32::try_from(c)) else { continue };
        let at = (row + r, column + c);
        if !formula.is_empty() && values.get_value(at).is_none_or(|v| *v == Data::Empty) {
            visit(at.0, at.1);
        }
    }
}

/// A cell's value as its own, with the places that no sheet has refused.
fn checked(cell: &Cell<DataRef<'_>>, value: &DataRef<'_>) -> Result<Data, Stop> {
    let (row, column) = cell.get_position();
    if row >= 1_048_576 || column >= 16_384 {
        return Err(damaged(&"a cell lies outside of any sheet").into());
    }
    Ok(Data::from(value.clone()))
}
