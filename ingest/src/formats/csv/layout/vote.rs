//! Whether a row is a title, names columns, or is data.

use crate::formats::csv::kinds::{Kind, of_column};
use crate::formats::csv::sniff::Row;

/// Whether a row names the columns of those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vote {
    Yes,
    No,
    Unknown,
}

/// A row of few cells above a fuller row of names: `制表人：张,,,`.
pub(super) fn is_title(rows: &[Row], at: usize, width: usize) -> bool {
    let row = &rows[at];
    // Two columns prove little: there an empty row has to follow.
    let apart = width >= 3 || rows.get(at + 1).is_some_and(|next| next.line > row.line + 1);
    let fuller = |r: &Row| {
        r.width == width
            && r.filled() > row.filled()
            && (r.filled() * 2 > width || (row.filled() == 1 && r.filled() > 1))
            && r.cells.iter().all(|c| matches!(c.kind, Kind::Text | Kind::Empty))
    };
    width >= 2 && apart && row.filled() * 2 <= width && rows.iter().skip(at + 1).take(10).any(fuller)
}

pub(super) fn vote(rows: &[Row], at: usize, width: usize) -> Vote {
    let head = &rows[at];
    let fits = |r: &&Row| r.width == width && r.cells.len() == head.cells.len();
    let data: Vec<&Row> = below_header(head, &rows[at + 1..]).into_iter().filter(fits).collect();
    if data.is_empty() {
        let values = head.cells.iter().any(|c| matches!(c.kind, Kind::Number | Kind::Time));
        return if values && !is_sequence(head) { Vote::No } else { Vote::Yes };
    }
    let (mut header, mut same) = (0usize, 0usize);
    for (c, cell) in head.cells.iter().enumerate() {
        let column = of_column(data.iter().map(|r| r.cells[c].kind));
        match (column, cell.kind) {
            (Kind::Number | Kind::Time, Kind::Text) => header += 1,
            (Kind::Number, Kind::Number) | (Kind::Time, Kind::Time) => same += 1,
            (Kind::Number, Kind::Time) => header += 1,
            // A name does not come again among the values.
            (Kind::Text, Kind::Text) if data.iter().any(|r| r.cells[c].value == cell.value) => same += 1,
            _ => {}
        }
    }
    match (header, same) {
        (0, 0) => Vote::Unknown,
        (header, same) if header >= same => Vote::Yes,
        _ if is_sequence(head) => Vote::Yes,
        _ => Vote::No,
    }
}

/// The rows below a header, without those that are a header again: the same one, or, among rows of values, words of
/// which one names its column as the header does.
pub(super) fn below_header<'r>(head: &Row, rows: &'r [Row]) -> Vec<&'r Row> {
    let worded = |r: &Row| r.cells.iter().all(|c| matches!(c.kind, Kind::Text | Kind::Empty));
    let shared = |r: &Row| r.cells.iter().zip(&head.cells).filter(|(a, b)| a.value == b.value).count();
    let others = rows.iter().filter(|r| shared(r) < r.cells.len().max(1));
    let valued = worded(head) && rows.iter().filter(|r| worded(r)).count() * 2 < rows.len();
    others.filter(|r| !(valued && worded(r) && shared(r) > 0)).collect()
}

/// Years, days or months as headings: `区域,2024,2025,2026`.
fn is_sequence(row: &Row) -> bool {
    let numbers: Vec<i64> = row
        .cells
        .iter()
        .filter(|c| c.kind == Kind::Number)
        .filter_map(|c| std::str::from_utf8(&c.value).ok()?.trim().parse().ok())
        .collect();
    let steps = numbers.windows(2).all(|w| w[1] == w[0] + 1);
    let years = numbers.iter().all(|n| (1900..2101).contains(n));
    let words = row.cells.iter().any(|c| c.kind == Kind::Text);
    words && steps && (numbers.len() >= 3 || (years && numbers.len() >= 2))
}
