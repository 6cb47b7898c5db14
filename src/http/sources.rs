//! Sources with their streams, their latest runs and what comes next.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use ingest::SourceSpec;
use serde_json::{Value, json};

use super::{App, Caller, Refusal};
use crate::jobs::Sync;

/// `GET /api/sources`.
pub async fn list(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let live = app.project();
    let mut rows = Vec::new();
    for (name, spec) in &live.project.sources {
        rows.push(describe(&app, name, spec).await?);
    }
    Ok(Json(rows.into()))
}

async fn describe(app: &App, name: &str, spec: &SourceSpec) -> Result<Value, Refusal> {
    let latest = app.ingest.latest_runs(name).await?;
    let live = app.project();
    let next = spec.schedule().and_then(|s| s.next_after(app.clock.now(), live.project.timezone()));
    let streams: Vec<Value> = spec
        .streams
        .keys()
        .map(|stream| {
            json!({"name": stream, "table": spec.raw_table(name, stream).to_string(),
                "last_run": latest.get(stream), "next_at": next})
        })
        .collect();
    let failed = latest.values().any(|run| run.outcome == "failed");
    let state = match (latest.is_empty(), failed) {
        (true, _) => "never",
        (_, true) => "failed",
        _ => "ok",
    };
    Ok(json!({
        "name": name, "title": spec.title, "kind": spec.kind.name(),
        "schedule": spec.schedule().map(|s| s.to_string()), "streams": streams, "state": state,
    }))
}

/// `POST /api/sources/{name}/sync`.
pub async fn sync(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    known(&app, &name)?;
    app.queue.push(&Sync { source: name.clone() }, app.clock.now()).await?;
    super::health::record(&app, &caller.who.user, "source.sync", &name).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"job": format!("sync {name}")}))))
}

/// `GET /api/sources/{name}/runs`: the latest fifty.
pub async fn runs(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    known(&app, &name)?;
    Ok(Json(json!(app.ingest.runs(&name, 50).await?)))
}

fn known(app: &App, name: &str) -> Result<(), Refusal> {
    if app.project().project.sources.contains_key(name) {
        return Ok(());
    }
    Err(Refusal::not_found(format!("no source {name} in sources/")))
}
