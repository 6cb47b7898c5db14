//! The catalogue: zones, tables, columns, rows, freshness, lineage, and a sample of rows.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use warehouse::{TableInfo, TableName, Zone};

use super::{App, Caller, Refusal};
use crate::cells;
use crate::project::Use;

/// `GET /api/tables`: what the caller may read.
pub async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refusal> {
    let tables = app.warehouse.session(&caller.who).catalogue().await?;
    Ok(Json(tables.iter().map(describe).collect::<Vec<_>>().into()))
}

#[derive(Deserialize)]
pub struct Sample {
    #[serde(default)]
    sample: Option<usize>,
}

/// `GET /api/tables/{zone}.{name}?sample=50`.
pub async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(Sample { sample }): Query<Sample>,
) -> Result<Json<Value>, Refusal> {
    let session = app.warehouse.session(&caller.who).for_page();
    let tables = session.catalogue().await?;
    let table = tables
        .iter()
        .find(|t| t.name.to_string() == name)
        .ok_or_else(|| Refusal::not_found(format!("no table {name} that you may read")))?;
    let mut value = describe(table);
    value["used_by"] = json!(used_by(&app, &caller, &table.name));
    if table.name.zone == Zone::Mart
        && let Ok(mut due) = app.warehouse.due(&table.name.name).await
    {
        // The reason names inputs, which are for those who see where data comes from.
        if !access::decide(&caller.who, access::Permission::ReadSources) {
            due.reason.clear();
        }
        value["due"] = json!(due);
    }
    // Rows are for those who may ask for them by SQL; others see what there is and how fresh it is.
    let may_read = access::decide(&caller.who, access::Permission::RunSql);
    let wanted = if may_read { sample.unwrap_or(50).min(500) } else { 0 };
    if wanted > 0 {
        let sql = format!("select * from {}.\"{}\" limit {wanted}", table.name.zone, table.name.name);
        let (batches, _) = session.sql(&sql).await?.collect(wanted).await?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(cells::rows(batch, app.warehouse.timezone()).map_err(Refusal::internal)?);
        }
        let columns: Vec<&String> = table.schema.fields().iter().map(|f| f.name()).collect();
        value["sample"] = json!({"columns": columns, "rows": rows});
    }
    Ok(Json(value))
}

/// Metrics, dashboards and rules that stand on a table, as far as the caller may see them.
fn used_by(app: &App, caller: &Caller, table: &TableName) -> Vec<Use> {
    let open: Vec<String> = app.dashboards_of(&caller.who).into_iter().map(|(name, _)| name).collect();
    let may = |permission| access::decide(&caller.who, permission);
    let mut uses = app.project().project.uses(table);
    uses.retain(|one| match one.kind {
        "metric" => may(access::Permission::ReadMetrics),
        "dashboard" => open.contains(&one.name),
        _ => may(access::Permission::ReadRules),
    });
    uses
}

fn describe(table: &TableInfo) -> Value {
    let columns: Vec<Value> = table
        .schema
        .fields()
        .iter()
        .map(|f| {
            json!({"name": f.name(), "type": f.data_type().to_string(), "nullable": f.is_nullable(),
                "title": table.columns.get(f.name())})
        })
        .collect();
    json!({
        "zone": table.name.zone.to_string(),
        "name": table.name.name,
        "title": table.title,
        "rows": table.rows, "bytes": table.bytes, "files": table.files, "version": table.version,
        "updated_at": table.updated_at,
        "columns": columns,
        "upstream": table.upstream.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "downstream": table.downstream.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "checks": table.checks.as_ref().map(|c| json!({"ok": c.ok, "message": c.message, "at": c.at})),
    })
}
