//! Where the header of a sheet is, which columns it has, and what merged cells hold.

use std::collections::BTreeMap;

use calamine::{Data, Dimensions};

use super::cell::{is_number, text};
use super::heading::{self, HeadRow, Kind};
use crate::formats::columns::unique_names;
use crate::spec::{HeaderRow, XlsxSpec};

/// Rows with cells among which the header is looked for.
const HEAD_ROWS: usize = 50;
/// Letters of a cell that may become part of a name or a message.
const HEAD_TEXT: usize = 300;
/// Columns that a sheet can have at all.
const SHEET_COLUMNS: usize = 16_384;
/// Merged regions beside one another in a row.
const MOST_REGIONS: usize = 20_000;
/// Rows and cells that a message shows.
const SHOWN: usize = 3;

/// What the first pass over a sheet found.
pub(super) struct Survey {
    wanted: Option<u32>,
    auto: bool,
    /// The first rows that have cells, and the wanted header row.
    head: Vec<HeadRow>,
    texts: BTreeMap<(u32, u32), String>,
    /// Last row in which a column has a value.
    last: BTreeMap<u32, u32>,
    /// Cells that have a value.
    pub(super) cells: u64,
}

impl Survey {
    pub(super) fn new(spec: &XlsxSpec) -> Self {
        let wanted = match spec.header_row {
            HeaderRow::Auto | HeaderRow::None => None,
            HeaderRow::Row(n) => Some(n - 1),
        };
        let auto = spec.header_row == HeaderRow::Auto;
        Survey { wanted, auto, head: Vec::new(), texts: BTreeMap::new(), last: BTreeMap::new(), cells: 0 }
    }

    pub(super) fn see(&mut self, row: u32, cells: &[(u32, Data)]) {
        let held = |v: &Data| match v {
            Data::Empty => false,
            Data::String(s) => !s.trim().is_empty(),
            _ => true,
        };
        let mut any = false;
        for (column, _) in cells.iter().filter(|(_, v)| held(v)) {
            if self.last.len() <= SHEET_COLUMNS || self.last.contains_key(column) {
                self.last.entry(*column).and_modify(|r| *r = row.max(*r)).or_insert(row);
            }
            self.cells += 1;
            any = true;
        }
        let near = self.wanted.is_some_and(|w| row <= w + 8 && row + 8 >= w);
        if any && (near || self.head.len() < HEAD_ROWS) {
            let mut head = HeadRow { row, cells: Vec::new() };
            for (column, value) in cells.iter().filter(|(_, v)| held(v)) {
                let text: String = text(value).unwrap_or_default().chars().take(HEAD_TEXT).collect();
                let kind = match value {
                    Data::String(_) => Kind::Words(text.clone()),
                    Data::Int(n) => Kind::Number(*n as f64),
                    Data::Float(x) => Kind::Number(*x),
                    Data::DateTime(_) | Data::DateTimeIso(_) => Kind::Moment(text.clone()),
                    _ => Kind::Other,
                };
                head.cells.push((*column, kind));
                self.texts.insert((row, *column), text);
            }
            self.head.push(head);
        }
    }

    /// Columns that have a value somewhere.
    pub(super) fn width(&self) -> usize {
        self.last.len()
    }

    /// The header's row: the one asked for, or the one found.
    fn header(&self) -> Option<u32> {
        match self.wanted {
            Some(row) => Some(row),
            None if self.auto => heading::find(&self.head).map(|at| self.head[at].row),
            None => None,
        }
    }

    fn value(&self, row: u32, column: u32) -> Option<String> {
        self.texts.get(&(row, column)).filter(|t| !t.is_empty()).cloned()
    }

    /// The beginning of a row, for messages.
    fn shown(&self, row: u32) -> String {
        let cells: Vec<&String> = self.texts.range((row, 0)..=(row, u32::MAX)).map(|(_, t)| t).collect();
        let short = |t: &&String| t.chars().take(30).collect::<String>();
        let more = if cells.len() > SHOWN * 2 { ", …" } else { "" };
        format!("{}{more}", cells.iter().take(SHOWN * 2).map(short).collect::<Vec<_>>().join(", "))
    }

