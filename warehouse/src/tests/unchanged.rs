use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

use super::*;

/// Rows as a source delivers them: with the time at which they were read.
fn read(rows: &[(i64, Option<&str>)], at: i64) -> RecordBatch {
    let ids = Int64Array::from(rows.iter().map(|r| r.0).collect::<Vec<_>>());
    let notes: StringArray = rows.iter().map(|r| r.1).collect();
    let loaded = TimestampMicrosecondArray::from(vec![at; rows.len()]).with_timezone("UTC");
    batch(vec![
        ("id", Arc::new(ids) as ArrayRef),
        ("note", Arc::new(notes)),
        ("_loaded_at", Arc::new(loaded)),
    ])
}

fn at_the_same_place(seq: i64) -> LoadMark {
    LoadMark { cursor: serde_json::Value::Null, ..mark(seq) }
}

async fn land(house: &House, rows: Vec<RecordBatch>, how: Landing, mark: LoadMark) -> crate::Landed {
    house.clock.advance(Duration::from_secs(60));
    house.warehouse.land(&name("raw.orders"), stream(rows), how, mark).await.unwrap()
}

async fn files(house: &House) -> usize {
    use futures::TryStreamExt;
    house.store.list(None).try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test]
async fn a_whole_table_that_comes_again_as_it_was_is_no_new_version() {
    let house = House::local().await;
    let first = land(
        &house,
        vec![read(&[(1, Some("a")), (2, None), (2, None)], 1)],
        Landing::Replace,
        at_the_same_place(1),
    );
    let first = first.await;
    let before = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    let kept = files(&house).await;
    // In another order, in other batches, read at another time.
    let again = vec![read(&[(2, None)], 9), read(&[(2, None), (1, Some("a"))], 9)];
    let landed = land(&house, again, Landing::Replace, at_the_same_place(2)).await;
    assert_eq!((landed.version, landed.rows, landed.unchanged), (first.version, 3, true));
    let after = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    assert_eq!((after.version, after.committed_at, files(&house).await), (0, before.committed_at, kept));
    for (seq, other) in [
        vec![read(&[(1, Some("a")), (2, None)], 9)],
        vec![read(&[(1, Some("a")), (2, Some("")), (2, None)], 9)],
        vec![read(&[(1, Some("a")), (1, Some("a")), (2, None)], 9)],
        vec![read(&[(1, None), (2, Some("a")), (2, None)], 9)],
    ]
    .into_iter()
    .enumerate()
    {
        let landed = land(&house, other, Landing::Replace, at_the_same_place(seq as i64 + 3)).await;
        assert_eq!((landed.version, landed.unchanged), (seq as i64 + 1, false), "{seq}");
    }
}

#[tokio::test]
async fn a_position_that_moved_on_without_other_rows_is_kept_and_makes_nothing_fresher() {
    let house = House::local().await;
    let rows = || vec![read(&[(1, Some("a")), (2, Some("b"))], 1)];
    land(&house, rows(), Landing::Replace, mark(1)).await;
    let before = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    let landed = land(&house, rows(), Landing::Replace, mark(2)).await;
    assert!(landed.unchanged && !landed.already, "{landed:?}");
    for warehouse in [house.warehouse.clone(), house.reopened().await] {
        assert_eq!(warehouse.mark(&name("raw.orders"), "source/orders").await.unwrap(), Some(mark(2)));
        let after = warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
        assert_eq!(after.committed_at, before.committed_at);
        let since = warehouse.snapshot_since(&name("raw.orders"), before.version).await.unwrap();
        assert!(matches!(since, crate::Since::Unchanged { .. }));
    }
    // The same landing once more is known by its number.
    assert!(land(&house, rows(), Landing::Replace, mark(2)).await.already);
    assert_eq!(house.lines("select count(*) from raw.orders").await, ["2"]);
}

