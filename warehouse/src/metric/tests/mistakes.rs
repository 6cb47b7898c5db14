//! What is wrong is said; who may not read is refused.

use access::Principal;

use super::{range, standard, three_days, values};
use crate::Error;
use crate::metric::{Grain, MetricQuery, MetricSpec, check};

#[tokio::test]
async fn what_does_not_fit_is_said_with_a_hint() {
    let house = standard().await;
    house.metric("loop_a", "{title: a, measure: {derived: {expression: x, metrics: {x: loop_b}}}}");
    house.metric("loop_b", "{title: b, measure: {derived: {expression: x, metrics: {x: loop_a}}}}");
    house.metric("gone", "{title: g, table: mart.gone, time: at, measure: {count: {}}}");
    let session = house.warehouse.session(&Principal::system());
    let base = MetricQuery::new("revenue", three_days());
    for (query, message) in [
        (MetricQuery { metric: "revenu".into(), ..base.clone() }, "did you mean `revenue`"),
        (MetricQuery { by: vec!["regions".into()], ..base.clone() }, "did you mean `region`"),
        (MetricQuery { by: vec!["amount\" from x; --".into()], ..base.clone() }, "not a dimension"),
        (MetricQuery { metric: "loop_a".into(), ..base.clone() }, "derived from itself"),
        (MetricQuery { metric: "gone".into(), ..base.clone() }, "mart.gone"),
        (
            MetricQuery {
                grain: Some(Grain::Hour),
                range: range("1900-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
                ..base
            },
            "buckets",
        ),
    ] {
        let error = session.metric(&query).await.expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn an_executive_reads_metrics_without_the_right_to_write_sql() {
    let house = standard().await;
    let who = Principal {
        user: "ceo".into(),
        display: "CEO".into(),
        roles: vec![access::Role::Executive],
        locale: None,
    };
    let session = house.warehouse.session(&who);
    assert!(session.sql("select 1").await.is_err());
    let found = session.metric(&MetricQuery::new("revenue", three_days())).await.expect("an answer");
    assert_eq!(values(&found), [Some(65.0)]);
    let nobody = Principal { roles: vec![], ..who };
    let refused = house.warehouse.session(&nobody).metric(&MetricQuery::new("revenue", three_days())).await;
    assert!(matches!(refused, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn definitions_are_checked_with_paths_and_hints() {
    let house = standard().await;
    let schema = {
        let snapshot =
            house.warehouse.snapshot(&"mart.orders".parse().expect("a name")).await.expect("a look");
        snapshot.expect("a table").schema.clone()
    };
    let definitions = house.warehouse.definitions();
    for (name, spec) in &definitions.metrics {
        assert_eq!(check(name, spec, &definitions.metrics, Some(&schema)), [], "{name}");
    }
    for (yaml, expected) in [
        (
            "{title: x, table: mart.orders, time: att, measure: {count: {}}}",
            "time: the table has no column `att` (did you mean `at`?)",
        ),
        ("{title: x, table: mart.orders, time: region, measure: {count: {}}}", "time: `region` is Utf8"),
        (
            "{title: x, table: mart.orders, time: at, measure: {sum: {column: region}}}",
            "measure.sum.column: `region` is Utf8",
        ),
        (
            "{title: x, table: mart.orders, time: at, measure: {count: {where: 'stat = 1'}}}",
            "measure.count.where: `stat = 1`: there is no column `stat`",
        ),
        (
            "{title: x, table: mart.orders, time: at, measure: {quantile: {column: amount, q: 90}}}",
            "measure.quantile.q: q is 90",
        ),
        (
            "{title: x, table: mart.orders, time: at, dimensions: {regio: r}, measure: {count: {}}}",
            "dimensions.regio: the table has no column `regio` (did you mean `region`?)",
        ),
        (
            "{title: x, table: mart.orders, time: at, measure: {ratio: {numerator: {sum: {column: z}}, denominator: {count: {}}}}}",
            "measure.ratio.numerator.sum.column: ",
        ),
        ("{title: x, measure: {count: {}}}", "the metric names no table"),
        (
            "{title: x, measure: {derived: {expression: 'a +', metrics: {a: revenue}}}}",
            "measure.derived.expression: ",
        ),
        (
            "{title: x, measure: {derived: {expression: a + b, metrics: {a: revenue}}}}",
            "measure.derived.expression: `b` is not listed",
        ),
        (
            "{title: x, measure: {derived: {expression: a, metrics: {a: revenu}}}}",
            "measure.derived.metrics.a: there is no metric `revenu` (did you mean `revenue`?)",
        ),
        (
            "{title: x, measure: {derived: {expression: a, metrics: {a: x}}}}",
            "measure.derived.metrics: `x` is derived from itself, or over more than 8 metrics that are derived",
        ),
    ] {
        let spec: MetricSpec = serde_saphyr::from_str(yaml).expect("a metric");
        let mut all = definitions.metrics.clone();
        all.insert("x".to_owned(), spec.clone());
        let found: Vec<String> =
            check("x", &spec, &all, Some(&schema)).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{yaml}: {found:?}");
    }
}
