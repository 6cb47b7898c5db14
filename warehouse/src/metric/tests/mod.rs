//! Metrics through a session, against numbers worked out by hand. Mistakes and rights: `mistakes`; a year against
//! the one before: `years`; levels: `balances`; what is not known: `known`; values of dimensions: `values`;
//! questions by chance against SQL: `same_as_sql`.

mod balances;
mod known;
mod mistakes;
mod same_as_sql;
mod values;
mod years;

use std::collections::BTreeMap;
use std::sync::Arc;

use access::Principal;
use arrow::array::{
    ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use super::*;
use crate::clean::fixture::{House, at, house, house_in};
use crate::{Error, Landing, Range};

/// Lands (time, region, amount, status) rows into mart.orders.
async fn orders(house: &House, rows: &[(&str, Option<&str>, f64, &str)]) {
    let times: Vec<i64> = rows.iter().map(|row| at(row.0).timestamp_micros()).collect();
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let days: Vec<i32> = rows
        .iter()
        .map(|row| {
            let day = house.warehouse.calendar().local(at(row.0)).date_naive();
            day.to_epoch_days()
        })
        .collect();
    let regions: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|row| row.1)));
    let amounts: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)));
    let status: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.3)));
    let days: ArrayRef = Arc::new(Date32Array::from(days));
    let batch = RecordBatch::try_from_iter([
        ("at", times),
        ("day", days),
        ("region", regions),
        ("amount", amounts),
        ("status", status),
    ]);
    house.land("mart.orders", Landing::Append, batch.expect("a batch")).await;
}

fn define(house: &House, name: &str, measure: &str) {
    house.metric(
        name,
        &format!(
            "title: {name}\ntable: mart.orders\ntime: at\ndimensions: {{region: 地区, status: 状态}}\nmeasure: {measure}"
        ),
    );
}

async fn ask(house: &House, ask: &MetricQuery) -> MetricAnswer {
    house.warehouse.session(&Principal::system()).metric(ask).await.expect("an answer")
}

fn range(from: &str, to: &str) -> Range {
    Range { from: at(from), to: at(to) }
}

/// The 15th to the 18th of March 2026 in Shanghai, end exclusive: three days.
fn three_days() -> Range {
    range("2026-03-14T16:00:00Z", "2026-03-17T16:00:00Z")
}

fn values(answer: &MetricAnswer) -> Vec<Option<f64>> {
    answer.rows.iter().map(|row| row.value).collect()
}

async fn standard() -> House {
    let house = house().await;
    orders(
        &house,
        &[
            // The 14th in Shanghai (previous period), late in the evening.
            ("2026-03-14T15:59:59Z", Some("east"), 7.0, "open"),
            // The 15th.
            ("2026-03-14T16:00:00Z", Some("east"), 10.0, "open"),
            ("2026-03-15T03:00:00Z", Some("west"), 20.0, "done"),
            ("2026-03-15T04:00:00Z", None, 5.0, "done"),
            // The 17th.
            ("2026-03-17T01:00:00Z", Some("east"), 30.0, "done"),
            // The 18th.
            ("2026-03-17T16:00:00Z", Some("east"), 100.0, "done"),
        ],
    )
    .await;
    for (name, measure) in [
        ("count", "{count: {}}"),
        ("done", "{count: {where: \"status = 'done'\"}}"),
        ("revenue", "{sum: {column: amount}}"),
        ("mean", "{average: {column: amount}}"),
        ("least", "{minimum: {column: amount}}"),
        ("most", "{maximum: {column: amount}}"),
        ("regions", "{distinct: {column: region}}"),
        ("median", "{quantile: {column: amount, q: 0.5}}"),
        ("p90", "{quantile: {column: amount, q: 0.9}}"),
        (
            "done_rate",
            "{ratio: {numerator: {count: {where: \"status = 'done'\"}}, denominator: {count: {}}}}",
        ),
        ("per_order", "{derived: {expression: r / n, metrics: {r: revenue, n: count}}}"),
    ] {
        match name {
            "per_order" => house.metric(name, &format!("title: {name}\nmeasure: {measure}")),
            _ => define(&house, name, measure),
        }
    }
    house
}

