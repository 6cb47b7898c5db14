//! What SQLite's values are: classes instead of columns' types, digits, and what does not fit.

use serde_json::{Value, json};

use super::sqlite::{run, source, writer};
use super::support::{House, spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_keeps_its_class_where_no_type_is_declared() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE untyped (id, at)").await;
    run(&db, "CREATE TABLE typed (id INTEGER PRIMARY KEY, created INTEGER, updated INTEGER)").await;
    run(&db, "CREATE TABLE texts (id, at)").await;
    run(&db, "CREATE TABLE fractions (id, at)").await;
    run(&db, "INSERT INTO untyped VALUES (1, 1764230400), (2, 1764230500)").await;
    run(&db, "INSERT INTO typed VALUES (1, 1764230400, NULL), (2, 1764230500, NULL)").await;
    run(&db, "INSERT INTO texts VALUES (1, '1764230400'), (2, '1764230500')").await;
    run(&db, "INSERT INTO fractions VALUES (1, 1764230400.25), (2, 1764230500.123456)").await;
    let by = |cursor: &str| json!({"incremental": {"cursor": cursor}});
    let spec = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {
        "untyped": {"table": "untyped", "mode": by("at")},
        "expression": {"query": "select id, coalesce(updated, created) as changed from typed", "mode": by("changed")},
        "texts": {"table": "texts", "mode": by("at")},
        "fractions": {"table": "fractions", "mode": by("at")},
        "keyed": {"table": "untyped", "mode": {"upsert": {"key": ["id"], "cursor": "at"}}}}}));
    let rows = |report: crate::SyncReport| {
        assert!(report.ok(), "{report:?}");
        report.streams.iter().map(|s| (s.stream.clone(), s.rows)).collect::<Vec<_>>()
    };
    let all = |n: u64, keyed: u64| -> Vec<(String, u64)> {
        ["expression", "fractions", "keyed", "texts", "untyped"]
            .map(|s| (s.to_owned(), if s == "keyed" { keyed } else { n }))
            .to_vec()
    };
    assert_eq!(rows(house.sync(&spec).await), all(2, 2));
    // The row at the edge is upserted once more.
    assert_eq!(rows(house.sync(&spec).await), all(0, 1));
    run(&db, "INSERT INTO untyped VALUES (3, 1764230600), (4, 1764230500)").await;
    run(&db, "INSERT INTO typed VALUES (3, 1764230600, NULL), (4, 1764230300, 1764230700)").await;
    run(&db, "INSERT INTO texts VALUES (3, '1764230600'), (4, '1764230500')").await;
    run(&db, "INSERT INTO fractions VALUES (3, 1764230600.5), (4, 1764230500.123456)").await;
    assert_eq!(rows(house.sync(&spec).await), all(2, 3));
    assert_eq!(rows(house.sync(&spec).await), all(0, 1));
    for table in ["untyped", "expression", "texts", "fractions", "keyed"] {
        assert_eq!(house.count(&format!("raw.s_{table}")).await, 4, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_looks_back_over_numbers_or_says_that_it_cannot() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, s INTEGER, ms INTEGER, day INTEGER, untyped)").await;
    run(
        &db,
        "INSERT INTO t VALUES (1, 1764230400, 1764230400000, 20251127, 1764230400), (2, 1764230700, 1764230700000, 20251128, 1764230700)",
    )
    .await;
    let by =
        |cursor: &str| json!({"table": "t", "mode": {"incremental": {"cursor": cursor, "overlap": "10m"}}});
    let streams = |names: &[&str]| -> Value {
        names.iter().map(|n| ((*n).to_owned(), by(n))).collect::<serde_json::Map<_, _>>().into()
    };
    let times = ["day", "ms", "s", "untyped"];
    let spec_t = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": streams(&times)}));
    for rows in [2, 0] {
        let report = house.sync(&spec_t).await;
        assert!(report.ok() && report.streams.iter().all(|s| s.rows == rows), "{report:?}");
    }
    // Before the last one read, and committed after it.
    run(&db, "INSERT INTO t VALUES (3, 1764230600, 1764230600000, 20251127, 1764230600)").await;
    for rows in [1, 0] {
        let report = house.sync(&spec_t).await;
        assert!(report.ok() && report.streams.iter().all(|s| s.rows == rows), "{report:?}");
    }
    let no_time = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": streams(&["id"])}));
    let error = house.sync_one(&no_time).await.error.unwrap().to_string();
    assert!(error.contains("`id` holds 3") && error.contains("`overlap` cannot look back"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_land_with_the_digits_that_are_declared() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, amount NUMERIC(10,2), rate DECIMAL(8, 4), free NUMERIC)").await;
    run(
        &db,
        "INSERT INTO t VALUES (1, 12.34, 0.5, 1.5), (2, 7, '1.25', 'x'), (3, 0.1 + 0.2, NULL, 2), (4, -1e3, 2, NULL), (5, 1.005, 1, 1), (6, 'many', 1, 1)",
    )
    .await;
    let spec = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {
        "t": {"table": "t"}, "q": {"query": "select id, amount from t where id < 5"}}}));
    let report = house.sync(&spec).await;
    assert!(report.ok(), "{report:?}");
    // 12.34 + 7.00 + 0.30 - 1000.00
    for table in ["raw.s_t", "raw.s_q"] {
        assert_eq!(house.one(&format!("select sum(amount) from {table}")).await, "-980.36", "{table}");
    }
    assert_eq!(
        house.sql("select rate from raw.s_t order by id").await.concat(),
        ["0.5000", "1.2500", "∅", "2.0000"]
    );
    let t = report.streams.iter().find(|s| s.stream == "t").unwrap();
    assert_eq!((t.rows, t.rejected_rows), (4, 2));
    assert!(
        t.warnings.iter().any(|w| w.contains("`amount` is declared NUMERIC(10,2)")
            && w.contains("2 rows, first 1.005 at row 5")),
        "{:?}",
        t.warnings
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told_with_its_column_place_and_remedy() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, qty INTEGER, price REAL)").await;
    run(&db, "INSERT INTO t VALUES (1, 5, 1.5), (2, '', 2.5), (3, '1,000', '3.5元'), (4, '', 1)").await;
    let report = house.sync_one(&source(json!({"upsert": {"key": ["id"]}}))).await;
    assert_eq!((report.rows, report.rejected_rows), (1, 3));
    let said = report.warnings.join("\n");
    for part in [
        "column `qty` is declared INTEGER but holds an empty text in 2 rows, first '' at id 2",
        "nullif(qty, '')",
        "column `qty` is declared INTEGER but holds text in 1 row, first '1,000' at id 3",
        "cast(qty as text) as qty",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let remedy = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {
        "t": {"query": "select id, nullif(qty, '') as qty, cast(price as text) as price from t"}}}));
    assert_eq!(house.sync_one(&remedy).await.rejected_rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_raw_table_cannot_have_are_changed_and_told() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, _file TEXT, _row INTEGER, _loaded_at TEXT)").await;
    run(&db, "INSERT INTO t VALUES (1, 'f', 9, 'x')").await;
    let report = house.sync_one(&source(json!({"full": {}}))).await;
    assert!(report.error.is_none(), "{report:?}");
    assert!(report.warnings.iter().any(|w| w.contains("`_file` as `_file_2`")), "{:?}", report.warnings);
    assert_eq!(
        house.sql("select _file_2, _row_2, _loaded_at_2, _file from raw.s_t").await,
        [["f", "9", "x", "∅"]]
    );
    let error = house.sync_one(&source(json!({"incremental": {"cursor": "_row"}}))).await.error.unwrap();
    assert!(error.to_string().contains("`_row` cannot be a key or cursor"), "{error}");
    run(&db, "ALTER TABLE t RENAME TO Tickets_2026").await;
    let near =
        spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {"x": {"table": "tickets_206"}}}));
    let error = house.sync_one(&near).await.error.unwrap().to_string();
    assert!(error.contains("did you mean `Tickets_2026`?"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_above_the_limit_is_set_aside_without_being_read() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT)").await;
    run(&db, "INSERT INTO t VALUES (1, 'short'), (2, hex(zeroblob(9000000))), (3, NULL)").await;
    let report = house.sync_one(&source(json!({"full": {}}))).await;
    assert_eq!((report.rows, report.rejected_rows), (2, 1), "{report:?}");
    assert!(
        report.warnings.iter().any(|w| w.contains("`note` holds more than 16777216 bytes")),
        "{report:?}"
    );
    assert_eq!(house.sql("select id, note from raw.s_t order by id").await, [["1", "short"], ["3", "∅"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_gone_although_everything_was_read_are_told() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    run(&db, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    let spec = source(json!({"upsert": {"key": ["id"]}}));
    assert!(house.sync_one(&spec).await.warnings.is_empty());
    run(&db, "DELETE FROM t WHERE id = 1").await;
    let report = house.sync_one(&spec).await;
    assert!(
        report.warnings.iter().any(|w| w.starts_with("1 rows of raw.s_t are no longer at the source")),
        "{report:?}"
    );
}

#[test]
fn check_advises_an_overlap_where_a_late_row_would_be_lost() {
    let advice =
        |mode: Value| -> Vec<String> { source(mode).advice().iter().map(ToString::to_string).collect() };
    let said = advice(json!({"incremental": {"cursor": "updated_at"}}));
    assert!(said.len() == 1 && said[0].contains("committed late"), "{said:?}");
    assert_eq!(advice(json!({"upsert": {"key": ["id"], "cursor": "gmt_modified"}})).len(), 1);
    assert!(advice(json!({"upsert": {"key": ["id"]}}))[0].contains("deleted at the source stay"));
    for mode in [
        json!({"incremental": {"cursor": "updated_at", "overlap": "10m"}}),
        json!({"incremental": {"cursor": "updated_at", "overlap": "0s"}}),
        json!({"incremental": {"cursor": "id"}}),
        json!({"full": {}}),
    ] {
        assert_eq!(advice(mode.clone()), Vec::<String>::new(), "{mode}");
    }
}
