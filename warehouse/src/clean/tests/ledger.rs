//! What a cleaning could not keep is told by column, count and first place; what only rejects would empty stays.

use crate::Landing;
use crate::clean::fixture::{House, house, rows};

const ORDERS: &str = "
from: raw.orders
key: [id]
columns:
  id: {type: int}
  amount: {type: {decimal: {precision: 10, scale: 2}}}
";

const COLUMNS: [&str; 2] = ["id", "amount"];

async fn land(house: &House, how: Landing, texts: &[&[&str]]) {
    house.land_texts("raw.orders", how, &COLUMNS, &rows(texts)).await;
}

async fn quarantine(house: &House) -> Vec<String> {
    house.sql("select \"key\", value from clean.orders_rejected order by 1, 2").await
}

#[tokio::test]
async fn a_row_that_came_again_and_fits_leaves_the_quarantine() {
    let house = house().await;
    house.clean("orders", ORDERS);
    let append = || Landing::Append;
    land(&house, append(), &[&["1", "10"], &["2", "zwanzig"], &["3", "x"]]).await;
    let report = house.warehouse.clean("orders").await.expect("it cleans");
    assert_eq!((report.read, report.kept, report.rejected, report.standing), (3, 1, 2, 2));
    assert_eq!(quarantine(&house).await, ["2|zwanzig", "3|x"]);
    assert_eq!(report.quarantined.len(), 1);
    let why = &report.quarantined[0];
    assert_eq!(
        (why.column.as_str(), why.count, why.first.as_str()),
        ("amount", 2, "drop.csv row 3: zwanzig")
    );
    // An increment corrects 2, spoils 4, and brings 5 twice, wrong first.
    land(&house, append(), &[&["2", "20"], &["4", "y"], &["5", "z"]]).await;
    land(&house, append(), &[&["5", "50"]]).await;
    let report = house.warehouse.clean("orders").await.expect("it cleans");
    assert_eq!((report.read, report.kept, report.rejected, report.full), (4, 2, 2, false));
    assert_eq!((report.corrected, report.superseded, report.standing), (1, 1, 2));
    assert_eq!(quarantine(&house).await, ["3|x", "4|y"]);
    // Cleaned anew as a whole it comes to the same.
    let report = house.warehouse.release("orders").await.expect("it cleans");
    assert_eq!((report.read, report.kept, report.rejected, report.superseded), (7, 3, 4, 2));
    assert_eq!(quarantine(&house).await, ["3|x", "4|y"]);
    assert_eq!(
        house.sql("select id, amount from clean.orders order by id").await,
        ["1|10.00", "2|20.00", "5|50.00"]
    );
    // A good row that turns bad later is in quarantine: its newest version does not fit.
    land(&house, append(), &[&["1", "w"]]).await;
    house.warehouse.clean("orders").await.expect("it cleans");
    assert_eq!(quarantine(&house).await, ["1|w", "3|x", "4|y"]);
    let report = house.warehouse.release("orders").await.expect("it cleans");
    assert_eq!((report.standing, quarantine(&house).await.len()), (3, 3));
}

