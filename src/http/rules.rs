//! Rules with their state, and one rule as it stands in its file.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use rules::{AlertFilter, RuleSpec};
use serde_json::{Value, json};

use super::{App, Caller, Refusal};
use crate::project::{Kind, Loaded};

/// `GET /api/rules`.
pub async fn list(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let live = app.project();
    let states = app.rules.states().await?;
    let rows: Vec<Value> = live
        .project
        .rules
        .iter()
        .map(|(name, spec)| {
            let mut row = describe(&live, name, spec);
            row["state"] = json!(states.get(name));
            row
        })
        .collect();
    Ok(Json(rows.into()))
}

/// `GET /api/rules/{name}`.
pub async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let live = app.project();
    let spec = live
        .project
        .rules
        .get(&name)
        .ok_or_else(|| Refusal::not_found(format!("no rule {name} in rules/")))?;
    let filter = AlertFilter { rule: Some(name.clone()), limit: Some(20), ..AlertFilter::default() };
    let mut row = describe(&live, &name, spec);
    row["state"] = json!(app.rules.states().await?.get(&name));
    row["yaml"] = json!(live.project.text(Kind::Rule, &name));
    row["condition"] = json!(spec.when);
    row["alerts"] = json!(app.rules.alerts(&filter).await?.for_reader(&caller.who).alerts);
    Ok(Json(row))
}

fn describe(live: &Loaded, name: &str, spec: &RuleSpec) -> Value {
    let file = format!("rules/{name}.yaml");
    json!({
        "name": name,
        "title": spec.title,
        "description": spec.description,
        "severity": spec.severity,
        "every": spec.schedule().to_string(),
        "metric": spec.ask.as_ref().map(|a| a.metric.clone()),
        "notify": spec.notify,
        "problem": live.findings.iter().find(|f| f.file == file),
    })
}
