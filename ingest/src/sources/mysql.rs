//! MySQL and MariaDB: rows streamed from the server, decoded by their column types.

mod cells;
mod columns;

use std::str::FromStr;
use std::time::Duration;

use access::outbound::{Tunnel, Watch};
use async_trait::async_trait;
use chrono::DateTime;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use store::SharedClock;

use self::cells::Place;
use self::columns::Column;
use super::Parts;
use super::sql::columns::{Kind, Table};
use super::sql::outgoing::{Halt, Outgoing};
use super::sql::reach::{Guard, Reach, out, tls_error};
use super::sql::{From, column, landing_names, no_table, quoted_table, relation, subject, within};
use crate::error::SourceError;
use crate::source::{Cursor, Feed, Pull, Source, Stream};
use crate::spec::{DatabaseSpec, StreamSpec};

const CONNECT: Duration = Duration::from_secs(15);

/// A MySQL or MariaDB database.
pub(crate) struct Mysql {
    options: MySqlConnectOptions,
    reach: Reach,
    clock: SharedClock,
}

impl Mysql {
    /// # Errors
    /// The URL does not parse. It is never shown: it carries a password.
    pub(crate) fn new(url: &str, spec: &DatabaseSpec, parts: &Parts) -> Result<Self, SourceError> {
        let wrong = || {
            SourceError::never(
                "the connection URL does not parse; write mysql://user:password@host:3306/database (special characters in the password as %40 and so on)",
            )
        };
        let reach = Reach::new(parts.outbound.clone(), spec, url, &parts.base);
        let url = url.replacen("mariadb://", "mysql://", 1);
        if !url.starts_with("mysql://") {
            return Err(wrong());
        }
        let options = MySqlConnectOptions::from_str(&url).map_err(|_| wrong())?;
        Ok(Mysql { options: options.disable_statement_logging(), reach, clock: parts.clock.clone() })
    }

    async fn connect(&self) -> Result<MySqlConnection, SourceError> {
        let place = format!("MySQL at {}:{}", self.options.get_host(), self.options.get_port());
        let mut options = self.options.clone();
        // Held until the driver has connected.
        let mut tunnel: Option<Tunnel> = None;
        let guard = if self.options.get_socket().is_some() {
            self.reach.local(&place, options.get_port()).await?
        } else {
            let opened = self.reach.open(&place, options.get_host(), options.get_port()).await?;
            let guard = self.reach.guard(opened.is_loopback());
            let watch = if matches!(guard, Guard::Open) { Watch::Nothing } else { Watch::MysqlGreeting };
            let made = opened.offer(watch).map_err(|e| out(&place, e))?;
            options = options.socket(made.socket());
            tunnel = Some(made);
            guard
        };
        options = match guard {
            Guard::Verified(None) => options.ssl_mode(MySqlSslMode::VerifyIdentity),
            Guard::Verified(Some(ca)) => options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca),
            Guard::Encrypted => options.ssl_mode(MySqlSslMode::Required),
            Guard::Offered => options.ssl_mode(MySqlSslMode::Preferred),
            Guard::Open => options.ssl_mode(MySqlSslMode::Disabled),
            Guard::Url => options,
        };
        let connected = tokio::time::timeout(CONNECT, options.connect()).await;
        let refused = tunnel.as_ref().and_then(|tunnel| tunnel.refused());
        drop(tunnel);
        if let Some(why) = refused {
            return Err(SourceError::never(format!(
                "{place}: {why}; turn TLS on at the server, or allow it with `tls: off`"
            )));
        }
        match connected {
            Err(_) => Err(SourceError::later(format!(
                "{place} did not answer within 15 s; check host, port and firewall"
            ))),
            Ok(Err(e)) => Err(tls_error(&place, &e).unwrap_or_else(|| self.connect_error(&place, &e))),
            Ok(Ok(connection)) => Ok(connection),
        }
    }

    fn connect_error(&self, place: &str, e: &sqlx::Error) -> SourceError {
        match number(e) {
            1045 | 1698 => SourceError::never(format!(
                "{place} refuses user `{}`: wrong password, or the user may not connect from here; correct the connection URL",
                self.options.get_username()
            )),
            1049 | 1044 => SourceError::never(format!(
                "{place} has no database `{}`, or the user may not see it; correct the connection URL",
                self.options.get_database().unwrap_or_default()
            )),
            0 => SourceError::later(format!(
                "{place} cannot be reached: {}; check that it runs and that host and port are right",
                plain(e)
            )),
            _ => SourceError::later(format!("{place}: {}", plain(e))),
        }
    }
}

/// The server's error number; 0 when the server did not speak.
fn number(e: &sqlx::Error) -> u16 {
    e.as_database_error()
        .and_then(|d| d.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>())
        .map_or(0, |d| d.number())
}

fn plain(e: &sqlx::Error) -> String {
    match e {
        sqlx::Error::Io(io) => io.to_string(),
        sqlx::Error::Database(d) => d.message().to_owned(),
        sqlx::Error::Tls(_) => "TLS could not be agreed".into(),
        other => other.to_string(),
    }
}

