//! Rows on their way into SQLite: cells, and bulk inserts with few statements.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe};

use crate::Error;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Static(&'static str),
    Shared(Arc<str>),
}

/// Which table of a source system, and its columns.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
}

/// Bound by SQLite's 32,766 parameters a statement; more rows at once gain nothing.
const ROWS: usize = 128;

/// Collects rows of one table and writes them in statements of `ROWS` rows.
pub(crate) struct Bulk {
    table: &'static Table,
    full: Arc<str>,
    cells: Vec<Cell>,
}

impl Bulk {
    pub(crate) fn new(table: &'static Table) -> Self {
        Self { table, full: insert(table, ROWS).into(), cells: Vec::new() }
    }

    /// Adds whole rows, cells one after the other.
    pub(crate) fn extend(&mut self, rows: impl IntoIterator<Item = Cell>) {
        self.cells.extend(rows);
    }

    /// Writes what makes full statements; with `all`, the rest too.
    pub(crate) async fn flush(&mut self, db: &mut SqliteConnection, all: bool) -> Result<(), Error> {
        let width = self.table.columns.len();
        let whole = self.cells.len() / (width * ROWS) * (width * ROWS);
        let mut rows = std::mem::take(&mut self.cells);
        self.cells = rows.split_off(whole);
        let mut rows = rows.into_iter();
        for _ in 0..whole / (width * ROWS) {
            execute(db, self.full.clone(), rows.by_ref().take(width * ROWS)).await?;
        }
        if all && !self.cells.is_empty() {
            let rest = std::mem::take(&mut self.cells);
            execute(db, insert(self.table, rest.len() / width).into(), rest.into_iter()).await?;
        }
        Ok(())
    }
}

fn insert(table: &Table, rows: usize) -> String {
    let row = format!("({})", vec!["?"; table.columns.len()].join(","));
    // Replace, not upsert: a row is always written whole.
    format!(
        "insert or replace into {} ({}) values {}",
        table.name,
        table.columns.join(","),
        vec![row; rows].join(",")
    )
}

async fn execute(
    db: &mut SqliteConnection,
    sql: Arc<str>,
    cells: impl Iterator<Item = Cell>,
) -> Result<(), Error> {
    let mut values = SqliteArguments::default();
    for cell in cells {
        match cell {
            Cell::Null => values.add(Option::<i64>::None),
            Cell::Int(value) => values.add(value),
            Cell::Real(value) => values.add(value),
            Cell::Text(value) => values.add(value),
            Cell::Static(value) => values.add(value),
            Cell::Shared(value) => values.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    sqlx::query_with(AssertSqlSafe(sql), values).execute(db).await?;
    Ok(())
}
