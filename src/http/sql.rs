//! SQL for analysts: a page as JSON, the whole result as an Arrow stream or as CSV, cancelling, and
//! one's own history.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use warehouse::Answer;

use super::{App, Caller, Refusal};
use crate::cells::{self, For};

/// The most rows a JSON page carries, and how many when none are asked for; the streams carry all.
const PAGE_ROWS: usize = 10_000;
const FIRST_ROWS: usize = 1_000;
/// The most bytes of a page's rows: one may be a megabyte.
const PAGE_BYTES: usize = 8 << 20;
/// Rows that are encoded in one piece are about so many bytes.
const PIECE: usize = 1 << 20;
/// One row of so many bytes cannot be sent.
const LONGEST_ROW: usize = 64 << 20;
/// A download of which nothing is read for so long is broken off: it holds one of the few turns to run.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    sql: String,
    #[serde(default)]
    limit: Option<usize>,
}

/// `POST /api/sql`: the first rows of the answer as JSON, at most 10,000 in 8 MiB; `more` says whether there are
/// others.
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
    let limit = ask.limit.unwrap_or(FIRST_ROWS).min(PAGE_ROWS);
    let (batches, more) = answer.collect_within(limit, PAGE_BYTES).await?;
    if batches.is_empty() && more {
        let detail = format!("its first row is larger than the {} MiB of a page", PAGE_BYTES >> 20);
        let refusal =
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "exhausted", "The answer is too large", detail);
        return Err(refusal.hint("select fewer or shorter columns, or download the answer as CSV"));
    }
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch, app.warehouse.timezone()).map_err(unwritable)?);
    }
    let elapsed = (app.clock.now() - started).to_std().unwrap_or(Duration::ZERO);
    Ok(Json(json!({
        "id": id, "columns": columns, "row_count": rows.len(), "rows": rows, "more": more, "truncated": more,
        "elapsed_ms": elapsed.as_millis() as u64, "tables": tables, "as_of": as_of,
    })))
}

/// A value beyond the calendar, and the like: the query is at fault, not the server.
fn unwritable(error: ArrowError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "sql", "The answer cannot be written", error)
}

/// `POST /api/sql/stream`: the whole answer as an Arrow IPC stream, or the first `limit` rows of it.
pub async fn arrow_stream(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(ask): Json<Ask>,
) -> Result<Response, Refusal> {
    let answer = app.warehouse.session(&caller.who).sql(&ask.sql).await?;
    let id = answer.id.clone();
    let writer = StreamWriter::try_new(Vec::new(), &answer.schema).map_err(Refusal::internal)?;
    let body = chunks(opened(answer).await?, ask.limit, writer, |writer, batch| {
        match batch {
            Some(batch) => writer.write(batch)?,
            None => writer.finish()?,
        }
        Ok(std::mem::take(writer.get_mut()))
    });
    Ok(([(header::CONTENT_TYPE, "application/vnd.apache.arrow.stream".to_owned()), (QUERY_ID, id)], body)
        .into_response())
}

/// `POST /api/sql/csv`: the whole answer as a CSV file, or the first `limit` rows of it.
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
    let zone = app.warehouse.timezone();
    let body = chunks(opened(answer).await?, ask.limit, Some(head), move |head, batch| {
        let mut text = head.take().unwrap_or_default();
        if let Some(batch) = batch {
            cells::csv_rows(For::Spreadsheet, batch, zone, &mut text)?;
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

type Batches = BoxStream<'static, warehouse::Result<RecordBatch>>;

/// The rows of an answer once the first of them are there: what fails until then is told as a refusal, not by a
/// download that breaks off.
async fn opened(answer: Answer) -> Result<Batches, Refusal> {
    let mut rows = answer.detached(PATIENCE);
    match rows.next().await {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(first)) => Ok(stream::iter([Ok(first)]).chain(rows).boxed()),
        // Its end is asked for once.
        None => Ok(stream::empty().boxed()),
    }
}

/// Encodes batch by batch as the client reads, so a large answer is never whole in memory. A failure
/// half-way breaks the body off, which clients report, rather than ending it as if complete.
fn chunks<S: Send + 'static>(
    batches: Batches,
    limit: Option<usize>,
    state: S,
    encode: impl Fn(&mut S, Option<&RecordBatch>) -> Result<Vec<u8>, ArrowError> + Copy + Send + 'static,
) -> Body {
    let rows = pieces(batches, limit.unwrap_or(usize::MAX));
    let bytes = stream::unfold((Some(rows.boxed()), state), move |(batches, mut state)| async move {
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

/// The first `limit` rows in pieces of about equal bytes: a batch that takes little memory may be long when it is
/// written out, as values that many rows and columns share are written for each.
fn pieces(
    batches: Batches,
    limit: usize,
) -> impl Stream<Item = warehouse::Result<RecordBatch>> + Send + 'static {
    // What is left of a batch, and how many of its rows make a piece.
    let start = (batches, None::<(RecordBatch, usize)>, limit);
    stream::unfold(start, |(mut batches, mut rest, left)| async move {
        if left == 0 {
            return None;
        }
        loop {
            if let Some((batch, rows)) = rest.take() {
                let rows = rows.min(batch.num_rows()).min(left);
                let piece = batch.slice(0, rows);
                let behind = batch.slice(rows, batch.num_rows() - rows);
                let behind = (behind.num_rows() > 0).then_some((behind, rows));
                return Some((Ok(piece), (batches, behind, left - rows)));
            }
            let batch = match batches.next().await? {
                Ok(batch) => batch,
                Err(error) => return Some((Err(error), (batches, None, 0))),
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let each = warehouse::row_bytes(&batch) / batch.num_rows();
            if each > LONGEST_ROW {
                let message =
                    format!("a row of the answer has {} MiB, too much to send; select less", each >> 20);
                return Some((Err(warehouse::Error::Exhausted { message }), (batches, None, 0)));
            }
            rest = Some((batch, (PIECE / each.max(1)).max(1)));
        }
    })
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
