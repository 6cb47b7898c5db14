//! What survives a restart: objects, the metadata database, the job queue, the outbox and the lease;
//! and the only clock and randomness of the house. No domain word lives here.
//!
//! Never here: tables, principals, HTTP routes. Reading order follows the modules below.
//!
//! Everything that waits, waits on a [`Clock`], so that tests and the demo decide how time passes.

mod clock;
mod error;
mod limits;
mod problem;
mod secret;

mod lease;
mod metadata;
mod objects;

mod jobs;
mod outbox;
mod schedule;

mod tables;

pub use clock::{Clock, ManualClock, ScaledClock, SharedClock, SystemClock, Timestamp, new_id};
pub use error::{Error, Result};
pub use jobs::{Finished, Job, JobError, Outcome, Queue, Runner};
pub use lease::FolderLease;
pub use limits::{Limits, limits};
pub use metadata::{Metadata, Transaction, from_micros, micros};
pub use objects::{Gate, Objects, S3Spec, StoreSpec};
pub use outbox::{Claimed, Effect, Outbox};
pub use problem::{Problem, Step, nearest};
pub use schedule::{CronSpec, Schedule, Span, parse_duration};
pub use secret::{SECRET_HERE, Secret};
pub use tables::{Column, SystemQuery, system_queries};
