//! Writing one version: create-if-absent, and reading back when nobody can tell whether it was written.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::action::{Line, lines, write};
use crate::error::{Error, Result};
use crate::table::TableName;

/// How an attempt to write a version ended, as far as the log says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The version is ours (also when the store first said otherwise).
    Written,
    /// Someone else has that version.
    Taken,
}

pub(crate) fn commit_path(table: &TableName, version: i64) -> Path {
    table.folder().join("_delta_log").join(format!("{version:020}.json"))
}

/// Writes `actions` as `version`. `id` is the `guanlan.commit` inside them: after any error, and after
/// AlreadyExists (which object_store reports for our own commit when it repeats a PUT after a 5xx), the log is
/// read back and the id decides.
pub(crate) async fn write_commit(
    store: &Arc<dyn ObjectStore>,
    table: &TableName,
    version: i64,
    id: &str,
    actions: &[Line],
) -> Result<Outcome> {
    let bytes = write(actions).map_err(|e| Error::damaged(table, format!("cannot encode a commit: {e}")))?;
    let path = commit_path(table, version);
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let Err(error) = store.put_opts(&path, bytes.into(), options).await else {
        return Ok(Outcome::Written);
    };
    let exists = matches!(error, StoreError::AlreadyExists { .. } | StoreError::Precondition { .. });
    match read_commit(store, table, version).await {
        Ok(Some(found)) => {
            let ours = found.iter().any(|l| {
                l.commit_info.as_ref().and_then(|c| c.guanlan.as_ref()).is_some_and(|own| own.commit == id)
            });
            if ours && !exists {
                tracing::warn!(table.name = %table, table.version = version, error.message = %error,
                    "a commit arrived although the store reported an error");
            }
            Ok(if ours { Outcome::Written } else { Outcome::Taken })
        }
        Ok(None) => Err(Error::store(table, "write a commit", error)),
        Err(unreadable) => Err(Error::store(
            table,
            "tell whether a commit was written; running the load again is safe",
            format!("{error}; then {unreadable}"),
        )),
    }
}

/// The actions of `version`; `None` when that version does not exist (yet, or any more).
pub(crate) async fn read_commit(
    store: &Arc<dyn ObjectStore>,
    table: &TableName,
    version: i64,
) -> Result<Option<Vec<Line>>> {
    let bytes = match store.get(&commit_path(table, version)).await {
        Ok(found) => found.bytes().await.map_err(|e| Error::store(table, "read a commit", e))?,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(Error::store(table, "read a commit", e)),
    };
    lines(&bytes).map(Some).map_err(|e| Error::damaged(table, format!("version {version}: {e}")))
}

/// The versions whose commits there are, in order.
pub(crate) async fn versions_of(store: &Arc<dyn ObjectStore>, table: &TableName) -> Result<Vec<i64>> {
    let log = table.folder().join("_delta_log");
    let listed: Vec<ObjectMeta> =
        store.list(Some(&log)).try_collect().await.map_err(|e| Error::store(table, "list the log", e))?;
    let version = |m: &ObjectMeta| m.location.filename()?.strip_suffix(".json")?.parse().ok();
    let mut versions: Vec<i64> = listed.iter().filter_map(version).collect();
    versions.sort_unstable();
    Ok(versions)
}
