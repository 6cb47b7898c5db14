//! Answers that must be right: missing values in NOT IN, sums and products beyond their type. Expected values are
//! DuckDB's and PostgreSQL's.

use access::Role;

use super::{ask, house};
use crate::tests::person;

const TABLES: &str = "with t1 as (select * from (values (1), (2), (null), (4)) v(id)),
    t2 as (select * from (values (1), (null), (5)) v(id)),
    full2 as (select * from (values (1), (5)) v(id)),
    none as (select id from t1 where id > 100),
    t_out as (select * from (values (1, 1), (2, 2)) v(id, g)),
    t_in as (select * from (values (1, 1), (null, 2)) v(id, g)) ";

#[tokio::test]
async fn not_in_counts_with_missing_values() {
    let house = house().await;
    for (sql, expected) in [
        // Correlated: 1 is found, the others are compared with nothing.
        (
            "select id from t1 where id not in (select t2.id from t2 where t2.id = t1.id) order by id",
            vec!["2", "4", ""],
        ),
        ("select id from t_out where 3 not in (select id from t_in) order by id", vec![]),
        ("select id from t_out where 3 not in (select id from full2) order by id", vec!["1", "2"]),
        ("select g from t_out where cast(null as int) not in (select g from t_out)", vec![]),
        (
            "select g from t_out where cast(null as int) not in (select id from none) order by g",
            vec!["1", "2"],
        ),
        ("select id from t1 where id not in (select id from t2)", vec![]),
        ("select id from t1 where id not in (select id from full2) order by id", vec!["2", "4"]),
        ("select id from t1 where id not in (select id from none) order by id", vec!["1", "2", "4", ""]),
        ("select id from t1 where not (id in (select id from t2))", vec![]),
        ("select id from t1 where not (id in (select id from full2) or id = 4) order by id", vec!["2"]),
        ("select id from t1 where id not in (select id from t2) or id = 4 order by id", vec!["4"]),
        (
            "select id from t1 where id not in (select id from full2) or id is null order by id",
            vec!["2", "4", ""],
        ),
        ("select id from t1 where not (id not in (select id from t2)) order by id", vec!["1"]),
        ("select id from t1 where id in (select id from t2) order by id", vec!["1"]),
        ("select id from t1 where id + 0 not in (select id from full2) order by id", vec!["2", "4"]),
        ("select id from t1 where id + 0 not in (select id from t2)", vec![]),
        ("select id from t_out o where o.id not in (select i.id from t_in i where i.g = o.g)", vec![]),
        (
            "select id from t_out o where o.id not in (select i.id from t_in i where i.g > o.g + 5) order by id",
            vec!["1", "2"],
        ),
        ("select id from t1 where id not in (1, null)", vec![]),
        ("select id from t1 where id not in (1, 2) order by id", vec!["4"]),
        ("select id from t1 where id in (1, null) order by id", vec!["1"]),
        ("select id from t1 where id not in (select max(id) from t2) order by id", vec!["1", "2", "4"]),
        ("select count(*) from t1 group by id having count(*) not in (select id from t2)", vec![]),
        (
            "select id from t1 where id not in (select id from t2 where id is not null) order by id",
            vec!["2", "4"],
        ),
    ] {
        let answer = ask(&house, &person(Role::Analyst), &format!("{TABLES}{sql}")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(answer, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_is_not_answered_rightly_is_refused() {
    let house = house().await;
    for sql in [
        "select id from t1 where (id not in (select id from t2)) is null",
        "select id from t1 where case when id not in (select id from t2) then true else false end",
    ] {
        let error =
            ask(&house, &person(Role::Analyst), &format!("{TABLES}{sql}")).await.unwrap_err().to_string();
        assert!(error.to_lowercase().contains("exists"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn sums_and_products_never_wrap_around() {
    let house = house().await;
    let analyst = person(Role::Analyst);
    let most = i64::MAX;
    for sql in [
        format!("select sum(a) from (values ({most}), (1)) t(a)"),
        format!("select g, sum(a) from (values (1, {most}), (1, 1), (2, 5)) t(g, a) group by g"),
        format!("select sum(a) over () from (values ({most}), (1)) t(a)"),
        format!("select sum(distinct a) from (values ({most}), (1), (1)) t(a)"),
        format!("select {most} * 2"),
        format!("select {most} + 1"),
        format!("select -{most} - 2"),
        format!("select a * 2 from (values ({most}), (1)) t(a)"),
        "select cast(2000000000 as int) + cast(2000000000 as int)".to_owned(),
        "select cast(100 as tinyint) * cast(2 as tinyint)".to_owned(),
        "select sum(a) from (values (cast('99999999999999999999999999999999999999' as decimal(38, 0))), (cast('99999999999999999999999999999999999999' as decimal(38, 0)))) t(a)".to_owned(),
    ] {
        let error = ask(&house, &analyst, &sql).await.expect_err(&sql).to_string().to_lowercase();
        assert!(error.contains("overflow") || error.contains("larger than"), "{sql}: {error}");
    }
    for (sql, expected) in [
        (format!("select sum(a) from (values ({most}), (1), (-2)) t(a)"), vec![(most - 1).to_string()]),
        ("select sum(a), sum(distinct a) from (values (1), (1), (2), (null)) t(a)".to_owned(), vec!["4,3".to_owned()]),
        ("select sum(a) from (values (1)) t(a) where a > 1".to_owned(), vec![String::new()]),
        ("select g, sum(a) from (values (1, 2), (1, null), (2, null)) t(g, a) group by g order by g".to_owned(), vec!["1,2".to_owned(), "2,".to_owned()]),
        ("select sum(a) over (order by a rows between 1 preceding and current row) from (values (1), (2), (3)) t(a) order by a".to_owned(), vec!["1".to_owned(), "3".to_owned(), "5".to_owned()]),
        ("select sum(a) filter (where a > 1) from (values (1), (2), (3)) t(a)".to_owned(), vec!["5".to_owned()]),
        ("select arrow_typeof(sum(a)), arrow_typeof(1 + 2), 2 + 3 * 4 - 1 from (values (1)) t(a)".to_owned(), vec!["Int64,Int64,13".to_owned()]),
        ("select sum(v) from (select value % 10 as v from generate_series(1, 100000))".to_owned(), vec!["450000".to_owned()]),
        ("select sum(s) from (select value % 1000 as g, sum(value) as s from generate_series(1, 100000) group by 1)".to_owned(), vec!["5000050000".to_owned()]),
    ] {
        assert_eq!(ask(&house, &analyst, &sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")), expected, "{sql}");
    }
    let names =
        house.warehouse.session(&analyst).check("select id + 1, id || 'x' from mart.orders").await.unwrap();
    assert_eq!(names.field(0).name(), "mart.orders.id + Int64(1)");
}
