//! A warehouse in memory for the tests of clean, model and metric.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use futures::{StreamExt, stream};
use serde_json::json;
use store::{Clock, ManualClock, Metadata, Objects, Timestamp};

use crate::{Definitions, Landing, LoadMark, Settings, TableName, Warehouse};

pub(crate) struct House {
    pub(crate) warehouse: Warehouse,
    pub(crate) clock: Arc<ManualClock>,
    seq: AtomicI64,
}

/// 10:00 on a Wednesday in Shanghai.
pub(crate) const NOW: &str = "2026-03-18T02:00:00Z";

pub(crate) async fn house() -> House {
    house_in(chrono_tz::Asia::Shanghai).await
}

pub(crate) async fn house_in(zone: chrono_tz::Tz) -> House {
    let clock = Arc::new(ManualClock::new(at(NOW), 7));
    let db = Metadata::memory().await.expect("a database");
    let settings = Settings::new(zone, chrono::Weekday::Mon, 1);
    let warehouse =
        Warehouse::open(Objects::memory(), db, clock.clone(), settings).await.expect("a warehouse");
    House { warehouse, clock, seq: AtomicI64::new(0) }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn table(name: &str) -> TableName {
    name.parse().expect("a table name")
}

impl House {
    /// Changes the definitions; the rest stays.
    pub(crate) fn define(&self, change: impl FnOnce(&mut Definitions)) {
        let mut definitions = self.warehouse.definitions().as_ref().clone();
        change(&mut definitions);
        self.warehouse.set_definitions(definitions);
    }

    pub(crate) fn clean(&self, name: &str, yaml: &str) {
        let spec = serde_saphyr::from_str(yaml).expect("a cleaning");
        self.define(|all| {
            all.cleans.insert(name.to_owned(), spec);
        });
    }

    pub(crate) fn model(&self, name: &str, text: &str) {
        let spec = crate::model::ModelSpec::parse(name, text).expect("a model");
        self.define(|all| {
            all.models.insert(name.to_owned(), spec);
        });
    }

    pub(crate) fn metric(&self, name: &str, yaml: &str) {
        let spec = serde_saphyr::from_str(yaml).expect("a metric");
        self.define(|all| {
            all.metrics.insert(name.to_owned(), spec);
        });
    }

    /// Lands text rows the way a CSV file comes: with file, row number and time of landing.
    pub(crate) async fn land_texts(
        &self,
        name: &str,
        how: Landing,
        columns: &[&str],
        rows: &[Vec<Option<String>>],
    ) {
        let loaded = self.clock.now().timestamp_micros();
        let mut arrays: Vec<(String, ArrayRef)> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let values: StringArray = rows.iter().map(|row| row[at].as_deref()).collect();
                ((*column).to_owned(), Arc::new(values) as ArrayRef)
            })
            .collect();
        let count = rows.len();
        arrays.push(("_file".to_owned(), Arc::new(StringArray::from(vec!["drop.csv"; count]))));
        arrays.push(("_row".to_owned(), Arc::new(Int64Array::from_iter_values(2..count as i64 + 2))));
        let loaded = TimestampMicrosecondArray::from(vec![loaded; count]).with_timezone("UTC");
        arrays.push(("_loaded_at".to_owned(), Arc::new(loaded)));
        self.land(name, how, RecordBatch::try_from_iter(arrays).expect("a batch")).await;
        self.clock.advance(Duration::from_secs(60));
    }

    pub(crate) async fn land(&self, name: &str, how: Landing, rows: RecordBatch) {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let mark = LoadMark {
            stream: "test".to_owned(),
            seq,
            cursor: json!(null),
            operation: format!("test-{seq}"),
        };
        let rows = stream::iter([Ok(rows)]).boxed();
        self.warehouse.land(&table(name), rows, how, mark).await.expect("rows land");
    }

    /// Runs SQL; each row as its cells joined by `|`.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<String> {
        let batches = self.warehouse.context().sql(sql).await.expect("SQL plans");
        let batches = batches.collect().await.expect("SQL runs");
        batches.iter().flat_map(lines).collect()
    }
}

pub(crate) fn lines(batch: &RecordBatch) -> Vec<String> {
    (0..batch.num_rows())
        .map(|row| {
            let cells: Vec<String> = batch
                .columns()
                .iter()
                .map(|array| array_value_to_string(array, row).expect("a cell"))
                .collect();
            cells.join("|")
        })
        .collect()
}

/// Rows of texts; `~` is no value.
pub(crate) fn rows(texts: &[&[&str]]) -> Vec<Vec<Option<String>>> {
    let cell = |text: &&str| (*text != "~").then(|| (*text).to_owned());
    texts.iter().map(|row| row.iter().map(cell).collect()).collect()
}
