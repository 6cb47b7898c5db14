use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::site::{NOW, Site, at, rule};

fn last(days: i64) -> Range {
    Range { from: at(NOW) - TimeDelta::days(days), to: at(NOW) }
}

/// Two documents every hour for four weeks, and ninety in one hour a week ago.
async fn surge(site: &Site) -> Timestamp {
    let top = at("2026-03-30T02:00:00Z");
    let surge = top - TimeDelta::days(7);
    let mut rows = vec![];
    for hour in 0..24 * 28 {
        let count = if top - TimeDelta::hours(hour) == surge { 90 } else { 2 + hour % 2 };
        for n in 0..count {
            rows.push((top - TimeDelta::hours(hour) + TimeDelta::seconds(n), "expense", 1.0));
        }
    }
    site.land(&rows).await;
    surge
}

#[tokio::test]
async fn a_surge_of_the_past_is_found_when_it_could_first_be_known() {
    let site = Site::open("backtest").await;
    let surge = surge(&site).await;
    let spec = rule(json!({
        "ask": {"metric": "submitted", "by": ["process"], "grain": "hour", "window": "14d"}, "every": "5m",
        "when": {"seasonal": {"season": "day", "deviations": 6.0, "side": "above", "floor": 20.0}}
    }));
    let found = site.rules.backtest(&spec, last(12)).await.unwrap();
    assert_eq!((found.series, found.evaluations, found.truncated), (1, 12 * 24 * 12 - 1, false));
    assert_eq!(found.episodes.len(), 1, "{:?}", found.episodes);
    let would = &found.episodes[0];
    // The hour is over at `surge + 1h`, and final five minutes later: not before.
    assert_eq!(would.fired_at, surge + TimeDelta::minutes(65));
    assert_eq!(would.resolved_at, Some(surge + TimeDelta::minutes(125)));
    assert_eq!((would.value, would.labels["process"].as_str()), (Some(90.0), "expense"));
    assert_eq!(site.count("SELECT COUNT(*) FROM alerts").await, 0, "nothing is written");
}

#[tokio::test]
async fn data_after_a_moment_is_not_seen_at_it() {
    let site = Site::open("backtest-as-of").await;
    let surge = surge(&site).await;
    let window = rule(json!({
        "ask": {"metric": "submitted", "window": "2h"}, "every": "1h", "when": {"above": {"value": 50.0}}
    }));
    let range = Range { from: surge - TimeDelta::hours(3), to: surge + TimeDelta::hours(5) };
    let found = site.rules.backtest(&window, range).await.unwrap();
    let would: Vec<_> = found.episodes.iter().map(|e| (e.fired_at, e.resolved_at)).collect();
    assert_eq!(would, [(surge + TimeDelta::hours(1), Some(surge + TimeDelta::hours(3)))]);
}

#[tokio::test]
async fn rows_are_found_at_their_time_and_hold_is_respected() {
    let site = Site::open("backtest-rows").await;
    let surge = surge(&site).await;
    let rows = |at: Option<&str>| {
        rule(json!({"for": "10m", "when": {"rows": {
            "sql": "select date_trunc('hour', at) as at, count(*) as n from mart.work group by 1 having count(*) > 50",
            "key": ["at"], "value": "n", "at": at}}}))
    };
    let found = site.rules.backtest(&rows(Some("at")), last(12)).await.unwrap();
    assert_eq!(found.episodes.len(), 1);
    assert_eq!(
        (found.episodes[0].started_at, found.episodes[0].fired_at),
        (surge, surge + TimeDelta::minutes(10))
    );
    assert!(site.rules.backtest(&rows(None), last(12)).await.unwrap_err().to_string().contains("`at`"));
}

#[tokio::test]
async fn what_cannot_be_played_says_so() {
    let site = Site::open("backtest-refused").await;
    site.land(&[(at(NOW), "expense", 1.0)]).await;
    let stale = rule(json!({"when": {"stale": {"table": "mart.work", "longer_than": "2h"}}}));
    assert!(site.rules.backtest(&stale, last(1)).await.unwrap_err().to_string().contains("not recorded"));
    let often = rule(json!({
        "ask": {"metric": "submitted", "window": "2h"}, "every": "1m", "when": {"above": {"value": 50.0}}
    }));
    assert!(site.rules.backtest(&often, last(3)).await.unwrap_err().to_string().contains("shorter range"));
}
