use datafusion::physical_plan::displayable;

use super::*;

async fn physical(house: &House, sql: &str) -> String {
    let context = house.warehouse.context();
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

async fn five_days(house: &House) {
    for day in 0..5 {
        let rows: Vec<(i64, i64)> = (0..100).map(|i| (day * 100 + i, day)).collect();
        house.land("mart.orders", vec![orders(&rows)], Landing::Append, day + 1).await.unwrap();
    }
}

#[tokio::test]
async fn counting_and_bounds_are_answered_without_opening_a_file() {
    let house = House::memory().await;
    five_days(&house).await;
    let plan = physical(&house, "select count(*), min(id), max(id) from mart.orders").await;
    assert!(!plan.contains("DataSourceExec: file_groups"), "{plan}");
    // Proof: with every data file gone the answer is still there.
    for file in &house.warehouse.snapshot(&name("mart.orders")).await.unwrap().unwrap().files {
        object_store::ObjectStoreExt::delete(&house.store, &file.path).await.unwrap();
    }
    assert_eq!(house.lines("select count(*), min(id), max(id) from mart.orders").await, ["500,0,499"]);
    assert!(lines_of(&house.warehouse, "select sum(id) from mart.orders").await.is_err());
}

#[tokio::test]
async fn files_that_cannot_match_are_skipped() {
    let house = House::memory().await;
    five_days(&house).await;
    let files = |plan: &str| plan.matches(".parquet").count();
    let all = physical(&house, "select note from mart.orders").await;
    assert_eq!(files(&all), 5, "{all}");
    for (filter, expected) in [
        ("id = 250", 1),
        ("id between 150 and 249", 2),
        ("id in (5, 405)", 2),
        ("note = 'n3'", 1),
        ("id < 0", 0),
    ] {
        let plan = physical(&house, &format!("select note from mart.orders where {filter}")).await;
        assert_eq!(files(&plan), expected, "{filter}: {plan}");
        let counted = house.lines(&format!("select count(note) from mart.orders where {filter}")).await;
        let checked = house
            .lines(&format!(
                "select count(note) from (select note, id + 0 as id from mart.orders) t where {filter}"
            ))
            .await;
        assert_eq!(counted, checked, "{filter}");
    }
    let limited = physical(&house, "select note from mart.orders limit 10").await;
    assert_eq!(files(&limited), 1, "{limited}");
    assert_eq!(house.lines("select note from mart.orders limit 150").await.len(), 150);
}

#[tokio::test]
async fn a_scan_is_plain_parquet() {
    let house = House::memory().await;
    five_days(&house).await;
    let plan = physical(&house, "select note from mart.orders where amount > 2").await;
    assert!(plan.contains("DataSourceExec") && plan.contains("file_type=parquet"), "{plan}");
}

#[tokio::test]
async fn the_catalogue_tells_rows_versions_and_times() {
    let house = House::memory().await;
    five_days(&house).await;
    let tables = house.warehouse.tables().await;
    let orders = tables.iter().find(|t| t.name == name("mart.orders")).unwrap();
    assert_eq!((orders.rows, orders.files, orders.version), (Some(500), 5, 4));
    assert_eq!(orders.updated_at, origin() + chrono::TimeDelta::seconds(10));
    assert!(tables.iter().any(|t| t.name == name("system.queries")));
    let reopened = house.reopened().await.tables().await;
    let again = reopened.iter().find(|t| t.name == name("mart.orders")).unwrap();
    assert_eq!((again.rows, again.updated_at), (Some(500), orders.updated_at));
}
