//! Builds through the warehouse: order of things, checks before publication, increments.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};

use super::*;
use crate::clean::fixture::{House, house, table};
use crate::{Error, Landing};

/// Lands (id, day, amount) rows into raw.orders.
async fn orders(house: &House, how: Landing, rows: &[(Option<i64>, i32, i64)]) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0)));
    let days: ArrayRef = Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1)));
    let amounts: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| format!("n{}", row.2))));
    let batch =
        RecordBatch::try_from_iter([("id", ids), ("day", days), ("amount", amounts), ("name", names)]);
    house.land("raw.orders", how, batch.expect("a batch")).await;
    house.clock.advance(std::time::Duration::from_secs(60));
}

const CHECKED: &str = "---
title: {zh: 订单, en: Orders}
checks:
  - not_null: [id]
  - unique: [id]
  - rows: {min: 1, max: 4}
  - accepted: {column: name, values: [n1, n2, n3, n4, n5]}
  - sql: {name: no negative amounts, query: \"select * from this where amount < 0\"}
---
select id, day, amount, name from raw.orders
";

async fn amounts(house: &House) -> Vec<String> {
    house.sql("select id, amount from mart.orders order by id, amount").await
}

#[tokio::test]
async fn a_failing_check_keeps_the_last_good_version_and_names_the_rows() {
    let house = house().await;
    house.model("orders", CHECKED);
    orders(&house, Landing::Replace, &[(Some(1), 1, 1), (Some(2), 1, 2)]).await;
    let report = house.warehouse.build("orders").await.expect("it builds");
    assert!(report.published && report.full && report.rows == 2);
    assert!(report.checks.iter().all(|check| check.ok) && report.checks.len() == 5);
    let good = report.version;
    for (rows, check, failing, sample) in [
        (vec![(Some(1), 1, 1), (None, 1, 2)], "not_null(id)", 1, Some("id=null")),
        (vec![(Some(1), 1, 1), (Some(1), 1, 2), (Some(3), 1, 3)], "unique(id)", 2, Some("id=1")),
        (vec![(Some(7), 1, 9)], "accepted(name)", 1, Some("id=7")),
        (vec![], "rows", 1, None),
        ((1..=5).map(|n| (Some(n), 1, n)).collect(), "rows", 1, None),
    ] {
        orders(&house, Landing::Replace, &rows).await;
        let report = house.warehouse.build("orders").await.expect("it builds");
        assert!(!report.published && report.version == good, "{check}: {report:?}");
        let failed: Vec<&CheckResult> = report.checks.iter().filter(|check| !check.ok).collect();
        let [found] = failed.as_slice() else { panic!("{check}: {failed:?}") };
        assert_eq!((found.name.as_str(), found.failing), (check, failing));
        assert_eq!(found.samples.first().map(String::as_str), sample);
        assert!(report.message().contains(check), "{}", report.message());
        assert_eq!(amounts(&house).await, ["1|1", "2|2"]);
    }
    orders(&house, Landing::Replace, &[(Some(1), 1, -5)]).await;
    let report = house.warehouse.build("orders").await.expect("it builds");
    let failed: Vec<&str> = report.checks.iter().filter(|c| !c.ok).map(|c| c.name.as_str()).collect();
    assert_eq!(failed, ["accepted(name)", "no negative amounts"]);
    let states = states(house.warehouse.db()).await.expect("states");
    assert!(!states["orders"].ok && states["orders"].message.contains("no negative amounts"));
    let runs = house.sql("select outcome, count(*) from system.model_runs group by 1 order by 1").await;
    assert_eq!(runs, ["held|6", "published|1"]);
    orders(&house, Landing::Replace, &[(Some(1), 1, 4)]).await;
    assert!(house.warehouse.build("orders").await.expect("it builds").published);
    assert_eq!(amounts(&house).await, ["1|4"]);
    assert!(super::states(house.warehouse.db()).await.expect("states")["orders"].ok);
}

#[tokio::test]
async fn a_failing_query_keeps_the_last_good_version_and_says_where() {
    let house = house().await;
    house.model("orders", CHECKED);
    orders(&house, Landing::Replace, &[(Some(1), 1, 1)]).await;
    house.warehouse.build("orders").await.expect("it builds");
    house.model("orders", &CHECKED.replace("select id, day", "select id,\n  dy"));
    let error = house.warehouse.build("orders").await.expect_err("no such column");
    let Error::Sql { line, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*line, Some(11), "{error}");
    assert!(message.contains("orders") && message.contains("dy"), "{message}");
    assert_eq!(amounts(&house).await, ["1|1"]);
    assert!(!states(house.warehouse.db()).await.expect("states")["orders"].ok);
}

const DAILY: &str = "---
refresh: {incremental: {key: [day], since: day, lookback: 1d}}
checks: [{unique: [day, id]}, {rows: {min: 1}}]
---
select day, id, sum(amount) as amount from raw.orders
where $since is null or day >= $since group by 1, 2
";

async fn daily(house: &House) -> Vec<String> {
    house.sql("select arrow_cast(day, 'Int32'), id, amount from mart.daily order by 1, 2").await
}

#[tokio::test]
async fn an_incremental_model_replaces_what_may_have_changed_and_nothing_else() {
    let house = house().await;
    house.model("daily", DAILY);
    orders(&house, Landing::Append, &[(Some(1), 10, 5), (Some(2), 11, 5), (Some(3), 11, 7)]).await;
    let report = house.warehouse.build("daily").await.expect("it builds");
    assert!(report.full && report.published && report.rows == 3, "{report:?}");
    // Day 11 gets another order of 2, day 12 is new, day 9 lies before the lookback: it waits.
    orders(&house, Landing::Append, &[(Some(2), 11, 1), (Some(4), 12, 2), (Some(5), 9, 100)]).await;
    let report = house.warehouse.build("daily").await.expect("it builds");
    assert!(!report.full && report.published, "{report:?}");
    assert_eq!(report.rows, 4);
    assert_eq!(daily(&house).await, ["10|1|5", "11|2|6", "11|3|7", "12|4|2"]);
    // Another definition computes everything.
    house.model("daily", &DAILY.replace("lookback: 1d", "lookback: 2d"));
    let report = house.warehouse.build("daily").await.expect("it builds");
    assert!(report.full);
    assert_eq!(daily(&house).await.len(), 5);
}

const COUNTED: &str = "---
refresh: {incremental: {key: [day], since: day, lookback: 3d}}
---
select day, count(*) as n from raw.orders where $since is null or day >= $since group by day
";

/// Days since 1970 of 2026-01-01.
const NEW_YEAR: i32 = 20_454;

async fn counted(house: &House) -> Vec<String> {
    house.sql(&format!("select arrow_cast(day, 'Int32') - {NEW_YEAR} as d, n from mart.d order by 1")).await
}

#[tokio::test]
async fn rows_that_go_or_move_inside_the_lookback_are_not_counted_any_more() {
    let house = house().await;
    house.model("d", COUNTED);
    let rows = |rows: &[(i64, i32)]| -> Vec<(Option<i64>, i32, i64)> {
        rows.iter().map(|(id, day)| (Some(*id), NEW_YEAR + day, 1)).collect()
    };
    let step = async |given: &[(i64, i32)]| {
        orders(&house, Landing::Replace, &rows(given)).await;
        let stale = house.warehouse.is_stale("d").await.expect("a look");
        let report = house.warehouse.build("d").await.expect("it builds");
        assert!(stale && report.published, "{report:?}");
        (report.full, counted(&house).await)
    };
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    assert_eq!(step(&[(1, 0), (2, 9), (4, 8)]).await, (true, lines(&["0|1", "8|1", "9|1"])));
    // One day is emptied.
    assert_eq!(step(&[(1, 0), (2, 9)]).await, (false, lines(&["0|1", "9|1"])));
    // A row moves from the ninth to the tenth.
    assert_eq!(step(&[(1, 0), (2, 9), (3, 7)]).await, (false, lines(&["0|1", "7|1", "9|1"])));
    assert_eq!(step(&[(1, 0), (2, 9), (3, 8)]).await, (false, lines(&["0|1", "8|1", "9|1"])));
    // The far future comes and goes, and does not stop the present.
    let far = 65_754;
    assert_eq!(step(&[(1, 0), (2, 9), (7, far)]).await, (false, lines(&["0|1", "9|1", "65754|1"])));
    assert_eq!(
        step(&[(1, 0), (2, 9), (7, far), (8, 10)]).await,
        (false, lines(&["0|1", "9|1", "10|1", "65754|1"]))
    );
    assert_eq!(step(&[(1, 0), (2, 9), (8, 10)]).await, (false, lines(&["0|1", "9|1", "10|1"])));
    // What lies before the lookback waits for a build in full.
    assert_eq!(step(&[(2, 9), (8, 10), (9, 2)]).await, (false, lines(&["0|1", "9|1", "10|1"])));
    let report = house.warehouse.build_full("d").await.expect("it builds");
    assert!(report.full && report.published && !report.unchanged);
    assert_eq!(counted(&house).await, lines(&["2|1", "9|1", "10|1"]));
}

#[tokio::test]
async fn a_future_that_is_all_there_is_does_not_stop_a_model() {
    let house = house().await;
    house.model("d", COUNTED);
    orders(&house, Landing::Replace, &[(Some(1), NEW_YEAR + 65_754, 1)]).await;
    assert!(house.warehouse.build("d").await.expect("it builds").full);
    orders(&house, Landing::Replace, &[(Some(2), NEW_YEAR + 3, 1)]).await;
    house.warehouse.build("d").await.expect("it builds");
    assert_eq!(counted(&house).await, ["3|1"]);
}

#[tokio::test]
async fn what_is_due_is_told_with_its_reason_and_what_builds_took() {
    let house = house().await;
    house.model("d", COUNTED);
    house.model("all", "select id, day from raw.orders");
    orders(&house, Landing::Append, &[(Some(1), NEW_YEAR, 1)]).await;
    let due = async |model: &str| {
        let due = house.warehouse.due(model).await.expect("a look");
        (due.stale, due.full, due.reason, due.cost.map(|cost| (cost.builds, cost.full, cost.rows)))
    };
    assert_eq!(due("d").await, (true, true, "it was never built".to_owned(), None));
    for model in ["d", "all"] {
        let report = house.warehouse.build(model).await.expect("it builds");
        assert!(report.bytes > 100 && !report.unchanged, "{report:?}");
    }
    assert_eq!(due("d").await, (false, false, String::new(), Some((1, 1, 1))));
    assert_eq!(due("all").await, (false, true, String::new(), Some((1, 1, 1))));
    orders(&house, Landing::Append, &[(Some(2), NEW_YEAR, 1)]).await;
    assert_eq!(due("d").await, (true, false, "raw.orders changed".to_owned(), Some((1, 1, 1))));
    assert_eq!(due("all").await, (true, true, "raw.orders changed".to_owned(), Some((1, 1, 1))));
    house.warehouse.build("d").await.expect("it builds");
    house.model("d", &COUNTED.replace("count(*)", "count(id)"));
    let (stale, full, reason, cost) = due("d").await;
    assert!(stale && full && reason.contains("its SQL"), "{reason}");
    assert_eq!(cost, Some((2, 1, 1)));
    // Merging files makes nothing stale.
    for id in 3..40 {
        orders(&house, Landing::Append, &[(Some(id), NEW_YEAR, 1)]).await;
    }
    house.warehouse.build("all").await.expect("it builds");
    assert!(house.warehouse.upkeep(&table("raw.orders")).await.expect("upkeep").merged > 0);
    assert!(!house.warehouse.is_stale("all").await.expect("a look"));
    let version = house.warehouse.snapshot(&table("mart.all")).await.expect("a look").map(|s| s.committed_at);
    let report = house.warehouse.build("all").await.expect("it builds");
    assert!(report.published && report.unchanged, "{report:?}");
    let after = house.warehouse.snapshot(&table("mart.all")).await.expect("a look").map(|s| s.committed_at);
    assert_eq!(after, version, "the same rows are not newer");
}

#[tokio::test]
async fn rows_that_are_all_set_aside_do_not_empty_a_model() {
    let house = house().await;
    let text = |rows: &[&[&str]]| crate::clean::fixture::rows(rows);
    house.clean("o", "from: raw.o\ncolumns: {id: {type: int, required: true}, day: {type: date}}\n");
    house.model("f", "select day, count(*) as n from clean.o group by day");
    let columns = ["id", "day"];
    house
        .land_texts("raw.o", Landing::Replace, &columns, &text(&[&["1", "2026-01-01"], &["2", "2026-01-10"]]))
        .await;
    house.warehouse.clean("o").await.expect("it cleans");
    assert!(house.warehouse.build("f").await.expect("it builds").published);
    house.land_texts("raw.o", Landing::Replace, &columns, &text(&[&["x1", "2026~01"], &["x2", "~"]])).await;
    // Whatever becomes of the clean table, the model keeps its rows.
    let _ = house.warehouse.clean("o").await;
    let report = house.warehouse.build("f").await.expect("it builds");
    let rows = house.sql("select count(*) from mart.f").await;
    assert_eq!(rows, ["2"], "{report:?}");
    // A source that is truly empty empties it.
    house.land_texts("raw.o", Landing::Replace, &columns, &[]).await;
    house.warehouse.release("o").await.expect("it cleans");
    assert!(house.warehouse.build("f").await.expect("it builds").published);
    assert_eq!(house.sql("select count(*) from mart.f").await, ["0"]);
}

const PAYMENTS: &str = "from: raw.payments
columns: {day: {type: date}, amount: {type: int}}
";

#[tokio::test]
async fn an_edited_cleaning_computes_the_incremental_models_behind_it_anew() {
    let house = house().await;
    let rows = crate::clean::fixture::rows(&[&["2026-03-01", "5", "4"], &["2026-03-09", "7", "6"]]);
    house.land_texts("raw.payments", Landing::Append, &["day", "amount", "net"], &rows).await;
    house.clean("payments", PAYMENTS);
    let header = "---\nrefresh: {incremental: {key: [day], since: day}}\n---\n";
    let sql = "select day, sum(amount) as amount from";
    let since = "where $since is null or day >= $since group by 1";
    house.model("first", &format!("{header}{sql} clean.payments {since}"));
    house.model("second", &format!("{header}{sql} mart.first {since}"));
    let step = async || {
        house.warehouse.clean("payments").await.expect("it cleans");
        let mut full = Vec::new();
        for model in ["first", "second"] {
            let stale = house.warehouse.is_stale(model).await.expect("a look");
            full.push((stale, stale && house.warehouse.build(model).await.expect("it builds").full));
        }
        (full, house.sql("select amount from mart.second order by day").await)
    };
    let lines = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
    assert_eq!(step().await, (vec![(true, true); 2], lines("5", "7")));
    house.clean("payments", &format!("title: {{zh: 款, en: Payments}}\n{PAYMENTS}"));
    assert_eq!(step().await, (vec![(false, false); 2], lines("5", "7")));
    house.clean("payments", &PAYMENTS.replace("{type: int}", "{type: int, from: net}"));
    assert_eq!(step().await, (vec![(true, true); 2], lines("4", "6")));
}

#[tokio::test]
async fn an_incremental_build_equals_a_full_one_when_late_rows_fit_the_lookback() {
    let (stepwise, at_once) = (house().await, house().await);
    let keyed = DAILY.replace("key: [day]", "key: [day, id]");
    stepwise.model("daily", &keyed);
    at_once.model("daily", &keyed);
    for step in 0i64..6 {
        let rows: Vec<(Option<i64>, i32, i64)> = (0..10i64)
            .map(|n| ((n > 0).then_some((n * 7 + step) % 4), 20 + step as i32 - (n % 2) as i32, n))
            .collect();
        for house in [&stepwise, &at_once] {
            orders(house, Landing::Append, &rows).await;
        }
        let report = stepwise.warehouse.build("daily").await.expect("it builds");
        assert!(report.published && report.full == (step == 0), "{report:?}");
    }
    at_once.warehouse.build("daily").await.expect("it builds");
    assert_eq!(daily(&stepwise).await, daily(&at_once).await);
}

#[tokio::test]
async fn a_duplicate_against_published_rows_fails_an_incremental_build() {
    let house = house().await;
    house.model(
        "daily",
        "---\nrefresh: {incremental: {key: [day], since: day}}\nchecks: [{unique: [id]}]\n---\n\
         select day, id from raw.orders where $since is null or day >= $since",
    );
    orders(&house, Landing::Append, &[(Some(1), 10, 5)]).await;
    assert!(house.warehouse.build("daily").await.expect("it builds").published);
    orders(&house, Landing::Append, &[(Some(1), 11, 5)]).await;
    let report = house.warehouse.build("daily").await.expect("it builds");
    assert!(!report.published && !report.full, "{report:?}");
    assert_eq!(house.sql("select count(*) from mart.daily").await, ["1"]);
}

#[tokio::test]
async fn models_are_checked_against_the_tables_there_are() {
    let house = house().await;
    orders(&house, Landing::Append, &[(Some(1), 10, 5)]).await;
    let cx = house.warehouse.context();
    let good = ModelSpec::parse("orders", CHECKED).expect("a model");
    let schema = check(&good, &cx).await.expect("it fits");
    assert_eq!(schema.fields().len(), 4);
    for (from, to, message, at) in [
        ("raw.orders", "raw.order", "there is no table raw.order (did you mean raw.orders?)", Some((10, 35))),
        ("select id, day", "select id, dat", "dat", Some((10, 12))),
        ("select id, day", "selec id, day", "", Some((10, 1))),
        (
            "not_null: [id]",
            "not_null: [ids]",
            "checks[0].not_null[0]: the SELECT has no column `ids` (did you mean `id`?)",
            None,
        ),
        ("amount < 0", "amout < 0", "checks[4].sql.query: ", None),
        ("select id, day", "select id as day, day", "another name with AS", None),
        ("title:", "columns: {x: X}\ntitle:", "columns.x: the SELECT has no column `x`", None),
    ] {
        let text = CHECKED.replace(from, to);
        let problems = match ModelSpec::parse("orders", &text) {
            Ok(spec) => check(&spec, &cx).await.expect_err(to),
            Err(problems) => problems,
        };
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(found[0].contains(message), "{to}: {found:?}");
        if at.is_some() {
            assert_eq!(problems[0].at, at, "{to}: {found:?}");
        }
    }
    assert!(matches!(house.warehouse.build("order").await, Err(Error::NotFound { .. })));
    assert!(house.warehouse.snapshot(&table("mart.orders")).await.expect("a look").is_none());
}

#[test]
fn a_header_is_read_and_its_mistakes_have_a_line() {
    let spec = ModelSpec::parse("x", CHECKED).expect("a model");
    assert_eq!((spec.title.en.as_str(), spec.header_lines, spec.checks.len()), ("Orders", 9, 5));
    let bare = ModelSpec::parse("x", "select 1 as one").expect("a model");
    assert_eq!((bare.title.zh.as_str(), bare.header_lines), ("x", 0));
    for (text, at) in [
        ("---\ntitle: x\nchecs: []\n---\nselect 1", Some((3, 1))),
        ("---\ntitle: x\nselect 1", None),
        ("---\ntitle: x\n---\n", Some((4, 1))),
        ("---\nrefresh: {incremental: {key: [a], since: a}}\n---\nselect 1 as a", None),
        ("select $since", None),
        ("---\nchecks: [{rows: {min: 3, max: 2}}]\n---\nselect 1 as a", None),
    ] {
        let problems = ModelSpec::parse("x", text).expect_err(text);
        assert_eq!(problems[0].at, at, "{text}: {problems:?}");
    }
}
