//! Where deltalake works: on threads of its own that live as long as the process.
//!
//! Its kernel waits on blocking threads for tasks of the runtime that asked. If that runtime goes first (a command
//! that ends, a look that timed out), the threads find nobody to wait for and panic. Here a question that nobody
//! waits for any more is simply answered into the void. Replaying a long log also keeps nobody else waiting.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, LazyLock};

use deltalake_core::checkpoints::create_checkpoint;
use futures::TryStreamExt;
use object_store::ObjectStore;
use store::Timestamp;
use tokio::runtime::{Builder, Runtime};

use super::load::delta_table;
use super::snapshot::from_millis;
use crate::error::{Error, Result};
use crate::table::TableName;

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("delta-log").enable_all().build()
});

/// Runs to its end whatever becomes of the caller.
pub(super) async fn run<T: Send + 'static>(
    table: &TableName,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|e| Error::store(table, "start threads that read its log", e))?;
    match runtime.spawn(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::damaged(table, format!("its log cannot be read: {e}"))),
    }
}

/// Writes a checkpoint of the newest version.
pub(crate) async fn checkpoint(store: &Arc<dyn ObjectStore>, table: &TableName) -> Result<()> {
    let (store, name) = (store.clone(), table.clone());
    let work = async move {
        let delta = delta_table(&store, &name).await?;
        create_checkpoint(&delta, None).await.map_err(|e| Error::store(&name, "write a checkpoint", e))
    };
    run(table, work).await
}

/// Removed files and when they were removed, as far back as the log remembers.
pub(crate) async fn tombstones(
    store: &Arc<dyn ObjectStore>,
    table: &TableName,
) -> Result<BTreeMap<String, Timestamp>> {
    let (store, name) = (store.clone(), table.clone());
    let work = async move {
        let failed = |e: deltalake_core::DeltaTableError| Error::store(&name, "read the removed files", e);
        let delta = delta_table(&store, &name).await?;
        let state = delta.snapshot().map_err(failed)?;
        let log_store = delta.log_store();
        let mut found = state.all_tombstones(log_store.as_ref());
        let mut tombstones = BTreeMap::new();
        while let Some(tombstone) = found.try_next().await.map_err(failed)? {
            tombstones.insert(
                tombstone.path().to_string(),
                from_millis(tombstone.deletion_timestamp().unwrap_or(0)),
            );
        }
        Ok(tombstones)
    };
    run(table, work).await
}
