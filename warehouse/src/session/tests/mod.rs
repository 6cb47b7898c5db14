mod hostile;
mod right;
mod words;

use std::time::Duration;

use access::{Principal, Role};
use futures::StreamExt;

use super::running::PEOPLE;
use crate::tests::{House, lines_of, name, orders, person, settings, table_lines};
use crate::{Answer, Error, Landing, Settings};

/// Different people: each has only a few turns.
fn people(n: usize) -> impl Iterator<Item = Principal> {
    (0..n).map(|n| Principal { user: format!("person-{n}"), ..person(Role::Admin) })
}

async fn house() -> House {
    house_with(settings()).await
}

async fn house_with(settings: Settings) -> House {
    let house = House::on(store::Objects::memory().store(), settings).await;
    for table in ["raw.oa_orders", "clean.orders", "mart.orders", "mart.order_lines"] {
        house.land(table, vec![orders(&[(1, 10), (2, 20), (3, 30)])], Landing::Append, 1).await.unwrap();
    }
    house
}

async fn ask(house: &House, who: &Principal, sql: &str) -> crate::Result<Vec<String>> {
    let answer = house.warehouse.session(who).sql(sql).await?;
    Ok(table_lines(&answer.collect(1000).await?.0))
}

#[tokio::test]
async fn a_query_tells_what_it_stands_on() {
    let house = house().await;
    let sql = "select sum(o.amount) from mart.orders o join order_lines l on l.id = o.id";
    let answer = house.warehouse.session(&person(Role::Analyst)).sql(sql).await.unwrap();
    assert_eq!(answer.tables, [(name("mart.order_lines"), 0), (name("mart.orders"), 0)]);
    let oldest = house.warehouse.snapshot(&name("mart.orders")).await.unwrap().unwrap().committed_at;
    assert_eq!(answer.as_of, Some(oldest));
    assert_eq!(table_lines(&answer.collect(10).await.unwrap().0), ["60"]);
}

#[tokio::test]
async fn collecting_stops_at_the_limit_and_says_so() {
    let house = house().await;
    let admin = house.warehouse.session(&person(Role::Admin));
    let (batches, more) =
        admin.sql("select * from generate_series(1, 100000)").await.unwrap().collect(10).await.unwrap();
    assert_eq!((batches.iter().map(|b| b.num_rows()).sum::<usize>(), more), (10, true));
    let (batches, more) = admin.sql("select id from mart.orders").await.unwrap().collect(3).await.unwrap();
    assert_eq!((batches.iter().map(|b| b.num_rows()).sum::<usize>(), more), (3, false));
}

#[tokio::test]
async fn collecting_stops_at_32_mib_however_few_rows_that_are() {
    let house = house().await;
    let admin = house.warehouse.session(&person(Role::Admin));
    let sql = "select repeat('x', 1000) as x from generate_series(1, 200000)";
    let (batches, more) = admin.sql(sql).await.unwrap().collect(200_000).await.unwrap();
    let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
    assert!(more && (30_000..33_600).contains(&rows), "{rows}");
    // The groups of an aggregation come as slices of one batch, which must not count once for each.
    let sql = "select value, count(*) as n from generate_series(1, 400000) group by value";
    let (batches, more) = admin.sql(sql).await.unwrap().collect(500_000).await.unwrap();
    assert_eq!((batches.iter().map(|b| b.num_rows()).sum::<usize>(), more), (400_000, false));
}

