//! How large an OpenDocument sheet would become. Cells and rows say how often they repeat, and the reader writes all
//! of them out: a few bytes can be a billion cells.

use std::io::{BufReader, Cursor};

use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

/// Cells of one sheet when repeats are written out.
const CELLS: u64 = 6_000_000;
/// Bytes of their texts.
const TEXT: u64 = 256 << 20;
/// What the reader itself cuts at.
const ROWS: u64 = 1_048_576;
const COLUMNS: u64 = 16_384;

/// Measures every sheet.
///
/// # Errors
/// One is too large; in words.
pub(super) fn measure(zip: &Bytes) -> Result<(), String> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(zip.clone())) else { return Ok(()) };
    // What is no OpenDocument sheet, or is damaged, is told by the reader.
    let Ok(part) = archive.by_name("content.xml") else { return Ok(()) };
    let mut xml = Reader::from_reader(BufReader::new(part));
    xml.config_mut().check_end_names = false;
    xml.config_mut().expand_empty_elements = true;
    let mut sheet = Sheet::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer) {
            Ok(Event::Start(tag)) => sheet.open(&tag),
            Ok(Event::Text(text)) => sheet.text += text.len() as u64,
            Ok(Event::End(tag)) => match tag.local_name().as_ref() {
                b"table-cell" | b"covered-table-cell" => sheet.end_cell(),
                b"table-row" => sheet.end_row(),
                b"table" => sheet = Sheet::default(),
                _ => {}
            },
            Ok(Event::Eof) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
        if sheet.cells() > CELLS || sheet.texts > TEXT || sheet.held > CELLS * 2 {
            return Err(format!(
                "a sheet of it has more than {CELLS} cells or {} MiB of text when repeated cells are written out; remove what is far from the table, or export it as xlsx or CSV",
                TEXT >> 20
            ));
        }
    }
}

#[derive(Default)]
struct Sheet {
    /// Rows up to the last one that has a value, and how often the row at hand repeats.
    rows: u64,
    empty: u64,
    repeat: u64,
    width: u64,
    /// Columns of the row at hand: with a value, and behind the last value.
    columns: u64,
    behind: u64,
    cell: u64,
    valued: bool,
    text: u64,
    texts: u64,
    row_text: u64,
    /// Cells before rows are repeated.
    held: u64,
}

impl Sheet {
    fn open(&mut self, tag: &BytesStart<'_>) {
        let repeat = |name: &str| {
            let value = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == name.as_bytes());
            value.and_then(|a| std::str::from_utf8(&a.value).ok()?.trim().parse::<u64>().ok()).unwrap_or(1)
        };
        match tag.local_name().as_ref() {
            b"table-row" => {
                self.repeat = repeat("number-rows-repeated").min(ROWS);
                (self.columns, self.behind, self.row_text) = (0, 0, 0);
            }
            b"table-cell" | b"covered-table-cell" => {
                self.cell = repeat("number-columns-repeated").min(COLUMNS);
                self.valued = tag.attributes().flatten().any(|a| {
                    matches!(
                        a.key.local_name().as_ref(),
                        b"value" | b"value-type" | b"formula" | b"string-value"
                    )
                });
                self.text = 0;
            }
            _ => {}
        }
    }

    fn end_cell(&mut self) {
        if self.valued || self.text > 0 {
            self.columns += self.behind + self.cell;
            self.held += self.behind + self.cell;
            self.behind = 0;
            self.row_text += self.text * self.cell;
        } else {
            self.behind += self.cell;
        }
    }

    fn end_row(&mut self) {
        if self.columns == 0 {
            self.empty += self.repeat;
            return;
        }
        self.rows += std::mem::take(&mut self.empty) + self.repeat;
        self.width = self.width.max(self.columns.min(COLUMNS));
        self.texts += self.row_text * self.repeat;
    }

    fn cells(&self) -> u64 {
        self.rows.min(ROWS) * self.width
    }
}
