//! Pull, land, resume: what a source says becomes raw tables, exactly once.
//!
//! The table's log is the truth about where a stream stands (`Warehouse::mark`): rows and cursor commit
//! together. A broken stream or file is reported and never stops the others.

mod again;
mod asked;
mod corrected;
mod cursors;
mod flow;
mod identity;
mod intake;
mod landing;
mod preview;
mod report;
mod runs;
mod states;
mod widen;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::outbound::Outbound;
use store::{Metadata, SharedClock};
use warehouse::{SystemTable, Warehouse};

use crate::error::Error;
use crate::sources::spool::Spool;
use crate::sources::{self, Parts};
use crate::spec::{SourceSpec, StreamSpec};
use intake::Intake;
pub use preview::{Aside, Preview, TestReport, Tested};
use report::say_losses;
pub use report::{Outcome, SetAside, StreamReport, SyncReport};
pub use states::{SourceState, StreamRun, source_state};

/// Lands sources in a warehouse.
#[derive(Clone)]
pub struct Ingest {
    warehouse: Warehouse,
    db: Metadata,
    parts: Parts,
}

/// Hears how a sync goes. Calls must return at once.
pub trait Progress: Send + Sync {
    /// Rows of this stream read so far in this sync, and how far behind now its cursor is, when that is a time.
    fn rows(&self, source: &str, stream: &str, rows: u64, lag: Option<Duration>);

    /// A file has landed with this many rows.
    fn file(&self, _source: &str, _stream: &str, _file: &str, _rows: u64) {}
}

/// Nobody listens.
pub struct Quiet;

impl Progress for Quiet {
    fn rows(&self, _: &str, _: &str, _: u64, _: Option<Duration>) {}
}

impl Ingest {
    /// Prepares the metadata tables.
    ///
    /// # Errors
    /// The metadata database cannot be written.
    pub async fn new(
        warehouse: Warehouse,
        outbound: Arc<Outbound>,
        db: Metadata,
        clock: SharedClock,
        base: &Path,
    ) -> Result<Self, Error> {
        db.migrate("ingest", &[runs::STEP, cursors::STEP, runs::LEDGER, asked::STEP]).await?;
        let zone = warehouse.timezone();
        Ok(Ingest { warehouse, db, parts: Parts { outbound, clock, base: base.into(), zone } })
    }

    /// Closes runs that a killed process left open and removes its temporary files. Only for the process
    /// that owns the folder: a look beside a running server must not take its work away.
    ///
    /// # Errors
    /// The metadata database cannot be written.
    pub async fn recover(&self) -> Result<(), Error> {
        runs::close_interrupted(&self.db, &*self.parts.clock).await?;
        Spool::sweep(&self.parts.base);
        Ok(())
    }

    /// The tables that this room adds to the zone `system`.
    pub fn system_tables() -> Vec<SystemTable> {
        vec![runs::table()]
    }

    /// Reads a source, or one of its streams, and lands what is new.
    ///
    /// # Errors
    /// Only what concerns all streams: no such stream, or a broken metadata database. A stream that
    /// cannot be read has its error in the report.
    pub async fn sync(
        &self,
        source: &str,
        spec: &SourceSpec,
        stream: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<SyncReport, Error> {
        if let Some(stream) = stream {
            known(source, spec, stream)?;
        }
        let opened = sources::open(spec, &self.parts).await;
        let mut streams = Vec::new();
        for (name, of) in spec.streams.iter().filter(|(n, _)| stream.is_none_or(|s| s == n.as_str())) {
            let run = runs::start(&self.db, &*self.parts.clock, source, name).await?;
            let report = match &opened {
                Err(e) => Intake::failed(source, name, e.clone()),
                Ok(from) => Intake::new(self, source, name, spec, of, from.as_ref()).run(progress).await,
            };
            let report = say_losses(report);
            runs::finish(&self.db, &*self.parts.clock, &run, &report).await?;
            tell(source, &report);
            streams.push(report);
        }
        Ok(SyncReport { streams })
    }
}

/// The stream of this name.
fn known<'s>(source: &str, spec: &'s SourceSpec, stream: &str) -> Result<&'s StreamSpec, Error> {
    spec.streams.get(stream).ok_or_else(|| Error::NoStream {
        source_name: source.into(),
        stream: stream.into(),
        known: spec.streams.keys().cloned().collect::<Vec<_>>().join(", "),
    })
}

fn tell(source: &str, report: &StreamReport) {
    match &report.error {
        Some(e) => {
            tracing::warn!(source.name = source, source.stream = report.stream, rows = report.rows, error.message = %e, "a stream did not land completely")
        }
        None if report.version.is_none() => {
            tracing::debug!(source.name = source, source.stream = report.stream, "nothing new in a stream")
        }
        None => tracing::info!(
            source.name = source,
            source.stream = report.stream,
            rows = report.rows,
            rejected = report.rejected_rows,
            files = report.files,
            "a stream has landed"
        ),
    }
}
