//! PostgreSQL: `COPY (SELECT …) TO STDOUT (FORMAT binary)` decoded straight into Arrow.

mod binary;
mod catalogue;

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use store::SharedClock;

use super::sql::columns::Table;
use super::sql::outgoing::{Halt, Outgoing};
use super::sql::{From, check_key, column, literal, no_cursor, quoted_table, relation, subject, within};
use crate::error::SourceError;
use crate::source::{Cursor, Feed, Pull, Source, Stream};
use crate::spec::StreamSpec;
use binary::Decoder;
use catalogue::Column;

const CONNECT: Duration = Duration::from_secs(15);

/// A PostgreSQL database.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    clock: SharedClock,
}

impl Postgres {
    /// # Errors
    /// The URL does not parse. It is never shown: it carries a password.
    pub(crate) fn new(url: &str, clock: SharedClock) -> Result<Self, SourceError> {
        let wrong = || {
            SourceError::never(
                "the connection URL does not parse; write postgres://user:password@host:5432/database (special characters in the password as %40 and so on)",
            )
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong());
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| wrong())?;
        let options = options.application_name("guanlan").disable_statement_logging();
        Ok(Postgres { options, clock })
    }

    async fn connect(&self) -> Result<PgConnection, SourceError> {
        let place = format!("PostgreSQL at {}:{}", self.options.get_host(), self.options.get_port());
        match tokio::time::timeout(CONNECT, self.options.connect()).await {
            Err(_) => Err(SourceError::later(format!(
                "{place} did not answer within 15 s; check host, port and firewall"
            ))),
            Ok(Err(e)) => Err(connect_error(&place, &self.options, &e)),
            Ok(Ok(connection)) => Ok(connection),
        }
    }
}

fn connect_error(place: &str, options: &PgConnectOptions, e: &sqlx::Error) -> SourceError {
    let code = e.as_database_error().and_then(|d| d.code()).unwrap_or_default().into_owned();
    let user = options.get_username();
    match code.as_str() {
        "28P01" | "28000" => SourceError::never(format!(
            "{place} refuses user `{user}`: wrong password, or the user may not connect from here (pg_hba.conf); correct the connection URL"
        )),
        "3D000" => SourceError::never(format!(
            "{place} has no database `{}`; correct the connection URL",
            options.get_database().unwrap_or_default()
        )),
        "42501" => SourceError::never(format!(
            "{place}: user `{user}` may not connect to this database; grant CONNECT"
        )),
        "" => SourceError::later(format!(
            "{place} cannot be reached: {}; check that it runs and that host and port are right",
            plain(e)
        )),
        _ => SourceError::later(format!("{place}: {}", plain(e))),
    }
}

/// An error in words, without any connection text.
fn plain(e: &sqlx::Error) -> String {
    match e {
        sqlx::Error::Io(io) => io.to_string(),
        sqlx::Error::Database(d) => d.message().to_owned(),
        sqlx::Error::Tls(_) => "TLS could not be agreed".into(),
        sqlx::Error::Protocol(m) => m.clone(),
        other => other.to_string(),
    }
}

/// An error of a statement, sorted by whether waiting helps.
fn query_error(subject: &str, e: &sqlx::Error) -> SourceError {
    let Some(database) = e.as_database_error() else {
        return SourceError::later(format!("{subject}: the connection to PostgreSQL broke: {}", plain(e)));
    };
    let code = database.code().unwrap_or_default().into_owned();
    let message = database.message();
    match code.as_str() {
        "42P01" => SourceError::never(format!(
            "{subject} does not exist in PostgreSQL: {message}; correct `table` (schema.table) or the query"
        )),
        "42703" => SourceError::never(format!("{subject}: {message}; correct the column name")),
        "42501" => SourceError::never(format!(
            "{subject}: {message}; grant SELECT to the user of the connection URL"
        )),
        c if c.starts_with("08")
            || c.starts_with("53")
            || c.starts_with("57")
            || c.starts_with("40")
            || c.starts_with("55") =>
        {
            SourceError::later(format!("{subject}: PostgreSQL says: {message}"))
        }
        _ => SourceError::never(format!("{subject}: PostgreSQL says: {message} (SQLSTATE {code})")),
    }
}

