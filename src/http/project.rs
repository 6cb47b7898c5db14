//! The state of the project folder: what is served, and what is wrong with what is on disk.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;

/// `GET /api/project`.
pub async fn state(State(app): State<App>) -> Json<Value> {
    let live = app.project();
    Json(json!({
        "revision": live.project.revision,
        "loaded_at": live.loaded_at,
        "files": live.project.files.len(),
        "problems": live.findings,
    }))
}
