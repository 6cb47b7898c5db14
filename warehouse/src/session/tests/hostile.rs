//! Statements that try to end the process, to keep its threads or to fill its memory. Each is answered in little time.

use std::time::{Duration, Instant};

use access::Role;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{House, ask, house, house_with};
use crate::tests::{person, settings};
use crate::{Error, Settings};

async fn refused(house: &House, sql: &str) -> Error {
    let answer = tokio::time::timeout(Duration::from_secs(20), ask(house, &person(Role::Analyst), sql)).await;
    answer.expect("an answer in time").expect_err(&sql.chars().take(80).collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_long_statements_are_refused_or_answered() {
    let house = house().await;
    let many = |one: &str, n: usize| one.repeat(n);
    for sql in [
        format!("select {}1", many("1+", 1_999)),
        format!("select 1 where 1=0{}", many(" or 1=2", 20_000)),
        format!("select {}true", many("not ", 2_000)),
        format!("select {}1{}", many("(", 1_000), many(")", 1_000)),
        format!("select 1{}", many(" union all select 1", 2_000)),
        format!("select {}1{}", many("case when true then ", 300), many(" end", 300)),
        format!("select * from {}mart.orders{}", many("(select * from ", 300), many(") t", 300)),
        format!("select {}1", many("- ", 3_000)),
        format!("select {}", many("1,", 50_000)),
    ] {
        let error = refused(&house, &sql).await;
        assert!(matches!(error, Error::Sql { .. }), "{error}");
    }
    // What is just within the bounds must be planned, run and dropped.
    let analyst = person(Role::Analyst);
    for (sql, expected) in [
        (format!("select {}1", many("1+", 450)), "451"),
        (format!("select {}id from mart.orders where id = 1", many("0+", 450)), "1"),
        (format!("select count(*) from mart.orders where id=0{}", many(" or id=1", 200)), "1"),
        (format!("select {}1{}", many("(", 60), many(")", 60)), "1"),
        (format!("select {}1{}", many("abs(", 60), many(")", 60)), "1"),
        (format!("select {}id{} from mart.orders where id = 1", many("abs(0+", 60), many(")", 60)), "1"),
        (format!("select {}'x'", many("'x' || ", 400)), &*many("x", 401)),
        (format!("select count(*) from (select 1{}) t", many(" union all select 1", 90)), "91"),
        (format!("select {}1{}", many("case when true then ", 60), many(" end", 60)), "1"),
    ] {
        let answer = ask(&house, &analyst, &sql).await;
        let head: String = sql.chars().take(60).collect();
        assert_eq!(answer.unwrap_or_else(|e| panic!("{head}: {e}")), [expected], "{head}");
    }
}

/// An optimizer moves conditions to where rows are read, and a dynamic filter follows sort keys and join keys there:
/// each step down writes a column out.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_double_when_written_out_are_refused_or_answered() {
    let house = house().await;
    let chain = |parts: usize, ask: &str| {
        let mut sql = "with a0 as (select id as a from mart.orders)".to_owned();
        for n in 1..=parts {
            sql += &format!(", a{n} as (select (a + a) % 7 as a from a{})", n - 1);
        }
        format!("{sql} {}", ask.replace("LAST", &format!("a{parts}")))
    };
    for ask in [
        "select count(*) from LAST where a > 0",
        "select a from LAST order by a limit 1",
        "select * from (select max(a) as m from LAST) where m > 0",
        "select * from (select a, count(*) as n from LAST group by a) where a > 0",
        "select a, count(*) from LAST group by a having a > 0",
        "select * from (select distinct a from LAST) where a > 0",
        "select * from (select a, row_number() over (partition by a order by a) as n from LAST) where a > 0 and n = 1",
        "select * from (select a from LAST union all select 1) where a > 0",
        "select count(*) from mart.orders where id in (select a from LAST)",
        "select count(*) from LAST join mart.orders o on o.id = LAST.a",
        "select count(*) from mart.orders o left join LAST on LAST.a = o.id where LAST.a > 0",
        "select count(*) from LAST where exists (select 1 from mart.orders o where LAST.a > 0)",
        "select count(*) from LAST where a > (select max(id) from mart.orders o where o.id = LAST.a)",
        "select count(*) from mart.orders where id > (select a from LAST limit 1)",
    ] {
        let error = refused(&house, &chain(40, ask)).await;
        assert!(error.to_string().contains("written out"), "{ask}: {error}");
        let small = ask_of_analyst(&house, &chain(8, ask)).await;
        small.unwrap_or_else(|e| panic!("{ask}: {e}"));
    }
    let explained = format!("explain {}", chain(40, "select a from LAST where a > 0"));
    assert!(refused(&house, &explained).await.to_string().contains("written out"));
    // What is not moved is not written out.
    ask_of_analyst(&house, &chain(40, "select a from LAST")).await.unwrap();
}

async fn ask_of_analyst(house: &House, sql: &str) -> crate::Result<Vec<String>> {
    tokio::time::timeout(Duration::from_secs(20), ask(house, &person(Role::Analyst), sql))
        .await
        .expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_functions_are_bounded() {
    let house = house().await;
    for sql in [
        "select sum(length(rpad('a' || value, 1000000000, 'xy'))) from generate_series(1, 3)",
        "select sum(length(lpad('a' || value, 1000000000, 'xy'))) from generate_series(1, 3)",
        "select repeat('x', 1000000000)",
        "select length(repeat('x' || value, 100000000)) from generate_series(1, 10)",
        "select repeat(repeat(repeat('x', 10000), 10000), 10000)",
        "select array_repeat(1, 1000000000)",
        "select range(1, 10000000000)",
        "select cardinality(generate_series(value, 1000000000)) from generate_series(1, 3)",
        "select cardinality(array_resize([1], 1000000000, 1)) from generate_series(1, 3)",
        "select length(replace(repeat('a', 10000000), 'a', 'bbbbbbbbbbbbbbbb'))",
        "select length(regexp_replace(repeat('a', 1000000), '', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'g'))",
        "select length(space(1000000000))",
        "select length(a || a || a || a) from (select repeat('x', 10000000) as a)",
        "select length(concat(a, a, a, a)) from (select repeat('x' || value, 10000000) as a from generate_series(1, 1))",
        "select length(string_agg(repeat('x', 1000), ',')) from generate_series(1, 100000)",
        "select cardinality(array_agg(value)) from generate_series(1, 5000000)",
        "select max(length(s)) from (select string_agg(repeat('x', 1000), ',') over () as s from generate_series(1, 20000))",
        "select cardinality(range(timestamp '2026-01-01', timestamp '2027-01-01', interval '1 microsecond'))",
        // Windows over whole partitions, and the constants of a whole query.
        "select max(s) from (select sum(value) over () as s from generate_series(1, 100000000))",
        "select max(length(s)) from (select string_agg(value::text, ',') over (order by value) as s from generate_series(1, 100000))",
        &format!("select {}''", "length(repeat('x', 1000000)), ".repeat(40)),
        "select levenshtein(repeat('ab', 500000), repeat('ba', 500000))",
        "select levenshtein(repeat('a' || value, 10000), repeat('b', 20000)) from generate_series(1, 4)",
        // A constant of some megabytes in each of many rows.
        "select sum(length(x || value)) from (select repeat('x', 15000000) as x, value from generate_series(1, 100000))",
        "select max(x) from (select value, repeat('x', 15000000) as x from generate_series(1, 100000)) group by value % 9000",
    ] {
        let started = Instant::now();
        let error = refused(&house, sql).await;
        assert!(matches!(error, Error::Exhausted { .. }), "{sql}: {error}");
        assert!(started.elapsed() < Duration::from_secs(10), "{sql}");
    }
    for sql in [
        "select regexp_like('a', '(')",
        "select regexp_like('a' || value, '(a{1000}){1000}') from generate_series(1, 3)",
    ] {
        let error = refused(&house, sql).await;
        assert!(matches!(error, Error::Sql { .. }), "{sql}: {error:?}");
    }
    let analyst = person(Role::Analyst);
    for (sql, expected) in [
        ("select length(repeat('ab', 100000))", "200000"),
        ("select length(rpad('a', 1000, 'xy')), rpad('a', 5, 'xy'), lpad('7', 3, '0')", "1000,axyxy,007"),
        ("select cardinality(range(0, 1000000, 7))", "142858"),
        ("select replace('a-b-c', '-', '+'), regexp_replace('a1b2', '[0-9]', '#', 'g')", "a+b+c,a#b#"),
        (
            "select cardinality(generate_series(date '2026-01-01', date '2026-12-31', interval '1 day'))",
            "365",
        ),
        (
            "select sum(length(x)) from (select repeat('x', 1000) as x, value from generate_series(1, 1000))",
            "1000000",
        ),
    ] {
        let answer = ask(&house, &analyst, sql).await;
        assert_eq!(answer.unwrap_or_else(|e| panic!("{sql}: {e}")), [expected], "{sql}");
    }
}

#[tokio::test]
async fn a_deadline_holds_inside_a_batch_and_for_who_does_not_read() {
    let house = house_with(Settings { timeout: Duration::from_millis(400), ..settings() }).await;
    // One runtime thread here: it must stay free while the query computes.
    let texts =
        "select sum(levenshtein(a, b)) from (select repeat('a' || value, 2000) as a, repeat('b', 5000) as b
        from generate_series(1, 8000))";
    let started = Instant::now();
    let error = refused(&house, texts).await;
    assert!(matches!(error, Error::Timeout { .. } | Error::Exhausted { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let sorted = "select max(r) from (select row_number() over (order by md5(cast(value as varchar))) as r
        from generate_series(1, 20000000))";
    let started = Instant::now();
    let error = refused(&house, sorted).await;
    assert!(matches!(error, Error::Timeout { .. } | Error::Exhausted { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn working_hours_of_centuries_cost_no_more_than_of_days() {
    let house = house().await;
    let sql = "select count(working_hours(timestamp '1900-01-01', timestamp '2000-01-01' + arrow_cast(value, 'Duration(Second)')))
        from generate_series(1, 200000)";
    let started = Instant::now();
    assert_eq!(ask(&house, &person(Role::Analyst), sql).await.unwrap(), ["200000"]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_of_the_calendar_is_no_fault_of_the_program() {
    let house = house().await;
    for sql in [
        "local_date(arrow_cast(8210266876799999999, 'Timestamp(Microsecond, None)'))",
        "local_hour(arrow_cast(-8334601228800000000, 'Timestamp(Microsecond, None)'))",
        "working_hours(arrow_cast(-8334601228800000000, 'Timestamp(Microsecond, None)'), arrow_cast(8210266876799999999, 'Timestamp(Microsecond, None)'))",
        "is_workday(arrow_cast(2147483647, 'Date32'))",
        "year(arrow_cast(2147483647, 'Date32'))",
        "last_day(arrow_cast(95026236, 'Date32'))",
        "to_char(arrow_cast(9223372036854775807, 'Timestamp(Microsecond, None)'), 'YYYY')",
        "dateadd('year', 300000, date '2026-01-01')",
        "dateadd('day', 9223372036854775807, date '2026-01-01')",
        "age(arrow_cast(8210266876799999999, 'Timestamp(Microsecond, None)'), arrow_cast(-8334601228800000000, 'Timestamp(Microsecond, None)'))",
        "bucket_start(arrow_cast(8210266876799999999, 'Timestamp(Microsecond, None)'), 'year')",
        "bucket_start(arrow_cast(-8334601228800000000, 'Timestamp(Microsecond, None)'), 'week')",
    ] {
        let answer = ask(&house, &person(Role::Analyst), &format!("select {sql}")).await;
        assert!(!matches!(answer, Err(Error::Internal { .. })), "{sql}: {answer:?}");
    }
    assert_eq!(ask(&house, &person(Role::Analyst), "select 1").await.unwrap(), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_of_many_batches_is_stopped_in_time() {
    let house = house_with(Settings { timeout: Duration::from_secs(2), ..settings() }).await;
    let sql = "select count(*) from generate_series(1, 9000) a cross join generate_series(1, 9000) b cross join generate_series(1, 9000) c where a.value + b.value + c.value < 4";
    let error = refused(&house, sql).await;
    assert!(matches!(error, Error::Timeout { .. } | Error::Exhausted { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_answered_beside_the_heavy_joins_of_one_analyst() {
    let house = house().await;
    let analyst = house.warehouse.session(&person(Role::Analyst));
    let heavy = "select count(*) from generate_series(1, 200000) a join generate_series(1, 200000) b on a.value % 7 = b.value % 7";
    let mut running = vec![];
    for _ in 0..14 {
        let analyst = analyst.clone();
        running.push(tokio::spawn(async move { analyst.sql(heavy).await.map(drop) }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let page = house.warehouse.session(&person(Role::Admin)).for_page();
    let started = Instant::now();
    page.sql("select sum(amount) from mart.orders").await.unwrap().collect(10).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Statements put together at random. Whatever comes of them is an answer or an error that says something; a fault of
/// the program would be told as such. `GUANLAN_FUZZ_SECONDS` makes it longer.
#[tokio::test(flavor = "multi_thread")]
async fn random_statements_meet_no_fault() {
    let seconds = std::env::var("GUANLAN_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(4);
    let house = house_with(Settings { timeout: Duration::from_secs(2), ..settings() }).await;
    let mut random = StdRng::seed_from_u64(7);
    let started = Instant::now();
    let analyst = person(Role::Analyst);
    let mut faults = vec![];
    while started.elapsed() < Duration::from_secs(seconds) {
        let sql = statement(&mut random);
        let asked = ask(&house, &analyst, &sql);
        match tokio::time::timeout(Duration::from_secs(20), asked).await {
            Ok(Err(error @ Error::Internal { .. })) => faults.push(format!("{sql}: {error}")),
            Ok(_) => {}
            Err(_) => panic!("no answer in time: {sql}"),
        }
    }
    assert!(faults.is_empty(), "{} faults, the first: {}", faults.len(), faults[0]);
}

fn statement(random: &mut StdRng) -> String {
    let columns: Vec<String> = (0..random.random_range(1..4)).map(|_| expression(random, 3)).collect();
    let from = [
        "",
        " from mart.orders",
        " from (values (1, 'a', date '2026-01-01'), (null, null, null)) t(id, name, d)",
        " from generate_series(1, 50) t(id)",
        " from mart.orders o join clean.orders c on o.id = c.id",
        " from mart.orders where id not in (select id from clean.orders)",
        " from mart.orders group by 1",
        " from mart.orders order by 1 limit 3",
    ];
    format!("select {}{}", columns.join(", "), from.choose(random).unwrap_or(&""))
}

fn expression(random: &mut StdRng, depth: usize) -> String {
    const LEAVES: [&str; 22] = [
        "1",
        "-1",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "1e308",
        "null",
        "true",
        "''",
        "'观澜'",
        "'2026-02-30'",
        "'%Y-%m'",
        "'YYYY-MM'",
        "id",
        "amount",
        "date '2026-01-31'",
        "timestamp '2026-01-01 10:00:00'",
        "interval '1 month'",
        "arrow_cast(8210266876799999999, 'Timestamp(Microsecond, None)')",
        "[1, 2]",
        "now()",
    ];
    const CALLS: [&str; 60] = [
        "abs",
        "round",
        "length",
        "upper",
        "lower",
        "trim",
        "substr",
        "repeat",
        "rpad",
        "lpad",
        "replace",
        "concat",
        "coalesce",
        "nullif",
        "year",
        "month",
        "week",
        "last_day",
        "datediff",
        "date_add",
        "dateadd",
        "to_char",
        "to_date",
        "date_format",
        "str_to_date",
        "strftime",
        "age",
        "if",
        "decode",
        "mod",
        "nvl",
        "isnull",
        "local_date",
        "local_hour",
        "working_hours",
        "is_workday",
        "bucket_start",
        "date_trunc",
        "date_part",
        "sum",
        "count",
        "avg",
        "min",
        "max",
        "array_agg",
        "string_agg",
        "cardinality",
        "range",
        "array_repeat",
        "regexp_replace",
        "split_part",
        "to_hex",
        "chr",
        "space",
        "locate",
        "months_between",
        "add_months",
        "greatest",
        "least",
        "unix_timestamp",
    ];
    if depth == 0 || random.random_ratio(1, 4) {
        return (*LEAVES.choose(random).unwrap_or(&"1")).to_owned();
    }
    let mut next = || expression(random, depth - 1);
    let (a, b, c) = (next(), next(), next());
    match random.random_range(0..12) {
        0 => format!("({a} + {b})"),
        1 => format!("({a} - {b})"),
        2 => format!("({a} * {b})"),
        3 => format!("({a} || {b})"),
        4 => format!("({a} = {b})"),
        5 => format!("case when {a} then {b} else {c} end"),
        6 => format!("{a} in ({b}, {c})"),
        7 => format!(
            "cast({a} as {})",
            ["int", "varchar", "date", "timestamp", "decimal(10, 2)"].choose(random).unwrap_or(&"int")
        ),
        8 => format!("{a} like {b}"),
        _ => {
            let name = CALLS.choose(random).unwrap_or(&"abs");
            match random.random_range(1..4) {
                1 => format!("{name}({a})"),
                2 => format!("{name}({a}, {b})"),
                _ => format!("{name}({a}, {b}, {c})"),
            }
        }
    }
}

#[tokio::test]
async fn patterns_of_rows_match_as_ever_and_are_stopped_in_time() {
    let house = house().await;
    let analyst = person(Role::Analyst);
    let rows =
        "(values ('Ab', 'a%', '^a'), ('ab', 'a_', 'B$'), (null, 'x', 'x'), ('a%', 'a\\%', null)) v(t, l, r)";
    for (sql, expected) in [
        (
            format!("select t like l, t ilike l, t not like l from {rows}"),
            ["false,true,true", "true,true,false", ",,", "true,true,false"],
        ),
        (
            format!("select t ~ r, t ~* r, t !~ r from {rows}"),
            ["false,true,true", "false,true,true", ",,", ",,"],
        ),
    ] {
        assert_eq!(
            ask(&house, &analyst, &sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")),
            expected,
            "{sql}"
        );
    }
    let house = house_with(Settings { timeout: Duration::from_millis(400), ..settings() }).await;
    for sql in [
        "select count(*) from generate_series(1, 8192) where repeat('a', 30) like (repeat('%a', 1000) || value)",
        "select count(*) from generate_series(1, 8192) where 'a' ~ ('\\w{50}' || value)",
    ] {
        let started = Instant::now();
        let error = refused(&house, sql).await;
        assert!(matches!(error, Error::Timeout { .. } | Error::Exhausted { .. }), "{sql}: {error}");
        // The thread is free again, not only its reader.
        let one = ask(&house, &analyst, "select 1").await;
        assert_eq!(one.unwrap(), ["1"]);
        assert!(started.elapsed() < Duration::from_secs(5), "{sql}: {:?}", started.elapsed());
    }
}
