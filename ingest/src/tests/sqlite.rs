use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::support::{House, clock, spec};
use crate::contract::resumes_anywhere;
use crate::sources::sqlite::Sqlite;
use crate::spec::SourceSpec;

pub(super) async fn writer(house: &House) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(house.folder.0.join("oa.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

pub(super) async fn run(db: &SqlitePool, sql: &'static str) {
    sqlx::query(sql).execute(db).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

pub(super) fn source(mode: serde_json::Value) -> SourceSpec {
    spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {"t": {"table": "t", "mode": mode}}}))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_share_the_last_cursor_value_are_neither_lost_nor_doubled() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, amount REAL, ok BOOLEAN, updated_at TEXT)")
        .await;
    run(&db, "INSERT INTO t VALUES (1,'a',1.5,1,'2026-01-01 08:00:00'),(2,'b',NULL,0,'2026-01-01 09:00:00'),(3,NULL,2,1,'2026-01-01 09:00:00')").await;
    let spec = source(json!({"incremental": {"cursor": "updated_at"}}));
    assert_eq!(house.sync_one(&spec).await.rows, 3);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    run(&db, "INSERT INTO t VALUES (4,'b',NULL,0,'2026-01-01 09:00:00'),(5,'c',0,0,'2026-01-01 09:00:00')")
        .await;
    assert_eq!(house.sync_one(&spec).await.rows, 2, "two more in the very same second");
    run(&db, "UPDATE t SET name = 'A', updated_at = '2026-01-02 00:00:00' WHERE id = 1").await;
    assert_eq!(house.sync_one(&spec).await.rows, 1, "a change is a new version");
    let rows = house.sql("select id, name, amount, ok from raw.s_t order by id, updated_at").await;
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0], ["1", "a", "1.5", "true"]);
    assert_eq!(rows[1], ["1", "A", "1.5", "true"]);
    assert_eq!(rows[2], ["2", "b", "∅", "false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_finds_late_rows_without_doubling_the_others() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, updated_at TEXT)").await;
    run(&db, "INSERT INTO t VALUES (1,'2026-01-01 08:00:00'),(2,'2026-01-01 09:00:00')").await;
    let spec = source(json!({"incremental": {"cursor": "updated_at", "overlap": "2h"}}));
    house.sync_one(&spec).await;
    run(&db, "INSERT INTO t VALUES (3,'2026-01-01 07:30:00')").await;
    assert_eq!(house.sync_one(&spec).await.rows, 1);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    assert_eq!(house.count("raw.s_t").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_replaces_and_upsert_keeps_one_row_a_key() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, updated_at INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1,'a',1),(2,'b',2)").await;
    let spec = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {
        "full": {"table": "t"}, "all": {"table": "t", "mode": {"upsert": {"key": ["id"]}}}, "keyed": {"table": "t", "mode": {"upsert": {"key": ["id"], "cursor": "updated_at"}}},
        "q": {"query": "select v, count(*) as n from t group by v"}}}));
    assert!(house.sync(&spec).await.ok());
    run(&db, "UPDATE t SET v = 'B', updated_at = 3 WHERE id = 2").await;
    run(&db, "DELETE FROM t WHERE id = 1").await;
    assert!(house.sync(&spec).await.ok());
    assert_eq!(house.sql("select id, v from raw.s_full").await, [["2", "B"]]);
    for table in ["raw.s_keyed", "raw.s_all"] {
        let rows = house.sql(&format!("select id, v from {table} order by id")).await;
        assert_eq!(rows, [["1", "a"], ["2", "B"]], "{table}");
    }
    assert_eq!(house.count("raw.s_q").await, 1);
    let offers = house.ingest.test(&spec).await.unwrap().offers;
    assert!(offers.iter().any(|o| o.name.ends_with("t") && !o.detail.is_empty()), "{offers:?}");
    run(&db, "CREATE VIEW of_t AS SELECT id FROM t").await;
    let offers = house.ingest.test(&spec).await.unwrap().offers;
    assert_eq!(offers.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["of_t", "t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_their_declared_type_are_set_aside_whole() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, n INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1, 5), (2, 'many'), (3, 1.5)").await;
    let report = house.sync_one(&source(json!({"full": {}}))).await;
    assert_eq!((report.rows, report.rejected_rows), (1, 2));
    assert!(!report.warnings.is_empty());
    let rejected = house.sql("select reason, text from raw.s_t_rejected order by text").await;
    assert!(rejected[0][0].contains("`n`") && rejected[0][1].contains("many"), "{rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_set_aside_leave_the_cursor_where_it_was() {
    let house = House::new().await;
    let db = writer(&house).await;
    let spec = source(json!({"incremental": {"cursor": "at"}}));
    let bad = "INSERT INTO t VALUES (9, CAST(x'B9DBC0BD' AS TEXT), 0), (9, x'00', 0)";
    run(&db, "CREATE TABLE t (id INTEGER, v TEXT, at INTEGER)").await;
    run(&db, bad).await;
    let report = house.sync_one(&spec).await;
    assert_eq!((report.rows, report.rejected_rows), (0, 2), "all of the first read: {report:?}");
    run(&db, "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)").await;
    assert_eq!(house.sync_one(&spec).await.rows, 2);
    run(&db, "UPDATE t SET at = 2 WHERE id = 9").await;
    run(&db, "DELETE FROM t WHERE id < 9").await;
    for _ in 0..2 {
        let report = house.sync_one(&spec).await;
        assert_eq!((report.rows, report.rejected_rows), (0, 2), "{report:?}");
    }
    run(&db, "INSERT INTO t VALUES (3, 'c', 3)").await;
    assert_eq!(house.sync_one(&spec).await.rows, 1);
    assert_eq!(house.sql("select id from raw.s_t order by id").await.concat(), ["1", "2", "3"]);
    let reasons = house.sql("select reason, text from raw.s_t_rejected order by reason").await;
    assert_eq!(reasons.len(), 4, "each text once: {reasons:?}");
    assert!(reasons.concat().iter().any(|r| r.contains("`v` holds text that is not UTF-8")), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_mode_or_cursor_column_reads_afresh_and_doubles_nothing() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, at TEXT, n INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1, '2026-01-01 08:00:00', 20), (2, '2026-01-01 09:00:00', 10)").await;
    for (mode, rows) in [
        (json!({"full": {}}), [2, 2]),
        (json!({"incremental": {"cursor": "at"}}), [2, 0]),
        (json!({"incremental": {"cursor": "n"}}), [2, 0]),
        (json!({"upsert": {"key": ["id"], "cursor": "at"}}), [2, 1]),
        (json!({"incremental": {"cursor": "at"}}), [2, 0]),
        (json!({"incremental": {"cursor": "at", "overlap": "2h"}}), [2, 0]),
        // The rows of a longer overlap are remembered.
        (json!({"incremental": {"cursor": "at", "overlap": "1h"}}), [0, 0]),
    ] {
        for rows in rows {
            let report = house.sync_one(&source(mode.clone())).await;
            assert_eq!((report.rows, report.error.is_none()), (rows, true), "{mode}: {report:?}");
            assert_eq!(house.count("raw.s_t").await, 2, "{mode}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_column_is_said_and_a_dropped_cursor_stops_the_stream() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, v TEXT, at INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1,'a',1)").await;
    let spec = source(json!({"incremental": {"cursor": "at"}}));
    house.sync_one(&spec).await;
    run(&db, "ALTER TABLE t DROP COLUMN v").await;
    run(&db, "INSERT INTO t VALUES (2,2)").await;
    let report = house.sync_one(&spec).await;
    assert!(report.error.is_none() && report.warnings.iter().any(|w| w.contains("`v`")), "{report:?}");
    assert_eq!(house.sql("select id, v from raw.s_t where at = 2").await, [["2", "∅"]]);
    run(&db, "ALTER TABLE t RENAME COLUMN at TO changed").await;
    let report = house.sync_one(&spec).await;
    let error = report.error.unwrap().to_string();
    assert!(error.contains("cursor column `at`") && error.contains("table `t`"), "{error}");
    assert_eq!(house.count("raw.s_t").await, 2, "what landed stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_files_and_tables_are_named_and_other_streams_go_on() {
    let house = House::new().await;
    let report = house.sync_one(&source(json!({"full": {}}))).await;
    assert!(report.error.unwrap().to_string().contains("oa.db"));
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER)").await;
    let spec = spec(
        json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {"a": {"table": "nope"}, "b": {"table": "t"}}}),
    );
    let report = house.sync(&spec).await;
    assert!(report.streams[0].error.as_ref().unwrap().to_string().contains("`nope` does not exist"));
    assert!(report.streams[1].error.is_none());
    assert_eq!(house.count("raw.s_b").await, 0);
    let outcomes: Vec<String> =
        sqlx::query_scalar("select outcome from source_runs order by started_at, stream")
            .fetch_all(house.db.pool())
            .await
            .unwrap();
    assert_eq!(outcomes, ["failed", "failed", "ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_over_many_commits_and_a_crowd_of_equal_values() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, at INTEGER)").await;
    run(&db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 420000) INSERT INTO t SELECT i, i / 7 FROM n").await;
    let spec = source(json!({"incremental": {"cursor": "at"}}));
    let source = Sqlite::new(house.folder.0.join("oa.db"), clock());
    let cursors = resumes_anywhere(&source, &spec.streams["t"], 420_000).await;
    assert!(cursors.len() >= 2, "{}", cursors.len());
    // 130,000 rows with one value, more behind them: too many to remember, still exact.
    run(&db, "UPDATE t SET at = 20000 WHERE id BETWEEN 140000 AND 270000").await;
    resumes_anywhere(&source, &spec.streams["t"], 420_000).await;
    let report = house.sync_one(&spec).await;
    assert_eq!(report.rows, 420_000);
    assert_eq!(house.one("select count(distinct id) from raw.s_t").await, "420000");
}
