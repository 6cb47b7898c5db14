//! Loading a table and following its log.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::{DeltaTable, DeltaTableBuilder};
use futures::StreamExt;
use object_store::ObjectStore;
use serde_json::Value;

use super::action::{Add, Line};
use super::commit::read_commit;
use super::kernel;
use super::ordered::Ordered;
use super::snapshot::{Kind, Next, Snapshot, file_of, from_millis};
use crate::error::{Error, Result};
use crate::table::TableName;

/// Reader features that change nothing for a reader of plain Parquet files.
const HARMLESS: [&str; 4] = ["timestampNtz", "vacuumProtocolCheck", "v2Checkpoint", "columnMapping"];

/// Whether the folder holds a Delta log at all.
pub(crate) async fn exists(store: &Arc<dyn ObjectStore>, table: &TableName) -> Result<bool> {
    let log = table.folder().join("_delta_log");
    match store.list(Some(&log)).next().await {
        None | Some(Err(object_store::Error::NotFound { .. })) => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(e)) => Err(Error::store(table, "list the log", e)),
    }
}

/// deltalake's view of the table, loaded. Only inside [`kernel::run`].
pub(crate) async fn delta_table(store: &Arc<dyn ObjectStore>, table: &TableName) -> Result<DeltaTable> {
    // The scheme only selects deltalake's plain log store; every byte goes through our store, whose root is "/".
    let location = url::Url::parse(&format!("memory:///{}/", table.folder()))
        .map_err(|e| Error::damaged(table, format!("its place is not a URL: {e}")))?;
    let builder = DeltaTableBuilder::from_url(location.clone()).map_err(|e| failed(table, e))?;
    builder
        .with_storage_backend(Arc::new(Ordered(store.clone())), location)
        .load()
        .await
        .map_err(|e| failed(table, e))
}

fn failed(table: &TableName, error: deltalake_core::DeltaTableError) -> Error {
    use deltalake_core::DeltaTableError as E;
    match error {
        E::ObjectStore { source } => Error::store(table, "read the log", source),
        other => {
            let text = other.to_string();
            match unsupported(&text) {
                Some(feature) => Error::Unsupported { table: table.clone(), feature },
                None => Error::damaged(table, text),
            }
        }
    }
}

/// The kernel names the feature inside its message.
fn unsupported(text: &str) -> Option<String> {
    let at = text.to_ascii_lowercase().find("unsupported")?;
    Some(text[at..].chars().take(160).collect())
}

/// The newest version; `None` when there is no log.
pub(crate) async fn load(store: &Arc<dyn ObjectStore>, table: &TableName) -> Result<Option<Snapshot>> {
    if !exists(store, table).await? {
        return Ok(None);
    }
    let (store, name) = (store.clone(), table.clone());
    kernel::run(table, async move { replayed(&store, &name).await.map(Some) }).await
}

async fn replayed(store: &Arc<dyn ObjectStore>, table: &TableName) -> Result<Snapshot> {
    let delta = delta_table(store, table).await?;
    let state = delta.snapshot().map_err(|e| failed(table, e))?;
    let version = i64::try_from(state.version()).unwrap_or(i64::MAX);
    let metadata = serde_json::to_value(state.metadata()).map_err(|e| Error::damaged(table, e))?;
    let features = features(&serde_json::to_value(state.protocol()).map_err(|e| Error::damaged(table, e))?);
    let schema: SchemaRef = arrow_schema(&metadata).map_err(|e| Error::damaged(table, e))?;
    let mut plain = is_plain(&metadata, &features);
    let mut files = vec![];
    let mut newest = None::<i64>;
    for view in state.log_data().iter() {
        plain &= view.deletion_vector_descriptor().is_none();
        newest = newest.max(Some(view.modification_time()));
        let add = Add {
            path: view.path().into_owned(),
            partition_values: Default::default(),
            size: view.size(),
            modification_time: view.modification_time(),
            data_change: true,
            stats: view.stats(),
            deletion_vector: None,
        };
        plain &= !add.path.contains("://") && !add.path.starts_with('/');
        files.push(Arc::new(file_of(table, &add, &schema)));
    }
    let committed = match newest {
        Some(millis) => millis,
        None => last_commit_millis(store, table, version).await?,
    };
    let kind = if plain {
        Kind::Plain
    } else {
        let provider = delta.table_provider().await.map_err(|e| failed(table, e.into()))?;
        Kind::Foreign(provider)
    };
    let schema = match &kind {
        Kind::Plain => schema,
        Kind::Foreign(provider) => provider.schema(),
    };
    Ok(Snapshot {
        table: table.clone(),
        version,
        schema,
        files,
        committed_at: from_millis(committed),
        kind,
        metadata,
        features,
        total: OnceLock::new(),
    })
}

