//! Cleaning as a stream: raw batches in, kept batches out, rejected rows to the side.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::apply::{Cleaned, Cleaner, FILE, LOADED_AT, ROW};
use super::corrected::{Keyed, WATCHED};
use super::ledger::Ledger;
use super::reject::Reject;
use crate::{Error, Result};

/// Columns that say when a row arrived, behind the output columns. No output column can have
/// these names: they hold a space.
pub(super) const ARRIVAL: [&str; 3] = ["arrived at", "arrived file", "arrived row"];

/// How many rows went which way.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) read: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) rejected: AtomicU64,
    /// Rows that the definition says are no data; they are not among `read`.
    pub(super) skipped: AtomicU64,
    pub(super) ledger: Mutex<Ledger>,
    /// Quarantined rows with their keys, while there are not too many.
    pub(super) keyed: Mutex<Vec<Keyed>>,
}

impl Counts {
    fn note(&self, cleaned: &mut Cleaned) {
        if cleaned.rejected.is_empty() && cleaned.rounded.is_empty() {
            return;
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        cleaned.rejected.iter().for_each(|reject| ledger.reject(reject));
        ledger.adjust(std::mem::take(&mut cleaned.rounded));
        let mut keyed = self.keyed.lock().unwrap_or_else(PoisonError::into_inner);
        if keyed.len() <= WATCHED {
            keyed.extend(cleaned.rejected.iter().filter_map(super::corrected::keyed));
        }
    }
}

/// One partition of the raw table on its way through the cleaner. It runs once.
pub(super) struct Wash {
    schema: SchemaRef,
    cleaner: Arc<Cleaner>,
    counts: Arc<Counts>,
    once: Mutex<Option<(SendableRecordBatchStream, mpsc::Sender<Vec<Reject>>)>>,
}

impl fmt::Debug for Wash {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Wash").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Wash {
    pub(super) fn new(
        raw: SendableRecordBatchStream,
        cleaner: Arc<Cleaner>,
        counts: Arc<Counts>,
        rejects: mpsc::Sender<Vec<Reject>>,
    ) -> Self {
        let schema = with_arrival(&cleaner.schema());
        Self { schema, cleaner, counts, once: Mutex::new(Some((raw, rejects))) }
    }
}

/// The output columns and, behind them, the arrival columns.
pub(super) fn with_arrival(output: &Schema) -> SchemaRef {
    let [at, file, row] = ARRIVAL;
    let mut fields: Vec<Field> = output.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(at, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true));
    fields.push(Field::new(file, DataType::Utf8, true));
    fields.push(Field::new(row, DataType::Int64, true));
    Arc::new(Schema::new(fields))
}

impl PartitionStream for Wash {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let taken = self.once.lock().ok().and_then(|mut once| once.take());
        let Some((raw, rejects)) = taken else {
            let error = DataFusionError::Internal("a cleaning stream was started twice".to_owned());
            let failed = stream::once(async { Err(error) });
            return Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), failed));
        };
        let step = Step {
            schema: self.schema.clone(),
            cleaner: self.cleaner.clone(),
            counts: self.counts.clone(),
            rejects,
        };
        let washed = raw.then(move |batch| {
            let step = step.clone();
            async move { step.run(&batch?).await.map_err(Error::into_datafusion) }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), washed))
    }
}

#[derive(Clone)]
struct Step {
    schema: SchemaRef,
    cleaner: Arc<Cleaner>,
    counts: Arc<Counts>,
    rejects: mpsc::Sender<Vec<Reject>>,
}

impl Step {
    async fn run(&self, raw: &RecordBatch) -> Result<RecordBatch> {
        let data = self.cleaner.data(raw)?;
        let skipped = data.as_ref().map_or(0, |data| raw.num_rows() - data.num_rows());
        self.counts.skipped.fetch_add(skipped as u64, Ordering::Relaxed);
        let raw = data.as_ref().unwrap_or(raw);
        let mut cleaned = self.cleaner.apply(raw)?;
        self.counts.note(&mut cleaned);
        let Cleaned { kept, rejected, fits, .. } = cleaned;
        self.counts.read.fetch_add(raw.num_rows() as u64, Ordering::Relaxed);
        self.counts.kept.fetch_add(kept.num_rows() as u64, Ordering::Relaxed);
        self.counts.rejected.fetch_add(rejected.len() as u64, Ordering::Relaxed);
        if !rejected.is_empty() {
            self.rejects.send(rejected).await.map_err(|_| Error::Store {
                table: None,
                message: "the quarantine table could not be written".to_owned(),
            })?;
        }
        let mut columns = kept.columns().to_vec();
        for (name, field) in [LOADED_AT, FILE, ROW].iter().zip(&self.schema.fields()[columns.len()..]) {
            let arrived = match raw.column_by_name(name) {
                Some(array) => cast(array, field.data_type())?,
                None => new_null_array(field.data_type(), raw.num_rows()),
            };
            let arrived: ArrayRef = match &fits {
                Some(mask) => filter(&arrived, mask)?,
                None => arrived,
            };
            columns.push(arrived);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}
