//! Where a second table begins on a sheet: its rows belong to no column of the first.

use calamine::Data;

use super::cell::is_number;

/// Letters of a cell that may be a name.
const NAME: usize = 60;

/// What a row is to the table above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Row,
    /// The header again: sheets were put below each other.
    Again,
    /// The header of another table, or a row below it.
    Second,
}

/// Watches the rows of one sheet pass by, each with one cell for each column of the table.
pub(super) struct Watch {
    header: Vec<String>,
    /// For each column how many rows have a value, and how many of these a number or a time.
    seen: Vec<(u64, u64)>,
    last: Option<u32>,
    second: bool,
}

impl Watch {
    /// `header` are the names as the sheet has them; none without a header.
    pub(super) fn new(header: Vec<String>, columns: usize) -> Self {
        Watch { header, seen: vec![(0, 0); columns], last: None, second: false }
    }

    /// Judges the next row that has a value: `cells` by the table's columns.
    pub(super) fn see(&mut self, row: u32, cells: &[Option<&Data>]) -> Place {
        let behind_gap = self.last.is_some_and(|last| row > last + 1);
        self.last = Some(row);
        if self.second {
            return Place::Second;
        }
        if self.is_header_again(cells) {
            return Place::Again;
        }
        if behind_gap && self.looks_like_header(cells) {
            self.second = true;
            return Place::Second;
        }
        for (seen, cell) in self.seen.iter_mut().zip(cells) {
            if let Some(cell) = cell {
                seen.0 += 1;
                seen.1 += u64::from(is_typed(cell));
            }
        }
        Place::Row
    }

    fn is_header_again(&self, cells: &[Option<&Data>]) -> bool {
        self.header.len() > 1
            && self.header.len() == cells.len()
            && self.header.iter().zip(cells).all(|(name, cell)| match cell {
                Some(Data::String(text)) => text.trim() == name,
                Some(_) => false,
                None => name.is_empty(),
            })
    }

    /// Different short words only, and some where the table has nothing but numbers and times.
    fn looks_like_header(&self, cells: &[Option<&Data>]) -> bool {
        let mut words: Vec<&str> = Vec::new();
        for cell in cells.iter().flatten() {
            match cell {
                Data::String(text) if text.chars().count() <= NAME && !words.contains(&text.trim()) => {
                    words.push(text.trim());
                }
                _ => return false,
            }
        }
        let typed = |(seen, typed): &(u64, u64)| *seen > 0 && seen == typed;
        words.len() > 1
            && words.iter().all(|word| word.chars().any(char::is_alphabetic))
            && self.seen.iter().zip(cells).any(|(seen, cell)| typed(seen) && cell.is_some())
    }
}

fn is_typed(cell: &Data) -> bool {
    is_number(cell) || matches!(cell, Data::DateTime(_) | Data::DateTimeIso(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(header: &str, rows: &[(u32, &str)]) -> Vec<Place> {
        let names: Vec<String> = header.split(',').map(str::to_owned).collect();
        let mut watch = Watch::new(names.clone(), names.len());
        let judge = |(row, line): &(u32, &str)| {
            let cells: Vec<Option<Data>> = line
                .split(',')
                .map(|text| match text.parse::<f64>() {
                    _ if text.is_empty() => None,
                    Ok(number) => Some(Data::Float(number)),
                    Err(_) => Some(Data::String(text.into())),
                })
                .collect();
            watch.see(*row, &cells.iter().map(Option::as_ref).collect::<Vec<_>>())
        };
        rows.iter().map(judge).collect()
    }

    #[test]
    fn a_second_table_begins_behind_a_gap_and_reaches_to_the_end() {
        use Place::{Again, Row, Second};
        let table = [(1, "a,1"), (2, "b,2")];
        let with = |more: &[(u32, &'static str)]| {
            let rows: Vec<_> = table.iter().copied().chain(more.iter().copied()).collect();
            judged("name,n", &rows).split_off(2)
        };
        assert_eq!(with(&[(4, "支出,金额"), (5, "c,3"), (7, "d,4")]), [Second, Second, Second]);
        assert_eq!(with(&[(3, "name,n"), (4, "c,3"), (6, "name,n"), (7, "d,4")]), [Again, Row, Again, Row]);
        // A gap between rows, a total, a remark and signs for no value are no headers.
        assert_eq!(with(&[(4, "c,3"), (6, "合计,6"), (8, "注：未审计,"), (10, "d,—")]), [Row; 4]);
        // Words of words do not show.
        assert_eq!(judged("a,b", &[(1, "x,y"), (3, "z,w")]), [Row, Row]);
    }
}
