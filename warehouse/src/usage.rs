//! `system.tables`: what each table holds and what room it takes, its earlier versions and its log included.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use object_store::ObjectMeta;

use crate::error::{Error, Result};
use crate::log::Snapshot;
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// The name in the zone system.
pub(crate) const TABLES: &str = "tables";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        field("zone", DataType::Utf8),
        field("name", DataType::Utf8),
        field("rows", DataType::Int64),
        field("files", DataType::Int64),
        field("version", DataType::Int64),
        field("versions", DataType::Int64),
        field("live_bytes", DataType::Int64),
        field("stored_bytes", DataType::Int64),
        field("log_bytes", DataType::Int64),
        field("updated_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ]))
});

pub(crate) fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// What a table takes on the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Everything in its folder: present and earlier data, log, checkpoints.
    pub stored_bytes: u64,
    /// Of these the log and its checkpoints.
    pub log_bytes: u64,
    /// Versions whose commits are kept.
    pub versions: u64,
}

impl Warehouse {
    /// Counts by listing the table's folder.
    pub async fn usage(&self, table: &TableName) -> Result<Usage> {
        let folder = table.folder();
        let count = async |mut usage: Usage, file: ObjectMeta| {
            usage.stored_bytes += file.size;
            if file.location.as_ref().contains("/_delta_log/") {
                usage.log_bytes += file.size;
                usage.versions += u64::from(file.location.as_ref().ends_with(".json"));
            }
            Ok(usage)
        };
        let listed = self.place().store.list(Some(&folder)).try_fold(Usage::default(), count).await;
        listed.map_err(|e| Error::store(table, "list its files", e))
    }
}

#[derive(Debug)]
pub(crate) struct TablesScan(pub(crate) Warehouse);

impl TablesScan {
    async fn rows(&self) -> Result<RecordBatch> {
        let mut found: Vec<(Arc<Snapshot>, Usage)> = vec![];
        for name in self.0.catalog().names() {
            match self.0.snapshot(&name).await {
                Ok(Some(snapshot)) => found.push((snapshot, self.0.usage(&name).await?)),
                Ok(None) => {}
                // One damaged table does not hide the others.
                Err(e) => tracing::error!(table.name = %name, error.message = %e, "a table cannot be read"),
            }
        }
        let texts = |pick: &dyn Fn(&Snapshot) -> String| -> ArrayRef {
            Arc::new(found.iter().map(|(s, _)| Some(pick(s))).collect::<StringArray>())
        };
        let counts = |pick: &dyn Fn(&Snapshot, &Usage) -> Option<i64>| -> ArrayRef {
            Arc::new(found.iter().map(|(s, usage)| pick(s, usage)).collect::<Int64Array>())
        };
        let moments: TimestampMicrosecondArray =
            found.iter().map(|(s, _)| Some(s.committed_at.timestamp_micros())).collect();
        let columns = vec![
            texts(&|s| s.table.zone.to_string()),
            texts(&|s| s.table.name.clone()),
            counts(&|s, _| Some(s.rows()? as i64)),
            counts(&|s, _| Some(s.files.len() as i64)),
            counts(&|s, _| Some(s.version)),
            counts(&|_, usage| Some(usage.versions as i64)),
            counts(&|s, _| Some(s.bytes() as i64)),
            counts(&|_, usage| Some(usage.stored_bytes as i64)),
            counts(&|_, usage| Some(usage.log_bytes as i64)),
            Arc::new(moments.with_timezone("UTC")),
        ];
        let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
        Ok(RecordBatch::try_new_with_options(schema(), columns, &options)?)
    }
}

#[async_trait]
impl TableProvider for TablesScan {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let rows = self.rows().await.map_err(Error::into_datafusion)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![rows]], schema(), projection.cloned())?)
    }
}
