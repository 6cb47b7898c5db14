use std::time::Duration;

use access::Principal;
use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::AlertFilter;
use crate::site::{NOW, Site, at, backlog_above_100, rule};

const EFFECTS: &str = "SELECT COUNT(*) FROM outbox";

async fn states(site: &Site) -> Vec<String> {
    let filter = AlertFilter { state: Some("all".into()), ..AlertFilter::default() };
    let page = site.rules.alerts(&filter).await.unwrap();
    page.alerts.iter().map(|a| format!("{} {}", a.labels["process"], a.state)).collect()
}

#[tokio::test]
async fn an_alert_fires_once_keeps_its_evidence_and_resolves_once() {
    let site = Site::open("once").await;
    let spec = backlog_above_100();
    let hour = TimeDelta::hours(1);
    site.land(&[(at(NOW) - hour, "leave", 12.0), (at(NOW), "leave", 13.0)]).await;
    site.land(&[(at(NOW) - hour, "expense", 90.0), (at(NOW), "expense", 150.0)]).await;
    site.minutes(1);
    let mut heard = site.rules.changes();
    for pass in 0..3 {
        let outcome = site.rules.evaluate("backlog", &spec).await.unwrap();
        assert_eq!((outcome.series, outcome.fired, outcome.error), (2, usize::from(pass == 0), None));
    }
    assert_eq!(states(&site).await, ["expense firing"]);
    assert_eq!(site.count(EFFECTS).await, 1, "the same data again has no new effect");
    let told = heard.try_recv().unwrap();
    assert_eq!(told.summary.zh, "expense 在途 150 件，上限 100");
    assert!(heard.try_recv().is_err());

    // The data is rewritten; what was seen stays with the alert.
    let rewritten = site.just_now();
    site.replace(&[(rewritten, "expense", 20.0), (rewritten, "leave", 1.0)]).await;
    site.minutes(1);
    assert_eq!(site.rules.evaluate("backlog", &spec).await.unwrap().resolved, 1);
    assert_eq!(site.rules.evaluate("backlog", &spec).await.unwrap().resolved, 0);
    assert_eq!(site.count(EFFECTS).await, 2);
    let alert = site.rules.alert(&told.id).await.unwrap().unwrap();
    assert_eq!(alert.state, "resolved");
    assert_eq!(alert.labels["team"], "ops");
    let points = alert.series.unwrap().points;
    assert!(points.len() <= 400);
    let last = points.last().unwrap();
    assert_eq!((last.v, last.high, last.outside, last.partial), (Some(150.0), Some(100.0), true, true));
    let timeline: Vec<&str> = alert.timeline.iter().map(|e| e.state.as_str()).collect();
    assert_eq!(timeline, ["firing", "resolved"]);
}

#[tokio::test]
async fn a_pending_alert_survives_a_restart_and_tells_nobody_when_it_goes_away() {
    let mut site = Site::open("pending").await;
    let spec = RuleSpec { hold: "10m".parse().unwrap(), ..backlog_above_100() };
    site.land(&[(at(NOW), "expense", 150.0)]).await;
    site.rules.evaluate("backlog", &spec).await.unwrap();
    assert_eq!(states(&site).await, ["expense pending"]);
    site.minutes(9);
    site.rules.evaluate("backlog", &spec).await.unwrap();
    site.restart().await;
    site.minutes(1);
    assert_eq!(site.rules.evaluate("backlog", &spec).await.unwrap().fired, 1);
    site.minutes(1);
    site.land(&[(site.just_now(), "expense", 5.0)]).await;
    site.rules.evaluate("backlog", &spec).await.unwrap();
    assert_eq!(site.count(EFFECTS).await, 2);

    site.minutes(1);
    site.land(&[(site.just_now(), "expense", 150.0)]).await;
    site.rules.evaluate("backlog", &spec).await.unwrap();
    site.minutes(1);
    site.land(&[(site.just_now(), "expense", 5.0)]).await;
    site.rules.evaluate("backlog", &spec).await.unwrap();
    assert_eq!(states(&site).await, ["expense resolved"], "what was only pending is forgotten");
    assert_eq!(site.count(EFFECTS).await, 2);
}

