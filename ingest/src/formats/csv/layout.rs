//! Where the table of a file begins, how wide it is, and what its columns are called.

mod vote;

use super::kinds::{Kind, of_column};
use super::sniff::{Row, majority};
use crate::formats::columns::unique_names;
use vote::{Vote, below_header, is_title, vote};

/// Rows above the header that may be a title.
const TITLE_ROWS: usize = 100;

/// Said when a delimiter ends each row and not the header: it may as well be the header that lost a name.
const UNNAMED: &str = "nearly every row ends with an empty field that has no name in the header";

/// What a definition or earlier files say about the header.
pub(super) struct Wanted<'w> {
    /// There is one, there is none, or it is to be found.
    pub(super) header: Option<bool>,
    /// How many lines stand above was said.
    pub(super) skipped: bool,
    /// Columns of this stream's earlier files.
    pub(super) known: Option<&'w [String]>,
}

/// The shape of one file's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) names: Vec<String>,
    /// The header's cells as written; none when there is no header.
    pub(super) header: Option<Vec<Vec<u8>>>,
    /// Empty fields that each row may have behind its last column.
    pub(super) extra: usize,
    /// The sample's row that data starts with.
    pub(super) first: usize,
    /// What kind of values each column has in the sample.
    pub(super) kinds: Vec<Kind>,
    /// A row that looks like the header and cannot be: which of the sample's, and why.
    pub(super) broken: Option<(usize, String)>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// Where the header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    At(usize),
    /// This row, but its names are not as many as the rows' fields.
    Odd(usize),
    Missing,
}

/// The layout of a sample's rows; there is at least one.
pub(super) fn layout(rows: &[Row], wanted: &Wanted<'_>) -> Layout {
    let width = majority(rows).map_or(rows[0].width.max(1), |(width, _)| width);
    let header = match wanted.header {
        Some(false) => Header::Missing,
        _ => match find(rows, width, wanted) {
            Header::At(at) if rows[at].width == 0 => Header::Odd(at),
            found => found,
        },
    };
    let mut made = match header {
        Header::Missing => without(width),
        Header::At(at) => with(rows, at),
        Header::Odd(at) => odd(rows, at, width),
    };
    if wanted.header == Some(true) {
        made.notes.retain(|note| !note.contains(UNNAMED));
    }
    if header == Header::Missing && wanted.header.is_none() {
        made.notes.push(format!(
            "line {} looks like data, not like a header: the columns are called {}; write `header: false` in the format to confirm, or `header: true` when it is the header",
            rows[0].line,
            some(&made.names)
        ));
    }
    if let Header::At(at) = header
        && at > 0
        && !wanted.skipped
    {
        let lines = rows[at].line - 1;
        let (count, were) =
            if lines == 1 { ("1 line".into(), "was") } else { (format!("{lines} lines"), "were") };
        made.notes.insert(0, format!(
            "{count} above the header {were} left out, beginning with \"{}\"; write `skip: {lines}` in the format to confirm",
            text(&rows[0])
        ));
    }
    let data = &rows[made.first.min(rows.len())..];
    let data = match header {
        Header::At(at) => below_header(&rows[at], data),
        Header::Odd(_) | Header::Missing => data.iter().collect(),
    };
    made.kinds = kinds(&data, made.names.len());
    made
}

fn text(row: &Row) -> String {
    let cells: Vec<_> = row
        .cells
        .iter()
        .map(|c| String::from_utf8_lossy(&c.value))
        .filter(|c| !c.trim().is_empty())
        .collect();
    cells.join(" ").chars().filter(|c| !c.is_control()).take(40).collect()
}

fn some(names: &[String]) -> String {
    match names.len() {
        0..=3 => names.join(", "),
        n => format!("{}, …, {}", names[0], names[n - 1]),
    }
}

fn kinds(rows: &[&Row], width: usize) -> Vec<Kind> {
    // The first rows: behind them another table may follow.
    let rows: Vec<&&Row> = rows.iter().filter(|r| r.cells.len() >= width).take(50).collect();
    (0..width).map(|c| of_column(rows.iter().map(|r| r.cells[c].kind))).collect()
}

fn find(rows: &[Row], width: usize, wanted: &Wanted<'_>) -> Header {
    if let Some(known) = wanted.known
        && let Some(at) = named(rows, known, wanted.skipped)
    {
        return Header::At(at);
    }
    let sure = wanted.header == Some(true);
    if sure && wanted.skipped {
        return Header::At(0);
    }
    let first = &rows[0];
    let alike = rows.iter().skip(1).filter(|r| r.width == first.width).count();
    let ragged = first.width > 1 && alike > 0 && alike * 5 >= rows.len() - 1;
    if (first.width == width && !is_title(rows, 0, width))
        || (first.width != width && ragged)
        || wanted.skipped
    {
        return match vote(rows, 0, first.width) {
            _ if sure => Header::At(0),
            Vote::No if first.width == width => Header::Missing,
            _ if first.width != width && !ragged => above(rows, 0, width, sure),
            _ => Header::At(0),
        };
    }
    let at = (0..rows.len().min(TITLE_ROWS)).find(|i| rows[*i].width == width && !is_title(rows, *i, width));
    let Some(at) = at else { return Header::At(0) };
    let titles = rows[..at].iter().all(|r| r.width <= 1 || r.filled() * 2 <= width);
    let words = rows[at].cells.iter().all(|c| matches!(c.kind, Kind::Text | Kind::Empty));
    match vote(rows, at, width) {
        Vote::Yes => Header::At(at),
        // What follows a title is the header.
        Vote::Unknown | Vote::No if titles && words => Header::At(at),
        _ => above(rows, at - 1, width, sure),
    }
}

