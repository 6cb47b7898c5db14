//! A running query: a stream that ends with its time, its cancellation, or its reader.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, ArrayData, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use store::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::budget::People;
use super::{Query, audit};
use crate::error::{Error, Result};
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// The most bytes that [`Answer::collect`] holds. Rows alone bound nothing: one may be a megabyte.
const COLLECTED: usize = 32 << 20;
/// Batches that wait for the reader of [`Answer::detached`].
const AHEAD: usize = 4;

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
    /// Up to `max_rows` rows in at most 32 MiB, and whether there were more. The rest is not computed.
    pub async fn collect(self, max_rows: usize) -> Result<(Vec<RecordBatch>, bool)> {
        let mut stream = self.stream;
        let (mut batches, mut rows, mut held) = (vec![], 0usize, 0usize);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Error::from_datafusion)?;
            let size = bytes(&batch);
            let mut room = max_rows - rows;
            if held + size > COLLECTED {
                // As many of its rows as fit on average.
                room = room.min(batch.num_rows() * (COLLECTED - held) / size);
            }
            if batch.num_rows() > room {
                if room > 0 {
                    batches.push(batch.slice(0, room));
                }
                return Ok((batches, true));
            }
            rows += batch.num_rows();
            held += size;
            if batch.num_rows() > 0 {
                batches.push(batch);
            }
        }
        Ok((batches, false))
    }

    /// The rows, for a reader who may stop reading without going away. A task of its own runs the query and
    /// gives up when the reader takes nothing for `patience`: its turn, memory and time are then free, and
    /// the rows end with an error. Dropping the stream cancels the query.
    pub fn detached(self, patience: Duration) -> BoxStream<'static, Result<RecordBatch>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(pump(self.stream, sender, patience));
        stream::unfold(Some(receiver), move |receiver| async move {
            let mut receiver: mpsc::Receiver<Piece> = receiver?;
            match receiver.recv().await {
                Some(Piece::Rows(batch)) => Some((Ok(batch), Some(receiver))),
                Some(Piece::Failed(error)) => Some((Err(error), None)),
                Some(Piece::End) => None,
                // The task ended before the rows did.
                None => {
                    let seconds = patience.as_secs();
                    let message = format!(
                        "nothing of the answer was read for {seconds} s, so the rest was dropped; run the query again"
                    );
                    Some((Err(Error::Exhausted { message }), None))
                }
            }
        })
        .boxed()
    }
}

/// What travels from the task of [`Answer::detached`] to its reader.
enum Piece {
    Rows(RecordBatch),
    Failed(Error),
    End,
}

async fn pump(mut rows: SendableRecordBatchStream, reader: mpsc::Sender<Piece>, patience: Duration) {
    loop {
        let next = tokio::select! {
            next = rows.next() => next,
            () = reader.closed() => return,
        };
        let last = match next {
            Some(Ok(batch)) => match reader.send_timeout(Piece::Rows(batch), patience).await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Some(Err(error)) => Piece::Failed(Error::from_datafusion(error)),
            None => Piece::End,
        };
        // The query is over and holds nothing any more: the reader may take its time.
        drop(rows);
        let _ = reader.send(last).await;
        return;
    }
}

/// Bytes of the rows themselves. Batches are often slices of a large one, which each would count whole.
fn bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| data_bytes(&column.to_data())).sum()
}

fn data_bytes(data: &ArrayData) -> usize {
    // Views share buffers that their slice does not count.
    let shared = match data.data_type() {
        DataType::Utf8View | DataType::BinaryView => data.buffers().iter().skip(1).map(|b| b.len()).sum(),
        _ => 0,
    };
    let own = data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size());
    own + shared
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

    /// Waits for a turn; people leave a few to the house.
    async fn turn(&self) -> Result<Turn> {
        let people = self.context.copied_config().get_extension::<People>();
        let among_people = match people.filter(|_| !self.record.is_internal()) {
            Some(people) => Some(people.0.clone().acquire_owned().await.map_err(|_| Error::Cancelled)?),
            None => None,
        };
        Ok(Turn { _among_people: among_people, _among_all: self.warehouse.permit().await? })
    }

    /// Starts the plan.
    pub(crate) async fn answer(self, plan: LogicalPlan) -> Result<Answer> {
        let starting = async {
            let turn = self.turn().await?;
            let frame = self.context.execute_logical_plan(plan).await?;
            Ok((turn, frame.execute_stream().await?))
        };
        let (turn, inner) = match self.within(starting).await {
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
            end: Some(End { id: id.clone(), warehouse, record, started, _turn: turn }),
        };
        Ok(Answer { id, schema, stream: Box::pin(guarded), tables, as_of })
    }
}

/// A turn among the queries that run at the same time.
struct Turn {
    _among_people: Option<OwnedSemaphorePermit>,
    _among_all: OwnedSemaphorePermit,
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
    _turn: Turn,
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