    /// What a person should know about the choice of the header; nothing when the first row holds only words.
    pub(super) fn told(&self, layout: &Layout) -> Option<String> {
        if !self.auto {
            return None;
        }
        let Some((first, last)) = layout.header else {
            let row = self.head.first()?.row;
            return Some(format!(
                "no row looks like a header, so the columns are column_1, column_2, … and row {} ({}) is the first of the data; write `header_row: none` when that is right, else the number of the header's row",
                row + 1,
                self.shown(row)
            ));
        };
        let above: Vec<u32> = self.head.iter().map(|h| h.row).filter(|r| *r < first).collect();
        let numbers = self.head.iter().any(|h| {
            (first..=last).contains(&h.row)
                && h.cells.iter().any(|(_, k)| matches!(k, Kind::Number(_) | Kind::Moment(_)))
        });
        if above.is_empty() && !numbers {
            return None;
        }
        let mut told = format!("row {} is taken as the header ({})", last + 1, self.shown(last));
        if !above.is_empty() {
            let rows: Vec<String> =
                above.iter().take(SHOWN).map(|r| format!("row {}: {}", r + 1, self.shown(*r))).collect();
            let more = above.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!("; and {more} rows more") } else { String::new() };
            told.push_str(&format!("; what stands above is not read ({}{more})", rows.join("; ")));
        }
        told.push_str(&format!("; write `header_row: {}` when that is right", last + 1));
        Some(told)
    }
}

/// Columns of the table on a sheet.
pub(super) struct Layout {
    /// Sheet columns that have a value in the header or below it.
    pub(super) columns: Vec<u32>,
    pub(super) names: Vec<String>,
    /// First and last row of the header; `None` when the sheet has none.
    pub(super) header: Option<(u32, u32)>,
}

impl Layout {
    /// # Errors
    /// The asked-for header row has no cells.
    pub(super) fn new(survey: &Survey, merges: &[Dimensions]) -> Result<Self, String> {
        let Some(row) = survey.header() else {
            let columns: Vec<u32> = survey.last.keys().copied().collect();
            let names = unique_names(columns.iter().map(|_| ""));
            return Ok(Layout { columns, names, header: None });
        };
        if survey.wanted.is_some() && !survey.head.iter().any(|h| h.row == row) {
            return Err(format!(
                "header_row {} has no cells; set header_row to the row that names the columns, to auto, or to none",
                u64::from(row) + 1
            ));
        }
        let (first, last) = header_span(row, merges);
        // Real regions do not overlap: more than this at one place come from nobody.
        let near = merges.iter().filter(|m| m.start.0 <= last && m.end.0 >= first);
        let merges: &[Dimensions] = &near.take(MOST_REGIONS).copied().collect::<Vec<_>>();
        let columns: Vec<u32> = survey.last.iter().filter(|(_, r)| **r >= first).map(|(c, _)| *c).collect();
        let names =
            unique_names(columns.iter().map(|column| header_name(survey, merges, *column, first, last)));
        Ok(Layout { columns, names, header: Some((first, last)) })
    }

    /// The name of a sheet column, when it is one of the table.
    pub(super) fn name(&self, column: u32) -> Option<&str> {
        self.columns.binary_search(&column).ok().map(|at| self.names[at].as_str())
    }