#[tokio::test]
async fn every_measure_gives_the_number_worked_out_by_hand() {
    let house = standard().await;
    for (metric, whole, days) in [
        ("count", Some(4.0), [Some(3.0), Some(0.0), Some(1.0)]),
        ("done", Some(3.0), [Some(2.0), Some(0.0), Some(1.0)]),
        ("revenue", Some(65.0), [Some(35.0), Some(0.0), Some(30.0)]),
        ("mean", Some(16.25), [Some(35.0 / 3.0), None, Some(30.0)]),
        ("least", Some(5.0), [Some(5.0), None, Some(30.0)]),
        ("most", Some(30.0), [Some(20.0), None, Some(30.0)]),
        ("regions", Some(2.0), [Some(2.0), Some(0.0), Some(1.0)]),
        ("median", Some(15.0), [Some(10.0), None, Some(30.0)]),
        ("p90", Some(27.0), [Some(18.0), None, Some(30.0)]),
        ("done_rate", Some(0.75), [Some(2.0 / 3.0), None, Some(1.0)]),
        ("per_order", Some(16.25), [Some(35.0 / 3.0), None, Some(30.0)]),
    ] {
        let mut query = MetricQuery::new(metric, three_days());
        let close = |a: &[Option<f64>], b: &[Option<f64>]| {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| match (a, b) {
                    (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                    (a, b) => a.is_none() && b.is_none(),
                })
        };
        let found = ask(&house, &query).await;
        assert!(close(&values(&found), &[whole]), "{metric}: {found:?}");
        query.grain = Some(Grain::Day);
        let found = ask(&house, &query).await;
        assert!(close(&values(&found), &days), "{metric}: {found:?}");
        assert_eq!(found.rows[1].time, Some(at("2026-03-15T16:00:00Z")));
        assert_eq!(found.tables.iter().map(|t| t.0.to_string()).collect::<Vec<_>>(), ["mart.orders"]);
        assert!(found.as_of.is_some() && !found.query_id.is_empty());
    }
    let rate = ask(&house, &MetricQuery::new("done_rate", three_days())).await;
    assert_eq!((rate.rows[0].numerator, rate.rows[0].denominator), (Some(3.0), Some(4.0)));
}

#[tokio::test]
async fn groups_filters_order_and_limit() {
    let house = standard().await;
    let by_region = MetricQuery {
        by: vec!["region".into()],
        order: Order::ValueDesc,
        ..MetricQuery::new("revenue", three_days())
    };
    let shown = |answer: &MetricAnswer| -> Vec<String> {
        let text = |row: &MetricRow| {
            format!("{}={:?}", row.by[0].as_deref().unwrap_or("-"), row.value.unwrap_or(-1.0))
        };
        answer.rows.iter().map(text).collect()
    };
    assert_eq!(shown(&ask(&house, &by_region).await), ["east=40.0", "west=20.0", "-=5.0"]);
    let limited = MetricQuery { limit: Some(1), order: Order::ValueAsc, ..by_region.clone() };
    assert_eq!(shown(&ask(&house, &limited).await), ["-=5.0"]);
    let filter = |values: &[&str], exclude| MetricQuery {
        filters: vec![Filter {
            dimension: "region".into(),
            values: values.iter().map(|v| Some((*v).to_owned())).collect(),
            exclude,
        }],
        ..by_region.clone()
    };
    assert_eq!(shown(&ask(&house, &filter(&["west", "it's"], false)).await), ["west=20.0"]);
    assert_eq!(shown(&ask(&house, &filter(&["east"], true)).await), ["west=20.0", "-=5.0"]);
    assert!(ask(&house, &filter(&[], false)).await.rows.is_empty());
    // The best series over time, each with every bucket.
    let series = MetricQuery { grain: Some(Grain::Day), limit: Some(2), order: Order::Time, ..by_region };
    let found = ask(&house, &series).await;
    let mut lines: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in &found.rows {
        lines.entry(row.by[0].clone().unwrap_or_default()).or_default().push(row.value.unwrap_or(-1.0));
    }
    assert_eq!(lines["east"], [10.0, 0.0, 30.0]);
    assert_eq!(lines["west"], [20.0, 0.0, 0.0]);
    assert_eq!(lines.len(), 2);
    assert!(found.rows.is_sorted_by_key(|row| row.time));
}