#[tokio::test]
async fn a_row_that_stays_is_told_once_and_its_end_after_keep_firing_for() {
    let site = Site::open("rows").await;
    let spec = rule(json!({
        "when": {"rows": {"sql": "select process, amount, at from mart.work where amount > 100",
            "key": ["process"], "value": "amount", "at": "at"}},
        "keep_firing_for": "15m", "annotations": {"en": {"summary": "{{process}} {{amount}} {{value}}"}}
    }));
    // The same key twice is one problem.
    site.land(&[(at(NOW), "expense", 150.0), (at(NOW), "expense", 150.0), (at(NOW), "leave", 7.0)]).await;
    for _ in 0..5 {
        site.rules.evaluate("invoices", &spec).await.unwrap();
        site.minutes(5);
    }
    assert_eq!((states(&site).await, site.count(EFFECTS).await), (vec!["expense firing".to_owned()], 1));
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    assert_eq!(page.alerts[0].summary.zh, "expense 150.0 150");
    let rows = site.rules.alert(&page.alerts[0].id).await.unwrap().unwrap().rows.unwrap();
    assert_eq!(rows.columns, ["amount", "at", "process"]);

    site.replace(&[(at(NOW), "leave", 7.0)]).await;
    site.rules.evaluate("invoices", &spec).await.unwrap();
    assert_eq!(states(&site).await, ["expense firing"], "kept for a while");
    site.minutes(10);
    assert_eq!(site.rules.evaluate("invoices", &spec).await.unwrap().resolved, 1);
    assert_eq!(site.count(EFFECTS).await, 2);
}

#[tokio::test]
async fn a_table_that_stops_is_noticed_and_working_hours_count_only_work() {
    let site = Site::open("stale").await;
    let stale = |working: bool| {
        rule(json!({
            "when": {"stale": {"table": "mart.work", "longer_than": "2h", "working_hours": working}},
            "annotations": {"en": {"summary": "{{table}} {{value}} {{high}}"}}, "labels": {}
        }))
    };
    let none = site.rules.evaluate("feed", &stale(false)).await.unwrap();
    assert_eq!((none.fired, none.error), (0, None), "a table that does not exist yet has not stopped");
    site.land(&[(at(NOW), "expense", 1.0)]).await; // at 10:31
    site.minutes(120);
    assert_eq!(site.rules.evaluate("feed", &stale(false)).await.unwrap().fired, 0);
    site.minutes(1); // 12:32, of which 89 minutes were worked
    assert_eq!(site.rules.evaluate("work", &stale(true)).await.unwrap().fired, 0);
    assert_eq!(site.rules.evaluate("feed", &stale(false)).await.unwrap().fired, 1);
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    assert_eq!(page.alerts[0].summary.en, "mart.work 121 min 120 min");
    site.minutes(60); // 13:32: 121 minutes of work
    assert_eq!(site.rules.evaluate("work", &stale(true)).await.unwrap().fired, 1);
    site.land(&[(site.just_now(), "expense", 1.0)]).await;
    assert_eq!(site.rules.evaluate("feed", &stale(false)).await.unwrap().resolved, 1);
}

#[tokio::test]
async fn a_rule_that_fails_says_why_keeps_its_alerts_and_stops_no_other() {
    let site = Site::open("fails").await;
    let good = backlog_above_100();
    let broken = rule(json!({"when": {"rows": {"sql": "select * from mart.wrok", "key": ["process"]}}}));
    let lost = rule(json!({"when": {"rows": {"sql": "select process from mart.work", "key": ["proces"]}}}));
    site.land(&[(at(NOW), "expense", 150.0)]).await;
    site.minutes(1);
    site.rules.evaluate("broken", &good).await.unwrap();
    let pass =
        site.rules.evaluate_many(&[("broken", &broken), ("lost", &lost), ("good", &good)]).await.unwrap();
    assert!(pass.rules[0].error.as_ref().unwrap().contains("wrok"), "{pass:?}");
    assert!(pass.rules[1].error.as_ref().unwrap().contains("it has process"), "{pass:?}");
    assert_eq!((pass.rules[2].rule.as_str(), pass.fired()), ("good", 1));
    assert_eq!(states(&site).await, ["expense firing", "expense firing"]);
    let states = site.rules.states().await.unwrap();
    assert!(states["broken"].last_error.is_some() && states["good"].last_error.is_none());
    assert_eq!((states["good"].firing, states["good"].last_evaluated), (1, Some(site.now())));
    assert_eq!(site.rules.retire(&["good"]).await.unwrap(), 1);
    assert_eq!(site.count("SELECT COUNT(*) FROM alerts WHERE state = 'firing'").await, 1);
}

