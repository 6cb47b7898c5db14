//! A column goes while rows at the edge of the cursor move: what SQLite shows holds for every database.

use serde_json::json;

use super::sqlite::{run, source, writer};
use super::support::House;

const DROP: &str = "ALTER TABLE t DROP COLUMN x";
/// A row that takes a place at the edge.
const LATE: &str = "INSERT INTO t (id, v, at) VALUES (4, 'd', '2026-01-01 09:00:00')";

struct Case {
    overlap: &'static str,
    changes: &'static [&'static str],
    rows: u64,
}

fn case(overlap: &'static str, changes: &'static [&'static str], rows: u64) -> Case {
    Case { overlap, changes, rows }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_move_as_a_column_goes_land_and_those_that_stay_do_not() {
    let cases = [
        case("0s", &[DROP], 0),
        case("0s", &[DROP, "UPDATE t SET at = '2026-01-01 10:00:00' WHERE id = 3"], 1),
        case("0s", &[DROP, "UPDATE t SET at = '2026-01-01 10:00:00' WHERE id > 1"], 2),
        // As many stand at the edge as landed, but one of them is another.
        case("0s", &[DROP, LATE, "UPDATE t SET at = '2026-01-01 10:00:00' WHERE id = 3"], 2),
        case("0s", &[DROP, LATE, "DELETE FROM t WHERE id = 3"], 1),
        case("0s", &[DROP, "UPDATE t SET v = 'C' WHERE id = 3"], 1),
        case("0s", &["ALTER TABLE t RENAME COLUMN x TO y"], 0),
        case(
            "2h",
            &[
                DROP,
                "UPDATE t SET at = '2026-01-01 10:00:00' WHERE id = 1",
                "INSERT INTO t (id, v, at) VALUES (5, 'e', '2026-01-01 07:30:00')",
            ],
            2,
        ),
        // Nothing that both sides have tells which of three is new: in doubt all land.
        case("0s", &[DROP, LATE, "ALTER TABLE t DROP COLUMN id", "ALTER TABLE t RENAME COLUMN v TO w"], 3),
    ];
    for Case { overlap, changes, rows } in cases {
        let house = House::new().await;
        let db = writer(&house).await;
        run(&db, "CREATE TABLE t (id INTEGER, x TEXT, v TEXT, at TEXT)").await;
        run(&db, "INSERT INTO t VALUES (1,'x','a','2026-01-01 08:00:00'),(2,'x','b','2026-01-01 09:00:00'),(3,'x','c','2026-01-01 09:00:00')").await;
        let spec = source(json!({"incremental": {"cursor": "at", "overlap": overlap}}));
        assert_eq!(house.sync_one(&spec).await.rows, 3);
        for change in changes {
            run(&db, change).await;
        }
        for rows in [rows, 0] {
            let report = house.sync_one(&spec).await;
            assert_eq!((report.rows, report.error.is_none()), (rows, true), "{changes:?}: {report:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_can_be_compared_land_once_more_and_it_is_said() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, x TEXT, v TEXT, at INTEGER)").await;
    run(&db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO t SELECT i, 'x', 'a', 1 FROM n").await;
    let spec = source(json!({"incremental": {"cursor": "at"}}));
    assert_eq!(house.sync_one(&spec).await.rows, 60_000);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    run(&db, "ALTER TABLE t DROP COLUMN x").await;
    run(&db, "UPDATE t SET v = 'paid', at = 2 WHERE id = 7").await;
    let report = house.sync_one(&spec).await;
    assert_eq!(report.rows, 60_000, "{report:?}");
    assert!(report.warnings.iter().any(|w| w.contains("land once more")), "{report:?}");
    assert_eq!(house.sql("select id from raw.s_t where v = 'paid'").await, [["7"]]);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
}
