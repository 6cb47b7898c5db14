//! Keeping a table quick: merge small files, checkpoint the log, remove what nobody can see any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltalake_core::checkpoints::create_checkpoint;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Serialize;
use store::Timestamp;

use crate::commit::{self, Change};
use crate::error::{Error, Result};
use crate::land::writable;
use crate::log::{DataFile, Own, Snapshot, delta_table, read_commit};
use crate::marks;
use crate::session::audit;
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// A file below this is small; so many small neighbours are merged into one of about `MERGED` bytes.
const SMALL: u64 = 32 << 20;
const NEIGHBOURS: usize = 4;
const MERGED: u64 = 256 << 20;
/// Commits between checkpoints.
const CHECKPOINT: i64 = 20;
/// Commits before the last checkpoint that stay for history and for incremental readers.
const HISTORY: i64 = 2_000;
/// Written, never committed, and older than this: nobody will commit it.
const ORPHANED: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UpkeepReport {
    pub merged: usize,
    pub checkpoint: bool,
    pub removed_files: usize,
    pub removed_commits: usize,
}

impl Warehouse {
    /// Looks after one table. Readers and landings go on; a landing waits at most for one merge.
    /// A table of someone else is left alone.
    pub async fn upkeep(&self, table: &TableName) -> Result<UpkeepReport> {
        let mut report = UpkeepReport::default();
        match self.snapshot(table).await? {
            Some(snapshot) if writable(table, Some(&snapshot)).is_ok() => {}
            _ => return Ok(report),
        }
        while let Some(files) = self.merge(table).await? {
            report.merged += files;
        }
        report.checkpoint = self.checkpoint(table).await?;
        report.removed_files = self.sweep(table).await?;
        report.removed_commits = self.shorten(table).await?;
        Ok(report)
    }

    /// Looks after all tables and the query history.
    pub async fn upkeep_all(&self) -> Result<()> {
        audit::forget(self.db(), self.clock().now()).await?;
        for table in self.catalog().names() {
            if let Err(e) = self.upkeep(&table).await {
                tracing::warn!(table.name = %table, error.message = %e, "upkeep failed; it runs again later");
            }
        }
        Ok(())
    }

    /// Merges one run of small neighbours. Order is kept, so that statistics stay narrow.
    async fn merge(&self, table: &TableName) -> Result<Option<usize>> {
        let entry = self.catalog().entry(table);
        let _writer = entry.writer.lock().await;
        let Some(snapshot) = self.catalog().look(&entry, true).await? else { return Ok(None) };
        let Some(run) = small_run(&snapshot) else { return Ok(None) };
        let reading = self.reading(snapshot.clone());
        let rows = reading.rows(run.clone(), None).await?;
        let mut files = self.write_files(table, &snapshot.schema, rows).await?;
        let before: Option<u64> = run.iter().map(|f| f.rows()).sum();
        if before != Some(files.rows) {
            self.discard_files(table, &files).await;
            return Err(Error::damaged(table, "its small files do not hold the rows that the log says"));
        }
        // Data is as old as its newest part: merging does not make it fresh.
        let newest = run.iter().map(|f| f.modified).max().unwrap_or(0);
        files.adds.iter_mut().for_each(|a| a.modification_time = newest);
        let change = Change {
            operation: "OPTIMIZE",
            data_change: false,
            schema: None,
            removed: run.clone(),
            added: files.adds.clone(),
        };
        let own = Own { commit: store::new_id(self.clock().as_ref()), rows: files.rows, ..Own::default() };
        if commit::commit(self, &entry, Some(&snapshot), change, own).await?.is_none() {
            self.discard_files(table, &files).await;
            return Ok(None);
        }
        Ok(Some(run.len()))
    }

    async fn checkpoint(&self, table: &TableName) -> Result<bool> {
        let Some(snapshot) = self.snapshot(table).await? else { return Ok(false) };
        if snapshot.version - self.last_checkpoint(table).await?.unwrap_or(-1) < CHECKPOINT {
            return Ok(false);
        }
        let delta = delta_table(&self.place().store, table).await?;
        create_checkpoint(&delta, None).await.map_err(|e| Error::store(table, "write a checkpoint", e))?;
        Ok(true)
    }

