//! The room through its door, on real stores.

mod faults;
mod foreign;
mod landing;
mod reading;
mod unchanged;
mod upkeep;
mod upsert;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use access::{Principal, Role};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use store::{ManualClock, Metadata, Objects, StoreSpec, Timestamp};

use crate::{Landing, LoadMark, Result, Settings, TableName, Warehouse};

/// A folder that vanishes with its last use.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("guanlan-warehouse-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A warehouse with its clock.
pub(crate) struct House {
    pub warehouse: Warehouse,
    pub clock: Arc<ManualClock>,
    pub store: Arc<dyn ObjectStore>,
    _folder: Option<Folder>,
}

pub(crate) fn settings() -> Settings {
    Settings { memory_mib: 256, partitions: Some(2), timeout: Duration::from_secs(30), ..Settings::default() }
}

pub(crate) fn origin() -> Timestamp {
    "2026-03-02T01:00:00Z".parse().unwrap()
}

impl House {
    pub(crate) async fn local() -> Self {
        let folder = Folder::new();
        let objects = Objects::open(&StoreSpec::Local { path: folder.0.clone() }, &folder.0).unwrap();
        let mut house = Self::on(objects.store(), settings()).await;
        house._folder = Some(folder);
        house
    }

    pub(crate) async fn memory() -> Self {
        Self::on(Objects::memory().store(), settings()).await
    }

    pub(crate) async fn on(store: Arc<dyn ObjectStore>, settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new(origin(), 7));
        let db = Metadata::memory().await.unwrap();
        let warehouse = Warehouse::on(store.clone(), db, clock.clone(), settings).await.unwrap();
        Self { warehouse, clock, store, _folder: None }
    }

    /// The same store after a restart, with an empty metadata database.
    pub(crate) async fn reopened(&self) -> Warehouse {
        let db = Metadata::memory().await.unwrap();
        Warehouse::on(self.store.clone(), db, self.clock.clone(), settings()).await.unwrap()
    }

    pub(crate) async fn land(
        &self,
        table: &str,
        rows: Vec<RecordBatch>,
        how: Landing,
        seq: i64,
    ) -> Result<crate::Landed> {
        self.clock.advance(Duration::from_secs(2));
        self.warehouse.land(&name(table), stream(rows), how, mark(seq)).await
    }

    /// Rows of a query as text lines, in its order.
    pub(crate) async fn lines(&self, sql: &str) -> Vec<String> {
        lines_of(&self.warehouse, sql).await.unwrap()
    }
}

pub(crate) async fn lines_of(warehouse: &Warehouse, sql: &str) -> Result<Vec<String>> {
    let answer = warehouse.session(&person(Role::Admin)).sql(sql).await?;
    let (batches, _) = answer.collect(100_000).await?;
    Ok(table_lines(&batches))
}

pub(crate) fn table_lines(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let rows = text.lines().filter(|l| l.starts_with('|')).skip(1);
    rows.map(|l| l.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",")).collect()
}

pub(crate) fn person(role: Role) -> Principal {
    Principal { user: format!("a_{role}"), display: role.to_string(), roles: vec![role], locale: None }
}

pub(crate) fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

pub(crate) fn mark(seq: i64) -> LoadMark {
    LoadMark {
        stream: "source/orders".into(),
        seq,
        cursor: serde_json::json!({ "at": seq }),
        operation: format!("op-{seq}"),
    }
}

pub(crate) fn stream(rows: Vec<RecordBatch>) -> BoxStream<'static, Result<RecordBatch>> {
    futures::stream::iter(rows.into_iter().map(Ok)).boxed()
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

/// `id`, `amount`, and `note` = "n<amount>".
pub(crate) fn orders(rows: &[(i64, i64)]) -> RecordBatch {
    let ids: Int64Array = rows.iter().map(|r| Some(r.0)).collect();
    let amounts: Int64Array = rows.iter().map(|r| Some(r.1)).collect();
    let notes: StringArray = rows.iter().map(|r| Some(format!("n{}", r.1))).collect();
    batch(vec![("id", Arc::new(ids)), ("amount", Arc::new(amounts)), ("note", Arc::new(notes))])
}
