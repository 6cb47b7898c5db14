//! Messages to receivers over all alerts, their attempts, and sending one again.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use rules::DeliveryFilter;
use serde_json::{Value, json};

use super::{App, Caller, Refusal};

/// `GET /api/deliveries?state=&channel=&alert=&limit=&before=`: `{"deliveries": […], "next": "…"}`, newest first.
pub async fn list(
    State(app): State<App>,
    Query(filter): Query<DeliveryFilter>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!(app.rules.deliveries(&filter).await?)))
}

/// `GET /api/deliveries/{id}`: `{"history": [{"at", "status", "ms", "response", "error"}, …]}`, oldest first.
pub async fn attempts(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({"id": id, "history": app.rules.tries(&id).await?})))
}

/// `POST /api/deliveries/{id}/resend`: sends it again now, under its id; answers with the delivery.
pub async fn resend(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let sent = app.rules.resend(&id).await?;
    super::health::record(&app, &caller.who.user, "delivery.resend", &sent.id).await?;
    app.deliver_now().await.map_err(Refusal::internal)?;
    Ok(Json(json!(sent)))
}
