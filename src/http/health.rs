//! Whether the server works, its Prometheus metrics, and the audit record of what callers did.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use access::{Event, Principal};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{App, Refusal};
use crate::troubles::Standing;

/// How long a look at everything may take before health is told without it: the server is then busy, which is told.
const LOOK: Duration = Duration::from_millis(500);

/// `GET /health`: open to anyone, so it says whether and how much of what, but no names. `ok`, or `degraded` with
/// `reasons` as `{kind: count}` (still 200: the server answers), or 503 when it cannot work.
pub async fn health(State(app): State<App>) -> Response {
    let alive = sqlx::query("SELECT 1").execute(app.db.pool()).await.is_ok();
    let standing = tokio::time::timeout(LOOK, app.standing()).await.ok().and_then(Result::ok);
    let (code, status) = match (&standing, alive) {
        (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "metadata database unreachable"),
        (Some(standing), true) if !standing.is_good() => (StatusCode::OK, "degraded"),
        (Some(_), true) => (StatusCode::OK, "ok"),
        (None, true) => (StatusCode::OK, "degraded"),
    };
    let unknown = || BTreeMap::from([("look.failed", 1)]);
    let reasons = standing.map_or_else(unknown, |standing| standing.kinds());
    let now = app.clock.now();
    let version = env!("CARGO_PKG_VERSION");
    (code, Json(json!({"status": status, "reasons": reasons, "version": version, "now": now})))
        .into_response()
}

/// `GET /api/status`: what is wrong, by name: `{sources: [{source, state, since, failures, reasons}], troubles:
/// [{what, name, since, message}]}`.
pub async fn status(State(app): State<App>) -> Result<Json<Standing>, Refusal> {
    Ok(Json(app.standing().await.map_err(Refusal::internal)?))
}

/// Gauges and counters read from the system tables, as (name, help, SQL giving labels and a value).
const SERIES: &[(&str, &str, &str)] = &[
    (
        "guanlan_jobs",
        "Jobs waiting or running by kind and state",
        "SELECT kind, state, COUNT(*) FROM jobs GROUP BY kind, state",
    ),
    (
        "guanlan_job_runs_total",
        "Job runs of the kept history by kind and outcome",
        "SELECT kind, outcome, COUNT(*) FROM job_runs GROUP BY kind, outcome",
    ),
    (
        "guanlan_alerts",
        "Alerts by rule and state",
        "SELECT rule, state, COUNT(*) FROM alerts GROUP BY rule, state",
    ),
    (
        "guanlan_deliveries",
        "Deliveries by channel and state",
        "SELECT channel, state, COUNT(*) FROM deliveries GROUP BY channel, state",
    ),
];

/// `GET /metrics`.
pub async fn metrics(State(app): State<App>) -> Result<Response, Refusal> {
    let labels = [["kind", "state"], ["kind", "outcome"], ["rule", "state"], ["channel", "state"]];
    let mut text = String::new();
    for ((name, help, sql), labels) in SERIES.iter().zip(labels) {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as(*sql).fetch_all(app.db.pool()).await.map_err(Refusal::internal)?;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (a, b, n) in rows {
            let _ = writeln!(
                text,
                "{name}{{{}=\"{}\",{}=\"{}\"}} {n}",
                labels[0],
                escape(&a),
                labels[1],
                escape(&b)
            );
        }
    }
    let _ = writeln!(text, "# HELP guanlan_table_rows Rows of a table\n# TYPE guanlan_table_rows gauge");
    let tables = app.warehouse.session(&Principal::system()).catalogue().await?;
    for table in &tables {
        if let Some(rows) = table.rows {
            let _ = writeln!(text, "guanlan_table_rows{{table=\"{}\"}} {rows}", table.name);
        }
    }
    let _ = writeln!(
        text,
        "# HELP guanlan_table_age_seconds Time since a table changed\n# TYPE guanlan_table_age_seconds gauge"
    );
    for table in &tables {
        let age = (app.clock.now() - table.updated_at).num_milliseconds() as f64 / 1000.0;
        let _ = writeln!(text, "guanlan_table_age_seconds{{table=\"{}\"}} {age}", table.name);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Writes who did what to the audit.
pub async fn record(app: &App, actor: &str, action: &str, object: &str) -> Result<(), Refusal> {
    app.audit.record(Event::new(actor, action, object, "ok")).await?;
    Ok(())
}
