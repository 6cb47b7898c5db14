//! `guanlan quarantine`: what did not fit, why, and cleaning it again after a fix.

use std::path::Path;
use std::process::ExitCode;

use access::Principal;
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use warehouse::TableName;

use super::output::{Output, count};
use super::{Wrong, query, server};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Quarantined rows counted by table, column and reason.
    List,
    /// The quarantined rows of one clean table.
    Show {
        table: String,
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Clean the rows again with the rules now in force; those that fit leave the quarantine.
    Release { table: String },
}

pub async fn run(project: &Path, command: Command, output: &Output) -> Result<ExitCode> {
    match command {
        Command::List => list(project, output).await,
        Command::Show { table, limit } => show(project, &table, limit, output).await,
        Command::Release { table } => {
            release(project, table.strip_prefix("clean.").unwrap_or(&table), output).await
        }
    }
}

/// A table by its name alone is a clean one; `raw.…` names rows that were set aside while landing.
fn rejects(table: &str) -> Result<TableName> {
    let table = table.trim_end_matches("_rejected");
    let full = if table.contains('.') { table.to_owned() } else { format!("clean.{table}") };
    format!("{full}_rejected").parse().map_err(|e: String| Wrong(e).into())
}

async fn show(project: &Path, table: &str, limit: usize, output: &Output) -> Result<ExitCode> {
    let rejected = rejects(table)?;
    let platform = server::open_for_reading(project).await?;
    if platform.warehouse.snapshot(&rejected).await?.is_none() {
        output.data(&json!({"columns": [], "rows": []}));
        output.say(&format!("no rows of {table} are in quarantine"));
        return Ok(ExitCode::SUCCESS);
    }
    let sql = format!("select * from {}.\"{}\" limit {limit}", rejected.zone, rejected.name);
    query::sql(project, &sql, false, limit, output).await
}

async fn list(project: &Path, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    let mut rows = Vec::new();
    for table in platform.warehouse.tables().await {
        let Some(name) = table.name.name.strip_suffix("_rejected") else { continue };
        // Rows set aside while landing name no column: their whole line did not fit.
        let column = if table.schema.field_with_name("column").is_ok() { "\"column\"" } else { "''" };
        let sql = format!(
            "select {column}, reason, count(*) as n from {}.\"{}\" group by 1, 2 order by n desc limit 100",
            table.name.zone, table.name.name
        );
        let (batches, _) =
            platform.warehouse.session(&Principal::cli()).sql(&sql).await?.collect(100).await?;
        for batch in &batches {
            for row in crate::cells::rows(batch, platform.warehouse.timezone())? {
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                let n = row[2].as_u64().unwrap_or_default();
                rows.push((format!("{}.{name}", table.name.zone), text(&row[0]), text(&row[1]), n));
            }
        }
    }
    let data: Vec<_> = rows
        .iter()
        .map(|(table, column, reason, n)| json!({"table": table, "column": column, "reason": reason, "rows": n}))
        .collect();
    output.data(&data);
    if !output.json {
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(t, c, r, n)| vec![t, c, r, count(n)]).collect();
        output.table(&["table", "column", "reason", "rows"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

async fn release(project: &Path, table: &str, output: &Output) -> Result<ExitCode> {
    let (platform, _lease) = server::open_for_work(project, "guanlan quarantine release").await?;
    let live = platform.project();
    if !live.project.cleans.contains_key(table) {
        let near = store::nearest(table, live.project.cleans.keys().map(String::as_str));
        let near = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return Err(Wrong(format!("no clean table {table}{near}")).into());
    }
    let report = platform.warehouse.release(table).await?;
    platform.build_stale().await?;
    output.data(
        &json!({"table": table, "read": report.read, "kept": report.kept, "rejected": report.rejected}),
    );
    output.say(&format!(
        "clean.{table}: {} read, {} kept, {} still quarantined",
        count(report.read),
        count(report.kept),
        count(report.rejected)
    ));
    Ok(ExitCode::SUCCESS)
}
