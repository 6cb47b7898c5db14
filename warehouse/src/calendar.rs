//! The site's calendar: public holidays and make-up workdays, working hours, starts of periods.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;
use store::Timestamp;

use crate::table::Title;

/// State Council notices, a file a year. A project's `calendar.yaml` adds to them.
const NOTICES: [&str; 2] = [include_str!("../calendar/2025.yaml"), include_str!("../calendar/2026.yaml")];

/// Working hours of a workday, from and to.
const HOURS: [(u32, u32); 2] = [(9, 12), (13, 18)];
/// The hours of a whole workday.
const WORKING_HOURS: i64 = 8;
/// The first and the last day that a calendar can be asked of: a day inside what people write with four digits,
/// so that any zone's clock shows them.
const FIRST: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 2).expect("a date of the calendar");
const LAST: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 30).expect("a date of the calendar");

/// A stretch of calendar time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarUnit {
    Day,
    Week,
    Month,
    Quarter,
    /// Begins with the fiscal month.
    Year,
}

/// What is a workday where, and when a week and a year begin.
#[derive(Debug, Clone)]
pub struct Calendar {
    timezone: Tz,
    week_start: Weekday,
    fiscal_month: u32,
    holidays: BTreeMap<NaiveDate, Title>,
    workdays: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// The notices known to this version; weeks begin on Monday, years in January.
    pub fn built_in(timezone: Tz) -> Self {
        let mut calendar = Self {
            timezone,
            week_start: Weekday::Mon,
            fiscal_month: 1,
            holidays: BTreeMap::new(),
            workdays: BTreeSet::new(),
        };
        for notice in NOTICES {
            for line in notice.lines() {
                calendar.read(line);
            }
        }
        calendar
    }

    /// `fiscal_month` 1–12 is the month in which the fiscal year begins.
    pub fn with_periods(mut self, week_start: Weekday, fiscal_month: u32) -> Self {
        self.week_start = week_start;
        self.fiscal_month = fiscal_month.clamp(1, 12);
        self
    }

    /// A project's own days; they win over the notices.
    pub fn extend(
        &mut self,
        holidays: impl IntoIterator<Item = (NaiveDate, Title)>,
        workdays: impl IntoIterator<Item = NaiveDate>,
    ) {
        for (day, title) in holidays {
            self.workdays.remove(&day);
            self.holidays.insert(day, title);
        }
        for day in workdays {
            self.holidays.remove(&day);
            self.workdays.insert(day);
        }
    }

    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    pub fn week_start(&self) -> Weekday {
        self.week_start
    }

    pub fn fiscal_month(&self) -> u32 {
        self.fiscal_month
    }

    pub fn holiday(&self, day: NaiveDate) -> Option<&Title> {
        self.holidays.get(&day)
    }

    pub fn is_workday(&self, day: NaiveDate) -> bool {
        if self.workdays.contains(&day) {
            return true;
        }
        !self.holidays.contains_key(&day) && !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
    }

    /// Time between `a` and `b` inside working hours: 09:00–12:00 and 13:00–18:00 of workdays in the site's
    /// zone. Zero when `b` is not after `a`.
    pub fn working_time(&self, a: Timestamp, b: Timestamp) -> Duration {
        if b <= a {
            return Duration::ZERO;
        }
        let (first, last) = (self.local(a).date_naive(), self.local(b).date_naive());
        let mut total = self.within(first, a, b);
        if last > first {
            total += self.within(last, a, b);
            // Whole days between are counted, not walked: some spans are centuries.
            total += TimeDelta::hours(WORKING_HOURS)
                .checked_mul(self.workdays_between(first, last))
                .unwrap_or_default();
        }
        total.to_std().unwrap_or(Duration::ZERO)
    }

    /// Working time of one day inside `[a, b)`.
    fn within(&self, day: NaiveDate, a: Timestamp, b: Timestamp) -> TimeDelta {
        if !self.is_workday(day) {
            return TimeDelta::zero();
        }
        let stretch = |(from, to)| {
            let (from, to) = (self.at_hour(day, from).max(a), self.at_hour(day, to).min(b));
            (to - from).max(TimeDelta::zero())
        };
        HOURS.into_iter().map(stretch).sum()
    }

    /// Workdays after `first` and before `last`.
    fn workdays_between(&self, first: NaiveDate, last: NaiveDate) -> i32 {
        let (Some(from), true) = (first.succ_opt(), first < last) else { return 0 };
        // Day 1 of the common era was a Monday: of the days before `n`, so many are Monday to Friday.
        let weekdays = |n: i32| n.div_euclid(7) * 5 + n.rem_euclid(7).min(5);
        let number = |day: NaiveDate| day.num_days_from_ce() - 1;
        let weekend = |day: &NaiveDate| matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        let made_up = self.workdays.range(from..last).filter(|day| weekend(day)).count();
        let free = self.holidays.range(from..last).filter(|(day, _)| !weekend(day));
        let free = free.filter(|(day, _)| !self.workdays.contains(day)).count();
        weekdays(number(last)) - weekdays(number(from)) + made_up as i32 - free as i32
    }

