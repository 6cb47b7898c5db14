//! Rows of a statement → batches, with rows that do not fit on the side.

use futures::TryStreamExt;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row, TypeInfo, ValueRef};

use super::declared::Column;
use super::spoiled::{Spoiled, Why};
use crate::error::SourceError;
use crate::sources::sql::columns::{Cells, Kind, Table, decimal};
use crate::sources::sql::outgoing::{Halt, Outgoing};
use crate::sources::sql::{column, quoted};
use crate::spec::StreamSpec;

/// Rows set aside that wait for the next batch.
const SPOILED_ROWS: usize = 8192;

/// The columns of a read. `guarded`: values above the limit do not leave the database, and a last column
/// tells in which column one stands.
pub(super) fn select(columns: &[Column], from: &str, guarded: bool) -> String {
    let most = store::limits().value_bytes;
    let large = |c: &Column| guarded && matches!(c.kind, Kind::Text | Kind::Binary);
    let mut list: Vec<String> = columns
        .iter()
        .map(|c| {
            let name = column(&c.name, '"');
            match large(c) {
                true => {
                    format!("iif(octet_length({name}) > {most}, NULL, {name}) AS {}", quoted(&c.name, '"'))
                }
                false => name,
            }
        })
        .collect();
    if guarded {
        let cases: String = columns
            .iter()
            .enumerate()
            .filter(|(_, c)| large(c))
            .map(|(i, c)| format!(" WHEN octet_length({}) > {most} THEN {i}", column(&c.name, '"')))
            .collect();
        list.push(if cases.is_empty() { "NULL".into() } else { format!("CASE{cases} END") });
    }
    format!("SELECT {} FROM {from}", list.join(", "))
}

pub(super) struct Reader {
    columns: Vec<Column>,
    table: Table,
    spoiled: Spoiled,
    guarded: bool,
    /// The cursor column when it lands as text: its values then keep their class beside the batch.
    cursor: Option<usize>,
    places: Vec<Value>,
    read: u64,
}

impl Reader {
    pub(super) fn new(
        columns: Vec<Column>,
        landed: Vec<String>,
        stream: &StreamSpec,
        guarded: bool,
        loaded_at: i64,
    ) -> Self {
        let kinds: Vec<(String, Kind)> = landed.into_iter().zip(columns.iter().map(|c| c.kind)).collect();
        let keys = stream.key().unwrap_or_default().to_vec();
        Reader {
            table: Table::new(&kinds, loaded_at),
            spoiled: Spoiled::new(keys, loaded_at),
            cursor: stream
                .cursor()
                .and_then(|name| columns.iter().position(|c| c.name == name))
                .filter(|i| columns[*i].kind == Kind::Text),
            columns,
            guarded,
            places: Vec::new(),
            read: 0,
        }
    }

    pub(super) async fn run(
        mut self,
        mut db: SqliteConnection,
        sql: String,
        mut outgoing: Outgoing,
        fail: impl Fn(sqlx::Error) -> SourceError + Send + Sync,
    ) -> Result<(), Halt> {
        {
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut db);
            while let Some(row) = rows.try_next().await.map_err(&fail)? {
                self.read += 1;
                self.add(&row)?;
                if self.table.is_full() || self.spoiled.waiting() >= SPOILED_ROWS {
                    self.pass_on(&mut outgoing).await?;
                }
            }
        }
        if self.table.rows > 0 || self.spoiled.waiting() > 0 {
            self.pass_on(&mut outgoing).await?;
        }
        self.spoiled.summary().into_iter().for_each(|message| outgoing.warn(message));
        outgoing.finish(self.table.take()?).await?;
        let _ = db.close().await;
        Ok(())
    }

    async fn pass_on(&mut self, outgoing: &mut Outgoing) -> Result<(), Halt> {
        if let Some(batch) = self.spoiled.take()? {
            outgoing.reject(batch);
        }
        let places = std::mem::take(&mut self.places);
        outgoing.batch_at(self.table.take()?, self.cursor.map(|_| places)).await
    }

    /// Adds one row, or sets it aside whole.
    fn add(&mut self, row: &SqliteRow) -> Result<(), SourceError> {
        let too_large = match self.guarded {
            true => row.try_get_unchecked::<Option<i64>, _>(self.columns.len()).ok().flatten(),
            false => None,
        };
        let bad = match too_large.and_then(|i| usize::try_from(i).ok()) {
            Some(i) => Some((i, Why::TooLarge)),
            None => (0..self.columns.len())
                .find_map(|i| fits(row, i, self.columns[i].kind).err().map(|why| (i, why))),
        };
        if let Some((i, why)) = bad {
            self.spoiled.add(row, &self.columns, i, why, self.read);
            return Ok(());
        }
        if let Some(i) = self.cursor {
            self.places.push(place(row, i));
        }
        for (i, cells) in self.table.cells.iter_mut().enumerate() {
            self.table.bytes += put(row, i, self.columns[i].kind, cells)
                .map_err(|e| SourceError::never(format!("column `{}`: {e}", self.columns[i].name)))?;
        }
        self.table.rows += 1;
        Ok(())
    }
}