#[tokio::test]
async fn readers_who_stop_reading_lose_their_turn_and_see_that_rows_are_missing() {
    let house = house().await;
    let admin = house.warehouse.session(&person(Role::Admin));
    let sql = "select * from generate_series(1, 1000000)";
    let mut stalled = vec![];
    for who in people(PEOPLE) {
        let answer = house.warehouse.session(&who).sql(sql).await.unwrap();
        stalled.push(answer.detached(Duration::from_millis(200)));
    }
    let who = person(Role::Admin);
    let next = ask(&house, &who, "select count(*) from mart.orders");
    let next = tokio::time::timeout(Duration::from_secs(10), next).await.expect("a turn").unwrap();
    assert_eq!(next, ["3"]);
    let mut rows = stalled.swap_remove(0);
    let mut seen = 0;
    let error = loop {
        match rows.next().await.expect("broken off, not ended") {
            Ok(batch) => seen += batch.num_rows(),
            Err(error) => break error,
        }
    };
    assert!(seen < 1_000_000 && matches!(error, Error::Exhausted { .. }), "{seen}: {error}");
    assert!(rows.next().await.is_none());
    let whole = admin.sql(sql).await.unwrap().detached(Duration::from_secs(10));
    let seen: usize = whole.map(|batch| batch.unwrap().num_rows()).fold(0, |a, b| async move { a + b }).await;
    assert_eq!(seen, 1_000_000);
}

