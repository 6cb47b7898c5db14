//! Writing data files that nobody sees yet.
//!
//! Encoding runs on a blocking thread, uploading on the runtime, and reading goes on meanwhile: the three overlap.
//! Memory is bounded by one row group plus a few batches and parts, whatever the length of the stream.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::layout;
use crate::log;
use crate::shape;
use crate::table::TableName;

/// Rows and bytes of a row group: large enough to scan fast, small enough to skip and to hold in memory.
const GROUP_ROWS: usize = 1_000_000;
const GROUP_BYTES: usize = 128 << 20;
/// A file is closed at the end of the batch that takes it past this.
const FILE_BYTES: usize = 256 << 20;
/// One part of a multipart upload; S3 wants at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
const QUEUED_BATCHES: usize = 2;
const QUEUED_PARTS: usize = 2;

/// Where one file ends and the next begins, beside the bytes that a file may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Bytes,
    /// After so many rows.
    Rows(u64),
    /// For rows in the order of their key: large files, and ever smaller ones towards the end.
    Tail,
}

/// Written data files, not committed.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub adds: Vec<log::Add>,
    pub schema: SchemaRef,
    pub rows: u64,
}

/// Where and how files are written.
#[derive(Clone)]
pub(crate) struct Stager {
    pub store: Arc<dyn ObjectStore>,
    pub clock: store::SharedClock,
}

impl Stager {
    /// Writes the stream into files under the table's folder. `present` is the table's schema, if any: delivered
    /// types that fit into it are widened to it. A batch with new columns starts a new file.
    pub(crate) async fn write(
        &self,
        table: &TableName,
        present: Option<&Schema>,
        rows: BoxStream<'_, Result<RecordBatch>>,
        cut: Cut,
    ) -> Result<Files> {
        let files = Files { adds: vec![], schema: Arc::new(Schema::empty()), rows: 0 };
        let mut writing = Writing { stager: self, table, present, files, open: None, delivered: None };
        let outcome = match cut {
            Cut::Bytes => writing.all(rows, u64::MAX).await,
            Cut::Rows(most) => writing.all(rows, most.max(1)).await,
            Cut::Tail => writing.tapered(rows).await,
        };
        let outcome = match outcome {
            Ok(()) => writing.close().await,
            Err(error) => Err(error),
        };
        let Writing { mut files, open, .. } = writing;
        // A file that never got a row was never put.
        files.adds.retain(|a| a.size > 0);
        match outcome {
            Ok(()) => Ok(files),
            Err(error) => {
                if let Some(file) = open {
                    file.abandon();
                }
                self.discard(table, &files).await;
                Err(error)
            }
        }
    }

    /// Deletes staged files, best effort: upkeep removes what is left.
    pub(crate) async fn discard(&self, table: &TableName, files: &Files) {
        for add in &files.adds {
            if let Err(e) = self.store.delete(&table.folder().join(add.path.as_str())).await {
                tracing::debug!(table.name = %table, error.message = %e, "a staged file stays for upkeep to remove");
            }
        }
    }

    fn open(&self, table: &TableName, schema: SchemaRef) -> OpenFile {
        let name = format!("part-{}.zstd.parquet", store::new_id(self.clock.as_ref()));
        let (batches, incoming) = mpsc::channel::<RecordBatch>(QUEUED_BATCHES);
        let (parts, outgoing) = mpsc::channel::<Bytes>(QUEUED_PARTS);
        let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let sink = Sink { buffer: Vec::with_capacity(PART_BYTES), parts, written: written.clone() };
        let encoder = tokio::task::spawn_blocking({
            let schema = schema.clone();
            move || encode(schema, incoming, sink)
        });
        let path = table.folder().join(name.as_str());
        let uploader = tokio::spawn(upload(self.store.clone(), path, outgoing));
        OpenFile {
            table: table.clone(),
            name,
            schema,
            rows: 0,
            batches,
            encoder,
            uploader,
            written,
            clock: self.clock.clone(),
        }
    }
}

/// One stream on its way into files.
struct Writing<'a> {
    stager: &'a Stager,
    table: &'a TableName,
    present: Option<&'a Schema>,
    files: Files,
    open: Option<OpenFile>,
    /// The columns that came last, and as what they are written.
    delivered: Option<(SchemaRef, SchemaRef)>,
}