/// Storage class of a value: NULL, INTEGER, REAL, TEXT or BLOB.
pub(super) fn class(row: &SqliteRow, i: usize) -> String {
    match row.try_get_raw(i) {
        Ok(v) if v.is_null() => "NULL".into(),
        Ok(v) => v.type_info().name().to_owned(),
        Err(_) => "NULL".into(),
    }
}

/// A cursor value that compares in the database as it stands there: a number is no text.
fn place(row: &SqliteRow, i: usize) -> Value {
    match class(row, i).as_str() {
        "INTEGER" => json!(row.try_get_unchecked::<i64, _>(i).ok()),
        "REAL" => json!(row.try_get_unchecked::<f64, _>(i).ok()),
        "TEXT" => json!(row.try_get_unchecked::<&str, _>(i).ok()),
        _ => Value::Null,
    }
}

fn fits(row: &SqliteRow, i: usize, kind: Kind) -> Result<(), Why> {
    let Ok(value) = row.try_get_raw(i) else { return Err(Why::Unreadable) };
    if value.is_null() {
        return Ok(());
    }
    let info = value.type_info();
    let class = info.name();
    let good = match kind {
        Kind::Int => class == "INTEGER",
        Kind::Bool => class == "INTEGER" && matches!(row.try_get_unchecked::<i64, _>(i), Ok(0 | 1)),
        Kind::Float => matches!(class, "INTEGER" | "REAL"),
        Kind::Decimal(..) => match class {
            "BLOB" => false,
            _ => return number(row, i, kind).map(drop).ok_or(Why::Digits),
        },
        // SQLite stores whatever bytes a program calls text.
        Kind::Text if class == "TEXT" && row.try_get_unchecked::<&str, _>(i).is_err() => {
            return Err(Why::NotUtf8);
        }
        Kind::Text => class != "BLOB",
        _ => true,
    };
    if good { Ok(()) } else { Err(Why::Class) }
}

/// A value of a column with digits. A binary fraction counts as SQLite shows it, with 15 digits: 0.1 + 0.2 is 0.3.
fn number(row: &SqliteRow, i: usize, kind: Kind) -> Option<i128> {
    let Kind::Decimal(precision, scale) = kind else { return None };
    match class(row, i).as_str() {
        "INTEGER" => decimal(&row.try_get_unchecked::<i64, _>(i).ok()?.to_string(), precision, scale),
        "REAL" => {
            let value: f64 = row.try_get_unchecked(i).ok()?;
            decimal(&value.to_string(), precision, scale).or_else(|| {
                let shown: f64 = format!("{value:.14e}").parse().ok()?;
                decimal(&shown.to_string(), precision, scale)
            })
        }
        "TEXT" => decimal(row.try_get_unchecked::<&str, _>(i).ok()?, precision, scale),
        _ => None,
    }
}

/// Writes one value that fits; returns its bytes.
fn put(row: &SqliteRow, i: usize, kind: Kind, cells: &mut Cells) -> Result<usize, sqlx::Error> {
    if row.try_get_raw(i)?.is_null() {
        cells.null();
        return Ok(1);
    }
    match cells {
        Cells::Int(b) => b.append_value(row.try_get_unchecked(i)?),
        Cells::Float(b) => b.append_value(row.try_get_unchecked(i)?),
        Cells::Bool(b) => b.append_value(row.try_get_unchecked::<i64, _>(i)? != 0),
        Cells::Decimal(b) => b.append_option(number(row, i, kind)),
        Cells::Binary(b) => {
            let bytes: &[u8] = row.try_get_unchecked(i)?;
            b.append_value(bytes);
            return Ok(bytes.len());
        }
        Cells::Text(b) => {
            // Numbers in text columns come out as SQLite writes them.
            let text: &str = row.try_get_unchecked(i)?;
            b.append_value(text);
            return Ok(text.len());
        }
        other => other.null(),
    }
    Ok(8)
}
