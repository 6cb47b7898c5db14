//! What people write who come from other databases. Expected values are those of PostgreSQL, MySQL, Oracle and DuckDB.

use access::Role;

use super::{ask, house};
use crate::Error;
use crate::tests::person;

#[tokio::test]
async fn functions_of_other_databases_answer_as_there() {
    let house = house().await;
    for (sql, expected) in [
        ("year(date '2026-01-05')", "2026"),
        ("month(date '2026-01-05')", "1"),
        ("day(date '2026-01-05')", "5"),
        ("quarter(date '2026-05-05')", "2"),
        ("week(date '2026-01-05')", "2"),
        ("weekofyear(date '2027-01-01')", "53"),
        ("dayofweek(date '2026-01-05')", "2"),
        ("weekday(date '2026-01-05')", "0"),
        ("dayofyear(date '2026-02-01')", "32"),
        ("hour(timestamp '2026-01-05 08:09:10')", "8"),
        ("minute(timestamp '2026-01-05 08:09:10')", "9"),
        ("second('2026-01-05 08:09:10')", "10"),
        ("monthname(date '2026-01-05')", "January"),
        ("dayname(date '2026-01-05')", "Monday"),
        // An instant is read on the site's clock: eight hours later in Shanghai.
        ("day(arrow_cast(timestamp '2026-01-05 20:00:00', 'Timestamp(Microsecond, Some(\"UTC\"))'))", "6"),
        ("if(true, 1, 2)", "1"),
        ("if(1 > 2, 'a', 'b')", "b"),
        ("iif(false, 1, 2.5)", "2.5"),
        ("if(1 = 0, 1 / 0, 7)", "7"),
        ("ifnull(null, 3)", "3"),
        ("nvl(null, 3)", "3"),
        ("isnull(null)", "true"),
        ("isnull(null, 4)", "4"),
        ("decode(2, 1, 'one', 2, 'two', 'many')", "two"),
        ("decode(9, 1, 'one', 2, 'two', 'many')", "many"),
        ("decode(9, 1, 'one', 2, 'two')", ""),
        ("decode(cast(null as int), null, 'none', 'some')", "none"),
        ("mod(7, 3)", "1"),
        ("mod(-7, 3)", "-1"),
        ("datediff(date '2026-01-05', date '2026-01-01')", "4"),
        ("datediff('day', date '2026-01-01', date '2026-01-05')", "4"),
        ("datediff(month, date '2025-12-31', date '2026-01-01')", "1"),
        ("datediff('year', date '2025-12-31', date '2026-01-01')", "1"),
        ("date_diff('week', date '2026-01-05', date '2026-01-12')", "1"),
        ("date_diff('week', date '2026-01-04', date '2026-01-05')", "0"),
        ("timestampdiff(month, date '2025-12-31', date '2026-01-30')", "0"),
        ("timestampdiff(hour, timestamp '2026-01-01 00:00:00', timestamp '2026-01-01 23:59:00')", "23"),
        ("dateadd(month, 1, date '2026-01-31')", "2026-02-28"),
        ("dateadd('day', -1, date '2026-01-01')", "2025-12-31"),
        ("date_add(date '2026-01-31', interval '1 month')", "2026-02-28"),
        ("date_add(date '2026-01-31', 1)", "2026-02-01"),
        ("date_sub(date '2026-03-31', interval '1 month')", "2026-02-28"),
        ("add_months(date '2026-02-28', 1)", "2026-03-31"),
        ("add_months(date '2026-01-31', 1)", "2026-02-28"),
        ("months_between(date '2026-03-31', date '2026-02-28')", "1.0"),
        ("months_between(date '2026-01-17', date '2026-01-01')", "0.5161290322580645"),
        ("last_day(date '2028-02-01')", "2028-02-29"),
        ("to_char(date '2024-05-07', 'YYYY-MM')", "2024-05"),
        ("to_char(timestamp '2024-05-07 15:04:05', 'YYYY-MM-DD HH24:MI:SS')", "2024-05-07 15:04:05"),
        ("to_char(date '2024-05-07', '%Y/%m')", "2024/05"),
        ("date_format(date '2024-05-07', '%Y-%m')", "2024-05"),
        ("date_format(timestamp '2024-05-07 15:04:05', '%H:%i')", "15:04"),
        ("strftime(date '2024-05-07', '%Y%m')", "202405"),
        ("strftime('%H:%M', timestamp '2024-05-07 15:04:05')", "15:04"),
        ("to_date('07/05/2024', 'DD/MM/YYYY')", "2024-05-07"),
        ("to_date('2024-05-07')", "2024-05-07"),
        ("str_to_date('07.05.2024', '%d.%m.%Y')", "2024-05-07"),
        ("str_to_date('2024-05-07 15:04', '%Y-%m-%d %H:%i')", "2024-05-07T15:04:00"),
        ("to_timestamp('2024-05-07 15:04:05', 'YYYY-MM-DD HH24:MI:SS')", "2024-05-07T15:04:05"),
        ("age(date '2026-03-15', date '2026-01-31') = interval '1 month 15 days'", "true"),
        ("'a_b' like 'a^_b' escape '^'", "true"),
        ("'axb' like 'a^_b' escape '^'", "false"),
        ("'50%' like '%!%' escape '!'", "true"),
        ("instr('hello', 'l')", "3"),
        ("locate('l', 'hello')", "3"),
        ("locate('l', 'hello', 4)", "4"),
        ("charindex('z', 'hello')", "0"),
        ("len('观澜')", "2"),
        ("ucase('a')", "A"),
        ("mid('hello', 2, 3)", "ell"),
        ("'[' || space(3) || ']'", "[   ]"),
        ("unix_timestamp(timestamp '1970-01-01 08:00:10')", "10"),
        ("'a' || 1 || null is null", "true"),
        ("'a' || 1", "a1"),
    ] {
        let answer = ask(&house, &person(Role::Analyst), &format!("select {sql}")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(answer, [expected], "{sql}");
    }
}

#[tokio::test]
async fn they_work_over_columns_too() {
    let house = house().await;
    let sql =
        "select year(d), if(n > 1, 'many', 'one'), decode(n, 1, 'a', 2, 'b'), to_char(d, 'YYYY-MM'), d || '!'
        from (values (date '2026-01-31', 1), (date '2025-02-28', 2), (null, 3)) t(d, n) order by n";
    let rows = ask(&house, &person(Role::Analyst), sql).await.unwrap();
    assert_eq!(rows, ["2026,one,a,2026-01,2026-01-31!", "2025,many,b,2025-02,2025-02-28!", ",many,,,"]);
    let from = "from (values (1), (2), (3)) t(n)";
    for (sql, expected) in [
        ("group_concat(n order by n desc separator ';')", "3;2;1"),
        ("listagg(n, '-') within group (order by n)", "1-2-3"),
    ] {
        let answer = ask(&house, &person(Role::Analyst), &format!("select {sql} {from}")).await;
        assert_eq!(answer.unwrap_or_else(|error| panic!("{sql}: {error}")), [expected], "{sql}");
    }
}

#[tokio::test]
async fn columns_of_one_name_get_a_number() {
    let house = house().await;
    let analyst = house.warehouse.session(&person(Role::Analyst));
    for (sql, names) in [
        ("select count(*), count(*) from mart.orders", vec!["count(*)", "count(*)_2"]),
        ("select id, cast(id as varchar) from mart.orders", vec!["id", "id_2"]),
        ("select id as x, amount as x from mart.orders", vec!["x", "x_2"]),
    ] {
        let answer = analyst.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found: Vec<&str> = answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, names, "{sql}");
        answer.collect(10).await.unwrap();
    }
    assert!(analyst.sql("select *, id from mart.orders").await.is_ok());
}

