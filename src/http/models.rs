//! Building models by hand: what is due and what it costs, and one model computed now.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use warehouse::{TableName, Zone};

use super::{App, Caller, Refusal};
use crate::flow::Happened;

/// `GET /api/models`: every model with whether it is due, whether that computes every row, and what its last
/// builds took; `failed` where the last one did.
pub async fn list(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let live = app.project();
    let failed = app.warehouse.failed_builds().await?;
    let mut rows = Vec::new();
    for name in live.project.models.keys() {
        let mut row = match app.warehouse.due(name).await {
            Ok(due) => json!(due),
            Err(error) => json!({"model": name, "error": error.to_string()}),
        };
        if let Some(state) = failed.get(name) {
            row["failed"] = json!({"at": state.at, "message": state.message});
        }
        rows.push(row);
    }
    Ok(Json(rows.into()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// Every row, also where an incremental model would go on from where it stands.
    full: bool,
}

/// `POST /api/models/{name}/build` with `{"full": true}`: computes the model now and answers what came of it.
pub async fn build(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    wish: Option<Json<Wish>>,
) -> Result<Json<Value>, Refusal> {
    let full = wish.is_some_and(|Json(wish)| wish.full);
    let table = TableName::new(Zone::Mart, &name).map_err(Refusal::not_found)?;
    let action = if full { "model.build_full" } else { "model.build" };
    super::health::record(&app, &caller.who.user, action, &name).await?;
    // Goes on when the caller hangs up: half a build helps nobody.
    let work = tokio::spawn(async move {
        let report = match full {
            true => app.warehouse.build_full(&name).await?,
            false => app.warehouse.build(&name).await?,
        };
        if report.published && !report.unchanged {
            app.follow(Happened::Cleaned(table)).await.map_err(Refusal::internal)?;
        }
        Ok::<_, Refusal>(json!(report))
    });
    Ok(Json(work.await.map_err(Refusal::internal)??))
}
