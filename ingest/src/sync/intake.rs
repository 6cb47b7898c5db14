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
use store::{Metadata, SharedClock, new_id};
use warehouse::{LoadMark, TableName, Warehouse};

use super::asked::{self, Asked};
use super::corrected::Watch;
use super::identity::{self, Options};
use super::landing::Group;
use super::report::Reasons;
use super::{Ingest, Progress, StreamReport, cursors};
use crate::error::SourceError;
use crate::ledger::Changes;
use crate::source::{Cursor, Pull, Source};
use crate::spec::{SourceSpec, StreamSpec};

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
    /// How the definition reads, to be compared and kept with the cursor.
    pub(super) options: Options,
    /// The definition reads in another way than the rows that are there, or someone asked for it: the first rows
    /// replace the table with its columns.
    pub(super) afresh: bool,
    /// Everything is read again, so the first rows that are set aside replace the quarantine.
    pub(super) fresh_rejects: bool,
    asked: Option<Asked>,
    pub(super) watch: Option<Watch>,
    pub(super) reasons: Reasons,
    pub(super) changes: Changes,
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
        whole: &SourceSpec,
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
            options: identity::options(whole, spec),
            afresh: false,
            fresh_rejects: false,
            asked: None,
            watch: None,
            reasons: Reasons::default(),
            changes: Changes::default(),
            compared: false,
            failures: Vec::new(),
            report: StreamReport::new(source_name, name, spec.accept.unwrap_or_default()),
        }
    }

    /// The report of a stream that could not start.
    pub(super) fn failed(source: &str, name: &str, error: SourceError) -> StreamReport {
        StreamReport { error: Some(error), ..StreamReport::new(source, name, Default::default()) }
    }

    /// Reads and lands everything that is new.
    pub(super) async fn run(mut self, progress: &dyn Progress) -> StreamReport {
        if let Err(e) = self.read(progress).await {
            self.failures.push(e);
        }
        if self.failures.is_empty()
            && let Err(e) = self.close().await
        {
            self.failures.push(e);
        }
        if let Err(e) = self.fulfil().await {
            self.failures.push(e);
        }
        self.report.error = combined(std::mem::take(&mut self.failures));
        self.report.set_aside = self.reasons.take();
        self.report.changed = self.changes.take();
        // What was neither kept nor set aside was refused with its file or its group.
        let kept = self.report.rows + self.report.rejected_rows;
        self.report.refused = self.report.read.saturating_sub(kept);
        self.report
    }

    /// After everything went through: corrected rows leave the quarantine.
    async fn close(&mut self) -> Result<(), SourceError> {
        if let Some(watch) = self.watch.take() {
            let mark = LoadMark {
                stream: self.stream.clone(),
                seq: self.rejected_seq + 1,
                cursor: serde_json::Value::Null,
                operation: new_id(&**self.clock),
            };
            let left = watch.leave(self.warehouse, mark).await?;
            if left > 0 {
                let rows = if left == 1 { "1 row was".to_owned() } else { format!("{left} rows were") };
                self.warn(vec![format!("{rows} corrected at the source and left the quarantine")]);
            }
        }
        Ok(())
    }

    /// Forgets a wish that was fulfilled: files were read again, for better or worse; a whole stream has been when
    /// its first rows took the place of the others.
    async fn fulfil(&mut self) -> Result<(), SourceError> {
        let nothing = self.afresh && self.failures.is_empty();
        match self.asked.take() {
            None => return Ok(()),
            Some(Asked::All) if self.afresh && !nothing => return Ok(()),
            Some(Asked::All) if nothing => {
                self.warn(vec!["nothing was there to read, so the rows that landed before stay".to_owned()]);
            }
            Some(_) => {}
        }
        asked::done(self.db, self.source_name, &self.report.stream).await.map_err(|e| of_metadata(&e))
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
            if self.spec.glob.is_some() && pull.file.is_none() {
                self.warn(pull.warnings);
                continue;
            }
            self.compare(&pull).await;
            self.warn(std::mem::take(&mut pull.warnings));
            self.account(&mut pull);
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

    /// Notes what a pull brought, before anything becomes of it.
    fn account(&mut self, pull: &mut Pull) {
        self.report.read += pull.rows.num_rows() as u64;
        if let Some(rejected) = &pull.rejected {
            self.report.read += rejected.num_rows() as u64;
            self.reasons.add(rejected);
        }
        self.changes.merge(std::mem::take(&mut pull.changed));
        if let Some(watch) = &mut self.watch {
            watch.observe(&pull.rows);
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
        self.asked =
            asked::find(self.db, self.source_name, &self.report.stream).await.map_err(|e| of_metadata(&e))?;
        match self.asked.clone() {
            None => self.fit().await?,
            Some(Asked::All) => self.forget(),
            Some(Asked::Files(names)) => {
                match self.cursor.as_ref().and_then(|c| self.source.reread(c, &names)) {
                    Some(cursor) => self.cursor = Some(cursor),
                    None => self.forget(),
                }
            }
        }
        let rejected =
            self.warehouse.mark(&self.rejected_table, &self.stream).await.map_err(|e| of_warehouse(&e))?;
        self.rejected_seq = rejected.map_or(0, |m| m.seq);
        self.fresh_rejects = self.afresh || (self.spec.glob.is_none() && self.spec.cursor().is_none());
        if self.spec.cursor().is_some() && !self.afresh {
            self.watch = Watch::of(self.warehouse, &self.rejected_table, self.keys()).await?;
        }
        Ok(())
    }

    /// Columns that tell which row of the source a row is: the key of the upsert, else of the cleaning.
    fn keys(&self) -> Vec<String> {
        if let Some(keys) = self.spec.key() {
            return keys.to_vec();
        }
        let definitions = self.warehouse.definitions();
        let clean = definitions.cleans.values().find(|c| c.from == self.table && !c.key.is_empty());
        let source = |clean: &warehouse::clean::CleanSpec, key: &String| {
            clean.columns.get(key).map_or_else(|| key.clone(), |column| column.source(key).to_owned())
        };
        clean.map(|clean| clean.key.iter().map(|key| source(clean, key)).collect()).unwrap_or_default()
    }

    /// Everything is read again, in place of what is there.
    fn forget(&mut self) {
        self.afresh = self.seq > 0;
        self.cursor = None;
    }

    /// Sets aside a cursor that another definition left: read on from it, rows would come twice, never, or as the
    /// old definition saw them.
    async fn fit(&mut self) -> Result<(), SourceError> {
        let Some(cursor) = self.cursor.clone() else { return Ok(()) };
        let Some(changed) = unlike(self.spec, &self.options, &cursor) else { return Ok(()) };
        let kept = match identity::elsewhere(&cursor, &self.options) {
            true => None,
            false => self.source.again(self.spec, &cursor).await?,
        };
        self.warn(vec![format!("{changed} changed since the last sync; everything is read again")]);
        self.forget();
        if kept.is_some() {
            self.afresh = false;
            self.cursor = kept;
            self.warn(vec![format!(
                "files that are gone keep the rows and columns that were read from them; `guanlan sync --reset {}.{}` takes them away",
                self.source_name, self.report.stream
            )]);
        }
        Ok(())
    }

    /// A column that the table has and the source no longer has is NULL from now on: said, not silent.
    async fn compare(&mut self, pull: &Pull) {
        let known = self.seq > 0 && !self.afresh;
        if std::mem::replace(&mut self.compared, true) || self.spec.path.is_some() || !known {
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

/// What of a definition differs from the one that left a cursor, in words; `None` when it reads on.
pub(super) fn unlike(spec: &StreamSpec, options: &Options, cursor: &Cursor) -> Option<String> {
    let changed = identity::differing(cursor, options);
    if !changed.is_empty() {
        let names: Vec<String> = changed.iter().map(|name| format!("`{name}`")).collect();
        return Some(names.join(", "));
    }
    let fits = spec.glob.is_some() || cursors::fits(spec, cursor);
    (!fits).then(|| "`mode`, its `cursor` or its `overlap`".to_owned())
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
        _ => SourceError::never(e.to_string()),
    }
}

pub(super) fn of_metadata(e: &sqlx::Error) -> SourceError {
    SourceError::later(format!("metadata database: {e}; check that the disk is writable and has room"))
}
