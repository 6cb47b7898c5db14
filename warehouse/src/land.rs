//! Landing: rows and the stream's position in one commit, exactly once.
//!
//! `stage` writes files that nobody sees; `publish` makes them visible with a single commit that carries
//! `txn(appId = stream, version = seq)` and the cursor. Killed anywhere before the commit, nothing happened; killed
//! after it, the next attempt finds the position in the log and does nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::catalog::Entry;
use crate::commit::{self, Change};
use crate::error::{Error, Result};
use crate::log::{self, Kind, Snapshot, file_of};
use crate::marks;
use crate::reading::Reading;
use crate::replace::{Effect, Start};
use crate::scan::{self, Place};
use crate::stage::{Cut, Files, Stager};
use crate::table::{TableName, Zone};
use crate::warehouse::Warehouse;

/// What happens to the rows that are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Landing {
    Append,
    /// The delivered rows are the whole table, and their types those of its columns. In the zones clean and mart
    /// columns that are not delivered go; in raw they stay, without values, for those who read them.
    Replace,
    /// As [`Landing::Replace`], and in every zone columns that are not delivered go: another definition reads the
    /// source now. Of several rows of a key the last one stays.
    Anew {
        keys: Vec<String>,
    },
    /// Rows with a delivered key are replaced; inside one landing the last row of a key wins.
    Upsert {
        keys: Vec<String>,
    },
    /// Rows whose `_file` is this are replaced.
    ReplaceFile {
        file: String,
    },
    /// Rows whose `column` is at or after `since` are replaced, and rows with a delivered key wherever they lie.
    /// Several delivered rows may share a key.
    Interval {
        column: String,
        since: Start,
        keys: Vec<String>,
    },
}

/// Where a stream stands: committed together with its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadMark {
    pub stream: String,
    /// Grows with every landing of the stream.
    pub seq: i64,
    pub cursor: serde_json::Value,
    /// The caller's id of this landing, for tracing it in the log.
    pub operation: String,
}

/// What a landing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Landed {
    /// The table's version now; -1 when there is still no table (no rows and no columns were delivered).
    pub version: i64,
    pub rows: u64,
    /// The log already had this `seq`: nothing was written now.
    pub already: bool,
    /// The table held these very rows before: it is not newer than it was.
    pub unchanged: bool,
}

/// Data files that are written and not visible.
pub struct Staged {
    pub table: TableName,
    pub schema: SchemaRef,
    pub rows: u64,
    pub(crate) files: Files,
    place: Place,
}

impl Staged {
    /// The staged rows as a table.
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        let snapshot = self.snapshot();
        let files = snapshot.files.clone();
        scan::part(snapshot, files, &self.place)
    }

    /// Bytes of the staged files.
    pub fn bytes(&self) -> u64 {
        self.files.adds.iter().map(|a| a.size.max(0) as u64).sum()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let files = self.files.adds.iter().map(|a| Arc::new(file_of(&self.table, a, &self.schema))).collect();
        Arc::new(Snapshot::loose(self.table.clone(), self.schema.clone(), files))
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Staged({}, {} rows, {} files)", self.table, self.rows, self.files.adds.len())
    }
}

/// What `publish` does next.
enum Next {
    Landed(Landed),
    Commit {
        present: Option<Arc<Snapshot>>,
        change: Change,
        /// Files written for this commit only.
        written: Files,
        /// These stand for the staged files.
        lean: bool,
    },
}

/// How often a commit is tried again after someone else took its version.
const ATTEMPTS: usize = 8;

impl Warehouse {
    /// Lands a stream of batches. With a `seq` that the log already has, the stream is not read.
    /// To make an empty table, deliver one batch without rows: it carries the columns.
    ///
    /// # Errors
    /// [`Error::SchemaChanged`] when a column changed its type; [`Error::Store`] may be repeated safely.
    pub async fn land(
        &self,
        table: &TableName,
        rows: BoxStream<'_, Result<RecordBatch>>,
        how: Landing,
        mark: LoadMark,
    ) -> Result<Landed> {
        let entry = self.catalog().entry(table);
        if let Some(landed) = self.landed(&entry, &mark).await? {
            return Ok(landed);
        }
        let staged = self.stage_for(table, rows, &how).await?;
        self.publish(staged, how, mark).await
    }