fn query_error(subject: &str, e: &sqlx::Error) -> SourceError {
    match number(e) {
        0 => SourceError::later(format!("{subject}: the connection to MySQL broke: {}", plain(e))),
        1146 => SourceError::never(format!(
            "{subject} does not exist in MySQL: {}; correct `table` or the query",
            plain(e)
        )),
        1054 => SourceError::never(format!("{subject}: {}; correct the column name", plain(e))),
        1142 | 1143 | 1227 => SourceError::never(format!(
            "{subject}: {}; grant SELECT to the user of the connection URL",
            plain(e)
        )),
        // Lock wait, deadlock, shutdown, too many connections, statement timeout.
        n @ (1205 | 1213 | 1053 | 1040 | 1317 | 1969 | 3024) => {
            SourceError::later(format!("{subject}: MySQL says: {} ({n})", plain(e)))
        }
        n => SourceError::never(format!("{subject}: MySQL says: {} ({n})", plain(e))),
    }
}

#[async_trait]
impl Source for Mysql {
    async fn streams(&self) -> Result<Vec<Stream>, SourceError> {
        let mut db = self.connect().await?;
        let sql = "SELECT CAST(table_name AS CHAR), CAST(table_type AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1 LIMIT 1000";
        let rows = within("the catalogue", sqlx::query(sql).fetch_all(&mut db), query_error).await?;
        let _ = db.close().await;
        Ok(rows
            .iter()
            .filter_map(|row| {
                Some(Stream {
                    name: row.try_get(0).ok()?,
                    detail: row.try_get::<String, _>(1).ok()?.to_lowercase(),
                })
            })
            .collect())
    }

    async fn read(
        &self,
        stream: &StreamSpec,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Result<Pull, SourceError>>, SourceError> {
        let mut db = self.connect().await?;
        let subject = subject(stream);
        // One snapshot of the rows (InnoDB); the server's own patience with locks is a day.
        for sql in [
            "SET SESSION lock_wait_timeout = 30",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            within(&subject, db.execute(sql), query_error).await?;
        }
        let table = stream.table.as_deref().map(|t| quoted_table(t, '`')).unwrap_or_default();
        let from = relation(&table, stream.query.as_deref());
        let found = columns::columns(&mut db, &from, stream.table.as_deref());
        let (columns, from, said) = match within(&subject, found, query_error).await {
            Ok(found) => found,
            Err(e) => return Err(self.missing(&mut db, &subject, stream, e).await),
        };
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        let (landed, renamed) = landing_names(&subject, stream, &names)?;
        let mut sql = format!("SELECT {} FROM {from}", columns::list(&columns));
        if let Some(cursor) = stream.cursor() {
            let name = column(cursor, '`');
            let of = columns.iter().find(|c| c.name == cursor);
            let start = From::cursor(after.as_ref(), stream);
            let clause = start.clause(&name, |value| literal(value, of));
            sql = format!("{sql}{clause} ORDER BY {name}");
        }
        let (feed, pulls) = Feed::channel();
        let mut outgoing = Outgoing::new(feed.clone(), stream, after.as_ref());
        said.into_iter().chain(renamed).for_each(|message| outgoing.warn(message));
        let kinds: Vec<(String, Kind)> = landed.into_iter().zip(columns.iter().map(|c| c.kind)).collect();
        let table = Table::new(&kinds, store::micros(self.clock.now()));
        tokio::spawn(async move {
            if let Err(Halt::Failed(e)) = run(db, &subject, sql, columns, outgoing, table).await {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}

impl Mysql {
    /// A table that is not there is told with the nearest that is.
    async fn missing(
        &self,
        db: &mut MySqlConnection,
        subject: &str,
        stream: &StreamSpec,
        e: SourceError,
    ) -> SourceError {
        let Some(table) = stream.table.as_deref().filter(|_| e.to_string().contains("does not exist")) else {
            return e;
        };
        let sql = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1 LIMIT 1000";
        let known: Vec<String> = sqlx::query_scalar(sql).fetch_all(db).await.unwrap_or_default();
        no_table(subject, "MySQL", table, &known)
    }
}

/// Backslashes escape in MySQL, and a `Z` behind a time is not understood.
fn literal(value: &Value, of: Option<&Column>) -> String {
    match (value.as_str(), of.map(|c| c.kind)) {
        // In quotes it would be compared as a binary fraction, with 15 digits.
        (Some(text), Some(Kind::Decimal(..))) if is_number(text) => text.to_owned(),
        (Some(text), _) if of.is_some_and(|c| c.is_decimal) && is_number(text) => text.to_owned(),
        (Some(text), _) => {
            let time = DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z');
            let text = if time { text.trim_end_matches('Z').replace('T', " ") } else { text.to_owned() };
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        }
        // A FLOAT lands as it is written; the server compares what it holds.
        (None, Some(Kind::Float)) if of.is_some_and(|c| c.single) => match value.as_f64() {
            Some(n) => f64::from(n as f32).to_string(),
            None => super::sql::literal(value),
        },
        (None, _) => super::sql::literal(value),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() <= 1
}

async fn run(
    mut db: MySqlConnection,
    subject: &str,
    sql: String,
    columns: Vec<Column>,
    mut outgoing: Outgoing,
    mut table: Table,
) -> Result<(), Halt> {
    let mut number = 0u64;
    {
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut db);
        while let Some(row) = within(subject, rows.try_next(), query_error).await? {
            number += 1;
            let place = Place { row: &row, number };
            cells::add(&place, &columns, &mut table, &mut outgoing.changes);
            if table.is_full() {
                outgoing.batch(table.take()?).await?;
            }
        }
    }
    if table.rows > 0 {
        outgoing.batch(table.take()?).await?;
    }
    outgoing.finish(table.take()?).await?;
    // The rows are sent: a server that hangs now must not keep the stream open.
    let _ = tokio::time::timeout(CONNECT, db.close()).await;
    Ok(())
}