#[tokio::test]
async fn keys_and_files_that_come_again_as_they_were_change_nothing() {
    let house = House::local().await;
    let by_id = || Landing::Upsert { keys: vec!["id".into()] };
    let first: Vec<(i64, Option<&str>)> = (0..200).map(|id| (id, Some("x"))).collect();
    land(&house, vec![read(&first, 1)], by_id(), at_the_same_place(1)).await;
    let landed = land(&house, vec![read(&first[50..90], 2)], by_id(), at_the_same_place(2)).await;
    assert_eq!((landed.version, landed.rows, landed.unchanged), (0, 40, true));
    // One of many differs: only that one is written.
    let mut some = first[50..90].to_vec();
    some[3].1 = Some("y");
    let landed = land(&house, vec![read(&some, 3)], by_id(), at_the_same_place(3)).await;
    assert_eq!((landed.version, landed.unchanged), (1, false));
    let loaded =
        "select arrow_cast(_loaded_at, 'Int64'), count(*), min(note) from raw.orders group by 1 order by 1";
    assert_eq!(house.lines(loaded).await, ["1,199,x", "3,1,y"]);
    let snapshot = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    assert_eq!(snapshot.files.iter().filter_map(|f| f.rows()).sum::<u64>(), 200);

    let file = |rows: &[i64]| {
        let names: StringArray = rows.iter().map(|_| Some("a.csv")).collect();
        batch(vec![("id", Arc::new(Int64Array::from(rows.to_vec())) as ArrayRef), ("_file", Arc::new(names))])
    };
    let again = || Landing::ReplaceFile { file: "a.csv".into() };
    let table = name("raw.drops");
    let drop = async |rows: &[i64], how: Landing, seq: i64| {
        house.clock.advance(Duration::from_secs(60));
        house.warehouse.land(&table, stream(vec![file(rows)]), how, mark(seq)).await.unwrap()
    };
    drop(&[1, 2, 3], Landing::Append, 1).await;
    let at = house.warehouse.snapshot(&table).await.unwrap().unwrap().committed_at;
    assert!(drop(&[3, 2, 1], again(), 2).await.unchanged);
    assert_eq!(house.warehouse.snapshot(&table).await.unwrap().unwrap().committed_at, at);
    assert_eq!(house.warehouse.mark(&table, "source/orders").await.unwrap(), Some(mark(2)));
    assert!(!drop(&[3, 2], again(), 3).await.unchanged);
    assert!(!drop(&[], again(), 4).await.unchanged);
    assert!(drop(&[], again(), 5).await.unchanged);
    assert_eq!(house.lines("select count(*) from raw.drops").await, ["0"]);
}

#[tokio::test]
async fn an_interval_is_replaced_and_keys_wherever_they_lie() {
    let house = House::local().await;
    let table = name("mart.daily");
    let rows = |rows: &[(i64, Option<i32>, i64)]| {
        let days: datafusion::arrow::array::Date32Array = rows.iter().map(|r| r.1).collect();
        batch(vec![
            ("id", Arc::new(Int64Array::from(rows.iter().map(|r| r.0).collect::<Vec<_>>())) as ArrayRef),
            ("day", Arc::new(days)),
            ("n", Arc::new(Int64Array::from(rows.iter().map(|r| r.2).collect::<Vec<_>>()))),
        ])
    };
    let since = |day: i32| Landing::Interval {
        column: "day".into(),
        since: crate::Start::Day(day),
        keys: vec!["id".into()],
    };
    let land = async |given: &[(i64, Option<i32>, i64)], how: Landing, seq: i64| {
        house.clock.advance(Duration::from_secs(60));
        house.warehouse.land(&table, stream(vec![rows(given)]), how, mark(seq)).await.unwrap()
    };
    let lines =
        async || house.lines("select id, arrow_cast(day, 'Int32'), n from mart.daily order by 1, 3").await;
    land(
        &[(1, Some(10), 1), (2, Some(11), 1), (3, Some(12), 1), (4, None, 1), (5, Some(90), 1)],
        since(0),
        1,
    )
    .await;
    // Day 11 emptied, day 12 counted anew with two rows of a key, row 1 moved into the interval, the far row gone.
    let landed = land(&[(3, Some(12), 2), (3, Some(12), 3), (1, Some(11), 5)], since(11), 2).await;
    assert!(!landed.unchanged);
    assert_eq!(lines().await, ["1,11,5", "3,12,2", "3,12,3", "4,,1"]);
    let landed = land(&[(1, Some(11), 5), (3, Some(12), 3), (3, Some(12), 2)], since(11), 3).await;
    assert!(landed.unchanged, "{landed:?}");
    land(&[], since(12), 4).await;
    assert_eq!(lines().await, ["1,11,5", "4,,1"]);
}
