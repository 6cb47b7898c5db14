//! The one trait that every kind of source implements, and what flows out of it.

use std::collections::BTreeSet;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;

use crate::error::SourceError;
use crate::ledger::Changed;
use crate::spec::StreamSpec;

/// Where reading stands, opaque to everyone but the source that wrote it.
pub type Cursor = serde_json::Value;

/// Something that a source offers to read: a table, a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Name as `table` (databases) or the file's path (files).
    pub name: String,
    /// One line about it, such as its number of columns or its size.
    pub detail: String,
}

/// One portion of rows.
#[derive(Debug)]
pub struct Pull {
    /// Rows in source order. Besides the source's columns: `_file`, `_row`, `_loaded_at`.
    pub rows: RecordBatch,
    /// Rows that could not be parsed, as `_file`, `_row`, `reason`, `text`, `_loaded_at`.
    pub rejected: Option<RecordBatch>,
    /// Where reading stands once every row up to and with this pull has landed. Counts at landing boundaries.
    pub cursor: Cursor,
    /// A landing boundary: the end of a file, of a page group, or enough rows.
    pub commit: bool,
    /// The file that the rows came from.
    pub file: Option<FilePart>,
    /// What a person should know although reading went on.
    pub warnings: Vec<String>,
    /// Cells since the last pull that could not be kept as delivered. Their rows are in `rows`.
    pub changed: Vec<Changed>,
    /// How the reader understood what it reads, as (what, value): `encoding`, `delimiter`, `header row`, `sheet`.
    /// Shown by a preview, so that a wrong guess is seen before anything lands.
    pub found: Vec<(String, String)>,
}

/// Which file a pull belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// The value of `_file`.
    pub name: String,
    /// Rows of this file may have landed before and must be replaced.
    pub again: bool,
}

/// A system that rows can be read from.
///
/// An `Err` item voids the rows since the last landing boundary. The stream may go on after it with
/// the next group (files do), or end. A stream that ends without a boundary has failed.
#[async_trait]
pub trait Source: Send + Sync {
    /// What there is to read, which also proves that the source can be reached.
    async fn streams(&self) -> Result<Vec<Stream>, SourceError>;

    /// Reads what came after a cursor; everything when there is none.
    async fn read(
        &self,
        stream: &StreamSpec,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Result<Pull, SourceError>>, SourceError>;

    /// A cursor that reads everything again in place of itself, where what landed cannot all be read again: files
    /// that are gone. `None` when a new read may replace the table.
    async fn again(&self, _stream: &StreamSpec, _before: &Cursor) -> Result<Option<Cursor>, SourceError> {
        Ok(None)
    }

    /// A cursor that reads these files again, each in place of itself. `None` when the source has no files.
    fn reread(&self, _before: &Cursor, _files: &BTreeSet<String>) -> Option<Cursor> {
        None
    }

    /// The cursor after a group has landed, given the one before it.
    fn fold(&self, _before: Option<&Cursor>, landed: Cursor) -> Cursor {
        landed
    }
}

/// How many batches wait between a reader and the writer: enough to overlap, few enough to stay small.
const WAITING_BATCHES: usize = 3;

/// The reader's end of a bounded channel of pulls.
#[derive(Clone)]
pub(crate) struct Feed(mpsc::Sender<Result<Pull, SourceError>>);

/// Nobody listens any more: the reader should stop quietly.
#[derive(Debug)]
pub(crate) struct Closed;

impl Feed {
    /// A feed and the stream that it fills.
    pub(crate) fn channel() -> (Feed, BoxStream<'static, Result<Pull, SourceError>>) {
        let (tx, rx) = mpsc::channel(WAITING_BATCHES);
        let stream =
            futures::stream::unfold(rx, |mut rx| async move { rx.recv().await.map(|item| (item, rx)) });
        (Feed(tx), stream.boxed())
    }

    /// Sends from a blocking thread.
    pub(crate) fn put(&self, item: Result<Pull, SourceError>) -> Result<(), Closed> {
        self.0.blocking_send(item).map_err(|_| Closed)
    }

    /// Sends from a task.
    pub(crate) async fn send(&self, item: Result<Pull, SourceError>) -> Result<(), Closed> {
        self.0.send(item).await.map_err(|_| Closed)
    }
}
