//! `guanlan sync`: sources into raw tables, then cleaning and models, with a line a stream.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use ingest::{Outcome, Progress, StreamReport};
use serde_json::json;

use super::output::{Output, Tone, count};
use super::{Wrong, server};
use crate::project::Finding;
use crate::refine::Refined;

/// Progress bars, one a stream: rows, rows a second, and how far behind the source the data is.
pub struct Bars {
    all: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    pub fn new(output: &Output) -> Self {
        let all = MultiProgress::new();
        if output.json || !output.terminal {
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { all, bars: Mutex::new(HashMap::new()) }
    }

    pub fn clear(&self) {
        let _ = self.all.clear();
    }
}

impl Progress for Bars {
    fn rows(&self, source: &str, stream: &str, rows: u64, lag: Option<Duration>) {
        let mut bars = self.bars.lock().expect("no thread panics while drawing");
        let bar = bars.entry(format!("{source}.{stream}")).or_insert_with_key(|name| {
            let style = ProgressStyle::with_template(
                "{spinner} {prefix:28} {human_pos:>12} rows  {speed:>16}  {msg}",
            );
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(style.with_key("speed", speed));
            bar.set_prefix(name.clone());
            bar
        });
        bar.set_position(rows);
        if let Some(lag) = lag {
            bar.set_message(format!("lag {}", age(lag)));
        }
    }
}

fn speed(state: &ProgressState, out: &mut dyn Write) {
    let seconds = state.elapsed().as_secs_f64();
    if seconds > 0.5 {
        // What cannot be drawn now is drawn at the next tick.
        let _ = write!(out, "{} rows/s", count((state.pos() as f64 / seconds) as u64));
    }
}

/// A line that says what is under way; it takes itself away.
pub fn spinner(output: &Output, what: &str) -> ProgressBar {
    if output.json || !output.terminal {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn age(d: Duration) -> String {
    match d.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// What `guanlan sync` was asked for.
#[derive(Debug, Default)]
pub struct Wanted {
    pub source: Option<String>,
    pub stream: Option<String>,
    /// `SOURCE.STREAM` to be forgotten and read again.
    pub reset: Option<String>,
    pub raw_only: bool,
}

pub async fn sync(project: &Path, wanted: Wanted, output: &Output) -> Result<ExitCode> {
    let (platform, _lease) = server::open_for_work(project, "guanlan sync").await?;
    let live = platform.project();
    server::tell(&live);
    let Wanted { mut source, mut stream, reset, raw_only } = wanted;
    if let Some(reset) = reset {
        let (name, of) = super::source::stream_of(&live, &reset)?;
        platform.ask_reset(&name, &of, "(command line)").await?;
        (source, stream) = (Some(name), Some(of));
    }
    let (source, stream) = (source.as_deref(), stream.as_deref());
    let names: Vec<String> = match source {
        Some(name) if live.project.sources.contains_key(name) => vec![name.to_owned()],
        Some(name) => {
            let known: Vec<&str> = live.project.sources.keys().map(String::as_str).collect();
            let near = store::nearest(name, known.iter().copied()).map(|n| format!("; did you mean {n}?"));
            let place = project.join("sources");
            return Err(Wrong(format!(
                "no source {name} in {}{}",
                place.display(),
                near.unwrap_or_default()
            ))
            .into());
        }
        None => live.project.sources.keys().cloned().collect(),
    };
    let bars = Bars::new(output);
    let mut streams: Vec<(String, StreamReport)> = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        // One broken source never stops the others: its error is kept for the end.
        match platform.sync(&name, stream, &bars).await {
            Ok(Some(report)) => streams.extend(report.streams.into_iter().map(|s| (name.clone(), s))),
            Ok(None) => {}
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    bars.clear();
    for (name, report) in &streams {
        failures.extend(report.error.as_ref().map(|e| format!("{name}.{}: {e}", report.stream)));
    }
    let mut refined = Refined::default();
    if !raw_only {
        let bar = spinner(output, "cleaning and building");
        refined = platform.refine().await?;
        bar.finish_and_clear();
        failures.append(&mut refined.failures);
    }
    let lost = streams.iter().any(|(_, report)| report.outcome() == Outcome::SetAside) || refined.set_aside;
    print(output, &streams, &refined, &failures, &live.findings);
    // What is right was done; a script must still learn that not everything was.
    Ok(match (failures.is_empty(), live.is_good(), lost) {
        (false, _, _) => ExitCode::from(super::FAILED),
        (true, false, _) => ExitCode::from(super::WRONG),
        (true, true, true) => ExitCode::from(super::SET_ASIDE),
        (true, true, false) => ExitCode::SUCCESS,
    })
}

fn print(
    output: &Output,
    streams: &[(String, StreamReport)],
    refined: &Refined,
    failures: &[String],
    findings: &[Finding],
) {
    let data: Vec<_> = streams
        .iter()
        .map(|(source, s)| {
            let mut data = json!(s);
            data["source"] = json!(source);
            data["state"] = json!(s.state());
            data["outcome"] = json!(s.outcome().as_str());
            data
        })
        .collect();
    let cleaned: Vec<_> = refined
        .cleaned
        .iter()
        .map(|(name, report)| {
            let mut data = json!(report);
            data["table"] = json!(format!("clean.{name}"));
            data
        })
        .collect();
    output.data(&json!({"streams": data, "cleaned": cleaned, "built": refined.done, "failures": failures,
        "findings": findings}));
    if output.json {
        return;
    }
    let rows: Vec<Vec<String>> = streams
        .iter()
        .map(|(source, s)| {
            let tone = match (&s.error, s.version) {
                (Some(_), _) => Tone::Bad,
                (None, _) if !s.is_whole() => Tone::Warn,
                (None, None) => Tone::Quiet,
                (None, Some(_)) => Tone::Good,
            };
            let state = output.paint(tone, &s.state());
            vec![
                format!("{source}.{}", s.stream),
                s.table.to_string(),
                count(s.read),
                count(s.rows),
                count(s.rejected_rows),
                count(s.refused),
                state,
            ]
        })
        .collect();
    output.table(&["stream", "table", "read", "kept", "set aside", "refused", "state"], &rows);
    for (source, stream) in streams {
        for warning in &stream.warnings {
            let place = format!("{source}.{}", stream.stream);
            output.say(&format!("{}: {place}: {warning}", output.paint(Tone::Warn, "warning")));
        }
    }
    for line in &refined.done {
        output.say(&output.paint(Tone::Quiet, line));
    }
    for failure in failures {
        eprintln!("{}: {failure}", output.paint(Tone::Bad, "error"));
    }
}
