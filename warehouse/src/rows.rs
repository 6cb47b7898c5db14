//! All rows of a table as a stream, for jobs of the house.

use datafusion::arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::table::TableName;
use crate::warehouse::Warehouse;

impl Warehouse {
    /// The rows of a table as it is now, in batches; `None` when there is no such table.
    pub async fn rows(&self, table: &TableName) -> Result<Option<BoxStream<'static, Result<RecordBatch>>>> {
        let Some(snapshot) = self.snapshot(table).await? else { return Ok(None) };
        let rows = self.context().read_table(self.provider(snapshot))?;
        Ok(Some(rows.execute_stream().await?.map_err(Error::from).boxed()))
    }
}
