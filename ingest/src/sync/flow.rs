//! A group on its way into the table while it is still being read, and rejected rows on theirs.

use arrow::record_batch::RecordBatch;
use futures::{StreamExt, stream};
use serde_json::Value;
use store::{SharedClock, new_id};
use warehouse::{Landing, LoadMark, TableName, Warehouse};

use super::corrected::Watch;
use super::intake::{Pulls, of_warehouse};
use super::report::Reasons;
use crate::error::SourceError;
use crate::ledger::Changes;
use crate::source::{Cursor, FilePart, Pull};

/// Rejected rows kept in memory before they land.
const REJECTED_ROWS: usize = 20_000;

/// Passes the batches of one group on, watching for its end.
pub(super) struct Flow {
    pub(super) rejects: Rejects,
    pub(super) cursor: Cursor,
    /// Rows passed on.
    pub(super) read: u64,
    pub(super) error: Option<SourceError>,
    pub(super) warnings: Vec<String>,
    /// Rows that came, kept or not, also those of a group that will not land.
    pub(super) delivered: u64,
    /// Rows that the reader set aside.
    pub(super) aside: u64,
    pub(super) reasons: Reasons,
    pub(super) changes: Changes,
    pub(super) watch: Option<Watch>,
    /// The group's last pull, or its failure, was read.
    over: bool,
}

impl Flow {
    pub(super) fn new(rejects: Rejects) -> Self {
        Flow {
            rejects,
            cursor: Value::Null,
            read: 0,
            error: None,
            warnings: Vec::new(),
            delivered: 0,
            aside: 0,
            reasons: Reasons::default(),
            changes: Changes::default(),
            watch: None,
            over: false,
        }
    }

    /// The next batch of the group; an error voids what was written so far.
    pub(super) async fn next(&mut self, pulls: &mut Pulls) -> Option<warehouse::Result<RecordBatch>> {
        if self.error.is_some() {
            return None;
        }
        let pull = self.pull(pulls).await?;
        if let Some(pull) = pull
            && self.error.is_none()
        {
            self.read += pull.rows.num_rows() as u64;
            if let Some(watch) = &mut self.watch {
                watch.observe(&pull.rows);
            }
            self.rejects.waiting.extend(pull.rejected);
            if let Err(e) = self.rejects.flush(false).await {
                self.error = Some(e);
            } else {
                return Some(Ok(pull.rows));
            }
        }
        Some(Err(warehouse::Error::invalid("the group that was being read is void")))
    }

    /// Reads the rest of a group that will not land.
    pub(super) async fn drain(&mut self, pulls: &mut Pulls) {
        while self.pull(pulls).await.is_some() {}
    }

    /// `None` behind the group's end, `Some(None)` when reading failed.
    async fn pull(&mut self, pulls: &mut Pulls) -> Option<Option<Pull>> {
        if self.over {
            return None;
        }
        match pulls.next().await {
            Some(Ok(mut pull)) => {
                self.over = pull.commit;
                self.cursor = pull.cursor.clone();
                self.warnings.append(&mut pull.warnings);
                let aside = pull.rejected.as_ref().map_or(0, RecordBatch::num_rows) as u64;
                self.delivered += pull.rows.num_rows() as u64 + aside;
                self.aside += aside;
                if let Some(rejected) = &pull.rejected {
                    self.reasons.add(rejected);
                }
                self.changes.merge(std::mem::take(&mut pull.changed));
                Some(Some(pull))
            }
            failed => {
                self.over = true;
                let e = failed.and_then(Result::err);
                self.error.get_or_insert_with(|| {
                    e.unwrap_or_else(|| {
                        SourceError::later(
                            "reading ended in the middle; the next sync goes on from the last commit",
                        )
                    })
                });
                Some(None)
            }
        }
    }
}

/// Rejected rows of one group. They land before the group does; when a crash comes in between, the
/// group is read again and its rejected rows take the place of these.
pub(super) struct Rejects {
    pub(super) warehouse: Warehouse,
    pub(super) clock: SharedClock,
    pub(super) table: TableName,
    pub(super) stream: String,
    pub(super) seq: i64,
    pub(super) file: Option<FilePart>,
    /// The source reads by cursor, so the same row may come again: the text tells.
    pub(super) by_text: bool,
    /// Everything is read again: these rows take the place of all that stand there.
    pub(super) fresh: bool,
    pub(super) started: bool,
    pub(super) waiting: Vec<RecordBatch>,
    pub(super) landed: u64,
}

impl Rejects {
    /// Lands what waits: when there is much of it, or at the group's end.
    pub(super) async fn flush(&mut self, end: bool) -> Result<(), SourceError> {
        let count: usize = self.waiting.iter().map(RecordBatch::num_rows).sum();
        if count == 0 {
            return if end && !self.started { self.clear().await } else { Ok(()) };
        }
        if !end && count < REJECTED_ROWS {
            return Ok(());
        }
        let how = self.how();
        let rows = std::mem::take(&mut self.waiting);
        self.land(rows, how).await?;
        self.landed += count as u64;
        self.started = true;
        Ok(())
    }

    fn how(&self) -> Landing {
        match &self.file {
            _ if self.fresh && !self.started => Landing::Replace,
            _ if self.by_text => Landing::Upsert { keys: vec!["text".into()] },
            _ if self.started || self.seq == 0 => Landing::Append,
            Some(file) => Landing::ReplaceFile { file: file.name.clone() },
            None => Landing::Append,
        }
    }

    /// A group without rejected rows takes away those that an earlier state of it left.
    async fn clear(&mut self) -> Result<(), SourceError> {
        let stale = self.fresh || (!self.by_text && self.file.as_ref().is_some_and(|f| f.again));
        if self.seq == 0 || !stale {
            return Ok(());
        }
        let there = self.warehouse.snapshot(&self.table).await.map_err(|e| of_warehouse(&e))?;
        if there.and_then(|s| s.rows()) == Some(0) {
            return Ok(());
        }
        let how = self.how();
        let none = RecordBatch::new_empty(crate::formats::sink::rejected_schema());
        self.land(vec![none], how).await
    }

    async fn land(&mut self, rows: Vec<RecordBatch>, how: Landing) -> Result<(), SourceError> {
        let mark = LoadMark {
            stream: self.stream.clone(),
            seq: self.seq + 1,
            cursor: Value::Null,
            operation: new_id(&*self.clock),
        };
        let rows = stream::iter(rows.into_iter().map(Ok)).boxed();
        self.warehouse.land(&self.table, rows, how, mark).await.map_err(|e| of_warehouse(&e))?;
        self.seq += 1;
        Ok(())
    }
}
