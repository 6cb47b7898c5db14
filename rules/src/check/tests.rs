use serde_json::{Value, json};

use super::*;
use crate::site::{metrics, rule};

fn problems(given: Value) -> Vec<String> {
    let hook = json!({"webhook": {"url": "http://127.0.0.1:1/", "secret": "env:S"}});
    let channels = BTreeMap::from([("ops".to_owned(), serde_json::from_value(hook).unwrap())]);
    check(&rule(given), &metrics(), &channels).iter().map(ToString::to_string).collect()
}

fn ask(change: Value) -> Value {
    let mut ask = json!({"metric": "backlog", "by": ["process"], "grain": "hour", "window": "28d"});
    ask.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    ask
}

fn above() -> Value {
    json!({"above": {"value": 1.0}})
}

#[test]
fn a_good_rule_of_every_kind_has_no_problem() {
    let season = json!({"seasonal": {"season": "week", "deviations": 4.0, "history": "28d"}});
    for when in [
        above(),
        json!({"below": {"value": 1.0}}),
        json!({"outside": {"low": 1.0, "high": 2.0}}),
        json!({"change": {"against": "last_week", "up": 0.3}}),
        json!({"change": {"against": "last_month", "up": 0.3}}),
        json!({"seasonal": {"season": "week"}}),
        season,
    ] {
        assert_eq!(problems(json!({"ask": ask(json!({})), "when": when})), Vec::<String>::new(), "{when}");
    }
    let silent = json!({"metric": "submitted", "by": ["process"], "window": "1h"});
    assert_eq!(problems(json!({"ask": silent, "when": {"below": {"value": 1.0}}})), [""; 0]);
    let texts = |zh: &str| json!({"zh": {"summary": zh}});
    let stale = json!({"stale": {"table": "raw.x", "longer_than": "2h"}});
    assert_eq!(
        problems(json!({"when": stale, "annotations": texts("{{table}} {{since}} {{value}}")})),
        [""; 0]
    );
    let rows = json!({"rows": {"sql": "select a, b from mart.x", "key": ["a"]}});
    assert_eq!(problems(json!({"when": rows, "annotations": texts("{{b}}")})), [""; 0]);
}

#[test]
fn mistakes_are_named_where_they_are_with_what_to_do() {
    let season = |given: Value| {
        let mut season = json!({"season": "week"});
        season.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        json!({"ask": ask(json!({})), "when": {"seasonal": season}})
    };
    let with = |change: Value| json!({"ask": ask(change), "when": above()});
    let when = |when: Value| json!({"ask": ask(json!({})), "when": when});
    let mut slipped = when(above());
    slipped["annotations"] = json!({"en": {"summary": "{{valeu}}"}});
    let mut channel = when(above());
    channel["notify"] = json!(["ops", "opps"]);
    let mut label = when(above());
    label["labels"] = json!({"process": "x"});
    let mut both = when(above());
    both["every"] = json!("5m");
    both["cron"] = json!("@daily");
    let cases = [
        (
            with(json!({"metric": "bakclog"})),
            "ask.metric: there is no metric `bakclog` (did you mean `backlog`?)",
        ),
        (
            with(json!({"by": ["proces"]})),
            "ask.by[0]: there is no dimension of the metric `backlog` `proces`",
        ),
        (with(json!({"by": ["process", "process"]})), "ask.by[1]: `process` is listed twice"),
        (with(json!({"filters": {"process": []}})), "ask.filters.process: a filter without values"),
        (with(json!({"window": "5000w"})), "ask.window: the window holds"),
        (
            json!({"ask": {"metric": "submitted", "by": ["process"], "window": "26h"}, "cron": "0 9 * * mon-fri",
                "when": {"below": {"value": 1.0}}}),
            "ask.window: `below` would miss groups that have no rows",
        ),
        (json!({"when": above()}), "`above` judges a metric, but nothing is asked"),
        (
            json!({"ask": ask(json!({})), "when": {"rows": {"sql": "select 1 as a", "key": ["a"]}}}),
            "ask: `rows` needs no metric",
        ),
        (when(json!({"outside": {"low": 2.0, "high": 1.0}})), "when.outside.low: `low` must be less"),
        (when(json!({"change": {"against": "previous"}})), "when.change: neither `up` nor `down`"),
        (
            when(json!({"change": {"against": "previous", "down": 1.5}})),
            "when.change.down: a value that falls",
        ),
        (season(json!({"history": "14d"})), "when.seasonal.history: a history of 2w never holds 4 alike"),
        (season(json!({"deviations": 0.0})), "when.seasonal.deviations: `deviations` must be greater"),
        (
            json!({"ask": ask(json!({"grain": "month"})), "when": {"seasonal": {"season": "week"}}}),
            "when.seasonal.season: a season needs",
        ),
        (
            json!({"when": {"stale": {"table": "system.runs", "longer_than": "2h"}}, "annotations": {}}),
            "when.stale.table: system tables",
        ),
        (json!({"when": {"rows": {"sql": "delete from mart.x", "key": []}}}), "when.rows.key: without a key"),
        (
            json!({"when": {"rows": {"sql": "delete from mart.x", "key": ["a"]}}}),
            "when.rows.sql: this is not a query",
        ),
        (slipped, "annotations.en.summary: there is no placeholder `valeu` (did you mean `value`?)"),
        (channel, "notify[1]: there is no channel `opps` (did you mean `ops`?)"),
        (label, "labels.process: the label `process` already comes from the data"),
        (both, "cron: `every` and `cron` are both given (keep one)"),
    ];
    for (given, expected) in cases {
        let found = problems(given.clone());
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected}\nnot in {found:#?}\nof {given}");
    }
}

