//! Read = kept + set aside + refused, whatever the files hold; and nothing good gives way to rejects alone.

use proptest::prelude::*;
use serde_json::json;

use super::sqlite::{run, source, writer};
use super::support::{House, spec};
use crate::spec::SourceSpec;
use crate::sync::Outcome;

fn csv() -> SourceSpec {
    spec(json!({"kind": {"files": {"path": "drops"}},
        "streams": {"o": {"glob": "*.csv", "format": {"csv": {"delimiter": ",", "header": true}}}}}))
}

/// One line of a file of three columns, and how many fields it has.
fn line() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        6 => "[a-z0-9]{1,6},[a-z0-9]{1,6},[a-z0-9]{1,6}".prop_map(|l| (l, true)),
        1 => "[a-z0-9]{1,6},[a-z0-9]{1,6}".prop_map(|l| (l, false)),
        1 => "[a-z0-9]{1,6},[a-z0-9]{1,6},[a-z]{1,6},[a-z]{1,6}".prop_map(|l| (l, false)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_random_files_are_kept_or_set_aside_and_each_is_counted(
        files in proptest::collection::vec(proptest::collection::vec(line(), 1..30), 1..4),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            let mut whole = 0u64;
            for (n, lines) in files.iter().enumerate() {
                // Most rows are right, so that the width of the file is beyond doubt.
                let right = "1,2,3\n".repeat(2 * lines.len() + 3);
                let body: String = lines.iter().map(|(l, _)| format!("{l}\n")).collect();
                house.folder.write(&format!("drops/f{n}.csv"), format!("a,b,c\n{right}{body}"));
                whole += 3 * lines.len() as u64 + 3;
            }
            let report = house.sync_one(&csv()).await;
            prop_assert_eq!(report.read, report.rows + report.rejected_rows + report.refused, "{:?}", report);
            prop_assert_eq!(report.rows + report.rejected_rows, whole, "{:?}", report);
            let there = |table: Option<i64>| table.unwrap_or(0) as u64;
            let has = |name| {
                let house = &house;
                async move {
                    let table: warehouse::TableName = format!("raw.{name}").parse().unwrap();
                    match house.warehouse.snapshot(&table).await.unwrap() {
                        Some(_) => Some(house.count(&format!("raw.{name}")).await),
                        None => None,
                    }
                }
            };
            prop_assert_eq!(there(has("s_o").await), report.rows, "what is said to be kept is there");
            prop_assert_eq!(there(has("s_o_rejected").await), report.rejected_rows);
            let reasons: u64 = report.set_aside.iter().map(|r| r.count).sum();
            prop_assert!(reasons >= report.rejected_rows, "each has a reason: {:?}", report);
            prop_assert!(report.error.is_none(), "{:?}", report);
            let spoiled = files.iter().flatten().filter(|(_, fits)| !fits).count() as u64;
            prop_assert_eq!(report.rejected_rows, spoiled, "{:?}", report);
            // What the ledger says is what is recorded.
            let recorded: (i64, i64, i64, i64, String) = sqlx::query_as(
                "select read_count, row_count, rejected, refused, state from source_runs",
            )
            .fetch_one(house.db.pool())
            .await
            .unwrap();
            prop_assert_eq!(recorded.0, recorded.1 + recorded.2 + recorded.3);
            prop_assert_eq!(recorded.4, report.state());
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_read_of_rejects_alone_keeps_the_last_good_rows() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, n INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1, 5), (2, 6)").await;
    let spec = source(json!({"full": {}}));
    house.sync_one(&spec).await;
    run(&db, "UPDATE t SET n = 'many'").await;
    for _ in 0..2 {
        let report = house.sync_one(&spec).await;
        assert_eq!((report.read, report.rows, report.rejected_rows, report.version), (2, 0, 2, None));
        assert_eq!(report.outcome(), Outcome::Failed);
        let error = report.error.unwrap().to_string();
        for part in ["all 2 rows", "what landed before stays in raw.s_t", "`n`", "source preview s.t"] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
        assert_eq!(house.sql("select n from raw.s_t order by 1").await, [["5"], ["6"]]);
        assert_eq!(house.count("raw.s_t_rejected").await, 2, "and they can be looked at");
    }
    // Emptied at the source is no reject: the table is empty too.
    run(&db, "DELETE FROM t").await;
    let report = house.sync_one(&spec).await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!((house.count("raw.s_t").await, house.count("raw.s_t_rejected").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_back_with_rejects_alone_keeps_its_rows() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,v\n1,x\n");
    house.folder.write("drops/b.csv", "id,v\n2,y\n");
    house.sync_one(&csv()).await;
    house.folder.write("drops/a.csv", "id,v\n1,x,z\n3,w,z\n");
    let report = house.sync_one(&csv()).await;
    let error = report.error.as_ref().unwrap().to_string();
    assert!(error.contains("file `a.csv`: all 2 rows"), "{error}");
    assert_eq!((report.read, report.rejected_rows, report.refused), (2, 2, 0));
    assert_eq!(house.sql("select id from raw.s_o order by 1").await, [["1"], ["2"]]);
    house.folder.write("drops/a.csv", "id,v\n1,x\n3,w\n");
    let report = house.sync_one(&csv()).await;
    assert_eq!((report.rows, report.is_whole()), (2, true), "{report:?}");
    assert_eq!(house.count("raw.s_o_rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_comes_again_corrected_leaves_the_quarantine() {
    for mode in [json!({"upsert": {"key": ["id"], "cursor": "at"}}), json!({"upsert": {"key": ["id"]}})] {
        let house = House::new().await;
        let db = writer(&house).await;
        run(&db, "CREATE TABLE t (id INTEGER, n INTEGER, at INTEGER)").await;
        run(&db, "INSERT INTO t VALUES (1, 5, 1), (2, 'many', 2), (3, 'few', 2)").await;
        let spec = source(mode.clone());
        let report = house.sync_one(&spec).await;
        assert_eq!((report.rows, report.rejected_rows), (1, 2), "{mode}: {report:?}");
        assert_eq!(report.state(), "landed, 2 of 3 set aside");
        run(&db, "UPDATE t SET n = 7, at = 3 WHERE id = 2").await;
        let report = house.sync_one(&spec).await;
        assert!(report.error.is_none(), "{mode}: {report:?}");
        let left = house.sql("select text from raw.s_t_rejected").await;
        assert_eq!(left.len(), 1, "{mode}: {left:?}");
        assert!(left[0][0].contains("few"), "{mode}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_how_a_file_would_land_and_lands_nothing() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,v\n1,x\n2\n3,z\n");
    let spec = csv();
    let seen = house.ingest.preview("s", &spec, "o", 1).await.unwrap();
    assert_eq!((seen.read, seen.rejected_rows, seen.complete), (3, 1, true), "{seen:?}");
    assert_eq!(seen.rows, [[Some("1".to_owned()), Some("x".to_owned())]]);
    assert_eq!(seen.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["id", "v"]);
    assert_eq!((seen.set_aside[0].row, seen.set_aside[0].text.as_str()), (Some(3), "2"));
    assert_eq!(seen.file.as_deref(), Some("a.csv"));
    assert!(seen.found.contains(&("format".into(), "csv".into())), "{seen:?}");
    let tested = house.ingest.test(&spec).await.unwrap();
    assert_eq!((tested.offers.len(), tested.streams[0].columns.len()), (1, 2));
    assert!(house.warehouse.snapshot(&SourceSpec::table("s", "o")).await.unwrap().is_none());
    assert!(house.ingest.preview("s", &spec, "nope", 1).await.is_err());
    let none = spec_of_nothing();
    assert!(house.ingest.test(&none).await.is_err());
}

fn spec_of_nothing() -> SourceSpec {
    spec(json!({"kind": {"sqlite": {"path": "missing.db"}}, "streams": {"o": {"table": "t"}}}))
}
