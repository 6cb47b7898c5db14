//! The period that a range is compared to.

use chrono::{DateTime, Datelike, Days, Months, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use store::Timestamp;

use super::Period;
use super::query::{Compare, Grain, MetricQuery};
use crate::calendar::{CalendarUnit, shift};
use crate::{Calendar, Range};

/// Weeks do not divide a year. So many of them keep every week beside one that begins on the same weekday.
const WEEKS_OF_A_YEAR: u64 = 52;

/// The range before, or the same dates a year before, on the site's wall clock.
///
/// `Previous` of a calendar period is the one before it, or the same part of it: this month until the 18th
/// is compared to last month until the 18th. Where the question does not say which period it means, its
/// dates are taken for the shortest that they fit. Any other range is compared to the stretch of the same
/// length that ends where it begins.
pub(crate) fn previous(ask: &MetricQuery, compare: Compare, calendar: &Calendar) -> Range {
    let range = &ask.range;
    match (compare, ask.period) {
        (Compare::LastYear, _) if ask.grain == Some(Grain::Week) => {
            moved(range, calendar, |t| t.checked_sub_days(Days::new(7 * WEEKS_OF_A_YEAR)))
        }
        (Compare::LastYear, _) => moved(range, calendar, |t| t.checked_sub_months(Months::new(12))),
        (Compare::Previous, Some(period)) => period_before(range, period, calendar),
        (Compare::Previous, None) => before(range, calendar),
    }
}

fn period_before(range: &Range, period: Period, calendar: &Calendar) -> Range {
    let unit = period.unit;
    let first = calendar.first_day(unit, calendar.local(range.from).date_naive());
    let from = calendar.midnight(shift(first, unit, -1));
    if !period.so_far {
        return Range { from, to: range.from };
    }
    // A midnight ends the day before it, and it is that day which has a counterpart: in the last minutes of
    // a day, when the end of a page is rounded up to midnight, the base must not move to another day.
    let whole_days = calendar.local(range.to).time() == NaiveTime::MIN;
    let day = Days::new(u64::from(whole_days));
    let to = moved_end(range.to, calendar, &|t| back(unit, t.checked_sub_days(day)?)?.checked_add_days(day));
    Range { from, to: to.min(range.from).max(from) }
}

fn back(unit: CalendarUnit, t: DateTime<Tz>) -> Option<DateTime<Tz>> {
    match unit {
        CalendarUnit::Day => t.checked_sub_days(Days::new(1)),
        CalendarUnit::Week => t.checked_sub_days(Days::new(7)),
        CalendarUnit::Month => t.checked_sub_months(Months::new(1)),
        CalendarUnit::Quarter => t.checked_sub_months(Months::new(3)),
        CalendarUnit::Year => t.checked_sub_months(Months::new(12)),
    }
}

fn before(range: &Range, calendar: &Calendar) -> Range {
    if let Some(months) = whole_months(range, calendar) {
        return moved(range, calendar, |t| t.checked_sub_months(Months::new(months)));
    }
    if let Some(unit) = running_period(range, calendar) {
        return moved(range, calendar, |t| back(unit, t));
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

/// Both ends moved on the wall clock.
fn moved(range: &Range, calendar: &Calendar, by: impl Fn(DateTime<Tz>) -> Option<DateTime<Tz>>) -> Range {
    let from = moved_end(range.from, calendar, &by);
    Range { from, to: moved_end(range.to, calendar, &by).max(from) }
}

/// Where the clock skips the new time, the absolute distance decides.
fn moved_end(
    t: Timestamp,
    calendar: &Calendar,
    by: &impl Fn(DateTime<Tz>) -> Option<DateTime<Tz>>,
) -> Timestamp {
    let local = calendar.local(t);
    let naive = local.naive_local().and_utc().with_timezone(&Tz::UTC);
    by(local).map(|t| t.to_utc()).unwrap_or_else(|| {
        let distance = by(naive).map_or(TimeDelta::zero(), |moved| naive - moved);
        t - distance
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
        naive.and_local_timezone(chrono_tz::Asia::Shanghai).unwrap().to_utc()
    }

    fn plain(range: Range) -> MetricQuery {
        MetricQuery::new("any", range)
    }

    #[test]
    fn a_named_period_is_compared_to_the_one_before_it_whatever_its_dates_look_like() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        for (text, from, to, before_from, before_to) in [
            // The first of a month is also a month so far, a quarter so far and a year so far.
            ("now/d", "2026-01-01 00:00", "2026-01-01 10:30", "2025-12-31 00:00", "2025-12-31 10:30"),
            ("now/M", "2026-01-01 00:00", "2026-01-01 10:30", "2025-12-01 00:00", "2025-12-01 10:30"),
            ("now/Q", "2026-01-01 00:00", "2026-01-01 10:30", "2025-10-01 00:00", "2025-10-01 10:30"),
            ("now/y", "2026-01-01 00:00", "2026-01-01 10:30", "2025-01-01 00:00", "2025-01-01 10:30"),
            ("now/w", "2026-03-16 00:00", "2026-03-16 10:30", "2026-03-09 00:00", "2026-03-09 10:30"),
            ("now/Q", "2026-01-01 00:00", "2026-03-18 10:30", "2025-10-01 00:00", "2025-12-18 10:30"),
            ("now/y", "2026-01-01 00:00", "2026-03-18 10:30", "2025-01-01 00:00", "2025-03-18 10:30"),
            ("now/Q", "2026-04-01 00:00", "2026-04-18 10:30", "2026-01-01 00:00", "2026-01-18 10:30"),
            // A page looked at in the last minutes of a day ends at midnight: still the same days.
            ("now/M", "2026-03-01 00:00", "2026-03-18 23:30", "2026-02-01 00:00", "2026-02-18 23:30"),
            ("now/M", "2026-03-01 00:00", "2026-03-19 00:00", "2026-02-01 00:00", "2026-02-19 00:00"),
            ("now/M", "2026-03-01 00:00", "2026-03-30 23:30", "2026-02-01 00:00", "2026-02-28 23:30"),
            ("now/M", "2026-03-01 00:00", "2026-03-31 00:00", "2026-02-01 00:00", "2026-03-01 00:00"),
            ("now/M", "2026-04-01 00:00", "2026-05-01 00:00", "2026-03-01 00:00", "2026-03-31 00:00"),
            ("now/d", "2026-03-18 00:00", "2026-03-19 00:00", "2026-03-17 00:00", "2026-03-18 00:00"),
            ("now/w", "2026-03-16 00:00", "2026-03-19 00:00", "2026-03-09 00:00", "2026-03-12 00:00"),
            // Just begun.
            ("now/M", "2026-03-01 00:00", "2026-03-01 00:00", "2026-02-01 00:00", "2026-02-01 00:00"),
            ("last/M", "2026-04-01 00:00", "2026-05-01 00:00", "2026-03-01 00:00", "2026-04-01 00:00"),
            ("last/w", "2026-03-16 00:00", "2026-03-23 00:00", "2026-03-09 00:00", "2026-03-16 00:00"),
            ("last/y", "2025-01-01 00:00", "2026-01-01 00:00", "2024-01-01 00:00", "2025-01-01 00:00"),
        ] {
            let range = Range { from: at(from), to: at(to) };
            let ask = MetricQuery { period: Period::of(text), ..plain(range) };
            let expected = Range { from: at(before_from), to: at(before_to) };
            assert_eq!(previous(&ask, Compare::Previous, &calendar), expected, "{text}: {from} .. {to}");
        }
    }

    #[test]
    fn by_weeks_last_year_is_52_weeks_before() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let range = Range { from: at("2026-03-02 00:00"), to: at("2026-03-30 00:00") };
        let ask = MetricQuery { grain: Some(Grain::Week), ..plain(range) };
        let expected = Range { from: at("2025-03-03 00:00"), to: at("2025-03-31 00:00") };
        assert_eq!(previous(&ask, Compare::LastYear, &calendar), expected);
    }

    #[test]
    fn dates_without_a_name_are_compared_to_what_they_look_like() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
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
            assert_eq!(previous(&plain(range), compare, &calendar), expected, "{from} .. {to}");
        }
    }

    #[test]
    fn whole_days_stay_whole_over_a_clock_change() {
        let berlin = Calendar::built_in(chrono_tz::Europe::Berlin);
        let midnight = |text: &str| berlin.midnight(text.parse().expect("a date"));
        let range = Range { from: midnight("2026-03-30"), to: midnight("2026-04-01") };
        let before = previous(&plain(range), Compare::Previous, &berlin);
        assert_eq!(before, Range { from: midnight("2026-03-28"), to: midnight("2026-03-30") });
    }
}
