//! MySQL and MariaDB: rows streamed from the server, decoded by their column types.

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Statement, TypeInfo,
    ValueRef,
};
use store::SharedClock;

use super::sql::columns::{Cells, Kind, Table, decimal};
use super::sql::outgoing::{Halt, Outgoing};
use super::sql::{From, check_key, column, no_cursor, quoted, quoted_table, relation, subject, within};
use crate::error::SourceError;
use crate::source::{Cursor, Feed, Pull, Source, Stream};
use crate::spec::StreamSpec;

const CONNECT: Duration = Duration::from_secs(15);

/// A MySQL or MariaDB database.
pub(crate) struct Mysql {
    options: MySqlConnectOptions,
    clock: SharedClock,
}

impl Mysql {
    /// # Errors
    /// The URL does not parse. It is never shown: it carries a password.
    pub(crate) fn new(url: &str, clock: SharedClock) -> Result<Self, SourceError> {
        let wrong = || {
            SourceError::never(
                "the connection URL does not parse; write mysql://user:password@host:3306/database (special characters in the password as %40 and so on)",
            )
        };
        let url = url.replacen("mariadb://", "mysql://", 1);
        if !url.starts_with("mysql://") {
            return Err(wrong());
        }
        let options = MySqlConnectOptions::from_str(&url).map_err(|_| wrong())?;
        Ok(Mysql { options: options.disable_statement_logging(), clock })
    }

