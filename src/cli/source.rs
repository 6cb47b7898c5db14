//! `guanlan source`: whether a source answers, and how its streams would be read, before anything lands.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ingest::{Preview, TestReport};

use super::output::{Output, Tone, count};
use super::{FAILED, Wrong, server};
use crate::project::Loaded;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reach a source and read the first rows of each stream; nothing lands.
    Test {
        /// The source.
        name: String,
    },
    /// Show how a stream would be read: encoding, delimiter, header row, columns, first rows, what would be set
    /// aside. Nothing lands.
    Preview {
        /// The source, or `SOURCE.STREAM`.
        name: String,
        /// The most rows to show.
        #[arg(long, default_value_t = 10)]
        rows: usize,
    },
}

pub async fn run(project: &Path, command: Command, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    let live = platform.project();
    match command {
        Command::Test { name } => {
            let spec = &live.project.sources[&source_of(&live, &name)?];
            let report = platform.ingest.test(spec).await?;
            output.data(&report);
            if !output.json {
                tested(&name, &report, output);
            }
            let failed = report.streams.iter().any(|s| s.error.is_some());
            Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
        }
        Command::Preview { name, rows } => {
            let wanted = match name.split_once('.') {
                Some(_) => vec![stream_of(&live, &name)?],
                None => {
                    let source = source_of(&live, &name)?;
                    let streams = live.project.sources[&source].streams.keys();
                    streams.map(|stream| (source.clone(), stream.clone())).collect()
                }
            };
            let (mut seen, mut failed) = (Vec::new(), false);
            for (source, stream) in wanted {
                match platform.ingest.preview(&source, &live.project.sources[&source], &stream, rows).await {
                    Ok(preview) => seen.push((source, preview)),
                    // Another stream of the source may well be readable.
                    Err(error) => {
                        failed = true;
                        output.error(&anyhow::anyhow!("{source}.{stream}: {error}"));
                    }
                }
            }
            output.data(&seen.iter().map(|(_, preview)| preview).collect::<Vec<_>>());
            if !output.json {
                seen.iter().for_each(|(source, preview)| previewed(source, preview, output));
            }
            Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
        }
    }
}

/// The source of this name.
fn source_of(live: &Loaded, name: &str) -> Result<String> {
    if live.project.sources.contains_key(name) {
        return Ok(name.to_owned());
    }
    let near = store::nearest(name, live.project.sources.keys().map(String::as_str));
    let near = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
    Err(Wrong(format!("no source {name} in sources/{near}")).into())
}

/// The source and the stream of `SOURCE.STREAM`.
pub fn stream_of(live: &Loaded, name: &str) -> Result<(String, String)> {
    let Some((source, stream)) = name.split_once('.') else {
        return Err(
            Wrong(format!("`{name}` names no stream; write SOURCE.STREAM, such as oa.approvals")).into()
        );
    };
    let source = source_of(live, source)?;
    let streams = &live.project.sources[&source].streams;
    if streams.contains_key(stream) {
        return Ok((source, stream.to_owned()));
    }
    let known: Vec<&str> = streams.keys().map(String::as_str).collect();
    let near = store::nearest(stream, known.iter().copied());
    let near = near.map(|n| format!("; did you mean {source}.{n}?")).unwrap_or_default();
    Err(Wrong(format!("source {source} has no stream {stream}{near} It has {}", known.join(", "))).into())
}

fn tested(name: &str, report: &TestReport, output: &Output) {
    output.say(&format!("{name} {}", output.paint(Tone::Good, "answers")));
    if !report.offers.is_empty() {
        const SHOWN: usize = 20;
        let offers: Vec<Vec<String>> =
            report.offers.iter().take(SHOWN).map(|o| vec![o.name.clone(), o.detail.clone()]).collect();
        output.table(&["offers", ""], &offers);
        if report.offers.len() > SHOWN {
            output.say(&output.paint(Tone::Quiet, &format!("and {} more", report.offers.len() - SHOWN)));
        }
    }
    for stream in &report.streams {
        match &stream.error {
            Some(error) => {
                output.say(&format!(
                    "{name}.{}: {} {error}",
                    stream.stream,
                    output.paint(Tone::Bad, "error:")
                ));
            }
            None => {
                let columns: Vec<String> =
                    stream.columns.iter().map(|c| format!("{} {}", c.name, c.kind)).collect();
                output.say(&format!("{name}.{}: {}", stream.stream, columns.join(", ")));
            }
        }
    }
}

fn previewed(source: &str, preview: &Preview, output: &Output) {
    let from = preview.file.as_ref().map(|file| format!(" from {file}")).unwrap_or_default();
    let title = format!("{source}.{} → {}{from}", preview.stream, preview.table);
    output.say(&output.paint(Tone::Strong, &title));
    for (what, value) in &preview.found {
        output.say(&format!("{what}: {value}"));
    }
    let head: Vec<String> = preview.columns.iter().map(|c| format!("{} ({})", c.name, c.kind)).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> =
        preview.rows.iter().map(|row| row.iter().map(|c| c.clone().unwrap_or_default()).collect()).collect();
    if !head.is_empty() {
        output.table(&head, &rows);
    }
    let read = if preview.complete { "rows" } else { "first rows" };
    output.say(&format!(
        "{} {read} read, {} would be kept, {} set aside",
        count(preview.read),
        count(preview.read - preview.rejected_rows),
        count(preview.rejected_rows)
    ));
    for aside in &preview.set_aside {
        let row = aside.row.map(|row| format!("row {row}: ")).unwrap_or_default();
        output.say(&format!("  {row}{}: {}", aside.reason, aside.text));
    }
    for changed in &preview.changed {
        output.say(&format!(
            "{}: column `{}`: {} cells {} (first: {})",
            output.paint(Tone::Warn, "warning"),
            changed.column,
            count(changed.count),
            changed.how,
            changed.first
        ));
    }
    for warning in &preview.warnings {
        output.say(&format!("{}: {warning}", output.paint(Tone::Warn, "warning")));
    }
    output.say("");
}
