//! Filters and keys in the types of their columns, and what values are called.

use std::sync::Arc;

use access::Principal;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use super::{Filter, MetricQuery, Order, ask, range};
use crate::clean::fixture::{House, at, house};
use crate::{Error, Landing};

/// Three rows with one column of each type; the third has no values.
async fn typed() -> House {
    let house = house().await;
    let when = at("2026-01-05T05:30:00Z").timestamp_micros();
    let times = |values: Vec<Option<i64>>| {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef
    };
    let price = Decimal128Array::from(vec![Some(150), Some(1050), None]).with_precision_and_scale(10, 2);
    let batch = RecordBatch::try_from_iter([
        ("at", times(vec![Some(when); 3])),
        ("name", Arc::new(StringArray::from(vec![Some("it's"), Some("expense"), None])) as ArrayRef),
        ("level", Arc::new(Int64Array::from(vec![Some(-2), Some(10), None]))),
        ("price", Arc::new(price.expect("a decimal"))),
        ("rate", Arc::new(Float64Array::from(vec![Some(0.5), Some(10.5), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(20_458), Some(20_459), None]))),
        ("seen", times(vec![Some(when), Some(when + 1_000_000), None])),
    ]);
    house.land("mart.typed", Landing::Append, batch.expect("a batch")).await;
    house.metric(
        "n",
        "title: Rows\ntable: mart.typed\ntime: at\nmeasure: {count: {}}\ndimensions: {name: {title: Name, titles: {expense: {zh: 报销, en: Expense}}}, level: L, price: P, rate: R, flag: F, day: D, seen: S}",
    );
    house
}

fn filtered(dimension: &str, values: &[Option<&str>], exclude: bool) -> MetricQuery {
    let values = values.iter().map(|value| value.map(str::to_owned)).collect();
    MetricQuery {
        filters: vec![Filter { dimension: dimension.to_owned(), values, exclude }],
        ..MetricQuery::new("n", range("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"))
    }
}

#[tokio::test]
async fn values_are_read_in_the_type_of_their_column() {
    let house = typed().await;
    for (dimension, values) in [
        ("name", vec!["it's"]),
        ("level", vec!["-2", "-2.0", " -2 "]),
        ("price", vec!["1.5", "1.50", "1.500", "15e-1"]),
        ("rate", vec!["0.5", "0.50", "5e-1"]),
        ("flag", vec!["TRUE", "true", "是", "1"]),
        ("day", vec!["2026-01-05", "2026/1/5", "2026年1月5日", "20260105"]),
        (
            "seen",
            vec![
                "2026-01-05T05:30:00Z",
                "2026-01-05 13:30:00",
                "2026/1/5 13:30",
                "2026-01-05T13:30:00+08:00",
            ],
        ),
    ] {
        for value in values {
            let found = ask(&house, &filtered(dimension, &[Some(value)], false)).await;
            assert_eq!(found.rows[0].value, Some(1.0), "{dimension} = {value}");
            let rest = ask(&house, &filtered(dimension, &[Some(value)], true)).await;
            assert_eq!(rest.rows[0].value, Some(2.0), "{dimension} without {value}");
        }
        let missing = ask(&house, &filtered(dimension, &[None], false)).await;
        assert_eq!(missing.rows[0].value, Some(1.0), "{dimension} without a value");
        assert_eq!(ask(&house, &filtered(dimension, &[None], true)).await.rows[0].value, Some(2.0));
    }
    let both = filtered("name", &[Some("expense"), None], false);
    assert_eq!(ask(&house, &both).await.rows[0].value, Some(2.0));
    let neither = filtered("name", &[Some("expense"), None], true);
    assert_eq!(ask(&house, &neither).await.rows[0].value, Some(1.0));
}

#[tokio::test]
async fn what_an_answer_writes_can_be_filtered_by() {
    let house = typed().await;
    for dimension in ["name", "level", "price", "rate", "flag", "day", "seen"] {
        let split =
            MetricQuery { by: vec![dimension.into()], filters: vec![], ..filtered(dimension, &[], false) };
        for row in ask(&house, &split).await.rows {
            let again = ask(&house, &filtered(dimension, &[row.by[0].as_deref()], false)).await;
            assert_eq!(again.rows[0].value, Some(1.0), "{dimension} = {:?}", row.by);
        }
    }
}

#[tokio::test]
async fn a_value_that_the_column_cannot_hold_is_refused() {
    let house = typed().await;
    let session = house.warehouse.session(&Principal::system());
    for (dimension, value, part) in [
        ("level", "1.50", "whole numbers"),
        ("level", "9223372036854775808", "whole numbers"),
        ("level", "", "null stands for no value"),
        ("price", "1.505", "2 decimals"),
        ("price", "12345678901", "2 decimals"),
        ("rate", "much", "numbers"),
        ("flag", "maybe", "true and false"),
        ("day", "2026-01-05 10:00", "days"),
        ("day", "5.1.2026", "days"),
        ("seen", "yesterday", "times"),
    ] {
        let error = session.metric(&filtered(dimension, &[Some(value)], false)).await.expect_err(value);
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(part), "{value}: {error}");
    }
}

