//! Writing data files that nobody sees yet.
//!
//! Encoding runs on a blocking thread, uploading on the runtime, and reading goes on meanwhile: the three overlap.
//! Memory is bounded by one row group plus a few batches and parts, whatever the length of the stream.

mod file;

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::Result;
use crate::layout;
use crate::log;
use crate::shape;
use crate::table::TableName;
use file::OpenFile;

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
                None => OpenFile::open(self.stager, self.table, schema.clone()),
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
