use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::support::{House, changed, database, parts, postgres, spec};
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
    let mut db = connected(&url).await;
    types(&house, &mut db).await;
    ties(&house, &mut db, &url).await;
    changes(&house, &mut db).await;
    dropped_at_the_edge(&house, &mut db).await;
    cursors_of_cast_columns(&house, &mut db).await;
    values(&house, &mut db, &url).await;
    widened(&house, &mut db).await;
    hidden_rows(&house, &mut db, server.port).await;
    other_encodings(&house, &mut db, server.port).await;
    encrypted(&house, &mut db).await;
    refusals(&house, server.port, &mut db).await;
}

/// The first connection: a server that listens may still be starting.
async fn connected(url: &str) -> PgConnection {
    for _ in 0..300 {
        match PgConnection::connect(url).await {
            Ok(db) => return db,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    panic!("PostgreSQL does not answer at {url}");
}

/// What has no place in a cell is told by column, count and first place; infinity is not unknown.
async fn values(house: &House, db: &mut PgConnection, url: &str) {
    db.execute(
        "CREATE TABLE contracts (id int PRIMARY KEY, amount numeric(18,2), valid_to date, closed timestamptz, price real);
         INSERT INTO contracts VALUES (1, 100, 'infinity', '-infinity', 12.34), (2, 'NaN', '2026-12-31', NULL, 0.7),
           (3, 300, 'infinity', 'infinity', 1e10), (4, 1, NULL, NULL, NULL)",
    )
    .await
    .unwrap();
    let stream = source(json!({"table": "contracts"}));
    let reader = Postgres::new(url, &database(), &parts(&house.folder)).unwrap();
    let mut said = changed(&reader, &stream.streams["t"]).await;
    said.sort();
    let offers = house.ingest.test(&stream).await.unwrap().offers;
    assert!(offers.iter().any(|o| o.name.ends_with("contracts") && !o.detail.is_empty()), "{offers:?}");
    let told: Vec<_> = said.iter().map(|(c, n, _, first)| (c.as_str(), *n, first.as_str())).collect();
    assert_eq!(
        told,
        [
            ("amount", 1, "row 2, id 2: NaN"),
            ("closed", 1, "row 1, id 1: -infinity"),
            ("closed", 1, "row 3, id 3: infinity"),
            ("valid_to", 2, "row 1, id 1: infinity"),
        ]
    );
    assert!(
        said[0].2.starts_with("NULL: NaN") && said[3].2.starts_with("9999-12-31: stands for"),
        "{said:?}"
    );
    assert!(house.sync(&stream).await.ok());
    assert_eq!(
        house.sql("select amount, valid_to, price from raw.s_t order by id").await,
        [
            ["100.00", "9999-12-31", "12.34"],
            ["∅", "2026-12-31", "0.7"],
            ["300.00", "9999-12-31", "10000000000.0"],
            ["1.00", "∅", "∅"]
        ]
    );
    assert_eq!(house.one("select count(*) from raw.s_t where valid_to > date '2100-01-01'").await, "2");
    // A real as cursor: 0.7 is held as a little less.
    let by_price = spec(json!({"kind": {"postgres": {"url": "file:pg.url"}},
        "streams": {"prices": {"query": "select id, price from contracts where price < 1", "mode": {"incremental": {"cursor": "price"}}}}}));
    assert_eq!(house.sync_one(&by_price).await.rows, 1);
    db.execute("INSERT INTO contracts (id, price) VALUES (5, 0.7)").await.unwrap();
    for rows in [1, 0] {
        assert_eq!(house.sync_one(&by_price).await.rows, rows);
    }
    db.execute("CREATE TABLE reserved (id int, _file text, \"ID\" int); INSERT INTO reserved VALUES (1, 'f', 2); CREATE TABLE \"Mixed\" (id int)")
        .await
        .unwrap();
    let report = house.sync_one(&source(json!({"table": "reserved"}))).await;
    assert!(
        report.error.is_none() && report.warnings.iter().any(|w| w.contains("`_file` as `_file_2`")),
        "{report:?}"
    );
    let error = house.sync_one(&source(json!({"table": "mixed"}))).await.error.unwrap().to_string();
    assert!(error.contains("did you mean `Mixed`?"), "{error}");
    db.execute("CREATE TABLE large AS SELECT 1 AS id, repeat('x', 17000000) AS note, '{}'::jsonb AS j UNION ALL SELECT 2, 'y', '{}'")
        .await
        .unwrap();
    let large = source(json!({"table": "large"}));
    let said = changed(&reader, &large.streams["t"]).await;
    assert_eq!(
        (said.len(), said[0].0.as_str(), said[0].1, said[0].3.as_str()),
        (1, "note", 1, "row 1, id 1: too large")
    );
    assert!(house.sync(&large).await.ok());
    assert_eq!(
        house.sql("select id, note, j from raw.s_t order by id").await,
        [["1", "∅", "{}"], ["2", "y", "{}"]]
    );
}

/// A column that becomes wider lands; another change says what to do.
async fn widened(house: &House, db: &mut PgConnection) {
    db.execute("CREATE TABLE widen (id int PRIMARY KEY, code int, n numeric(10,2), at timestamp); INSERT INTO widen VALUES (1, 10, 1.25, '2026-11-01')")
        .await
        .unwrap();
    let spec = |mode: serde_json::Value| {
        spec(
            json!({"kind": {"postgres": {"url": "file:pg.url"}}, "streams": {"widen": {"table": "widen", "mode": mode}}}),
        )
    };
    let stream = spec(json!({"incremental": {"cursor": "at"}}));
    assert_eq!(house.sync_one(&stream).await.rows, 1);
    db.execute("ALTER TABLE widen ALTER code TYPE numeric(10,2), ALTER n TYPE numeric(12,4); INSERT INTO widen VALUES (2, 20.5, 0.0001, '2026-11-02')")
        .await
        .unwrap();
    let report = house.sync_one(&stream).await;
    assert!(report.error.is_none() && report.rows == 1, "{report:?}");
    assert!(report.warnings.iter().any(|w| w.contains("`code`, `n` became wider")), "{report:?}");
    assert_eq!(
        house.sql("select id, code, n from raw.s_widen order by id").await,
        [["1", "10.00", "1.2500"], ["2", "20.50", "0.0001"]]
    );
    assert_eq!(house.sync_one(&stream).await.rows, 0);
    db.execute("ALTER TABLE widen ALTER code TYPE text; INSERT INTO widen VALUES (3, 'A7', 1, '2026-11-03')")
        .await
        .unwrap();
    let error = house.sync_one(&stream).await.error.unwrap().to_string();
    for part in ["column `code` was a decimal", "is text", "cast(code as", "sync --reset"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    db.execute("ALTER TABLE widen ALTER code TYPE int USING 5").await.unwrap();
    // The row at the edge got another value too.
    assert_eq!(house.sync_one(&stream).await.rows, 2, "a narrower column fits into the wider one");
}

/// Row security hides rows: said, because the server does not.
async fn hidden_rows(house: &House, db: &mut PgConnection, port: u16) {
    db.execute(
        "CREATE TABLE secret (id int, owner text); INSERT INTO secret VALUES (1, 'reader'), (2, 'other'), (3, 'other');
         ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON secret USING (owner = current_user);
         CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT SELECT ON secret TO reader",
    )
    .await
    .unwrap();
    for stream in [json!({"table": "secret"}), json!({"query": "select id from secret"})] {
        house.folder.write("reader.url", format!("postgres://reader:x@127.0.0.1:{port}/postgres"));
        let spec =
            spec(json!({"kind": {"postgres": {"url": "file:reader.url"}}, "streams": {"secret": stream}}));
        let report = house.sync_one(&spec).await;
        assert_eq!((report.rows, report.error.is_none()), (1, true), "{report:?}");
        assert!(
            report.warnings.iter().any(|w| w.contains("row security is on") && w.contains("`reader`")),
            "{report:?}"
        );
    }
    let all = house.sync_one(&source(json!({"table": "secret"}))).await;
    assert!(all.rows == 3 && !all.warnings.iter().any(|w| w.contains("row security")), "{all:?}");
}

/// A database that does not know its own encoding.
async fn other_encodings(house: &House, db: &mut PgConnection, port: u16) {
    db.execute("CREATE DATABASE legacy ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        .await
        .unwrap();
    let url = format!("postgres://postgres:se%25cret@127.0.0.1:{port}/legacy");
    house.folder.write("legacy.url", &url);
    let mut legacy = PgConnection::connect(&url).await.unwrap();
    legacy
        .execute("SET client_encoding = 'SQL_ASCII'; CREATE TABLE dept (id int, name text, tags text[]); INSERT INTO dept VALUES (1, E'\\262\\306\\316\\361', ARRAY[E'\\262\\306'])")
        .await
        .unwrap();
    let spec = |encoding: Option<&str>| {
        spec(
            json!({"kind": {"postgres": {"url": "file:legacy.url", "encoding": encoding}}, "streams": {"dept": {"table": "dept"}}}),
        )
    };
    let error = house.sync_one(&spec(None)).await.error.unwrap().to_string();
    assert!(error.contains("encoding: gb18030"), "{error}");
    let report = house.sync_one(&spec(Some("gbk"))).await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(house.sql("select name, tags from raw.s_dept").await, [["财务", "{财}"]]);
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
    assert_eq!(house.sql("select day, n from raw.s_t where id = 2").await, [["9999-12-31", "∅"]]);
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
    let source = Postgres::new(url, &database(), &parts(&house.folder)).unwrap();
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

/// TLS with a certificate of one's own: trusted by name, taken unverified, or refused.
async fn encrypted(house: &House, db: &mut PgConnection) {
    let folder = &house.folder.0;
    house.folder.write("names", "subjectAltName=IP:127.0.0.1");
    let made = [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ]
    .iter()
    .all(|line| {
        let run = std::process::Command::new("openssl").args(line.split(' ')).current_dir(folder).output();
        run.is_ok_and(|o| o.status.success())
    });
    if !made {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    }
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut *db).await.unwrap();
    for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key")] {
        let to = std::path::Path::new(&data).join(to);
        std::fs::copy(folder.join(from), &to).unwrap();
        std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let _ = std::process::Command::new("chown").arg("postgres:").arg(&to).status();
    }
    (&mut *db).execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    (&mut *db).execute("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let sync = async |tls: serde_json::Value| {
        let spec = spec(json!({"kind": {"postgres": {"url": "file:pg.url", "tls": tls}}, "streams":
            {"tls": {"query": "select ssl from pg_stat_ssl where pid = pg_backend_pid()"}}}));
        house.sync_one(&spec).await
    };
    for tls in [json!({"ca": "ca.pem"}), json!("unverified"), json!(null)] {
        let report = sync(tls.clone()).await;
        assert!(report.error.is_none(), "{tls}: {report:?}");
        assert_eq!(house.one("select ssl from raw.s_tls").await, "true", "{tls}");
    }
    let error = sync(json!("verify")).await.error.unwrap().to_string();
    assert!(error.contains("no verified TLS connection") && error.contains("tls: {"), "{error}");
    assert!(sync(json!("off")).await.error.is_none());
    assert_eq!(house.one("select ssl from raw.s_tls").await, "false");
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