#[tokio::test]
async fn keys_without_an_order_of_values_stand_in_their_own() {
    let house = typed().await;
    let split = |dimension: &str, limit| MetricQuery {
        by: vec![dimension.into()],
        limit,
        filters: vec![],
        ..filtered(dimension, &[], false)
    };
    for (dimension, expected) in [
        ("level", [None, Some("-2"), Some("10")]),
        ("rate", [None, Some("0.5"), Some("10.5")]),
        ("price", [None, Some("1.50"), Some("10.50")]),
    ] {
        let found = ask(&house, &split(dimension, Some(3))).await;
        let keys: Vec<Option<&str>> = found.rows.iter().map(|row| row.by[0].as_deref()).collect();
        assert_eq!(keys, expected, "{dimension}");
    }
}

#[tokio::test]
async fn values_with_titles_are_told_with_them() {
    let house = typed().await;
    let split = MetricQuery { by: vec!["name".into()], filters: vec![], ..filtered("name", &[], false) };
    let found = ask(&house, &split).await;
    assert_eq!(found.titles["name"]["expense"].zh, "报销");
    assert_eq!(found.titles["name"].len(), 1, "others show as they are");
    // A metric over a clean table takes those of the clean column.
    let clean = "{from: raw.x, columns: {process: {title: 流程, titles: {leave: {zh: 请假, en: Leave}}}}}";
    house.clean("approvals", clean);
    house.metric(
        "a",
        "{title: a, table: clean.approvals, time: at, measure: {count: {}}, dimensions: {process: P}}",
    );
    house.metric("twice", "{title: t, measure: {derived: {expression: a * 2, metrics: {a: a}}}}");
    for metric in ["a", "twice"] {
        let titles = crate::metric::titles(metric, "process", &house.warehouse.definitions());
        assert_eq!(titles["leave"].en, "Leave", "{metric}");
    }
}

#[tokio::test]
async fn a_question_with_thousands_of_filters_is_refused_and_a_long_list_is_cheap() {
    let house = typed().await;
    let session = house.warehouse.session(&Principal::system());
    let one = filtered("name", &[Some("expense")], false);
    let many = MetricQuery { filters: vec![one.filters[0].clone(); 2_000], ..one.clone() };
    let error = session.metric(&many).await.expect_err("too many");
    assert!(error.to_string().contains("at most 32"), "{error}");
    let texts: Vec<String> = (0..1_999).map(|n| format!("value {n}")).collect();
    let mut values: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    values.push(Some("expense"));
    let started = std::time::Instant::now();
    for exclude in [false, true] {
        let found = ask(&house, &filtered("name", &values, exclude)).await;
        assert_eq!(found.rows[0].value, Some(if exclude { 2.0 } else { 1.0 }));
    }
    let equal = MetricQuery { filters: vec![one.filters[0].clone(); 32], ..one };
    assert_eq!(ask(&house, &equal).await.rows[0].value, Some(1.0));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[tokio::test]
async fn series_are_ranked_by_their_value_over_the_range() {
    let house = house().await;
    let mut rows: Vec<(String, Option<&str>, f64, &str)> = Vec::new();
    for day in 1..=15 {
        // A: 20 % on every day. B: 90 %, on one day only.
        for n in 0..5 {
            rows.push((
                format!("2026-03-{day:02}T0{n}:00:00Z"),
                Some("A"),
                1.0,
                if n == 0 { "done" } else { "open" },
            ));
        }
    }
    for n in 0..10 {
        rows.push((format!("2026-03-02T00:0{n}:00Z"), Some("B"), 1.0, if n < 9 { "done" } else { "open" }));
    }
    let rows: Vec<(&str, Option<&str>, f64, &str)> =
        rows.iter().map(|r| (r.0.as_str(), r.1, r.2, r.3)).collect();
    super::orders(&house, &rows).await;
    let ratio = "{ratio: {numerator: {count: {where: \"status = 'done'\"}}, denominator: {count: {}}}}";
    super::define(&house, "rate", ratio);
    let query = MetricQuery {
        grain: Some(super::Grain::Day),
        by: vec!["region".into()],
        limit: Some(1),
        ..MetricQuery::new("rate", range("2026-02-28T16:00:00Z", "2026-03-15T16:00:00Z"))
    };
    for order in [Order::Time, Order::ValueDesc] {
        let found = ask(&house, &MetricQuery { order, ..query.clone() }).await;
        assert!(found.rows.iter().all(|row| row.by[0].as_deref() == Some("B")), "{order:?}");
    }
}

#[test]
fn values_of_a_filter_may_be_numbers_and_booleans_of_json() {
    let filter: Filter =
        serde_json::from_value(serde_json::json!({"dimension": "n", "values": [1, 2.5, true, "x", null]}))
            .unwrap();
    let values: Vec<Option<&str>> = filter.values.iter().map(Option::as_deref).collect();
    assert_eq!(values, [Some("1"), Some("2.5"), Some("true"), Some("x"), None]);
    let text = r#"{"dimension": "n", "values": [[1]]}"#;
    assert!(serde_json::from_str::<Filter>(text).is_err());
}