#[tokio::test]
async fn an_acknowledgement_stays_with_the_alert() {
    let site = Site::open("ack").await;
    site.land(&[(at(NOW), "expense", 150.0)]).await;
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    let id = &page.alerts[0].id;
    let who = Principal { user: "lin".into(), display: "Lin".into(), roles: vec![], locale: None };
    site.rules.ack(id, &who, "on it").await.unwrap();
    site.minutes(5);
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
    let alert = site.rules.alert(id).await.unwrap().unwrap();
    assert_eq!(alert.row.acked.map(|a| (a.by, a.note)), Some(("lin".into(), "on it".into())));
    assert!(site.rules.ack("nobody", &who, "").await.is_err());
}

#[tokio::test]
async fn pages_show_every_alert_once_although_all_began_together() {
    let site = Site::open("pages").await;
    let names: Vec<String> = (0..25).map(|n| format!("p{n:02}")).collect();
    let rows: Vec<_> = names.iter().map(|n| (at(NOW), n.as_str(), 200.0)).collect();
    site.land(&rows).await;
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
    let mut filter = AlertFilter { limit: Some(10), ..AlertFilter::default() };
    let mut seen = vec![];
    loop {
        let page = site.rules.alerts(&filter).await.unwrap();
        seen.extend(page.alerts.into_iter().map(|a| a.labels["process"].clone()));
        filter.before = page.next;
        if filter.before.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, names);
}

#[tokio::test]
async fn history_beyond_the_window_is_read_for_a_season() {
    let site = Site::open("season").await;
    // 28 days of about 100 at this hour, 10 at others would not matter; then a surge an hour ago.
    let hour = TimeDelta::hours(1);
    let mut rows = vec![(at(NOW) - hour, "expense", 400.0)];
    for day in 1..=28 {
        rows.push((at(NOW) - hour - TimeDelta::days(day), "expense", 100.0 + (day % 3) as f64));
    }
    site.land(&rows).await;
    site.minutes(1);
    let spec = rule(json!({
        "ask": {"metric": "mean", "by": ["process"], "grain": "hour", "window": "1d"},
        "when": {"seasonal": {"season": "workweek", "deviations": 4.0, "history": "28d", "min_points": 4, "floor": 5.0}}
    }));
    assert_eq!(site.rules.evaluate("surge", &spec).await.unwrap().fired, 1);
}

#[test]
fn rules_that_ask_the_same_share_a_question() {
    let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
    let above = |limit: f64, window: &str| {
        rule(json!({
            "ask": {"metric": "backlog", "by": ["process"], "grain": "hour", "window": window},
            "when": {"above": {"value": limit}}
        }))
    };
    let specs: Vec<RuleSpec> =
        (0..1000).map(|n| above(n as f64, if n % 2 == 0 { "7d" } else { "28d" })).collect();
    let rules: Vec<(&str, &RuleSpec)> = specs.iter().map(|s| ("r", s)).collect();
    let groups = by_question(&rules, at(NOW), &calendar);
    assert_eq!(groups.iter().map(|(_, members)| members.len()).collect::<Vec<_>>(), [500, 500]);
}

