//! Another definition reads again what it decides, and so does whoever asks.

use serde_json::{Value, json};

use super::sqlite::{run, writer};
use super::support::{House, spec};
use crate::spec::SourceSpec;
use crate::sync::{Quiet, StreamReport};

fn files(stream: Value) -> SourceSpec {
    spec(json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": stream}}))
}

fn csv(options: Value) -> SourceSpec {
    files(json!({"glob": "*.csv", "format": {"csv": options}}))
}

async fn reset(house: &House, spec: &SourceSpec) -> StreamReport {
    house.ingest.ask_reset("s", spec, "o").await.unwrap();
    house.sync_one(spec).await
}

/// The columns of `raw.s_o` that came from the source.
async fn columns(house: &House) -> Vec<String> {
    let table = SourceSpec::table("s", "o");
    let snapshot = house.warehouse.snapshot(&table).await.unwrap().unwrap();
    let names = snapshot.schema.fields().iter().map(|f| f.name().clone());
    names.filter(|n| !n.starts_with('_')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_encoding_is_read_again_once() {
    let house = House::new().await;
    let (text, _, _) = encoding_rs::BIG5.encode("編號,部門\n1,財務部\n2,人事部\n");
    house.folder.write("drops/big5.csv", &text);
    let wrong = csv(json!({"encoding": "gb18030"}));
    house.sync_one(&wrong).await;
    let right = csv(json!({"encoding": "big5"}));
    let pending = house.ingest.pending("s", &right).await.unwrap();
    assert_eq!(pending, [("o".to_owned(), "`encoding` changed".to_owned())]);
    let report = house.sync_one(&right).await;
    assert_eq!((report.read, report.rows, report.error.is_none()), (2, 2, true), "{report:?}");
    assert!(report.warnings.iter().any(|w| w.contains("`encoding` changed")), "{report:?}");
    assert_eq!(
        house.sql("select \"編號\", \"部門\" from raw.s_o order by 1").await,
        [["1", "財務部"], ["2", "人事部"]]
    );
    assert_eq!(columns(&house).await, ["編號", "部門"], "columns of the wrong reading go");
    assert!(house.ingest.pending("s", &right).await.unwrap().is_empty());
    let again = house.sync_one(&right).await;
    assert_eq!((again.read, again.version), (0, None), "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_a_file_that_decides_rows_reads_again() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "made by erp;;\nid;v;w\n1;2;3\n");
    let ways = [
        json!({"delimiter": ";", "header": false}),
        json!({"delimiter": ";", "skip": 1}),
        json!({"delimiter": ";", "skip": 1, "header": false}),
        json!({"delimiter": ";", "skip": 1}),
    ];
    for (n, options) in ways.into_iter().enumerate() {
        let report = house.sync_one(&csv(options.clone())).await;
        let said = report.warnings.iter().any(|w| w.contains("everything is read again"));
        assert!(report.read > 0 && report.error.is_none() && said == (n > 0), "{options}: {report:?}");
    }
    assert_eq!(house.sql("select id, v, w from raw.s_o").await, [["1", "2", "3"]]);
    assert_eq!(columns(&house).await, ["id", "v", "w"]);
    // Another glob is another set of files: those that are no longer meant go.
    house.folder.write("drops/b.txt", "id;v;w\n7;8;9\n");
    let other = files(json!({"glob": "*.txt", "format": {"csv": {"delimiter": ";"}}}));
    house.sync_one(&other).await;
    assert_eq!(house.sql("select id from raw.s_o").await, [["7"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_or_a_schedule_reads_nothing_again() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id\n1\n");
    house.sync_one(&csv(json!({}))).await;
    let same = spec(json!({"title": "New", "every": "5m", "kind": {"files": {"path": "drops"}}, "streams": {
        "o": {"glob": "*.csv", "format": {"csv": {"encoding": "auto", "delimiter": "auto"}}, "clean": "o",
            "accept": {"set_aside": "2%"}}}}));
    assert!(house.ingest.pending("s", &same).await.unwrap().is_empty());
    assert_eq!(house.sync_one(&same).await.read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_files_that_are_gone_outlive_another_definition_but_not_a_reset() {
    let house = House::new().await;
    house.folder.write("drops/a.csv", "id,v\n1,x\n");
    house.folder.write("drops/b.csv", "id,v\n2,y\n");
    house.sync_one(&csv(json!({}))).await;
    std::fs::remove_file(house.folder.0.join("drops/a.csv")).unwrap();
    let other = csv(json!({"delimiter": ","}));
    let report = house.sync_one(&other).await;
    assert_eq!(report.read, 1, "{report:?}");
    assert!(report.warnings.iter().any(|w| w.contains("files that are gone")), "{report:?}");
    assert_eq!(house.count("raw.s_o").await, 2);
    let report = reset(&house, &other).await;
    assert_eq!((report.read, report.error.is_none()), (1, true), "{report:?}");
    assert_eq!(house.sql("select id from raw.s_o").await, [["2"]]);
    assert_eq!(house.sync_one(&other).await.read, 0, "a reset happens once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_keeps_what_is_there_until_it_can_be_read_again() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, gone TEXT, at INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1,'a',1),(2,'b',2)").await;
    let spec = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {"o": {"table": "t",
        "mode": {"incremental": {"cursor": "at"}}}}}));
    house.sync_one(&spec).await;
    run(&db, "DELETE FROM t WHERE id = 1").await;
    run(&db, "ALTER TABLE t DROP COLUMN gone").await;
    run(&db, "ALTER TABLE t RENAME TO hidden").await;
    let report = reset(&house, &spec).await;
    assert!(report.error.is_some() && house.count("raw.s_o").await == 2, "{report:?}");
    run(&db, "ALTER TABLE hidden RENAME TO t").await;
    let report = house.sync_one(&spec).await;
    assert_eq!((report.read, report.error.is_none()), (1, true), "still asked for: {report:?}");
    assert_eq!(columns(&house).await, ["id", "at"]);
    assert_eq!(house.sync_one(&spec).await.read, 0);
    assert!(house.ingest.ask_reset("s", &spec, "nope").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_query_or_key_replaces_the_rows_of_every_mode() {
    for mode in
        [json!({"full": {}}), json!({"incremental": {"cursor": "at"}}), json!({"upsert": {"key": ["id"]}})]
    {
        let house = House::new().await;
        let db = writer(&house).await;
        run(&db, "CREATE TABLE t (id INTEGER, region TEXT, at INTEGER)").await;
        run(&db, "INSERT INTO t VALUES (1,'n',1),(1,'s',2),(2,'s',3)").await;
        let reading = |query: &str, mode: &Value| {
            spec(
                json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {"o": {"query": query, "mode": mode}}}),
            )
        };
        house.sync_one(&reading("select * from t", &mode)).await;
        let report = house.sync_one(&reading("select * from t where region = 's'", &mode)).await;
        assert!(report.warnings.iter().any(|w| w.contains("`query` changed")), "{report:?}");
        assert_eq!(
            house.sql("select id, region from raw.s_o order by 1").await,
            [["1", "s"], ["2", "s"]],
            "{mode}"
        );
        // Keyed by both columns afterwards: no row of the one key is left over, and none is doubled.
        let both = json!({"upsert": {"key": ["id", "region"]}});
        house.sync_one(&reading("select * from t", &both)).await;
        assert_eq!(house.count("raw.s_o").await, 3, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_changed_at_the_source_lands_after_a_reset() {
    let house = House::new().await;
    let db = writer(&house).await;
    run(&db, "CREATE TABLE t (id INTEGER, code INTEGER, at INTEGER)").await;
    run(&db, "INSERT INTO t VALUES (1, 10, 1)").await;
    let spec = spec(json!({"kind": {"sqlite": {"path": "oa.db"}}, "streams": {"o": {"table": "t",
        "mode": {"incremental": {"cursor": "at"}}}}}));
    house.sync_one(&spec).await;
    run(&db, "CREATE TABLE n (id INTEGER, code TEXT, at INTEGER)").await;
    run(&db, "INSERT INTO n VALUES (1, '10', 1), (2, 'A2', 2)").await;
    run(&db, "DROP TABLE t").await;
    run(&db, "ALTER TABLE n RENAME TO t").await;
    let report = house.sync_one(&spec).await;
    let error = report.error.expect("another type").to_string();
    assert!(error.contains("--reset s.o"), "the way out is named: {error}");
    assert_eq!((report.read, report.rows, report.refused), (1, 0, 1), "{error}");
    let report = reset(&house, &spec).await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(house.sql("select code from raw.s_o order by 1").await, [["10"], ["A2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_reads_the_files_of_the_quarantine_again_and_no_others() {
    let house = House::new().await;
    house.folder.write("drops/good.csv", "id,v\n1,x\n");
    house.folder.write("drops/bad.csv", "id,v\n2,y\n3\n");
    let spec = csv(json!({}));
    let report = house.sync_one(&spec).await;
    assert_eq!((report.read, report.rows, report.rejected_rows), (3, 2, 1));
    let files = house.ingest.ask_retry("s", &spec, "o").await.unwrap();
    assert_eq!(files.into_iter().collect::<Vec<_>>(), ["bad.csv"]);
    let report = house.ingest.sync("s", &spec, None, &Quiet).await.unwrap().streams.remove(0);
    assert_eq!((report.read, report.rows, report.rejected_rows), (2, 1, 1), "as before: {report:?}");
    assert_eq!(house.count("raw.s_o").await, 2, "in place of itself");
    assert_eq!(house.count("raw.s_o_rejected").await, 1);
    assert_eq!(house.sync_one(&spec).await.read, 0, "once");
    assert_eq!(house.ingest.discard_rejected("s", &spec, "o").await.unwrap(), 1);
    assert_eq!(house.count("raw.s_o_rejected").await, 0);
    assert_eq!(house.sync_one(&spec).await.rejected_rows, 0);
}
