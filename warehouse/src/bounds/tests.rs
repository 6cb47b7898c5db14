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
    let check = |sql: &str| expanded(&crate::lineage::parsed(sql).unwrap());
    assert!(check(&format!("{sql} select * from t29")).is_err());
    assert!(check("with a as (select * from t), b as (select * from a, a) select * from b, b").is_ok());
    assert!(check(&format!("explain {sql} select * from t29")).is_err());
    assert!(check("select 1 from t group by cube(a, b, c, d, e, f, g, h, i, j, k)").is_err());
}
