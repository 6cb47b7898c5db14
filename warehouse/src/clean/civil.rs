//! Calendar arithmetic, a scanner over ASCII digits, and local time to UTC.

use std::ops::RangeInclusive;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Years 1 to 9999: what every reader of the tables can show.
pub(crate) const RANGE: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Days since 1970-01-01 of a proleptic Gregorian date; None when there is no such date.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    // Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
    let y = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds of a time of day; 24:00:00 is the end of the day.
pub(crate) fn time_micros(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let fits = hour < 24 && minute < 60 && second < 60 || (hour, minute, second) == (24, 0, 0);
    fits.then_some(((hour * 60 + minute) * 60 + second) * 1_000_000)
}

/// Reads a text from left to right.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == self.text.len()
    }

    /// Between `min` and `max` digits, as many as there are.
    pub(crate) fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let bytes = &self.text.as_bytes()[self.at..];
        let mut value = 0;
        let mut count = 0;
        while count < max && count < bytes.len() && bytes[count].is_ascii_digit() {
            value = value * 10 + i64::from(bytes[count] - b'0');
            count += 1;
        }
        self.at += count;
        (count >= min).then_some(value)
    }

    /// How many digits follow.
    pub(crate) fn digit_run(&self) -> usize {
        self.text.as_bytes()[self.at..].iter().take_while(|b| b.is_ascii_digit()).count()
    }

    /// `.` and digits, as microseconds; further digits are cut off.
    pub(crate) fn fraction(&mut self) -> Option<i64> {
        self.any(&['.', ','])?;
        let run = self.digit_run();
        if run == 0 || run > 12 {
            return None;
        }
        let value = self.digits(run, run)?;
        Some(match run {
            0..=6 => value * 10i64.pow(6 - run as u32),
            _ => value / 10i64.pow(run as u32 - 6),
        })
    }

    pub(crate) fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest().starts_with(literal).then(|| self.at += literal.len())
    }

    /// Takes the next character if it is one of these.
    pub(crate) fn any(&mut self, wanted: &[char]) -> Option<char> {
        let next = self.rest().chars().next().filter(|c| wanted.contains(c))?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Passes over so many bytes, which the caller has looked at.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.text.len());
    }

    pub(crate) fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }
}

/// Turns local times of one zone into UTC. Remembers the last offset, since the rows of a file
/// mostly lie close together.
#[derive(Clone, Debug)]
pub(crate) struct LocalClock {
    zone: Tz,
    slot: i64,
    offset_micros: i64,
}

/// Since 1970 offsets change at whole quarters of an hour only.
const SLOT_MICROS: i64 = 900_000_000;

impl LocalClock {
    pub(crate) fn new(zone: Tz) -> Self {
        Self { zone, slot: i64::MIN, offset_micros: 0 }
    }

    /// Microseconds UTC of a local time. A time that happens twice (clocks go back) is the
    /// earlier one; one that does not happen (clocks go forward) moves on by the gap.
    pub(crate) fn utc(&mut self, local_micros: i64) -> Option<i64> {
        let slot = local_micros.div_euclid(SLOT_MICROS);
        if slot != self.slot {
            self.offset_micros = self.offset_at_local(local_micros)?;
            self.slot = if local_micros >= DAY_MICROS { slot } else { i64::MIN };
        }
        Some(local_micros - self.offset_micros)
    }

    /// Local microseconds of an instant.
    pub(crate) fn local(&self, utc_micros: i64) -> Option<i64> {
        let utc = DateTime::from_timestamp_micros(utc_micros)?.naive_utc();
        let offset = self.zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
        Some(utc_micros + i64::from(offset) * 1_000_000)
    }

    fn offset_at_local(&self, local_micros: i64) -> Option<i64> {
        let local = DateTime::from_timestamp_micros(local_micros)?.naive_utc();
        let seconds = match self.zone.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => {
                offset.fix().local_minus_utc()
            }
            MappedLocalTime::None => self.offset_before(local)?,
        };
        Some(i64::from(seconds) * 1_000_000)
    }

    fn offset_before(&self, local: NaiveDateTime) -> Option<i32> {
        // No gap is longer than a day (the date line moves of Samoa and Kwajalein).
        let earlier = local.checked_sub_signed(TimeDelta::hours(25))?;
        self.zone.offset_from_local_datetime(&earlier).earliest().map(|o| o.fix().local_minus_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    #[test]
    fn days_agree_with_chrono_for_every_day_of_five_centuries() {
        let mut date = NaiveDate::from_ymd_opt(1600, 1, 1).expect("a date");
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
        while date < NaiveDate::from_ymd_opt(2100, 3, 1).expect("a date") {
            use chrono::Datelike;
            let got = days(date.year().into(), date.month().into(), date.day().into());
            assert_eq!(got, Some((date - epoch).num_days()), "{date}");
            date = date.succ_opt().expect("a day");
        }
        for (y, m, d) in [(2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 4, 31), (0, 1, 1)] {
            assert_eq!(days(y, m, d), None, "{y}-{m}-{d}");
        }
    }

    #[test]
    fn a_gap_moves_on_and_a_fold_takes_the_earlier_time() {
        let micros = |text: &str| {
            NaiveDateTime::parse_from_str(text, "%F %T").expect("a time").and_utc().timestamp_micros()
        };
        let mut clock = LocalClock::new(chrono_tz::Europe::Berlin);
        for (local, utc) in [
            ("2026-03-29 01:59:59", "2026-03-29 00:59:59"),
            ("2026-03-29 02:30:00", "2026-03-29 01:30:00"),
            ("2026-03-29 03:00:00", "2026-03-29 01:00:00"),
            ("2026-10-25 02:30:00", "2026-10-25 00:30:00"),
            ("2026-10-25 03:00:00", "2026-10-25 02:00:00"),
        ] {
            assert_eq!(clock.utc(micros(local)), Some(micros(utc)), "{local}");
        }
        let mut shanghai = LocalClock::new(chrono_tz::Asia::Shanghai);
        assert_eq!(shanghai.utc(micros("2026-01-01 08:00:00")), Some(micros("2026-01-01 00:00:00")));
    }
}
