//! Cleaning tables through the warehouse.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Landing;
use crate::clean::fixture::{House, house, rows, table};
use crate::clean::{Reason, Reject, reject};

const APPROVALS: &str = "
from: raw.approvals
key: [id]
latest: updated_at
columns:
  id: {type: int}
  status: {map: {values: {R: running, D: done}}}
  updated_at: {type: timestamp}
";

const COLUMNS: [&str; 3] = ["id", "status", "updated_at"];

async fn land(house: &House, texts: &[&[&str]]) {
    house.land_texts("raw.approvals", Landing::Append, &COLUMNS, &rows(texts)).await;
}

async fn approvals(house: &House) -> Vec<String> {
    house.sql("select id, status, updated_at from clean.approvals order by id").await
}

#[tokio::test]
async fn the_newest_version_of_a_key_stays_and_misfits_go_to_quarantine() {
    let house = house().await;
    house.clean("approvals", APPROVALS);
    // Before anything came there is an empty table, once.
    let empty = house.warehouse.clean("approvals").await.expect("it lays out");
    assert_eq!((empty.read, empty.already, approvals(&house).await.len()), (0, false, 0));
    assert!(house.warehouse.clean("approvals").await.expect("it stands").already);
    land(
        &house,
        &[
            &["1", "R", "2026-03-01 09:00"],
            &["1", "D", "2026-03-02 09:00"],
            &["2", "X", "2026-03-01 09:00"],
            &["~", "R", "2026-03-01 09:00"],
            &["3", "R", "2026-03-01 09:00"],
        ],
    )
    .await;
    let report = house.warehouse.clean("approvals").await.expect("it cleans");
    assert_eq!((report.read, report.kept, report.rejected, report.merged, report.full), (5, 3, 2, 1, true));
    assert_eq!(approvals(&house).await, ["1|done|2026-03-02T01:00:00Z", "3|running|2026-03-01T01:00:00Z"]);
    let rejected =
        house.sql("select \"row\", \"column\", reason, value from clean.approvals_rejected order by 1").await;
    assert_eq!(rejected, ["4|status|code is not in the map|X", "5|id|required value is missing|"]);
    let again = house.warehouse.clean("approvals").await.expect("it cleans");
    assert!(again.already && again.version == report.version);
}

#[tokio::test]
async fn an_increment_changes_what_came_and_keeps_newer_versions() {
    let house = house().await;
    house.clean("approvals", APPROVALS);
    land(&house, &[&["1", "R", "2026-03-05 09:00"], &["2", "R", "2026-03-05 09:00"]]).await;
    house.warehouse.clean("approvals").await.expect("it cleans");
    // An older version of 1 arrives late, 2 moves on, 3 is new, one row does not fit.
    land(
        &house,
        &[
            &["1", "D", "2026-03-01 09:00"],
            &["2", "D", "2026-03-06 09:00"],
            &["3", "R", "2026-03-06 09:00"],
            &["x", "R", "2026-03-06 09:00"],
        ],
    )
    .await;
    let report = house.warehouse.clean("approvals").await.expect("it cleans");
    assert_eq!((report.read, report.kept, report.rejected, report.merged, report.full), (4, 3, 1, 1, false));
    assert_eq!(
        approvals(&house).await,
        ["1|running|2026-03-05T01:00:00Z", "2|done|2026-03-06T01:00:00Z", "3|running|2026-03-06T01:00:00Z"]
    );
}

#[tokio::test]
async fn rows_leave_quarantine_when_the_definition_fits_them() {
    let house = house().await;
    house.clean("approvals", APPROVALS);
    land(&house, &[&["1", "R", "2026-03-05 09:00"], &["2", "W", "2026-03-05 09:00"]]).await;
    let report = house.warehouse.clean("approvals").await.expect("it cleans");
    assert_eq!(report.rejected, 1);
    house.clean("approvals", &APPROVALS.replace("D: done", "D: done, W: withdrawn"));
    let report = house.warehouse.release("approvals").await.expect("it cleans");
    assert_eq!((report.released, report.rejected, report.full), (1, 0, true));
    assert_eq!(house.sql("select count(*) from clean.approvals_rejected").await, ["0"]);
    assert_eq!(approvals(&house).await.len(), 2);
    // A changed type is published too.
    house.clean("approvals", &APPROVALS.replace("id: {type: int}", "id: {}"));
    let report = house.warehouse.clean("approvals").await.expect("it cleans");
    assert!(report.full);
    assert_eq!(house.sql("select arrow_typeof(max(id)) from clean.approvals").await.len(), 1);
}

