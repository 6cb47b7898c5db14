use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::support::{House, clock, postgres, spec};
use crate::contract::resumes_anywhere;
use crate::sources::postgres::Postgres;
use crate::spec::SourceSpec;

fn source(stream: serde_json::Value) -> SourceSpec {
    spec(json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"t": stream}}))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_lands_every_type_resumes_anywhere_and_explains_refusals() {
    let Some(server) = postgres() else { return };
    let house = House::new().await;
    let url = format!("postgres://postgres:se%25cret@127.0.0.1:{}/postgres", server.port);
    house.folder.write("pg.url", format!("{url}\n"));
    let mut db = PgConnection::connect(&url).await.unwrap();
    types(&house, &mut db).await;
    ties(&house, &mut db, &url).await;
    changes(&house, &mut db).await;
    dropped_at_the_edge(&house, &mut db).await;
    cursors_of_cast_columns(&house, &mut db).await;
    refusals(&house, server.port, &mut db).await;
}

async fn types(house: &House, db: &mut PgConnection) {
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, small smallint, big bigint, r real, d double precision, ok boolean, name text, v varchar(9), c char(4),
           u uuid, j json, jb jsonb, day date, at timestamp, atz timestamptz, n numeric(18,2), free numeric, raw bytea, tags int[], ip inet, span interval);
         INSERT INTO t VALUES (1, -2, 9007199254740993, 1.5, 2.25, true, '观澜', 'v', 'ab', '00112233-4455-6677-8899-aabbccddeeff', '{\"a\": 1}', '{\"b\": [2]}',
           '1999-12-31', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05+08', -1234567.89, 0.00012345678901234567890, '\\xdeadbeef', '{1,2}', '10.0.0.1', '1 day');
         INSERT INTO t (id, day, at, n) VALUES (2, 'infinity', '-infinity', 'NaN'), (3, NULL, NULL, 0.05)",
    )
    .await
    .unwrap();
    let report = house.sync_one(&source(json!({"table": "t"}))).await;
    assert!(report.error.is_none(), "{report:?}");
    assert!(report.warnings.iter().any(|w| w.contains("3 dates")), "{:?}", report.warnings);
    let row = house.sql("select small, big, r, d, ok, name, v, c, u, j, jb, day, n, free, tags, ip, span, encode(raw, 'hex') from raw.s_t where id = 1").await;
    let expected = [
        "-2",
        "9007199254740993",
        "1.5",
        "2.25",
        "true",
        "观澜",
        "v",
        "ab  ",
        "00112233-4455-6677-8899-aabbccddeeff",
        "{\"a\": 1}",
        "{\"b\": [2]}",
        "1999-12-31",
        "-1234567.89",
        "0.00012345678901234567890",
        "{1,2}",
        "10.0.0.1/32",
        "1 day",
        "deadbeef",
    ];
    assert_eq!(row[0], expected);
    let times = house
        .sql("select cast(at as text), cast(atz as text), n from raw.s_t where id in (1, 3) order by id")
        .await;
    assert!(times[0][0].starts_with("2026-01-02T03:04:05.678901"), "{times:?}");
    assert!(times[0][1].starts_with("2026-01-01T19:04:05"), "{times:?}");
    assert_eq!(times[1], ["∅", "∅", "0.05"]);
    assert_eq!(house.sql("select day, n from raw.s_t where id = 2").await, [["∅", "∅"]]);
    let query = spec(
        json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"q": {"query": "select id, n * 2 as twice from t where id <> 2 order by id;"}}}),
    );
    assert!(house.sync(&query).await.ok());
    assert_eq!(
        house.sql("select id, twice from raw.s_q order by id").await,
        [["1", "-2469135.78"], ["3", "0.10"]]
    );
}

