//! Reading files of one version in their order, for rewriting them.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::error::{Error, Result};
use crate::keyed::Keys;
use crate::log::{DataFile, Snapshot};
use crate::replaced::Replaces;
use crate::scan::{Place, comparable, part};

/// Reads files in their order, one after the other.
pub(crate) struct Reading {
    pub snapshot: Arc<Snapshot>,
    pub place: Place,
    /// One partition, so that order holds.
    pub context: SessionContext,
}

impl Reading {
    pub(crate) async fn rows(
        &self,
        files: Vec<Arc<DataFile>>,
        columns: Option<&[&str]>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let frame = self.context.read_table(part(self.snapshot.clone(), files, &self.place))?;
        let frame = match columns {
            Some(columns) => frame.select(columns.iter().map(|c| datafusion::prelude::ident(*c)))?,
            None => frame,
        };
        let stream = frame.execute_stream().await?;
        Ok(stream.map(|batch| batch.map_err(Error::from)).boxed())
    }

    /// Whether the file holds a row that is replaced; reads only the key columns and stops at the first.
    pub(crate) async fn touches(&self, file: &Arc<DataFile>, replaced: &impl Replaces) -> Result<bool> {
        let mut rows = self.rows(vec![file.clone()], Some(&replaced.columns())).await?;
        while let Some(batch) = rows.next().await {
            let stays = replaced.stays(&batch?)?;
            if stays.true_count() < stays.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All columns of the files, in the order of `by` where it has one.
    pub(crate) async fn in_order(
        &self,
        files: Vec<Arc<DataFile>>,
        by: &[String],
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let orderly = |name: &String| {
            self.snapshot.schema.field_with_name(name).is_ok_and(|f| comparable(f.data_type()))
        };
        if by.is_empty() || !by.iter().all(orderly) {
            return self.rows(files, None).await;
        }
        let frame = self.context.read_table(part(self.snapshot.clone(), files, &self.place))?;
        let order = by.iter().map(|c| datafusion::prelude::ident(c).sort(true, false)).collect();
        let stream = frame.sort(order)?.execute_stream().await?;
        Ok(stream.map(|batch| batch.map_err(Error::from)).boxed())
    }

    /// What stays of the files, in the order of `by` where it has one.
    pub(crate) async fn remaining<'a>(
        &self,
        files: Vec<Arc<DataFile>>,
        replaced: &'a impl Replaces,
        by: &[String],
    ) -> Result<BoxStream<'a, Result<RecordBatch>>> {
        let rows = self.in_order(files, by).await?;
        Ok(rows
            .map(move |batch| {
                let batch = batch?;
                Ok(filter_record_batch(&batch, &replaced.stays(&batch)?)?)
            })
            .boxed())
    }

    /// The staged rows without those that a later row of the same key replaces, and without keys that were left out.
    pub(crate) async fn last_ones<'a>(
        &self,
        files: Vec<Arc<DataFile>>,
        keys: &'a Keys,
    ) -> Result<BoxStream<'a, Result<RecordBatch>>> {
        let rows = self.rows(files, None).await?;
        let mut from = 0u64;
        Ok(rows
            .map(move |batch| {
                let batch = batch?;
                let last = keys.last_ones(&batch, from)?;
                from += batch.num_rows() as u64;
                Ok(filter_record_batch(&batch, &last)?)
            })
            .boxed())
    }
}