#[tokio::test]
async fn a_thousand_rules_are_one_cheap_pass() {
    let site = Site::open("thousand").await;
    let names: Vec<String> = (0..50).map(|n| format!("p{n:02}")).collect();
    let mut rows = vec![];
    for day in 0..28 {
        for name in &names {
            rows.push((at(NOW) - TimeDelta::days(day), name.as_str(), 100.0 + (day % 5) as f64));
        }
    }
    site.land(&rows).await;
    let spec = rule(json!({
        "ask": {"metric": "submitted", "by": ["process"], "grain": "day", "window": "28d"},
        "when": {"seasonal": {"season": "week", "deviations": 6.0, "min_points": 3, "floor": 5.0}}
    }));
    let rules: Vec<(String, RuleSpec)> = (0..1000).map(|n| (format!("r{n}"), spec.clone())).collect();
    let rules: Vec<(&str, &RuleSpec)> = rules.iter().map(|(n, s)| (n.as_str(), s)).collect();
    let begun = std::time::Instant::now();
    let pass = site.rules.evaluate_many(&rules).await.unwrap();
    let took = begun.elapsed();
    assert!(pass.rules.iter().all(|r| r.error.is_none() && r.series == 50), "{:?}", pass.rules[0]);
    // 50,000 series. The budget is far lower; this only catches one query or one transaction a rule.
    assert!(took < Duration::from_secs(20), "{took:?}");
    println!("1,000 rules over 50 series each: {took:?}");
}

#[tokio::test]
async fn a_series_that_is_no_longer_there_counts_as_zero_where_counting_makes_sense() {
    let site = Site::open("gone").await;
    let asks = |metric: &str, when: serde_json::Value| {
        rule(
            json!({"ask": {"metric": metric, "by": ["process"], "grain": "hour", "window": "1d"}, "when": when}),
        )
    };
    let high = json!({"above": {"value": 100.0}});
    let rules = [
        ("level", asks("backlog", high.clone()), 1),
        ("count", asks("submitted", json!({"above": {"value": 0.0}})), 1),
        ("mean", asks("mean", high), 0),
    ];
    let hour = TimeDelta::hours(1);
    site.land(&[(at(NOW), "expense", 150.0), (at(NOW) - hour, "expense", 150.0)]).await;
    for (name, spec, _) in &rules {
        assert_eq!(site.rules.evaluate(name, spec).await.unwrap().fired, 1, "{name}");
    }
    // All rows of expense are gone; leave shows that the time itself was seen.
    site.replace(&[(site.just_now(), "leave", 0.0), (at(NOW) - hour, "leave", 0.0)]).await;
    for (name, spec, resolved) in &rules {
        let outcome = site.rules.evaluate(name, spec).await.unwrap();
        assert_eq!(outcome.resolved, *resolved, "{name}: a mean over nothing is unknown, not zero");
    }
}

#[tokio::test]
async fn a_group_that_falls_to_nothing_in_a_window_is_seen_and_does_not_recover_at_zero() {
    let site = Site::open("silent").await;
    let asks = |when: serde_json::Value| {
        rule(json!({"ask": {"metric": "submitted", "by": ["process"], "window": "1h"}, "when": when}))
    };
    let rules = [
        ("below", asks(json!({"below": {"value": 1.0}}))),
        ("change", asks(json!({"change": {"against": "previous", "down": 0.5}}))),
    ];
    let ago = |minutes| at(NOW) - TimeDelta::minutes(minutes);
    site.land(&[(ago(90), "expense", 1.0), (ago(80), "expense", 1.0), (ago(80), "leave", 1.0)]).await;
    site.land(&[(ago(30), "leave", 1.0), (ago(20), "travel", 1.0)]).await;
    for (name, spec) in &rules {
        let outcome = site.rules.evaluate(name, spec).await.unwrap();
        assert_eq!((outcome.series, outcome.fired, outcome.error), (3, 1, None), "{name}");
    }
    assert_eq!(states(&site).await, ["expense firing", "expense firing"]);
    // An hour later expense is in neither window: below still holds, and a change from nothing is unknown.
    site.minutes(60);
    for (name, spec) in &rules {
        let outcome = site.rules.evaluate(name, spec).await.unwrap();
        assert_eq!((outcome.fired, outcome.resolved, outcome.error), (2, 0, None), "{name}");
    }
    site.land(&[(site.just_now(), "expense", 1.0)]).await;
    for (name, spec) in &rules {
        assert_eq!(site.rules.evaluate(name, spec).await.unwrap().resolved, 1, "{name}");
    }
}

