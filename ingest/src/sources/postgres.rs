//! PostgreSQL: `COPY (SELECT …) TO STDOUT (FORMAT binary)` decoded straight into Arrow.

mod binary;
mod catalogue;
mod value;

use std::str::FromStr;
use std::time::Duration;

use access::outbound::Watch;
use async_trait::async_trait;
use encoding_rs::Encoding;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection, Row};
use store::SharedClock;

use super::Parts;
use super::sql::columns::Table;
use super::sql::outgoing::{Halt, Outgoing};
use super::sql::reach::{Guard, Reach, out, tls_error};
use super::sql::{From, column, landing_names, literal, no_table, quoted_table, relation, subject, within};
use crate::error::SourceError;
use crate::source::{Cursor, Feed, Pull, Source, Stream};
use crate::spec::{DatabaseSpec, StreamSpec};
use binary::Decoder;
use catalogue::{Column, Wire};

const CONNECT: Duration = Duration::from_secs(15);

/// A PostgreSQL database.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    reach: Reach,
    /// Of texts that the server does not convert.
    encoding: Option<&'static Encoding>,
    clock: SharedClock,
}

impl Postgres {
    /// # Errors
    /// The URL does not parse. It is never shown: it carries a password.
    pub(crate) fn new(url: &str, spec: &DatabaseSpec, parts: &Parts) -> Result<Self, SourceError> {
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
        let encoding = match &spec.encoding {
            Some(name) => crate::formats::encoding::named(name).map_err(SourceError::never)?,
            None => None,
        };
        let reach = Reach::new(parts.outbound.clone(), spec, url, &parts.base);
        Ok(Postgres { options, reach, encoding, clock: parts.clock.clone() })
    }

