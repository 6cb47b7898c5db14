use super::*;

fn refused(sql: &str) -> String {
    bounded(sql).expect_err(&sql[..sql.len().min(60)]).message
}

#[test]
fn rows_of_operators_and_nesting_are_bounded() {
    let many = |one: &str, n: usize| one.repeat(n);
    for sql in [
        format!("select {}1", many("1+", 2_000)),
        format!("select {}1", many("1+", 120_000)),
        format!("select 1 where 1=0{}", many(" or 1=2", 20_000)),
        format!("select {}true", many("not ", 5_000)),
        format!("select {}1", many("- ", 5_000)),
        format!("select {}1{}", many("(", 200), many(")", 200)),
        format!("select {}1{}", many("abs(", 200), many(")", 200)),
        format!("select {}1{}", many("[", 200), many("]", 200)),
        format!("select {}1{}", many("case when true then ", 200), many(" end", 200)),
        format!("select 1{}", many(" union all select 1", 1_000)),
        format!("select 1 from t{}", many(" join t on true", 1_000)),
        format!("select 1 from t{}", many(", t", 1_000)),
        format!("select * from {}t{}", many("(select * from ", 200), many(")", 200)),
        format!("select 1{}", many("::int", 5_000)),
        format!("select a{}", many("[1]", 5_000)),
        format!("select cast(null as int{})", many("[]", 2_000)),
        format!("select null::int{}", many("[ ]", 50_000)),
        format!("select arrow_cast(1, '{}Int32{}')", many("List(", 200), many(")", 200)),
        format!("select arrow_cast(1, $${}Int32{}$$)", many("List(", 200), many(")", 200)),
        "select arrow_cast(null, 'FixedSizeList(2147483647, Int64)')".into(),
        "select arrow_cast(null, 'List(FixedSizeBinary(99999999999))')".into(),
        format!("select a{}", many(".b", 5_000)),
        format!("select 1{}", many(" is null", 5_000)),
        format!("select {}1", many("interval ", 5_000)),
        format!("select a{}", many(" at time zone 'x'", 5_000)),
        format!("select {}", many("a, ", 20_000)),
        format!("select 1 in ({}1)", many("1,", 100_000)),
    ] {
        refused(&sql);
    }
    assert!(refused(&many(" ", 300 << 10)).contains("KiB"));
    let problem = bounded(&format!("select\n  {}1", many("1+", 2_000))).unwrap_err();
    assert_eq!(problem.at.unwrap().0, 2);
}

#[test]
fn what_people_write_passes() {
    let list: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let wide: Vec<String> =
        (0..300).map(|n| format!("cast(t.column_{n} as decimal(18, 2)) as c{n}")).collect();
    let alternatives = vec!["(a = 1 and b = 'x')"; 100].join(" or ");
    for sql in [
        format!("select 1 in ({})", list.join(",")),
        format!("select * from t where id in ('{}')", list.join("', '")),
        format!("select * from (values ({})) v(a)", list.join("), (")),
        format!("select {} from mart.t t where {alternatives}", wide.join(", ")),
        vec!["select a, b from t"; 50].join(" union all "),
        "select arrow_cast(x, 'FixedSizeList(3, Float32)'), 'a (b (c))', e'(', array[[1, 2], [3]]".into(),
        format!("select {}1{}", "coalesce(a, ".repeat(40), ")".repeat(40)),
    ] {
        bounded(&sql).unwrap_or_else(|p| panic!("{}: {}", &sql[..40], p.message));
    }
}

#[test]
fn parts_that_double_are_counted_where_they_are_used() {
    let mut sql = "with t0 as (select 1 as x)".to_owned();
    for n in 1..30 {
        sql += &format!(", t{n} as (select a.x from t{} a, t{} b)", n - 1, n - 1);
    }
    let check = |sql: &str| expanded(&crate::lineage::parsed(sql).unwrap(), &Widths::new());
    assert!(check(&format!("{sql} select * from t29")).is_err());
    assert!(check("with a as (select * from t), b as (select * from a, a) select * from b, b").is_ok());
    assert!(check(&format!("explain {sql} select * from t29")).is_err());
    assert!(check("select 1 from t group by cube(a, b, c, d, e, f, g, h, i, j, k)").is_err());
}

#[test]
fn columns_are_counted_wherever_they_are_read() {
    let widths = Widths::from([("raw.wide".to_owned(), 1_900), ("mart.orders".to_owned(), 20)]);
    let check = |sql: &str| expanded(&crate::lineage::parsed(sql).unwrap(), &widths);
    let many = |one: &dyn Fn(usize) -> String, n: usize| (0..n).map(one).collect::<Vec<_>>().join(", ");
    let joined = many(&|n| format!("raw.wide w{n}"), 90);
    let nested = format!("{}raw.wide{}", "(select * from ".repeat(80), ") t".repeat(80));
    let with = many(
        &|n| {
            format!(
                "t{n} as (select * from {})",
                if n == 0 { "raw.wide".into() } else { format!("t{}", n - 1) }
            )
        },
        40,
    );
    for sql in [
        format!("select count(*) from {joined}"),
        format!("select nosuch from {joined}"),
        format!("select * from {nested}"),
        format!("with {with} select count(*) from t39"),
        "select *, *, *, *, *, *, *, *, *, *, *, *, *, *, *, * from raw.wide".into(),
    ] {
        let refused = check(&sql).expect_err(&sql[..60.min(sql.len())]);
        assert!(refused.message.contains("columns together"), "{}", refused.message);
    }
    let narrow = many(
        &|n| {
            format!(
                "t{n} as (select id, day from {})",
                if n == 0 { "raw.wide".into() } else { format!("t{}", n - 1) }
            )
        },
        40,
    );
    for sql in [
        "select * from raw.wide a join raw.wide b on a.id = b.id join raw.wide c on a.id = c.id".into(),
        format!("with {narrow} select count(*) from t39 join raw.wide w using (id)"),
        format!("select 1 from {}", many(&|n| format!("orders o{n}"), 70)),
    ] {
        check(&sql).unwrap_or_else(|p| panic!("{}: {}", &sql[..40], p.message));
    }
}

#[test]
fn subqueries_in_one_another_are_counted() {
    let nested = |depth: usize| {
        let parts: String = (1..depth)
            .map(|n| format!("(select 1 from t t{n} where t{n}.a = t{}.a and exists ", n - 1))
            .collect();
        format!("select 1 from t t0 where exists {parts}(select 1){}", ")".repeat(depth - 1))
    };
    let check = |sql: &str| expanded(&crate::lineage::parsed(sql).unwrap(), &Widths::new());
    assert!(check(&nested(8)).is_ok());
    assert!(check(&nested(9)).unwrap_err().message.contains("8 deep"));
    let beside = vec!["exists (select 1 from t where a in (select 1))"; 20].join(" and ");
    assert!(check(&format!("select 1 from t where {beside}")).is_ok());
    assert!(check(&format!("select (select max((select 1))) where 1 in ({})", "select 1")).is_ok());
}
