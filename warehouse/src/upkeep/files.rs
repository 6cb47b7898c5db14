//! Which data files go: those of versions that are too old or take too much room, and those that were never committed.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use store::Timestamp;

use crate::error::{Error, Result};
use crate::log;
use crate::table::TableName;
use crate::warehouse::{Retention, Warehouse};

/// Written, never committed, and older than this: nobody will commit it.
const ORPHANED: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// A small table may take so much room whatever it holds: its versions cost nothing.
const LITTLE: u64 = 256 << 10;

/// A data file that the newest version does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unused {
    place: usize,
    bytes: u64,
    /// When it was removed from the table; `None` when the log does not say so.
    removed: Option<Timestamp>,
    written: Option<Timestamp>,
}

/// The places of the files that go now. `grace`: a file removed less long ago may still be read by another process.
fn outdated(
    mut unused: Vec<Unused>,
    live: u64,
    now: Timestamp,
    retention: &Retention,
    grace: chrono::TimeDelta,
) -> Vec<usize> {
    let age = chrono::TimeDelta::from_std(retention.age).unwrap_or(chrono::TimeDelta::MAX);
    let most = live.saturating_mul(u64::from(retention.times_live.max(1))).max(LITTLE);
    let mut stored = live + unused.iter().map(|f| f.bytes).sum::<u64>();
    unused.sort_by_key(|f| (f.removed.is_none(), f.removed, f.place));
    let mut gone = vec![];
    for file in unused {
        let goes = match file.removed {
            Some(at) => now - at > age || (stored > most && now - at > grace),
            // Age by the id in its name: both are by our clock, which may not be the store's.
            None => file.written.is_some_and(|at| now - at > age.max(ORPHANED)),
        };
        if goes {
            stored -= file.bytes;
            gone.push(file.place);
        }
    }
    gone
}

impl Warehouse {
    /// Deletes data files that no reader can need.
    pub(super) async fn sweep(&self, table: &TableName) -> Result<usize> {
        let store = &self.place().store;
        let failed = |e| Error::store(table, "list its files", e);
        let folder = table.folder();
        let listed: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let entry = self.catalog().entry(table);
        // Looked up after listing: what was committed meanwhile is in use and was listed or is newer.
        let Some(snapshot) = self.catalog().look(&entry, true).await? else {
            return Ok(0);
        };
        let read = entry.being_read();
        let used: BTreeSet<&str> = snapshot
            .files
            .iter()
            .chain(read.iter().flat_map(|s| &s.files))
            .map(|f| f.path.as_ref())
            .collect();
        let data = |m: &ObjectMeta| {
            let path = m.location.as_ref();
            path.ends_with(".parquet") && !path.contains("/_delta_log/")
        };
        let candidates: Vec<&ObjectMeta> =
            listed.iter().filter(|m| data(m) && !used.contains(m.location.as_ref())).collect();
        if candidates.is_empty() {
            return Ok(0);
        }
        let names: Vec<&str> = candidates.iter().filter_map(|m| m.location.filename()).collect();
        let removed = self.removals(table, &names).await?;
        let unused = candidates.iter().enumerate().map(|(place, m)| {
            let name = m.location.filename().unwrap_or_default();
            Unused { place, bytes: m.size, removed: removed.get(name).copied(), written: written_at(name) }
        });
        let now = self.clock().now();
        let gone =
            outdated(unused.collect(), snapshot.bytes(), now, &self.settings().retention, self.grace());
        for place in &gone {
            let file = &candidates[*place].location;
            match store.delete(file).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                    file.filename().into_iter().for_each(|name| entry.forget_removal(name));
                }
                Err(e) => return Err(Error::store(table, "delete an old file", e)),
            }
        }
        Ok(gone.len())
    }

    /// How long another process may go on with what it began to read.
    pub(super) fn grace(&self) -> chrono::TimeDelta {
        const LEAST: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
        chrono::TimeDelta::from_std(self.settings().timeout).map_or(LEAST, |timeout| timeout.max(LEAST))
    }

    /// When files were removed from the table: what this process did it knows, the rest is in the log.
    async fn removals(&self, table: &TableName, names: &[&str]) -> Result<BTreeMap<String, Timestamp>> {
        let entry = self.catalog().entry(table);
        let mut known = entry.removals();
        if names.iter().any(|name| !known.contains_key(*name)) && !entry.has_read_removals() {
            let logged = log::tombstones(&self.place().store, table).await?;
            entry.remember_removals(logged.clone());
            known.extend(logged);
        }
        Ok(known)
    }
}

/// The moment inside our file names (`part-<UUIDv7>.zstd.parquet`).
fn written_at(name: &str) -> Option<Timestamp> {
    let id = name.strip_prefix("part-")?.get(..13)?.replace('-', "");
    let millis = i64::from_str_radix(&id, 16).ok()?;
    Timestamp::from_timestamp_millis(millis)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + chrono::TimeDelta::minutes(minutes)
    }

    fn removed(place: usize, mib: u64, minutes: i64) -> Unused {
        Unused { place, bytes: mib << 20, removed: Some(at(minutes)), written: Some(at(0)) }
    }

    #[test]
    fn files_go_by_age_or_by_room_and_never_within_the_grace() {
        let retention = Retention { age: Duration::from_secs(24 * 3600), times_live: 3 };
        let grace = chrono::TimeDelta::minutes(10);
        let gone =
            |files: &[Unused], now: i64| outdated(files.to_vec(), 10 << 20, at(now), &retention, grace);
        let files = [removed(0, 9, 30), removed(1, 9, 20), removed(2, 9, 40)];
        assert_eq!(gone(&files, 60), [1], "37 MiB are more than 30: the first that was removed goes");
        assert_eq!(gone(&files[..2], 60), Vec::<usize>::new(), "28 MiB fit");
        assert_eq!(gone(&files, 29), Vec::<usize>::new(), "all within the grace");
        assert_eq!(gone(&files, 24 * 60 + 35), [1, 0], "two are older than a day");
        let orphan = Unused { removed: None, ..removed(3, 90, 0) };
        assert_eq!(
            gone(std::slice::from_ref(&orphan), 23 * 60),
            Vec::<usize>::new(),
            "somebody may still commit it"
        );
        assert_eq!(gone(&[orphan], 24 * 60 + 1), [3]);
    }
}