#[tokio::test]
async fn periods_are_laid_side_by_side() {
    let house = standard().await;
    // The data reaches back over what is compared to.
    orders(&house, &[("2026-03-01T00:00:00Z", Some("east"), 0.0, "done")]).await;
    let query = MetricQuery {
        grain: Some(Grain::Day),
        compare: Some(Compare::Previous),
        ..MetricQuery::new("revenue", three_days())
    };
    let found = ask(&house, &query).await;
    assert_eq!(found.previous_range, Some(range("2026-03-11T16:00:00Z", "2026-03-14T16:00:00Z")));
    let previous: Vec<Option<f64>> = found.rows.iter().map(|row| row.previous).collect();
    assert_eq!(previous, [Some(0.0), Some(0.0), Some(7.0)]);
    let whole = MetricQuery { grain: None, by: vec!["region".into()], ..query };
    let found = ask(&house, &whole).await;
    let east = found.rows.iter().find(|row| row.by[0].as_deref() == Some("east")).expect("a row");
    assert_eq!((east.value, east.previous), (Some(40.0), Some(7.0)));
    // Two years against the year-shifted two years: the same rows stand in both.
    let earlier =
        [("2025-03-15T04:00:00Z", Some("east"), 1.0, "done"), ("2023-12-31T16:00:00Z", None, 3.0, "done")];
    orders(&house, &earlier).await;
    let years = MetricQuery {
        grain: Some(Grain::Year),
        compare: Some(Compare::LastYear),
        ..MetricQuery::new("revenue", range("2024-12-31T16:00:00Z", "2026-12-31T16:00:00Z"))
    };
    let found = ask(&house, &years).await;
    let pairs: Vec<_> = found.rows.iter().map(|row| (row.value, row.previous)).collect();
    assert_eq!(pairs, [(Some(1.0), Some(3.0)), (Some(172.0), Some(1.0))]);
}

#[tokio::test]
async fn the_running_bucket_is_partial_and_the_future_unknown() {
    let house = standard().await; // It is 10:00 on the 18th.
    let query = MetricQuery {
        grain: Some(Grain::Day),
        ..MetricQuery::new("count", range("2026-03-16T16:00:00Z", "2026-03-19T16:00:00Z"))
    };
    let found = ask(&house, &query).await;
    let seen: Vec<_> = found.rows.iter().map(|row| (row.value, row.partial)).collect();
    assert_eq!(seen, [(Some(1.0), false), (Some(1.0), true), (None, true)]);
    let cut = MetricQuery { range: range("2026-03-16T20:00:00Z", "2026-03-17T16:00:00Z"), ..query };
    assert!(ask(&house, &cut).await.rows[0].partial);
}

