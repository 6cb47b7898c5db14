//! The tables there are, each at its newest known version.
//!
//! Asking is cheap: a snapshot is kept and shared; our own commits replace it at once (this process is the one
//! writer), and at most once a second one small read looks whether someone else has committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use datafusion::arrow::datatypes::SchemaRef;
use object_store::{ObjectStore, ObjectStoreExt};
use store::{SharedClock, Timestamp};
use tokio::sync::broadcast;

use crate::error::{Error, Result};
use crate::log::{self, Snapshot};
use crate::model::ModelState;
use crate::table::{TableName, Title, Zone};

/// How long a snapshot is believed without looking.
const FRESH: chrono::TimeDelta = chrono::TimeDelta::seconds(1);
/// Listeners that fall further behind than this get `Lagged` and should look at everything.
const BACKLOG: usize = 1024;

/// A table has a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChanged {
    pub table: TableName,
    pub version: i64,
}

/// What the catalogue tells about a table.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub name: TableName,
    pub schema: SchemaRef,
    /// From the log's statistics; `None` when a foreign writer left them out.
    pub rows: Option<u64>,
    pub bytes: u64,
    pub files: usize,
    pub version: i64,
    /// When its data last changed, by the clock of the writer.
    pub updated_at: Timestamp,
    pub title: Option<Title>,
    /// Titles of columns where a clean or model gives them.
    pub columns: BTreeMap<String, Title>,
    /// The tables it is made from and the tables made from it.
    pub upstream: Vec<TableName>,
    pub downstream: Vec<TableName>,
    /// The outcome of a model's checks at the last build.
    pub checks: Option<ModelState>,
}

pub(crate) struct Catalog {
    store: Arc<dyn ObjectStore>,
    clock: SharedClock,
    entries: RwLock<BTreeMap<TableName, Arc<Entry>>>,
    changes: broadcast::Sender<TableChanged>,
    listed_at: Mutex<Option<Timestamp>>,
}

/// One table. `writer` is held for the length of a commit; `looking` while somebody looks for newer versions.
pub(crate) struct Entry {
    pub table: TableName,
    pub writer: tokio::sync::Mutex<()>,
    looking: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    snapshot: Option<Arc<Snapshot>>,
    checked_at: Option<Timestamp>,
    /// Positions of streams as of `snapshot`; a stream that is missing here was not asked for yet.
    streams: HashMap<String, Option<i64>>,
    /// Earlier versions, for as long as somebody reads them.
    past: Vec<Weak<Snapshot>>,
    /// Files that are no longer in the table, and since when.
    removed: BTreeMap<String, Timestamp>,
    /// What the log says of removed files was taken over.
    removals_read: bool,
}

impl Known {
    fn replace(&mut self, next: Option<Arc<Snapshot>>) {
        self.past.retain(|past| past.strong_count() > 0);
        if let Some(before) = &self.snapshot
            && next.as_ref().is_none_or(|next| !Arc::ptr_eq(before, next))
        {
            self.past.push(Arc::downgrade(before));
        }
        self.snapshot = next;
    }
}

impl Entry {
    fn new(table: &TableName) -> Arc<Self> {
        Arc::new(Self {
            table: table.clone(),
            writer: tokio::sync::Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        })
    }

