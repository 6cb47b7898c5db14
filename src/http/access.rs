//! Users and the audit, for admins.

use ::access::Role;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, Caller, Refusal};

/// `GET /api/access/users`.
pub async fn users(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!(app.users.list().await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    name: String,
    #[serde(default)]
    display: Option<String>,
    roles: Vec<Role>,
}

/// `POST /api/access/users`: the password is random and shown in this one answer.
pub async fn add(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(user): Json<NewUser>,
) -> Result<Json<Value>, Refusal> {
    let display = user.display.as_deref().unwrap_or(&user.name);
    let password = app.users.add(&user.name, display, &user.roles, None).await?;
    super::health::record(&app, &caller.who.user, "user.add", &user.name).await?;
    Ok(Json(json!({"name": user.name, "password": password})))
}

#[derive(Deserialize)]
pub struct Page {
    #[serde(default)]
    before: Option<i64>,
}

/// `GET /api/access/audit?before=`: a hundred records, newest first.
pub async fn audit(State(app): State<App>, Query(page): Query<Page>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({"rows": app.audit.page(page.before, 100).await?})))
}
