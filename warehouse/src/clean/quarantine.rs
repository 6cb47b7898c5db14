//! The quarantine of a clean table: emptied by hand.

use arrow::array::RecordBatch;
use futures::{StreamExt, stream};
use store::new_id;

use super::reject;
use crate::{Error, Landing, LoadMark, Result, TableName, Warehouse, Zone};

impl Warehouse {
    /// Empties the quarantine of a clean table; how many rows that were. A row that is cleaned again is judged again.
    ///
    /// # Errors
    /// What landing reports.
    pub async fn discard_quarantine(&self, name: &str) -> Result<u64> {
        let table = TableName::new(Zone::Clean, &format!("{name}_rejected")).map_err(Error::invalid)?;
        let rows = self.snapshot(&table).await?.and_then(|s| s.rows()).unwrap_or(0);
        if rows == 0 {
            return Ok(0);
        }
        // Not the cleaning's own stream: where that stands must not change.
        let stream = "quarantine/discard";
        let mark = self.mark(&table, stream).await?;
        let mark = LoadMark {
            stream: stream.to_owned(),
            seq: mark.map_or(0, |m| m.seq) + 1,
            cursor: serde_json::Value::Null,
            operation: new_id(self.clock().as_ref()),
        };
        let empty = stream::iter([Ok(RecordBatch::new_empty(reject::schema()))]).boxed();
        self.land(&table, empty, Landing::Replace, mark).await?;
        Ok(rows)
    }
}
