//! `guanlan build`: models computed now, all that are stale or one in full.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::output::{Output, Tone, count};
use super::{Wrong, server, sync};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only this model (`mart.` may stand before it); without one, whatever is stale.
    model: Option<String>,
    /// Compute every row, also where an incremental model would go on from where it stands.
    #[arg(long, requires = "model")]
    full: bool,
}

pub async fn build(project: &Path, options: &Options, output: &Output) -> Result<ExitCode> {
    let (platform, _lease) = server::open_for_work(project, "guanlan build").await?;
    let live = platform.project();
    server::tell(&live);
    let mut failures = Vec::new();
    let mut done = Vec::new();
    let bar = sync::spinner(output, "building");
    match &options.model {
        None => {
            let refined = platform.refine().await?;
            (done, failures) = (refined.done, refined.failures);
        }
        Some(model) => {
            let model = model.strip_prefix("mart.").unwrap_or(model);
            if !live.project.models.contains_key(model) {
                let near = store::nearest(model, live.project.models.keys().map(String::as_str));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(Wrong(format!("no model {model} in models/{near}")).into());
            }
            let report = match options.full {
                true => platform.warehouse.build_full(model).await?,
                false => platform.warehouse.build(model).await?,
            };
            match report.published {
                true => done.push(format!(
                    "mart.{model}: {}, {} rows{}",
                    if report.full { "computed in full" } else { "brought up to date" },
                    count(report.rows),
                    if report.unchanged { ", as they were" } else { "" },
                )),
                false => {
                    failures.push(format!("mart.{model} keeps its last good version: {}", report.message()))
                }
            }
            // What reads it follows, as it would on a running server.
            let built = platform.build_stale().await?;
            done.extend(built.published.iter().map(|table| format!("{table}: published")));
            failures.extend(built.failed);
        }
    }
    bar.finish_and_clear();
    output.data(&json!({"built": done, "failures": failures}));
    if !output.json {
        for line in &done {
            output.write(line);
        }
        if done.is_empty() && failures.is_empty() {
            output.write(&output.paint(Tone::Good, "every model is up to date"));
        }
        for failure in &failures {
            eprintln!("{}: {failure}", output.paint(Tone::Bad, "error"));
        }
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}
