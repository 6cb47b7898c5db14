//! SQL for analysts: a page as JSON, the whole result as an Arrow stream or as CSV, cancelling, and
//! one's own history.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use warehouse::Answer;

use super::{App, Caller, Refusal};
use crate::cells::{self, For};

/// The most rows a JSON page carries; the streams carry all.
const PAGE_ROWS: usize = 10_000;
/// A download of which nothing is read for so long is broken off: it holds one of the few turns to run.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    sql: String,
    #[serde(default)]
    limit: Option<usize>,
}

/// `POST /api/sql`: the first rows of the answer as JSON.
pub async fn page(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(ask): Json<Ask>,
) -> Result<Json<Value>, Refusal> {
    let started = app.clock.now();
    let answer = app.warehouse.session(&caller.who).sql(&ask.sql).await?;
    let columns: Vec<Value> = answer
        .schema
        .fields()
        .iter()
        .map(|f| json!({"name": f.name(), "type": f.data_type().to_string()}))
        .collect();
    let tables: Vec<Value> = answer
        .tables
        .iter()
        .map(|(name, version)| json!({"name": name.to_string(), "version": version}))
        .collect();
    let (id, as_of) = (answer.id.clone(), answer.as_of);
    let (batches, truncated) = answer.collect(ask.limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS)).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch).map_err(Refusal::internal)?);
    }
    let elapsed = (app.clock.now() - started).to_std().unwrap_or(Duration::ZERO);
    Ok(Json(json!({
        "id": id, "columns": columns, "row_count": rows.len(), "rows": rows, "truncated": truncated,
        "elapsed_ms": elapsed.as_millis() as u64, "tables": tables, "as_of": as_of,
    })))
}

/// `POST /api/sql/stream`: the whole answer as an Arrow IPC stream.
pub async fn arrow_stream(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(ask): Json<Ask>,
) -> Result<Response, Refusal> {
    let answer = app.warehouse.session(&caller.who).sql(&ask.sql).await?;
    let id = answer.id.clone();
    let writer = StreamWriter::try_new(Vec::new(), &answer.schema).map_err(Refusal::internal)?;
    let body = chunks(answer, writer, |writer, batch| {
        match batch {
            Some(batch) => writer.write(batch)?,
            None => writer.finish()?,
        }
        Ok(std::mem::take(writer.get_mut()))
    });
    Ok(([(header::CONTENT_TYPE, "application/vnd.apache.arrow.stream".to_owned()), (QUERY_ID, id)], body)
        .into_response())
}

/// `POST /api/sql/csv`: the whole answer as a CSV file.
pub async fn csv(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(ask): Json<Ask>,
) -> Result<Response, Refusal> {
    let answer = app.warehouse.session(&caller.who).sql(&ask.sql).await?;
    let id = answer.id.clone();
    let mut head = String::new();
    cells::csv_header(For::Spreadsheet, answer.schema.fields().iter().map(|f| f.name().clone()), &mut head);
    let name = format!("attachment; filename=\"guanlan-{id}.csv\"");
    let body = chunks(answer, Some(head), |head, batch| {
        let mut text = head.take().unwrap_or_default();
        if let Some(batch) = batch {
            cells::csv_rows(For::Spreadsheet, batch, &mut text)?;
        }
        Ok(text.into_bytes())
    });
    Ok((
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, name),
            (QUERY_ID, id),
        ],
        body,
    )
        .into_response())
}

const QUERY_ID: header::HeaderName = header::HeaderName::from_static("x-query-id");

/// Encodes batch by batch as the client reads, so a large answer is never whole in memory. A failure
/// half-way breaks the body off, which clients report, rather than ending it as if complete.
fn chunks<S: Send + 'static>(
    answer: Answer,
    state: S,
    encode: impl Fn(&mut S, Option<&RecordBatch>) -> Result<Vec<u8>, ArrowError> + Copy + Send + 'static,
) -> Body {
    let rows = answer.detached(PATIENCE);
    let bytes = stream::unfold((Some(rows), state), move |(batches, mut state)| async move {
        let mut batches = batches?;
        let (encoded, rest) = match batches.next().await {
            Some(Ok(batch)) => (encode(&mut state, Some(&batch)), Some(batches)),
            Some(Err(error)) => (Err(ArrowError::from_external_error(Box::new(error))), None),
            None => (encode(&mut state, None), None),
        };
        let rest = if encoded.is_ok() { rest } else { None };
        Some((encoded.map(Bytes::from), (rest, state)))
    });
    // The compressor asks once more after the end.
    Body::from_stream(bytes.fuse())
}

/// `DELETE /api/sql/{id}`: stops a query of one's own (or any, for an admin).
pub async fn cancel(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    if app.warehouse.cancel(&id, &caller.who) {
        Ok(Json(json!({"cancelled": id})))
    } else {
        Err(Refusal::not_found(format!("no running query {id} of yours")))
    }
}

/// `GET /api/sql/history`: the caller's latest fifty queries.
pub async fn history(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({"queries": app.warehouse.history(&caller.who, 50).await?})))
}