#[test]
fn unknown_keys_fail_and_the_schedule_is_read() {
    let slip = json!({"title": "x", "severity": "info", "when": {"above": {"valu": 1}}});
    assert!(serde_json::from_value::<RuleSpec>(slip).unwrap_err().to_string().contains("valu"));
    assert_eq!(rule(json!({"when": above()})).schedule().to_string(), "5m");
    assert_eq!(
        rule(json!({"when": above(), "cron": "0 9 * * mon-fri"})).schedule().to_string(),
        "0 9 * * mon-fri"
    );
}

#[test]
fn what_never_runs_is_late_or_is_too_large_is_named() {
    let with = |extra: Value| {
        let mut given = json!({"ask": ask(json!({})), "when": above()});
        given.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        given
    };
    let rows = |extra: Value| {
        let mut given = json!({"when": {"rows": {"sql": "select a from mart.x", "key": ["a"]}}});
        given.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        given
    };
    let many: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let cases = [
        (with(json!({"cron": "0 0 31 2 *"})), "cron: `0 0 31 2 *` names a date that never comes"),
        (with(json!({"cron": "0 0 30 feb *"})), "cron: `0 0 30 feb *` names a date that never comes"),
        (with(json!({"every": "10ms"})), "every: rules are evaluated once a second"),
        (rows(json!({"delay": "1h"})), "delay: `rows` looks at no time"),
        (with(json!({"delay": "28d"})), "delay: nothing would be judged"),
        (with(json!({"delay": "5000w"})), "delay: longer than ten years"),
        (with(json!({"notify": many})), "notify: `notify` lists 40, more than 32"),
        (with(json!({"labels": {"x": "y".repeat(400)}})), "labels.x: a label of more than 300 bytes"),
        (
            with(json!({"annotations": {"en": {"summary": "y".repeat(5000)}}})),
            "annotations.en.summary: a text of more than 4000 bytes",
        ),
        (
            json!({"ask": ask(json!({"grain": "week"})), "when": {"change": {"against": "last_month", "up": 0.1}}}),
            "when.change.against: a month before",
        ),
        (
            json!({"ask": ask(json!({})), "when": {"seasonal": {"season": "day", "history": "5000w"}}}),
            "when.seasonal.history: the history holds",
        ),
        (
            json!({"ask": ask(json!({"filters": {"process": vec!["x"; 3000]}})), "when": above()}),
            "ask.filters: `filters` lists 3000, more than 2000",
        ),
    ];
    for (given, expected) in cases {
        let found = problems(given.clone());
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected}\nnot in {found:#?}");
    }
    for good in ["0 9 L * *", "0 9 LW * *", "0 9 * * workday", "0 9 29 2 *"] {
        assert_eq!(problems(with(json!({"cron": good}))), [""; 0], "{good}");
    }
    assert_eq!(problems(with(json!({"delay": "1h"}))), [""; 0]);
}

#[test]
fn a_channel_is_checked_before_it_is_needed() {
    let found = |given: Value| {
        let mut hook = json!({"url": "https://h.example.com/x", "secret": "env:S"});
        hook.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        let spec: ChannelSpec = serde_json::from_value(json!({"webhook": hook})).unwrap();
        crate::check_channel(&spec).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(found(json!({"retry": ["2s", "3s", "4s"]})), "");
    assert_eq!(found(json!({"url": "env:HOOK"})), "");
    assert!(found(json!({"retry": ["2s", "0s"]})).starts_with("webhook.retry[1]: a wait of zero"));
    for url in ["ftp://h/t0ken-t0ken", "h.example.com/t0ken-t0ken", "https://me:t0ken-t0ken@h.example.com/"] {
        let told = found(json!({"url": url}));
        assert!(told.starts_with("webhook.url: the address of") && !told.contains("t0ken"), "{told}");
    }
}
