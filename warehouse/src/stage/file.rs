//! One data file on its way to the store: encoding runs on a blocking thread, uploading on the runtime, and reading
//! goes on meanwhile.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Stager;
use crate::error::{Error, Result};
use crate::log;
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

/// A file that takes rows.
pub(super) struct OpenFile {
    table: TableName,
    name: String,
    pub(super) schema: SchemaRef,
    pub(super) rows: u64,
    batches: mpsc::Sender<RecordBatch>,
    encoder: JoinHandle<Result<Option<ParquetMetaData>, String>>,
    uploader: JoinHandle<object_store::Result<usize>>,
    written: Arc<std::sync::atomic::AtomicUsize>,
    clock: store::SharedClock,
}

impl OpenFile {
    pub(super) fn open(stager: &Stager, table: &TableName, schema: SchemaRef) -> Self {
        let name = format!("part-{}.zstd.parquet", store::new_id(stager.clock.as_ref()));
        let (batches, incoming) = mpsc::channel::<RecordBatch>(QUEUED_BATCHES);
        let (parts, outgoing) = mpsc::channel::<Bytes>(QUEUED_PARTS);
        let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let sink = Sink { buffer: Vec::with_capacity(PART_BYTES), parts, written: written.clone() };
        let encoder = tokio::task::spawn_blocking({
            let schema = schema.clone();
            move || encode(schema, incoming, sink)
        });
        let path = table.folder().join(name.as_str());
        let uploader = tokio::spawn(upload(stager.store.clone(), path, outgoing));
        Self {
            table: table.clone(),
            name,
            schema,
            rows: 0,
            batches,
            encoder,
            uploader,
            written,
            clock: stager.clock.clone(),
        }
    }

    pub(super) async fn send(&mut self, rows: RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        // A closed channel means that the encoder or the uploader failed; close() says why.
        if self.batches.send(rows).await.is_err() {
            return Err(self.why().await);
        }
        Ok(())
    }

    pub(super) fn full(&self) -> bool {
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

    pub(super) async fn close(self) -> Result<log::Add> {
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
    pub(super) fn abandon(self) {
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
