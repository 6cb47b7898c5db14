//! Keeping a table quick and small: merge files, checkpoint the log, remove what nobody can see any more.

mod commits;
mod files;

use std::sync::Arc;

use object_store::ObjectStoreExt;
use serde::Serialize;

use crate::commit::{self, Change, KEY};
use crate::error::{Error, Result};
use crate::land::writable;
use crate::layout::{self, Part};
use crate::log::{self, DataFile, Own, Snapshot};
use crate::session::audit;
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// Commits between checkpoints.
const CHECKPOINT: i64 = 20;

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

    /// Merges the files that lie in too many pieces, once.
    async fn merge(&self, table: &TableName) -> Result<Option<usize>> {
        let entry = self.catalog().entry(table);
        let _writer = entry.writer.lock().await;
        let Some(snapshot) = self.catalog().look(&entry, true).await? else { return Ok(None) };
        let key: Vec<String> =
            snapshot.property(KEY).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let Some(run) = self.next_merge(&snapshot, !key.is_empty()) else { return Ok(None) };
        let rows = self.reading(snapshot.clone()).in_order(run.clone(), &key).await?;
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
            removed: run.clone(),
            added: files.adds.clone(),
            ..Change::default()
        };
        let own = Own { commit: store::new_id(self.clock().as_ref()), rows: files.rows, ..Own::default() };
        if commit::commit(self, &entry, Some(&snapshot), change, own).await?.is_none() {
            self.discard_files(table, &files).await;
            return Ok(None);
        }
        Ok(Some(run.len()))
    }

    /// The files to merge next, the oldest first, so that bounds of columns that grow with time stay narrow.
    fn next_merge(&self, snapshot: &Snapshot, keyed: bool) -> Option<Vec<Arc<DataFile>>> {
        let now = self.clock().now().timestamp_millis();
        let mut files: Vec<Arc<DataFile>> =
            snapshot.files.iter().filter(|f| f.rows().is_some()).cloned().collect();
        files.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        let parts: Vec<Part> = files
            .iter()
            .map(|f| Part {
                rows: f.rows().unwrap_or(0),
                bytes: f.size,
                rested: std::time::Duration::from_millis((now - f.modified).max(0) as u64),
            })
            .collect();
        Some(layout::merge(&parts, keyed)?.into_iter().map(|place| files[place].clone()).collect())
    }

    async fn checkpoint(&self, table: &TableName) -> Result<bool> {
        let Some(snapshot) = self.snapshot(table).await? else { return Ok(false) };
        if snapshot.version - self.last_checkpoint(table).await?.unwrap_or(-1) < CHECKPOINT {
            return Ok(false);
        }
        log::checkpoint(&self.place().store, table).await?;
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
}
