//! Rows in quarantine that were corrected at the source: the same key came again and was kept.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use warehouse::{Landing, LoadMark, TableName, Warehouse};

use super::intake::of_warehouse;
use crate::error::SourceError;

/// Rows that are watched at most: a quarantine of more is looked through by people.
const WATCHED: u64 = 50_000;

/// The quarantine of a stream whose rows come again when they change at the source.
pub(super) struct Watch {
    table: TableName,
    keys: Vec<String>,
    /// Hashes of the texts of all rows there.
    texts: HashSet<u64>,
    /// Of those with a key, which texts it has.
    by_key: HashMap<String, Vec<u64>>,
    corrected: HashSet<u64>,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The key of a row that was set aside as a JSON object; `None` when a part has no value.
fn key_of(text: &str, keys: &[String]) -> Option<String> {
    let row: Value = serde_json::from_str(text).ok()?;
    let parts: Option<Vec<String>> = keys
        .iter()
        .map(|key| match row.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        })
        .collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("\u{1f}"))
}

impl Watch {
    /// Looks through the quarantine; `None` when it is empty or too large.
    pub(super) async fn of(
        warehouse: &Warehouse,
        table: &TableName,
        keys: Vec<String>,
    ) -> Result<Option<Self>, SourceError> {
        let Some(snapshot) = warehouse.snapshot(table).await.map_err(|e| of_warehouse(&e))? else {
            return Ok(None);
        };
        if snapshot.rows().is_none_or(|rows| rows == 0 || rows > WATCHED) {
            return Ok(None);
        }
        let mut watch = Watch {
            table: table.clone(),
            keys,
            texts: HashSet::new(),
            by_key: HashMap::new(),
            corrected: HashSet::new(),
        };
        let mut rows = watch.rows(warehouse).await?;
        while let Some(batch) = rows.try_next().await.map_err(|e| of_warehouse(&e))? {
            let Some(texts) = batch.column_by_name("text").and_then(|c| c.as_string_opt::<i32>()) else {
                continue;
            };
            for text in texts.iter().flatten() {
                watch.texts.insert(hash(text));
                if let Some(key) = key_of(text, &watch.keys) {
                    watch.by_key.entry(key).or_default().push(hash(text));
                }
            }
        }
        Ok(Some(watch))
    }

    async fn rows(
        &self,
        warehouse: &Warehouse,
    ) -> Result<futures::stream::BoxStream<'static, warehouse::Result<RecordBatch>>, SourceError> {
        let rows = warehouse.rows(&self.table).await.map_err(|e| of_warehouse(&e))?;
        Ok(rows.unwrap_or_else(|| futures::stream::empty().boxed()))
    }

    /// Whether a row with this text is there already.
    pub(super) fn has(&self, text: &str) -> bool {
        self.texts.contains(&hash(text))
    }

    /// Notes which of the watched keys are among rows that were kept.
    pub(super) fn observe(&mut self, rows: &RecordBatch) {
        if self.by_key.is_empty() {
            return;
        }
        let options = FormatOptions::default();
        let columns: Option<Vec<ArrayFormatter<'_>>> = self
            .keys
            .iter()
            .map(|key| ArrayFormatter::try_new(rows.column_by_name(key)?.as_ref(), &options).ok())
            .collect();
        let Some(columns) = columns else { return };
        for row in 0..rows.num_rows() {
            let key: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            if let Some(texts) = self.by_key.remove(&key.join("\u{1f}")) {
                self.corrected.extend(texts);
            }
        }
    }

    /// Takes the corrected rows out of the quarantine; how many there were.
    pub(super) async fn leave(&self, warehouse: &Warehouse, mark: LoadMark) -> Result<u64, SourceError> {
        if self.corrected.is_empty() {
            return Ok(0);
        }
        let mut rows = self.rows(warehouse).await?;
        let (mut stay, mut gone) = (Vec::new(), 0);
        while let Some(batch) = rows.try_next().await.map_err(|e| of_warehouse(&e))? {
            let Some(texts) = batch.column_by_name("text").and_then(|c| c.as_string_opt::<i32>()) else {
                stay.push(Ok(batch));
                continue;
            };
            let mask: BooleanArray = texts
                .iter()
                .map(|text| Some(!text.is_some_and(|text| self.corrected.contains(&hash(text)))))
                .collect();
            gone += (mask.len() - mask.true_count()) as u64;
            let kept = filter_record_batch(&batch, &mask)
                .map_err(|e| SourceError::never(format!("the quarantine cannot be filtered: {e}")))?;
            stay.push(Ok(kept));
        }
        let rows = futures::stream::iter(stay).boxed();
        warehouse.land(&self.table, rows, Landing::Replace, mark).await.map_err(|e| of_warehouse(&e))?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_text_of_a_row() {
        let keys = ["id".to_owned(), "b".to_owned()];
        assert_eq!(key_of(r#"{"id": 7, "b": "x", "c": 1}"#, &keys).unwrap(), "7\u{1f}x");
        assert_eq!(key_of(r#"{"id": null, "b": "x"}"#, &keys), None);
        assert_eq!(key_of("1,2,3", &keys), None);
        assert_eq!(key_of("{}", &[]), None);
    }
}
