use super::*;

fn spec(json: serde_json::Value) -> Result<SourceSpec, serde_json::Error> {
    serde_json::from_value(json)
}

fn messages(json: serde_json::Value) -> Vec<String> {
    spec(json).expect("parses").check().iter().map(ToString::to_string).collect()
}

#[test]
fn good_definitions_have_no_problems() {
    let good = [
        serde_json::json!({"kind": {"sqlite": {"path": "../company/oa.db"}}, "every": "5m",
            "streams": {"approvals": {"table": "approval_instances", "mode": {"incremental": {"cursor": "updated_at", "overlap": "0s"}}, "clean": "approvals"}}}),
        serde_json::json!({"kind": {"postgres": {"url": "env:PG_URL"}}, "cron": "*/5 8-20 * * mon-fri",
            "streams": {"a": {"query": "select 1 as x", "mode": {"full": {}}}, "b": {"table": "hr.staff", "mode": {"upsert": {"key": ["id"]}}}}}),
        serde_json::json!({"kind": {"files": {"path": "drops"}},
            "streams": {"o": {"glob": "orders_*.csv", "format": {"csv": {"encoding": "gb18030", "delimiter": ";", "skip": 2}}},
                        "x": {"glob": "*.xlsx", "format": {"xlsx": {"header_row": 3}}}, "e": {"glob": "**/*.xes.gz", "format": {"xes": {}}},
                        "j": {"glob": "*.json", "format": {"json": {"records": "$.data.items"}}}}}),
        serde_json::json!({"kind": {"rest": {"url": "http://127.0.0.1:9401", "token": "env:T"}},
            "streams": {"t": {"path": "/tickets", "records": "items", "page": {"number": {"param": "page", "size_param": "size", "size": 200}},
                              "mode": {"incremental": {"cursor": "updated_at", "param": "updated_after"}}}}}),
    ];
    for json in good {
        assert_eq!(messages(json), Vec::<String>::new());
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases = [
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {}}),
            "streams: a source needs at least one stream",
        ),
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {"a": {}}}),
            "streams.a: a stream of a database needs `table` or `query`",
        ),
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {"a": {"table": "t", "glob": "*"}}}),
            "streams.a.glob: `glob` does not apply",
        ),
        (
            serde_json::json!({"kind": {"files": {"path": "x"}}, "streams": {"a": {"glob": "*", "format": {"csv": {}}, "mode": {"full": {}}}}}),
            "streams.a.mode: `mode` does not apply to files",
        ),
        (
            serde_json::json!({"kind": {"files": {"path": "x"}}, "streams": {"a": {"glob": "*", "format": {"csv": {"encoding": "klingon"}}}}}),
            "streams.a.format.csv.encoding: `klingon`",
        ),
        (
            serde_json::json!({"kind": {"files": {"path": "x"}}, "streams": {"a": {"glob": "*", "format": {"csv": {"delimiter": "::"}}}}}),
            "streams.a.format.csv.delimiter: `::`",
        ),
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {"a": {"table": "t"}, "a_rejected": {"table": "t"}}}),
            "streams.a_rejected: ",
        ),
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {"a": {"table": "t", "mode": {"upsert": {"key": []}}}}}),
            "streams.a.mode.upsert.key: `key` needs",
        ),
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {"a": {"query": "drop table t"}}}),
            "streams.a.query: `query` must be one SELECT",
        ),
        (
            serde_json::json!({"kind": {"rest": {"url": "ftp://x"}}, "streams": {"a": {"path": "/t"}}}),
            "kind.rest.url: ",
        ),
        (
            serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "every": "5m", "cron": "* * * * *", "streams": {"a": {"table": "t"}}}),
            "cron: `every` and `cron`",
        ),
    ];
    for (json, expected) in cases {
        let found = messages(json);
        assert!(found.iter().any(|m| m.starts_with(expected)), "{expected} not in {found:?}");
    }
}

#[test]
fn unknown_keys_fail() {
    let wrong =
        spec(serde_json::json!({"kind": {"sqlite": {"path": "x"}}, "streams": {"a": {"tabel": "t"}}}))
            .unwrap_err();
    assert!(wrong.to_string().contains("tabel"), "{wrong}");
    assert!(spec(serde_json::json!({"kind": {"oracle": {}}, "streams": {}})).is_err());
}