#[tokio::test]
async fn a_missing_group_and_one_called_dash_are_two_series() {
    let site = Site::open("dash").await;
    let now = at(NOW);
    site.replace_some(&[(now, None, 150.0), (now, Some("—"), 150.0), (now, Some("null"), 150.0)]).await;
    site.minutes(1);
    let rows = rule(json!({"when": {"rows": {
        "sql": "select process, count(*) as n from mart.work group by process", "key": ["process"]}}}));
    for (name, spec) in [("metric", backlog_above_100()), ("rows", rows)] {
        for pass in 0..4 {
            let outcome = site.rules.evaluate(name, &spec).await.unwrap();
            assert_eq!(
                (outcome.error, outcome.fired, outcome.resolved),
                (None, if pass == 0 { 3 } else { 0 }, 0)
            );
            site.seconds(30);
        }
    }
    assert_eq!(site.count(EFFECTS).await, 6, "one message each, not one at every look");
}

#[tokio::test]
async fn rows_are_told_apart_by_their_whole_key() {
    let site = Site::open("keys").await;
    site.land(&[(at(NOW), "expense", 1.0)]).await;
    let key =
        |sql: &str| rule(json!({"when": {"rows": {"sql": sql, "key": ["k"]}}, "labels": {}, "notify": []}));
    let cases = [
        (
            "select '12345678901234567.89'::decimal(30,2) as k union all select '12345678901234567.88'::decimal(30,2)",
            2,
        ),
        ("select repeat('x', 3000) || 'a' as k union all select repeat('x', 3000) || 'b'", 2),
        ("select cast(null as varchar) as k union all select '—' union all select ''", 3),
        (
            "select 'NaN'::double as k union all select cast(null as double) union all select 0.1 union all select 0.1",
            3,
        ),
    ];
    for (sql, count) in cases {
        let outcome = site.rules.evaluate(sql, &key(sql)).await.unwrap();
        assert_eq!((outcome.error, outcome.series, outcome.fired), (None, count, count), "{sql}");
        let again = site.rules.evaluate(sql, &key(sql)).await.unwrap();
        assert_eq!((again.fired, again.resolved), (0, 0), "{sql}");
    }
    // A key column is kept however many columns come before it.
    let wide: Vec<String> = (0..80).map(|n| format!("{n} as a{n:02}")).collect();
    let sql = format!("select {}, 'x' as k union all select {}, 'y' as k", wide.join(", "), wide.join(", "));
    assert_eq!(site.rules.evaluate("wide", &key(&sql)).await.unwrap().fired, 2);
}

#[tokio::test]
async fn a_rule_that_splits_otherwise_ends_what_it_no_longer_watches() {
    let site = Site::open("split").await;
    site.land(&[(at(NOW), "expense", 150.0)]).await;
    site.minutes(1);
    let whole = json!({
        "ask": {"metric": "backlog", "grain": "hour", "window": "1d"}, "when": {"above": {"value": 1000.0}}
    });
    assert_eq!(site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap().fired, 1);
    assert_eq!(site.rules.evaluate("backlog", &rule(whole)).await.unwrap().resolved, 1);
    let ending: String = sqlx::query_scalar("SELECT payload FROM outbox WHERE id LIKE '%resolved%'")
        .fetch_one(site.db.pool())
        .await
        .unwrap();
    assert!(ending.contains("rule_changed"), "{ending}");
}

