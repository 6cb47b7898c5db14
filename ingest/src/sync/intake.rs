//! One stream of one source into its table, group by group.
//!
//! Small groups (files, pages) are gathered until about 200 000 rows and committed together; a group
//! larger than that is written while it streams. Rejected rows are committed before the rows of their
//! group: a crash in between reads the group again and replaces them.

use std::time::Duration;

use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use serde_json::Value;
use store::{Metadata, SharedClock, new_id};
use warehouse::{Landing, LoadMark, TableName, Warehouse};

use super::flow::{Flow, Rejects};
use super::{Progress, StreamReport, cursors};
use crate::error::SourceError;
use crate::source::{Cursor, FilePart, Pull, Source};
use crate::spec::{ModeSpec, SourceSpec, StreamSpec};

const COMMIT_ROWS: usize = 200_000;
const COMMIT_BYTES: usize = 96 << 20;
const COMMIT_FILES: usize = 256;
/// Messages of failed files in one report.
const MESSAGES: usize = 5;

pub(super) type Pulls = BoxStream<'static, Result<Pull, SourceError>>;

/// A complete group: everything up to a landing boundary.
struct Group {
    rows: Vec<RecordBatch>,
    rejected: Vec<RecordBatch>,
    file: Option<FilePart>,
    cursor: Cursor,
}

impl Group {
    fn of(pulls: Vec<Pull>) -> Self {
        let mut group = Group { rows: Vec::new(), rejected: Vec::new(), file: None, cursor: Value::Null };
        for pull in pulls {
            group.rows.push(pull.rows);
            group.rejected.extend(pull.rejected);
            group.file = pull.file;
            group.cursor = pull.cursor;
        }
        group
    }

    fn count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }
}

pub(super) struct Intake<'i> {
    warehouse: &'i Warehouse,
    db: &'i Metadata,
    clock: &'i SharedClock,
    source_name: &'i str,
    spec: &'i StreamSpec,
    source: &'i dyn Source,
    table: TableName,
    rejected_table: TableName,
    /// Id of the stream in the log.
    stream: String,
    seq: i64,
    rejected_seq: i64,
    cursor: Option<Cursor>,
    /// Columns of the table that the first rows did not have.
    compared: bool,
    failures: Vec<SourceError>,
    report: StreamReport,
}

impl<'i> Intake<'i> {
    pub(super) fn new(
        warehouse: &'i Warehouse,
        db: &'i Metadata,
        clock: &'i SharedClock,
        source_name: &'i str,
        name: &str,
        spec: &'i StreamSpec,
        source: &'i dyn Source,
    ) -> Self {
        Intake {
            warehouse,
            db,
            clock,
            source_name,
            spec,
            source,
            table: SourceSpec::table(source_name, name),
            rejected_table: SourceSpec::rejected_table(source_name, name),
            stream: format!("{source_name}/{name}"),
            seq: 0,
            rejected_seq: 0,
            cursor: None,
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
        let (mut ready, mut ready_rows) = (Vec::<Group>::new(), 0);
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
            self.compare(&pull.rows).await;
            self.warn(std::mem::take(&mut pull.warnings));
            seen += pull.rows.num_rows() as u64;
            open_rows += pull.rows.num_rows();
            open_bytes += pull.rows.get_array_memory_size();
            progress.rows(self.source_name, &self.report.stream, seen, self.lag(&pull.cursor));
            let commit = pull.commit;
            open.push(pull);
            if commit {
                ready_rows += open_rows;
                (open_rows, open_bytes) = (0, 0);
                ready.push(Group::of(std::mem::take(&mut open)));
                if ready_rows >= COMMIT_ROWS || ready.len() >= COMMIT_FILES {
                    self.land(std::mem::take(&mut ready), progress).await?;
                    ready_rows = 0;
                }
            } else if open_rows >= COMMIT_ROWS || open_bytes >= COMMIT_BYTES {
                self.land(std::mem::take(&mut ready), progress).await?;
                ready_rows = 0;
                seen += self.land_streaming(std::mem::take(&mut open), &mut pulls, seen, progress).await?;
                (open_rows, open_bytes) = (0, 0);
            }
        }
        let left = !open.is_empty();
        self.land(ready, progress).await?;
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
        let rejected =
            self.warehouse.mark(&self.rejected_table, &self.stream).await.map_err(|e| of_warehouse(&e))?;
        self.rejected_seq = rejected.map_or(0, |m| m.seq);
        Ok(())
    }