#[tokio::test]
async fn cleaning_step_by_step_gives_what_cleaning_at_once_gives() {
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..6 {
        let (stepwise, at_once) = (house().await, house().await);
        let keyed = if round % 3 == 2 {
            APPROVALS.replace("key: [id]\nlatest: updated_at", "")
        } else {
            APPROVALS.to_owned()
        };
        let latest = if round % 3 == 1 { keyed.replace("latest: updated_at", "") } else { keyed };
        let mut read = 0;
        let mut reports: BTreeMap<&str, u64> = BTreeMap::new();
        for house in [&stepwise, &at_once] {
            house.clean("approvals", &latest);
        }
        for _ in 0..5 {
            // Enough rows that some fit: a whole table in quarantine is refused.
            let count = random.random_range(8..30);
            read += count;
            let drop: Vec<Vec<Option<String>>> = (0..count)
                .map(|_| {
                    let id = match random.random_range(0..12) {
                        0 => None,
                        1 => Some("x".to_owned()),
                        n => Some(n.to_string()),
                    };
                    let status = ["R", "D", "Q"][random.random_range(0..3)].to_owned();
                    let day = random.random_range(1..9);
                    vec![id, Some(status), Some(format!("2026-03-0{day}"))]
                })
                .collect();
            for house in [&stepwise, &at_once] {
                house.land_texts("raw.approvals", Landing::Append, &COLUMNS, &drop).await;
            }
            let report = stepwise.warehouse.clean("approvals").await.expect("it cleans");
            assert_eq!(report.kept + report.rejected, report.read);
            *reports.entry("read").or_default() += report.read;
            *reports.entry("rejected").or_default() += report.rejected;
        }
        let report = at_once.warehouse.clean("approvals").await.expect("it cleans");
        assert_eq!(reports["read"], read as u64);
        assert_eq!((report.read, report.rejected), (reports["read"], reports["rejected"]));
        let all = "select * from clean.approvals order by 1, 2, 3";
        assert_eq!(stepwise.sql(all).await, at_once.sql(all).await, "round {round}");
        let rejected = "select \"row\", \"column\", value from clean.approvals_rejected order by 1, 2, 3";
        assert_eq!(stepwise.sql(rejected).await, at_once.sql(rejected).await, "round {round}");
    }
}

#[tokio::test]
async fn a_rewritten_raw_table_is_cleaned_anew() {
    let house = house().await;
    house.clean("approvals", APPROVALS);
    land(&house, &[&["1", "R", "2026-03-05"], &["2", "R", "2026-03-05"]]).await;
    house.warehouse.clean("approvals").await.expect("it cleans");
    house.land_texts("raw.approvals", Landing::Replace, &COLUMNS, &rows(&[&["9", "D", "2026-03-06"]])).await;
    let report = house.warehouse.clean("approvals").await.expect("it cleans");
    assert!(report.full);
    assert_eq!(approvals(&house).await, ["9|done|2026-03-05T16:00:00Z"]);
}

#[tokio::test]
async fn a_kill_between_the_two_commits_is_repaired_by_the_next_run() {
    let house = house().await;
    house.clean("approvals", APPROVALS);
    land(&house, &[&["1", "R", "2026-03-05"], &["x", "R", "2026-03-05"]]).await;
    house.warehouse.clean("approvals").await.expect("it cleans");
    land(&house, &[&["2", "R", "2026-03-05"], &["y", "R", "2026-03-05"]]).await;
    // What a killed run leaves behind: its quarantine rows, without its clean rows.
    let rejected = table("clean.approvals_rejected");
    let mark = house.warehouse.mark(&rejected, "clean/approvals").await.expect("a look").expect("a mark");
    let half = reject::batch(&[Reject {
        row: Some(3),
        file: Some("drop.csv".into()),
        loaded_at: None,
        column: "id".into(),
        reason: Reason::NotANumber,
        value: Some("y".into()),
        also: None,
        record: "{}".into(),
        key: None,
    }])
    .expect("a batch");
    let torn = crate::LoadMark { seq: mark.seq + 1, operation: "torn".into(), ..mark };
    let stream = futures::StreamExt::boxed(futures::stream::iter([Ok(half)]));
    house.warehouse.land(&rejected, stream, Landing::Append, torn).await.expect("it lands");
    let report = house.warehouse.clean("approvals").await.expect("it cleans");
    assert!(report.full);
    assert_eq!(house.sql("select value from clean.approvals_rejected order by 1").await, ["x", "y"]);
    assert_eq!(approvals(&house).await.len(), 2);
}

/// Run with `--ignored --nocapture` to see the rate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn cleaning_a_table_of_a_million_rows_takes_seconds() {
    let house = house().await;
    house.clean("approvals", APPROVALS);
    let drop = |from: usize, count: usize| -> Vec<Vec<Option<String>>> {
        let row = |i: usize| {
            let time = format!("2026-03-{:02} {:02}:{:02}:00", i % 28 + 1, i % 24, i % 60);
            vec![
                Some((i * 7 % 1_000_000).to_string()),
                Some(["R", "D", "X"][if i.is_multiple_of(997) { 2 } else { i % 2 }].to_owned()),
                Some(time),
            ]
        };
        (from..from + count).map(row).collect()
    };
    let now = std::time::Instant::now;
    for (from, count) in [(0, 1_200_000), (1_200_000, 1_000)] {
        let started = now();
        house.land_texts("raw.approvals", Landing::Append, &COLUMNS, &drop(from, count)).await;
        println!("landed {count} rows in {:?}", started.elapsed());
        let started = now();
        let report = house.warehouse.clean("approvals").await.expect("it cleans");
        println!("{report:?} in {:?}", started.elapsed());
    }
}
