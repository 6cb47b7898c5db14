//! Time buckets in the site's zone.

use chrono::{NaiveDate, TimeDelta, Timelike};
use store::Timestamp;

use super::query::Grain;
use crate::calendar::CalendarUnit;
use crate::{Calendar, Error, Range, Result};

/// More buckets than this are no chart and no table.
const MAX_BUCKETS: usize = 20_000;

/// The start of the bucket that holds `t`.
pub(crate) fn start_of(grain: Grain, t: Timestamp, calendar: &Calendar) -> Timestamp {
    match unit(grain) {
        Some(unit) => calendar.start_of(unit, t),
        None => {
            // Zones off by half an hour have their hours there.
            let local = calendar.local(t);
            let into = TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()))
                + TimeDelta::nanoseconds(i64::from(local.nanosecond()));
            t - into
        }
    }
}

/// The start of the bucket after the one that holds `t`.
pub(crate) fn next_of(grain: Grain, t: Timestamp, calendar: &Calendar) -> Timestamp {
    match unit(grain) {
        Some(unit) => calendar.next_of(unit, t),
        None => start_of(grain, t, calendar) + TimeDelta::hours(1),
    }
}

/// The start of the bucket that holds a day. Days have no hours: for them it is their midnight.
pub(crate) fn start_of_day(grain: Grain, day: NaiveDate, calendar: &Calendar) -> Timestamp {
    match unit(grain) {
        Some(unit) => calendar.midnight(calendar.first_day(unit, day)),
        None => calendar.midnight(day),
    }
}

/// Starts of all buckets that a range touches, oldest first.
///
/// # Errors
/// `Invalid` when there are more than 20,000.
pub(crate) fn buckets(range: &Range, grain: Grain, calendar: &Calendar) -> Result<Vec<Timestamp>> {
    let mut starts = Vec::new();
    let mut at = start_of(grain, range.from, calendar);
    while at < range.to {
        if starts.len() == MAX_BUCKETS {
            return Err(Error::invalid(format!(
                "the range holds more than {MAX_BUCKETS} buckets of one {grain:?}; ask for a longer grain or a shorter range"
            )));
        }
        starts.push(at);
        let next = next_of(grain, at, calendar);
        if next <= at {
            break;
        }
        at = next;
    }
    Ok(starts)
}

fn unit(grain: Grain) -> Option<CalendarUnit> {
    Some(match grain {
        Grain::Hour => return None,
        Grain::Day => CalendarUnit::Day,
        Grain::Week => CalendarUnit::Week,
        Grain::Month => CalendarUnit::Month,
        Grain::Quarter => CalendarUnit::Quarter,
        Grain::Year => CalendarUnit::Year,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Weekday;
    use chrono_tz::Tz;

    fn starts(range: (&str, &str), grain: Grain, calendar: &Calendar) -> Vec<String> {
        let range = Range { from: range.0.parse().expect("a time"), to: range.1.parse().expect("a time") };
        let starts = buckets(&range, grain, calendar).expect("buckets");
        starts.iter().map(|t| t.format("%Y-%m-%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn days_of_shanghai_start_at_16_utc() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let days = starts(("2026-01-01T00:00:00Z", "2026-01-02T17:00:00Z"), Grain::Day, &calendar);
        assert_eq!(days, ["2025-12-31T16:00", "2026-01-01T16:00", "2026-01-02T16:00"]);
    }

    #[test]
    fn days_with_a_clock_change_have_23_and_25_hours() {
        let berlin = Calendar::built_in(chrono_tz::Europe::Berlin);
        let spring = ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        assert_eq!(starts(spring, Grain::Day, &berlin), ["2026-03-28T23:00"]);
        assert_eq!(starts(spring, Grain::Hour, &berlin).len(), 23);
        let autumn = ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        assert_eq!(starts(autumn, Grain::Day, &berlin), ["2026-10-24T22:00"]);
        assert_eq!(starts(autumn, Grain::Hour, &berlin).len(), 25);
        let months = starts(("2026-02-28T23:00:00Z", "2026-04-30T22:00:00Z"), Grain::Month, &berlin);
        assert_eq!(months, ["2026-02-28T23:00", "2026-03-31T22:00"]);
    }

    #[test]
    fn hours_of_a_half_hour_zone_start_at_the_half_hour() {
        let calendar = Calendar::built_in(Tz::Asia__Kolkata);
        let hours = starts(("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"), Grain::Hour, &calendar);
        assert_eq!(hours, ["2025-12-31T23:30", "2026-01-01T00:30"]);
    }

    #[test]
    fn weeks_and_quarters_follow_the_site() {
        let calendar = Calendar::built_in(Tz::UTC).with_periods(Weekday::Sun, 4);
        let weeks = starts(("2026-03-18T00:00:00Z", "2026-03-23T00:00:00Z"), Grain::Week, &calendar);
        assert_eq!(weeks, ["2026-03-15T00:00", "2026-03-22T00:00"]);
        let quarters = starts(("2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"), Grain::Quarter, &calendar);
        assert_eq!(quarters, ["2026-01-01T00:00", "2026-04-01T00:00"]);
        let years = starts(("2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"), Grain::Year, &calendar);
        assert_eq!(years, ["2025-04-01T00:00", "2026-04-01T00:00"]);
    }

    #[test]
    fn a_range_without_length_has_no_bucket_and_a_huge_one_is_refused() {
        let calendar = Calendar::built_in(Tz::UTC);
        assert!(starts(("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), Grain::Day, &calendar).is_empty());
        let century = Range {
            from: "1926-01-01T00:00:00Z".parse().expect("a time"),
            to: "2026-01-01T00:00:00Z".parse().expect("a time"),
        };
        assert!(buckets(&century, Grain::Hour, &calendar).is_err());
    }
}