    /// The same moment on the site's wall clock. Moments outside the years 1 to 9999 count as the nearest inside:
    /// beyond them there is neither a calendar nor arithmetic that holds.
    pub fn local(&self, t: Timestamp) -> DateTime<Tz> {
        t.clamp(FIRST.and_time(NaiveTime::MIN).and_utc(), LAST.and_time(NaiveTime::MIN).and_utc())
            .with_timezone(&self.timezone)
    }

    /// The first moment of a day in the site's zone (where a clock change skips midnight, the first that exists).
    pub fn midnight(&self, day: NaiveDate) -> Timestamp {
        self.at_hour(day, 0)
    }

    /// The start of the period that holds `t`.
    pub fn start_of(&self, unit: CalendarUnit, t: Timestamp) -> Timestamp {
        self.midnight(self.first_day(unit, self.local(t).date_naive()))
    }

    /// The start of the period after the one that holds `t`.
    pub fn next_of(&self, unit: CalendarUnit, t: Timestamp) -> Timestamp {
        let first = self.first_day(unit, self.local(t).date_naive());
        self.midnight(shift(first, unit, 1))
    }

    /// The first day of the period that holds `day`.
    pub fn first_day(&self, unit: CalendarUnit, day: NaiveDate) -> NaiveDate {
        let months_in = (day.month() + 12 - self.fiscal_month) % 12;
        let back = match unit {
            CalendarUnit::Day => return day,
            CalendarUnit::Week => {
                let days = day.weekday().days_since(self.week_start);
                return day.checked_sub_days(Days::new(days.into())).unwrap_or(day);
            }
            CalendarUnit::Month => 0,
            CalendarUnit::Quarter => months_in % 3,
            CalendarUnit::Year => months_in,
        };
        let first = day.with_day(1).unwrap_or(day);
        first.checked_sub_months(Months::new(back)).unwrap_or(first)
    }

    fn at_hour(&self, day: NaiveDate, hour: u32) -> Timestamp {
        let day = day.clamp(FIRST, LAST);
        let time = NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or(NaiveTime::MIN);
        let mut wall = day.and_time(time);
        for _ in 0..48 {
            match self.timezone.from_local_datetime(&wall).earliest() {
                Some(t) => return t.to_utc(),
                None => wall += TimeDelta::minutes(30),
            }
        }
        day.and_time(time).and_utc()
    }

    /// One line of a notice file: `  first..last: { zh: "…", en: "…" }` or `  - date`.
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(day) = line.strip_prefix("- ").and_then(|d| d.parse().ok()) {
            self.workdays.insert(day);
        } else if let Some((days, title)) = line.split_once(": {")
            && let Some((first, last)) = days.split_once("..")
            && let (Ok(first), Ok(last)) = (first.parse::<NaiveDate>(), last.parse::<NaiveDate>())
        {
            let quoted: Vec<&str> = title.split('"').collect();
            let title = match quoted.as_slice() {
                [_, zh, _, en, ..] => Title { zh: (*zh).into(), en: (*en).into() },
                _ => Title::both("holiday"),
            };
            for day in first.iter_days().take_while(|d| *d <= last) {
                self.holidays.insert(day, title.clone());
            }
        }
    }
}

