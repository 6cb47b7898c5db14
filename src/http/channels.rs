//! Channels: how each stands, a test message, opening one again that its receiver closed.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::{App, Caller, Refusal};

/// `GET /api/channels`: `[{"name", "kind", "address", "state", "reason", "waiting", "dead", …}, …]`; of an address
/// only the host is shown.
pub async fn list(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!(app.rules.channels(&app.project().project.config.channels).await?)))
}

/// `POST /api/channels/{name}/test`: sends one message of the type `channel.test` and answers with what came of it.
pub async fn test(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let test = app.rules.test_channel(&app.project().project.config.channels, &name).await?;
    super::health::record(&app, &caller.who.user, "channel.test", &name).await?;
    Ok(Json(json!(test)))
}

/// `POST /api/channels/{name}/reopen`: `{"channel", "reopened"}`; what was given up is sent again by `resend`.
pub async fn reopen(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let reopened = app.rules.reopen_channel(&app.project().project.config.channels, &name).await?;
    super::health::record(&app, &caller.who.user, "channel.reopen", &name).await?;
    app.deliver_now().await.map_err(Refusal::internal)?;
    Ok(Json(json!({"channel": name, "reopened": reopened})))
}
