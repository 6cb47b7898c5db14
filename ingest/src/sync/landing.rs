//! Groups into the table: rows and cursor in one commit, rejected rows before them.

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use serde_json::Value;
use store::new_id;
use warehouse::{Landing, LoadMark};

use super::corrected::Watch;
use super::flow::{Flow, Rejects};
use super::intake::{Intake, Pulls, of_metadata, of_warehouse};
use super::report::{Reasons, told};
use super::{Progress, cursors};
use crate::error::SourceError;
use crate::source::{Cursor, FilePart, Pull};
use crate::spec::ModeSpec;

/// A complete group: everything up to a landing boundary.
pub(super) struct Group {
    pub(super) rows: Vec<RecordBatch>,
    pub(super) rejected: Vec<RecordBatch>,
    pub(super) file: Option<FilePart>,
    pub(super) cursor: Cursor,
}

impl Group {
    pub(super) fn of(pulls: Vec<Pull>) -> Self {
        let mut group = Group { rows: Vec::new(), rejected: Vec::new(), file: None, cursor: Value::Null };
        for pull in pulls {
            group.rows.push(pull.rows);
            group.rejected.extend(pull.rejected);
            group.file = pull.file;
            group.cursor = pull.cursor;
        }
        group
    }

    pub(super) fn count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }

    fn aside(&self) -> usize {
        self.rejected.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Intake<'_> {
    /// How a group lands.
    fn how(&self, file: Option<&FilePart>) -> Landing {
        if self.afresh {
            return Landing::Anew { keys: self.spec.key().unwrap_or_default().to_vec() };
        }
        match (file, &self.spec.mode) {
            (Some(FilePart { name, again: true }), _) => Landing::ReplaceFile { file: name.clone() },
            (Some(_), _) => Landing::Append,
            (None, Some(ModeSpec::Incremental(_))) => Landing::Append,
            (None, Some(ModeSpec::Upsert(u))) => Landing::Upsert { keys: u.key.clone() },
            (None, Some(ModeSpec::Full(_)) | None) => Landing::Replace,
        }
    }

    /// Lands complete groups, those that are appended together in one commit.
    pub(super) async fn land(
        &mut self,
        groups: Vec<Group>,
        progress: &dyn Progress,
    ) -> Result<(), SourceError> {
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
        let kept: usize = groups.iter().map(Group::count).sum();
        let aside: usize = groups.iter().map(Group::aside).sum();
        if would_empty(&how, kept, aside) {
            if groups.len() > 1 && first.file.is_some() {
                // Which of them, is said of each.
                for group in groups {
                    Box::pin(self.land_together(vec![group], progress)).await?;
                }
                return Ok(());
            }
            return self.keep_last_good(groups).await;
        }
        let rows: Vec<RecordBatch> = groups.iter().flat_map(|g| g.rows.iter().cloned()).collect();
        let counted = self.report.rejected_rows;
        if let Err(e) = self.widen(rows.first(), &how).await {
            return self.fault(first.file.as_ref(), e);
        }
        match self.commit(stream::iter(rows.into_iter().map(Ok)).boxed(), how, &groups).await {
            Ok(()) => {
                for group in &groups {
                    self.landed(group.file.as_ref(), group.count() as u64, progress);
                }
                Ok(())
            }
            // One file of several may be at fault: find it, land the others.
            Err(_) if groups.len() > 1 && first.file.is_some() => {
                self.report.rejected_rows = counted;
                for group in groups {
                    Box::pin(self.land_together(vec![group], progress)).await?;
                }
                Ok(())
            }
            Err(e) => self.fault(first.file.as_ref(), e),
        }
    }

    /// Sets the rows of a read aside that holds nothing else: what they would replace stays, and it is a failure.
    async fn keep_last_good(&mut self, groups: Vec<Group>) -> Result<(), SourceError> {
        let mut reasons = Reasons::default();
        let file = groups.first().and_then(|g| g.file.clone());
        for group in groups {
            group.rejected.iter().for_each(|rows| reasons.add(rows));
            let mut rejects = self.rejects(group.file);
            rejects.waiting = group.rejected;
            self.reject(rejects).await?;
        }
        let e = self.nothing_kept(reasons).await;
        self.fault(file.as_ref(), e)
    }

    async fn nothing_kept(&self, mut reasons: Reasons) -> SourceError {
        let reasons = reasons.take();
        let aside: u64 = reasons.iter().map(|r| r.count).sum();
        let all = if aside == 1 { "the only row".to_owned() } else { format!("all {aside} rows") };
        let rows = self.warehouse.snapshot(&self.table).await.ok().flatten().and_then(|s| s.rows());
        let fate = match rows {
            Some(rows) if rows > 0 => "what landed before stays".to_owned(),
            _ => "nothing landed".to_owned(),
        };
        SourceError::never(format!(
            "{all} of it had to be set aside, so {fate} in {}: {}. See them with `guanlan quarantine show {}`, how the stream is read with `guanlan source preview {}.{}`; correct the definition or the source",
            self.table,
            told(&reasons),
            self.table,
            self.source_name,
            self.report.stream
        ))
    }

    /// Why the warehouse did not take rows, with the way out that only a stream has.
    fn refused(&self, e: &warehouse::Error) -> SourceError {
        match e {
            warehouse::Error::SchemaChanged { table, column, was, now } if self.spec.glob.is_none() => {
                let stream = format!("{}.{}", self.source_name, self.report.stream);
                super::widen::changed_type(table, column, was, now, &stream)
            }
            warehouse::Error::SchemaChanged { .. } => SourceError::never(format!(
                "{e}; or take the new type: `guanlan sync --reset {}.{}` reads all of it again",
                self.source_name, self.report.stream
            )),
            e => of_warehouse(e),
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
        let staged = self.warehouse.stage_for(&self.table, rows, &how).await.map_err(|e| self.refused(&e))?;
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

    pub(super) async fn publish(
        &mut self,
        staged: warehouse::Staged,
        how: Landing,
        cursor: Option<Cursor>,
    ) -> Result<(), SourceError> {
        let whole = cursors::marked(self.spec, &self.options, cursor.clone().unwrap_or(Value::Null));
        let packed =
            cursors::pack(self.db, &**self.clock, &self.stream, &whole).await.map_err(|e| of_metadata(&e))?;
        let mark = LoadMark {
            stream: self.stream.clone(),
            seq: self.seq + 1,
            cursor: packed.clone(),
            operation: new_id(&**self.clock),
        };
        let landed = self.warehouse.publish(staged, how, mark).await.map_err(|e| self.refused(&e))?;
        self.seq += 1;
        self.cursor = cursor;
        self.afresh = false;
        // The same rows once more make no version, and nothing follows from them.
        if landed.version >= 0 && !landed.unchanged {
            self.report.version = Some(landed.version);
        }
        if let Err(e) = cursors::forget(self.db, &self.stream, &packed).await {
            tracing::warn!(source.stream = self.stream, error.message = %e, "old parts of a cursor were not removed");
        }
        Ok(())
    }

    /// Lands a group that is larger than memory should hold; answers the rows read on the way.
    pub(super) async fn land_streaming(
        &mut self,
        open: Vec<Pull>,
        pulls: &mut Pulls,
        before: u64,
        progress: &dyn Progress,
    ) -> Result<u64, SourceError> {
        let file = open.last().and_then(|p| p.file.clone());
        let how = self.how(file.as_ref());
        self.widen(open.first().map(|p| &p.rows), &how).await?;
        let early: u64 = open.iter().map(|p| p.rows.num_rows() as u64).sum();
        let mut flow = Flow::new(self.rejects(file.clone()));
        flow.watch = self.watch.take();
        let mut first = Vec::new();
        for mut pull in open {
            if let Some(rejected) = pull.rejected.take() {
                flow.aside += rejected.num_rows() as u64;
                flow.rejects.waiting.push(rejected);
            }
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
            self.warehouse.stage_for(&self.table, stream::iter(first).chain(rest).boxed(), &how).await
        };
        // Whatever happened, the rest of this group must not be taken for the next one.
        flow.drain(pulls).await;
        self.warn(std::mem::take(&mut flow.warnings));
        self.report.read += flow.delivered;
        self.changes.merge(flow.changes.take());
        self.watch = flow.watch.take();
        self.reasons.merge(flow.reasons.take());
        let read = flow.read;
        let staged = match (staged, flow.error.take()) {
            (Ok(staged), None) => staged,
            (Err(e), None) => {
                let e = self.refused(&e);
                return self.fault(file.as_ref(), e).map(|()| read);
            }
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
        if would_empty(&how, (early + read) as usize, flow.aside as usize) {
            self.warehouse.discard(staged).await;
            let e = self.nothing_kept(self.reasons.clone()).await;
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
        Rejects {
            warehouse: self.warehouse.clone(),
            clock: self.clock.clone(),
            table: self.rejected_table.clone(),
            stream: self.stream.clone(),
            seq: self.rejected_seq,
            file,
            by_text: self.spec.cursor().is_some(),
            fresh: self.fresh_rejects,
            started: false,
            waiting: Vec::new(),
            landed: 0,
        }
    }

    /// Lands what is left of a group's rejected rows.
    async fn reject(&mut self, mut rejects: Rejects) -> Result<(), SourceError> {
        let waiting: usize = rejects.waiting.iter().map(RecordBatch::num_rows).sum();
        if let Some(watch) = self.watch.as_ref().filter(|_| rejects.by_text && !rejects.fresh) {
            rejects.waiting = rejects.waiting.iter().map(|rows| unknown(rows, watch)).collect();
        }
        let repeated = waiting - rejects.waiting.iter().map(RecordBatch::num_rows).sum::<usize>();
        rejects.flush(true).await?;
        self.rejected_seq = rejects.seq;
        self.fresh_rejects = false;
        self.report.rejected_rows += rejects.landed + repeated as u64;
        Ok(())
    }
}

/// Whether a landing would take rows away and put nothing in their place but rows that were set aside.
fn would_empty(how: &Landing, kept: usize, aside: usize) -> bool {
    let replaces = matches!(how, Landing::Replace | Landing::Anew { .. } | Landing::ReplaceFile { .. });
    replaces && kept == 0 && aside > 0
}

/// Set-aside rows that are not in quarantine yet: those at the edge of a cursor come at every read.
fn unknown(rows: &RecordBatch, watch: &Watch) -> RecordBatch {
    let Some(texts) = rows.column_by_name("text").and_then(|c| c.as_string_opt::<i32>()) else {
        return rows.clone();
    };
    let mask: BooleanArray = texts.iter().map(|text| Some(!text.is_some_and(|t| watch.has(t)))).collect();
    filter_record_batch(rows, &mask).unwrap_or_else(|_| rows.clone())
}
