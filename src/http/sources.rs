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
use crate::project::Loaded;

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
    let runs = || spec.streams.keys().filter_map(|s| of(s));
    let failed = runs().any(|run| run["outcome"] == "failed" || run["outcome"] == "partial");
    let aside = runs().any(|run| run["outcome"] == "set_aside");
    let state = match (latest.is_empty(), failed, aside) {
        (true, _, _) => "never",
        (_, true, _) => "failed",
        (_, _, true) => "set_aside",
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
         read, refused, state, set_aside, changed, \
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
            for list in ["set_aside", "changed"] {
                let text = run.get(list).and_then(Value::as_str).unwrap_or("[]");
                let items: Value = serde_json::from_str(text).unwrap_or_default();
                run.insert(list.into(), items);
            }
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
    known(&app.project(), &name)?;
    app.queue.push(&Sync { source: name.clone() }, app.clock.now()).await?;
    super::health::record(&app, &caller.who.user, "source.sync", &name).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"job": format!("sync {name}")}))))
}

/// `POST /api/sources/{name}/test`: reaches the source, lands nothing. Answers
/// `{offers: [{name, detail}], streams: [{stream, columns: [{name, type}], error}]}`; 502 when it does not answer.
pub async fn test(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let live = app.project();
    let spec = known(&live, &name)?;
    super::health::record(&app, &caller.who.user, "source.test", &name).await?;
    let report = app.ingest.test(spec).await.map_err(ingest::Error::Source)?;
    Ok(Json(json!(report)))
}

/// `POST /api/sources/{name}/{stream}/preview`: how the stream would be read, landing nothing. Answers `{stream, table,
/// file, found: [[what, value]], columns: [{name, type}], rows: [[text or null]], read, rejected_rows,
/// set_aside: [{row, reason, text}], changed: [{column, how, count, first}], warnings, complete}`; the first 20 rows.
pub async fn preview(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((name, stream)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let live = app.project();
    let spec = known(&live, &name)?;
    super::health::record(&app, &caller.who.user, "source.preview", &format!("{name}.{stream}")).await?;
    Ok(Json(json!(app.ingest.preview(&name, spec, &stream, 20).await?)))
}

/// `POST /api/sources/{name}/{stream}/reset`: forgets where the stream stands; a sync that reads all of it again is
/// queued. Answers 202 with `{job}`.
pub async fn reset(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((name, stream)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    app.ask_reset(&name, &stream, &caller.who.user).await.map_err(super::quarantine::refusal)?;
    app.queue.push(&Sync { source: name.clone() }, app.clock.now()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"job": format!("sync {name}")}))))
}

/// `GET /api/sources/{name}/runs`: the latest fifty. `read` = `rows` + `rejected` + `refused`; `state` in words;
/// `set_aside` as `[{reason, count, first}]`, `changed` as `[{column, how, count, first}]`.
pub async fn runs(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    known(&app.project(), &name)?;
    Ok(Json(latest(&app, &name, 50).await?.into()))
}

fn known<'p>(live: &'p Loaded, name: &str) -> Result<&'p SourceSpec, Refusal> {
    let found = live.project.sources.get(name);
    found.ok_or_else(|| Refusal::not_found(format!("no source {name} in sources/")))
}
