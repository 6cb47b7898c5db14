//! The period that a range is compared to.

use chrono::{DateTime, Datelike, Days, Months, NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::query::Compare;
use crate::calendar::CalendarUnit;
use crate::{Calendar, Range};

/// The range before, or the same dates a year before, on the site's wall clock.
///
/// `Previous` of a whole day, week, month, quarter or year, or of its part so far, is the one
/// before it, or the same part of it: this month until the 18th is compared to last month until
/// the 18th. Any other range is compared to the stretch of the same length that ends where it
/// begins.
pub(crate) fn previous(range: &Range, compare: Compare, calendar: &Calendar) -> Range {
    match compare {
        Compare::LastYear => moved(range, calendar, |t| t.checked_sub_months(Months::new(12))),
        Compare::Previous => before(range, calendar),
    }
}

fn before(range: &Range, calendar: &Calendar) -> Range {
    if let Some(months) = whole_months(range, calendar) {
        return moved(range, calendar, |t| t.checked_sub_months(Months::new(months)));
    }
    if let Some(unit) = running_period(range, calendar) {
        let range = match unit {
            CalendarUnit::Day => moved(range, calendar, |t| t.checked_sub_days(Days::new(1))),
            CalendarUnit::Week => moved(range, calendar, |t| t.checked_sub_days(Days::new(7))),
            CalendarUnit::Month => moved(range, calendar, |t| t.checked_sub_months(Months::new(1))),
            CalendarUnit::Quarter => moved(range, calendar, |t| t.checked_sub_months(Months::new(3))),
            CalendarUnit::Year => moved(range, calendar, |t| t.checked_sub_months(Months::new(12))),
        };
        return range;
    }
    // Whole days stay whole days over a clock change.
    if let Some(days) = same_time_of_day(range, calendar) {
        return moved(range, calendar, |t| t.checked_sub_days(Days::new(days)));
    }
    Range { from: range.from - range.length(), to: range.from }
}

/// Number of months from the start of one month to the start of another.
fn whole_months(range: &Range, calendar: &Calendar) -> Option<u32> {
    let (from, to) = (calendar.local(range.from), calendar.local(range.to));
    let starts = |t: &DateTime<Tz>| t.day() == 1 && t.time() == NaiveTime::MIN;
    let months = (to.year() - from.year()) * 12 + to.month() as i32 - from.month() as i32;
    (starts(&from) && starts(&to)).then(|| u32::try_from(months).ok())?.filter(|months| *months > 0)
}

/// The shortest period that starts where the range starts and is not over where the range ends.
fn running_period(range: &Range, calendar: &Calendar) -> Option<CalendarUnit> {
    let to = calendar.local(range.to);
    let units = [
        CalendarUnit::Day,
        CalendarUnit::Week,
        CalendarUnit::Month,
        CalendarUnit::Quarter,
        CalendarUnit::Year,
    ];
    let unit = units.into_iter().find(|unit| {
        calendar.start_of(*unit, range.from) == range.from && range.to <= calendar.next_of(*unit, range.from)
    })?;
    // A stretch of whole days inside a month is a choice of days, not a month so far.
    let whole = range.to == calendar.next_of(unit, range.from);
    (whole || to.time() != NaiveTime::MIN).then_some(unit)
}

fn same_time_of_day(range: &Range, calendar: &Calendar) -> Option<u64> {
    let (from, to) = (calendar.local(range.from), calendar.local(range.to));
    let days = (to.date_naive() - from.date_naive()).num_days();
    (from.time() == to.time() && days > 0).then(|| u64::try_from(days).ok())?
}

/// Both ends moved on the wall clock. Where the clock skips the new time, the absolute distance
/// decides.
fn moved(range: &Range, calendar: &Calendar, by: impl Fn(DateTime<Tz>) -> Option<DateTime<Tz>>) -> Range {
    let end = |t: store::Timestamp| {
        let local = calendar.local(t);
        let naive = local.naive_local().and_utc().with_timezone(&Tz::UTC);
        let shifted = by(local).map(|t| t.to_utc());
        shifted.unwrap_or_else(|| {
            let distance = by(naive).map_or(TimeDelta::zero(), |moved| naive - moved);
            t - distance
        })
    };
    let from = end(range.from);
    Range { from, to: end(range.to).max(from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_compared_to_the_one_before_it() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let at = |text: &str| {
            let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
            naive.and_local_timezone(chrono_tz::Asia::Shanghai).unwrap().to_utc()
        };
        for (compare, from, to, before_from, before_to) in [
            // Whole months, however long.
            (
                Compare::Previous,
                "2026-03-01 00:00",
                "2026-04-01 00:00",
                "2026-02-01 00:00",
                "2026-03-01 00:00",
            ),
            (
                Compare::Previous,
                "2026-01-01 00:00",
                "2026-04-01 00:00",
                "2025-10-01 00:00",
                "2026-01-01 00:00",
            ),
            // So far.
            (
                Compare::Previous,
                "2026-03-01 00:00",
                "2026-03-18 10:30",
                "2026-02-01 00:00",
                "2026-02-18 10:30",
            ),
            (
                Compare::Previous,
                "2026-03-18 00:00",
                "2026-03-18 10:30",
                "2026-03-17 00:00",
                "2026-03-17 10:30",
            ),
            (
                Compare::Previous,
                "2026-03-16 00:00",
                "2026-03-18 10:30",
                "2026-03-09 00:00",
                "2026-03-11 10:30",
            ),
            (
                Compare::Previous,
                "2026-01-01 00:00",
                "2026-03-18 10:30",
                "2025-10-01 00:00",
                "2025-12-18 10:30",
            ),
            // Any stretch.
            (
                Compare::Previous,
                "2026-03-01 00:00",
                "2026-03-04 00:00",
                "2026-02-26 00:00",
                "2026-03-01 00:00",
            ),
            (
                Compare::Previous,
                "2026-03-11 10:30",
                "2026-03-18 10:30",
                "2026-03-04 10:30",
                "2026-03-11 10:30",
            ),
            (
                Compare::Previous,
                "2026-03-18 10:00",
                "2026-03-18 11:30",
                "2026-03-18 08:30",
                "2026-03-18 10:00",
            ),
            (
                Compare::LastYear,
                "2026-03-01 00:00",
                "2026-04-01 00:00",
                "2025-03-01 00:00",
                "2025-04-01 00:00",
            ),
            (
                Compare::LastYear,
                "2024-02-29 12:00",
                "2024-03-01 12:00",
                "2023-02-28 12:00",
                "2023-03-01 12:00",
            ),
        ] {
            let range = Range { from: at(from), to: at(to) };
            let expected = Range { from: at(before_from), to: at(before_to) };
            assert_eq!(previous(&range, compare, &calendar), expected, "{from} .. {to}");
        }
    }

    #[test]
    fn whole_days_stay_whole_over_a_clock_change() {
        let berlin = Calendar::built_in(chrono_tz::Europe::Berlin);
        let midnight = |text: &str| berlin.midnight(text.parse().expect("a date"));
        let range = Range { from: midnight("2026-03-30"), to: midnight("2026-04-01") };
        let before = previous(&range, Compare::Previous, &berlin);
        assert_eq!(before, Range { from: midnight("2026-03-28"), to: midnight("2026-03-30") });
    }
}
