//! Rows that did not fit: counted by reason, listed with source, row number, column and reason, and
//! released after a fix.

use std::collections::BTreeMap;

use access::Principal;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};
use warehouse::{TableName, Zone};

use super::{App, Caller, Refusal};
use crate::cells;

/// `GET /api/quarantine`: only tables with rows.
pub async fn list(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let mut tables = Vec::new();
    for name in quarantines(&app).await? {
        let sql = format!(
            "select \"column\", reason, count(*) as n from clean.\"{name}_rejected\" group by 1, 2 order by n desc limit 50"
        );
        let reasons = ask(&app, &sql).await?;
        let rows: u64 = reasons.iter().filter_map(|r| r[2].as_u64()).sum();
        if rows > 0 {
            let reasons: Vec<Value> =
                reasons.iter().map(|r| json!({"column": r[0], "reason": r[1], "count": r[2]})).collect();
            tables.push(json!({"table": name, "rows": rows, "reasons": reasons}));
        }
    }
    Ok(Json(tables.into()))
}

/// `GET /api/quarantine/{table}`: the latest 200 rows.
pub async fn rows(State(app): State<App>, Path(table): Path<String>) -> Result<Json<Value>, Refusal> {
    known(&app, &table).await?;
    let session = app.warehouse.session(&Principal::system());
    let answer = session.sql(&format!("select * from clean.\"{table}_rejected\" limit 200")).await?;
    let columns: Vec<String> = answer.schema.fields().iter().map(|f| f.name().clone()).collect();
    let (batches, _) = answer.collect(200).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch, app.warehouse.timezone()).map_err(Refusal::internal)?);
    }
    Ok(Json(json!({"columns": columns, "rows": rows})))
}

/// `POST /api/quarantine/{table}/release`: cleans the table's rows again with the rules now in force.
pub async fn release(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(table): Path<String>,
) -> Result<Json<Value>, Refusal> {
    known(&app, &table).await?;
    let report = app.warehouse.release(&table).await?;
    let cleaned = TableName { zone: Zone::Clean, name: table.clone() };
    app.follow(crate::flow::Happened::Cleaned(cleaned)).await.map_err(Refusal::internal)?;
    super::health::record(&app, &caller.who.user, "quarantine.release", &table).await?;
    Ok(Json(json!(report)))
}

async fn known(app: &App, table: &str) -> Result<(), Refusal> {
    if quarantines(app).await?.iter().any(|name| name == table) {
        return Ok(());
    }
    Err(Refusal::not_found(format!("clean.{table} has no quarantined rows")))
}

/// Names of clean tables that have a quarantine.
async fn quarantines(app: &App) -> Result<Vec<String>, Refusal> {
    let live = app.project();
    let present: BTreeMap<String, ()> = app
        .warehouse
        .tables()
        .await
        .into_iter()
        .filter(|t| t.name.zone == Zone::Clean)
        .filter_map(|t| t.name.name.strip_suffix("_rejected").map(|n| (n.to_owned(), ())))
        .collect();
    Ok(live.project.cleans.keys().filter(|n| present.contains_key(*n)).cloned().collect())
}

async fn ask(app: &App, sql: &str) -> Result<Vec<Vec<Value>>, Refusal> {
    let (batches, _) = app.warehouse.session(&Principal::system()).sql(sql).await?.collect(1_000).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch, app.warehouse.timezone()).map_err(Refusal::internal)?);
    }
    Ok(rows)
}
