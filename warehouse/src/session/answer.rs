//! A running query: its own task on the threads of queries makes the rows, its reader takes them. The reader is told
//! of an end at once, even while a batch is under way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::execute_stream;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use store::Timestamp;
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::AbortOnDropHandle;

use super::Session;
use super::audit::Outcome;
use super::running::{Class, Running};
use super::workers::caught;
use crate::error::{Error, Result};
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// The most bytes that [`Answer::collect`] holds. Rows alone bound nothing: one may be a megabyte.
const COLLECTED: usize = 32 << 20;
/// Batches that wait for the reader of [`Answer::detached`].
const AHEAD: usize = 4;
/// Batches that a query makes before its reader takes them.
const MADE: usize = 2;

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
        self.collect_within(max_rows, COLLECTED).await
    }

    /// Up to `max_rows` rows in at most `max_bytes`, and whether there were more. The rest is not computed.
    pub async fn collect_within(self, max_rows: usize, max_bytes: usize) -> Result<(Vec<RecordBatch>, bool)> {
        let mut stream = self.stream;
        let (mut batches, mut rows, mut held) = (vec![], 0usize, 0usize);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Error::from_datafusion)?;
            let size = row_bytes(&batch);
            let mut room = max_rows - rows;
            if held + size > max_bytes {
                // As many of its rows as fit on average.
                room = room.min(batch.num_rows().saturating_mul(max_bytes - held) / size);
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
pub fn row_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

fn column_bytes(column: &ArrayRef) -> usize {
    // Values of views may share their bytes, and are written out for each.
    if let Some(texts) = column.as_string_view_opt() {
        return texts.lengths().map(|length| length as usize + 16).sum();
    }
    // A value of a dictionary is written out wherever its key stands.
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        let values = dictionary.values();
        if !values.is_empty() {
            let each: Vec<usize> = (0..values.len()).map(|at| column_bytes(&values.slice(at, 1))).collect();
            return dictionary.normalized_keys().into_iter().filter_map(|key| each.get(key)).sum();
        }
    }
    let data = column.to_data();
    data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size())
}

/// What a query's task tells its reader.
enum Told {
    /// Planned and begun.
    Begun(Begun),
    Rows(RecordBatch),
    Failed(Error),
    End,
}

struct Begun {
    schema: SchemaRef,
    tables: Vec<(TableName, i64)>,
    as_of: Option<Timestamp>,
}

/// Begins `sql` on the threads of queries and waits until its first row can be asked for.
pub(super) async fn begin(session: &Session, running: Arc<Running>, sql: &str) -> Result<Answer> {
    let warehouse = session.warehouse().clone();
    let (teller, mut told) = mpsc::channel(MADE);
    let (asked, sql) = (session.clone(), sql.to_owned());
    let over = Over { warehouse: warehouse.clone(), running: running.clone() };
    let task = async move {
        let work = over.running.clone();
        let made = caught(async {
            tokio::select! {
                biased;
                () = work.cancel.cancelled() => Err(work.error()),
                made = make(&asked, &work, &sql, &teller) => made,
            }
        });
        let last = match made.await {
            Ok(()) => Told::End,
            Err(error) => Told::Failed(error),
        };
        // Nothing of the query runs any more: its turn and memory are free while the reader takes its time.
        drop(over);
        let _ = teller.send(last).await;
    };
    let task = AbortOnDropHandle::new(warehouse.workers().of(running.class)?.spawn(task));
    let mut leaving = Leaving { warehouse, running: running.clone() };
    let first = tokio::select! {
        first = told.recv() => first,
        () = running.cancel.cancelled() => Some(Told::Failed(running.error())),
    };
    let begun = match first {
        Some(Told::Begun(begun)) => begun,
        Some(Told::Failed(error)) => return Err(leaving.failed(error)),
        Some(Told::Rows(_) | Told::End) | None => return Err(leaving.failed(Error::Cancelled)),
    };
    let stream = Reading {
        told,
        schema: begun.schema.clone(),
        cancelled: Box::pin(running.cancel.clone().cancelled_owned()),
        over: false,
        leaving,
        _task: task,
    };
    Ok(Answer {
        id: running.id.clone(),
        schema: begun.schema,
        stream: Box::pin(stream),
        tables: begun.tables,
        as_of: begun.as_of,
    })
}

/// Plans and runs; ends early when the reader has gone.
async fn make(
    session: &Session,
    running: &Arc<Running>,
    sql: &str,
    reader: &mpsc::Sender<Told>,
) -> Result<()> {
    let _turn = session.warehouse().running().turn(running.class, &running.user).await?;
    let context = session.context(running);
    let plan = session.plan(&context, sql).await?;
    let state = context.state();
    // Optimizing pauses nowhere: what waits for this thread goes on elsewhere meanwhile. The SQL of pages and rules is
    // our own and small, and a page asks many at once.
    let plan = match running.class {
        Class::Person => block_in_place(|| state.optimize(&plan))?,
        Class::Page | Class::House => state.optimize(&plan)?,
    };
    let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
    let mut rows = execute_stream(plan, state.task_ctx())?;
    let touched = &running.touched;
    let begun = Begun { schema: rows.schema(), tables: touched.tables(), as_of: touched.as_of() };
    if reader.send(Told::Begun(begun)).await.is_err() {
        return Ok(());
    }
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(Error::from_datafusion)?;
        if reader.send(Told::Rows(batch)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes a query off the list of those that run, when its task ends or is dropped.
struct Over {
    warehouse: Warehouse,
    running: Arc<Running>,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.warehouse.running().over(&self.running.id);
    }
}

/// The reader's side: whatever happens to it, the query ends and leaves its row in the audit.
struct Leaving {
    warehouse: Warehouse,
    running: Arc<Running>,
}

impl Leaving {
    fn end(&mut self, outcome: &Outcome) {
        self.running.finish(&self.warehouse, outcome);
        self.running.cancel.cancel();
    }

    fn failed(&mut self, error: Error) -> Error {
        self.end(&Outcome::Failed(error.to_string()));
        error
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.end(&Outcome::Left);
    }
}

struct Reading {
    told: mpsc::Receiver<Told>,
    schema: SchemaRef,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
    leaving: Leaving,
    /// Dropped last; ends the task at its next pause.
    _task: AbortOnDropHandle<()>,
}

impl Reading {
    fn fail(&mut self, error: Error) -> Poll<Option<Result<RecordBatch, DataFusionError>>> {
        self.over = true;
        Poll::Ready(Some(Err(self.leaving.failed(error).into_datafusion())))
    }
}

impl Stream for Reading {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        if this.cancelled.as_mut().poll(cx).is_ready() {
            let error = this.leaving.running.error();
            return this.fail(error);
        }
        match this.told.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Told::Rows(batch))) => {
                this.leaving.running.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(Some(Told::End)) => {
                this.over = true;
                this.leaving.end(&Outcome::Done);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Told::Failed(error))) => this.fail(error),
            // The task went without a last word.
            Poll::Ready(Some(Told::Begun(_)) | None) => this.fail(Error::Cancelled),
        }
    }
}

impl RecordBatchStream for Reading {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