#[tokio::test]
async fn a_branch_whose_data_comes_an_hour_late_raises_no_false_alarm() {
    let site = Site::open("late").await;
    let now = site.now();
    let mut rows = vec![];
    for hour in 0..40 {
        for n in 0..12 {
            let at = now - TimeDelta::hours(hour) - TimeDelta::minutes(5 * n + 1);
            rows.push((at, "a", 1.0));
            if hour >= 1 {
                rows.push((at, "b", 1.0));
            }
        }
    }
    site.land(&rows).await;
    let spec = |delay: &str, grain: Option<&str>| {
        rule(
            json!({"ask": {"metric": "submitted", "by": ["process"], "grain": grain, "window": if grain.is_some() { "30h" } else { "1h" }},
            "when": {"below": {"value": 10.0}}, "delay": delay}),
        )
    };
    for (n, grain) in [Some("hour"), None].into_iter().enumerate() {
        let hasty = site.rules.evaluate(&format!("hasty{n}"), &spec("0s", grain)).await.unwrap();
        assert_eq!((hasty.error, hasty.fired), (None, 1), "{grain:?}");
        let patient = site.rules.evaluate(&format!("patient{n}"), &spec("1h", grain)).await.unwrap();
        assert_eq!((patient.error, patient.fired), (None, 0), "{grain:?}");
    }
    // What is really missing is seen, an hour later.
    site.minutes(60);
    site.land(&[(site.just_now(), "a", 1.0)]).await;
    let patient = site.rules.evaluate("patient0", &spec("1h", Some("hour"))).await.unwrap();
    assert_eq!(patient.fired, 1, "{patient:?}");
}

#[tokio::test]
async fn a_rule_that_goes_on_failing_is_told_of_and_so_is_its_recovery() {
    let site = Site::open("own-failure").await;
    let spec = rule(json!({"when": {"rows": {"sql": "select process from mart.work", "key": ["process"]}}}));
    for minute in 0..14 {
        let outcome = site.rules.evaluate("orphan", &spec).await.unwrap();
        assert!(outcome.error.is_some() && outcome.fired == 0, "{minute}: a restart is no news");
        site.minutes(1);
    }
    site.minutes(1);
    assert_eq!(site.rules.evaluate("orphan", &spec).await.unwrap().fired, 1);
    site.minutes(5);
    assert_eq!(site.rules.evaluate("orphan", &spec).await.unwrap().fired, 0, "told once");
    let states = site.rules.states().await.unwrap();
    assert_eq!(states["orphan"].failing_since, Some(at(NOW) + TimeDelta::minutes(1)));
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    assert_eq!((page.alerts.len(), page.alerts[0].severity.as_str()), (1, "critical"));
    assert!(page.alerts[0].summary.zh.contains("无法评估"), "{:?}", page.alerts[0].summary);
    assert!(!format!("{:?}", page.alerts[0]).contains("mart.work"), "what failed stands with the rule");
    site.land(&[(site.just_now(), "expense", 1.0)]).await;
    let well = site.rules.evaluate("orphan", &spec).await.unwrap();
    assert_eq!((well.error, well.fired, well.resolved), (None, 1, 1));
    assert_eq!(site.rules.states().await.unwrap()["orphan"].failing_since, None);
}

#[tokio::test]
async fn time_in_which_the_server_was_down_does_not_count_as_held() {
    let mut site = Site::open("down").await;
    let spec = RuleSpec { hold: "40s".parse().unwrap(), every: "2s".parse().ok(), ..backlog_above_100() };
    site.land(&[(at(NOW), "expense", 150.0)]).await;
    let look = async |site: &Site, seconds: u64| {
        for second in 0..seconds / 2 {
            if site.rules.evaluate("backlog", &spec).await.unwrap().fired > 0 {
                return Some(second * 2);
            }
            site.seconds(2);
        }
        None
    };
    assert_eq!(look(&site, 8).await, None);
    site.seconds(40);
    site.restart().await;
    let fired = look(&site, 60).await.unwrap();
    assert!((20..=34).contains(&fired), "fired {fired} s after the restart");
}

#[tokio::test]
async fn the_newest_time_of_a_column_tells_a_table_that_only_looks_fresh() {
    let site = Site::open("stale-at").await;
    let spec = rule(
        json!({"when": {"stale": {"table": "mart.work", "longer_than": "2h", "at": "at"}}, "labels": {}}),
    );
    let old = site.now();
    site.land(&[(old, "expense", 1.0)]).await;
    site.minutes(121);
    // The same rows again, and one from a mistyped year.
    let far = at("2206-01-01T00:00:00Z");
    site.replace(&[(old, "expense", 1.0), (far, "expense", 1.0)]).await;
    let outcome = site.rules.evaluate("feed", &spec).await.unwrap();
    assert_eq!((outcome.error, outcome.fired), (None, 1));
    site.land(&[(site.just_now(), "expense", 1.0)]).await;
    assert_eq!(site.rules.evaluate("feed", &spec).await.unwrap().resolved, 1);
    let wrong =
        rule(json!({"when": {"stale": {"table": "mart.work", "longer_than": "2h", "at": "process"}}}));
    let error = site.rules.evaluate("wrong", &wrong).await.unwrap().error.unwrap();
    assert!(error.contains("timestamp or date"), "{error}");
}

