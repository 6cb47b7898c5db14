//! Pull, land, resume: what a source says becomes raw tables, exactly once.
//!
//! The table's log is the truth about where a stream stands (`Warehouse::mark`): rows and cursor commit
//! together. A broken stream or file is reported and never stops the others.

mod cursors;
mod flow;
mod intake;
mod landing;
mod runs;
mod widen;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::outbound::Outbound;
use futures::StreamExt;
use serde::Serialize;
use store::{Metadata, SharedClock};
use warehouse::{SystemTable, TableName, Warehouse};

use crate::error::{Error, SourceError};
use crate::source::{Source, Stream};
use crate::sources::spool::Spool;
use crate::sources::{self, Parts};
use crate::spec::SourceSpec;
use intake::Intake;

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

/// What a sync of one source did.
#[derive(Debug, Clone, Serialize)]
pub struct SyncReport {
    /// In the order of the definition.
    pub streams: Vec<StreamReport>,
}

impl SyncReport {
    /// Every stream went through.
    pub fn ok(&self) -> bool {
        self.streams.iter().all(|s| s.error.is_none())
    }
}

/// What a sync of one stream did.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// Name in the definition.
    pub stream: String,
    /// Where it lands.
    #[serde(serialize_with = "shown")]
    pub table: TableName,
    /// Rows landed.
    pub rows: u64,
    /// Rows that could not be parsed and landed in `<table>_rejected`.
    pub rejected_rows: u64,
    /// Files landed.
    pub files: u64,
    /// The table's version afterwards; `None` when nothing was committed.
    pub version: Option<i64>,
    /// What went on but should be known.
    pub warnings: Vec<String>,
    /// Why the stream, or some of its files, did not land.
    #[serde(serialize_with = "worded")]
    pub error: Option<SourceError>,
}

fn shown<S: serde::Serializer>(table: &TableName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(table)
}

fn worded<S: serde::Serializer>(error: &Option<SourceError>, to: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ToString::to_string).serialize(to)
}

/// What a source offers, and whether each stream can be read.
#[derive(Debug)]
pub struct TestReport {
    /// Tables or files there.
    pub offers: Vec<Stream>,
    /// Per stream of the definition, its columns as (name, type), or why it cannot be read.
    pub streams: Vec<(String, Result<Columns, SourceError>)>,
}

/// Columns as (name, type).
pub type Columns = Vec<(String, String)>;

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
        db.migrate("ingest", &[runs::STEP, cursors::STEP]).await?;
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
        if let Some(stream) = stream.filter(|s| !spec.streams.contains_key(*s)) {
            let known = spec.streams.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::NoStream { source_name: source.into(), stream: stream.into(), known });
        }
        let opened = sources::open(spec, &self.parts).await;
        let mut streams = Vec::new();
        for (name, of) in spec.streams.iter().filter(|(n, _)| stream.is_none_or(|s| s == n.as_str())) {
            let run = runs::start(&self.db, &*self.parts.clock, source, name).await?;
            let report = match &opened {
                Err(e) => Intake::failed(source, name, e.clone()),
                Ok(from) => Intake::new(self, source, name, of, from.as_ref()).run(progress).await,
            };
            let report = say_set_aside(report);
            runs::finish(&self.db, &*self.parts.clock, &run, &report).await?;
            tell(source, &report);
            streams.push(report);
        }
        Ok(SyncReport { streams })
    }

    /// Reaches a source and reads the first rows of each stream, landing nothing.
    ///
    /// # Errors
    /// The source cannot be reached.
    pub async fn test(&self, spec: &SourceSpec) -> Result<TestReport, SourceError> {
        let source = sources::open(spec, &self.parts).await?;
        let offers = source.streams().await?;
        let mut streams = Vec::new();
        for (name, of) in &spec.streams {
            streams.push((name.clone(), first_columns(source.as_ref(), of).await));
        }
        Ok(TestReport { offers, streams })
    }
}

async fn first_columns(source: &dyn Source, of: &crate::spec::StreamSpec) -> Result<Columns, SourceError> {
    match source.read(of, None).await?.next().await {
        None => Ok(Vec::new()),
        Some(Err(e)) => Err(e),
        Some(Ok(pull)) => Ok(pull
            .rows
            .schema_ref()
            .fields()
            .iter()
            .map(|f| (f.name().clone(), f.data_type().to_string()))
            .collect()),
    }
}

/// Rows that did not land are said wherever warnings are read, not only counted.
fn say_set_aside(mut report: StreamReport) -> StreamReport {
    if report.rejected_rows > 0 {
        let aside = match report.rejected_rows {
            1 => "1 row does not fit and was set aside with its reason".to_owned(),
            n => format!("{n} rows do not fit and were set aside with their reasons"),
        };
        report.warnings.push(format!("{aside} in {}_rejected", report.table));
    }
    report
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
