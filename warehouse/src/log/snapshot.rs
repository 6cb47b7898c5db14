//! A table at one version.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use object_store::path::Path;
use serde_json::Value;
use store::{Timestamp, from_micros};

use super::action::Add;
use super::statistics::{aligned, to_statistics};
use crate::table::TableName;

/// One Parquet file of a table.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// As the log writes it, relative to the table's folder.
    pub(crate) name: String,
    /// Under the root of the store.
    pub(crate) path: Path,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since 1970: when its newest rows were committed.
    pub(crate) modified: i64,
    /// One entry per column of the snapshot's schema.
    pub(crate) statistics: Arc<Statistics>,
    /// The log's own text, kept for rewriting the action.
    pub(crate) stats: Option<String>,
}

impl DataFile {
    /// Exact when the log says so.
    pub fn rows(&self) -> Option<u64> {
        match self.statistics.num_rows {
            Precision::Exact(n) => Some(n as u64),
            _ => None,
        }
    }
}

/// How to read it.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Plain Parquet files: our own scan.
    Plain,
    /// Written by someone else with features that our scan does not know: deltalake's provider.
    Foreign(Arc<dyn TableProvider>),
}

/// A table at one version. Immutable: readers hold on to it for the length of a query.
#[derive(Clone)]
pub struct Snapshot {
    pub table: TableName,
    pub version: i64,
    pub schema: SchemaRef,
    pub files: Vec<Arc<DataFile>>,
    /// When data last changed (compaction does not count), by the writer's clock.
    pub committed_at: Timestamp,
    pub(crate) kind: Kind,
    /// The `metaData` action and the protocol's feature names.
    pub(crate) metadata: Value,
    pub(crate) features: BTreeSet<String>,
    pub(crate) total: OnceLock<Statistics>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({}@{}, {} files)", self.table, self.version, self.files.len())
    }
}

impl Snapshot {
    /// Files under a schema that no commit holds yet.
    pub(crate) fn loose(table: TableName, schema: SchemaRef, files: Vec<Arc<DataFile>>) -> Self {
        Self {
            table,
            version: -1,
            schema,
            files,
            committed_at: Timestamp::UNIX_EPOCH,
            kind: Kind::Plain,
            metadata: Value::Null,
            features: BTreeSet::new(),
            total: OnceLock::new(),
        }
    }

    /// Rows by the log's statistics; `None` when a file lacks them.
    pub fn rows(&self) -> Option<u64> {
        match self.kind {
            Kind::Plain => self.files.iter().map(|f| f.rows()).sum(),
            Kind::Foreign(_) => None,
        }
    }

    /// Bytes of the data files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// The columns that the table was declared with beyond the schema, such as `guanlan.title`.
    pub fn property(&self, key: &str) -> Option<&str> {
        self.metadata.get("configuration")?.get(key)?.as_str()
    }

    /// Statistics over all files, computed once.
    pub(crate) fn total(&self) -> &Statistics {
        self.total.get_or_init(|| {
            Statistics::try_merge_iter(self.files.iter().map(|f| f.statistics.as_ref()), &self.schema)
                .unwrap_or_else(|_| Statistics::new_unknown(&self.schema))
        })
    }

    /// The snapshot after a commit of ours or a plain commit of someone else.
    pub(crate) fn after(&self, version: i64, next: Next) -> Self {
        let grown = next.schema.as_ref().is_some_and(|s| s.fields().len() != self.schema.fields().len());
        let schema = next.schema.clone().unwrap_or_else(|| self.schema.clone());
        let kept = self.files.iter().filter(|f| !next.removed.contains(&f.name)).map(|f| {
            if grown {
                Arc::new(DataFile { statistics: aligned(f, &schema), ..f.as_ref().clone() })
            } else {
                f.clone()
            }
        });
        let files = kept.chain(next.added.into_iter().map(Arc::new)).collect();
        Self {
            table: self.table.clone(),
            version,
            schema,
            files,
            committed_at: next.committed_at.unwrap_or(self.committed_at),
            kind: self.kind.clone(),
            metadata: next.metadata.unwrap_or_else(|| self.metadata.clone()),
            features: next.features.unwrap_or_else(|| self.features.clone()),
            total: OnceLock::new(),
        }
    }
}

/// What a commit changes.
#[derive(Default)]
pub(crate) struct Next {
    pub schema: Option<SchemaRef>,
    pub metadata: Option<Value>,
    pub features: Option<BTreeSet<String>>,
    pub removed: BTreeSet<String>,
    pub added: Vec<DataFile>,
    pub committed_at: Option<Timestamp>,
}

/// The file of an `add` action, with statistics for `schema`.
pub(crate) fn file_of(table: &TableName, add: &Add, schema: &SchemaRef) -> DataFile {
    let stats = add.stats.as_deref();
    DataFile {
        name: add.path.clone(),
        path: add.path.split('/').fold(table.folder(), |path, part| path.join(part)),
        size: add.size.max(0) as u64,
        modified: add.modification_time,
        statistics: Arc::new(to_statistics(stats, add.size.max(0) as u64, schema)),
        stats: add.stats.clone(),
    }
}

pub(crate) fn from_millis(millis: i64) -> Timestamp {
    from_micros(millis.saturating_mul(1000))
}