#[tokio::test]
async fn people_leave_turns_to_the_house() {
    let house = house().await;
    let admin = house.warehouse.session(&person(Role::Admin));
    let mut running = vec![];
    for who in people(PEOPLE) {
        running.push(
            house.warehouse.session(&who).sql("select * from generate_series(1, 1000000)").await.unwrap(),
        );
    }
    let page = admin.clone().for_page();
    let page = page.sql("select count(*) from mart.orders");
    tokio::time::timeout(Duration::from_secs(10), page)
        .await
        .expect("pages have turns of their own")
        .unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(200), admin.sql("select 1")).await;
    assert!(waits.is_err(), "people have no turn left");
    let system = Principal::system();
    let rule = ask(&house, &system, "select count(*) from mart.orders");
    let rule = tokio::time::timeout(Duration::from_secs(10), rule).await.expect("a turn of its own").unwrap();
    assert_eq!(rule, ["3"]);
    running.pop();
    assert_eq!(ask(&house, &person(Role::Admin), "select 1").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_system_table_gives_the_columns_and_rows_that_are_asked_for() {
    let house = house().await;
    for n in 0..3 {
        ask(&house, &person(Role::Analyst), &format!("select {n}")).await.unwrap();
        house.clock.advance(Duration::from_secs(1));
    }
    // What the house looks at leaves no row of its own.
    let system = Principal::system();
    let newest = "select outcome, statement from system.queries limit 1";
    for _ in 0..50 {
        if ask(&house, &system, "select count(*) from system.queries").await.unwrap() == ["3"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let statements = "select statement from system.queries where user_name = 'a_analyst' order by 1";
    assert_eq!(ask(&house, &system, statements).await.unwrap(), ["select 0", "select 1", "select 2"]);
    house.clock.advance(Duration::from_secs(1));
    ask(&house, &person(Role::Analyst), "select 'newest'").await.unwrap();
    let newest = async || ask(&house, &system, newest).await.unwrap();
    for _ in 0..50 {
        if newest().await[0].contains("newest") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", newest().await);
}

#[tokio::test]
async fn roles_see_their_zones_and_nothing_else() {
    let house = house().await;
    let (analyst, executive, ops) = (person(Role::Analyst), person(Role::Executive), person(Role::Ops));
    for table in ["raw.oa_orders", "clean.orders", "mart.orders"] {
        assert!(ask(&house, &analyst, &format!("select count(*) from {table}")).await.is_ok(), "{table}");
    }
    for sql in [
        "select * from system.queries",
        "select 1 where exists (select 1 from system.queries)",
        "with q as (select * from system.queries) select * from q",
        "select * from guanlan.system.queries",
        "select 1 union all select row_count from system.queries",
        "describe system.queries",
        "select * from information_schema.df_settings",
        "select * from information_schema.\"DF_SETTINGS\"",
    ] {
        let error = ask(&house, &analyst, sql).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{sql}: {error}");
    }
    let listed =
        ask(&house, &analyst, "select table_schema, table_name from information_schema.tables order by 1, 2")
            .await
            .unwrap();
    assert!(
        listed.iter().any(|l| l == "mart,orders") && !listed.iter().any(|l| l.starts_with("system")),
        "{listed:?}"
    );
    assert!(matches!(ask(&house, &executive, "select 1").await.unwrap_err(), Error::Refused { .. }));
    assert!(matches!(ask(&house, &ops, "select 1").await.unwrap_err(), Error::Refused { .. }));
    let catalogue = house.warehouse.session(&analyst).catalogue().await.unwrap();
    assert!(catalogue.iter().all(|t| t.name.zone != crate::Zone::System));
    assert!(house.warehouse.session(&executive).catalogue().await.is_err());
}

#[tokio::test]
async fn an_unknown_table_comes_with_a_suggestion() {
    let house = house().await;
    let analyst = person(Role::Analyst);
    for (sql, suggestion) in [
        ("select * from mart.order", "mart.orders"),
        ("select * from mart.oa_orders", "raw.oa_orders"),
        ("select * from marts.orders", "mart"),
    ] {
        let error = ask(&house, &analyst, sql).await.unwrap_err();
        assert!(
            matches!(&error, Error::NotFound { .. }) && error.to_string().contains(suggestion),
            "{sql}: {error}"
        );
    }
    let error = ask(&house, &analyst, "select amonut from mart.orders").await.unwrap_err();
    assert!(matches!(&error, Error::Sql { .. }) && error.to_string().contains("amount"), "{error}");
}

#[tokio::test]
async fn only_reading_passes_and_no_file_is_reached() {
    let house = house().await;
    let admin = person(Role::Admin);
    for sql in [
        "drop table mart.orders",
        "delete from mart.orders",
        "insert into mart.orders values (1, 1, 'x')",
        "copy mart.orders to '/tmp/guanlan-stolen.csv'",
        "set datafusion.execution.batch_size = 1",
        "select 1; select 2",
        "create external table x stored as csv location '/etc/passwd'",
        "create view v as select 1",
        "select * from '/etc/passwd'",
        "select * from \"/etc/passwd\"",
        "select * from 'file:///etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_parquet('x')",
        "select * from parquet_metadata('x')",
    ] {
        let error = ask(&house, &admin, sql).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { .. } | Error::NotFound { .. } | Error::Sql { .. }),
            "{sql}: {error}"
        );
    }
    assert!(!std::path::Path::new("/tmp/guanlan-stolen.csv").exists());
    assert_eq!(ask(&house, &admin, "select count(*) from mart.orders").await.unwrap(), ["3"]);
    for sql in [
        "explain select * from mart.orders",
        "describe mart.orders",
        "show tables",
        "show columns from mart.orders",
    ] {
        assert!(!ask(&house, &admin, sql).await.unwrap().is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn time_in_sql_is_the_clocks() {
    let house = house().await;
    let now = store::Clock::now(house.clock.as_ref()).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    for sql in ["select now()", "select current_timestamp", "select current_timestamp()"] {
        assert_eq!(house.lines(sql).await, std::slice::from_ref(&now), "{sql}");
    }
    house.clock.set("2026-03-02T16:30:00Z".parse().unwrap());
    for sql in ["select current_date", "select current_date()", "select today()", "select curdate()"] {
        assert_eq!(house.lines(sql).await, ["2026-03-03"], "{sql}");
    }
    assert!(lines_of(&house.warehouse, "select current_time").await.is_err());
    assert_eq!(house.lines("select now() - interval '1 day' < now()").await, ["true"]);
}

#[tokio::test]
async fn the_calendar_is_in_sql() {
    let house = house().await;
    let sql = "select local_date(t), local_hour(t) from (values (timestamp '2026-03-02T16:30:00Z'), (null), (timestamp '2026-03-02T01:00:00Z')) v(t)";
    assert_eq!(house.lines(sql).await, ["2026-03-03,0", ",", "2026-03-02,9"]);
    assert_eq!(
        house
            .lines("select is_workday(date '2026-02-14'), is_workday(date '2026-02-17'), is_workday(null)")
            .await,
        ["true,false,"]
    );
    assert_eq!(
        house
            .lines("select working_hours(timestamp '2026-03-02T01:00:00Z', timestamp '2026-03-02T05:30:00Z')")
            .await,
        ["3.5"]
    );
    assert!(lines_of(&house.warehouse, "select local_date()").await.is_err());
}

/// Takes minutes when nothing stops it.
const LONG: &str = "select count(*) from generate_series(1, 3000000) a join generate_series(1, 3000000) b on a.value % 7 = b.value % 7";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_is_stopped() {
    let house = house_with(Settings { timeout: Duration::from_millis(300), ..settings() }).await;
    let started = std::time::Instant::now();
    let error = ask(&house, &person(Role::Admin), LONG).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_can_be_cancelled_by_its_owner_only() {
    let house = house().await;
    let owner = person(Role::Analyst);
    let answer: Answer = house.warehouse.session(&owner).sql(LONG).await.unwrap();
    let id = answer.id.clone();
    let running = tokio::spawn(answer.collect(10));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stranger = Principal { user: "someone".into(), ..owner.clone() };
    assert!(!house.warehouse.cancel(&id, &stranger));
    assert!(house.warehouse.cancel(&id, &owner));
    let error = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(!house.warehouse.cancel(&id, &owner), "it is not running any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_is_a_clean_error_and_the_next_query_runs() {
    let house = house_with(Settings { memory_mib: 16, ..settings() }).await;
    let sql = "select count(*) from (select a.value x, array_agg(repeat('x', 1000)) y from generate_series(1, 2000000) a group by a.value) t where cardinality(y) > 5";
    let error = ask(&house, &person(Role::Admin), sql).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted { .. }), "{error}");
    assert_eq!(ask(&house, &person(Role::Admin), "select count(*) from mart.orders").await.unwrap(), ["3"]);
}

#[tokio::test]
async fn every_query_leaves_a_row() {
    let house = house().await;
    let (analyst, admin) = (person(Role::Analyst), person(Role::Admin));
    ask(&house, &analyst, "select id from mart.orders").await.unwrap();
    ask(&house, &analyst, "select nothing from mart.orders").await.unwrap_err();
    let mut answer =
        house.warehouse.session(&analyst).sql("select * from generate_series(1, 1000000)").await.unwrap();
    answer.stream.next().await;
    drop(answer);
    ask(&house, &Principal::system(), "select id from mart.orders").await.unwrap();
    let sql = "select outcome, row_count, tables from system.queries where user_name = 'a_analyst' order by started_at, id";
    for _ in 0..50 {
        if ask(&house, &admin, sql).await.unwrap().len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut rows = ask(&house, &admin, sql).await.unwrap();
    rows.sort();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[0], "done,3,mart.orders@0");
    assert!(rows[1].starts_with("failed,0,") && rows[2].starts_with("left,"), "{rows:?}");
    let history = house.warehouse.history(&analyst, 10).await.unwrap();
    assert_eq!(history.len(), 3);
    // What a page asks in the reader's name is recorded, but it is not what the reader wrote.
    let page = house.warehouse.session(&analyst).for_page();
    page.sql("select 'a page'").await.unwrap().collect(10).await.unwrap();
    let sql = "select count(*) from system.queries where origin = 'page'";
    for _ in 0..50 {
        if ask(&house, &admin, sql).await.unwrap() == ["1"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&house, &admin, sql).await.unwrap(), ["1"]);
    assert_eq!(house.warehouse.history(&analyst, 10).await.unwrap().len(), 3);
    assert_eq!(
        ask(&house, &admin, "select count(*) from system.queries where user_name = '(system)'")
            .await
            .unwrap(),
        ["0"]
    );
}

#[tokio::test]
async fn planning_alone_tells_the_columns() {
    let house = house().await;
    let session = house.warehouse.session(&person(Role::Analyst));
    let schema = session.check("select id, amount * 2 as twice from mart.orders").await.unwrap();
    assert_eq!(schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["id", "twice"]);
    let error = session.check("select id\nfrom mart.orders\nwhere (").await.unwrap_err();
    assert!(matches!(error, Error::Sql { .. }), "{error}");
}
