//! Tables that other programs call `.xls` and write as HTML or as XML of 2003: read into rows like any sheet.

use std::str::FromStr;

use calamine::{CellErrorType, Data, Dimensions};
use encoding_rs::{Encoding, GB18030, UTF_8};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Larger ones would not fit into memory as cells.
const FILE_BYTES: usize = 64 << 20;
const CELLS: usize = 4_000_000;
const MOST_SPAN: u32 = 65_534;

/// One table.
#[derive(Default)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: Vec<(u32, Vec<(u32, Data)>)>,
    pub(super) merges: Vec<Dimensions>,
    cells: usize,
    row: u32,
    column: u32,
    /// Per column, the rows below that a cell above still covers.
    covered: Vec<u32>,
}

impl Table {
    fn cells(&self) -> usize {
        self.cells
    }

    fn start_row(&mut self, row: u32) {
        let passed = row.saturating_sub(self.row);
        self.covered.iter_mut().for_each(|c| *c = c.saturating_sub(passed));
        (self.row, self.column) = (row, 0);
    }

    fn skip_covered(&mut self) {
        while self.covered.get(self.column as usize).is_some_and(|c| *c > 0) {
            self.column += 1;
        }
    }

    fn cell(&mut self, value: Data, across: u32, down: u32) -> Result<(), String> {
        self.skip_covered();
        let (row, column) = (self.row, self.column);
        let end = column.saturating_add(across);
        let most = store::limits().columns;
        if end as usize >= most * 4 {
            return Err(format!(
                "row {} has more than {} columns; a table has at most {most}",
                row + 1,
                most * 4
            ));
        }
        if across > 0 || down > 0 {
            self.merges.push(Dimensions { start: (row, column), end: (row.saturating_add(down), end) });
        }
        if down > 0 {
            if self.covered.len() <= end as usize {
                self.covered.resize(end as usize + 1, 0);
            }
            self.covered[column as usize..=end as usize].fill(down.saturating_add(1));
        }
        if value != Data::Empty {
            self.cells += 1;
            match self.rows.last_mut().filter(|(r, _)| *r == row) {
                Some((_, cells)) => cells.push((column, value)),
                None => self.rows.push((row, vec![(column, value)])),
            }
        }
        self.column = end + 1;
        Ok(())
    }
}

fn too_large(cells: usize) -> Result<(), String> {
    match cells > CELLS {
        true => Err(format!("it has more than {CELLS} cells; save it as xlsx or CSV")),
        false => Ok(()),
    }
}

/// The text of a file by its byte order mark, by what it declares, or by what it is valid in.
pub(super) fn decoded(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() > FILE_BYTES {
        return Err(format!("it is larger than {} MiB; save it as xlsx or CSV", FILE_BYTES >> 20));
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return Ok(encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned());
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]).to_lowercase();
    let named = ["encoding=", "charset="].iter().find_map(|key| {
        let rest = &head[head.find(key)? + key.len()..];
        let label: String = rest
            .trim_start_matches(['"', '\'', ' '])
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .collect();
        crate::formats::encoding::named(&label).ok().flatten()
    });
    // A file that says UTF-8 and is not, or says nothing, is what Chinese programs write.
    let encoding = match named {
        Some(e) if e != UTF_8 => e,
        _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
        _ => GB18030,
    };
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(format!("its text is not valid {}; save it as xlsx or as UTF-8", encoding.name())),
    }
}

/// The tables of an HTML page, those with the most cells first.
pub(super) fn html(text: &str) -> Result<Vec<Table>, String> {
    let mut page = Page::default();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        page.text(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let end = end_of_tag(rest);
        let tag = rest[1..end].trim_end_matches('>');
        rest = &rest[end..];
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let closing = tag.starts_with('/');
        if !closing && matches!(name.as_str(), "script" | "style") {
            let close = format!("</{name}");
            let found =
                rest.as_bytes().windows(close.len()).position(|w| w.eq_ignore_ascii_case(close.as_bytes()));
            rest = found.map_or("", |at| &rest[at..]);
            continue;
        }
        page.tag(&name, closing, tag)?;
    }
    page.text(rest);
    page.finish()
}

/// Behind the `>` that ends a tag, not inside quotes.
fn end_of_tag(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'>', None) => return at + 1,
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed: the next `>` it is.
    text.find('>').map_or(text.len(), |at| at + 1)
}

#[derive(Default)]
struct Page {
    open: Vec<(Table, Option<Open>)>,
    done: Vec<Table>,
    cells: usize,
}

/// A cell whose end has not come.
struct Open {
    text: String,
    across: u32,
    down: u32,
}

impl Page {
    fn text(&mut self, text: &str) {
        if let Some((_, Some(cell))) = self.open.last_mut() {
            unescape(text, &mut cell.text);
        }
    }