    async fn connect(&self) -> Result<PgConnection, SourceError> {
        let place = format!("PostgreSQL at {}:{}", self.options.get_host(), self.options.get_port());
        let mut options = self.options.clone();
        let mut tunnel = None;
        let guard = if options.get_socket().is_some() || options.get_host().starts_with('/') {
            self.reach.local(&place, options.get_port()).await?
        } else {
            let opened = self.reach.open(&place, options.get_host(), options.get_port()).await?;
            let guard = self.reach.guard(opened.is_loopback());
            let watch = match guard {
                Guard::Offered => Watch::PostgresLogin,
                Guard::Url if !matches!(options.get_ssl_mode(), PgSslMode::Disable) => Watch::PostgresLogin,
                _ => Watch::Nothing,
            };
            let made = opened.offer(watch).map_err(|e| out(&place, e))?;
            options = options.socket(made.folder());
            tunnel = Some(made);
            guard
        };
        options = match guard {
            Guard::Verified(None) => options.ssl_mode(PgSslMode::VerifyFull),
            Guard::Verified(Some(ca)) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca),
            Guard::Encrypted => options.ssl_mode(PgSslMode::Require),
            Guard::Offered => options.ssl_mode(PgSslMode::Prefer),
            Guard::Open => options.ssl_mode(PgSslMode::Disable),
            Guard::Url => options,
        };
        let connected = tokio::time::timeout(CONNECT, options.connect()).await;
        match connected {
            Err(_) => Err(SourceError::later(format!(
                "{place} did not answer within 15 s; check host, port and firewall"
            ))),
            Ok(Err(e)) => Err(match tunnel.as_ref().and_then(|t| t.refused()) {
                Some(why) => SourceError::never(format!(
                    "{place}: {why}; turn TLS on at the server or let it ask for scram-sha-256 (pg_hba.conf), or allow it with `tls: off`"
                )),
                None => tls_error(&place, &e).unwrap_or_else(|| connect_error(&place, &self.options, &e)),
            }),
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
        "22021" | "22P05" => SourceError::never(format!(
            "{subject}: PostgreSQL says: {message}; the database holds bytes of another encoding than it knows (SQL_ASCII?): write the encoding of its texts beside `url`, for example `encoding: gb18030`"
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
        let found = within("the catalogue", tables(&mut db), query_error).await?;
        let _ = db.close().await;
        Ok(found)
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
            let known = tables(&mut db).await.unwrap_or_default();
            let known: Vec<String> = known.into_iter().map(|t| t.name).collect();
            return Err(no_table(
                &subject,
                "PostgreSQL",
                stream.table.as_deref().unwrap_or_default(),
                &known,
            ));
        }
        let from = relation(&table, stream.query.as_deref());
        let hidden = row_security(&mut db, &from).await;
        if self.encoding.is_some() {
            // No conversion: the bytes come as they are.
            let raw = sqlx::query("SET LOCAL client_encoding = 'SQL_ASCII'").execute(&mut db);
            within(&subject, raw, query_error).await?;
        }
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        let (landed, renamed) = landing_names(&subject, stream, &names)?;
        let sql = plan(stream, &columns, &from, after.as_ref());
        let kinds: Vec<_> = landed.into_iter().zip(columns.iter().map(|c| c.kind)).collect();
        let table = Table::new(&kinds, store::micros(self.clock.now()));
        let (feed, pulls) = Feed::channel();
        let mut outgoing = Outgoing::new(feed.clone(), stream, after.as_ref());
        if hidden {
            outgoing.warn(format!(
                "{subject}: row security is on, so only the rows that its policies show to user `{}` land; grant BYPASSRLS to this user to read all",
                self.options.get_username()
            ));
        }
        renamed.into_iter().for_each(|message| outgoing.warn(message));
        let decoder = Decoder::new(columns, self.encoding);
        tokio::spawn(async move {
            if let Err(Halt::Failed(e)) = copy(db, &subject, sql, decoder, outgoing, table).await {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}

/// What there is to read, other schemas than `public` by name.
async fn tables(db: &mut PgConnection) -> Result<Vec<Stream>, sqlx::Error> {
    let sql = "SELECT n.nspname, c.relname, c.relnatts::int4 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r','p','v','m','f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2 LIMIT 1000";
    let rows = sqlx::query(sql).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let (schema, name, width): (String, String, i32) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let name = if schema == "public" { name } else { format!("{schema}.{name}") };
            Ok(Stream { name, detail: format!("{width} columns") })
        })
        .collect()
}

/// Whether policies hide rows of what is read. With `row_security` off the server refuses such a read instead of
/// leaving rows out.
async fn row_security(db: &mut PgConnection, from: &str) -> bool {
    use sqlx::{AssertSqlSafe, Executor};
    let told = async {
        (&mut *db).execute("SAVEPOINT guanlan").await?;
        (&mut *db).execute("SET LOCAL row_security = off").await?;
        (&mut *db).execute(AssertSqlSafe(format!("EXPLAIN SELECT * FROM {from}"))).await.map(drop)
    }
    .await;
    // The setting goes with the savepoint.
    let _ = db.execute("ROLLBACK TO SAVEPOINT guanlan").await;
    told.is_err_and(|e: sqlx::Error| plain(&e).contains("row-level security"))
}

/// The statement of one read.
fn plan(stream: &StreamSpec, columns: &[Column], from: &str, after: Option<&Cursor>) -> String {
    let list = catalogue::list(columns);
    let Some(cursor) = stream.cursor() else {
        return format!("COPY (SELECT {list} FROM {from}) TO STDOUT (FORMAT binary)");
    };
    let of = columns.iter().find(|c| c.name == cursor);
    let name = column(cursor, '"');
    let start = From::cursor(after, stream);
    let clause = start.clause(&name, |value| match of.map(|c| c.wire) {
        // It lands as it is written; the server compares what it holds.
        Some(Wire::Float4) => format!("'{}'::real", value.to_string().replace(['\'', '"'], "")),
        _ => literal(&instant(value)),
    });
    // A NOT NULL column lets an index give the order; otherwise rows without a value come first.
    let nulls = if of.is_some_and(|c| c.required) || start != From::Start { "" } else { " NULLS FIRST" };
    format!("COPY (SELECT {list} FROM {from}{clause} ORDER BY {name}{nulls}) TO STDOUT (FORMAT binary)")
}

/// The beginning of time as the server calls it, which lands as the first day of the calendar.
fn instant(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if text.starts_with("0001-01-01") => Value::from("-infinity"),
        _ => value.clone(),
    }
}

/// Streams the rows; returns when the last was sent.
async fn copy(
    mut db: PgConnection,
    subject: &str,
    sql: String,
    mut decoder: Decoder,
    mut outgoing: Outgoing,
    mut table: Table,
) -> Result<(), Halt> {
    {
        let mut chunks = within(subject, db.copy_out_raw(&sql), query_error).await?;
        while let Some(chunk) = within(subject, chunks.try_next(), query_error).await? {
            // One message a row.
            if chunk.len() > 2 * store::limits().record_bytes {
                return Err(SourceError::never(format!(
                    "{subject}: a row of {} bytes, above twice `limits.record_bytes` ({}); name fewer columns in `query`, or cut long ones with left(…)",
                    chunk.len(),
                    store::limits().record_bytes
                ))
                .into());
            }
            decoder.feed(&chunk);
            while decoder.row(&mut table, &mut outgoing.changes).map_err(|e| e.about(subject))? {
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
    outgoing.finish(table.take()?).await?;
    // The rows are sent: a server that hangs now must not keep the stream open.
    let end = async {
        let _ = sqlx::query("COMMIT").execute(&mut db).await;
        db.close().await
    };
    let _ = tokio::time::timeout(CONNECT, end).await;
    Ok(())
}