    async fn connect(&self) -> Result<MySqlConnection, SourceError> {
        let place = format!("MySQL at {}:{}", self.options.get_host(), self.options.get_port());
        match tokio::time::timeout(CONNECT, self.options.connect()).await {
            Err(_) => Err(SourceError::later(format!(
                "{place} did not answer within 15 s; check host, port and firewall"
            ))),
            Ok(Err(e)) => Err(self.connect_error(&place, &e)),
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
        let columns = within(&subject, columns(&mut db, &from, stream.table.as_deref()), query_error).await?;
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        check_key(&subject, stream, &names)?;
        let list = columns.iter().map(Column::expression).collect::<Vec<_>>().join(", ");
        let mut sql = format!("SELECT {list} FROM {from}");
        if let Some(cursor) = stream.cursor() {
            if !names.iter().any(|n| n == cursor) {
                return Err(no_cursor(&subject, cursor, &names));
            }
            let name = column(cursor, '`');
            let clause = From::cursor(after.as_ref(), stream).clause(&name, literal);
            sql = format!("{sql}{clause} ORDER BY {name}");
        }
        let (feed, pulls) = Feed::channel();
        let outgoing = Outgoing::new(feed.clone(), stream, after.as_ref());
        let loaded_at = store::micros(self.clock.now());
        tokio::spawn(async move {
            if let Err(Halt::Failed(e)) = run(db, &subject, sql, columns, outgoing, loaded_at).await {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}

/// Backslashes escape in MySQL, and a `Z` behind a time is not understood.
fn literal(value: &Value) -> String {
    match value.as_str() {
        Some(text) => {
            let time = DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z');
            let text = if time { text.trim_end_matches('Z').replace('T', " ") } else { text.to_owned() };
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        }
        None => super::sql::literal(value),
    }
}

struct Column {
    name: String,
    kind: Kind,
    /// What the server casts it to.
    cast: Option<&'static str>,
    /// A whole number without a sign.
    unsigned: bool,
}

impl Column {
    fn expression(&self) -> String {
        let name = column(&self.name, '`');
        match self.cast {
            Some(to) => format!("CAST({name} AS {to}) AS {}", quoted(&self.name, '`')),
            None => name,
        }
    }
}

/// The columns of a table or query. The digits of decimals are known for tables only.
async fn columns(
    db: &mut MySqlConnection,
    from: &str,
    table: Option<&str>,
) -> Result<Vec<Column>, sqlx::Error> {
    let prepared = db.prepare(AssertSqlSafe(format!("SELECT * FROM {from} LIMIT 0")).into_sql_str()).await?;
    let described: Vec<(String, String)> =
        prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect();
    drop(prepared);
    let texts = texts(db, from, &described).await?;
    let digits = match table {
        Some(table) => digits(db, table).await?,
        None => Vec::new(),
    };
    Ok(described
        .into_iter()
        .map(|(name, declared)| {
            let scale = digits.iter().find(|(n, precision, _)| *n == name && *precision <= 38).map(|d| d.2);
            let (kind, cast) =
                if texts.contains(&name) { (Kind::Text, None) } else { kind(&declared, scale) };
            let unsigned = declared.ends_with("UNSIGNED") || cast == Some("UNSIGNED");
            Column { name, kind, cast, unsigned }
        })
        .collect())
}

/// Columns that look binary and are text: a collation such as utf8mb4_bin (every JSON column of
/// MariaDB has one) sets the same flag as BLOB.
async fn texts(
    db: &mut MySqlConnection,
    from: &str,
    described: &[(String, String)],
) -> Result<Vec<String>, sqlx::Error> {
    let doubtful: Vec<&String> =
        described.iter().filter(|(_, d)| is_binary(d)).map(|(name, _)| name).collect();
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> = doubtful.iter().map(|name| format!("CHARSET(q.{})", quoted(name, '`'))).collect();
    // The character set is known without any row.
    let sql = format!(
        "SELECT {} FROM (SELECT 1 AS one) AS one LEFT JOIN (SELECT * FROM {from}) AS q ON FALSE",
        list.join(", ")
    );
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(db).await?;
    Ok(doubtful
        .into_iter()
        .enumerate()
        .filter(|(i, _)| row.try_get_unchecked::<String, _>(*i).is_ok_and(|set| set != "binary"))
        .map(|(_, name)| name.clone())
        .collect())
}

fn is_binary(declared: &str) -> bool {
    declared.contains("BLOB") || declared.contains("BINARY")
}

async fn digits(db: &mut MySqlConnection, table: &str) -> Result<Vec<(String, u8, i8)>, sqlx::Error> {
    let parts: Vec<&str> = table.split('.').map(|p| p.trim_matches('`')).collect();
    let (schema, name) =
        if let [schema, name] = parts[..] { (Some(schema), name) } else { (None, table.trim_matches('`')) };
    let sql = "SELECT CAST(column_name AS CHAR), CAST(numeric_precision AS SIGNED), CAST(numeric_scale AS SIGNED) FROM information_schema.columns \
               WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND data_type = 'decimal'";
    let rows = sqlx::query(sql).bind(schema).bind(name).fetch_all(db).await?;
    Ok(rows
        .iter()
        .filter_map(|r| {
            Some((
                r.try_get(0).ok()?,
                u8::try_from(r.try_get::<i64, _>(1).ok()?).ok()?,
                i8::try_from(r.try_get::<i64, _>(2).ok()?).ok()?,
            ))
        })
        .collect())
}

/// What a column type lands as, and what the server casts it to. `scale`: that of a decimal, where known.
fn kind(declared: &str, scale: Option<i8>) -> (Kind, Option<&'static str>) {
    match declared {
        // TINYINT(1), which holds codes from 0 to 9 as often as yes and no. The name hides the sign.
        "BOOLEAN" => (Kind::Int, Some("SIGNED")),
        "BIT" => (Kind::Int, Some("UNSIGNED")),
        "BIGINT UNSIGNED" => (Kind::Decimal(20, 0), None),
        "FLOAT" | "DOUBLE" => (Kind::Float, None),
        "DATE" => (Kind::Date, None),
        "DATETIME" => (Kind::Clock, None),
        "TIMESTAMP" => (Kind::Instant, None),
        "DECIMAL" => match scale {
            Some(scale) => (Kind::decimal(scale), None),
            None => (Kind::Text, Some("CHAR")),
        },
        d if d.starts_with("YEAR") => (Kind::Text, Some("CHAR")),
        d if d.contains("INT") => (Kind::Int, None),
        d if is_binary(d) => (Kind::Binary, None),
        "VARCHAR" | "CHAR" | "TEXT" | "TINYTEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" => (Kind::Text, None),
        _ => (Kind::Text, Some("CHAR")),
    }
}

async fn run(
    mut db: MySqlConnection,
    subject: &str,
    sql: String,
    columns: Vec<Column>,
    mut outgoing: Outgoing,
    loaded_at: i64,
) -> Result<(), Halt> {
    let kinds: Vec<(String, Kind)> = columns.iter().map(|c| (c.name.clone(), c.kind)).collect();
    let mut table = Table::new(&kinds, loaded_at);
    let mut lost = 0u64;
    {
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut db);
        while let Some(row) = within(subject, rows.try_next(), query_error).await? {
            for (i, (column, cells)) in columns.iter().zip(&mut table.cells).enumerate() {
                match put(&row, i, column, cells) {
                    Ok(bytes) => table.bytes += bytes,
                    Err(()) => {
                        cells.null();
                        lost += 1;
                    }
                }
            }
            table.rows += 1;
            if table.is_full() {
                outgoing.batch(table.take()?).await?;
            }
        }
    }
    if table.rows > 0 {
        outgoing.batch(table.take()?).await?;
    }
    if lost > 0 {
        outgoing.warn(format!("{subject}: {lost} values are no real dates (such as 0000-00-00) or do not fit their column, and landed as NULL"));
    }
    outgoing.finish(table.take()?).await?;
    // The rows are sent: a server that hangs now must not keep the stream open.
    let _ = tokio::time::timeout(CONNECT, db.close()).await;
    Ok(())
}

/// Writes one value; returns its bytes, or an error when Arrow cannot hold it.
fn put(row: &MySqlRow, i: usize, column: &Column, cells: &mut Cells) -> Result<usize, ()> {
    let kind = column.kind;
    if row.try_get_raw(i).map_err(drop)?.is_null() {
        cells.null();
        return Ok(1);
    }
    match cells {
        Cells::Bool(b) => b.append_value(row.try_get_unchecked::<i8, _>(i).map_err(drop)? != 0),
        // Read with a sign, 200 in a TINYINT UNSIGNED would be -56.
        Cells::Int(b) if column.unsigned => {
            let value: u64 = row.try_get_unchecked(i).map_err(drop)?;
            b.append_value(i64::try_from(value).map_err(drop)?);
        }
        Cells::Int(b) => b.append_value(row.try_get_unchecked(i).map_err(drop)?),
        Cells::Float(b) => b.append_value(float(row, i)?),
        Cells::Date(b) => {
            let day: NaiveDate = row.try_get_unchecked(i).map_err(drop)?;
            b.append_value(arrow::datatypes::Date32Type::from_naive_date(day));
        }
        Cells::Time(b) if kind == Kind::Instant => {
            b.append_value(row.try_get_unchecked::<DateTime<Utc>, _>(i).map_err(drop)?.timestamp_micros())
        }
        Cells::Time(b) => b.append_value(
            row.try_get_unchecked::<NaiveDateTime, _>(i).map_err(drop)?.and_utc().timestamp_micros(),
        ),
        Cells::Decimal(b) => {
            let value = match kind {
                _ if column.unsigned => Some(i128::from(row.try_get_unchecked::<u64, _>(i).map_err(drop)?)),
                Kind::Decimal(p, s) => decimal(row.try_get_unchecked(i).map_err(drop)?, p, s),
                _ => None,
            };
            b.append_value(value.ok_or(())?);
        }
        Cells::Binary(b) => {
            let bytes: &[u8] = row.try_get_unchecked(i).map_err(drop)?;
            b.append_value(bytes);
            return Ok(bytes.len());
        }
        Cells::Text(b) => {
            let text: &str = row.try_get_unchecked(i).map_err(drop)?;
            b.append_value(text);
            return Ok(text.len());
        }
    }
    Ok(8)
}

fn float(row: &MySqlRow, i: usize) -> Result<f64, ()> {
    match row.column(i).type_info().name() {
        "FLOAT" => row.try_get_unchecked::<f32, _>(i).map(f64::from).map_err(drop),
        _ => row.try_get_unchecked(i).map_err(drop),
    }
}
