//! The period that a range is compared to.

use chrono::offset::LocalResult;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use store::Timestamp;

use super::Period;
use super::query::{Compare, Grain, MetricQuery};
use crate::calendar::{CalendarUnit, shift};
use crate::{Calendar, Range};

/// Weeks do not divide a year. So many of them keep every week beside one that begins on the same weekday.
const WEEKS_OF_A_YEAR: u64 = 52;

/// What a range is compared to, and how far its buckets stand from their counterparts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) range: Range,
    pub(crate) shift: Shift,
    /// A day inside of it that has no counterpart: 29 February, unless whole months are compared.
    pub(crate) except: Option<Range>,
}

/// The distance between a bucket and its counterpart on the site's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Days(u64),
    Months(u32),
    /// A stretch of any length: its first bucket stands beside the first of the other, and so on.
    Position,
}

/// The range before, or the same dates a year before, on the site's wall clock.
///
/// `Previous` of a calendar period is the one before it, or the same part of it: this month until the 18th
/// is compared to last month until the 18th. Where the question does not say which period it means, its
/// dates are taken for the shortest that they fit. Any other range is compared to the stretch of the same
/// length that ends where it begins.
pub(crate) fn previous(ask: &MetricQuery, compare: Compare, calendar: &Calendar) -> Before {
    let range = &ask.range;
    let (range, shift) = match (compare, ask.period) {
        (Compare::LastYear, _) if ask.grain == Some(Grain::Week) => {
            let days = 7 * WEEKS_OF_A_YEAR;
            (moved(range, calendar, |t| t.checked_sub_days(Days::new(days))), Shift::Days(days))
        }
        (Compare::LastYear, _) => (a_year_before(range, calendar), Shift::Months(12)),
        (Compare::Previous, Some(period)) => (period_before(range, period, calendar), distance(period.unit)),
        (Compare::Previous, None) => before(range, calendar),
    };
    let dates = compare == Compare::LastYear && shift == Shift::Months(12);
    let except =
        if dates && whole_months(&ask.range, calendar).is_none() { leap_day(&range, calendar) } else { None };
    Before { range, shift, except }
}

/// The 29 February that a range of less than four years holds.
fn leap_day(range: &Range, calendar: &Calendar) -> Option<Range> {
    let years = calendar.local(range.from).year()..=calendar.local(range.to).year();
    years.take(4).find_map(|year| {
        let day = NaiveDate::from_ymd_opt(year, 2, 29)?;
        let day = Range { from: calendar.midnight(day), to: calendar.midnight(day.succ_opt()?) };
        (range.from <= day.from && day.to <= range.to).then_some(day)
    })
}

impl Shift {
    /// For each bucket that begins at `starts` the index of its counterpart among `others`. A day that the other
    /// month or year does not have, such as 29 February, has none.
    pub(crate) fn pairs(
        self,
        grain: Option<Grain>,
        starts: &[Timestamp],
        others: &[Timestamp],
        calendar: &Calendar,
    ) -> Vec<Option<usize>> {
        match grain.filter(|grain| self.keeps(*grain)) {
            Some(grain) => starts
                .iter()
                .map(|start| self.counterpart(grain, *start, calendar))
                .map(|start| start.and_then(|start| others.binary_search(&start).ok()))
                .collect(),
            None => (0..starts.len()).map(|at| (at < others.len()).then_some(at)).collect(),
        }
    }

    /// Whether starts of buckets of this length, so far back, are starts of buckets again.
    fn keeps(self, grain: Grain) -> bool {
        match (self, grain) {
            (Shift::Position, _) => false,
            (_, Grain::Hour | Grain::Day) => true,
            (Shift::Days(days), Grain::Week) => days % 7 == 0,
            (Shift::Months(_), Grain::Month) => true,
            (Shift::Months(months), Grain::Quarter) => months % 3 == 0,
            (Shift::Months(months), Grain::Year) => months % 12 == 0,
            _ => false,
        }
    }

