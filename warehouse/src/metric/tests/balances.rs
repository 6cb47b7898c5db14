//! Levels of which each key writes at times of its own.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::{Filter, Grain, MetricAnswer, MetricQuery, ask, range};
use crate::Landing;
use crate::clean::fixture::{House, at, house};

async fn balances(rows: &[(&str, &str, &str, f64)]) -> House {
    let house = house().await;
    let times: Vec<i64> = rows.iter().map(|row| at(row.0).timestamp_micros()).collect();
    let batch = RecordBatch::try_from_iter([
        ("at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef),
        ("account", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)))),
        ("bank", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
        ("balance", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.3)))),
    ]);
    house.land("mart.bal", Landing::Append, batch.expect("a batch")).await;
    for (name, measure) in
        [("last", "{last: {column: balance, by: [account]}}"), ("latest", "{latest: {column: balance}}")]
    {
        let text = "table: mart.bal\ntime: at\ndimensions: {account: Account, bank: Bank}";
        house.metric(name, &format!("title: t\n{text}\nmeasure: {measure}"));
    }
    house
}

fn shown(answer: &MetricAnswer) -> Vec<(Option<&str>, Option<f64>)> {
    answer.rows.iter().map(|row| (row.by.first().and_then(Option::as_deref), row.value)).collect()
}

#[tokio::test]
async fn the_last_value_of_each_account_counts_in_each_month() {
    let house = balances(&[
        ("2026-01-31T04:00:00Z", "A", "x", 1500.0),
        ("2026-01-31T04:00:00Z", "B", "x", 2500.0),
        ("2026-02-26T04:00:00Z", "B", "x", 2400.0),
        ("2026-02-27T04:00:00Z", "B", "x", 2600.0),
        ("2026-02-28T04:00:00Z", "A", "x", 1600.0),
    ])
    .await;
    let months = range("2025-12-31T16:00:00Z", "2026-02-28T16:00:00Z");
    let query = MetricQuery { grain: Some(Grain::Month), ..MetricQuery::new("last", months) };
    assert_eq!(shown(&ask(&house, &query).await), [(None, Some(4000.0)), (None, Some(4200.0))]);
    let split = MetricQuery { by: vec!["account".into()], ..query };
    let found = ask(&house, &split).await;
    assert_eq!(
        shown(&found),
        [
            (Some("A"), Some(1500.0)),
            (Some("B"), Some(2500.0)),
            (Some("A"), Some(1600.0)),
            (Some("B"), Some(2600.0))
        ]
    );
    let whole = MetricQuery { grain: None, ..split };
    assert_eq!(shown(&ask(&house, &whole).await), [(Some("A"), Some(1600.0)), (Some("B"), Some(2600.0))]);
    // The newest moment of all is another question.
    let latest = MetricQuery { metric: "latest".into(), by: vec![], ..whole };
    assert_eq!(shown(&ask(&house, &latest).await), [(None, Some(1600.0))]);
}

#[tokio::test]
async fn a_snapshot_written_over_seconds_is_whole_and_a_key_that_moved_counts_where_it_is() {
    let house = balances(&[
        ("2026-01-31T15:59:01Z", "A", "x", 100.0),
        ("2026-01-31T15:59:02Z", "B", "x", 200.0),
        ("2026-01-31T15:59:03Z", "C", "x", 300.0),
        ("2026-01-31T15:59:04Z", "C", "y", 50.0),
    ])
    .await;
    let query = MetricQuery::new("last", range("2025-12-31T16:00:00Z", "2026-02-01T16:00:00Z"));
    assert_eq!(shown(&ask(&house, &query).await), [(None, Some(350.0))]);
    let banks = MetricQuery { by: vec!["bank".into()], ..query.clone() };
    assert_eq!(shown(&ask(&house, &banks).await), [(Some("x"), Some(300.0)), (Some("y"), Some(50.0))]);
    let filter = Filter { dimension: "bank".into(), values: vec![Some("x".into())], exclude: false };
    let only = MetricQuery { filters: vec![filter], ..query };
    assert_eq!(shown(&ask(&house, &only).await), [(None, Some(300.0))], "C is at bank y by now");
}
