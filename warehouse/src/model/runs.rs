//! What the metadata database remembers of builds.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use serde::Serialize;
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
    "ALTER TABLE model_runs ADD COLUMN bytes BIGINT",
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
        ("bytes", DataType::Int64),
    ];
    let sql = "SELECT id, model, started_at, finished_at, outcome, full_build, version, row_count, checks, message, bytes \
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
    pub(super) bytes: Option<u64>,
    pub(super) checks: &'a [CheckResult],
    pub(super) message: &'a str,
}

/// Writes a run and forgets old ones.
pub(super) async fn record(db: &Metadata, run: &Run<'_>) -> Result<()> {
    let checks = serde_json::to_string(run.checks).unwrap_or_else(|_| "[]".to_owned());
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO model_runs (id, model, started_at, finished_at, outcome, full_build, version, row_count, checks, message, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
    .bind(run.bytes.and_then(|bytes| i64::try_from(bytes).ok()))
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

/// What the last builds of a model took, each on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// How many builds this tells of: the last published ones.
    pub builds: u64,
    /// How many of them computed every row.
    pub full: u64,
    pub seconds: f64,
    pub rows: u64,
    pub bytes: u64,
}

/// The last published builds of every model.
pub(crate) async fn costs(db: &Metadata) -> Result<BTreeMap<String, Cost>> {
    let rows = sqlx::query(
        "SELECT model, COUNT(*) AS builds, SUM(full_build) AS full_builds, \
         CAST(AVG(finished_at - started_at) AS BIGINT) AS took, CAST(AVG(COALESCE(row_count, 0)) AS BIGINT) AS row_count, \
         CAST(AVG(COALESCE(bytes, 0)) AS BIGINT) AS bytes \
         FROM (SELECT r.*, ROW_NUMBER() OVER (PARTITION BY model ORDER BY id DESC) AS place FROM model_runs r \
         WHERE outcome = 'published') newest WHERE place <= 5 GROUP BY model",
    )
    .fetch_all(db.pool())
    .await
    .map_err(store::Error::from)?;
    let count = |row: &sqlx::sqlite::SqliteRow, name: &str| -> Result<u64, sqlx::Error> {
        Ok(row.try_get::<i64, _>(name)?.max(0) as u64)
    };
    rows.iter()
        .map(|row| -> Result<_, sqlx::Error> {
            let cost = Cost {
                builds: count(row, "builds")?,
                full: count(row, "full_builds")?,
                seconds: count(row, "took")? as f64 / 1e6,
                rows: count(row, "row_count")?,
                bytes: count(row, "bytes")?,
            };
            Ok((row.try_get("model")?, cost))
        })
        .collect::<Result<_, _>>()
        .map_err(|error| store::Error::from(error).into())
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