async fn ties(house: &House, db: &mut PgConnection, url: &str) {
    db.execute("CREATE TABLE many AS SELECT i AS id, timestamp '2026-01-01' + make_interval(secs => i / 1000) AS at FROM generate_series(1, 450000) i").await.unwrap();
    let spec = spec(
        json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"many": {"table": "many", "mode": {"incremental": {"cursor": "at"}}}}}),
    );
    let source = Postgres::new(url, clock()).unwrap();
    let cursors = resumes_anywhere(&source, &spec.streams["many"], 450_000).await;
    assert!(cursors.len() >= 2);
    assert_eq!(house.sync_one(&spec).await.rows, 450_000);
    db.execute("INSERT INTO many SELECT 1000000 + i, max(at) FROM many, generate_series(1, 3) i GROUP BY i")
        .await
        .unwrap();
    assert_eq!(house.sync_one(&spec).await.rows, 3, "rows with the newest value that came later");
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    assert_eq!(house.one("select count(distinct id) from raw.s_many").await, "450003");
    // now() is one value for a whole transaction: the crowd lands once.
    db.execute("CREATE TABLE crowd AS SELECT i AS id, now() AS at FROM generate_series(1, 300000) i")
        .await
        .unwrap();
    resumes_anywhere(
        &source,
        &serde_json::from_value(json!({"table": "crowd", "mode": {"incremental": {"cursor": "at"}}}))
            .unwrap(),
        300_000,
    )
    .await;
}

async fn changes(house: &House, db: &mut PgConnection) {
    let full =
        spec(json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"pay": {"table": "pay"}}}));
    db.execute("CREATE SCHEMA hr; CREATE TABLE hr.\"Staff\" (id int, grade int, at int); INSERT INTO hr.\"Staff\" VALUES (1, 1, 1)").await.unwrap();
    let spec = spec(
        json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"staff": {"table": "hr.Staff", "mode": {"incremental": {"cursor": "at"}}}}}),
    );
    assert_eq!(house.sync_one(&spec).await.rows, 1);
    // Widened, added, dropped.
    db.execute("ALTER TABLE hr.\"Staff\" ALTER id TYPE bigint, ADD city text, DROP grade; INSERT INTO hr.\"Staff\" VALUES (5000000000, 2, '上海')").await.unwrap();
    let report = house.sync_one(&spec).await;
    assert!(report.error.is_none() && report.warnings.iter().any(|w| w.contains("`grade`")), "{report:?}");
    assert_eq!(
        house.sql("select id, grade, city from raw.s_staff order by id").await,
        [["1", "1", "∅"], ["5000000000", "∅", "上海"]]
    );
    db.execute("CREATE TABLE pay (id int, sum numeric(10,2)); INSERT INTO pay VALUES (1, 5)").await.unwrap();
    assert!(house.sync(&full).await.ok());
    for (change, sums) in [
        (
            "ALTER TABLE pay ALTER sum TYPE numeric(14,2); INSERT INTO pay VALUES (2, 123456789012.34)",
            ["5.00", "123456789012.34"],
        ),
        ("ALTER TABLE pay ALTER sum TYPE text", ["5.00", "123456789012.34"]),
    ] {
        db.execute(change).await.unwrap();
        let report = house.sync_one(&full).await;
        assert!(report.error.is_none(), "{change}: {report:?}");
        assert_eq!(house.sql("select sum from raw.s_pay order by id").await.concat(), sums);
    }
    db.execute("ALTER TABLE hr.\"Staff\" DROP at").await.unwrap();
    let error = house.sync_one(&spec).await.error.unwrap().to_string();
    assert!(error.contains("cursor column `at`") && error.contains("hr.Staff"), "{error}");
}