    fn tag(&mut self, name: &str, closing: bool, tag: &str) -> Result<(), String> {
        match (name, closing) {
            ("table", false) => {
                if self.open.len() >= 64 {
                    return Err("its tables are nested deeper than 64".into());
                }
                self.open.push((Table::default(), None));
            }
            ("table", true) => {
                self.end_cell()?;
                if let Some((table, _)) = self.open.pop() {
                    self.keep(table);
                }
            }
            ("tr", false) => {
                self.end_cell()?;
                if let Some((table, _)) = self.open.last_mut() {
                    // The first row of a table begins at its top.
                    let row = if table.name.is_empty() { 0 } else { table.row + 1 };
                    table.name = "table".into();
                    table.start_row(row);
                }
            }
            ("td" | "th", false) => {
                self.end_cell()?;
                if let Some((table, cell)) = self.open.last_mut() {
                    table.name = "table".into();
                    let span = |name: &str| attribute(tag, name).unwrap_or(1).clamp(1, MOST_SPAN) - 1;
                    *cell =
                        Some(Open { text: String::new(), across: span("colspan"), down: span("rowspan") });
                }
            }
            ("td" | "th" | "tr", true) => self.end_cell()?,
            ("br" | "p" | "div", _) => self.text("\n"),
            _ => {}
        }
        Ok(())
    }

    fn end_cell(&mut self) -> Result<(), String> {
        let Some((table, cell)) = self.open.last_mut() else { return Ok(()) };
        let Some(cell) = cell.take() else { return Ok(()) };
        let lines: Vec<String> = cell
            .text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect();
        let text = lines.join(" ");
        let value = if text.is_empty() { Data::Empty } else { Data::String(text) };
        self.cells += 1;
        too_large(self.cells)?;
        table.cell(value, cell.across, cell.down)
    }

    fn keep(&mut self, table: Table) {
        if table.cells() > 0 {
            self.done.push(table);
        }
    }

    fn finish(mut self) -> Result<Vec<Table>, String> {
        self.end_cell()?;
        while let Some((table, _)) = self.open.pop() {
            self.keep(table);
        }
        for (i, table) in self.done.iter_mut().enumerate() {
            table.name = format!("table {}", i + 1);
        }
        self.done.sort_by_key(|t| std::cmp::Reverse(t.cells()));
        Ok(self.done)
    }
}

/// A number in an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<u32> {
    let lower = tag.to_ascii_lowercase();
    let rest = lower[lower.find(name)? + name.len()..].trim_start().strip_prefix('=')?;
    let digits: String =
        rest.trim_start().trim_start_matches(['"', '\'']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Character references written out; what is none stays.
fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        let known = end.and_then(|end| {
            let name = &rest[1..end];
            let c = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                "nbsp" => '\u{a0}',
                "yen" => '¥',
                "times" => '×',
                "mdash" => '—',
                "ndash" => '–',
                _ => {
                    let number = name.strip_prefix('#')?;
                    let code = match number.strip_prefix(['x', 'X']) {
                        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                        None => number.parse().ok()?,
                    };
                    char::from_u32(code)?
                }
            };
            Some((c, end + 1))
        });
        let (c, length) = known.unwrap_or(('&', 1));
        out.push(c);
        rest = &rest[length..];
    }
    out.push_str(rest);
}