    /// The versions, but for the newest, that somebody of this process reads now.
    pub(crate) fn being_read(&self) -> Vec<Arc<Snapshot>> {
        self.known().past.iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn removals(&self) -> BTreeMap<String, Timestamp> {
        self.known().removed.clone()
    }

    pub(crate) fn has_read_removals(&self) -> bool {
        self.known().removals_read
    }

    pub(crate) fn remember_removals(&self, removed: BTreeMap<String, Timestamp>) {
        let mut known = self.known();
        known.removed.extend(removed);
        known.removals_read = true;
    }

    pub(crate) fn forget_removal(&self, name: &str) {
        self.known().removed.remove(name);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, clock: SharedClock) -> Self {
        let (changes, _) = broadcast::channel(BACKLOG);
        Self { store, clock, entries: RwLock::default(), changes, listed_at: Mutex::new(None) }
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<TableChanged> {
        self.changes.subscribe()
    }

    /// Finds the tables on the store: every folder of a zone.
    pub(crate) async fn discover(&self) -> Result<()> {
        for zone in Zone::ALL {
            let prefix = object_store::path::Path::from(zone.as_str());
            let listed = self.store.list_with_delimiter(Some(&prefix)).await;
            let listed = listed.map_err(|e| Error::Store {
                table: None,
                message: format!(
                    "cannot list the tables of zone {zone}: {e}; check that the store is reachable"
                ),
            })?;
            for folder in listed.common_prefixes {
                let Some(name) = folder.filename().and_then(|n| TableName::new(zone, n).ok()) else {
                    continue;
                };
                self.entry(&name);
            }
        }
        *self.listed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.now());
        Ok(())
    }

    /// Looks for tables that appeared on the store by someone else's hand, at most every five seconds.
    pub(crate) async fn rediscover(&self) -> Result<()> {
        let now = self.clock.now();
        let listed = *self.listed_at.lock().unwrap_or_else(PoisonError::into_inner);
        match listed {
            Some(at) if (now - at).abs() < FRESH * 5 => Ok(()),
            _ => self.discover().await,
        }
    }

    pub(crate) fn entry(&self, table: &TableName) -> Arc<Entry> {
        if let Some(entry) = self.find(table) {
            return entry;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.entry(table.clone()).or_insert_with(|| Entry::new(table)).clone()
    }

    fn find(&self, table: &TableName) -> Option<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(table).cloned()
    }

    /// Every name that is a table or at least a folder where one is being made.
    pub(crate) fn names(&self) -> Vec<TableName> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// The newest version as far as a second-old look tells; `None` when there is no such table.
    pub(crate) async fn snapshot(&self, table: &TableName) -> Result<Option<Arc<Snapshot>>> {
        let Some(entry) = self.find(table) else {
            // Not listed: it may have been made by someone else just now. Unknown names leave no trace.
            if !log::exists(&self.store, table).await? {
                return Ok(None);
            }
            return self.look(&self.entry(table), false).await;
        };
        self.look(&entry, false).await
    }

    /// `newest`: look at the store even if we looked a moment ago.
    pub(crate) async fn look(&self, entry: &Entry, newest: bool) -> Result<Option<Arc<Snapshot>>> {
        let believed = |known: &Known| {
            let fresh = known.checked_at.is_some_and(|at| (self.clock.now() - at).abs() < FRESH);
            (fresh && !newest).then(|| known.snapshot.clone())
        };
        if let Some(snapshot) = believed(&entry.known()) {
            return Ok(snapshot);
        }
        let _looking = entry.looking.lock().await;
        if let Some(snapshot) = believed(&entry.known()) {
            return Ok(snapshot);
        }
        let before = entry.known().snapshot.clone();
        let mut streams = vec![];
        let followed = match &before {
            Some(snapshot) => log::follow(&self.store, snapshot, &mut streams)
                .await?
                .map(|next| if next.version == snapshot.version { snapshot.clone() } else { Arc::new(next) }),
            None => None,
        };
        let (found, forget) = match followed {
            Some(next) => (Some(next), false),
            None => (log::load(&self.store, &entry.table).await?.map(Arc::new), true),
        };
        let version = found.as_ref().map(|s| s.version);
        {
            let mut known = entry.known();
            // Our own commit may have landed meanwhile; never go back.
            if known.snapshot.as_ref().map(|s| s.version) <= version || version.is_none() {
                if forget {
                    known.streams.clear();
                }
                known.streams.extend(streams.into_iter().map(|(s, v)| (s, Some(v))));
                known.replace(found);
            }
            known.checked_at = Some(self.clock.now());
        }
        if let (Some(before), Some(version)) = (before, version)
            && before.version < version
        {
            let _ = self.changes.send(TableChanged { table: entry.table.clone(), version });
        }
        Ok(entry.known().snapshot.clone())
    }

    /// A stream's position as of the newest known version.
    pub(crate) async fn stream(&self, entry: &Entry, stream: &str) -> Result<Option<i64>> {
        let (version, found) = {
            let known = entry.known();
            (known.snapshot.as_ref().map(|s| s.version), known.streams.get(stream).copied())
        };
        if version.is_none() {
            return Ok(None);
        }
        if let Some(found) = found {
            return Ok(found);
        }
        let seq = log::transaction(&self.store, &entry.table, stream).await?;
        // A commit of the stream that arrived meanwhile has put its newer position here already.
        Ok(*entry.known().streams.entry(stream.to_owned()).or_insert(seq))
    }

    /// Takes over what we have just committed.
    pub(crate) fn committed(
        &self,
        entry: &Entry,
        snapshot: Snapshot,
        position: Option<(&str, i64)>,
        removed: impl IntoIterator<Item = String>,
    ) {
        let version = snapshot.version;
        {
            let mut known = entry.known();
            known.replace(Some(Arc::new(snapshot)));
            let now = self.clock.now();
            known.removed.extend(removed.into_iter().map(|name| (name, now)));
            known.checked_at = Some(self.clock.now());
            if let Some((stream, seq)) = position {
                known.streams.insert(stream.to_owned(), Some(seq));
            }
        }
        let _ = self.changes.send(TableChanged { table: entry.table.clone(), version });
    }

    /// Removes every object of a table, its log last, so that a table half removed is still found and removed again.
    pub(crate) async fn remove(&self, table: &TableName) -> Result<()> {
        use futures::TryStreamExt;
        let entry = self.entry(table);
        let _writer = entry.writer.lock().await;
        let failed = |e| Error::store(table, "remove the table", e);
        let folder = table.folder();
        let found: Vec<_> =
            self.store.list(Some(&folder)).map_ok(|m| m.location).try_collect().await.map_err(failed)?;
        let (logs, data): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|p| p.as_ref().contains("/_delta_log/"));
        for path in data.iter().chain(&logs) {
            match self.store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        *entry.known() = Known::default();
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(table);
        Ok(())
    }
}
