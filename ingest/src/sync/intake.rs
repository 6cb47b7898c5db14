//! One stream of one source into its table, group by group.
//!
//! Small groups (files, pages) are gathered until about 200 000 rows or 96 MiB and committed together; a
//! group larger than that is written while it streams. Rejected rows are committed before the rows of their
//! group: a crash in between reads the group again and replaces them.

use std::time::Duration;

use arrow::array::Array;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::StreamExt;
use futures::stream::BoxStream;
use store::{Metadata, SharedClock};
use warehouse::{TableName, Warehouse};

use super::landing::Group;
use super::{Ingest, Progress, StreamReport, cursors};
use crate::error::SourceError;
use crate::source::{Cursor, Pull, Source};
use crate::spec::{ModeSpec, SourceSpec, StreamSpec};

/// Columns that one warning lists.
const SHOWN_COLUMNS: usize = 8;
const COMMIT_ROWS: usize = 200_000;
const COMMIT_BYTES: usize = 96 << 20;
const COMMIT_FILES: usize = 256;
/// Messages of failed files in one report.
const MESSAGES: usize = 5;

pub(super) type Pulls = BoxStream<'static, Result<Pull, SourceError>>;

pub(super) struct Intake<'i> {
    pub(super) warehouse: &'i Warehouse,
    pub(super) db: &'i Metadata,
    pub(super) clock: &'i SharedClock,
    pub(super) source_name: &'i str,
    pub(super) spec: &'i StreamSpec,
    pub(super) source: &'i dyn Source,
    pub(super) table: TableName,
    pub(super) rejected_table: TableName,
    /// Id of the stream in the log.
    pub(super) stream: String,
    pub(super) seq: i64,
    pub(super) rejected_seq: i64,
    pub(super) cursor: Option<Cursor>,
    /// The definition reads in another way than the rows that are there: the first rows replace them.
    pub(super) afresh: bool,
    /// Columns of the table that the first rows did not have.
    pub(super) compared: bool,
    pub(super) failures: Vec<SourceError>,
    pub(super) report: StreamReport,
}

impl<'i> Intake<'i> {
    pub(super) fn new(
        ingest: &'i Ingest,
        source_name: &'i str,
        name: &str,
        spec: &'i StreamSpec,
        source: &'i dyn Source,
    ) -> Self {
        Intake {
            warehouse: &ingest.warehouse,
            db: &ingest.db,
            clock: &ingest.parts.clock,
            source_name,
            spec,
            source,
            table: SourceSpec::table(source_name, name),
            rejected_table: SourceSpec::rejected_table(source_name, name),
            stream: format!("{source_name}/{name}"),
            seq: 0,
            rejected_seq: 0,
            cursor: None,
            afresh: false,
            compared: false,
            failures: Vec::new(),
            report: Self::report(source_name, name),
        }
    }

    fn report(source: &str, name: &str) -> StreamReport {
        let table = SourceSpec::table(source, name);
        StreamReport {
            stream: name.into(),
            table,
            rows: 0,
            rejected_rows: 0,
            files: 0,
            version: None,
            warnings: Vec::new(),
            error: None,
        }
    }

    /// The report of a stream that could not start.
    pub(super) fn failed(source: &str, name: &str, error: SourceError) -> StreamReport {
        StreamReport { error: Some(error), ..Self::report(source, name) }
    }

    /// Reads and lands everything that is new.
    pub(super) async fn run(mut self, progress: &dyn Progress) -> StreamReport {
        if let Err(e) = self.read(progress).await {
            self.failures.push(e);
        }
        self.report.error = combined(std::mem::take(&mut self.failures));
        self.report
    }

    async fn read(&mut self, progress: &dyn Progress) -> Result<(), SourceError> {
        self.resume().await?;
        let mut pulls = self.source.read(self.spec, self.cursor.clone()).await?;
        let mut ready = Vec::<Group>::new();
        let (mut ready_rows, mut ready_bytes) = (0, 0);
        let mut open = Vec::<Pull>::new();
        let (mut open_rows, mut open_bytes) = (0, 0);
        let mut seen = 0u64;
        loop {
            let Some(item) = pulls.next().await else { break };
            let mut pull = match item {
                Ok(pull) => pull,
                Err(e) => {
                    // The open group is void; complete ones stand.
                    open.clear();
                    (open_rows, open_bytes) = (0, 0);
                    self.failures.push(e);
                    continue;
                }
            };
            self.compare(&pull).await;
            self.warn(std::mem::take(&mut pull.warnings));
            if pull.commit {
                pull.rows = tight(pull.rows)?;
            }
            seen += pull.rows.num_rows() as u64;
            open_rows += pull.rows.num_rows();
            open_bytes += pull.rows.get_array_memory_size();
            open_bytes += pull.rejected.as_ref().map_or(0, RecordBatch::get_array_memory_size);
            progress.rows(self.source_name, &self.report.stream, seen, self.lag(&pull.cursor));
            let commit = pull.commit;
            open.push(pull);
            if commit {
                (ready_rows, ready_bytes) = (ready_rows + open_rows, ready_bytes + open_bytes);
                (open_rows, open_bytes) = (0, 0);
                ready.push(Group::of(std::mem::take(&mut open)));
                if ready_rows >= COMMIT_ROWS || ready_bytes >= COMMIT_BYTES || ready.len() >= COMMIT_FILES {
                    self.land(std::mem::take(&mut ready), progress).await?;
                    (ready_rows, ready_bytes) = (0, 0);
                }
            } else if open_rows >= COMMIT_ROWS || open_bytes >= COMMIT_BYTES {
                self.land(std::mem::take(&mut ready), progress).await?;
                (ready_rows, ready_bytes) = (0, 0);
                seen += self.land_streaming(std::mem::take(&mut open), &mut pulls, seen, progress).await?;
                (open_rows, open_bytes) = (0, 0);
            }
        }
        let left = !open.is_empty();
        self.land(ready, progress).await?;
        self.say_what_is_gone().await;
        match left {
            true => Err(SourceError::later(
                "reading ended in the middle; the next sync goes on from the last commit",
            )),
            false => Ok(()),
        }
    }

