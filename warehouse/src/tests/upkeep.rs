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
    many(&house, 16).await;
    let orphan = house.warehouse.stage(&table, stream(vec![orders(&[(99, 99)])])).await.unwrap();
    std::mem::forget(orphan);
    house.warehouse.upkeep(&table).await.unwrap();
    assert_eq!(data_files(&house).await, 16 + 1 + 1);
    house.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(house.warehouse.upkeep(&table).await.unwrap().removed_files, 0);
    house.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(house.warehouse.upkeep(&table).await.unwrap().removed_files, 17);
    assert_eq!(data_files(&house).await, 1);
    assert_eq!(house.lines("select count(*), sum(id) from raw.orders").await, ["16,136"]);
    assert!(matches!(house.warehouse.snapshot_since(&table, 1).await.unwrap(), Since::Rewritten { .. }));
}

#[tokio::test]
async fn a_query_that_began_before_the_merge_ends_well() {
    let house = House::local().await;
    many(&house, 20).await;
    let context = house.warehouse.context();
    let frame = context.sql("select sum(id) from raw.orders").await.unwrap();
    house.warehouse.upkeep(&name("raw.orders")).await.unwrap();
    assert_eq!(table_lines(&frame.collect().await.unwrap()), ["210"]);
}

fn by_id() -> Landing {
    Landing::Upsert { keys: vec!["id".into()] }
}

/// Rows that compress badly, so that bytes follow rows.
fn wide(ids: std::ops::Range<i64>, salt: i64) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let notes: StringArray = ids
        .iter()
        .map(|id| {
            let text = (0..12).map(|n| {
                format!("{:x}", (id * 31 + salt * 17 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15u64 as i64))
            });
            Some(text.collect::<String>())
        })
        .collect();
    batch(vec![("id", Arc::new(Int64Array::from(ids)) as ArrayRef), ("note", Arc::new(notes))])
}

#[tokio::test]
async fn what_nobody_reads_takes_at_most_three_times_the_room_of_what_is_live() {
    let house = House::local().await;
    let table = name("raw.wide");
    for seq in 1..=40 {
        house.land("raw.wide", vec![wide(0..4_000, seq)], Landing::Replace, seq).await.unwrap();
        house.clock.advance(Duration::from_secs(900));
        if seq % 4 == 0 {
            house.warehouse.upkeep(&table).await.unwrap();
        }
    }
    house.clock.advance(Duration::from_secs(900));
    house.warehouse.upkeep(&table).await.unwrap();
    let live = house.warehouse.snapshot(&table).await.unwrap().unwrap().bytes();
    let usage = house.warehouse.usage(&table).await.unwrap();
    assert!(live > 256 << 10 && usage.stored_bytes <= 3 * live + usage.log_bytes, "{live}: {usage:?}");
    let said = house.lines("select live_bytes, stored_bytes, versions, files from system.tables").await;
    assert_eq!(said, [format!("{live},{},{},1", usage.stored_bytes, usage.versions)]);
    assert_eq!(house.lines("select count(*), max(id) from raw.wide").await, ["4000,3999"]);
}

#[tokio::test]
async fn a_reader_in_the_middle_of_an_old_version_finishes() {
    let house = House::local().await;
    let table = name("raw.wide");
    for part in 0..6 {
        let rows = wide(part * 8_000..(part + 1) * 8_000, 0);
        house.land("raw.wide", vec![rows], Landing::Append, part + 1).await.unwrap();
    }
    let mut reading = house.warehouse.context().sql("select id from raw.wide").await.unwrap();
    reading = reading.filter(datafusion::prelude::col("id").gt(datafusion::prelude::lit(-1))).unwrap();
    let mut stream = reading.execute_stream().await.unwrap();
    let mut seen = stream.next().await.unwrap().unwrap().num_rows();
    for seq in 7..=12 {
        house.land("raw.wide", vec![wide(0..4_000, seq)], Landing::Replace, seq).await.unwrap();
        house.clock.advance(Duration::from_secs(86_400 * 3));
        house.warehouse.upkeep(&table).await.unwrap();
    }
    while let Some(rows) = stream.next().await {
        seen += rows.unwrap().num_rows();
    }
    assert_eq!(seen, 48_000);
    drop(stream);
    assert!(house.warehouse.upkeep(&table).await.unwrap().removed_files > 0, "it goes when nobody reads it");
}