#[tokio::test]
async fn hints_say_what_is_meant_not_what_is_spelt_alike() {
    let house = house().await;
    for (sql, message, hint) in [
        ("select cont(*) from mart.orders", "there is no function `cont`", "count"),
        ("select to_number('1')", "`to_number`", "cast(x as decimal"),
        ("select eomonth(date '2026-01-01')", "`eomonth`", "last_day"),
        ("select countif(true)", "`countif`", "filter (where"),
        ("select * from mart.ordrs", "table mart.ordrs was not found", "mart.orders"),
        ("select id in (select 1) from mart.orders", "IN (SELECT …) is answered in WHERE only", "left join"),
        ("select sum(true)", "sum cannot take an argument of type Boolean", "cast"),
        ("select amount from (select 1 as \"Amount\")", "case sensitive", "double quotes"),
    ] {
        let error = ask(&house, &person(Role::Analyst), sql).await.unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(hint), "{sql}: {error}");
        assert!(!error.contains("datafusion."), "{sql}: {error}");
    }
    let error = ask(&house, &person(Role::Analyst), "select fnord(1)").await.unwrap_err().to_string();
    assert!(error.contains("fnord") && !error.contains("did you mean"), "{error}");
    let error = ask(&house, &person(Role::Analyst), "select 1; select 2").await.unwrap_err();
    assert!(matches!(error, Error::Sql { .. }), "{error}");
}

#[tokio::test]
async fn an_analyst_sees_the_columns_of_a_table() {
    let house = house().await;
    for sql in [
        "show columns from mart.orders",
        "describe mart.orders",
        "show tables",
        "show columns in clean.orders",
    ] {
        let rows =
            ask(&house, &person(Role::Analyst), sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(!rows.is_empty(), "{sql}");
    }
    let rows = ask(&house, &person(Role::Analyst), "show columns from mart.orders").await.unwrap();
    assert!(rows.iter().any(|row| row.contains("amount")), "{rows:?}");
    let error = ask(&house, &person(Role::Analyst), "show columns from system.queries").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
