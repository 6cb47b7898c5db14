//! Sources with their streams, their latest runs and what comes next.

use access::Principal;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use ingest::SourceSpec;
use serde_json::{Value, json};

use super::{App, Caller, Refusal};
use crate::cells;
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
    let latest = latest(app, name, 400).await?;
    let live = app.project();
    let schedule = spec.schedule().ok().flatten();
    let next = schedule.as_ref().and_then(|s| live.project.next_run(s, app.clock.now()));
    let of = |stream: &str| latest.iter().find(|run| run["stream"] == stream);
    let streams: Vec<Value> = spec
        .streams
        .keys()
        .map(|stream| {
            json!({"name": stream, "table": SourceSpec::table(name, stream).to_string(),
                "last_run": of(stream), "next_at": next})
        })
        .collect();
    let failed = spec
        .streams
        .keys()
        .filter_map(|s| of(s))
        .any(|run| run["outcome"] == "failed" || run["outcome"] == "partial");
    let state = match (latest.is_empty(), failed) {
        (true, _) => "never",
        (_, true) => "failed",
        _ => "ok",
    };
    Ok(json!({
        "name": name, "title": spec.title, "kind": spec.kind.name(),
        "schedule": schedule.map(|s| s.to_string()), "streams": streams, "state": state,
    }))
}

/// The latest runs of a source, newest first. Names of sources hold letters, digits and `_` only.
async fn latest(app: &App, source: &str, limit: usize) -> Result<Vec<Value>, Refusal> {
    let sql = format!(
        "select stream, started_at as at, rows, rejected, files, outcome, message, warnings, \
         (arrow_cast(finished_at, 'Int64') - arrow_cast(started_at, 'Int64')) / 1000 as ms \
         from system.runs where source = '{source}' order by started_at desc limit {limit}"
    );
    let answer = app.warehouse.session(&Principal::system()).sql(&sql).await?;
    let names: Vec<String> = answer.schema.fields().iter().map(|f| f.name().clone()).collect();
    let (batches, _) = answer.collect(limit).await?;
    let mut runs = Vec::new();
    for batch in &batches {
        for row in cells::rows(batch, app.warehouse.timezone()).map_err(Refusal::internal)? {
            let mut run: serde_json::Map<_, _> = names.iter().cloned().zip(row).collect();
            // Stored as a JSON list; read by people.
            let warnings = run.get("warnings").and_then(Value::as_str).unwrap_or_default();
            let warnings: Vec<String> = serde_json::from_str(warnings).unwrap_or_default();
            run.insert("warnings".into(), json!(warnings.join("\n")));
            runs.push(run.into());
        }
    }
    Ok(runs)
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
    Ok(Json(latest(&app, &name, 50).await?.into()))
}

fn known(app: &App, name: &str) -> Result<(), Refusal> {
    if app.project().project.sources.contains_key(name) {
        return Ok(());
    }
    Err(Refusal::not_found(format!("no source {name} in sources/")))
}