#[async_trait]
impl Source for Postgres {
    async fn streams(&self) -> Result<Vec<Stream>, SourceError> {
        let mut db = self.connect().await?;
        let sql = "SELECT n.nspname, c.relname, c.relnatts::int4 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relkind IN ('r','p','v','m','f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2 LIMIT 1000";
        let rows = within("the catalogue", sqlx::query(sql).fetch_all(&mut db), query_error).await?;
        let _ = db.close().await;
        rows.iter()
            .map(|row| {
                let (schema, name, width): (String, String, i32) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                let name = if schema == "public" { name } else { format!("{schema}.{name}") };
                Ok(Stream { name, detail: format!("{width} columns") })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|e| query_error("the catalogue", &e))
    }

    async fn read(
        &self,
        stream: &StreamSpec,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Result<Pull, SourceError>>, SourceError> {
        let mut db = self.connect().await?;
        let subject = subject(stream);
        // One snapshot for the columns and the rows.
        for sql in [
            "SET TimeZone = 'UTC'",
            "SET standard_conforming_strings = on",
            "SET DateStyle = 'ISO'",
            "SET lock_timeout = '30s'",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        ] {
            within(&subject, sqlx::query(sql).execute(&mut db), query_error).await?;
        }
        let table = stream.table.as_deref().map(|t| quoted_table(t, '"')).unwrap_or_default();
        let columns = match &stream.query {
            None => within(&subject, catalogue::of_table(&mut db, &table), query_error).await?,
            Some(query) => within(&subject, catalogue::of_query(&mut db, query), query_error).await?,
        };
        if columns.is_empty() {
            return Err(SourceError::never(format!(
                "{subject} does not exist in PostgreSQL, or has no columns; correct `table` (schema.table)"
            )));
        }
        let from = relation(&table, stream.query.as_deref());
        let sql = plan(&subject, stream, &columns, &from, after.as_ref())?;
        let (feed, pulls) = Feed::channel();
        let outgoing = Outgoing::new(feed.clone(), stream, after.as_ref());
        let loaded_at = store::micros(self.clock.now());
        tokio::spawn(async move {
            if let Err(Halt::Failed(e)) = copy(db, &subject, sql, columns, outgoing, loaded_at).await {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}

/// The statement of one read.
fn plan(
    subject: &str,
    stream: &StreamSpec,
    columns: &[Column],
    from: &str,
    after: Option<&Cursor>,
) -> Result<String, SourceError> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    check_key(subject, stream, &names)?;
    let list = columns.iter().map(Column::expression).collect::<Vec<_>>().join(", ");
    let Some(cursor) = stream.cursor() else {
        return Ok(format!("COPY (SELECT {list} FROM {from}) TO STDOUT (FORMAT binary)"));
    };
    let required =
        columns.iter().find(|c| c.name == cursor).ok_or_else(|| no_cursor(subject, cursor, &names))?.required;
    let name = column(cursor, '"');
    let start = From::cursor(after, stream);
    let clause = start.clause(&name, literal);
    // A NOT NULL column lets an index give the order; otherwise rows without a value come first.
    let nulls = if required || start != From::Start { "" } else { " NULLS FIRST" };
    Ok(format!("COPY (SELECT {list} FROM {from}{clause} ORDER BY {name}{nulls}) TO STDOUT (FORMAT binary)"))
}

/// Streams the rows; returns when the last was sent.
async fn copy(
    mut db: PgConnection,
    subject: &str,
    sql: String,
    columns: Vec<Column>,
    mut outgoing: Outgoing,
    loaded_at: i64,
) -> Result<(), Halt> {
    let kinds: Vec<_> = columns.iter().map(|c| (c.name.clone(), c.kind)).collect();
    let mut table = Table::new(&kinds, loaded_at);
    let mut decoder = Decoder::new(columns);
    {
        let mut chunks = within(subject, db.copy_out_raw(&sql), query_error).await?;
        while let Some(chunk) = within(subject, chunks.try_next(), query_error).await? {
            decoder.feed(&chunk);
            while decoder.row(&mut table).map_err(|e| e.about(subject))? {
                if table.is_full() {
                    outgoing.batch(table.take()?).await?;
                }
            }
        }
    }
    if !decoder.ended {
        return Err(
            SourceError::later(format!("{subject}: the copy from PostgreSQL ended in the middle")).into()
        );
    }
    if table.rows > 0 {
        outgoing.batch(table.take()?).await?;
    }
    if decoder.out_of_range > 0 {
        outgoing.warn(format!(
            "{subject}: {} dates, times or numbers are infinite, NaN or out of range and landed as NULL",
            decoder.out_of_range
        ));
    }
    outgoing.finish(table.take()?).await?;
    // The rows are sent: a server that hangs now must not keep the stream open.
    let end = async {
        let _ = sqlx::query("COMMIT").execute(&mut db).await;
        db.close().await
    };
    let _ = tokio::time::timeout(CONNECT, end).await;
    Ok(())
}
