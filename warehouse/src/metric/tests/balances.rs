//! Levels of which each key writes at times of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::{Compare, Filter, Grain, MetricAnswer, MetricQuery, ask, range};
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

#[tokio::test]
async fn an_account_that_rests_keeps_its_balance() {
    let house = balances(&[
        ("2026-01-10T04:00:00Z", "A", "x", 1500.0),
        ("2026-01-11T04:00:00Z", "B", "y", 2500.0),
        ("2026-02-12T04:00:00Z", "A", "x", 1600.0),
        ("2026-04-01T04:00:00Z", "C", "x", 1.0),
    ])
    .await;
    let months = range("2025-11-30T16:00:00Z", "2026-04-30T16:00:00Z");
    let query = MetricQuery { grain: Some(Grain::Month), ..MetricQuery::new("last", months) };
    let values = |answer: MetricAnswer| answer.rows.iter().map(|row| row.value).collect::<Vec<_>>();
    let all = [None, Some(4000.0), Some(4100.0), Some(4100.0), Some(4101.0)];
    assert_eq!(values(ask(&house, &query).await), all);
    // A range in which nobody wrote, compared to one in which one did.
    let march = range("2026-02-28T16:00:00Z", "2026-03-31T16:00:00Z");
    let query = MetricQuery { range: march, by: vec!["bank".into()], ..query };
    let query = MetricQuery { compare: Some(Compare::Previous), ..query };
    for grain in [None, Some(Grain::Month)] {
        let answer = ask(&house, &MetricQuery { grain, ..query.clone() }).await;
        assert_eq!(shown(&answer), [(Some("x"), Some(1600.0)), (Some("y"), Some(2500.0))]);
        let before: Vec<Option<f64>> = answer.rows.iter().map(|row| row.previous).collect();
        assert_eq!(before, [Some(1600.0), Some(2500.0)]);
    }
}

/// Every grain, split and filter beside a loop over the rows.
#[tokio::test]
async fn levels_agree_with_a_loop_over_the_rows() {
    let mut seed = 7u64;
    let mut below = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let start = at("2026-01-01T16:00:00Z");
    let rows: Vec<(String, String, String, f64)> = (0..400)
        .map(|_| {
            let time = start + chrono::TimeDelta::minutes(below(90 * 1440) as i64);
            let text = time.format("%Y-%m-%dT%H:%M:00Z").to_string();
            (text, format!("a{}", below(25)), format!("b{}", below(3)), below(1000) as f64)
        })
        .collect();
    let borrowed: Vec<(&str, &str, &str, f64)> =
        rows.iter().map(|row| (row.0.as_str(), row.1.as_str(), row.2.as_str(), row.3)).collect();
    let house = balances(&borrowed).await;
    let level = |end: store::Timestamp, bank: Option<&str>| -> Option<f64> {
        let mut newest: BTreeMap<&str, store::Timestamp> = BTreeMap::new();
        for row in borrowed.iter().filter(|row| at(row.0) < end) {
            let time = newest.entry(row.1).or_insert(at(row.0));
            *time = at(row.0).max(*time);
        }
        let held = borrowed.iter().filter(|row| newest.get(row.1) == Some(&at(row.0)));
        let held: Vec<f64> =
            held.filter(|row| bank.is_none_or(|bank| row.2 == bank)).map(|row| row.3).collect();
        (!held.is_empty()).then(|| held.iter().sum())
    };
    let asked = range("2026-02-03T07:00:00Z", "2026-03-20T03:00:00Z");
    for grain in [Grain::Hour, Grain::Day, Grain::Week, Grain::Month] {
        for bank in [None, Some("b1")] {
            let filters = bank.map(|bank: &str| Filter {
                dimension: "bank".into(),
                values: vec![Some(bank.into())],
                exclude: false,
            });
            let query = MetricQuery {
                grain: Some(grain),
                filters: filters.into_iter().collect(),
                ..MetricQuery::new("last", asked)
            };
            let answer = ask(&house, &query).await;
            for (index, row) in answer.rows.iter().enumerate() {
                let end = answer.rows.get(index + 1).and_then(|row| row.time).unwrap_or(asked.to);
                assert_eq!(row.value, level(end, bank), "{grain:?} {bank:?} until {end}");
            }
        }
    }
}
