//! Reading a snapshot as a plain Parquet scan.
//!
//! deltalake's own scan node cannot be serialized and hides its statistics; ours is DataFusion's Parquet
//! `DataSourceExec` over exactly the snapshot's files, with the log's statistics on every file, so that whole files are
//! skipped, and `count(*)` is answered, without opening any.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array, new_empty_array};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, DFSchema, Result as DfResult, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;

use crate::log::{DataFile, Kind, Snapshot};

/// Footer and page index of a file of ours usually fit into its last bytes.
const FOOTER_HINT: usize = 64 << 10;

/// Where files are smaller than this on average, telling which of a file's parts to read costs more than reading it:
/// the log's bounds have left out whole files already.
const SMALL: u64 = 256 << 10;

/// A table at one version, for DataFusion.
#[derive(Clone)]
pub(crate) struct Scan {
    snapshot: Arc<Snapshot>,
    /// The files to read; a part of the snapshot's, or files that are not committed yet.
    files: Vec<Arc<DataFile>>,
    whole: bool,
    url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scan({:?}, {} files)", self.snapshot, self.files.len())
    }
}

/// The place that scans read from, as DataFusion knows it.
#[derive(Clone)]
pub(crate) struct Place {
    pub url: ObjectStoreUrl,
    pub store: Arc<dyn ObjectStore>,
}

/// The provider of a whole snapshot.
pub(crate) fn provider(snapshot: Arc<Snapshot>, place: &Place) -> Arc<dyn TableProvider> {
    match &snapshot.kind {
        Kind::Foreign(provider) => provider.clone(),
        Kind::Plain => {
            let files = snapshot.files.clone();
            let Place { url, store } = place.clone();
            Arc::new(Scan { snapshot, files, whole: true, url, store })
        }
    }
}

/// The provider of some files under the snapshot's schema.
pub(crate) fn part(
    snapshot: Arc<Snapshot>,
    files: Vec<Arc<DataFile>>,
    place: &Place,
) -> Arc<dyn TableProvider> {
    let Place { url, store } = place.clone();
    Arc::new(Scan { snapshot, files, whole: false, url, store })
}

#[async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        self.snapshot.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Every filter helps to skip files and row groups; DataFusion still applies it to the rows.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        self.whole.then(|| self.snapshot.total().clone())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let predicate = match conjunction(filters.iter().cloned()) {
            Some(all) => Some(session.create_physical_expr(all, &DFSchema::try_from(schema.clone())?)?),
            None => None,
        };
        let mut files = self.files.clone();
        if let Some(predicate) = &predicate {
            files = surviving(files, predicate, &schema);
        } else if let Some(limit) = limit {
            files = enough(files, limit);
        }
        if files.is_empty() {
            let projected = match projection {
                Some(columns) => Arc::new(schema.project(columns)?),
                None => schema,
            };
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let statistics = match self.whole && files.len() == self.files.len() {
            true => self.snapshot.total().clone(),
            false => Statistics::try_merge_iter(files.iter().map(|f| f.statistics.as_ref()), &schema)?,
        };
        let footers = session.runtime_env().cache_manager.get_file_metadata_cache();
        let mut options = session.config_options().execution.parquet.clone();
        if files.iter().map(|f| f.size).sum::<u64>() < SMALL * files.len() as u64 {
            (options.pruning, options.enable_page_index, options.bloom_filter_on_read) =
                (false, false, false);
        }
        let mut source = ParquetSource::new(schema)
            .with_table_parquet_options(datafusion::common::config::TableParquetOptions {
                global: options,
                ..Default::default()
            })
            .with_parquet_file_reader_factory(Arc::new(Reader {
                files: CachedParquetFileReaderFactory::new(self.store.clone(), footers),
                snapshot: self.snapshot.clone(),
            }))
            .with_metadata_size_hint(FOOTER_HINT);
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let partitions = session.config().target_partitions().max(1);
        let group = FileGroup::new(files.iter().map(|f| partitioned(f)).collect());
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(group.split_files(partitions))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Opens the files of a version and holds on to it as long as a plan or a running stream may open another: upkeep
/// leaves files alone whose version somebody holds.
#[derive(Debug)]
struct Reader {
    files: CachedParquetFileReaderFactory,
    snapshot: Arc<Snapshot>,
}

impl ParquetFileReaderFactory for Reader {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DfResult<Box<dyn AsyncFileReader + Send>> {
        let reader = self.files.create_reader(partition, file, hint, metrics)?;
        Ok(Box::new(Held { reader, _snapshot: self.snapshot.clone() }))
    }
}

/// One open file of a version.
struct Held {
    reader: Box<dyn AsyncFileReader + Send>,
    _snapshot: Arc<Snapshot>,
}

impl AsyncFileReader for Held {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.reader.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.reader.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        self.reader.get_metadata(options)
    }
}

fn partitioned(file: &DataFile) -> PartitionedFile {
    let mut found = PartitionedFile::new("", file.size).with_statistics(file.statistics.clone());
    found.object_meta.location = file.path.clone();
    // A path is never reused for other bytes, so size and this constant identify the cached footer.
    found.object_meta.last_modified = store::from_micros(file.modified.saturating_mul(1000));
    found
}

/// As many files as hold `limit` rows.
fn enough(files: Vec<Arc<DataFile>>, limit: usize) -> Vec<Arc<DataFile>> {
    let mut rows = 0usize;
    let mut taken = vec![];
    for file in files {
        if rows >= limit && !taken.is_empty() {
            break;
        }
        // A file of unknown length counts for nothing.
        rows = rows.saturating_add(file.rows().unwrap_or(0) as usize);
        taken.push(file);
    }
    taken
}

/// The files that may hold a row for which `predicate` is true.
pub(crate) fn surviving(
    files: Vec<Arc<DataFile>>,
    predicate: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
) -> Vec<Arc<DataFile>> {
    let Ok(pruning) =
        PruningPredicateBuilder::new().with_file_schema(schema.clone()).try_build(predicate.clone())
    else {
        return files;
    };
    if pruning.always_true() {
        return files;
    }
    let bounds = Bounds { files: &files, schema };
    let Ok(keep) = pruning.prune(&bounds) else { return files };
    files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect()
}

struct Bounds<'a> {
    files: &'a [Arc<DataFile>],
    schema: &'a SchemaRef,
}

impl Bounds<'_> {
    fn column(
        &self,
        column: &Column,
        pick: impl Fn(&datafusion::common::ColumnStatistics) -> &Precision<ScalarValue>,
    ) -> Option<ArrayRef> {
        let (index, field) = self.schema.column_with_name(&column.name)?;
        let null = ScalarValue::try_from(field.data_type()).ok()?;
        let values = self.files.iter().map(|f| {
            let found = f.statistics.column_statistics.get(index).and_then(|c| pick(c).get_value().cloned());
            found.filter(|v| v.data_type() == *field.data_type()).unwrap_or_else(|| null.clone())
        });
        if self.files.is_empty() {
            return Some(new_empty_array(field.data_type()));
        }
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column, |c| &c.min_value)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column, |c| &c.max_value)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let (index, _) = self.schema.column_with_name(&column.name)?;
        let counts = self.files.iter().map(|f| {
            let count = f.statistics.column_statistics.get(index)?.null_count.get_value().copied();
            count.map(|n| n as u64)
        });
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.iter().map(|f| f.rows()).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Whether a column's bounds are kept for it (texts, numbers and moments, not lists or bytes).
pub(crate) fn comparable(kind: &DataType) -> bool {
    !kind.is_nested() && !matches!(kind, DataType::Binary | DataType::Boolean)
}
