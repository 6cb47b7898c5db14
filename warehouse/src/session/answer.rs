//! A running query: a stream that ends with its time, its cancellation, or its reader.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use futures::{Stream, StreamExt};
use store::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Query, audit};
use crate::error::{Error, Result};
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// The rows of a query, streaming, and what they stand on.
pub struct Answer {
    pub id: String,
    pub schema: SchemaRef,
    pub stream: SendableRecordBatchStream,
    /// The tables read, each with its version.
    pub tables: Vec<(TableName, i64)>,
    /// When the least fresh of them last changed; `None` when no table was read.
    pub as_of: Option<Timestamp>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({}, {:?})", self.id, self.tables)
    }
}

impl Answer {
    /// Up to `max_rows` rows, and whether there were more. The rest is not computed.
    pub async fn collect(self, max_rows: usize) -> Result<(Vec<RecordBatch>, bool)> {
        let mut stream = self.stream;
        let (mut batches, mut rows) = (vec![], 0usize);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Error::from_datafusion)?;
            let room = max_rows - rows;
            if batch.num_rows() > room {
                if room > 0 {
                    batches.push(batch.slice(0, room));
                }
                return Ok((batches, true));
            }
            rows += batch.num_rows();
            if batch.num_rows() > 0 {
                batches.push(batch);
            }
        }
        Ok((batches, false))
    }
}

impl Query {
    /// Runs `work` within the query's time and until it is cancelled.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let timeout = self.warehouse.settings().timeout;
        tokio::select! {
            done = tokio::time::timeout(timeout.saturating_sub(self.started.elapsed()), work) => {
                done.unwrap_or(Err(Error::Timeout { seconds: timeout.as_secs() }))
            }
            () = self.cancel.cancelled() => Err(Error::Cancelled),
        }
    }

    /// Records that the query failed before it had an answer.
    pub(crate) fn failed(self, error: Error) -> Error {
        let Query { id, warehouse, touched, mut record, started, .. } = self;
        warehouse.ended(&id);
        record.tables = touched.tables();
        record.end(&warehouse, started, &Outcome::Failed(error.to_string()));
        error
    }

    /// Starts the plan.
    pub(crate) async fn answer(self, plan: LogicalPlan) -> Result<Answer> {
        let starting = async {
            let permit = self.warehouse.permit().await?;
            let frame = self.context.execute_logical_plan(plan).await?;
            Ok((permit, frame.execute_stream().await?))
        };
        let (permit, inner) = match self.within(starting).await {
            Ok(started) => started,
            Err(error) => return Err(self.failed(error)),
        };
        let Query { id, warehouse, touched, mut record, cancel, started, .. } = self;
        let (tables, as_of) = (touched.tables(), touched.as_of());
        record.tables = tables.clone();
        let timeout = warehouse.settings().timeout;
        let schema = inner.schema();
        let guarded = Guarded {
            inner: Some(inner),
            schema: schema.clone(),
            deadline: Box::pin(tokio::time::sleep(timeout.saturating_sub(started.elapsed()))),
            cancelled: Box::pin(cancel.cancelled_owned()),
            timeout,
            rows: 0,
            end: Some(End { id: id.clone(), warehouse, record, started, _permit: permit }),
        };
        Ok(Answer { id, schema, stream: Box::pin(guarded), tables, as_of })
    }
}

/// How a query ended.
pub(crate) enum Outcome {
    Done,
    Failed(String),
    /// The reader went away before the end.
    Left,
}

/// What is to be done once, at the end.
struct End {
    id: String,
    warehouse: Warehouse,
    record: audit::Record,
    started: Instant,
    _permit: OwnedSemaphorePermit,
}

struct Guarded {
    /// Dropped at the end, so that its memory is free while the reader still holds the answer.
    inner: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    deadline: Pin<Box<tokio::time::Sleep>>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    timeout: Duration,
    rows: u64,
    end: Option<End>,
}

impl Guarded {
    fn end(&mut self, outcome: &Outcome) {
        self.inner = None;
        if let Some(mut end) = self.end.take() {
            end.warehouse.ended(&end.id);
            end.record.rows = self.rows;
            end.record.end(&end.warehouse, end.started, outcome);
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<RecordBatch, DataFusionError>>> {
        self.end(&Outcome::Failed(error.to_string()));
        Poll::Ready(Some(Err(error.into_datafusion())))
    }
}

impl Stream for Guarded {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        if this.cancelled.as_mut().poll(cx).is_ready() {
            return this.fail(Error::Cancelled);
        }
        if this.deadline.as_mut().poll(cx).is_ready() {
            let seconds = this.timeout.as_secs();
            return this.fail(Error::Timeout { seconds });
        }
        match inner.poll_next_unpin(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(batch))) => {
                this.rows += batch.num_rows() as u64;
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(Some(Err(error))) => this.fail(Error::from_datafusion(error)),
            Poll::Ready(None) => {
                this.end(&Outcome::Done);
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end(&Outcome::Left);
    }
}

impl RecordBatchStream for Guarded {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