/// The sheets of a workbook in XML of 2003 (SpreadsheetML).
pub(super) fn xml_2003(text: &str) -> Result<Vec<Table>, String> {
    let mut xml = Reader::from_str(text.trim_start_matches('\u{feff}'));
    xml.config_mut().expand_empty_elements = true;
    let mut done: Vec<Table> = Vec::new();
    let mut table: Option<Table> = None;
    let (mut rows, mut cell, mut kind, mut value) = (0u32, None, None::<String>, String::new());
    let (mut comment, mut cells) = (0, 0);
    loop {
        let event = xml.read_event().map_err(|e| format!("byte {}: {e}", xml.buffer_position()))?;
        match event {
            Event::Start(tag) => match (tag.local_name().as_ref(), &mut table) {
                (b"Worksheet", _) => {
                    let name = named(&tag, b"Name").unwrap_or_else(|| format!("sheet {}", done.len() + 1));
                    table = Some(Table { name, ..Table::default() });
                    rows = 0;
                }
                (b"Row", Some(table)) => {
                    let row = number(&tag, b"Index").map_or(rows, |n| n.saturating_sub(1));
                    table.start_row(row);
                    rows = row.saturating_add(1);
                }
                (b"Cell", Some(table)) => {
                    if let Some(index) = number(&tag, b"Index") {
                        table.column = index.saturating_sub(1);
                    }
                    cell = Some((
                        number(&tag, b"MergeAcross").unwrap_or(0),
                        number(&tag, b"MergeDown").unwrap_or(0),
                    ));
                    (kind, value) = (None, String::new());
                }
                (b"Comment", _) => comment += 1,
                (b"Data", _) if cell.is_some() && comment == 0 => kind = named(&tag, b"Type"),
                _ => {}
            },
            Event::End(tag) => match (tag.local_name().as_ref(), &mut table) {
                (b"Worksheet", Some(_)) => done.extend(table.take()),
                (b"Comment", _) => comment -= 1,
                (b"Cell", Some(table)) => {
                    if let Some((across, down)) = cell.take() {
                        cells += 1;
                        too_large(cells)?;
                        let data = typed(kind.take().as_deref(), std::mem::take(&mut value));
                        table.cell(data, across.min(MOST_SPAN), down.min(1_048_576))?;
                    }
                }
                _ => {}
            },
            Event::Text(part) if cell.is_some() && comment == 0 && kind.is_some() => {
                value.push_str(&part.xml10_content().map_err(|e| e.to_string())?);
            }
            Event::CData(part) if cell.is_some() && comment == 0 && kind.is_some() => {
                value.push_str(&String::from_utf8_lossy(&part));
            }
            Event::GeneralRef(part) if cell.is_some() && comment == 0 && kind.is_some() => {
                let name = String::from_utf8_lossy(&part).into_owned();
                unescape(&format!("&{name};"), &mut value);
            }
            Event::Eof => return Ok(done),
            _ => {}
        }
    }
}

fn named(tag: &BytesStart<'_>, name: &[u8]) -> Option<String> {
    let found = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == name)?;
    found.unescape_value().ok().map(|v| v.into_owned())
}

fn number(tag: &BytesStart<'_>, name: &[u8]) -> Option<u32> {
    named(tag, name)?.trim().parse().ok()
}

fn typed(kind: Option<&str>, value: String) -> Data {
    match kind {
        None => Data::Empty,
        // Long numbers are written digit by digit here: as text they stay so.
        Some("Number") if value.chars().filter(char::is_ascii_digit).count() <= 15 => {
            value.trim().parse().map_or(Data::String(value), Data::Float)
        }
        Some("DateTime") => Data::DateTimeIso(value),
        Some("Boolean") => Data::Bool(value.trim() == "1"),
        Some("Error") => CellErrorType::from_str(value.trim()).map_or(Data::String(value), Data::Error),
        _ if value.is_empty() => Data::Empty,
        _ => Data::String(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &Table) -> Vec<String> {
        let cell = |(c, v): &(u32, Data)| format!("{c}={v}");
        table
            .rows
            .iter()
            .map(|(r, cells)| format!("{r}: {}", cells.iter().map(cell).collect::<Vec<_>>().join(" ")))
            .collect()
    }

    #[test]
    fn html_tables_have_their_spans_and_entities() {
        let page = "<html><table class='layout'><tr><td><TABLE><!-- <td>x</td> --><tr><th rowspan=2>区域<th colspan=\"2\">金额</tr>\
            <tr><td>a &amp; b<td>1&nbsp;<br>2</td><tr><td>&#x738B;<td><style>td{}</style>x</TABLE></td></tr></table>";
        let tables = html(page).unwrap();
        assert_eq!(rows(&tables[0]), ["0: 0=区域 1=金额", "1: 1=a & b 2=1 2", "2: 0=王 1=x"]);
        assert_eq!(tables[0].merges.len(), 2);
        assert!(html("<table><tr><td colspan=60000>x").is_err());
        assert!(html("no table").unwrap().is_empty());
    }

    #[test]
    fn sheets_of_xml_2003_have_places_and_types() {
        let text = "<?xml version=\"1.0\"?><Workbook xmlns:ss=\"urn\"><Worksheet ss:Name=\"甲\"><Table><Row ss:Index=\"3\">\
            <Cell ss:Index=\"2\" ss:MergeDown=\"1\"><Data ss:Type=\"Number\">1.50</Data><Comment><Data>no</Data></Comment></Cell></Row>\
            <Row><Cell><Data ss:Type=\"String\">a &amp; b</Data></Cell><Cell><Data ss:Type=\"DateTime\">2026-11-27T00:00:00.000</Data></Cell></Row>\
            <Row><Cell><Data ss:Type=\"Number\">110101199003078515</Data></Cell></Row></Table></Worksheet></Workbook>";
        let sheets = xml_2003(text).unwrap();
        assert_eq!(sheets[0].name, "甲");
        assert_eq!(
            rows(&sheets[0]),
            ["2: 1=1.5", "3: 0=a & b 2=2026-11-27T00:00:00.000", "4: 0=110101199003078515"]
        );
        assert!(xml_2003("<Workbook><Row></Cell>").is_err());
    }
}
