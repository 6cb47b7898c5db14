//! A day stands beside the same date of the year before. The figures follow from the rows: each first of a month
//! counts 1,000, every other day 100.

use arrow::array::{ArrayRef, Date32Array, Float64Array, RecordBatch};
use chrono::{Datelike, NaiveDate};
use std::sync::Arc;

use super::{Compare, Grain, MetricQuery, ask, range};
use crate::Landing;
use crate::clean::fixture::{House, house};

async fn days(from: &str, to: &str) -> House {
    let house = house().await;
    let (from, to): (NaiveDate, NaiveDate) = (from.parse().expect("a date"), to.parse().expect("a date"));
    let days: Vec<NaiveDate> = from.iter_days().take_while(|day| *day <= to).collect();
    let n: Float64Array =
        days.iter().map(|day| if day.day() == 1 { Some(1000.0) } else { Some(100.0) }).collect();
    let days: Date32Array = days.iter().map(|day| Some(day.to_epoch_days())).collect();
    let batch =
        RecordBatch::try_from_iter([("day", Arc::new(days) as ArrayRef), ("n", Arc::new(n) as ArrayRef)]);
    house.land("mart.o", Landing::Append, batch.expect("a batch")).await;
    house.metric("m", "{title: m, table: mart.o, time: day, measure: {sum: {column: n}}}");
    house
}

/// Midnight in Shanghai is 16:00 UTC of the day before.
fn dates(from: &str, to: &str) -> crate::Range {
    let midnight = |text: &str| -> String {
        let day: NaiveDate = text.parse().expect("a date");
        format!("{}T16:00:00Z", day.pred_opt().expect("a day"))
    };
    range(&midnight(from), &midnight(to))
}

#[tokio::test]
async fn every_day_of_a_year_stands_beside_its_own_date() {
    let house = days("2023-01-01", "2025-12-31").await;
    for (year, next, alone) in [("2025-01-01", "2026-01-01", 0), ("2024-01-01", "2025-01-01", 1)] {
        let query = MetricQuery {
            grain: Some(Grain::Day),
            compare: Some(Compare::LastYear),
            ..MetricQuery::new("m", dates(year, next))
        };
        let found = ask(&house, &query).await;
        let unequal =
            found.rows.iter().filter(|row| row.previous.is_some() && row.value != row.previous).count();
        assert_eq!(unequal, 0, "{year}: a first of a month stands beside another day");
        assert_eq!(found.rows.iter().filter(|row| row.previous.is_none()).count(), alone, "{year}");
    }
}

#[tokio::test]
async fn ranges_are_compared_to_the_same_days() {
    let house = days("2023-01-01", "2025-03-31").await;
    for (from, to, value, previous) in [
        ("2025-02-28", "2025-03-01", Some(100.0), Some(100.0)),
        ("2025-02-22", "2025-03-01", Some(700.0), Some(700.0)),
        ("2025-02-27", "2025-03-03", Some(1300.0), Some(1300.0)),
        ("2024-02-29", "2024-03-01", Some(100.0), None),
        ("2024-02-27", "2024-03-02", Some(1300.0), Some(1200.0)),
        // Whole months against whole months: February 2024 has a day more.
        ("2025-02-01", "2025-03-01", Some(3700.0), Some(3800.0)),
    ] {
        let query =
            MetricQuery { compare: Some(Compare::LastYear), ..MetricQuery::new("m", dates(from, to)) };
        let found = ask(&house, &query).await;
        assert_eq!((found.rows[0].value, found.rows[0].previous), (value, previous), "{from}..{to}");
    }
}

#[tokio::test]
async fn a_quarter_by_days_stands_beside_the_dates_of_the_one_before() {
    let house = days("2024-01-01", "2025-12-31").await;
    let query = MetricQuery {
        grain: Some(Grain::Day),
        compare: Some(Compare::Previous),
        ..MetricQuery::new("m", dates("2025-04-01", "2025-07-01"))
    };
    let found = ask(&house, &query).await;
    assert!(found.rows.iter().all(|row| row.previous.is_none() || row.value == row.previous));
    // 29 to 31 May and 31 April do not exist in February: 29, 30, 31 May have no counterpart.
    assert_eq!(found.rows.iter().filter(|row| row.previous.is_none()).count(), 3);
}