    /// Writes the rows into files of the table without committing them.
    pub async fn stage(&self, table: &TableName, rows: BoxStream<'_, Result<RecordBatch>>) -> Result<Staged> {
        self.stage_for(table, rows, &Landing::Append).await
    }

    /// As [`Self::stage`], for rows that will land in a known way: those that replace a raw table keep their own
    /// types, whatever the table has.
    pub async fn stage_for(
        &self,
        table: &TableName,
        rows: BoxStream<'_, Result<RecordBatch>>,
        how: &Landing,
    ) -> Result<Staged> {
        let present = self.snapshot(table).await?;
        writable(table, present.as_deref())?;
        let own_types =
            matches!(how, Landing::Anew { .. }) || (*how == Landing::Replace && table.zone == Zone::Raw);
        let schema = present.map(|s| s.schema.clone()).filter(|_| !own_types);
        let files = self.stager().write(table, schema.as_deref(), rows, Cut::Bytes).await?;
        Ok(self.staged(table, files))
    }

    /// As [`Self::stage`], for the whole of a table whose rows will change by a key and come in its order: they are
    /// laid so that the last ones, which change first where keys count up, take few others along.
    pub async fn stage_in_order(
        &self,
        table: &TableName,
        rows: BoxStream<'_, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let present = self.snapshot(table).await?;
        writable(table, present.as_deref())?;
        let schema = present.map(|s| s.schema.clone());
        let files = self.stager().write(table, schema.as_deref(), rows, Cut::Tail).await?;
        Ok(self.staged(table, files))
    }

    fn staged(&self, table: &TableName, files: Files) -> Staged {
        Staged {
            table: table.clone(),
            schema: files.schema.clone(),
            rows: files.rows,
            files,
            place: self.place().clone(),
        }
    }

    /// Makes staged rows visible in one commit.
    pub async fn publish(&self, staged: Staged, how: Landing, mark: LoadMark) -> Result<Landed> {
        let entry = self.catalog().entry(&staged.table);
        let _writer = entry.writer.lock().await;
        let mut staged = staged;
        for _ in 0..ATTEMPTS {
            let (present, change, written, lean) = match self.next(&entry, &mut staged, &how, &mark).await {
                Ok(Next::Commit { present, change, written, lean }) => (present, change, written, lean),
                Ok(Next::Landed(landed)) => {
                    self.stager().discard(&staged.table, &staged.files).await;
                    return Ok(landed);
                }
                // No commit names these files. Behind a commit that failed one may: there they stay.
                Err(error) => {
                    self.stager().discard(&staged.table, &staged.files).await;
                    return Err(error);
                }
            };
            let unchanged = !change.data_change;
            let own = log::Own {
                commit: store::new_id(self.clock().as_ref()),
                stream: Some(mark.stream.clone()),
                seq: Some(mark.seq),
                operation: Some(mark.operation.clone()),
                cursor: mark.cursor.clone(),
                rows: staged.rows,
            };
            match commit::commit(self, &entry, present.as_deref(), change, own).await? {
                Some(version) => {
                    marks::remember(self.db(), &staged.table, &mark, staged.rows, version).await;
                    tracing::info!(table.name = %staged.table, table.version = version, rows = staged.rows,
                        unchanged, stream = mark.stream, "landed");
                    if unchanged || lean {
                        self.stager().discard(&staged.table, &staged.files).await;
                    }
                    let landed = Landed { version, rows: staged.rows, already: false, unchanged };
                    return Ok(landed);
                }
                None => self.stager().discard(&staged.table, &written).await,
            }
        }
        self.stager().discard(&staged.table, &staged.files).await;
        Err(Error::Conflict {
            table: staged.table.clone(),
            message: format!("{ATTEMPTS} commits lost against another writer"),
        })
    }