#[tokio::test]
async fn the_log_is_shortened_and_the_positions_stay() {
    let house = House::local().await;
    let table = name("raw.orders");
    let other = LoadMark { stream: "source/other".into(), ..mark(1) };
    house
        .warehouse
        .land(&table, stream(vec![orders(&[(0, 0)])]), Landing::Append, other.clone())
        .await
        .unwrap();
    for seq in 1..=120 {
        house.land("raw.orders", vec![orders(&[(seq, seq)])], Landing::Append, seq).await.unwrap();
        house.clock.advance(Duration::from_secs(1800));
        if seq % 10 == 0 {
            house.warehouse.upkeep(&table).await.unwrap();
        }
    }
    let usage = house.warehouse.usage(&table).await.unwrap();
    assert!(usage.versions < 90, "a day and what came since the last checkpoint: {usage:?}");
    let reopened = house.reopened().await;
    assert_eq!(reopened.mark(&table, "source/orders").await.unwrap(), Some(mark(120)));
    assert_eq!(reopened.mark(&table, "source/other").await.unwrap(), Some(other));
    assert_eq!(lines_of(&reopened, "select count(*), sum(id) from raw.orders").await.unwrap(), ["121,7260"]);
    assert!(matches!(reopened.snapshot_since(&table, 3).await.unwrap(), Since::Rewritten { .. }));
}

#[tokio::test]
async fn keyed_changes_cost_little_more_than_what_they_touch() {
    let house = House::local().await;
    let table = name("clean.tasks");
    let first: Vec<(i64, i64)> = (0..20_000).map(|id| (id, 0)).collect();
    let staged = house.warehouse.stage_in_order(&table, stream(vec![orders(&first)])).await.unwrap();
    house.warehouse.publish(staged, Landing::Replace, mark(1)).await.unwrap();
    let (mut rewritten, mut changed) = (0, 0);
    for seq in 2..=61i64 {
        let before = house.warehouse.snapshot(&table).await.unwrap().unwrap();
        // Two new rows, and three that came lately change.
        let newest = 20_000 + (seq - 2) * 2;
        let rows =
            [newest, newest + 1, newest - 3, newest - 1 - (seq * 7) % 40, newest - 1 - (seq * 11) % 90];
        let rows: std::collections::BTreeMap<i64, i64> = rows.iter().map(|id| (*id, seq)).collect();
        let rows: Vec<(i64, i64)> = rows.into_iter().collect();
        house.land("clean.tasks", vec![orders(&rows)], by_id(), seq).await.unwrap();
        let after = house.warehouse.snapshot(&table).await.unwrap().unwrap();
        let old: std::collections::BTreeSet<&str> = before.files.iter().map(|f| f.name.as_str()).collect();
        let new = after.files.iter().filter(|f| !old.contains(f.name.as_str()));
        rewritten += new.filter_map(|f| f.rows()).sum::<u64>() - rows.len() as u64;
        changed += rows.len() as u64;
        if seq % 6 == 0 {
            house.warehouse.upkeep(&table).await.unwrap();
        }
    }
    assert!(rewritten <= 20 * changed, "{rewritten} rows were written again for {changed}");
    assert_eq!(house.lines("select count(*), count(distinct id) from clean.tasks").await, ["20120,20120"]);
    // Other readers of Delta see the same.
    let delta = crate::log::delta_table(&house.store, &table).await.unwrap();
    let seen = datafusion::prelude::SessionContext::new();
    seen.register_table("t", delta.table_provider().await.unwrap()).unwrap();
    let rows = seen.sql("select count(*), sum(amount) from t").await.unwrap().collect().await.unwrap();
    assert_eq!(table_lines(&rows), house.lines("select count(*), sum(amount) from clean.tasks").await);
}
