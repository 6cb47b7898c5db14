//! The list of all jobs. Each is data (what, not how) so that it survives a restart in the queue;
//! its work is a method of the platform's parts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{Job, JobError};

use crate::flow::Happened;
use crate::platform::Platform;

/// Reads one source into its raw tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sync {
    pub source: String,
}

/// Cleans one raw table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Clean {
    pub table: String,
}

/// Builds every stale model in dependency order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Build {}

/// Evaluates the rules that share a schedule, so that rules over the same metric share its query.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evaluate {
    pub schedule: String,
}

/// Sends what the outbox holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deliver {}

/// Compacts, checkpoints and expires table files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upkeep {}

/// A job that follows from something that happened; see `flow`.
#[derive(Debug, Clone)]
pub enum Next {
    Clean(Clean),
    Build(Build),
}

impl Next {
    /// A short text for logs and tests.
    pub fn label(&self) -> String {
        match self {
            Next::Clean(job) => format!("clean {}", job.table),
            Next::Build(_) => "build".into(),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> JobError {
    JobError::Fail { message: error.to_string() }
}

/// Attempts of work that took too much time or memory: it had too little of the machine, or is too large for it.
const DEAR: u32 = 3;

/// How often the same work may be tried, where it may succeed a moment later.
pub fn attempts(error: &warehouse::Error) -> Option<u32> {
    use warehouse::Error as E;
    match error {
        E::Store { .. } | E::Conflict { .. } | E::Metadata(_) => Some(u32::MAX),
        E::Exhausted { .. } | E::Timeout { .. } => Some(DEAR),
        _ => None,
    }
}

/// What becomes of a job that did not do its work.
fn ended(message: String, attempts: Option<u32>) -> JobError {
    match attempts {
        Some(most) => JobError::Retry { most, message },
        None => JobError::Fail { message },
    }
}

impl Job for Sync {
    const KIND: &'static str = "sync";
    type Context = Platform;

    fn key(&self) -> String {
        self.source.clone()
    }

    async fn run(&self, cx: &Platform) -> Result<(), JobError> {
        // The next run is queued before this one works, so a kill never ends a schedule.
        cx.schedule_source(&self.source).await.map_err(failed)?;
        let Some(report) = cx.sync(&self.source, None, &ingest::Quiet).await.map_err(failed)? else {
            return Ok(()); // the source was removed from the project
        };
        let errors: Vec<String> = report
            .streams
            .iter()
            .filter_map(|s| s.error.as_ref().map(|e| format!("{}: {e}", s.stream)))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(failed(errors.join("; "))) }
    }
}

impl Job for Clean {
    const KIND: &'static str = "clean";
    type Context = Platform;

    fn key(&self) -> String {
        self.table.clone()
    }

    async fn run(&self, cx: &Platform) -> Result<(), JobError> {
        if !cx.project().project.cleans.contains_key(&self.table) {
            return Ok(());
        }
        let cleaned = cx.warehouse.clean(&self.table).await;
        let report = cleaned.map_err(|e| ended(e.to_string(), attempts(&e)))?;
        if !report.already {
            let table = format!("clean.{}", self.table).parse().map_err(failed)?;
            cx.follow(Happened::Cleaned(table)).await.map_err(failed)?;
        }
        Ok(())
    }
}

impl Job for Build {
    const KIND: &'static str = "build";
    type Context = Platform;

    fn key(&self) -> String {
        "models".into()
    }

    async fn run(&self, cx: &Platform) -> Result<(), JobError> {
        let outcome = cx.build_stale().await.map_err(failed)?;
        match outcome.failed.is_empty() {
            true => Ok(()),
            false => Err(ended(outcome.failed.join("; "), outcome.attempts)),
        }
    }
}

impl Job for Evaluate {
    const KIND: &'static str = "evaluate";
    type Context = Platform;

    fn key(&self) -> String {
        self.schedule.clone()
    }

    async fn run(&self, cx: &Platform) -> Result<(), JobError> {
        if !cx.schedule_rules(&self.schedule).await.map_err(failed)? {
            return Ok(()); // no rule has this schedule any more
        }
        cx.evaluate(Some(&self.schedule)).await.map_err(failed)?;
        Ok(())
    }
}

impl Job for Deliver {
    const KIND: &'static str = "deliver";
    type Context = Platform;

    fn key(&self) -> String {
        "outbox".into()
    }

    async fn run(&self, cx: &Platform) -> Result<(), JobError> {
        cx.deliver().await.map_err(failed)
    }
}

impl Job for Upkeep {
    const KIND: &'static str = "upkeep";
    type Context = Platform;

    fn key(&self) -> String {
        "tables".into()
    }

    async fn run(&self, cx: &Platform) -> Result<(), JobError> {
        let next = cx.clock.now() + Duration::from_secs(30 * 60);
        cx.queue.push(&Upkeep {}, next).await.map_err(failed)?;
        cx.upkeep().await.map_err(failed)
    }
}