/// The rows that stood at the edge move on in the same moment as a column goes: they are new all the same.
async fn dropped_at_the_edge(house: &House, db: &mut PgConnection) {
    db.execute(
        "CREATE TABLE gone (id int PRIMARY KEY, x text, z text, at timestamp);
         INSERT INTO gone SELECT n, 'x', 'open', timestamp '2026-01-01' + n * interval '1 hour' FROM generate_series(1, 10) n",
    )
    .await
    .unwrap();
    let stream = spec(json!({"kind": {"postgres": {"url": "file:pg.url"}},
        "streams": {"gone": {"table": "gone", "mode": {"incremental": {"cursor": "at"}}}}}));
    assert_eq!(house.sync_one(&stream).await.rows, 10);
    db.execute("ALTER TABLE gone DROP COLUMN x; UPDATE gone SET z = 'paid', at = '2026-02-01' WHERE id IN (3, 4, 10)")
        .await
        .unwrap();
    let report = house.sync_one(&stream).await;
    assert_eq!((report.rows, report.error.is_none()), (3, true), "{report:?}");
    // What still stands at the edge is left out, what joins it lands.
    db.execute("ALTER TABLE gone ADD COLUMN y text; INSERT INTO gone VALUES (11, 'late', '2026-02-01')")
        .await
        .unwrap();
    assert_eq!(house.sync_one(&stream).await.rows, 1);
    let landed = house.sql("select id from raw.s_gone where z = 'paid' order by id").await;
    assert_eq!(landed, [["3"], ["4"], ["10"]]);
    // As many rows stand at the edge as landed there, but one is another: it is not taken for the one that left.
    db.execute(
        "ALTER TABLE gone DROP COLUMN y; UPDATE gone SET z = 'sent', at = '2026-03-01' WHERE id = 10;
         INSERT INTO gone VALUES (12, 'late', '2026-02-01')",
    )
    .await
    .unwrap();
    for rows in [2, 0] {
        let report = house.sync_one(&stream).await;
        assert_eq!((report.rows, report.error.is_none()), (rows, true), "{report:?}");
    }
    assert_eq!(house.count("raw.s_gone").await, 16);
    assert_eq!(house.sql("select id from raw.s_gone where z = 'sent'").await, [["10"]]);
}

/// A numeric without digits travels as text, and must not be ordered as text.
async fn cursors_of_cast_columns(house: &House, db: &mut PgConnection) {
    db.execute("CREATE TABLE numbered (id numeric); INSERT INTO numbered VALUES (998), (1000), (999)")
        .await
        .unwrap();
    let spec = |name: &str, cursor: &str| {
        spec(
            json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {name: {"table": name, "mode": {"incremental": {"cursor": cursor}}}}}),
        )
    };
    let numbered = spec("numbered", "id");
    assert_eq!(house.sync_one(&numbered).await.rows, 3);
    assert_eq!(house.sync_one(&numbered).await.rows, 0);
    db.execute("INSERT INTO numbered VALUES (1001), (10000)").await.unwrap();
    assert_eq!(house.sync_one(&numbered).await.rows, 2);
    assert_eq!(house.sync_one(&numbered).await.rows, 0);
    assert_eq!(house.count("raw.s_numbered").await, 5);
    db.execute("CREATE TABLE endless (id int, at timestamptz, r float8); INSERT INTO endless VALUES (1, '2026-01-01', 'NaN'), (2, 'infinity', 1)").await.unwrap();
    for cursor in ["at", "r"] {
        let error = house.sync_one(&spec("endless", cursor)).await.error.unwrap().to_string();
        assert!(error.contains(&format!("cursor column `{cursor}` holds infinity")), "{error}");
    }
}

async fn refusals(house: &House, port: u16, db: &mut PgConnection) {
    db.execute("CREATE USER poor PASSWORD 'x'").await.unwrap();
    let cases = [
        (format!("postgres://postgres:wr0ng@127.0.0.1:{port}/postgres"), "t", "wrong password"),
        (format!("postgres://postgres:se%25cret@127.0.0.1:{port}/nowhere"), "t", "no database `nowhere`"),
        ("postgres://postgres:wr0ng@127.0.0.1:1/postgres".to_owned(), "t", "cannot be reached"),
        (
            format!("postgres://postgres:se%25cret@127.0.0.1:{port}/postgres"),
            "missing",
            "`missing` does not exist",
        ),
        (format!("postgres://poor:x@127.0.0.1:{port}/postgres"), "t", "grant SELECT"),
        ("postgres://wr0ng@@@".to_owned(), "t", "does not parse"),
    ];
    for (url, table, expected) in cases {
        house.folder.write("pg.url", &url);
        let spec =
            spec(json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"x": {"table": table}}}));
        let error =
            house.sync_one(&spec).await.error.unwrap_or_else(|| panic!("{expected}: no error")).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(
            !error.contains("wr0ng") && !error.contains("se%25cret") && !error.contains("se%cret"),
            "{error}"
        );
    }
}