    /// The header's cells as written; none when it is none, or is put together from several rows.
    pub(super) fn written(&self, survey: &Survey) -> Vec<String> {
        match self.header {
            Some((first, last)) if first == last => {
                self.columns.iter().map(|column| survey.value(first, *column).unwrap_or_default()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The cells of a row by the table's columns.
    pub(super) fn held<'c>(&self, cells: &'c [(u32, Data)]) -> Vec<Option<&'c Data>> {
        let mut held = vec![None; self.columns.len()];
        for (column, value) in cells {
            if let Ok(at) = self.columns.binary_search(column) {
                held[at] = Some(value).filter(|value| text(value).is_some());
            }
        }
        held
    }

    /// The values of one row, merged regions filled. Every cell is shown to `odd`.
    pub(super) fn place(
        &self,
        row: u32,
        cells: &[(u32, Data)],
        fill: &mut Merges,
        mut odd: impl FnMut(usize, u32, &Data),
    ) -> Vec<Option<String>> {
        let mut values = vec![None; self.columns.len()];
        for (column, value) in cells {
            let Ok(at) = self.columns.binary_search(column) else { continue };
            odd(at, *column, value);
            values[at] = text(value);
            fill.note(row, *column, value);
        }
        // A row without a value of its own stays empty: a region that hangs below the table is no row.
        if values.iter().any(Option::is_some) {
            fill.apply(row, &self.columns, &mut values);
        }
        values
    }
}

/// Rows of a header that merged cells stretch over several rows.
fn header_span(row: u32, merges: &[Dimensions]) -> (u32, u32) {
    let (mut first, mut last) = (row, row);
    for m in merges
        .iter()
        .filter(|m| m.start.0 < m.end.0 && m.start.0 <= row && row <= m.end.0 && m.end.0 - m.start.0 < 8)
    {
        first = first.min(m.start.0);
        last = last.max(m.end.0);
    }
    // Two or more cells merged sideways just above are group names; a single one is a title.
    let groups =
        merges.iter().filter(|m| m.start.0 == m.end.0 && m.end.0 + 1 == first && m.start.1 < m.end.1).count();
    if first == row && groups >= 2 {
        first -= 1;
    }
    (first, last)
}

/// The parts of a column's header from top to bottom, each once.
fn header_name(survey: &Survey, merges: &[Dimensions], column: u32, first: u32, last: u32) -> String {
    let mut parts: Vec<String> = Vec::new();
    for row in first..=last {
        let (r, c) = merges.iter().find(|m| m.contains(row, column)).map_or((row, column), |m| m.start);
        if let Some(part) = survey.value(r, c).filter(|p| parts.last() != Some(p)) {
            parts.push(part);
        }
    }
    parts.join("_")
}

/// Merged regions, filled while rows pass by from top to bottom. Words, dates and codes say what all rows of a region
/// are; a number is one amount, and repeated it would count as often.
pub(super) struct Merges {
    waiting: std::vec::IntoIter<Dimensions>,
    next: Option<Dimensions>,
    active: Vec<(Dimensions, Option<String>)>,
    /// Cells of the row at hand that hold a number.
    numbers: Vec<(u32, u32)>,
}

impl Merges {
    /// Regions below the header.
    pub(super) fn new(mut regions: Vec<Dimensions>, last_header: Option<u32>) -> Self {
        regions.retain(|m| last_header.is_none_or(|last| m.start.0 > last));
        regions.sort_by_key(|m| m.start);
        let mut waiting = regions.into_iter();
        let next = waiting.next();
        Merges { waiting, next, active: Vec::new(), numbers: Vec::new() }
    }

    fn note(&mut self, row: u32, column: u32, value: &Data) {
        if self.next.is_some_and(|m| m.start.0 <= row) && is_number(value) {
            self.numbers.push((row, column));
        }
    }

    fn apply(&mut self, row: u32, columns: &[u32], values: &mut [Option<String>]) {
        self.active.retain(|(m, _)| m.end.0 >= row);
        while let Some(region) = self.next.filter(|m| m.start.0 <= row) {
            let own = columns
                .binary_search(&region.start.1)
                .ok()
                .filter(|_| region.start.0 == row && !self.numbers.contains(&region.start))
                .and_then(|at| values[at].clone());
            if region.end.0 >= row && self.active.len() < MOST_REGIONS {
                self.active.push((region, own));
            }
            self.next = self.waiting.next();
        }
        self.numbers.clear();
        for (region, value) in self.active.iter().filter(|(_, v)| v.is_some()) {
            let from = columns.partition_point(|c| *c < region.start.1);
            for (at, column) in columns.iter().enumerate().skip(from) {
                if *column > region.end.1 {
                    break;
                }
                if values[at].is_none() {
                    values[at].clone_from(value);
                }
            }
        }
    }
}
