//! Dashboards: the caller's pages, their layout, and the data of their tiles.

use access::Permission;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use dashboards::{DashboardSpec, PageAnswer, PageAsk, PageView, Tile};
use serde_json::{Value, json};

use super::{App, Caller, Refusal};

/// `GET /api/dashboards`.
pub async fn list(State(app): State<App>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let pages: Vec<Value> = app
        .dashboards_of(&caller.who)
        .iter()
        .map(|(name, spec)| json!({"name": name, "title": spec.title}))
        .collect();
    Json(pages.into())
}

/// `GET /api/dashboards/{name}`: the layout, and the problem of its file when an older version is
/// still served.
pub async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let spec = find(&app, &caller, &name)?;
    let live = app.project();
    let view = PageView::new(&name, &spec, &app.warehouse.definitions());
    let mut view = serde_json::to_value(view).map_err(Refusal::internal)?;
    let file = format!("dashboards/{name}.yaml");
    if let Some(finding) = live.findings.iter().find(|f| f.file == file) {
        view["problem"] = json!(finding);
        // What stands below: an older version of the whole page, or the tiles of this one that are good.
        let tiles = spec.rows.iter().flatten().any(|tile| matches!(tile, Tile::Broken(_)));
        view["served"] = json!(if tiles { "good_tiles" } else { "last_good_version" });
    }
    Ok(Json(view))
}

/// `POST /api/dashboards/{name}/data`: every tile asked for, each with its own answer or failure.
pub async fn data(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(ask): Json<PageAsk>,
) -> Result<Json<PageAnswer>, Refusal> {
    let spec = find(&app, &caller, &name)?;
    Ok(Json(app.dashboards.answer(&caller.who, &spec, &ask).await?))
}

/// A page the caller may not open answers like one that does not exist.
fn find(app: &App, caller: &Caller, name: &str) -> Result<DashboardSpec, Refusal> {
    app.dashboards_of(&caller.who)
        .into_iter()
        .find_map(|(known, spec)| (known == name).then_some(spec))
        .ok_or_else(|| missing(app, caller, name))
}

/// To those who may see the project's problems: what keeps a page from being shown at all.
fn missing(app: &App, caller: &Caller, name: &str) -> Refusal {
    let file = format!("dashboards/{name}.yaml");
    let live = app.project();
    let problem = live.findings.iter().find(|f| f.is_error() && f.file == file);
    match problem.filter(|_| access::decide(&caller.who, Permission::ReadStatus)) {
        Some(f) if !live.project.dashboards.contains_key(name) => {
            let at = format!("{}:{}:{}", f.file, f.line, f.column);
            let refusal = Refusal::not_found(format!(
                "the dashboard {name} has a mistake and no earlier version is known: {at}: {}",
                f.message
            ));
            match &f.hint {
                Some(hint) => refusal.hint(hint.clone()),
                None => refusal,
            }
        }
        _ => Refusal::not_found(format!("no dashboard {name} for you")),
    }
}
