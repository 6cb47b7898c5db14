//! What a reader could not keep as it was delivered, by column, count and first place.

use std::collections::BTreeMap;

use serde::Serialize;

/// Most different entries of one stream: more columns than this are counted in the last one.
const MOST: usize = 200;

/// Cells of one column that could not be kept as delivered, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The column.
    pub column: String,
    /// What became of the cells and why, such as `NULL: the zero date 0000-00-00 is no date`.
    pub how: String,
    /// Cells.
    pub count: u64,
    /// Where the first one stands, such as `row 3`, `key 17` or `cell C4`, with its text when there is one.
    pub first: String,
}

/// Gathers changed cells while rows are read.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<(String, String), (u64, String)>);

impl Changes {
    /// Counts one cell; `first` is asked only for the first of its kind.
    pub(crate) fn note(&mut self, column: &str, how: &str, first: impl FnOnce() -> String) {
        self.add(column, how, 1, first);
    }

    /// Adds what another reader gathered.
    pub(crate) fn merge(&mut self, changed: Vec<Changed>) {
        for c in changed {
            self.add(&c.column, &c.how, c.count, || c.first);
        }
    }

    fn add(&mut self, column: &str, how: &str, count: u64, first: impl FnOnce() -> String) {
        let key = (column.to_owned(), how.to_owned());
        if let Some((sum, _)) = self.0.get_mut(&key) {
            *sum += count;
            return;
        }
        let key = if self.0.len() < MOST { key } else { ("…".into(), "more columns or reasons".into()) };
        self.0.entry(key).or_insert_with(|| (0, first())).0 += count;
    }

    /// Everything gathered so far; starts anew.
    pub(crate) fn take(&mut self) -> Vec<Changed> {
        let taken = std::mem::take(&mut self.0).into_iter();
        taken.map(|((column, how), (count, first))| Changed { column, how, count, first }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_column_and_reason_and_keeps_the_first_place() {
        let mut changes = Changes::default();
        changes.note("a", "NULL", || "row 2".into());
        changes.note("a", "NULL", || unreachable!("only the first is asked"));
        changes.note("b", "NULL", || "row 5".into());
        let taken = changes.take();
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].count, taken[0].first.as_str()), (2, "row 2"));
        assert!(changes.take().is_empty());
    }

    #[test]
    fn is_bounded() {
        let mut changes = Changes::default();
        for n in 0..MOST * 3 {
            changes.note(&n.to_string(), "NULL", || "row 1".into());
        }
        let taken = changes.take();
        assert_eq!(taken.len(), MOST + 1);
        assert_eq!(taken.iter().map(|c| c.count).sum::<u64>(), (MOST * 3) as u64);
    }
}