#[tokio::test]
async fn a_stock_is_the_sum_at_the_newest_time_of_each_bucket() {
    let house = house().await;
    orders(
        &house,
        &[
            ("2026-03-15T01:00:00Z", Some("east"), 5.0, "a"),
            ("2026-03-15T01:00:00Z", Some("west"), 9.0, "a"),
            // At the newest snapshot of the 15th the west has no open case, hence no row.
            ("2026-03-15T02:00:00Z", Some("east"), 6.0, "a"),
            ("2026-03-15T02:00:00Z", Some("east"), 1.0, "b"),
            ("2026-03-17T01:00:00Z", Some("west"), 4.0, "a"),
        ],
    )
    .await;
    define(&house, "backlog", "{latest: {column: amount}}");
    let query = MetricQuery { grain: Some(Grain::Day), ..MetricQuery::new("backlog", three_days()) };
    assert_eq!(values(&ask(&house, &query).await), [Some(7.0), None, Some(4.0)]);
    let whole = MetricQuery { grain: None, by: vec!["region".into()], ..query.clone() };
    let found = ask(&house, &whole).await;
    assert_eq!(
        found.rows.iter().map(|row| (row.by[0].as_deref(), row.value)).collect::<Vec<_>>(),
        [(Some("west"), Some(4.0))]
    );
    let west = MetricQuery {
        filters: vec![Filter {
            dimension: "region".into(),
            values: vec![Some("west".into())],
            exclude: false,
        }],
        ..query.clone()
    };
    // Without a row at the newest snapshot of the 15th, the west had nothing open or was not told.
    assert_eq!(values(&ask(&house, &west).await), [None, None, Some(4.0)]);
    let split = MetricQuery { by: vec!["region".into()], ..query };
    let found = ask(&house, &split).await;
    let of = |region: &str| -> Vec<Option<f64>> {
        found.rows.iter().filter(|row| row.by[0].as_deref() == Some(region)).map(|row| row.value).collect()
    };
    assert_eq!(of("east"), [Some(7.0), None, Some(0.0)]);
    assert_eq!(of("west"), [Some(0.0), None, Some(4.0)]);
}

#[tokio::test]
async fn dates_are_days_of_the_site() {
    let house = standard().await;
    house.metric("daily", "{title: d, table: mart.orders, time: day, measure: {sum: {column: amount}}}");
    let query = MetricQuery { grain: Some(Grain::Day), ..MetricQuery::new("daily", three_days()) };
    assert_eq!(values(&ask(&house, &query).await), [Some(35.0), Some(0.0), Some(30.0)]);
    let week = MetricQuery { grain: Some(Grain::Week), ..query.clone() };
    // The 15th is a Sunday.
    assert_eq!(values(&ask(&house, &week).await), [Some(35.0), Some(30.0)]);
    // A range that starts inside a day leaves that day out.
    let inside = MetricQuery {
        range: range("2026-03-14T18:00:00Z", "2026-03-17T16:00:00Z"),
        grain: None,
        ..query.clone()
    };
    assert_eq!(values(&ask(&house, &inside).await), [Some(30.0)]);
    let hours = MetricQuery { grain: Some(Grain::Hour), ..query };
    let session = house.warehouse.session(&Principal::system());
    assert!(matches!(session.metric(&hours).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn a_clock_change_makes_days_of_23_and_25_hours() {
    let house = house_in(chrono_tz::Europe::Berlin).await;
    let spring: Vec<(String, f64)> = (0..26)
        .map(|hour| ((at("2025-10-25T22:00:00Z") + chrono::TimeDelta::hours(hour)).to_rfc3339(), 1.0))
        .collect();
    let rows: Vec<(&str, Option<&str>, f64, &str)> =
        spring.iter().map(|(time, amount)| (time.as_str(), None, *amount, "x")).collect();
    orders(&house, &rows).await;
    define(&house, "count", "{count: {}}");
    let query = MetricQuery {
        grain: Some(Grain::Day),
        ..MetricQuery::new("count", range("2025-10-25T22:00:00Z", "2025-10-27T23:00:00Z"))
    };
    assert_eq!(values(&ask(&house, &query).await), [Some(25.0), Some(1.0)]);
    let hours = MetricQuery {
        grain: Some(Grain::Hour),
        range: range("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"),
        ..query
    };
    assert_eq!(values(&ask(&house, &hours).await), vec![Some(1.0); 25]);
}
