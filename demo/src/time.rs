//! Site time of the simulated company: seconds and days in Asia/Shanghai, working hours, workdays.
//!
//! China has had one offset and no summer time since 1991, so local seconds are UTC plus 8 hours.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// Local seconds since 1970-01-01 00:00 in Shanghai.
pub(crate) type Moment = i64;
/// Local days since 1970-01-01.
pub(crate) type Day = i64;

pub(crate) const DAY: i64 = 86_400;
pub(crate) const HOUR: i64 = 3_600;
pub(crate) const MINUTE: i64 = 60;
const OFFSET: i64 = 8 * HOUR;

pub(crate) fn moment(at: DateTime<Utc>) -> Moment {
    at.timestamp() + OFFSET
}

pub(crate) fn utc(at: Moment) -> DateTime<Utc> {
    DateTime::from_timestamp(at - OFFSET, 0).unwrap_or_default()
}

pub(crate) fn day_of(at: Moment) -> Day {
    at.div_euclid(DAY)
}

pub(crate) fn day(date: NaiveDate) -> Day {
    i64::from(date.num_days_from_ce()) - 719_163
}

pub(crate) fn date(day: Day) -> NaiveDate {
    NaiveDate::from_num_days_from_ce_opt((day + 719_163) as i32).unwrap_or_default()
}

/// Year and month as one ordered number: year × 12 + month − 1.
pub(crate) fn month_of(day: Day) -> i64 {
    let date = date(day);
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

/// First day of a month numbered as in `month_of`.
pub(crate) fn month_start(month: i64) -> Day {
    let year = month.div_euclid(12) as i32;
    let first = NaiveDate::from_ymd_opt(year, month.rem_euclid(12) as u32 + 1, 1);
    day(first.unwrap_or_default())
}

pub(crate) fn hour_of(at: Moment) -> i64 {
    at.rem_euclid(DAY) / HOUR
}

/// Monday is 0.
pub(crate) fn weekday(day: Day) -> i64 {
    (day + 3).rem_euclid(7)
}

/// `2026-11-24`.
pub(crate) fn date_text(day: Day) -> String {
    let date = date(day);
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// `20261124`.
pub(crate) fn compact_date(day: Day) -> String {
    let date = date(day);
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

/// `2026-11-24 09:05:00`, as OA systems store time: local, no zone.
pub(crate) fn stamp(at: Moment) -> String {
    let second = at.rem_euclid(DAY);
    let mut text = date_text(day_of(at));
    text.reserve(9);
    text.push(' ');
    for (index, part) in [second / HOUR, second / MINUTE % 60, second % 60].into_iter().enumerate() {
        if index > 0 {
            text.push(':');
        }
        text.push(char::from(b'0' + (part / 10) as u8));
        text.push(char::from(b'0' + (part % 10) as u8));
    }
    text
}

/// Which days are worked: Monday to Friday except the listed days, which are the other way round
/// (holidays and make-up workdays). Kept as data so that a resumed world needs no calendar code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calendar {
    pub(crate) exceptions: std::collections::BTreeSet<NaiveDate>,
}

/// Working windows of a day in minutes: 09:00–12:00 and 13:00–18:00.
const WINDOWS: [(i64, i64); 2] = [(9 * 60, 12 * 60), (13 * 60, 18 * 60)];

impl Calendar {
    /// Asks `workday` once for every day of the span.
    pub(crate) fn sample(workday: &dyn Fn(NaiveDate) -> bool, from: Day, to: Day) -> Self {
        let exceptions =
            (from..to).filter(|day| workday(date(*day)) != (weekday(*day) < 5)).map(date).collect();
        Self { exceptions }
    }

    pub(crate) fn is_workday(&self, day: Day) -> bool {
        (weekday(day) < 5) != self.exceptions.contains(&date(day))
    }

    /// The `n`-th workday at or after `day` (0 is the first).
    pub(crate) fn workday(&self, mut day: Day, n: usize) -> Day {
        let mut left = n;
        for _ in 0..(n * 3 + 60) {
            if self.is_workday(day) {
                if left == 0 {
                    return day;
                }
                left -= 1;
            }
            day += 1;
        }
        day
    }

    /// Workdays of the month still to come after `day`, and workdays since its first.
    pub(crate) fn month_position(&self, day: Day) -> (i64, i64) {
        let month = month_of(day);
        let since = (month_start(month)..day).filter(|d| self.is_workday(*d)).count();
        let left = (day + 1..month_start(month + 1)).filter(|d| self.is_workday(*d)).count();
        (since as i64, left as i64)
    }

    /// `at` moved forward by working minutes; time outside working hours does not count.
    pub(crate) fn add_work(&self, at: Moment, minutes: f64) -> Moment {
        let mut left = (minutes * 60.0) as i64;
        let mut today = day_of(at);
        let mut second = at.rem_euclid(DAY);
        for _ in 0..400 {
            if self.is_workday(today) {
                for (opens, closes) in WINDOWS.map(|(a, b)| (a * MINUTE, b * MINUTE)) {
                    let begin = second.max(opens);
                    if begin < closes {
                        if left <= closes - begin {
                            return today * DAY + begin + left;
                        }
                        left -= closes - begin;
                        second = closes;
                    }
                }
            }
            today += 1;
            second = 0;
        }
        today * DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Calendar {
        Calendar { exceptions: Default::default() }
    }

    #[test]
    fn days_and_dates_agree() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        assert_eq!(super::date(day(date)), date);
        assert_eq!(day(NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()), 0);
        assert_eq!(weekday(day(date)), 1);
        assert_eq!(stamp(day(date) * DAY + 9 * HOUR + 65), "2026-11-24 09:01:05");
        assert_eq!(month_start(month_of(day(date))), day(NaiveDate::from_ymd_opt(2026, 11, 1).unwrap()));
    }

    #[test]
    fn work_pauses_over_lunch_nights_and_weekends() {
        let friday = day(NaiveDate::from_ymd_opt(2026, 11, 27).unwrap()) * DAY;
        let calendar = plain();
        assert_eq!(calendar.add_work(friday + 11 * HOUR + 1800, 60.0), friday + 13 * HOUR + 1800);
        assert_eq!(calendar.add_work(friday + 17 * HOUR, 120.0), friday + 3 * DAY + 10 * HOUR);
        assert_eq!(calendar.add_work(friday + 20 * HOUR, 0.0), friday + 3 * DAY + 9 * HOUR);
    }

    #[test]
    fn make_up_days_are_worked() {
        let saturday = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();
        let calendar = Calendar { exceptions: [saturday].into() };
        assert!(calendar.is_workday(day(saturday)));
        assert!(!calendar.is_workday(day(saturday) + 1));
    }
}
