//! How sources stand, by the latest runs of their streams.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::Row;
use store::{Timestamp, from_micros};

use super::Ingest;
use crate::error::Error;
use crate::spec::SourceSpec;

/// One ended run of a stream, as far as its state needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRun {
    /// The stream.
    pub stream: String,
    /// When it started.
    pub at: Timestamp,
    /// As in `system.runs`.
    pub outcome: String,
    /// What went wrong; empty when nothing did.
    pub message: String,
}

/// How a source stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceState {
    /// The source.
    pub source: String,
    /// `never` read, `ok`, `set_aside` (done, but rows were set aside or cells changed), `failed` (a stream failed
    /// at its latest read).
    pub state: &'static str,
    /// Of the failing streams: since when each read fails.
    pub since: Option<Timestamp>,
    /// How many reads in a row failed, of the stream that fails longest.
    pub failures: u32,
    /// What is wrong, in one line a stream.
    pub reasons: Vec<String>,
}

impl SourceState {
    /// A source that no read of late brought anything from: `/health` should say so.
    pub fn is_failing(&self) -> bool {
        self.state == "failed"
    }
}

/// How a source stands by the runs of its streams, the newest first. Runs of streams that are no longer defined do
/// not count, nor do those under way.
pub fn source_state(source: &str, spec: &SourceSpec, runs: &[StreamRun]) -> SourceState {
    let mut of = SourceState {
        source: source.to_owned(),
        state: "never",
        since: None,
        failures: 0,
        reasons: Vec::new(),
    };
    for stream in spec.streams.keys() {
        let mut ended = runs.iter().filter(|r| r.stream == *stream && r.outcome != "running").peekable();
        let Some(latest) = ended.peek() else { continue };
        if of.state == "never" {
            of.state = "ok";
        }
        if latest.outcome == "set_aside" && of.state == "ok" {
            of.state = "set_aside";
        }
        let bad = |run: &&&StreamRun| matches!(run.outcome.as_str(), "failed" | "partial");
        let failed: Vec<&StreamRun> = ended.take_while(|run| bad(&run)).collect();
        if let (Some(newest), Some(oldest)) = (failed.first(), failed.last()) {
            of.state = "failed";
            of.failures = of.failures.max(u32::try_from(failed.len()).unwrap_or(u32::MAX));
            of.since = Some(of.since.map_or(oldest.at, |since| since.min(oldest.at)));
            of.reasons.push(format!("{source}.{stream}: {}", newest.message));
        }
    }
    of
}

/// Runs that are looked through.
const RUNS: i64 = 2_000;

impl Ingest {
    /// How the sources stand, from the metadata database alone.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn states<'s>(
        &self,
        sources: impl IntoIterator<Item = (&'s String, &'s SourceSpec)>,
    ) -> Result<Vec<SourceState>, Error> {
        let rows = sqlx::query(
            "SELECT source, stream, started_at, outcome, message FROM source_runs ORDER BY started_at DESC LIMIT $1",
        )
        .bind(RUNS)
        .fetch_all(self.db.pool())
        .await?;
        let mut runs: BTreeMap<String, Vec<StreamRun>> = BTreeMap::new();
        for row in rows {
            let run = StreamRun {
                stream: row.try_get("stream")?,
                at: from_micros(row.try_get("started_at")?),
                outcome: row.try_get("outcome")?,
                message: row.try_get::<Option<String>, _>("message")?.unwrap_or_default(),
            };
            runs.entry(row.try_get("source")?).or_default().push(run);
        }
        let none = Vec::new();
        let state =
            |(name, spec): (&String, &SourceSpec)| source_state(name, spec, runs.get(name).unwrap_or(&none));
        Ok(sources.into_iter().map(state).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stream: &str, minute: i64, outcome: &str) -> StreamRun {
        let message = if outcome == "failed" { "no route" } else { "" };
        StreamRun {
            stream: stream.into(),
            at: from_micros(minute * 60_000_000),
            outcome: outcome.into(),
            message: message.into(),
        }
    }

    #[test]
    fn a_source_fails_while_the_latest_read_of_a_stream_does() {
        let spec: SourceSpec = serde_json::from_value(serde_json::json!({"kind": {"sqlite": {"path": "a"}},
            "streams": {"a": {"table": "a"}, "b": {"table": "b"}}}))
        .unwrap();
        assert_eq!(source_state("s", &spec, &[]).state, "never");
        let runs = [run("a", 9, "running"), run("a", 8, "failed"), run("b", 8, "ok"), run("a", 7, "failed")];
        let mut runs = Vec::from(runs);
        runs.extend([run("a", 6, "ok"), run("a", 5, "failed"), run("gone", 4, "failed")]);
        let state = source_state("s", &spec, &runs);
        assert_eq!((state.state, state.failures), ("failed", 2));
        assert_eq!(state.since, Some(from_micros(7 * 60_000_000)));
        assert_eq!(state.reasons, ["s.a: no route"]);
        assert!(state.is_failing());
        let healed = [run("a", 10, "set_aside"), run("a", 8, "failed"), run("b", 8, "ok")];
        assert_eq!(source_state("s", &spec, &healed).state, "set_aside");
    }
}