async fn last_commit_millis(store: &Arc<dyn ObjectStore>, table: &TableName, version: i64) -> Result<i64> {
    let found = read_commit(store, table, version).await?.unwrap_or_default();
    Ok(found.iter().find_map(|l| l.commit_info.as_ref()?.timestamp).unwrap_or(0))
}

/// The log's value for a stream, from deltalake (which reads checkpoints too).
pub(crate) async fn transaction(
    store: &Arc<dyn ObjectStore>,
    table: &TableName,
    stream: &str,
) -> Result<Option<i64>> {
    let (store, name, stream) = (store.clone(), table.clone(), stream.to_owned());
    let work = async move {
        let delta = delta_table(&store, &name).await?;
        let state = delta.snapshot().map_err(|e| failed(&name, e))?;
        state.transaction_version(delta.log_store().as_ref(), &stream).await.map_err(|e| failed(&name, e))
    };
    kernel::run(table, work).await
}

/// The snapshot after every commit that has appeared since; the streams' new positions on the way.
/// `None` when a commit needs a full load (someone else changed the protocol or the schema, or the log has a gap).
pub(crate) async fn follow(
    store: &Arc<dyn ObjectStore>,
    from: &Snapshot,
    streams: &mut Vec<(String, i64)>,
) -> Result<Option<Snapshot>> {
    let mut snapshot = from.clone();
    loop {
        let version = snapshot.version + 1;
        let Some(lines) = read_commit(store, &snapshot.table, version).await? else {
            return Ok(Some(snapshot));
        };
        streams.extend(lines.iter().filter_map(|l| l.txn.as_ref()).map(|t| (t.app_id.clone(), t.version)));
        match applied(&snapshot, version, &lines) {
            Some(next) => snapshot = next,
            None => return Ok(None),
        }
    }
}

/// `None` when the commit is more than plain adds and removes.
pub(crate) fn applied(snapshot: &Snapshot, version: i64, lines: &[Line]) -> Option<Snapshot> {
    if matches!(snapshot.kind, Kind::Foreign(_)) {
        return None;
    }
    let mut next = Next::default();
    let mut data_change = false;
    for line in lines {
        if line.protocol.is_some() || line.meta_data.is_some() {
            return None;
        }
        if let Some(remove) = &line.remove {
            data_change |= remove.data_change;
            next.removed.insert(remove.path.clone());
        }
        if let Some(add) = &line.add {
            // Encoded names and deletion vectors are deltalake's to decode.
            if add.deletion_vector.is_some() || add.path.contains('%') || add.path.contains(':') {
                return None;
            }
            data_change |= add.data_change;
            next.added.push(file_of(&snapshot.table, add, &snapshot.schema));
        }
    }
    if data_change {
        let millis = lines.iter().find_map(|l| l.commit_info.as_ref()?.timestamp);
        next.committed_at = millis.map(from_millis);
    }
    Some(snapshot.after(version, next))
}

/// Arrow's view of the `schemaString`.
pub(crate) fn arrow_schema(metadata: &Value) -> std::result::Result<SchemaRef, String> {
    let text = metadata.get("schemaString").and_then(Value::as_str).ok_or("metaData has no schemaString")?;
    let schema: StructType = serde_json::from_str(text).map_err(|e| format!("schemaString: {e}"))?;
    let arrow: Schema = (&schema).try_into_arrow().map_err(|e| format!("schemaString: {e}"))?;
    Ok(Arc::new(arrow))
}

fn features(protocol: &Value) -> BTreeSet<String> {
    let list = |key: &str| {
        protocol
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
    };
    list("readerFeatures").chain(list("writerFeatures").map(|f| format!("w:{f}"))).collect()
}

fn is_plain(metadata: &Value, features: &BTreeSet<String>) -> bool {
    let mapped = metadata
        .get("configuration")
        .and_then(|c| c.get("delta.columnMapping.mode"))
        .and_then(Value::as_str)
        .is_some_and(|mode| mode != "none");
    let partitioned =
        metadata.get("partitionColumns").and_then(Value::as_array).is_some_and(|c| !c.is_empty());
    let known = features
        .iter()
        .all(|f| f.starts_with("w:") || HARMLESS.contains(&f.as_str()) || f == "deletionVectors");
    !mapped && !partitioned && known
}
