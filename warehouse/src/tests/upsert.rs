use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

use super::*;
use crate::Error;

fn by_id() -> Landing {
    Landing::Upsert { keys: vec!["id".into()] }
}

#[tokio::test]
async fn an_upsert_writes_again_only_the_files_that_hold_its_keys() {
    let house = House::local().await;
    for seq in 0..5 {
        let rows: Vec<(i64, i64)> = (0..10).map(|i| (seq * 10 + i, 1)).collect();
        house.land("raw.orders", vec![orders(&rows)], Landing::Append, seq + 1).await.unwrap();
    }
    let before = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    house.land("raw.orders", vec![orders(&[(23, 100), (1000, 7)])], by_id(), 6).await.unwrap();
    let after = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    let kept = before.files.iter().filter(|b| after.files.iter().any(|a| a.name == b.name)).count();
    assert_eq!(kept, 4);
    assert_eq!(house.lines("select count(*), sum(amount) from raw.orders").await, ["51,156"]);
    // A key between two files' bounds touches neither.
    house.land("raw.orders", vec![orders(&[(5000, 1)])], by_id(), 7).await.unwrap();
    let last = house.warehouse.snapshot(&name("raw.orders")).await.unwrap().unwrap();
    assert_eq!(last.files.len(), after.files.len() + 1);
}

#[tokio::test]
async fn the_last_row_of_a_key_wins_inside_one_landing() {
    let house = House::local().await;
    let rows = vec![orders(&[(1, 1), (2, 1), (1, 2)]), orders(&[(2, 3), (3, 1), (1, 4)])];
    let landed = house.land("raw.orders", rows, by_id(), 1).await.unwrap();
    assert_eq!(landed.rows, 3);
    assert_eq!(house.lines("select id, amount from raw.orders order by id").await, ["1,4", "2,3", "3,1"]);
}

#[tokio::test]
async fn null_keys_are_equal_and_several_columns_make_a_key() {
    let house = House::local().await;
    let rows = |rows: &[(Option<&str>, Option<i64>, i64)]| {
        let a: StringArray = rows.iter().map(|r| r.0).collect();
        let b: Int64Array = rows.iter().map(|r| r.1).collect();
        let v: Int64Array = rows.iter().map(|r| Some(r.2)).collect();
        batch(vec![("a", Arc::new(a) as ArrayRef), ("b", Arc::new(b)), ("v", Arc::new(v))])
    };
    let keys = || Landing::Upsert { keys: vec!["a".into(), "b".into()] };
    let first = rows(&[(Some("x"), Some(1), 1), (Some("x"), None, 2), (None, Some(1), 3), (None, None, 4)]);
    house.land("raw.t", vec![first], keys(), 1).await.unwrap();
    let second = rows(&[(Some("x"), None, 20), (None, None, 40), (Some("y"), Some(1), 5)]);
    house.land("raw.t", vec![second], keys(), 2).await.unwrap();
    assert_eq!(house.lines("select v from raw.t order by v").await, ["1", "3", "5", "20", "40"]);
}

#[tokio::test]
async fn a_key_that_is_not_delivered_is_named() {
    let house = House::local().await;
    let how = Landing::Upsert { keys: vec!["number".into()] };
    let error = house.land("raw.orders", vec![orders(&[(1, 1)])], how, 1).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid { message } if message.contains("number")), "{error}");
}

/// A small generator, so that a failure replays from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n) as i64
    }
}

#[tokio::test]
async fn random_landings_match_a_map() {
    for seed in 1..=6 {
        let house = House::memory().await;
        let mut random = Random(seed);
        let mut model: BTreeMap<i64, i64> = BTreeMap::new();
        for seq in 1..=25 {
            let wide = random.below(2) == 0;
            let rows: Vec<(i64, i64)> = (0..random.below(40) + 1)
                .map(|_| (if wide { random.below(300) } else { 100 + random.below(15) }, random.below(1000)))
                .collect();
            if random.below(10) == 0 {
                model.clear();
                let last: BTreeMap<i64, i64> = rows.iter().copied().collect();
                let rows: Vec<(i64, i64)> = last.into_iter().collect();
                house.land("raw.orders", vec![orders(&rows)], Landing::Replace, seq).await.unwrap();
                model.extend(rows);
            } else {
                let (a, b) = rows.split_at(rows.len() / 2);
                house.land("raw.orders", vec![orders(a), orders(b)], by_id(), seq).await.unwrap();
                model.extend(rows.iter().copied());
            }
            if random.below(5) == 0 {
                house.warehouse.upkeep(&name("raw.orders")).await.unwrap();
            }
        }
        let expected: Vec<String> = model.iter().map(|(k, v)| format!("{k},{v},n{v}")).collect();
        let sql = "select id, amount, note from raw.orders order by id";
        assert_eq!(house.lines(sql).await, expected, "seed {seed}");
        assert_eq!(lines_of(&house.reopened().await, sql).await.unwrap(), expected, "seed {seed}, reopened");
    }
}
