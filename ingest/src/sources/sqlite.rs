//! An SQLite file, opened read-only beside whoever writes it.
//!
//! SQLite types values, not columns. A column lands as its declared type says (INTEGER, REAL, BOOLEAN,
//! else text); a row with a value that does not fit it is set aside in `raw.<table>_rejected` instead of
//! losing the value. Columns without a declared type (expressions of a query) land as text.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Statement, TypeInfo,
    ValueRef,
};
use store::SharedClock;

use super::sql::columns::{Cells, Kind, Table};
use super::sql::outgoing::{Halt, Outgoing};
use super::sql::{From, check_key, column, literal, no_cursor, quoted_table, relation, subject};
use crate::error::SourceError;
use crate::formats::sink::rejected_schema;
use crate::source::{Cursor, Feed, Pull, Source, Stream};
use crate::spec::StreamSpec;

/// How long a writer may hold its lock.
const PATIENCE: Duration = Duration::from_secs(20);

/// An SQLite database file.
pub(crate) struct Sqlite {
    path: PathBuf,
    clock: SharedClock,
}

impl Sqlite {
    pub(crate) fn new(path: PathBuf, clock: SharedClock) -> Self {
        Sqlite { path, clock }
    }

    async fn connect(&self) -> Result<SqliteConnection, SourceError> {
        let path = self.path.display();
        if !self.path.is_file() {
            return Err(SourceError::never(format!(
                "there is no SQLite file at {path}; correct `path` (relative to the project folder) or create the database"
            )));
        }
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        options.connect().await.map_err(|e| self.error("the database", &e))
    }

    fn error(&self, subject: &str, e: &sqlx::Error) -> SourceError {
        let path = self.path.display();
        let message = match e {
            sqlx::Error::Database(d) => d.message().to_owned(),
            other => other.to_string(),
        };
        let code = e.as_database_error().and_then(|d| d.code()).unwrap_or_default().into_owned();
        let primary = code.parse::<u32>().map_or(0, |c| c & 0xff);
        match primary {
            // BUSY, LOCKED, IOERR
            5 | 6 | 10 => {
                SourceError::later(format!("{subject} in {path}: {message}; a writer holds the file"))
            }
            // CORRUPT, NOTADB
            11 | 26 => SourceError::never(format!(
                "{path} is not a readable SQLite database: {message}; restore it from a backup"
            )),
            // CANTOPEN, PERM
            14 | 3 => SourceError::never(format!(
                "{path} cannot be opened: {message}; grant the guanlan user read access to the file and its folder"
            )),
            _ if message.contains("no such table") => SourceError::never(format!(
                "{subject} does not exist in {path}: {message}; correct `table` or the query"
            )),
            _ => SourceError::never(format!("{subject} in {path}: {message}")),
        }
    }
}

#[async_trait]
impl Source for Sqlite {
    async fn streams(&self) -> Result<Vec<Stream>, SourceError> {
        let mut db = self.connect().await?;
        let sql = "SELECT name, type FROM sqlite_master WHERE type IN ('table','view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name LIMIT 1000";
        let rows = sqlx::query(sql).fetch_all(&mut db).await.map_err(|e| self.error("the catalogue", &e))?;
        let _ = db.close().await;
        Ok(rows.iter().map(|row| Stream { name: row.get(0), detail: row.get(1) }).collect())
    }

