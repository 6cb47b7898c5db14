//! `guanlan quarantine`: what did not fit, while landing (`raw.…`) or while cleaning (`clean.…`), why, and what can
//! be done about it.

use std::path::Path;
use std::process::ExitCode;

use access::Principal;
use anyhow::Result;
use clap::Subcommand;
use ingest::Quiet;
use serde_json::json;

use super::output::{Output, count};
use super::{FAILED, SET_ASIDE, Wrong, query, server};
use crate::platform::Platform;
use crate::quarantine::{Quarantine, Retried, Unknown};
use crate::refine::accounted;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Quarantined rows counted by table, column and reason, with the first place.
    List,
    /// The quarantined rows of one table: `clean.orders` (or `orders`), `raw.shop_orders`.
    Show {
        table: String,
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Judge the rows again by the definition now in force: read their files (or their stream) again, or clean them
    /// again. Those that fit leave the quarantine.
    Retry { table: String },
    /// Clean the rows of a clean table again; those that fit leave the quarantine.
    Release { table: String },
    /// Remove the rows for good; what they were stays in the audit as a number only.
    Discard { table: String },
}

pub async fn run(project: &Path, command: Command, output: &Output) -> Result<ExitCode> {
    match command {
        Command::List => list(project, output).await,
        Command::Show { table, limit } => show(project, &table, limit, output).await,
        Command::Retry { table } | Command::Release { table } => retry(project, &table, output).await,
        Command::Discard { table } => discard(project, &table, output).await,
    }
}

async fn find(platform: &Platform, table: &str) -> Result<Quarantine> {
    platform.quarantine(table).await.map_err(|error| match error.downcast::<Unknown>() {
        Ok(unknown) => Wrong(unknown.0).into(),
        Err(error) => error,
    })
}

async fn show(project: &Path, table: &str, limit: usize, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    let quarantine = find(&platform, table).await?;
    let rejected = quarantine.rejected();
    if platform.warehouse.snapshot(&rejected).await?.is_none() {
        output.data(&json!({"columns": [], "rows": []}));
        output.say(&format!("no rows of {} are in quarantine", quarantine.table));
        return Ok(ExitCode::SUCCESS);
    }
    let sql = format!("select * from {}.\"{}\" limit {limit}", rejected.zone, rejected.name);
    query::sql(project, &sql, false, limit, output).await
}

async fn list(project: &Path, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    let found = platform.quarantines().await?;
    let flat = found.iter().flat_map(|q| q.reasons.iter().map(move |r| (&q.table, r)));
    let data: Vec<_> = flat
        .clone()
        .map(|(table, r)| {
            json!({"table": table, "column": r.column.clone().unwrap_or_default(), "reason": r.reason,
                "rows": r.count, "first": r.first})
        })
        .collect();
    output.data(&data);
    if !output.json {
        let rows: Vec<Vec<String>> = flat
            .map(|(table, r)| {
                vec![
                    table.clone(),
                    r.column.clone().unwrap_or_default(),
                    r.reason.clone().unwrap_or_default(),
                    count(r.count),
                    r.first.clone().unwrap_or_default(),
                ]
            })
            .collect();
        output.table(&["table", "column", "reason", "rows", "first"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

async fn retry(project: &Path, table: &str, output: &Output) -> Result<ExitCode> {
    let (platform, _lease) = server::open_for_work(project, "guanlan quarantine retry").await?;
    let quarantine = find(&platform, table).await?;
    match platform.retry_quarantine(&quarantine, &Principal::cli().user).await? {
        Retried::Cleaned(report) => {
            let built = platform.build_stale().await?;
            let mut data = json!(report);
            data["table"] = json!(quarantine.table.name);
            output.data(&data);
            output.say(&format!(
                "{}: {} read, {} kept, {} still quarantined",
                quarantine.table,
                count(report.read),
                count(report.kept),
                count(report.standing)
            ));
            done(&built.failed, false, output)
        }
        Retried::Asked { source, stream, files } => {
            let what = match files.len() {
                0 => format!("all of {source}.{stream} is read again"),
                1 => format!("{} is read again", files[0]),
                n => format!("{n} files of {source}.{stream} are read again"),
            };
            output.say(&what);
            let Some(report) = platform.sync(&source, Some(&stream), &Quiet).await? else {
                return Err(Wrong(format!("no source {source}")).into());
            };
            let refined = platform.refine().await?;
            let mut failures: Vec<String> =
                report.streams.iter().filter_map(|s| s.error.as_ref().map(ToString::to_string)).collect();
            failures.extend(refined.failures);
            output.data(&json!({"table": quarantine.table.to_string(), "files": files,
                "streams": report.streams, "built": refined.done, "failures": failures}));
            for report in &report.streams {
                output.say(&format!(
                    "{}: {}: {} read, {} kept, {} set aside",
                    report.table,
                    report.state(),
                    count(report.read),
                    count(report.rows),
                    count(report.rejected_rows)
                ));
            }
            for (name, report) in &refined.cleaned {
                output.say(&format!("clean.{name}: {}", accounted(report)));
            }
            done(&failures, report.streams.iter().any(|s| s.rejected_rows > 0), output)
        }
    }
}

fn done(failures: &[String], aside: bool, output: &Output) -> Result<ExitCode> {
    for failure in failures {
        output.error(&anyhow::anyhow!("{failure}"));
    }
    Ok(match (failures.is_empty(), aside) {
        (false, _) => ExitCode::from(FAILED),
        (true, true) => ExitCode::from(SET_ASIDE),
        (true, false) => ExitCode::SUCCESS,
    })
}

async fn discard(project: &Path, table: &str, output: &Output) -> Result<ExitCode> {
    let (platform, _lease) = server::open_for_work(project, "guanlan quarantine discard").await?;
    let quarantine = find(&platform, table).await?;
    let rows = platform.discard_quarantine(&quarantine, &Principal::cli().user).await?;
    output.data(&json!({"table": quarantine.table.to_string(), "discarded": rows}));
    let said =
        if rows == 1 { "1 row was discarded" } else { &format!("{} rows were discarded", count(rows)) };
    output.say(&format!("{}: {said}", quarantine.table));
    Ok(ExitCode::SUCCESS)
}