/// The first day `n` periods after (or before) a period's first day.
pub(crate) fn shift(first: NaiveDate, unit: CalendarUnit, n: i32) -> NaiveDate {
    let days = |d: i32| {
        if d < 0 {
            first.checked_sub_days(Days::new(d.unsigned_abs().into()))
        } else {
            first.checked_add_days(Days::new(d.unsigned_abs().into()))
        }
    };
    let months = |m: i32| {
        if m < 0 {
            first.checked_sub_months(Months::new(m.unsigned_abs()))
        } else {
            first.checked_add_months(Months::new(m.unsigned_abs()))
        }
    };
    let moved = match unit {
        CalendarUnit::Day => days(n),
        CalendarUnit::Week => days(n.saturating_mul(7)),
        CalendarUnit::Month => months(n),
        CalendarUnit::Quarter => months(n.saturating_mul(3)),
        CalendarUnit::Year => months(n.saturating_mul(12)),
    };
    moved.unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shanghai() -> Calendar {
        Calendar::built_in(chrono_tz::Asia::Shanghai)
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn notices_make_weekdays_free_and_weekends_work() {
        let calendar = shanghai();
        let cases = [
            ("2026-01-01", false),
            ("2026-01-04", true),
            ("2026-02-14", true),
            ("2026-02-17", false),
            ("2026-02-28", true),
            ("2026-05-09", true),
            ("2026-09-20", true),
            ("2026-10-08", true),
            ("2026-10-10", true),
            ("2026-10-11", false),
            ("2025-01-26", true),
            ("2025-10-08", false),
            ("2025-10-09", true),
            ("2025-09-28", true),
            ("2026-06-19", false),
            ("2026-03-02", true),
        ];
        for (date, works) in cases {
            assert_eq!(calendar.is_workday(day(date)), works, "{date}");
        }
        assert_eq!(calendar.holiday(day("2026-10-03")).unwrap().en, "National Day");
        assert_eq!(calendar.holidays.range(day("2026-01-01")..).count(), 3 + 9 + 3 + 5 + 3 + 3 + 7);
        assert_eq!(calendar.workdays.len(), 5 + 6);
    }

    #[test]
    fn a_project_adds_its_own_days() {
        let mut calendar = shanghai();
        calendar.extend([(day("2027-01-01"), Title::both("New Year"))], [day("2027-01-03")]);
        assert!(!calendar.is_workday(day("2027-01-01")));
        assert!(calendar.is_workday(day("2027-01-03")));
    }

    #[test]
    fn working_time_skips_lunch_nights_and_holidays() {
        let hours = |a: &str, b: &str| shanghai().working_time(at(a), at(b)).as_secs_f64() / 3600.0;
        assert_eq!(hours("2026-03-02T01:00:00Z", "2026-03-02T10:00:00Z"), 8.0);
        assert_eq!(hours("2026-03-02T03:30:00Z", "2026-03-02T05:30:00Z"), 1.0);
        // Friday evening to Monday ten o'clock.
        assert_eq!(hours("2026-03-06T12:00:00Z", "2026-03-09T02:00:00Z"), 1.0);
        // Over the Spring Festival: 13 Feb 17:00 to 24 Feb 10:00, with the make-up Saturday between.
        assert_eq!(hours("2026-02-13T09:00:00Z", "2026-02-24T02:00:00Z"), 1.0 + 8.0 + 1.0);
        assert_eq!(hours("2026-03-02T10:00:00Z", "2026-03-02T01:00:00Z"), 0.0);
    }

    #[test]
    fn periods_begin_where_the_site_says() {
        let t = at("2026-02-10T16:30:00Z"); // 11 February 00:30 in Shanghai, a Wednesday
        let calendar = shanghai();
        let start = |unit| calendar.local(calendar.start_of(unit, t)).date_naive().to_string();
        assert_eq!(start(CalendarUnit::Day), "2026-02-11");
        assert_eq!(start(CalendarUnit::Week), "2026-02-09");
        assert_eq!(start(CalendarUnit::Quarter), "2026-01-01");
        let fiscal = shanghai().with_periods(Weekday::Sun, 4);
        let start = |unit| fiscal.local(fiscal.start_of(unit, t)).date_naive().to_string();
        assert_eq!(start(CalendarUnit::Week), "2026-02-08");
        assert_eq!(start(CalendarUnit::Quarter), "2026-01-01");
        assert_eq!(start(CalendarUnit::Year), "2025-04-01");
        let next = fiscal.next_of(CalendarUnit::Year, t);
        assert_eq!(fiscal.local(next).date_naive().to_string(), "2026-04-01");
    }

    #[test]
    fn the_ends_of_time_are_days_like_others() {
        let edges = [Timestamp::MIN_UTC, Timestamp::MAX_UTC, at("0001-01-01T00:00:00Z")];
        for zone in [chrono_tz::Asia::Shanghai, chrono_tz::America::Santiago, chrono_tz::Pacific::Kiritimati]
        {
            let calendar = Calendar::built_in(zone);
            for t in edges {
                for unit in [CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Quarter, CalendarUnit::Year]
                {
                    let (start, next) = (calendar.start_of(unit, t), calendar.next_of(unit, t));
                    assert!(start <= next, "{t} {unit:?}");
                }
                calendar.working_time(t, at("2026-01-01T00:00:00Z"));
            }
            assert!(calendar.midnight(NaiveDate::MAX) > calendar.midnight(NaiveDate::MIN));
        }
    }

    #[test]
    fn a_midnight_that_a_clock_change_skipped_is_the_first_moment_after() {
        let calendar = Calendar::built_in(chrono_tz::America::Santiago);
        assert_eq!(calendar.midnight(day("2024-09-08")), at("2024-09-08T04:00:00Z"));
    }
}
