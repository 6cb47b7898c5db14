//! Who asked what: a row in `system.queries` for every query.

use std::time::{Duration, Instant};

use access::Principal;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use serde::Serialize;
use sqlx::Row;
use store::{Metadata, Timestamp, from_micros, micros};

use super::running::Class;
use crate::error::{Error, Result};
use crate::system::SystemTable;
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// The longest text that is kept of a statement.
const TEXT: usize = 8 << 10;
/// How long rows are kept, and how many at most.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
const ROWS: i64 = 200_000;

/// How a query ended.
pub(crate) enum Outcome {
    Done,
    Failed(String),
    /// The reader went away before the end.
    Left,
}

/// One query, on its way into the metadata database.
#[derive(Debug)]
pub(crate) struct Record {
    id: String,
    user: String,
    text: String,
    started_at: Timestamp,
    class: Class,
    pub(crate) tables: Vec<(TableName, i64)>,
    pub(crate) rows: u64,
}

impl Record {
    pub(crate) fn new(id: &str, who: &Principal, class: Class, text: &str, now: Timestamp) -> Self {
        let mut cut = text.len().min(TEXT);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        Self {
            id: id.to_owned(),
            user: who.user.clone(),
            text: text[..cut].to_owned(),
            started_at: now,
            class,
            tables: vec![],
            rows: 0,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Writes the row in the background. The house's own queries leave one only when they fail: thousands of
    /// rules a minute would bury what people asked.
    pub(crate) fn end(&self, warehouse: &Warehouse, started: Instant, outcome: &Outcome) {
        let elapsed_ms = started.elapsed().as_millis() as i64;
        let (outcome, error) = match outcome {
            Outcome::Done if self.class == Class::House => return,
            Outcome::Done => ("done", None),
            Outcome::Left => ("left", None),
            Outcome::Failed(error) => ("failed", Some(error.clone())),
        };
        tracing::debug!(
            query.id = self.id,
            query.outcome = outcome,
            query.elapsed_ms = elapsed_ms,
            query.rows = self.rows,
            "query ended"
        );
        let names: Vec<String> =
            self.tables.iter().map(|(name, version)| format!("{name}@{version}")).collect();
        let db = warehouse.db().clone();
        let insert = sqlx::query(
            "INSERT INTO queries (id, user_name, statement, started_at, elapsed_ms, row_count, outcome, error, tables, origin)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
        )
        .bind(self.id.clone())
        .bind(self.user.clone())
        .bind(self.text.clone())
        .bind(micros(self.started_at))
        .bind(elapsed_ms)
        .bind(self.rows as i64)
        .bind(outcome)
        .bind(error)
        .bind(names.join(" "))
        .bind(self.class.word());
        // An answer may be dropped outside a runtime (at the very end of the program).
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(e) = insert.execute(db.pool()).await {
                    tracing::warn!(error.message = %e, "a query was not recorded");
                }
            });
        }
    }
}

/// One row of a reader's own history.
#[derive(Debug, Clone, Serialize)]
pub struct PastQuery {
    pub id: String,
    pub sql: String,
    pub started_at: Timestamp,
    pub elapsed_ms: i64,
    pub rows: i64,
    pub outcome: String,
    pub error: Option<String>,
}

/// The newest queries that one user wrote; what pages asked in the user's name is in `system.queries`.
pub(crate) async fn history(db: &Metadata, user: &str, limit: usize) -> Result<Vec<PastQuery>> {
    let rows = sqlx::query(
        "SELECT id, statement, started_at, elapsed_ms, row_count, outcome, error FROM queries
         WHERE user_name = $1 AND origin = 'person' ORDER BY started_at DESC, id DESC LIMIT $2",
    )
    .bind(user)
    .bind(limit.min(1000) as i64)
    .fetch_all(db.pool())
    .await
    .map_err(failed)?;
    let past = |row: &sqlx::sqlite::SqliteRow| PastQuery {
        id: row.get("id"),
        sql: row.get("statement"),
        started_at: from_micros(row.get("started_at")),
        elapsed_ms: row.get("elapsed_ms"),
        rows: row.get("row_count"),
        outcome: row.get("outcome"),
        error: row.get("error"),
    };
    Ok(rows.iter().map(past).collect())
}

/// Forgets old rows.
pub(crate) async fn forget(db: &Metadata, now: Timestamp) -> Result<()> {
    let before = now - KEPT;
    sqlx::query(
        "DELETE FROM queries WHERE started_at < $1
         OR id IN (SELECT id FROM queries ORDER BY started_at DESC LIMIT 100000 OFFSET $2)",
    )
    .bind(micros(before))
    .bind(ROWS)
    .execute(db.pool())
    .await
    .map_err(failed)?;
    Ok(())
}

fn failed(e: sqlx::Error) -> Error {
    Error::Store { table: None, message: format!("cannot read the query history: {e}") }
}

pub(crate) fn table() -> SystemTable {
    let columns = [
        ("id", DataType::Utf8),
        ("user_name", DataType::Utf8),
        ("statement", DataType::Utf8),
        ("started_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("elapsed_ms", DataType::Int64),
        ("row_count", DataType::Int64),
        ("outcome", DataType::Utf8),
        ("error", DataType::Utf8),
        ("tables", DataType::Utf8),
        // person: SQL that the user wrote; page: what a page or a metric question asked in the user's name.
        ("origin", DataType::Utf8),
    ];
    SystemTable::new(
        "queries",
        &columns,
        "SELECT id, user_name, statement, started_at, elapsed_ms, row_count, outcome, error, tables, origin FROM queries
         ORDER BY started_at DESC",
    )
}