    async fn last_checkpoint(&self, table: &TableName) -> Result<Option<i64>> {
        let path = table.folder().join("_delta_log").join("_last_checkpoint");
        match self.place().store.get(&path).await {
            Ok(found) => {
                let bytes =
                    found.bytes().await.map_err(|e| Error::store(table, "read the last checkpoint", e))?;
                let value: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
                Ok(value.and_then(|v| v.get("version")?.as_i64()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::store(table, "read the last checkpoint", e)),
        }
    }

    /// Deletes data files that no reader can need: removed longer ago than the retention, or never committed.
    async fn sweep(&self, table: &TableName) -> Result<usize> {
        let store = &self.place().store;
        let failed = |e| Error::store(table, "list its files", e);
        let folder = table.folder();
        let listed: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        // Looked up after listing: what was committed meanwhile is in use and was listed or is newer.
        let Some(snapshot) = self.catalog().look(&self.catalog().entry(table), true).await? else {
            return Ok(0);
        };
        let used: BTreeSet<&str> = snapshot.files.iter().map(|f| f.path.as_ref()).collect();
        let unused = |m: &&ObjectMeta| {
            let path = m.location.as_ref();
            path.ends_with(".parquet") && !path.contains("/_delta_log/") && !used.contains(path)
        };
        let candidates: Vec<&ObjectMeta> = listed.iter().filter(unused).collect();
        if candidates.is_empty() {
            return Ok(0);
        }
        let tombstones = self.tombstones(table).await?;
        let now = self.clock().now();
        let retention =
            chrono::TimeDelta::from_std(self.settings().retention).unwrap_or(chrono::TimeDelta::MAX);
        let mut removed = 0;
        for file in candidates {
            let Some(name) = file.location.filename() else { continue };
            let gone = match tombstones.get(name) {
                Some(at) => now - *at > retention,
                // Age by the id in its name: both are by our clock, which may not be the store's.
                None => written_at(name).is_some_and(|at| now - at > retention.max(ORPHANED)),
            };
            if gone {
                match store.delete(&file.location).await {
                    Ok(()) => removed += 1,
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(e) => return Err(Error::store(table, "delete an old file", e)),
                }
            }
        }
        Ok(removed)
    }

    /// Removed files and when they were removed.
    async fn tombstones(&self, table: &TableName) -> Result<BTreeMap<String, Timestamp>> {
        let delta = delta_table(&self.place().store, table).await?;
        let failed = |e: deltalake_core::DeltaTableError| Error::store(table, "read the removed files", e);
        let state = delta.snapshot().map_err(failed)?;
        let log_store = delta.log_store();
        let mut found = state.all_tombstones(log_store.as_ref());
        let mut tombstones = BTreeMap::new();
        while let Some(tombstone) = found.try_next().await.map_err(failed)? {
            let at = tombstone.deletion_timestamp().unwrap_or(0);
            tombstones.insert(tombstone.path().to_string(), store::from_micros(at.saturating_mul(1000)));
        }
        Ok(tombstones)
    }

    /// Deletes commits that the last checkpoint covers and that are long past, but never one that holds the
    /// position of a stream.
    async fn shorten(&self, table: &TableName) -> Result<usize> {
        let Some(checkpoint) = self.last_checkpoint(table).await? else { return Ok(0) };
        let until = checkpoint - HISTORY;
        if until <= 0 {
            return Ok(0);
        }
        let kept: BTreeSet<i64> = marks::versions(self.db(), table).await?.into_iter().collect();
        let store = &self.place().store;
        let log = table.folder().join("_delta_log");
        let listed: Vec<ObjectMeta> =
            store.list(Some(&log)).try_collect().await.map_err(|e| Error::store(table, "list the log", e))?;
        let mut removed = 0;
        for file in listed {
            let Some(version) = file.location.filename().and_then(version_of) else { continue };
            if version >= until || kept.contains(&version) || self.holds_mark(table, &file, version).await? {
                continue;
            }
            store.delete(&file.location).await.map_err(|e| Error::store(table, "delete an old commit", e))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Whether a commit holds the newest position of its stream (the database may have lost its marks).
    async fn holds_mark(&self, table: &TableName, file: &ObjectMeta, version: i64) -> Result<bool> {
        if !file.location.as_ref().ends_with(".json") {
            return Ok(false);
        }
        let Some(lines) = read_commit(&self.place().store, table, version).await? else { return Ok(false) };
        let entry = self.catalog().entry(table);
        for txn in lines.iter().filter_map(|l| l.txn.as_ref()) {
            if self.catalog().stream(&entry, &txn.app_id).await? == Some(txn.version) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first run of at least [`NEIGHBOURS`] small files that follow each other.
fn small_run(snapshot: &Snapshot) -> Option<Vec<Arc<DataFile>>> {
    let mut run: Vec<Arc<DataFile>> = vec![];
    let mut bytes = 0;
    for file in &snapshot.files {
        if file.size < SMALL && bytes + file.size <= MERGED {
            run.push(file.clone());
            bytes += file.size;
            continue;
        }
        if run.len() >= NEIGHBOURS {
            break;
        }
        run.clear();
        bytes = 0;
        if file.size < SMALL {
            run.push(file.clone());
            bytes = file.size;
        }
    }
    (run.len() >= NEIGHBOURS).then_some(run)
}

/// `00000000000000000012.json` or `….checkpoint….parquet`.
fn version_of(name: &str) -> Option<i64> {
    let digits = name.get(..20)?;
    (name.ends_with(".json") || name.contains(".checkpoint")).then(|| digits.parse().ok())?
}

/// The moment inside our file names (`part-<UUIDv7>.zstd.parquet`).
fn written_at(name: &str) -> Option<Timestamp> {
    let id = name.strip_prefix("part-")?.get(..13)?.replace('-', "");
    let millis = i64::from_str_radix(&id, 16).ok()?;
    Timestamp::from_timestamp_millis(millis)
}
