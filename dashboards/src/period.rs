//! Which range a page shows, and into which buckets a curve falls.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use store::Timestamp;
use warehouse::metric::Grain;
use warehouse::{Calendar, Range};

/// More buckets than this are no curve that anybody reads; the grain is coarsened instead.
const MAX_BUCKETS: i64 = 1_000;

/// Reads a range as of `now`. A range that ends now ends at the next step of a clock that ticks slower
/// the longer the range is, so that readers who look at nearly the same moment ask the same question
/// and share its answer. Moving up, never down, keeps rows of this very moment inside.
///
/// # Errors
/// Says what is wrong with `text` and how to write it.
pub(crate) fn range(text: &str, now: Timestamp, calendar: &Calendar) -> Result<Range, String> {
    let exact = Range::parse(text, now, calendar)?;
    if exact.to != now {
        return Ok(exact);
    }
    let step = step(exact.length());
    let to = next_step(now, step);
    let moved = Range::parse(text, to, calendar)?;
    // `30d` slides along. `now/M` keeps its start, even when the step reaches into the next month.
    let slides = (moved.from - exact.from).to_std().is_ok_and(|by| by <= step);
    Ok(Range { from: if slides { moved.from } else { exact.from }, to })
}

/// About a thousandth of the range, between a second and half an hour. All steps divide an hour, so
/// that a step never crosses the start of a day in any zone.
fn step(length: TimeDelta) -> Duration {
    const STEPS: [u64; 7] = [1, 5, 15, 60, 300, 900, 1800];
    let fine = u64::try_from(length.num_seconds() / 1_000).unwrap_or(0);
    let seconds = STEPS.iter().rev().find(|s| **s <= fine).unwrap_or(&STEPS[0]);
    Duration::from_secs(*seconds)
}

fn next_step(now: Timestamp, step: Duration) -> Timestamp {
    let step = i64::try_from(step.as_micros()).unwrap_or(1_000_000).max(1);
    let micros = now.timestamp_micros();
    let next = micros.div_euclid(step).saturating_add(1).saturating_mul(step);
    DateTime::from_timestamp_micros(next).unwrap_or(now)
}

/// The bucket length of a curve over `range`: the one asked for, or one that gives 20 to 100 points;
/// coarser when there would be too many, and never finer than the metric's time column.
pub(crate) fn grain(asked: Option<Grain>, range: &Range, finest: Grain) -> Grain {
    let length = range.length();
    let wanted = asked.unwrap_or_else(|| usual(length)).max(finest);
    GRAINS
        .into_iter()
        .filter(|g| *g >= wanted)
        .find(|g| length.num_hours() / hours(*g) <= MAX_BUCKETS)
        .unwrap_or(Grain::Year)
}

const GRAINS: [Grain; 6] = [Grain::Hour, Grain::Day, Grain::Week, Grain::Month, Grain::Quarter, Grain::Year];

fn usual(length: TimeDelta) -> Grain {
    match length.num_hours() {
        ..=49 => Grain::Hour,
        50..=2_232 => Grain::Day,       // 93 days: a quarter
        2_233..=4_704 => Grain::Week,   // 28 weeks: half a year
        4_705..=52_704 => Grain::Month, // six years
        52_705..=175_200 => Grain::Quarter,
        _ => Grain::Year,
    }
}

/// Shortest length of a bucket, in hours.
fn hours(grain: Grain) -> i64 {
    match grain {
        Grain::Hour => 1,
        Grain::Day => 23,
        Grain::Week => 167,
        Grain::Month => 671,
        Grain::Quarter => 2_159,
        Grain::Year => 8_759,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn days(n: i64) -> Range {
        let from = at("2026-01-01T00:00:00Z");
        Range { from, to: from + TimeDelta::days(n) }
    }

    #[test]
    fn the_grain_follows_the_range() {
        let cases = [
            (1, Grain::Hour),
            (2, Grain::Hour),
            (7, Grain::Day),
            (30, Grain::Day),
            (92, Grain::Day),
            (180, Grain::Week),
            (365, Grain::Month),
            (365 * 5, Grain::Month),
            (365 * 10, Grain::Quarter),
            (365 * 40, Grain::Year),
        ];
        for (n, expected) in cases {
            assert_eq!(grain(None, &days(n), Grain::Hour), expected, "{n} days");
        }
    }

    #[test]
    fn an_asked_grain_is_kept_until_it_would_give_too_many_points() {
        assert_eq!(grain(Some(Grain::Hour), &days(30), Grain::Hour), Grain::Hour);
        assert_eq!(grain(Some(Grain::Hour), &days(365), Grain::Hour), Grain::Day);
        assert_eq!(grain(Some(Grain::Month), &days(3), Grain::Hour), Grain::Month);
    }

    #[test]
    fn a_date_column_has_no_hours() {
        assert_eq!(grain(None, &days(1), Grain::Day), Grain::Day);
        assert_eq!(grain(Some(Grain::Hour), &days(1), Grain::Day), Grain::Day);
    }

    #[test]
    fn a_month_keeps_its_start_in_its_last_minutes() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let now = at("2026-03-31T15:50:00Z"); // 23:50 in Shanghai
        let month = range("now/M", now, &calendar).unwrap();
        assert_eq!(month, Range { from: at("2026-02-28T16:00:00Z"), to: at("2026-03-31T16:00:00Z") });
        let last = range("last/M", now, &calendar).unwrap();
        assert_eq!(last.to, month.from, "a whole period does not move");
        let sliding = range("30d", now, &calendar).unwrap();
        assert_eq!(sliding.to, at("2026-03-31T16:00:00Z"));
        assert_eq!(sliding.length(), TimeDelta::days(30));
    }

    #[test]
    fn readers_within_one_step_share_a_question_and_the_present_second_is_inside() {
        let now = at("2026-03-04T05:06:07.008Z");
        assert_eq!(next_step(now, step(TimeDelta::days(30))), at("2026-03-04T05:30:00Z"));
        assert_eq!(next_step(now, step(TimeDelta::hours(24))), at("2026-03-04T05:07:00Z"));
        assert_eq!(next_step(now, step(TimeDelta::minutes(5))), at("2026-03-04T05:06:08Z"));
        let full = at("2026-03-04T05:30:00Z");
        let next = next_step(full, step(TimeDelta::days(30)));
        assert_eq!(next, at("2026-03-04T06:00:00Z"), "the end is exclusive, so this moment is inside");
    }
}
