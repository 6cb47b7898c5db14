//! Rows that did not fit, of both zones: counted by reason, listed with source, row number, column and reason,
//! judged again after a fix, or discarded. `{table}` is `clean.orders` (or `orders`) or `raw.shop_orders`.

use access::Principal;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::{App, Caller, Refusal};
use crate::cells;
use crate::jobs::Sync;
use crate::quarantine::{Quarantine, Retried, Unknown};

/// `GET /api/quarantine`: only tables with rows, as
/// `[{table, zone, rows, reasons: [{column, reason, count, first}]}]`.
pub async fn list(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!(app.quarantines().await.map_err(refusal)?)))
}

/// `GET /api/quarantine/{table}`: the first 200 rows, as `{columns, rows}`.
pub async fn rows(State(app): State<App>, Path(table): Path<String>) -> Result<Json<Value>, Refusal> {
    let rejected = find(&app, &table).await?.rejected();
    if app.warehouse.snapshot(&rejected).await?.is_none() {
        return Ok(Json(json!({"columns": [], "rows": []})));
    }
    let session = app.warehouse.session(&Principal::system());
    let sql = format!("select * from {}.\"{}\" limit 200", rejected.zone, rejected.name);
    let answer = session.sql(&sql).await?;
    let columns: Vec<String> = answer.schema.fields().iter().map(|f| f.name().clone()).collect();
    let (batches, _) = answer.collect(200).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch, app.warehouse.timezone()).map_err(Refusal::internal)?);
    }
    Ok(Json(json!({"columns": columns, "rows": rows})))
}

/// `POST /api/quarantine/{table}/retry` and `…/release`: judges the rows again by the definitions now in force.
/// A clean table answers 200 with what cleaning did (`{read, kept, rejected, released, standing, …}`); a raw one 202
/// with `{job, files}`: its files (none: the whole stream) are read again by that job.
pub async fn retry(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(table): Path<String>,
) -> Result<Response, Refusal> {
    let quarantine = find(&app, &table).await?;
    match app.retry_quarantine(&quarantine, &caller.who.user).await.map_err(refusal)? {
        Retried::Cleaned(report) => Ok(Json(json!(report)).into_response()),
        Retried::Asked { source, files, .. } => {
            app.queue.push(&Sync { source: source.clone() }, app.clock.now()).await?;
            let body = json!({"job": format!("sync {source}"), "files": files});
            Ok((StatusCode::ACCEPTED, Json(body)).into_response())
        }
    }
}

/// `POST /api/quarantine/{table}/discard`: removes the rows; answers `{discarded}`.
pub async fn discard(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(table): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let quarantine = find(&app, &table).await?;
    let rows = app.discard_quarantine(&quarantine, &caller.who.user).await.map_err(refusal)?;
    Ok(Json(json!({"discarded": rows})))
}

async fn find(app: &App, table: &str) -> Result<Quarantine, Refusal> {
    app.quarantine(table).await.map_err(refusal)
}

/// What went wrong, by the room that it comes from.
pub(super) fn refusal(error: anyhow::Error) -> Refusal {
    let error = match error.downcast::<Unknown>() {
        Ok(unknown) => return Refusal::not_found(unknown),
        Err(error) => error,
    };
    let error = match error.downcast::<warehouse::Error>() {
        Ok(of_warehouse) => return of_warehouse.into(),
        Err(error) => error,
    };
    match error.downcast::<ingest::Error>() {
        Ok(of_ingest) => of_ingest.into(),
        Err(error) => Refusal::internal(error),
    }
}
