//! From a change to a commit: the actions, the attempt, and the snapshot that follows.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use serde_json::{Value, json};

use crate::catalog::Entry;
use crate::error::{Error, Result};
use crate::log::{self, Add, CommitInfo, DataFile, Line, Next, Outcome, Own, Remove, Snapshot, file_of};
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// The table property by which we know a table that we made.
pub(crate) const OURS: &str = "guanlan.table";
/// The table property that names the key columns of a table whose rows change by key, as a JSON list.
pub(crate) const KEY: &str = "guanlan.key";

/// What one commit does to a table.
#[derive(Default)]
pub(crate) struct Change {
    pub operation: &'static str,
    /// False when the rows stay the same (compaction).
    pub data_change: bool,
    /// The new schema, where it changes or the table is new.
    pub schema: Option<SchemaRef>,
    pub removed: Vec<Arc<DataFile>>,
    pub added: Vec<Add>,
    /// The columns by which rows are replaced from now on; empty leaves that as it is.
    pub key: Vec<String>,
}

/// Writes the next version. `None` when someone else took it; the caller looks again and decides anew.
/// The table's writer lock is held by the caller.
pub(crate) async fn commit(
    warehouse: &Warehouse,
    entry: &Entry,
    present: Option<&Snapshot>,
    change: Change,
    own: Own,
) -> Result<Option<i64>> {
    let table = &entry.table;
    let now = warehouse.clock().now();
    let version = present.map_or(0, |s| s.version + 1);
    let (id, position) = (own.commit.clone(), own.stream.clone().zip(own.seq));
    let mut lines = vec![Line {
        commit_info: Some(CommitInfo {
            timestamp: Some(now.timestamp_millis()),
            operation: Some(
                if present.is_none() { "CREATE TABLE AS SELECT" } else { change.operation }.into(),
            ),
            operation_parameters: Some(json!({})),
            engine_info: Some(format!("guanlan/{}", env!("CARGO_PKG_VERSION"))),
            guanlan: Some(own),
        }),
        ..Line::default()
    }];
    let mut next = Next { committed_at: change.data_change.then_some(now), ..Next::default() };
    let key = (!change.key.is_empty()).then(|| json!(change.key).to_string());
    let key = key.filter(|key| present.and_then(|s| s.property(KEY)) != Some(key));
    if let Some(schema) =
        change.schema.as_ref().or_else(|| key.as_ref().and(present).map(|present| &present.schema))
    {
        declare(warehouse, table, present, (schema, key), &mut lines, &mut next)?;
    }
    if let Some((stream, seq)) = &position {
        let txn = log::Transaction {
            app_id: stream.clone(),
            version: *seq,
            last_updated: Some(now.timestamp_millis()),
        };
        lines.push(Line { txn: Some(txn), ..Line::default() });
    }
    for file in &change.removed {
        next.removed.insert(file.name.clone());
        let remove = Remove {
            path: file.name.clone(),
            deletion_timestamp: Some(now.timestamp_millis()),
            data_change: change.data_change,
            extended_file_metadata: Some(true),
            partition_values: Default::default(),
            size: Some(file.size as i64),
        };
        lines.push(Line { remove: Some(remove), ..Line::default() });
    }
    let schema = next.schema.clone().or_else(|| present.map(|s| s.schema.clone()));
    let schema = schema.ok_or_else(|| Error::damaged(table, "a commit without a schema"))?;
    for add in change.added {
        let add = Add { data_change: change.data_change, ..add };
        next.added.push(file_of(table, &add, &schema));
        lines.push(Line { add: Some(add), ..Line::default() });
    }
    match log::write_commit(&warehouse.place().store, table, version, &id, &lines).await? {
        Outcome::Taken => Ok(None),
        Outcome::Written => {
            let before = match present {
                Some(snapshot) => snapshot.clone(),
                None => Snapshot::loose(table.clone(), schema, vec![]),
            };
            let position = position.as_ref().map(|(stream, seq)| (stream.as_str(), *seq));
            let removed = next.removed.clone();
            warehouse.catalog().committed(entry, before.after(version, next), position, removed);
            Ok(Some(version))
        }
    }
}

/// The protocol and metaData lines for a new schema or key.
fn declare(
    warehouse: &Warehouse,
    table: &TableName,
    present: Option<&Snapshot>,
    (schema, key): (&SchemaRef, Option<String>),
    lines: &mut Vec<Line>,
    next: &mut Next,
) -> Result<()> {
    let naive = schema.fields().iter().any(|f| has_naive_time(f.data_type()));
    let had = present.is_some_and(|s| s.features.contains("timestampNtz"));
    if present.is_none() || (naive && !had) {
        let protocol = if naive {
            next.features = Some(BTreeSet::from(["timestampNtz".into(), "w:timestampNtz".into()]));
            json!({
                "minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"]
            })
        } else {
            json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
        };
        lines.push(Line { protocol: Some(protocol), ..Line::default() });
    }
    let text = schema_string(table, schema)?;
    let mut metadata = match present {
        Some(snapshot) => {
            let mut metadata = snapshot.metadata.clone();
            metadata["schemaString"] = text.into();
            metadata
        }
        None => json!({
            "id": store::new_id(warehouse.clock().as_ref()),
            "name": table.to_string(),
            "format": { "provider": "parquet", "options": {} },
            "schemaString": text,
            "partitionColumns": [],
            // The log keeps where streams stand; upkeep shortens it without losing that.
            "configuration": { OURS: "1", "delta.enableExpiredLogCleanup": "false" },
            "createdTime": warehouse.clock().now().timestamp_millis(),
        }),
    };
    if let Some(key) = key {
        metadata["configuration"][KEY] = key.into();
    }
    // Read back what readers will see, so that our snapshot has the very same types.
    next.schema = Some(log::arrow_schema(&metadata).map_err(|e| Error::damaged(table, e))?);
    next.metadata = Some(metadata.clone());
    lines.push(Line { meta_data: Some(metadata), ..Line::default() });
    Ok(())
}

fn schema_string(table: &TableName, schema: &Schema) -> Result<String> {
    let kernel: StructType =
        schema.try_into_kernel().map_err(|e: datafusion::arrow::error::ArrowError| {
            Error::invalid(format!("{table}: the columns do not fit a Delta table: {e}"))
        })?;
    let value: Value = serde_json::to_value(&kernel).map_err(|e| Error::damaged(table, e))?;
    Ok(value.to_string())
}

fn has_naive_time(kind: &DataType) -> bool {
    match kind {
        DataType::Timestamp(TimeUnit::Microsecond, None) => true,
        DataType::List(item) => has_naive_time(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_naive_time(f.data_type())),
        _ => false,
    }
}