#[tokio::test]
async fn a_table_does_not_become_empty_because_nothing_fits() {
    let house = house().await;
    house.clean("orders", ORDERS);
    land(&house, Landing::Replace, &[&["1", "10"], &["2", "20"]]).await;
    let good = house.warehouse.clean("orders").await.expect("it cleans");
    land(&house, Landing::Replace, &[&["1", "a"], &["2", "b"]]).await;
    let error = house.warehouse.clean("orders").await.expect_err("all quarantined").to_string();
    for part in
        ["clean.orders keeps its last good version of 2 rows", "all 2 rows", "amount", "drop.csv row 2: a"]
    {
        assert!(error.contains(part), "{part} is missing in {error}");
    }
    assert_eq!(house.sql("select count(*) from clean.orders").await, ["2"]);
    assert_eq!(quarantine(&house).await, ["1|a", "2|b"], "why, can be looked at");
    // As long as that is so it stays an error, without work.
    let version = |house: &House| {
        let warehouse = house.warehouse.clone();
        async move {
            warehouse.snapshot(&"clean.orders_rejected".parse().unwrap()).await.unwrap().unwrap().version
        }
    };
    let before = version(&house).await;
    assert!(house.warehouse.clean("orders").await.is_err());
    assert_eq!(version(&house).await, before);
    // Other rows, or another definition, end it.
    land(&house, Landing::Replace, &[&["1", "11"], &["2", "b"]]).await;
    let report = house.warehouse.clean("orders").await.expect("one fits");
    assert_eq!((report.kept, report.standing), (1, 1));
    assert!(report.version > good.version);
    land(&house, Landing::Replace, &[&["1", "a"]]).await;
    assert!(house.warehouse.clean("orders").await.is_err());
    house.clean("orders", &ORDERS.replace("{type: {decimal: {precision: 10, scale: 2}}}", "{}"));
    assert_eq!(house.warehouse.clean("orders").await.expect("as text it fits").kept, 1);
    assert!(quarantine(&house).await.is_empty());
    // Emptied at its source is another thing.
    land(&house, Landing::Replace, &[]).await;
    assert_eq!(house.warehouse.clean("orders").await.expect("nothing to fit").read, 0);
    assert_eq!(house.sql("select count(*) from clean.orders").await, ["0"]);
}

#[tokio::test]
async fn the_first_rows_of_a_table_may_all_be_wrong_too() {
    let house = house().await;
    house.clean("orders", ORDERS);
    land(&house, Landing::Replace, &[&["1", "a"]]).await;
    let report = house.warehouse.clean("orders").await.expect("nothing good is lost");
    assert_eq!((report.read, report.kept, report.standing), (1, 0, 1));
    assert_eq!(house.sql("select count(*) from clean.orders").await, ["0"], "what reads it can be built");
    land(&house, Landing::Replace, &[&["1", "1"]]).await;
    assert_eq!(house.warehouse.clean("orders").await.expect("it fits").kept, 1);
}

#[tokio::test]
async fn rounded_numbers_are_counted_by_column() {
    let house = house().await;
    house.clean("orders", ORDERS);
    land(&house, Landing::Append, &[&["1", "1.005"], &["2", "2.50"], &["3", "0.999"], &["4", "0.12x"]]).await;
    let report = house.warehouse.clean("orders").await.expect("it cleans");
    assert_eq!(report.adjusted.len(), 1, "{report:?}");
    let cell = &report.adjusted[0];
    assert_eq!(
        (cell.column.as_str(), cell.count, cell.first.as_str()),
        ("amount", 2, "drop.csv row 2: 1.005")
    );
    assert!(cell.how.contains("rounded"), "{cell:?}");
}

#[tokio::test]
async fn a_discarded_quarantine_stays_empty_until_its_rows_are_cleaned_again() {
    let house = house().await;
    house.clean("orders", ORDERS);
    land(&house, Landing::Append, &[&["1", "10"], &["2", "x"]]).await;
    house.warehouse.clean("orders").await.expect("it cleans");
    assert_eq!(house.warehouse.discard_quarantine("orders").await.expect("it empties"), 1);
    assert!(house.warehouse.clean("orders").await.expect("it cleans").already);
    land(&house, Landing::Append, &[&["3", "y"]]).await;
    house.warehouse.clean("orders").await.expect("it cleans");
    assert_eq!(quarantine(&house).await, ["3|y"]);
    assert_eq!(house.warehouse.discard_quarantine("orders").await.expect("it empties"), 1);
    assert_eq!(house.warehouse.discard_quarantine("orders").await.expect("nothing is there"), 0);
    assert_eq!(house.warehouse.discard_quarantine("nothing").await.expect("nothing is there"), 0);
}