    /// Reads back where the stream stands.
    async fn resume(&mut self) -> Result<(), SourceError> {
        let mark = self.warehouse.mark(&self.table, &self.stream).await.map_err(|e| of_warehouse(&e))?;
        if let Some(mark) = mark {
            self.seq = mark.seq;
            self.cursor =
                Some(cursors::unpack(self.db, &self.stream, mark.cursor).await.map_err(|e| of_metadata(&e))?);
        }
        self.fit();
        let rejected =
            self.warehouse.mark(&self.rejected_table, &self.stream).await.map_err(|e| of_warehouse(&e))?;
        self.rejected_seq = rejected.map_or(0, |m| m.seq);
        Ok(())
    }

    /// Sets aside a cursor that another mode or another cursor column left: read on from it, rows would
    /// come twice or never.
    fn fit(&mut self) {
        let Some(cursor) = &self.cursor else { return };
        let fits = cursors::fits(self.spec, cursor);
        if self.spec.glob.is_some() || fits {
            return;
        }
        self.cursor = None;
        // An upsert replaces row by row what is there.
        self.afresh = matches!(self.spec.mode, Some(ModeSpec::Incremental(_)));
        self.warn(vec![
            "`mode` or its `cursor` changed since the last sync; everything is read again".to_owned(),
        ]);
    }

    /// A column that the table has and the source no longer has is NULL from now on: said, not silent.
    async fn compare(&mut self, pull: &Pull) {
        if std::mem::replace(&mut self.compared, true) || self.spec.path.is_some() || self.seq == 0 {
            return;
        }
        let Ok(Some(snapshot)) = self.warehouse.snapshot(&self.table).await else { return };
        let schema = &snapshot.schema;
        let delivered = pull.rows.schema_ref();
        let gone: Vec<String> = schema
            .fields()
            .iter()
            .filter(|f| delivered.field_with_name(f.name()).is_err())
            .map(|f| format!("`{}`", f.name()))
            .collect();
        if !gone.is_empty() {
            let from = pull.file.as_ref().map_or("the source".to_owned(), |f| format!("file `{}`", f.name));
            let columns = if gone.len() == 1 { "column" } else { "columns" };
            let more = match gone.len().saturating_sub(SHOWN_COLUMNS) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.warn(vec![format!(
                "{from} no longer has the {columns} {}{more}; new rows have NULL there",
                gone[..gone.len().min(SHOWN_COLUMNS)].join(", ")
            )]);
        }
    }

    pub(super) fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if self.report.warnings.len() < 50 && !self.report.warnings.contains(&warning) {
                self.report.warnings.push(warning);
            }
        }
    }

    /// How far the cursor is behind now.
    fn lag(&self, cursor: &Cursor) -> Option<Duration> {
        let at = chrono::DateTime::parse_from_rfc3339(cursor.get("at")?.as_str()?).ok()?;
        (self.clock.now() - at.with_timezone(&chrono::Utc)).to_std().ok()
    }
}

/// The last batch of a group without its spare room: a reader prepares for many rows, and hundreds of small
/// files wait for one commit.
fn tight(rows: RecordBatch) -> Result<RecordBatch, SourceError> {
    let (schema, mut columns, count) = rows.into_parts();
    columns.iter_mut().for_each(|column| column.shrink_to_fit());
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|e| SourceError::never(format!("rows do not fit their columns: {e}")))
}

/// One error for a report, naming how many there were.
fn combined(mut failures: Vec<SourceError>) -> Option<SourceError> {
    if failures.len() <= 1 {
        return failures.pop();
    }
    let shown: Vec<String> = failures.iter().take(MESSAGES).map(ToString::to_string).collect();
    let more = failures.len().saturating_sub(MESSAGES);
    let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!("{} failures: {}{tail}", failures.len(), shown.join("; "));
    let later = failures.iter().any(|e| matches!(e, SourceError::Later { .. }));
    Some(if later { SourceError::later(message) } else { SourceError::never(message) })
}

/// Troubles of the warehouse, sorted by whether waiting helps.
pub(super) fn of_warehouse(e: &warehouse::Error) -> SourceError {
    use warehouse::Error as W;
    match e {
        W::Store { .. }
        | W::Conflict { .. }
        | W::Timeout { .. }
        | W::Cancelled
        | W::Exhausted { .. }
        | W::Metadata(_) => SourceError::later(e.to_string()),
        W::SchemaChanged { table, column, was, now } => super::widen::changed_type(table, column, was, now),
        _ => SourceError::never(e.to_string()),
    }
}

pub(super) fn of_metadata(e: &sqlx::Error) -> SourceError {
    SourceError::later(format!("metadata database: {e}; check that the disk is writable and has room"))
}
