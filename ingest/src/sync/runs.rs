//! Every sync of every stream, as `system.runs`.

use arrow::datatypes::{DataType, TimeUnit};
use store::{Clock, Metadata, micros, new_id};
use warehouse::SystemTable;

use super::StreamReport;

pub(super) const STEP: &str = "CREATE TABLE source_runs (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, stream TEXT NOT NULL, table_name TEXT NOT NULL,
    started_at BIGINT NOT NULL, finished_at BIGINT, row_count BIGINT NOT NULL, rejected BIGINT NOT NULL,
    files BIGINT NOT NULL, version BIGINT, outcome TEXT NOT NULL, message TEXT, warnings TEXT);
CREATE INDEX source_runs_started ON source_runs (started_at);
CREATE INDEX source_runs_stream ON source_runs (source, stream, started_at)";

/// The ledger of a run: what it read, what it could not keep, and its state in words.
pub(super) const LEDGER: &str = "ALTER TABLE source_runs ADD COLUMN read_count BIGINT;
ALTER TABLE source_runs ADD COLUMN refused BIGINT;
ALTER TABLE source_runs ADD COLUMN set_aside TEXT;
ALTER TABLE source_runs ADD COLUMN changed TEXT;
ALTER TABLE source_runs ADD COLUMN state TEXT";

/// How long runs are kept, in microseconds: 30 days.
const KEPT: i64 = 30 * 86_400 * 1_000_000;

/// The table `system.runs`; `read` = `rows` + `rejected` + `refused`. Outcome: running, ok, set_aside (done, with
/// more losses than accepted), partial (some files failed), failed, interrupted. `set_aside` and `changed` are JSON
/// lists of `{reason, count, first}` and `{column, how, count, first}`.
pub(super) fn table() -> SystemTable {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("id", DataType::Utf8),
        ("source", DataType::Utf8),
        ("stream", DataType::Utf8),
        ("table_name", DataType::Utf8),
        ("started_at", time()),
        ("finished_at", time()),
        ("rows", DataType::Int64),
        ("rejected", DataType::Int64),
        ("files", DataType::Int64),
        ("version", DataType::Int64),
        ("outcome", DataType::Utf8),
        ("message", DataType::Utf8),
        ("warnings", DataType::Utf8),
        ("read", DataType::Int64),
        ("refused", DataType::Int64),
        ("set_aside", DataType::Utf8),
        ("changed", DataType::Utf8),
        ("state", DataType::Utf8),
    ];
    let sql = "SELECT id, source, stream, table_name, started_at, finished_at, row_count AS rows, rejected, files, version, outcome, message, warnings, read_count AS read, refused, set_aside, changed, state \
               FROM source_runs ORDER BY started_at DESC";
    SystemTable::new("runs", &columns, sql)
}

/// Runs of a process that was killed did not go on.
pub(super) async fn close_interrupted(db: &Metadata, clock: &dyn Clock) -> Result<(), sqlx::Error> {
    let sql = "UPDATE source_runs SET outcome = 'interrupted', finished_at = $1, message = 'the process ended during this run; the next run goes on from the last commit' WHERE outcome = 'running'";
    sqlx::query(sql).bind(micros(clock.now())).execute(db.pool()).await?;
    Ok(())
}

/// Opens a run and answers its id.
pub(super) async fn start(
    db: &Metadata,
    clock: &dyn Clock,
    source: &str,
    stream: &str,
) -> Result<String, sqlx::Error> {
    let id = new_id(clock);
    let now = micros(clock.now());
    let table = crate::spec::SourceSpec::table(source, stream).to_string();
    sqlx::query("INSERT INTO source_runs (id, source, stream, table_name, started_at, row_count, rejected, files, outcome) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 'running')")
        .bind(&id)
        .bind(source)
        .bind(stream)
        .bind(table)
        .bind(now)
        .execute(db.pool())
        .await?;
    sqlx::query("DELETE FROM source_runs WHERE started_at < $1").bind(now - KEPT).execute(db.pool()).await?;
    Ok(id)
}

/// Closes a run with what it did.
pub(super) async fn finish(
    db: &Metadata,
    clock: &dyn Clock,
    id: &str,
    report: &StreamReport,
) -> Result<(), sqlx::Error> {
    let outcome = report.outcome().as_str();
    let warnings = serde_json::Value::from(report.warnings.clone()).to_string();
    sqlx::query("UPDATE source_runs SET finished_at = $1, row_count = $2, rejected = $3, files = $4, version = $5, outcome = $6, message = $7, warnings = $8, read_count = $9, refused = $10, set_aside = $11, changed = $12, state = $13 WHERE id = $14")
        .bind(micros(clock.now()))
        .bind(report.rows as i64)
        .bind(report.rejected_rows as i64)
        .bind(report.files as i64)
        .bind(report.version)
        .bind(outcome)
        .bind(report.error.as_ref().map(ToString::to_string))
        .bind(warnings)
        .bind(report.read as i64)
        .bind(report.refused as i64)
        .bind(serde_json::json!(report.set_aside).to_string())
        .bind(serde_json::json!(report.changed).to_string())
        .bind(report.state())
        .bind(id)
        .execute(db.pool())
        .await?;
    Ok(())
}