    /// A column that the table has and the source no longer has is NULL from now on: said, not silent.
    async fn compare(&mut self, rows: &RecordBatch) {
        if std::mem::replace(&mut self.compared, true) || self.spec.path.is_some() || self.seq == 0 {
            return;
        }
        let Ok(Some(snapshot)) = self.warehouse.snapshot(&self.table).await else { return };
        let schema = &snapshot.schema;
        let delivered = rows.schema();
        let gone: Vec<String> = schema
            .fields()
            .iter()
            .filter(|f| delivered.field_with_name(f.name()).is_err())
            .map(|f| format!("`{}`", f.name()))
            .collect();
        if !gone.is_empty() {
            let file = self.spec.glob.as_ref().map_or("the source", |_| "a file");
            self.warn(vec![format!(
                "{file} no longer has the column {}; new rows have NULL there",
                gone.join(", ")
            )]);
        }
    }

    fn warn(&mut self, warnings: Vec<String>) {
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

    /// How a group lands.
    fn how(&self, file: Option<&FilePart>) -> Landing {
        match (file, &self.spec.mode) {
            (Some(FilePart { name, again: true }), _) => Landing::ReplaceFile { file: name.clone() },
            (Some(_), _) => Landing::Append,
            (None, Some(ModeSpec::Incremental(_))) => Landing::Append,
            (None, Some(ModeSpec::Upsert(u))) => Landing::Upsert { keys: u.key.clone() },
            (None, Some(ModeSpec::Full(_)) | None) => Landing::Replace,
        }
    }

    /// Lands complete groups, those that are appended together in one commit.
    async fn land(&mut self, groups: Vec<Group>, progress: &dyn Progress) -> Result<(), SourceError> {
        let mut together: Vec<Group> = Vec::new();
        for group in groups {
            let again = group.file.as_ref().is_some_and(|f| f.again);
            if again {
                self.land_together(std::mem::take(&mut together), progress).await?;
                self.land_together(vec![group], progress).await?;
            } else {
                together.push(group);
            }
        }
        self.land_together(together, progress).await
    }

    async fn land_together(
        &mut self,
        groups: Vec<Group>,
        progress: &dyn Progress,
    ) -> Result<(), SourceError> {
        let Some(first) = groups.first() else { return Ok(()) };
        let how = self.how(first.file.as_ref());
        let rows: Vec<RecordBatch> = groups.iter().flat_map(|g| g.rows.iter().cloned()).collect();
        match self.commit(stream::iter(rows.into_iter().map(Ok)).boxed(), how, &groups).await {
            Ok(()) => {
                for group in &groups {
                    self.landed(group.file.as_ref(), group.count() as u64, progress);
                }
                Ok(())
            }
            // One file of several may be at fault: find it, land the others.
            Err(_) if groups.len() > 1 && first.file.is_some() => {
                for group in groups {
                    Box::pin(self.land_together(vec![group], progress)).await?;
                }
                Ok(())
            }
            Err(e) => self.fault(first.file.as_ref(), e),
        }
    }

    /// A file that cannot land is left out; a group of another kind ends the stream, because its cursor must not be passed.
    fn fault(&mut self, file: Option<&FilePart>, e: SourceError) -> Result<(), SourceError> {
        match file {
            Some(file) => {
                self.failures.push(e.about(&format!("file `{}`", file.name)));
                Ok(())
            }
            None => Err(e),
        }
    }

    fn landed(&mut self, file: Option<&FilePart>, rows: u64, progress: &dyn Progress) {
        self.report.rows += rows;
        if let Some(file) = file {
            self.report.files += 1;
            progress.file(self.source_name, &self.report.stream, &file.name, rows);
        }
    }

    /// Writes rows, lands their rejects, then commits rows and cursor together.
    async fn commit(
        &mut self,
        rows: BoxStream<'_, warehouse::Result<RecordBatch>>,
        how: Landing,
        groups: &[Group],
    ) -> Result<(), SourceError> {
        let staged = self.warehouse.stage(&self.table, rows).await.map_err(|e| of_warehouse(&e))?;
        let mut cursor = self.cursor.clone();
        for group in groups {
            let mut rejects = self.rejects(group.file.clone());
            rejects.waiting.clone_from(&group.rejected);
            if let Err(e) = self.reject(rejects).await {
                self.warehouse.discard(staged).await;
                return Err(e);
            }
            cursor = Some(self.source.fold(cursor.as_ref(), group.cursor.clone()));
        }
        self.publish(staged, how, cursor).await
    }

    async fn publish(
        &mut self,
        staged: warehouse::Staged,
        how: Landing,
        cursor: Option<Cursor>,
    ) -> Result<(), SourceError> {
        let whole = cursor.clone().unwrap_or(Value::Null);
        let packed =
            cursors::pack(self.db, &**self.clock, &self.stream, &whole).await.map_err(|e| of_metadata(&e))?;
        let mark = LoadMark {
            stream: self.stream.clone(),
            seq: self.seq + 1,
            cursor: packed.clone(),
            operation: new_id(&**self.clock),
        };
        let landed = self.warehouse.publish(staged, how, mark).await.map_err(|e| of_warehouse(&e))?;
        self.seq += 1;
        self.cursor = cursor;
        if landed.version >= 0 {
            self.report.version = Some(landed.version);
        }
        if let Err(e) = cursors::forget(self.db, &self.stream, &packed).await {
            tracing::warn!(source.stream = self.stream, error.message = %e, "old parts of a cursor were not removed");
        }
        Ok(())
    }

    /// Lands a group that is larger than memory should hold; answers the rows read on the way.
    async fn land_streaming(
        &mut self,
        open: Vec<Pull>,
        pulls: &mut Pulls,
        before: u64,
        progress: &dyn Progress,
    ) -> Result<u64, SourceError> {
        let file = open.last().and_then(|p| p.file.clone());
        let how = self.how(file.as_ref());
        let early: u64 = open.iter().map(|p| p.rows.num_rows() as u64).sum();
        let mut flow = Flow::new(self.rejects(file.clone()));
        let mut first = Vec::new();
        for mut pull in open {
            flow.rejects.waiting.extend(pull.rejected.take());
            first.push(Ok(pull.rows));
        }
        let (source_name, name) = (self.source_name, self.report.stream.clone());
        let staged = {
            let rest = stream::unfold((&mut *pulls, &mut flow), |(pulls, flow)| {
                let name = &name;
                async move {
                    let item = flow.next(pulls).await?;
                    progress.rows(source_name, name, before + flow.read, None);
                    Some((item, (pulls, flow)))
                }
            });
            self.warehouse.stage(&self.table, stream::iter(first).chain(rest).boxed()).await
        };
        // Whatever happened, the rest of this group must not be taken for the next one.
        flow.drain(pulls).await;
        self.warn(std::mem::take(&mut flow.warnings));
        let read = flow.read;
        let staged = match (staged, flow.error.take()) {
            (Ok(staged), None) => staged,
            (Err(e), None) => return self.fault(file.as_ref(), of_warehouse(&e)).map(|()| read),
            (staged, Some(e)) => {
                if let Ok(staged) = staged {
                    self.warehouse.discard(staged).await;
                }
                self.failures.push(e);
                return Ok(read);
            }
        };
        if let Err(e) = self.reject(flow.rejects).await {
            self.warehouse.discard(staged).await;
            return self.fault(file.as_ref(), e).map(|()| read);
        }
        let cursor = Some(self.source.fold(self.cursor.as_ref(), flow.cursor));
        match self.publish(staged, how, cursor).await {
            Ok(()) => self.landed(file.as_ref(), early + read, progress),
            Err(e) => self.fault(file.as_ref(), e)?,
        }
        Ok(read)
    }

    fn rejects(&self, file: Option<FilePart>) -> Rejects {
        let key = self.spec.key().is_some() || self.spec.cursor().is_some();
        Rejects {
            warehouse: self.warehouse.clone(),
            clock: self.clock.clone(),
            table: self.rejected_table.clone(),
            stream: self.stream.clone(),
            seq: self.rejected_seq,
            file,
            by_text: key,
            started: false,
            waiting: Vec::new(),
            landed: 0,
        }
    }

    /// Lands what is left of a group's rejected rows.
    async fn reject(&mut self, mut rejects: Rejects) -> Result<(), SourceError> {
        rejects.flush(true).await?;
        self.rejected_seq = rejects.seq;
        self.report.rejected_rows += rejects.landed;
        Ok(())
    }
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

fn of_metadata(e: &sqlx::Error) -> SourceError {
    SourceError::later(format!("metadata database: {e}; check that the disk is writable and has room"))
}