    async fn read(
        &self,
        stream: &StreamSpec,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Result<Pull, SourceError>>, SourceError> {
        let subject = subject(stream);
        let fail = |e: &sqlx::Error| self.error(&subject, e);
        let mut db = self.connect().await?;
        // One snapshot of the rows; writers go on.
        db.execute("BEGIN").await.map_err(|e| fail(&e))?;
        let table = stream.table.as_deref().map(|t| quoted_table(t, '"')).unwrap_or_default();
        let from = relation(&table, stream.query.as_deref());
        let prepared = db
            .prepare(AssertSqlSafe(format!("SELECT * FROM {from}")).into_sql_str())
            .await
            .map_err(|e| fail(&e))?;
        let columns: Vec<(String, Kind)> =
            prepared.columns().iter().map(|c| (c.name().to_owned(), kind(c.type_info().name()))).collect();
        drop(prepared);
        let names: Vec<String> = columns.iter().map(|(n, _)| n.clone()).collect();
        check_key(&subject, stream, &names)?;
        let mut sql = format!("SELECT * FROM {from}");
        if let Some(cursor) = stream.cursor() {
            if !names.iter().any(|n| n == cursor) {
                return Err(no_cursor(&subject, cursor, &names));
            }
            let name = column(cursor, '"');
            let clause = From::cursor(after.as_ref(), stream).clause(&name, literal);
            sql = format!("{sql}{clause} ORDER BY {name}");
        }
        let (feed, pulls) = Feed::channel();
        let outgoing = Outgoing::new(feed.clone(), stream, after.as_ref());
        let reader = Reader {
            columns,
            table: None,
            spoiled: Spoiled::default(),
            loaded_at: store::micros(self.clock.now()),
        };
        let this = Sqlite::new(self.path.clone(), self.clock.clone());
        tokio::spawn(async move {
            if let Err(Halt::Failed(e)) = reader.run(db, sql, outgoing, |e| this.error(&subject, &e)).await {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}

/// What a declared type lands as, after SQLite's own affinity rules. Dates are text in SQLite.
fn kind(declared: &str) -> Kind {
    let declared = declared.to_uppercase();
    match declared.as_str() {
        "BOOLEAN" | "BOOL" => Kind::Bool,
        "BLOB" => Kind::Binary,
        d if d.contains("INT") => Kind::Int,
        d if d.contains("REAL") || d.contains("FLOA") || d.contains("DOUB") => Kind::Float,
        _ => Kind::Text,
    }
}

struct Reader {
    columns: Vec<(String, Kind)>,
    table: Option<Table>,
    spoiled: Spoiled,
    loaded_at: i64,
}

impl Reader {
    async fn run(
        mut self,
        mut db: SqliteConnection,
        sql: String,
        mut outgoing: Outgoing,
        fail: impl Fn(sqlx::Error) -> SourceError + Send + Sync,
    ) -> Result<(), Halt> {
        let mut table = self.table.take().unwrap_or_else(|| Table::new(&self.columns, self.loaded_at));
        {
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut db);
            while let Some(row) = rows.try_next().await.map_err(&fail)? {
                self.add(&row, &mut table)?;
                if table.is_full() || self.spoiled.texts.len() >= 8192 {
                    self.pass_on(&mut outgoing)?;
                    outgoing.batch(table.take()?).await?;
                }
            }
        }
        self.pass_on(&mut outgoing)?;
        if table.rows > 0 {
            outgoing.batch(table.take()?).await?;
        }
        outgoing.finish(table.take()?).await?;
        let _ = db.close().await;
        Ok(())
    }

    fn pass_on(&mut self, outgoing: &mut Outgoing) -> Result<(), SourceError> {
        if let Some(batch) = self.spoiled.take(self.loaded_at)? {
            outgoing.warn(format!("{} rows hold values that do not fit their column's declared type and were set aside in the rejected table", batch.num_rows()));
            outgoing.reject(batch);
        }
        Ok(())
    }

    /// Adds one row, or sets it aside whole.
    fn add(&mut self, row: &SqliteRow, table: &mut Table) -> Result<(), SourceError> {
        if let Some(i) = (0..self.columns.len()).find(|i| !fits(row, *i, self.columns[*i].1)) {
            self.spoiled.add(row, &self.columns, i);
            return Ok(());
        }
        for (i, cells) in table.cells.iter_mut().enumerate() {
            table.bytes += put(row, i, cells)
                .map_err(|e| SourceError::never(format!("column `{}`: {e}", self.columns[i].0)))?;
        }
        table.rows += 1;
        Ok(())
    }
}

/// Storage class of a value: NULL, INTEGER, REAL, TEXT or BLOB.
fn class(row: &SqliteRow, i: usize) -> String {
    match row.try_get_raw(i) {
        Ok(v) if v.is_null() => "NULL".into(),
        Ok(v) => v.type_info().name().to_owned(),
        Err(_) => "NULL".into(),
    }
}

fn fits(row: &SqliteRow, i: usize, kind: Kind) -> bool {
    let Ok(value) = row.try_get_raw(i) else { return false };
    if value.is_null() {
        return true;
    }
    let info = value.type_info();
    match kind {
        Kind::Int => info.name() != "REAL" && info.name() != "TEXT" && info.name() != "BLOB",
        Kind::Bool => {
            !matches!(info.name(), "REAL" | "TEXT" | "BLOB")
                && matches!(row.try_get_unchecked::<i64, _>(i), Ok(0 | 1))
        }
        Kind::Float => !matches!(info.name(), "TEXT" | "BLOB"),
        // SQLite stores whatever bytes a program calls text.
        Kind::Text => info.name() != "BLOB" && row.try_get_unchecked::<&str, _>(i).is_ok(),
        _ => true,
    }
}

/// Writes one value that fits; returns its bytes.
fn put(row: &SqliteRow, i: usize, cells: &mut Cells) -> Result<usize, sqlx::Error> {
    if row.try_get_raw(i)?.is_null() {
        cells.null();
        return Ok(1);
    }
    match cells {
        Cells::Int(b) => b.append_value(row.try_get_unchecked(i)?),
        Cells::Float(b) => b.append_value(row.try_get_unchecked(i)?),
        Cells::Bool(b) => b.append_value(row.try_get_unchecked::<i64, _>(i)? != 0),
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

/// Rows with a value that does not fit its column.
#[derive(Default)]
struct Spoiled {
    reasons: Vec<String>,
    texts: Vec<String>,
}

impl Spoiled {
    fn add(&mut self, row: &SqliteRow, columns: &[(String, Kind)], bad: usize) {
        let (name, kind) = &columns[bad];
        self.reasons.push(match (kind, class(row, bad).as_str()) {
            (Kind::Text, "TEXT") => format!("column `{name}` holds text that is not UTF-8"),
            (kind, class) => {
                format!("column `{name}` is declared {kind:?} but holds a value of class {class}")
            }
        });
        let fields: serde_json::Map<String, Value> = columns
            .iter()
            .enumerate()
            .map(|(i, (name, _))| {
                let value = match class(row, i).as_str() {
                    "NULL" => Value::Null,
                    "BLOB" => json!("(blob)"),
                    _ => row
                        .try_get_unchecked::<&[u8], _>(i)
                        .map_or(Value::Null, |bytes| json!(String::from_utf8_lossy(bytes))),
                };
                (name.clone(), value)
            })
            .collect();
        self.texts.push(Value::Object(fields).to_string());
    }

    fn take(&mut self, loaded_at: i64) -> Result<Option<RecordBatch>, SourceError> {
        let count = self.texts.len();
        if count == 0 {
            return Ok(None);
        }
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(StringArray::new_null(count)),
            Arc::new(Int64Array::new_null(count)),
            Arc::new(StringArray::from(std::mem::take(&mut self.reasons))),
            Arc::new(StringArray::from(std::mem::take(&mut self.texts))),
            Arc::new(TimestampMicrosecondArray::from_value(loaded_at, count).with_timezone("UTC")),
        ];
        RecordBatch::try_new(rejected_schema(), columns)
            .map(Some)
            .map_err(|e| SourceError::never(format!("rejected rows do not fit their columns: {e}")))
    }
}