    /// What the table as it is now asks for.
    async fn next(&self, entry: &Entry, staged: &mut Staged, how: &Landing, mark: &LoadMark) -> Result<Next> {
        let present = self.catalog().look(entry, true).await?;
        writable(&staged.table, present.as_deref())?;
        if let Some(landed) = self.landed(entry, mark).await? {
            return Ok(Next::Landed(landed));
        }
        if present.is_none() && staged.schema.fields().is_empty() {
            return Ok(Next::Landed(Landed { version: -1, rows: 0, already: false, unchanged: true }));
        }
        match (self.effect(present.as_ref(), staged, how).await?, &present) {
            (Effect::Change { change, written, lean }, _) => {
                Ok(Next::Commit { present, change, written, lean })
            }
            (Effect::Nothing, Some(snapshot))
                if staged.table.zone == Zone::Raw && self.stands(entry, snapshot, mark).await? =>
            {
                let rows = staged.rows;
                Ok(Next::Landed(Landed { version: snapshot.version, rows, already: false, unchanged: true }))
            }
            // The rows are there; the stream's new position still has to be kept.
            (Effect::Nothing, _) => {
                let written = Files { adds: vec![], schema: staged.schema.clone(), rows: 0 };
                let change = Change { operation: "WRITE", ..Change::default() };
                Ok(Next::Commit { present, change, written, lean: false })
            }
        }
    }

    /// Whether the stream stands where `mark` would put it: then there is nothing to keep.
    async fn stands(&self, entry: &Entry, snapshot: &Snapshot, mark: &LoadMark) -> Result<bool> {
        let Some(seq) = self.catalog().stream(entry, &mark.stream).await? else { return Ok(false) };
        Ok(marks::find(self, snapshot, &mark.stream, seq).await?.0.cursor == mark.cursor)
    }

    /// Deletes staged files, best effort.
    pub async fn discard(&self, staged: Staged) {
        self.stager().discard(&staged.table, &staged.files).await;
    }

    /// Where a stream stands, by the table's log.
    pub async fn mark(&self, table: &TableName, stream: &str) -> Result<Option<LoadMark>> {
        let Some(snapshot) = self.snapshot(table).await? else { return Ok(None) };
        let entry = self.catalog().entry(table);
        let Some(seq) = self.catalog().stream(&entry, stream).await? else { return Ok(None) };
        Ok(Some(marks::find(self, &snapshot, stream, seq).await?.0))
    }

    /// The earlier result, if the log has this `seq` of the stream.
    async fn landed(&self, entry: &Entry, mark: &LoadMark) -> Result<Option<Landed>> {
        let Some(snapshot) = self.catalog().look(entry, false).await? else { return Ok(None) };
        match self.catalog().stream(entry, &mark.stream).await? {
            Some(seq) if mark.seq <= seq => {
                let rows = if mark.seq == seq {
                    marks::find(self, &snapshot, &mark.stream, seq).await?.1
                } else {
                    0
                };
                Ok(Some(Landed { version: snapshot.version, rows, already: true, unchanged: true }))
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn stager(&self) -> Stager {
        Stager { store: self.place().store.clone(), clock: self.clock().clone() }
    }

    pub(crate) fn reading(&self, snapshot: Arc<Snapshot>) -> Reading {
        Reading { snapshot, place: self.place().clone(), context: self.one_partition() }
    }

    pub(crate) async fn write_files(
        &self,
        table: &TableName,
        schema: &SchemaRef,
        rows: BoxStream<'_, Result<RecordBatch>>,
    ) -> Result<Files> {
        self.stager().write(table, Some(schema), rows, Cut::Bytes).await
    }

    pub(crate) async fn discard_files(&self, table: &TableName, files: &Files) {
        self.stager().discard(table, files).await;
    }
}

/// We write only into tables that we made: another engine's table may carry constraints that we do not know.
pub(crate) fn writable(table: &TableName, present: Option<&Snapshot>) -> Result<()> {
    match present {
        Some(s) if matches!(s.kind, Kind::Foreign(_)) || s.property(commit::OURS).is_none() => {
            Err(Error::refused(
                format!("{table} was made by another program; Guanlan reads it but does not write into it"),
                "land into a table of another name",
            ))
        }
        Some(s) => {
            let known: BTreeSet<&str> = ["timestampNtz", "w:timestampNtz"].into();
            match s.features.iter().find(|f| !known.contains(f.as_str())) {
                Some(feature) => Err(Error::Unsupported { table: table.clone(), feature: feature.clone() }),
                None => Ok(()),
            }
        }
        None => Ok(()),
    }
}