impl Writing<'_> {
    async fn all(&mut self, mut rows: BoxStream<'_, Result<RecordBatch>>, most: u64) -> Result<()> {
        while let Some(batch) = rows.next().await {
            self.put(&batch?, most).await?;
        }
        Ok(())
    }

    /// Holds the last rows back until it is known that they are the last.
    async fn tapered(&mut self, mut rows: BoxStream<'_, Result<RecordBatch>>) -> Result<()> {
        let mut held: VecDeque<RecordBatch> = VecDeque::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                self.put(&batch, u64::MAX).await?;
                continue;
            }
            count += batch.num_rows();
            bytes += batch.get_array_memory_size();
            held.push_back(batch);
            while let Some(first) = held.front()
                && (count - first.num_rows() >= layout::TAIL
                    || (bytes > layout::TAIL_BYTES && held.len() > 1))
                && let Some(first) = held.pop_front()
            {
                count -= first.num_rows();
                bytes = bytes.saturating_sub(first.get_array_memory_size());
                self.put(&first, layout::BULK as u64).await?;
            }
        }
        self.close().await?;
        for size in layout::halves(count) {
            let mut left = size;
            while left > 0
                && let Some(first) = held.pop_front()
            {
                let taken = first.slice(0, left.min(first.num_rows()));
                if taken.num_rows() < first.num_rows() {
                    held.push_front(first.slice(taken.num_rows(), first.num_rows() - taken.num_rows()));
                }
                left -= taken.num_rows();
                self.put(&taken, u64::MAX).await?;
            }
            self.close().await?;
        }
        Ok(())
    }

    /// Adds rows, at most `most` to a file.
    async fn put(&mut self, batch: &RecordBatch, most: u64) -> Result<()> {
        let schema = match &self.delivered {
            Some((delivered, schema)) if *delivered == batch.schema() => schema.clone(),
            _ => {
                let schema = shape::written(self.table, &batch.schema(), self.present)?;
                self.files.schema = match self.files.schema.fields().is_empty() {
                    true => schema.clone(),
                    false => shape::grown(self.table, &self.files.schema, &schema)?
                        .unwrap_or_else(|| self.files.schema.clone()),
                };
                self.delivered = Some((batch.schema(), schema.clone()));
                schema
            }
        };
        if self.open.as_ref().is_some_and(|f| f.schema != schema) {
            self.close().await?;
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = shape::brought(self.table, batch, &schema)?;
        self.files.rows += rows.num_rows() as u64;
        let mut from = 0;
        while from < rows.num_rows() {
            let file = match self.open.take() {
                Some(file) => file,
                None => self.stager.open(self.table, schema.clone()),
            };
            let file = self.open.insert(file);
            let part = (rows.num_rows() - from).min(usize::try_from(most - file.rows).unwrap_or(usize::MAX));
            file.send(rows.slice(from, part)).await?;
            from += part;
            if file.full() || file.rows >= most {
                self.close().await?;
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(file) = self.open.take() {
            self.files.adds.push(file.close().await?);
        }
        Ok(())
    }
}

struct OpenFile {
    table: TableName,
    name: String,
    schema: SchemaRef,
    rows: u64,
    batches: mpsc::Sender<RecordBatch>,
    encoder: JoinHandle<Result<Option<ParquetMetaData>, String>>,
    uploader: JoinHandle<object_store::Result<usize>>,
    written: Arc<std::sync::atomic::AtomicUsize>,
    clock: store::SharedClock,
}

impl OpenFile {
    async fn send(&mut self, rows: RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        // A closed channel means that the encoder or the uploader failed; close() says why.
        if self.batches.send(rows).await.is_err() {
            return Err(self.why().await);
        }
        Ok(())
    }

    fn full(&self) -> bool {
        self.written.load(std::sync::atomic::Ordering::Relaxed) >= FILE_BYTES
    }

    async fn why(&mut self) -> Error {
        let uploaded = (&mut self.uploader).await;
        let encoded = (&mut self.encoder).await;
        match (uploaded, encoded) {
            (Ok(Err(e)), _) => Error::store(&self.table, "write a data file", e),
            (_, Ok(Err(e))) => Error::store(&self.table, "encode a data file", e),
            _ => Error::store(&self.table, "write a data file", "its writer stopped"),
        }
    }

    async fn close(self) -> Result<log::Add> {
        let Self { table, name, schema, batches, encoder, uploader, clock, .. } = self;
        drop(batches);
        let stopped = |e: tokio::task::JoinError| Error::store(&table, "write a data file", e);
        let encoded = encoder.await.map_err(stopped)?;
        let size =
            uploader.await.map_err(stopped)?.map_err(|e| Error::store(&table, "write a data file", e))?;
        let footer = encoded.map_err(|e| Error::store(&table, "encode a data file", e))?;
        Ok(log::Add {
            path: name,
            partition_values: Default::default(),
            size: size as i64,
            modification_time: clock.now().timestamp_millis(),
            data_change: true,
            stats: footer.map(|f| log::from_footer(&f, &schema)),
            deletion_vector: None,
        })
    }

    /// Stops both tasks; the multipart upload is aborted by its owner's drop, a complete file cannot exist yet.
    fn abandon(self) {
        self.uploader.abort();
    }
}

fn encode(
    schema: SchemaRef,
    mut incoming: mpsc::Receiver<RecordBatch>,
    sink: Sink,
) -> Result<Option<ParquetMetaData>, String> {
    // Without a row there is no file.
    let Some(first) = incoming.blocking_recv() else { return Ok(None) };
    let level = ZstdLevel::try_new(1).map_err(|e| e.to_string())?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_statistics_truncate_length(Some(64))
        .set_created_by(format!("guanlan {}", env!("CARGO_PKG_VERSION")))
        .build();
    let mut writer = ArrowWriter::try_new(sink, schema, Some(properties)).map_err(|e| e.to_string())?;
    writer.write(&first).map_err(|e| e.to_string())?;
    while let Some(batch) = incoming.blocking_recv() {
        writer.write(&batch).map_err(|e| e.to_string())?;
    }
    let footer = writer.finish().map_err(|e| e.to_string())?;
    writer.inner_mut().end().map_err(|e| e.to_string())?;
    Ok(Some(footer))
}

/// Hands the encoder's bytes over in parts.
struct Sink {
    buffer: Vec<u8>,
    parts: mpsc::Sender<Bytes>,
    written: Arc<std::sync::atomic::AtomicUsize>,
}

impl Sink {
    fn send(&mut self, n: usize) -> std::io::Result<()> {
        let rest = self.buffer.split_off(n.min(self.buffer.len()));
        let part = std::mem::replace(&mut self.buffer, rest);
        self.parts.blocking_send(part.into()).map_err(|_| std::io::Error::other("the upload stopped"))
    }

    fn end(&mut self) -> std::io::Result<()> {
        while !self.buffer.is_empty() {
            self.send(PART_BYTES)?;
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.written.fetch_add(bytes.len(), std::sync::atomic::Ordering::Relaxed);
        while self.buffer.len() >= PART_BYTES {
            self.send(PART_BYTES)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A small file is put at once; a larger one goes up in parts. Answers the file's size; 0 when nothing came.
async fn upload(
    store: Arc<dyn ObjectStore>,
    path: Path,
    mut parts: mpsc::Receiver<Bytes>,
) -> object_store::Result<usize> {
    let Some(first) = parts.recv().await else { return Ok(0) };
    let mut size = first.len();
    let Some(second) = parts.recv().await else {
        store.put(&path, first.into()).await?;
        return Ok(size);
    };
    let mut upload = store.put_multipart(&path).await?;
    let mut next = Some(second);
    let sent = async {
        upload.put_part(first.into()).await?;
        while let Some(part) = match next.take() {
            Some(part) => Some(part),
            None => parts.recv().await,
        } {
            size += part.len();
            upload.put_part(part.into()).await?;
        }
        upload.complete().await
    }
    .await;
    if let Err(error) = sent {
        let _ = upload.abort().await;
        return Err(error);
    }
    Ok(size)
}