#[tokio::test]
async fn an_alert_says_what_it_fired_at_and_what_is_now() {
    let site = Site::open("now").await;
    site.land(&[(at(NOW), "expense", 150.0)]).await;
    site.minutes(1);
    let fired = site.now();
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
    site.minutes(5);
    site.land(&[(site.just_now(), "expense", 400.0)]).await;
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    let alert = site.rules.alert(&page.alerts[0].id).await.unwrap().unwrap();
    assert_eq!(
        (alert.fired_value, alert.value, alert.value_at),
        (Some(150.0), Some(400.0), Some(site.now()))
    );
    assert_eq!(alert.summary.zh, "expense 在途 400 件，上限 100", "the headline says what the value says");
    assert_eq!(alert.fired_summary.as_ref().unwrap().zh, "expense 在途 150 件，上限 100");
    assert_eq!(alert.evidence_at, Some(fired));
    assert_eq!(alert.series.as_ref().unwrap().points.last().unwrap().v, Some(150.0));
    assert_eq!(alert.reason.as_ref().unwrap().zh, "现为 150，高于上限 100");
}

#[tokio::test]
async fn an_alert_shows_each_reader_what_they_may_read() {
    use access::Role;
    let site = Site::open("reader").await;
    site.land(&[(at(NOW), "secret-name", 150.0)]).await;
    let who = |roles: &[Role]| Principal {
        user: "u".into(),
        display: "U".into(),
        roles: roles.to_vec(),
        locale: None,
    };
    let rows = |table: &str| {
        rule(json!({"when": {"rows": {"sql": format!("select process, amount, 4711 as code from {table}"),
            "key": ["process"], "value": "amount"}}, "annotations": {"en": {"summary": "{{process}} {{code}}"}}}))
    };
    // The same rows in a clean table.
    let batch = site.warehouse.session(&Principal::system()).sql("select * from mart.work").await.unwrap();
    let (batches, _) = batch.collect(10).await.unwrap();
    let mark = warehouse::LoadMark {
        stream: "clean".into(),
        seq: 1,
        cursor: serde_json::Value::Null,
        operation: "clean-1".into(),
    };
    let stream = futures::StreamExt::boxed(futures::stream::iter(batches.into_iter().map(Ok)));
    let table = "clean.work".parse().unwrap();
    site.warehouse.land(&table, stream, warehouse::Landing::Replace, mark).await.unwrap();
    let mut heard = site.rules.changes();
    for (name, table) in [("open", "mart.work"), ("closed", "clean.work")] {
        assert_eq!(site.rules.evaluate(name, &rows(table)).await.unwrap().fired, 1);
    }
    assert_eq!(heard.try_recv().unwrap().summary.en, "secret-name 4711");
    assert_eq!(heard.try_recv().unwrap().summary.en, "Backlog", "all who listen hear it");
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    for (roles, sees) in [
        (vec![Role::Executive], false),
        (vec![], false),
        (vec![Role::Analyst], true),
        (vec![Role::Ops], true),
        (vec![Role::Executive, Role::Analyst], true),
    ] {
        let who = who(&roles);
        for alert in page.clone().for_reader(&who).alerts {
            let detail = site.rules.alert(&alert.id).await.unwrap().unwrap().for_reader(&who);
            let may = sees || (alert.rule == "open" && !roles.is_empty());
            for told in [json!(alert).to_string(), json!(detail).to_string()] {
                assert_eq!(told.contains("secret-name"), may, "{roles:?} {}: {told}", alert.rule);
                assert_eq!(told.contains("4711"), may, "{told}");
                assert!(told.contains("\"team\":\"ops\""), "the rule's own labels stay: {told}");
            }
            assert_eq!((alert.hidden, detail.rows.is_some()), (!may, may));
        }
    }
}
