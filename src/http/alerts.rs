//! Alerts: the inbox, one alert with its evidence, acknowledging.

use ::access::Permission;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use rules::AlertFilter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, Caller, Refusal};
use crate::project::Kind;

/// `GET /api/alerts?state=&rule=&severity=&limit=&before=`. Of alerts over tables that the caller may not read
/// (`hidden`), labels, values and texts are left out.
pub async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(filter): Query<AlertFilter>,
) -> Result<Json<Value>, Refusal> {
    let page = app.rules.alerts(&filter).await?;
    Ok(Json(json!(page.for_reader(&caller.who))))
}

/// `GET /api/alerts/{id}`: why it fired (a sentence, and the series with the expected band, or the rows, as of
/// `evidence_at`), what happened since, and every delivery. The rule itself, the rows and the answers of
/// receivers are shown to those who may read them.
pub async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let detail = app.rules.alert(&id).await?.ok_or_else(|| Refusal::not_found(format!("no alert {id}")))?;
    let detail = detail.for_reader(&caller.who);
    let mut value = serde_json::to_value(&detail).map_err(Refusal::internal)?;
    if ::access::decide(&caller.who, Permission::ReadRules) {
        value["rule_yaml"] = json!(app.project().project.text(Kind::Rule, &detail.rule));
    }
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