    fn counterpart(self, grain: Grain, start: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
        let wall = calendar.local(start).naive_local();
        let day = wall.date();
        let day = match self {
            Shift::Days(days) => day.checked_sub_days(Days::new(days))?,
            Shift::Months(months) => same_day(day, months)?,
            Shift::Position => return None,
        };
        if grain != Grain::Hour {
            return Some(calendar.midnight(day));
        }
        // An hour that a clock change repeats has its second half beside a second half only.
        let zone = calendar.timezone();
        let again = zone.from_local_datetime(&wall).latest().is_some_and(|t| t.to_utc() == start)
            && zone.from_local_datetime(&wall).earliest().is_some_and(|t| t.to_utc() != start);
        match (zone.from_local_datetime(&day.and_time(wall.time())), again) {
            (LocalResult::Single(t), false) | (LocalResult::Ambiguous(t, _), false) => Some(t.to_utc()),
            (LocalResult::Ambiguous(_, t), true) => Some(t.to_utc()),
            _ => None,
        }
    }
}

fn distance(unit: CalendarUnit) -> Shift {
    match unit {
        CalendarUnit::Day => Shift::Days(1),
        CalendarUnit::Week => Shift::Days(7),
        CalendarUnit::Month => Shift::Months(1),
        CalendarUnit::Quarter => Shift::Months(3),
        CalendarUnit::Year => Shift::Months(12),
    }
}

/// The same day of the month so many months before; None when that month is too short.
fn same_day(day: NaiveDate, months: u32) -> Option<NaiveDate> {
    day.checked_sub_months(Months::new(months)).filter(|moved| moved.day() == day.day())
}

/// The same dates a year before: whole months are compared to whole months, other ranges to exactly their days.
/// Both ends do not simply move by a year: 28 February ends where 29 February begins in one year of four.
fn a_year_before(range: &Range, calendar: &Calendar) -> Range {
    if whole_months(range, calendar).is_some() {
        return moved(range, calendar, |t| t.checked_sub_months(Months::new(12)));
    }
    let from = {
        let wall = calendar.local(range.from);
        match same_day(wall.date_naive(), 12) {
            Some(_) => moved_end(range.from, calendar, &|t| t.checked_sub_months(Months::new(12))),
            None => first_of_march(wall.year() - 1, calendar),
        }
    };
    let to = {
        let wall = calendar.local(range.to);
        let whole_days = wall.time() == NaiveTime::MIN;
        let last = if whole_days { wall.date_naive().pred_opt() } else { Some(wall.date_naive()) };
        match last.and_then(|last| same_day(last, 12)) {
            Some(last) if whole_days => calendar.midnight(last.succ_opt().unwrap_or(last)),
            Some(_) => moved_end(range.to, calendar, &|t| t.checked_sub_months(Months::new(12))),
            None => first_of_march(wall.year() - 1, calendar),
        }
    };
    Range { from, to: to.max(from) }
}

