use serde_json::json;
use sqlx::{Connection, Executor, MySqlConnection};

use super::support::{House, changed, database, mariadb, parts, spec};
use crate::contract::resumes_anywhere;
use crate::sources::mysql::Mysql;

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_lands_every_type_resumes_anywhere_and_explains_refusals() {
    let Some(server) = mariadb() else { return };
    let house = House::new().await;
    let url = format!("mysql://guanlan:se%25cret@127.0.0.1:{}/shop", server.port);
    house.folder.write("my.url", &url);
    let mut db = MySqlConnection::connect(&url).await.unwrap();
    db.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, tiny TINYINT, flag BOOLEAN, ut TINYINT UNSIGNED, u1 TINYINT(1) UNSIGNED, ui INT UNSIGNED, ub BIGINT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(12,3), name VARCHAR(20) CHARACTER SET utf8mb4,
           txt TEXT, day DATE, at DATETIME(6), ts TIMESTAMP NULL, tm TIME, y YEAR, j JSON, e ENUM('a','b'), b BLOB, bits BIT(3))",
    )
    .await
    .unwrap();
    db.execute(
        "INSERT INTO t VALUES (1, -5, 7, 200, 201, 4000000000, 18446744073709551615, 1.5, 2.25, -123.456, '观澜😀', 'long', '1999-12-31', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05',
           '12:30:00', 2026, '{\"a\":1}', 'b', x'DEAD', b'101'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    .await
    .unwrap();
    let spec_t = spec(
        json!({"kind": {"mysql": {"url": "file:my.url"}}, "streams": {"t": {"table": "t"}, "q": {"query": "select id, n*2 as twice from t"}}}),
    );
    let report = house.sync(&spec_t).await;
    assert!(report.ok(), "{report:?}");
    let offers = house.ingest.test(&spec_t).await.unwrap().offers;
    assert!(offers.iter().any(|o| o.name.ends_with("t") && !o.detail.is_empty()), "{offers:?}");
    let row = house.sql("select tiny, flag, bits, ut, u1, ui, ub, f, d, n, name, txt, day, tm, y, j, e, encode(b, 'hex'), cast(at as text) from raw.s_t where id = 1").await.remove(0);
    assert_eq!(
        row[..18],
        [
            "-5",
            "7",
            "5",
            "200",
            "201",
            "4000000000",
            "18446744073709551615",
            "1.5",
            "2.25",
            "-123.456",
            "观澜😀",
            "long",
            "1999-12-31",
            "12:30:00",
            "2026",
            "{\"a\":1}",
            "b",
            "dead"
        ]
    );
    assert!(row[18].starts_with("2026-01-02T03:04:05.678901"), "{row:?}");
    assert_eq!(house.sql("select flag, n, ts from raw.s_t where id = 2").await, [["∅", "∅", "∅"]]);

    db.execute("CREATE TABLE many AS SELECT seq AS id, TIMESTAMP('2026-01-01') + INTERVAL seq DIV 100 SECOND AS at FROM seq_1_to_420000").await.unwrap();
    let spec_m = spec(
        json!({"kind": {"mysql": {"url": "file:my.url"}}, "streams": {"many": {"table": "many", "mode": {"incremental": {"cursor": "at"}}}}}),
    );
    let cursors = resumes_anywhere(
        &Mysql::new(&url, &database(), &parts(&house.folder)).unwrap(),
        &spec_m.streams["many"],
        420_000,
    )
    .await;
    assert!(cursors.len() >= 2);
    assert_eq!(house.sync_one(&spec_m).await.rows, 420_000);
    db.execute("INSERT INTO many SELECT 500001, MAX(at) FROM many").await.unwrap();
    assert_eq!(house.sync_one(&spec_m).await.rows, 1);
    // The digits of a decimal in a query are not known: it travels as text, and is ordered as a number.
    db.execute("CREATE TABLE numbered (n DECIMAL(12,0))").await.unwrap();
    db.execute("INSERT INTO numbered VALUES (998), (1000), (999)").await.unwrap();
    let numbered = spec(
        json!({"kind": {"mysql": {"url": "file:my.url"}}, "streams": {"n": {"query": "select n from numbered", "mode": {"incremental": {"cursor": "n"}}}}}),
    );
    let mut rows = Vec::new();
    for more in ["SELECT 1", "INSERT INTO numbered VALUES (1001), (10000)", "SELECT 1"] {
        rows.push(house.sync_one(&numbered).await.rows);
        db.execute(more).await.unwrap();
    }
    rows.push(house.sync_one(&numbered).await.rows);
    assert_eq!(rows, [3, 0, 2, 0]);
    dropped_at_the_edge(&house, &mut db).await;
    odd_values(&house, &mut db, &url).await;
    refusals(&house, server.port).await;
}

