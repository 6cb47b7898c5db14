//! The ticket system's REST interface: `GET /tickets?updated_after=&page=&size=` with a bearer token.

use std::path::Path;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, SqlitePool};

use crate::{COMPANY, Error, PROJECT, tickets};

#[derive(Clone)]
struct Desk {
    db: SqlitePool,
    token: String,
}

#[derive(Deserialize)]
struct Ask {
    updated_after: Option<String>,
    page: Option<i64>,
    size: Option<i64>,
}

/// Rows a page, at most.
const MAX_SIZE: i64 = 500;

/// Serves the tickets of the company in `dir`. The token is the one `project` wrote for the demo's
/// own source. Answers `{items, page, size, has_more}`, oldest change first; one item a version of a
/// ticket, so pages never shift while someone turns them.
pub fn api(dir: &Path) -> Result<Router, Error> {
    let path = dir.join(PROJECT).join(".guanlan/ticket.token");
    let token = std::fs::read_to_string(&path).map_err(|e| Error::file("read", &path, e))?;
    let database = SqliteConnectOptions::new()
        .filename(dir.join(COMPANY).join("tickets.db"))
        .busy_timeout(Duration::from_secs(20));
    let db = SqlitePoolOptions::new().max_connections(2).connect_lazy_with(database);
    let desk = Desk { db, token: token.trim().to_owned() };
    Ok(Router::new().route("/tickets", routing::get(list)).with_state(desk))
}

async fn list(State(desk): State<Desk>, headers: HeaderMap, ask: Query<Ask>) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")) != Some(desk.token.as_str()) {
        return problem(StatusCode::UNAUTHORIZED, "missing or wrong bearer token");
    }
    let page = ask.page.unwrap_or(1).max(1);
    let size = ask.size.unwrap_or(100).clamp(1, MAX_SIZE);
    let after = ask.updated_after.clone().unwrap_or_default();
    match read(&desk.db, &after, page, size).await {
        Ok((items, has_more)) => {
            Json(json!({"items": items, "page": page, "size": size, "has_more": has_more})).into_response()
        }
        Err(error) => {
            tracing::warn!(error.message = %error, "the ticket system cannot read its database");
            problem(StatusCode::SERVICE_UNAVAILABLE, "the ticket database is busy; try again")
        }
    }
}

async fn read(db: &SqlitePool, after: &str, page: i64, size: i64) -> Result<(Vec<Value>, bool), sqlx::Error> {
    let sql = "select * from tickets where updated_at > ? order by updated_at, id limit ? offset ?";
    let rows = sqlx::query(sql)
        .bind(after)
        .bind(size + 1)
        .bind((page - 1).saturating_mul(size))
        .fetch_all(db)
        .await?;
    let has_more = rows.len() as i64 > size;
    let items = rows.iter().take(size as usize).map(item).collect::<Result<_, _>>()?;
    Ok((items, has_more))
}

fn item(row: &SqliteRow) -> Result<Value, sqlx::Error> {
    let mut item = Map::new();
    for column in tickets::TABLE.columns {
        let number = *column == "id" || *column == "satisfaction" || column.ends_with("_id");
        let value = match number {
            true => row.try_get::<Option<i64>, _>(*column)?.map_or(Value::Null, Value::from),
            false => row.try_get::<Option<String>, _>(*column)?.map_or(Value::Null, Value::from),
        };
        item.insert((*column).to_owned(), value);
    }
    Ok(Value::Object(item))
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}

#[cfg(test)]
mod tests;
