//! What the metadata database remembers of builds.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use sqlx::Row;
use store::{Metadata, Timestamp, from_micros, micros};

use super::audit::CheckResult;
use crate::{Result, SystemTable};

const STEPS: &[&str] = &[
    "CREATE TABLE model_runs (
        id TEXT PRIMARY KEY,
        model TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        finished_at BIGINT NOT NULL,
        outcome TEXT NOT NULL,
        full_build BIGINT NOT NULL,
        version BIGINT,
        row_count BIGINT,
        checks TEXT NOT NULL,
        message TEXT NOT NULL
    )",
    "CREATE INDEX model_runs_by_model ON model_runs (model, started_at)",
];

/// Runs older than this are forgotten, except the last one of each model.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Creates or upgrades the tables of this module. Errors when the database cannot be written.
pub(crate) async fn prepare(db: &Metadata) -> Result<()> {
    Ok(db.migrate("model", STEPS).await?)
}

/// `system.model_runs`.
pub(crate) fn system_tables() -> Vec<SystemTable> {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("id", DataType::Utf8),
        ("model", DataType::Utf8),
        ("started_at", time()),
        ("finished_at", time()),
        ("outcome", DataType::Utf8),
        ("full_build", DataType::Int64),
        ("version", DataType::Int64),
        ("row_count", DataType::Int64),
        ("checks", DataType::Utf8),
        ("message", DataType::Utf8),
    ];
    let sql = "SELECT id, model, started_at, finished_at, outcome, full_build, version, row_count, checks, message \
               FROM model_runs";
    vec![SystemTable::new("model_runs", &columns, sql)]
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Published,
    /// A check failed; the last good version stays.
    Held,
    /// The build itself failed; the last good version stays.
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Published => "published",
            Outcome::Held => "held",
            Outcome::Failed => "failed",
        }
    }
}

/// One build, as it is recorded.
pub(super) struct Run<'a> {
    pub(super) id: String,
    pub(super) model: &'a str,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) full: bool,
    pub(super) version: Option<i64>,
    pub(super) rows: Option<u64>,
    pub(super) checks: &'a [CheckResult],
    pub(super) message: &'a str,
}

/// Writes a run and forgets old ones.
pub(super) async fn record(db: &Metadata, run: &Run<'_>) -> Result<()> {
    let checks = serde_json::to_string(run.checks).unwrap_or_else(|_| "[]".to_owned());
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO model_runs (id, model, started_at, finished_at, outcome, full_build, version, row_count, checks, message) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&run.id)
    .bind(run.model)
    .bind(micros(run.started_at))
    .bind(micros(run.finished_at))
    .bind(run.outcome.as_str())
    .bind(i64::from(run.full))
    .bind(run.version)
    .bind(run.rows.and_then(|rows| i64::try_from(rows).ok()))
    .bind(checks)
    .bind(run.message)
    .execute(&mut *tx)
    .await
    .map_err(store::Error::from)?;
    sqlx::query("DELETE FROM model_runs WHERE model = $1 AND started_at < $2 AND id <> $3")
        .bind(run.model)
        .bind(micros(run.finished_at - KEPT))
        .bind(&run.id)
        .execute(&mut *tx)
        .await
        .map_err(store::Error::from)?;
    Ok(tx.commit().await.map_err(store::Error::from)?)
}

/// How the last build of a model ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// The newest version is served.
    pub ok: bool,
    /// What failed; empty when nothing did.
    pub message: String,
    pub at: Timestamp,
}

/// The last build of every model that was ever built.
pub(crate) async fn states(db: &Metadata) -> Result<BTreeMap<String, ModelState>> {
    let rows = sqlx::query(
        "SELECT r.model AS model, r.outcome AS outcome, r.message AS message, r.finished_at AS finished_at \
         FROM model_runs r JOIN (SELECT model, MAX(id) AS id FROM model_runs GROUP BY model) l ON l.id = r.id",
    )
    .fetch_all(db.pool())
    .await
    .map_err(store::Error::from)?;
    rows.iter()
        .map(|row| -> Result<_, sqlx::Error> {
            let outcome: String = row.try_get("outcome")?;
            let state = ModelState {
                ok: outcome == Outcome::Published.as_str(),
                message: row.try_get("message")?,
                at: from_micros(row.try_get("finished_at")?),
            };
            Ok((row.try_get("model")?, state))
        })
        .collect::<Result<_, _>>()
        .map_err(|error| store::Error::from(error).into())
}
