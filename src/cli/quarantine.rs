//! `guanlan quarantine`: what did not fit, why, and cleaning it again after a fix.

use std::path::Path;
use std::process::ExitCode;

use access::Principal;
use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::json;

use super::output::{Output, count};
use super::{query, server};

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
        Command::Show { table, limit } => {
            let sql = format!("select * from clean.\"{}_rejected\" limit {limit}", table.replace('"', ""));
            query::sql(project, &sql, false, limit, output).await
        }
        Command::Release { table } => release(project, &table, output).await,
    }
}

async fn list(project: &Path, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    let live = platform.project();
    let present: Vec<String> = platform.warehouse.tables().await.iter().map(|t| t.name.to_string()).collect();
    let mut rows = Vec::new();
    for name in live.project.cleans.keys() {
        if !present.contains(&format!("clean.{name}_rejected")) {
            continue;
        }
        let sql = format!(
            "select \"column\", reason, count(*) as n from clean.\"{name}_rejected\" group by 1, 2 order by n desc limit 100"
        );
        let (batches, _) =
            platform.warehouse.session(&Principal::cli()).sql(&sql).await?.collect(100).await?;
        for batch in &batches {
            for row in crate::cells::rows(batch)? {
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                rows.push((name.clone(), text(&row[0]), text(&row[1]), row[2].as_u64().unwrap_or_default()));
            }
        }
    }
    let data: Vec<_> = rows
        .iter()
        .map(|(table, column, reason, n)| json!({"table": table, "column": column, "reason": reason, "rows": n}))
        .collect();
    output.data(&data);
    if !output.json {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(t, c, r, n)| vec![format!("clean.{t}"), c, r, count(n)]).collect();
        output.table(&["table", "column", "reason", "rows"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

async fn release(project: &Path, table: &str, output: &Output) -> Result<ExitCode> {
    let (platform, _lease) = server::open_for_work(project, "guanlan quarantine release").await?;
    let live = platform.project();
    if !live.project.cleans.contains_key(table) {
        let near = store::nearest(table, live.project.cleans.keys().map(String::as_str));
        bail!("no clean table {table}{}", near.map(|n| format!("; did you mean {n}?")).unwrap_or_default());
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
