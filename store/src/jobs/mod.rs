//! Work that survives a restart: jobs are data in the metadata database, run by a [`Runner`].
//!
//! A job of one kind and key never runs twice at the same time, and waits in the queue at most once. A
//! job may run again after a crash, so it must be safe to repeat.

mod queue;
mod runner;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::queue::Queue;
pub use self::runner::Runner;

/// One unit of work. Its fields are stored as JSON; its means come from the context.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stored with the job: never rename it.
    const KIND: &'static str;
    type Context: Send + Sync + 'static;
    /// Jobs of one kind with the same key never run at the same time and coalesce while queued.
    fn key(&self) -> String;
    fn run(&self, cx: &Self::Context) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// Why a job did not do its work, by what happens next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Tried again after the runner's growing pause, until the attempts of its kind are used up, or `most` of them.
    #[error("{message}")]
    Retry { most: u32, message: String },
    /// Not tried again.
    #[error("{message}")]
    Fail { message: String },
}

/// How one run of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Retry,
    Failed,
}

impl Outcome {
    /// As the `outcome` column of `job_runs` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Retry => "retry",
            Outcome::Failed => "failed",
        }
    }
}

/// Told to [`Queue::finished`] subscribers after every run.
#[derive(Debug, Clone, Serialize)]
pub struct Finished {
    pub kind: String,
    pub key: String,
    pub outcome: Outcome,
    pub message: Option<String>,
}
