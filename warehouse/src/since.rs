//! What a table has gained since a version: the base of incremental cleaning and building.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use crate::error::{Error, Result};
use crate::log::{DataFile, Kind, file_of, read_commit};
use crate::scan;
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// How a table differs from an earlier version of itself.
pub enum Since {
    /// There is no such table.
    Missing,
    Unchanged {
        version: i64,
    },
    /// Rows were added and nothing else; the provider holds exactly those.
    Appended {
        version: i64,
        rows: u64,
        provider: Arc<dyn TableProvider>,
    },
    /// Read it all.
    Rewritten {
        version: i64,
    },
}

/// Beyond this many commits, reading the whole table is no dearer than reading the log.
const COMMITS: i64 = 5_000;
const READING: usize = 16;

impl Warehouse {
    pub async fn snapshot_since(&self, table: &TableName, version: i64) -> Result<Since> {
        let Some(snapshot) = self.snapshot(table).await? else { return Ok(Since::Missing) };
        let now = snapshot.version;
        if now == version {
            return Ok(Since::Unchanged { version: now });
        }
        let rewritten = Ok(Since::Rewritten { version: now });
        if version < 0
            || now < version
            || now - version > COMMITS
            || matches!(snapshot.kind, Kind::Foreign(_))
        {
            return rewritten;
        }
        let store = &self.place().store;
        let mut commits =
            futures::stream::iter(version + 1..=now).map(|v| read_commit(store, table, v)).buffered(READING);
        let mut added: Vec<Arc<DataFile>> = vec![];
        while let Some(lines) = commits.try_next().await? {
            let Some(lines) = lines else { return rewritten };
            if lines.iter().any(|l| l.remove.as_ref().is_some_and(|r| r.data_change)) {
                return rewritten;
            }
            let new = lines.iter().filter_map(|l| l.add.as_ref()).filter(|a| a.data_change);
            added.extend(new.map(|a| Arc::new(file_of(table, a, &snapshot.schema))));
        }
        if added.is_empty() {
            return Ok(Since::Unchanged { version: now });
        }
        // Compaction may have merged some of them since; the originals stay readable until upkeep removes them.
        let present: BTreeSet<&str> = snapshot.files.iter().map(|f| f.name.as_str()).collect();
        for file in added.iter().filter(|f| !present.contains(f.name.as_str())) {
            match store.head(&file.path).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => return rewritten,
                Err(e) => return Err(Error::store(table, "look for a data file", e)),
            }
        }
        let rows = added.iter().filter_map(|f| f.rows()).sum();
        let provider = scan::part(snapshot, added, self.place());
        Ok(Since::Appended { version: now, rows, provider })
    }
}
