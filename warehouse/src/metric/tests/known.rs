//! Before its first row and after its last a table knows nothing, which is not the same as nothing having happened.

use super::{Compare, Filter, Grain, MetricQuery, ask, define, orders, range, values};
use crate::clean::fixture::{House, house};

/// Orders of February and early March; it is the 18th of March.
async fn site() -> House {
    let house = house().await;
    orders(
        &house,
        &[
            ("2026-02-10T02:00:00Z", Some("east"), 10.0, "done"),
            ("2026-02-12T02:00:00Z", Some("west"), 20.0, "done"),
            ("2026-03-05T02:00:00Z", Some("east"), 30.0, "done"),
        ],
    )
    .await;
    define(&house, "count", "{count: {}}");
    define(&house, "revenue", "{sum: {column: amount}}");
    define(&house, "mean", "{average: {column: amount}}");
    house.metric("double", "{title: d, measure: {derived: {expression: r + r, metrics: {r: revenue}}}}");
    house
}

#[tokio::test]
async fn months_before_the_first_row_and_days_after_the_last_are_not_known() {
    let house = site().await;
    let year = range("2025-12-31T16:00:00Z", "2026-04-30T16:00:00Z");
    for (metric, expected) in [
        ("count", [None, Some(2.0), Some(1.0), None]),
        ("revenue", [None, Some(30.0), Some(30.0), None]),
        ("double", [None, Some(60.0), Some(60.0), None]),
    ] {
        let months = MetricQuery { grain: Some(Grain::Month), ..MetricQuery::new(metric, year) };
        assert_eq!(values(&ask(&house, &months).await), expected, "{metric}");
    }
    let days = MetricQuery {
        grain: Some(Grain::Day),
        ..MetricQuery::new("count", range("2026-03-03T16:00:00Z", "2026-03-07T16:00:00Z"))
    };
    assert_eq!(values(&ask(&house, &days).await), [Some(0.0), Some(1.0), None, None]);
    let early = MetricQuery {
        grain: Some(Grain::Day),
        ..MetricQuery::new("count", range("2026-02-07T16:00:00Z", "2026-02-11T16:00:00Z"))
    };
    assert_eq!(values(&ask(&house, &early).await), [None, None, Some(1.0), Some(0.0)]);
    for (from, to) in
        [("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"), ("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z")]
    {
        let whole = MetricQuery::new("revenue", range(from, to));
        assert_eq!(values(&ask(&house, &whole).await), [None], "{from}");
    }
    // Within the data a filter that finds nothing is nothing.
    let filter = Filter { dimension: "region".into(), values: vec![Some("north".into())], exclude: false };
    let none = MetricQuery {
        filters: vec![filter],
        ..MetricQuery::new("revenue", range("2026-02-11T00:00:00Z", "2026-03-01T00:00:00Z"))
    };
    assert_eq!(values(&ask(&house, &none).await), [Some(0.0)]);
}

#[tokio::test]
async fn a_rule_may_take_silence_for_nothing() {
    let house = site().await;
    let days = MetricQuery {
        grain: Some(Grain::Day),
        silence_is_nothing: true,
        ..MetricQuery::new("count", range("2026-03-03T16:00:00Z", "2026-03-07T16:00:00Z"))
    };
    assert_eq!(values(&ask(&house, &days).await), [Some(0.0), Some(1.0), Some(0.0), Some(0.0)]);
    let before = MetricQuery { range: range("2026-02-07T16:00:00Z", "2026-02-09T16:00:00Z"), ..days };
    assert_eq!(values(&ask(&house, &before).await), [None, None]);
}

#[tokio::test]
async fn nothing_is_compared_to_a_time_that_the_data_knows_in_part() {
    let house = site().await;
    // March so far against February so far: the data begins on the 10th of February.
    let query = MetricQuery {
        compare: Some(Compare::Previous),
        ..MetricQuery::new("revenue", range("2026-02-28T16:00:00Z", "2026-03-18T02:00:00Z"))
    };
    let found = ask(&house, &query).await;
    assert_eq!((found.rows[0].value, found.rows[0].previous, found.incomplete), (Some(30.0), None, true));
    // A week that is known whole.
    let week = MetricQuery { range: range("2026-03-01T16:00:00Z", "2026-03-08T16:00:00Z"), ..query.clone() };
    let found = ask(&house, &week).await;
    assert_eq!(
        (found.rows[0].value, found.rows[0].previous, found.incomplete),
        (Some(30.0), Some(0.0), false)
    );
    // By months: February is known in part, January not at all.
    let months = MetricQuery {
        grain: Some(Grain::Month),
        range: range("2026-01-31T16:00:00Z", "2026-03-31T16:00:00Z"),
        ..query
    };
    let found = ask(&house, &months).await;
    assert!(found.incomplete && found.rows.iter().all(|row| row.previous.is_none()), "{:?}", found.rows);
    assert_eq!(found.rows[0].value, Some(30.0));
    assert!(found.rows[0].partial, "the data begins inside of it");
    let mean = MetricQuery { metric: "mean".into(), ..months };
    assert!(ask(&house, &mean).await.rows.iter().all(|row| row.previous.is_none()));
}

#[tokio::test]
async fn totals_of_a_running_month_are_not_compared_to_whole_ones() {
    let house = house().await;
    orders(
        &house,
        &[
            ("2026-01-31T16:00:00Z", Some("east"), 100.0, "done"),
            ("2026-02-28T16:00:00Z", Some("east"), 20.0, "done"),
        ],
    )
    .await;
    let text = "title: m\ntable: mart.orders\ntime: day\nmeasure: {sum: {column: amount}}";
    house.metric("plain", text);
    house.metric("monthly", &format!("{text}\ncovers: month"));
    let so_far = range("2026-02-28T16:00:00Z", "2026-03-18T02:00:00Z");
    let query =
        |metric: &str| MetricQuery { compare: Some(Compare::Previous), ..MetricQuery::new(metric, so_far) };
    let plain = ask(&house, &query("plain")).await;
    assert_eq!((plain.rows[0].value, plain.rows[0].previous), (Some(20.0), Some(100.0)));
    let monthly = ask(&house, &query("monthly")).await;
    assert_eq!(
        (monthly.rows[0].value, monthly.rows[0].previous, monthly.incomplete),
        (Some(20.0), None, true)
    );
    // Once a month is over, it is.
    let last =
        MetricQuery { range: range("2026-01-31T16:00:00Z", "2026-02-28T16:00:00Z"), ..query("monthly") };
    assert_eq!(ask(&house, &last).await.rows[0].value, Some(100.0));
}
