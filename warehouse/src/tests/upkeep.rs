use futures::TryStreamExt;

use super::*;
use crate::Since;

async fn many(house: &House, n: i64) {
    for seq in 1..=n {
        house.land("raw.orders", vec![orders(&[(seq, seq)])], Landing::Append, seq).await.unwrap();
    }
}

async fn data_files(house: &House) -> usize {
    let all: Vec<_> = house.store.list(Some(&name("raw.orders").folder())).try_collect().await.unwrap();
    all.iter().filter(|m| m.location.as_ref().ends_with("zstd.parquet")).count()
}

#[tokio::test]
async fn small_files_are_merged_and_nobody_notices() {
    let house = House::local().await;
    let table = name("raw.orders");
    many(&house, 25).await;
    let before = house.warehouse.snapshot(&table).await.unwrap().unwrap();
    house.clock.advance(Duration::from_secs(3600));
    let report = house.warehouse.upkeep(&table).await.unwrap();
    assert_eq!((report.merged, report.checkpoint, report.removed_files), (25, true, 0));
    let after = house.warehouse.snapshot(&table).await.unwrap().unwrap();
    assert_eq!((after.files.len(), after.rows()), (1, Some(25)));
    assert_eq!(after.committed_at, before.committed_at, "merging does not make data fresher");
    let expected: Vec<String> = (1..=25).map(|i| i.to_string()).collect();
    assert_eq!(house.lines("select id from raw.orders order by id").await, expected);
    // Incremental readers still get exactly what was appended.
    let Since::Appended { rows, provider, .. } = house.warehouse.snapshot_since(&table, 20).await.unwrap()
    else {
        panic!("rows were appended")
    };
    let context = house.warehouse.context();
    let seen = context.read_table(provider).unwrap().collect().await.unwrap();
    assert_eq!((rows, seen.iter().map(|b| b.num_rows()).sum::<usize>()), (4, 4));
    // The position of the stream survives in the checkpoint and in the log.
    let reopened = house.reopened().await;
    assert_eq!(reopened.mark(&table, "source/orders").await.unwrap(), Some(mark(25)));
    assert_eq!(lines_of(&reopened, "select count(*), sum(id) from raw.orders").await.unwrap(), ["25,325"]);
    let reopened_time = reopened.snapshot(&table).await.unwrap().unwrap().committed_at;
    assert_eq!(reopened_time, before.committed_at);
    assert_eq!(house.warehouse.upkeep(&table).await.unwrap(), crate::UpkeepReport::default());
}

#[tokio::test]
async fn removed_and_orphaned_files_go_after_the_retention_and_not_before() {
    let house = House::local().await;
    let table = name("raw.orders");
    many(&house, 5).await;
    let orphan = house.warehouse.stage(&table, stream(vec![orders(&[(99, 99)])])).await.unwrap();
    std::mem::forget(orphan);
    house.warehouse.upkeep(&table).await.unwrap();
    assert_eq!(data_files(&house).await, 5 + 1 + 1);
    house.clock.advance(Duration::from_secs(6 * 86_400));
    assert_eq!(house.warehouse.upkeep(&table).await.unwrap().removed_files, 0);
    house.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(house.warehouse.upkeep(&table).await.unwrap().removed_files, 6);
    assert_eq!(data_files(&house).await, 1);
    assert_eq!(house.lines("select count(*), sum(id) from raw.orders").await, ["5,15"]);
    assert!(matches!(house.warehouse.snapshot_since(&table, 1).await.unwrap(), Since::Rewritten { .. }));
}

#[tokio::test]
async fn a_query_that_began_before_the_merge_ends_well() {
    let house = House::local().await;
    many(&house, 6).await;
    let context = house.warehouse.context();
    let frame = context.sql("select sum(id) from raw.orders").await.unwrap();
    house.warehouse.upkeep(&name("raw.orders")).await.unwrap();
    assert_eq!(table_lines(&frame.collect().await.unwrap()), ["21"]);
}