/// The row at the edge moves on and another takes its place in the same moment as a column goes.
async fn dropped_at_the_edge(house: &House, db: &mut MySqlConnection) {
    db.execute("CREATE TABLE gone (id INT PRIMARY KEY, x TEXT, z TEXT, at DATETIME)").await.unwrap();
    db.execute("INSERT INTO gone VALUES (1, 'x', 'open', '2026-01-01'), (2, 'x', 'open', '2026-01-02')")
        .await
        .unwrap();
    let stream = spec(
        json!({"kind": {"mysql": {"url": "file:my.url"}}, "streams": {"gone": {"table": "gone", "mode": {"incremental": {"cursor": "at"}}}}}),
    );
    assert_eq!(house.sync_one(&stream).await.rows, 2);
    for change in [
        "ALTER TABLE gone DROP COLUMN x",
        "UPDATE gone SET z = 'paid', at = '2026-02-01' WHERE id = 2",
        "INSERT INTO gone VALUES (3, 'late', '2026-01-02')",
    ] {
        db.execute(change).await.unwrap();
    }
    for rows in [2, 0] {
        assert_eq!(house.sync_one(&stream).await.rows, rows);
    }
    assert_eq!(house.sql("select id from raw.s_gone where z <> 'open' order by id").await, [["2"], ["3"]]);
}

/// Dates that no calendar has, and types that no column has.
async fn odd_values(house: &House, db: &mut MySqlConnection, url: &str) {
    for sql in [
        "SET sql_mode = ''",
        "CREATE TABLE zero (id INT PRIMARY KEY, hired DATE NOT NULL, left_on DATETIME, ts TIMESTAMP NULL DEFAULT '0000-00-00 00:00:00')",
        "INSERT INTO zero VALUES (1, '2026-01-02', '2026-01-02 10:00:00', '2026-01-02 10:00:00'), (2, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00'), (3, '2020-00-00', NULL, NULL), (4, '2021-05-00', NULL, NULL)",
        "CREATE TABLE shop (id INT PRIMARY KEY, name TEXT, at GEOMETRY, price FLOAT)",
        "INSERT INTO shop VALUES (1, 'a', ST_GeomFromText('POINT(116.4 39.9)'), 12.34), (2, REPEAT('x', 100), NULL, 0.7)",
    ] {
        db.execute(sql).await.unwrap();
    }
    let reader = Mysql::new(url, &database(), &parts(&house.folder)).unwrap();
    let stream = |table: &str| {
        spec(json!({"kind": {"mysql": {"url": "file:my.url"}}, "streams": {"odd": {"table": table}}}))
    };
    let mut said = changed(&reader, &stream("zero").streams["odd"]).await;
    said.sort();
    let told: Vec<_> = said.iter().map(|(c, n, _, first)| (c.as_str(), *n, first.as_str())).collect();
    assert_eq!(
        told,
        [
            ("hired", 1, "row 2, id 2: 0000-00-00"),
            ("hired", 2, "row 3, id 3: 2020-00-00"),
            ("left_on", 1, "row 2, id 2: 0000-00-00"),
            ("ts", 1, "row 2, id 2: 0000-00-00"),
        ]
    );
    assert!(said[0].2.contains("zero date") && said[0].2.contains("cast(hired as char)"), "{said:?}");
    assert!(house.sync(&stream("zero")).await.ok());
    assert_eq!(
        house.sql("select hired from raw.s_odd order by id").await.concat(),
        ["2026-01-02", "∅", "∅", "∅"]
    );

    let report = house.sync_one(&stream("shop")).await;
    assert!(
        report.error.is_none() && report.warnings.iter().any(|w| w.contains("geometry lands as text")),
        "{report:?}"
    );
    assert_eq!(
        house.sql("select name, at, price from raw.s_odd where id = 1").await,
        [["a", "POINT(116.4 39.9)", "12.34"]]
    );
    let by_price = spec(json!({"kind": {"mysql": {"url": "file:my.url"}},
        "streams": {"prices": {"query": "select id, price from shop where price < 1", "mode": {"incremental": {"cursor": "price"}}}}}));
    assert_eq!(house.sync_one(&by_price).await.rows, 1);
    db.execute("INSERT INTO shop (id, price) VALUES (3, 0.7)").await.unwrap();
    for rows in [1, 0] {
        assert_eq!(house.sync_one(&by_price).await.rows, rows);
    }
    let error = house.sync_one(&stream("Shop_")).await.error.unwrap().to_string();
    assert!(error.contains("did you mean `shop`?"), "{error}");
}

async fn refusals(house: &House, port: u16) {
    let cases = [
        (format!("mysql://guanlan:wr0ng@127.0.0.1:{port}/shop"), "t", "wrong password"),
        (format!("mysql://guanlan:se%25cret@127.0.0.1:{port}/nowhere"), "t", "no database `nowhere`"),
        ("mysql://guanlan:wr0ng@127.0.0.1:1/shop".to_owned(), "t", "cannot be reached"),
        (format!("mysql://guanlan:se%25cret@127.0.0.1:{port}/shop"), "missing", "`missing` does not exist"),
    ];
    for (url, table, expected) in cases {
        house.folder.write("my.url", &url);
        let spec =
            spec(json!({"kind": {"mysql": {"url": "file:my.url"}}, "streams": {"x": {"table": table}}}));
        let error =
            house.sync_one(&spec).await.error.unwrap_or_else(|| panic!("{expected}: no error")).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("wr0ng") && !error.contains("se%25cret"), "{error}");
    }
}
