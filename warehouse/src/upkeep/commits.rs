//! Which parts of the log go: commits and checkpoints behind the last checkpoint that are too old or too many, but
//! never a commit that holds the position of a stream.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use store::Timestamp;

use crate::error::{Error, Result};
use crate::log::read_commit;
use crate::marks;
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// A log of this size costs nobody anything.
const LITTLE: u64 = 256 << 10;

/// A commit or a (part of a) checkpoint.
struct Piece {
    version: i64,
    checkpoint: bool,
    file: ObjectMeta,
}

impl Warehouse {
    pub(super) async fn shorten(&self, table: &TableName) -> Result<usize> {
        let Some(last) = self.last_checkpoint(table).await? else { return Ok(0) };
        let Some(snapshot) = self.snapshot(table).await? else { return Ok(0) };
        let store = &self.place().store;
        let log = table.folder().join("_delta_log");
        let listed: Vec<ObjectMeta> =
            store.list(Some(&log)).try_collect().await.map_err(|e| Error::store(table, "list the log", e))?;
        let size: u64 = listed.iter().map(|m| m.size).sum();
        let mut pieces: Vec<Piece> = listed.into_iter().filter_map(piece).collect();
        pieces.sort_by_key(|p| p.version);
        // A reader that has just seen the checkpoint before finds it yet.
        let before = pieces.iter().filter(|p| p.checkpoint && p.version < last).map(|p| p.version).max();
        let (checkpoints, commits): (Vec<Piece>, Vec<Piece>) =
            pieces.into_iter().filter(|p| p.version < last).partition(|p| p.checkpoint);
        let mut gone: Vec<Piece> =
            checkpoints.into_iter().filter(|p| before.is_some_and(|before| p.version < before)).collect();
        let age = chrono::TimeDelta::from_std(self.settings().retention.age);
        let old = self.now_less(age.unwrap_or(chrono::TimeDelta::MAX));
        let old = self.first_since(table, &commits, old).await?;
        let young = self.first_since(table, &commits, self.now_less(self.grace())).await?;
        let most = snapshot.bytes().max(LITTLE);
        let mut left = size - gone.iter().map(|p| p.file.size).sum::<u64>();
        for commit in commits {
            if commit.version < old || (left > most && commit.version < young) {
                left -= commit.file.size;
                gone.push(commit);
            }
        }
        let kept: BTreeSet<i64> = marks::versions(self.db(), table).await?.into_iter().collect();
        let mut removed = 0;
        for piece in gone {
            let holds = kept.contains(&piece.version) || self.holds_mark(table, piece.version).await?;
            if !piece.checkpoint && holds {
                continue;
            }
            match store.delete(&piece.file.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => removed += 1,
                Err(e) => return Err(Error::store(table, "delete an old commit", e)),
            }
        }
        Ok(removed)
    }

    fn now_less(&self, age: chrono::TimeDelta) -> Timestamp {
        self.clock().now().checked_sub_signed(age).unwrap_or(Timestamp::MIN_UTC)
    }

    /// The first of the commits that was written at or after `moment`; behind all of them when none was.
    async fn first_since(&self, table: &TableName, commits: &[Piece], moment: Timestamp) -> Result<i64> {
        let (mut low, mut high) = (0, commits.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let lines = read_commit(&self.place().store, table, commits[middle].version).await?;
            let written = lines.unwrap_or_default().iter().find_map(|l| l.commit_info.as_ref()?.timestamp);
            match written.is_some_and(|at| at < moment.timestamp_millis()) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(commits.get(low).map_or(i64::MAX, |p| p.version))
    }

    /// Whether a commit holds the newest position of its stream (the database may have lost its marks).
    async fn holds_mark(&self, table: &TableName, version: i64) -> Result<bool> {
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

/// `00000000000000000012.json` or `….checkpoint….parquet`.
fn piece(file: ObjectMeta) -> Option<Piece> {
    let name = file.location.filename()?;
    let version = name.get(..20)?.parse().ok()?;
    let checkpoint = name.contains(".checkpoint");
    (checkpoint || name.ends_with(".json")).then_some(Piece { version, checkpoint, file })
}