/// The row above the data, when it may be a header with too few or too many names.
fn above(rows: &[Row], at: usize, width: usize, sure: bool) -> Header {
    let row = &rows[at];
    let words = row.cells.iter().all(|c| matches!(c.kind, Kind::Text | Kind::Empty));
    let rich = row.filled() >= 2 && row.filled() * 2 >= width;
    match row.width {
        0 => Header::Odd(at),
        n if n == width => Header::Missing,
        _ if sure || (words && rich) => Header::Odd(at),
        _ if words && at == 0 => Header::Odd(at),
        _ => Header::Missing,
    }
}

/// The first row whose cells are the names that earlier files had, whatever their case.
fn named(rows: &[Row], known: &[String], first_only: bool) -> Option<usize> {
    let known: std::collections::HashSet<String> = known.iter().map(|n| n.to_lowercase()).collect();
    let most = if first_only { 1 } else { TITLE_ROWS };
    rows.iter().take(most).position(|row| {
        let names = unique_names(row.cells.iter().map(|c| String::from_utf8_lossy(&c.value)));
        let named = row
            .cells
            .iter()
            .zip(names)
            .filter(|(c, name)| !c.value.trim_ascii().is_empty() && known.contains(&name.to_lowercase()));
        let count = named.count();
        count > 0 && count * 2 >= known.len().min(row.filled())
    })
}

/// How many empty fields stand behind `width` in nearly every row.
fn trailing(rows: &[Row], width: usize) -> usize {
    let Some((most, _)) = majority(rows).filter(|(most, _)| *most > width) else { return 0 };
    let empty = |r: &&Row| {
        r.width == most && r.cells.iter().skip(width).all(|c| c.value.trim_ascii().is_empty() && !c.quoted)
    };
    let seen = rows.iter().filter(|r| !r.cells.is_empty()).count();
    let found = rows.iter().filter(|r| !r.cells.is_empty()).filter(empty).count();
    if found * 10 >= seen * 9 { most - width } else { 0 }
}

fn without(width: usize) -> Layout {
    blank(unique_names(std::iter::repeat_n("", width)), 0, 0)
}

fn blank(names: Vec<String>, extra: usize, first: usize) -> Layout {
    Layout { names, header: None, extra, first, kinds: Vec::new(), broken: None, notes: Vec::new() }
}

fn with(rows: &[Row], at: usize) -> Layout {
    let head = &rows[at];
    let below = &rows[at + 1..];
    let width = head.width.max(1);
    let unnamed = |c: usize| {
        head.cells.get(c).is_some_and(|c| c.value.trim_ascii().is_empty())
            && below
                .iter()
                .filter(|r| r.cells.len() == width)
                .all(|r| r.cells[c].value.trim_ascii().is_empty())
    };
    let unused = (1..width).rev().take_while(|c| unnamed(*c)).count();
    let width = width - unused;
    let names = unique_names(head.cells.iter().take(width).map(|c| String::from_utf8_lossy(&c.value)));
    let extra = unused.max(trailing(below, width));
    let header = head.cells.iter().take(width).map(|c| c.value.clone()).collect();
    let notes = match extra > unused {
        true => vec![format!(
            "{UNNAMED} in line {}: it was left out; write `header: true` in the format to confirm, or `header: false` and `skip` when a name is missing",
            head.line
        )],
        false => Vec::new(),
    };
    Layout { header: Some(header), notes, ..blank(names, extra, at + 1) }
}

/// A header that does not fit the rows below it.
fn odd(rows: &[Row], at: usize, width: usize) -> Layout {
    let (head, below) = (&rows[at], &rows[at + 1..]);
    let names = head.width;
    let rest_empty = |row: &Row, from: usize| {
        row.cells.iter().skip(from).all(|c| c.value.trim_ascii().is_empty() && !c.quoted)
    };
    if names > 0 && names < width && trailing(below, names) > 0 {
        return with(rows, at);
    }
    if names > width && rest_empty(head, width) {
        let mut made = with(rows, at);
        made.names.truncate(width);
        made.header = made.header.map(|h| h.into_iter().take(width).collect());
        return made;
    }
    let line = head.line;
    if names + 1 == width && has_row_names(below, width) {
        let cells = head.cells.iter().map(|c| String::from_utf8_lossy(&c.value));
        let names = unique_names(std::iter::once("row_names".into()).chain(cells));
        return Layout {
            notes: vec![format!(
                "the header in line {line} has one name less than the rows have fields: the first field is taken for the rows' names, as R writes them, and called `row_names`; write `header: false` and `skip: {line}` when that is wrong"
            )],
            ..blank(names, 0, at + 1)
        };
    }
    let reason = match names {
        0 => "this header cannot be read: a quote in it is not closed or text follows one".to_owned(),
        n => format!("{n} {} where the rows have {width} fields", if n == 1 { "name" } else { "names" }),
    };
    let all = unique_names(std::iter::repeat_n("", width));
    Layout {
        notes: vec![format!(
            "line {line} looks like the header but does not fit ({reason}): it was set aside and the columns are called {}; correct the file, or write `header: false` and `skip: {line}` to confirm",
            some(&all)
        )],
        broken: Some((at, reason)),
        ..blank(all, 0, at + 1)
    }
}

/// The first fields are quoted or count the rows, and are different in every row.
fn has_row_names(rows: &[Row], width: usize) -> bool {
    let first: Vec<_> = rows.iter().filter(|r| r.cells.len() == width).map(|r| &r.cells[0]).collect();
    let mut seen = std::collections::HashSet::new();
    let counted = first.iter().enumerate().all(|(i, c)| c.value == (i + 1).to_string().as_bytes());
    !first.is_empty()
        && first.iter().all(|c| seen.insert(&c.value))
        && (counted || first.iter().all(|c| c.quoted))
}
