//! `guanlan sql`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use access::Principal;
use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::json;

use super::output::{Output, Tone, count};
use crate::cells::{self, For};

/// Runs `sql` as the person at this machine, who owns the project's files anyway.
pub async fn sql(project: &Path, sql: &str, csv: bool, limit: usize, output: &Output) -> Result<ExitCode> {
    let sql = if sql == "-" {
        std::io::read_to_string(std::io::stdin()).context("standard input")?
    } else {
        sql.to_owned()
    };
    let platform = super::server::open_for_reading(project).await?;
    let zone = platform.warehouse.timezone();
    let mut answer = platform.warehouse.session(&Principal::cli()).sql(&sql).await?;
    if csv {
        let mut text = String::new();
        cells::csv_header(For::Program, answer.schema.fields().iter().map(|f| f.name().clone()), &mut text);
        let mut out = std::io::stdout().lock();
        loop {
            if out.write_all(text.as_bytes()).is_err() {
                return Ok(ExitCode::SUCCESS); // the reader has seen enough
            }
            text.clear();
            let Some(batch) = answer.stream.next().await else { return Ok(ExitCode::SUCCESS) };
            cells::csv_rows(For::Program, &batch?, zone, &mut text)?;
        }
    }
    let names: Vec<String> = answer.schema.fields().iter().map(|f| f.name().clone()).collect();
    let (tables, as_of) = (answer.tables.clone(), answer.as_of);
    let (batches, truncated) = answer.collect(limit).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells::rows(batch, zone)?);
    }
    output.data(&json!({"columns": names, "rows": rows, "truncated": truncated, "as_of": as_of}));
    if !output.json {
        let text: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect())
            .collect();
        output.table(&names.iter().map(String::as_str).collect::<Vec<_>>(), &text);
        let more =
            if truncated { " (not all; --limit shows more, --csv all)".to_owned() } else { String::new() };
        let from: Vec<String> = tables.iter().map(|(name, version)| format!("{name} v{version}")).collect();
        let from = if from.is_empty() { String::new() } else { format!(" from {}", from.join(", ")) };
        output.say(&output.paint(Tone::Quiet, &format!("{} rows{more}{from}", count(rows.len() as u64))));
    }
    Ok(ExitCode::SUCCESS)
}