fn first_of_march(year: i32, calendar: &Calendar) -> Timestamp {
    calendar.midnight(NaiveDate::from_ymd_opt(year, 3, 1).unwrap_or_default())
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

fn before(range: &Range, calendar: &Calendar) -> (Range, Shift) {
    if let Some(months) = whole_months(range, calendar) {
        let range = moved(range, calendar, |t| t.checked_sub_months(Months::new(months)));
        return (range, Shift::Months(months));
    }
    if let Some(unit) = running_period(range, calendar) {
        return (moved(range, calendar, |t| back(unit, t)), distance(unit));
    }
    // Whole days stay whole days over a clock change.
    if let Some(days) = same_time_of_day(range, calendar) {
        return (moved(range, calendar, |t| t.checked_sub_days(Days::new(days))), Shift::Days(days));
    }
    (Range { from: range.from - range.length(), to: range.from }, Shift::Position)
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
            assert_eq!(
                previous(&ask, Compare::Previous, &calendar).range,
                expected,
                "{text}: {from} .. {to}"
            );
        }
    }

    #[test]
    fn by_weeks_last_year_is_52_weeks_before() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let range = Range { from: at("2026-03-02 00:00"), to: at("2026-03-30 00:00") };
        let ask = MetricQuery { grain: Some(Grain::Week), ..plain(range) };
        let expected = Range { from: at("2025-03-03 00:00"), to: at("2025-03-31 00:00") };
        assert_eq!(previous(&ask, Compare::LastYear, &calendar).range, expected);
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
                "2023-03-01 00:00",
                "2023-03-01 12:00",
            ),
            // The same days: one is compared to one, seven to seven, 29 February to none.
            (
                Compare::LastYear,
                "2025-02-28 00:00",
                "2025-03-01 00:00",
                "2024-02-28 00:00",
                "2024-02-29 00:00",
            ),
            (
                Compare::LastYear,
                "2025-02-22 00:00",
                "2025-03-01 00:00",
                "2024-02-22 00:00",
                "2024-02-29 00:00",
            ),
            (
                Compare::LastYear,
                "2024-02-29 00:00",
                "2024-03-01 00:00",
                "2023-03-01 00:00",
                "2023-03-01 00:00",
            ),
            (
                Compare::LastYear,
                "2024-02-27 00:00",
                "2024-03-03 00:00",
                "2023-02-27 00:00",
                "2023-03-03 00:00",
            ),
            (
                Compare::LastYear,
                "2025-02-01 00:00",
                "2025-03-01 00:00",
                "2024-02-01 00:00",
                "2024-03-01 00:00",
            ),
        ] {
            let range = Range { from: at(from), to: at(to) };
            let expected = Range { from: at(before_from), to: at(before_to) };
            assert_eq!(previous(&plain(range), compare, &calendar).range, expected, "{from} .. {to}");
        }
    }

    #[test]
    fn every_day_stands_beside_the_same_date_of_the_year_before() {
        for zone in [chrono_tz::Asia::Shanghai, chrono_tz::Europe::Berlin] {
            let calendar = Calendar::built_in(zone);
            let days = |from: i32, to: i32| -> Vec<Timestamp> {
                let first = NaiveDate::from_ymd_opt(from, 1, 1).expect("a date");
                first.iter_days().take_while(|d| d.year() < to).map(|d| calendar.midnight(d)).collect()
            };
            let wall = |t: Timestamp| calendar.local(t).format("%m-%d").to_string();
            for (year, lonely) in [(2025, vec![]), (2024, vec!["02-29"]), (2026, vec![])] {
                let (now, before) = (days(year, year + 1), days(year - 1, year));
                let pairs = Shift::Months(12).pairs(Some(Grain::Day), &now, &before, &calendar);
                let mut alone = Vec::new();
                for (start, pair) in now.iter().zip(&pairs) {
                    match pair {
                        Some(at) => assert_eq!(wall(*start), wall(before[*at]), "{year}"),
                        None => alone.push(wall(*start)),
                    }
                }
                assert_eq!(alone, lonely, "{year}");
                let mut used: Vec<usize> = pairs.into_iter().flatten().collect();
                used.dedup();
                assert_eq!(used.len(), 365, "{year}: no day stands beside two");
            }
        }
    }

    #[test]
    fn hours_that_a_clock_change_repeats_or_skips_are_not_told_twice() {
        let berlin = Calendar::built_in(chrono_tz::Europe::Berlin);
        let hours = |from: &str, n: i64| -> Vec<Timestamp> {
            let from: Timestamp = from.parse().expect("a time");
            (0..n).map(|h| from + TimeDelta::hours(h)).collect()
        };
        // 26 October 2025 has 25 hours, 26 October 2024 has 24.
        let (now, before) = (hours("2025-10-25T22:00:00Z", 25), hours("2024-10-25T22:00:00Z", 24));
        let pairs = Shift::Months(12).pairs(Some(Grain::Hour), &now, &before, &berlin);
        assert_eq!(pairs.iter().filter(|p| p.is_none()).count(), 1);
        assert_eq!((pairs[2], pairs[3], pairs[4]), (Some(2), None, Some(3)));
    }

    #[test]
    fn whole_days_stay_whole_over_a_clock_change() {
        let berlin = Calendar::built_in(chrono_tz::Europe::Berlin);
        let midnight = |text: &str| berlin.midnight(text.parse().expect("a date"));
        let range = Range { from: midnight("2026-03-30"), to: midnight("2026-04-01") };
        let before = previous(&plain(range), Compare::Previous, &berlin);
        assert_eq!(before.range, Range { from: midnight("2026-03-28"), to: midnight("2026-03-30") });
    }
}
