//! Alerts: the inbox, one alert with its evidence, acknowledging.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use rules::{AlertDetail, AlertFilter};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, Caller, Refusal};
use crate::project::Kind;

/// `GET /api/alerts?state=&rule=&severity=&limit=&before=`.
pub async fn list(State(app): State<App>, Query(filter): Query<AlertFilter>) -> Result<Json<Value>, Refusal> {
    let page = app.rules.alerts(&filter).await?;
    Ok(Json(json!(page)))
}

/// `GET /api/alerts/{id}`: why it fired (series with the expected band, or the rows), the rule, what
/// happened since, and every delivery with its response.
pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let detail: AlertDetail =
        app.rules.alert(&id).await?.ok_or_else(|| Refusal::not_found(format!("no alert {id}")))?;
    let yaml = app.project().project.text(Kind::Rule, &detail.rule).map(str::to_owned);
    let mut value = serde_json::to_value(&detail).map_err(Refusal::internal)?;
    value["rule_yaml"] = json!(yaml);
    Ok(Json(value))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    #[serde(default)]
    note: String,
}

/// `POST /api/alerts/{id}/ack`.
pub async fn ack(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(note): Json<Note>,
) -> Result<Json<Value>, Refusal> {
    app.rules.ack(&id, &caller.who, &note.note).await?;
    super::health::record(&app, &caller.who.user, "alert.ack", &id).await?;
    Ok(Json(json!({"acknowledged": id})))
}
