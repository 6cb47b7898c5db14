//! An SQLite file, opened read-only beside whoever writes it.
//!
//! SQLite types values, not columns. A column lands as its declared type says (INTEGER, REAL, BOOLEAN,
//! NUMERIC or DECIMAL with digits, else text); a row with a value that does not fit it is set aside in
//! `raw.<table>_rejected` instead of losing the value. Columns without a declared type (expressions of a
//! query) land as text.

mod declared;
mod reader;
mod spoiled;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use store::SharedClock;

use self::reader::Reader;
use super::sql::columns::Kind;
use super::sql::outgoing::{Halt, Outgoing};
use super::sql::{From, column, landing_names, literal, no_table, quoted_table, relation, subject};
use crate::error::SourceError;
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

    fn could_hold_large_values(&self) -> bool {
        let bytes = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        bytes(&self.path) + bytes(std::path::Path::new(&wal)) > store::limits().value_bytes as u64
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
        let columns = match declared::columns(&mut db, &from).await {
            Ok(columns) => columns,
            Err(e) if is_missing(&e) && stream.table.is_some() => {
                let known = tables(&mut db).await.unwrap_or_default();
                let path = self.path.display().to_string();
                return Err(no_table(&subject, &path, stream.table.as_deref().unwrap_or_default(), &known));
            }
            Err(e) => return Err(fail(&e)),
        };
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        let (landed, said) = landing_names(&subject, stream, &names)?;
        // A value cannot be larger than the file that it stands in.
        let guarded = self.could_hold_large_values();
        let mut sql = reader::select(&columns, &from, guarded);
        if let Some(cursor) = stream.cursor() {
            let name = column(cursor, '"');
            let after = match columns.iter().find(|c| c.name == cursor).map(|c| c.kind) {
                Some(Kind::Text) => declared::with_its_class(&mut db, &from, &name, after.clone()).await,
                _ => after.clone(),
            };
            let clause = From::cursor(after.as_ref(), stream).clause(&name, literal);
            sql = format!("{sql}{clause} ORDER BY {name}");
        }
        let (feed, pulls) = Feed::channel();
        let mut outgoing = Outgoing::new(feed.clone(), stream, after.as_ref());
        said.into_iter().for_each(|message| outgoing.warn(message));
        let reader = Reader::new(columns, landed, stream, guarded, store::micros(self.clock.now()));
        let this = Sqlite::new(self.path.clone(), self.clock.clone());
        tokio::spawn(async move {
            if let Err(Halt::Failed(e)) = reader.run(db, sql, outgoing, |e| this.error(&subject, &e)).await {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}

fn is_missing(e: &sqlx::Error) -> bool {
    e.as_database_error().is_some_and(|d| d.message().starts_with("no such table"))
}

async fn tables(db: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT name FROM sqlite_master WHERE type IN ('table','view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name LIMIT 1000";
    sqlx::query_scalar(sql).fetch_all(db).await
}
