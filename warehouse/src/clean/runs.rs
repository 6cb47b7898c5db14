//! Every cleaning that read something or failed, as `system.clean_runs`.

use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use store::{Metadata, Timestamp, from_micros, micros, new_id};

use super::job::CleanReport;
use crate::{Error, Result, SystemTable, Warehouse};

const STEPS: &[&str] = &["CREATE TABLE clean_runs (
        id TEXT PRIMARY KEY, table_name TEXT NOT NULL, started_at BIGINT NOT NULL, finished_at BIGINT NOT NULL,
        outcome TEXT NOT NULL, full_clean BIGINT NOT NULL, read_count BIGINT NOT NULL, kept BIGINT NOT NULL,
        rejected BIGINT NOT NULL, standing BIGINT NOT NULL, quarantined TEXT NOT NULL, adjusted TEXT NOT NULL,
        version BIGINT, message TEXT NOT NULL);
    CREATE INDEX clean_runs_by_table ON clean_runs (table_name, started_at)"];

/// Runs older than this are forgotten.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Creates or upgrades the table. Errors when the database cannot be written.
pub(crate) async fn prepare(db: &Metadata) -> Result<()> {
    Ok(db.migrate("clean", STEPS).await?)
}

/// `system.clean_runs`; `read` = `kept` + `rejected`. Outcome: cleaned, held (nothing fit: the last good version
/// stays), failed. `quarantined` and `adjusted` are JSON lists of `{column, reason or how, count, first}`.
pub(crate) fn system_table() -> SystemTable {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("id", DataType::Utf8),
        ("table_name", DataType::Utf8),
        ("started_at", time()),
        ("finished_at", time()),
        ("outcome", DataType::Utf8),
        ("full_clean", DataType::Int64),
        ("read", DataType::Int64),
        ("kept", DataType::Int64),
        ("rejected", DataType::Int64),
        ("standing", DataType::Int64),
        ("quarantined", DataType::Utf8),
        ("adjusted", DataType::Utf8),
        ("version", DataType::Int64),
        ("message", DataType::Utf8),
    ];
    let sql = "SELECT id, table_name, started_at, finished_at, outcome, full_clean, read_count AS read, kept, rejected, \
               standing, quarantined, adjusted, version, message FROM clean_runs ORDER BY started_at DESC";
    SystemTable::new("clean_runs", &columns, sql)
}

/// A cleaning whose last run failed or fitted no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedClean {
    pub name: String,
    pub message: String,
    pub at: Timestamp,
}

/// What went wrong in the last run of a cleaning, if something did.
pub(crate) async fn failure(db: &Metadata, name: &str) -> Result<Option<FailedClean>> {
    let last: Option<(String, String, i64)> = sqlx::query_as(
        "SELECT outcome, message, finished_at FROM clean_runs WHERE table_name = $1 ORDER BY started_at DESC LIMIT 1",
    )
    .bind(format!("clean.{name}"))
    .fetch_optional(db.pool())
    .await
    .map_err(|e| Error::Metadata(store::Error::from(e)))?;
    let failed = last.filter(|(outcome, ..)| outcome != "cleaned");
    Ok(failed.map(|(_, message, at)| FailedClean { name: name.to_owned(), message, at: from_micros(at) }))
}

/// Writes a run, unless there was nothing to do.
pub(super) async fn record(
    warehouse: &Warehouse,
    name: &str,
    started_at: Timestamp,
    done: &Result<CleanReport>,
) -> Result<()> {
    let empty = CleanReport::default();
    let (outcome, report, message) = match done {
        Ok(report) if report.already && failure(warehouse.db(), name).await?.is_none() => {
            return Ok(());
        }
        Ok(report) => ("cleaned", report, String::new()),
        Err(error @ Error::Check { .. }) => ("held", &empty, error.to_string()),
        Err(error) => ("failed", &empty, error.to_string()),
    };
    let now = warehouse.clock().now();
    let list = |items: serde_json::Result<String>| items.unwrap_or_else(|_| "[]".to_owned());
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let failed = |e: sqlx::Error| Error::Metadata(store::Error::from(e));
    sqlx::query(
        "INSERT INTO clean_runs (id, table_name, started_at, finished_at, outcome, full_clean, read_count, kept, \
         rejected, standing, quarantined, adjusted, version, message) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(new_id(warehouse.clock().as_ref()))
    .bind(format!("clean.{name}"))
    .bind(micros(started_at))
    .bind(micros(now))
    .bind(outcome)
    .bind(i64::from(report.full))
    .bind(count(report.read))
    .bind(count(report.kept))
    .bind(count(report.rejected))
    .bind(count(report.standing))
    .bind(list(serde_json::to_string(&report.quarantined)))
    .bind(list(serde_json::to_string(&report.adjusted)))
    .bind(done.as_ref().ok().map(|report| report.version))
    .bind(message)
    .execute(warehouse.db().pool())
    .await
    .map_err(failed)?;
    sqlx::query("DELETE FROM clean_runs WHERE started_at < $1")
        .bind(micros(now - KEPT))
        .execute(warehouse.db().pool())
        .await
        .map_err(failed)?;
    Ok(())
}
