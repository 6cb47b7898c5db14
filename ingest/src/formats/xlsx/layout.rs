//! Where the header of a sheet is, which columns it has, and what merged cells hold.

use std::collections::BTreeMap;

use calamine::{Data, Dimensions};

use super::cell::{is_words, text};
use crate::formats::columns::unique_names;
use crate::spec::{HeaderRow, XlsxSpec};

/// Rows with cells among which the header is looked for.
const HEAD_ROWS: usize = 50;

/// What the first pass over a sheet found.
pub(super) struct Survey {
    wanted: Option<u32>,
    /// The first rows that have cells, and the wanted header row.
    head: Vec<(u32, Vec<(u32, Data)>)>,
    /// Last row in which a column has a value.
    last: BTreeMap<u32, u32>,
    /// Cells that have a value.
    pub(super) cells: u64,
}

impl Survey {
    pub(super) fn new(spec: &XlsxSpec) -> Self {
        let wanted = match spec.header_row {
            HeaderRow::Auto => None,
            HeaderRow::Row(n) => Some(n - 1),
        };
        Survey { wanted, head: Vec::new(), last: BTreeMap::new(), cells: 0 }
    }

    pub(super) fn see(&mut self, row: u32, cells: &[(u32, Data)]) {
        let mut any = false;
        for (column, value) in cells.iter().filter(|(_, v)| text(v).is_some() || matches!(v, Data::Error(_)))
        {
            self.last.entry(*column).and_modify(|r| *r = row.max(*r)).or_insert(row);
            self.cells += 1;
            any |= !matches!(value, Data::Empty);
        }
        let near = self.wanted.is_some_and(|w| row <= w + 8 && row + 8 >= w);
        if any && (near || self.head.len() < HEAD_ROWS) {
            self.head.push((row, cells.to_vec()));
        }
    }

    /// The header's row: the one asked for, or the first with the most text cells.
    fn header(&self) -> Option<u32> {
        if self.wanted.is_some() {
            return self.wanted;
        }
        let words = |cells: &[(u32, Data)]| cells.iter().filter(|(_, v)| is_words(v)).count();
        let most = self.head.iter().map(|(_, cells)| words(cells)).max().filter(|n| *n > 0)?;
        self.head.iter().find(|(_, cells)| words(cells) == most).map(|(row, _)| *row)
    }

    fn value(&self, row: u32, column: u32) -> Option<String> {
        let (_, cells) = self.head.iter().find(|(r, _)| *r == row)?;
        cells.iter().find(|(c, _)| *c == column).and_then(|(_, v)| text(v))
    }
}

/// Columns of the table on a sheet.
pub(super) struct Layout {
    /// Sheet columns that have a value in the header or below it.
    pub(super) columns: Vec<u32>,
    pub(super) names: Vec<String>,
    /// Last row of the header; `None` when the sheet has no text at all and so no header.
    pub(super) last_header: Option<u32>,
}

impl Layout {
    /// # Errors
    /// The asked-for header row has no cells.
    pub(super) fn new(survey: &Survey, spec: &XlsxSpec, merges: &[Dimensions]) -> Result<Self, String> {
        let Some(row) = survey.header() else {
            let columns: Vec<u32> = survey.last.keys().copied().collect();
            let names = unique_names(columns.iter().map(|_| ""));
            return Ok(Layout { columns, names, last_header: None });
        };
        if spec.header_row != HeaderRow::Auto && !survey.head.iter().any(|(r, _)| *r == row) {
            return Err(format!(
                "header_row {} has no cells; set header_row to the row that names the columns, or auto",
                row + 1
            ));
        }
        let (first, last) = header_span(row, merges);
        let columns: Vec<u32> = survey.last.iter().filter(|(_, r)| **r >= first).map(|(c, _)| *c).collect();
        let names =
            unique_names(columns.iter().map(|column| header_name(survey, merges, *column, first, last)));
        Ok(Layout { columns, names, last_header: Some(last) })
    }

    /// The values of one row, merged regions filled. Error values are reported and left out.
    pub(super) fn place(
        &self,
        row: u32,
        cells: &[(u32, Data)],
        fill: &mut Merges,
        mut error: impl FnMut(u32, &Data),
    ) -> Vec<Option<String>> {
        let mut values = vec![None; self.columns.len()];
        for (column, value) in cells {
            let Ok(at) = self.columns.binary_search(column) else { continue };
            if matches!(value, Data::Error(_)) {
                error(*column, value);
            }
            values[at] = text(value);
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

/// Merged regions, filled while rows pass by from top to bottom.
pub(super) struct Merges {
    waiting: std::vec::IntoIter<Dimensions>,
    next: Option<Dimensions>,
    active: Vec<(Dimensions, Option<String>)>,
}

impl Merges {
    /// Regions below the header.
    pub(super) fn new(mut regions: Vec<Dimensions>, last_header: Option<u32>) -> Self {
        regions.retain(|m| last_header.is_none_or(|last| m.start.0 > last));
        regions.sort_by_key(|m| m.start);
        let mut waiting = regions.into_iter();
        let next = waiting.next();
        Merges { waiting, next, active: Vec::new() }
    }

    fn apply(&mut self, row: u32, columns: &[u32], values: &mut [Option<String>]) {
        self.active.retain(|(m, _)| m.end.0 >= row);
        while let Some(region) = self.next.filter(|m| m.start.0 <= row) {
            let own = columns
                .binary_search(&region.start.1)
                .ok()
                .filter(|_| region.start.0 == row)
                .and_then(|at| values[at].clone());
            if region.end.0 >= row {
                self.active.push((region, own));
            }
            self.next = self.waiting.next();
        }
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
