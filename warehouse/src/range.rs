//! A stretch of time that a question is about.

use std::hash::{Hash, Hasher};

use chrono::{Datelike, Months, NaiveDate, TimeDelta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Timestamp;

use crate::calendar::{Calendar, CalendarUnit, shift};

/// `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// The calendar period that a range was asked as. Its dates alone do not tell: on the first of July
/// `now/d`, `now/M` and `now/Q` are the same stretch, but are compared to different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub(crate) unit: CalendarUnit,
    /// From its start until now, or until the next tick of a slow clock; otherwise whole.
    pub(crate) so_far: bool,
}

impl Period {
    /// What `now/M` and `last/M` name. Any other text names none.
    pub fn of(text: &str) -> Option<Self> {
        let (word, unit) = text.trim().split_once('/')?;
        let so_far = match word {
            "now" => true,
            "last" => false,
            _ => return None,
        };
        unit_of(unit).ok().map(|unit| Self { unit, so_far })
    }
}

/// By hand, since a calendar unit has no hash of its own.
impl Hash for Period {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.unit as u8, self.so_far).hash(state);
    }
}

/// The years that questions are about.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9998;

fn beyond() -> String {
    format!("a range lies between the years {} and {}; {HELP}", YEARS.start(), YEARS.end())
}

const HELP: &str = "write for example 7d, 24h, 12M, now/M, last/M or 2026-01-01..2026-02-01";

impl Range {
    /// Understands, all in the site's zone:
    /// * `15m` `24h` `7d` `2w`: the time up to now; `3M` `1Q` `1y`: calendar months, quarters, years up to now;
    /// * `now/d|w|M|Q|y`: the present day … year from its start until now;
    /// * `last/d|w|M|Q|y`: the whole one before;
    /// * `2026-01-01..2026-02-01`: dates, end exclusive; also full RFC 3339 moments.
    ///
    /// # Errors
    /// Says what is wrong and how to write it.
    pub fn parse(text: &str, now: Timestamp, calendar: &Calendar) -> Result<Range, String> {
        let text = text.trim();
        let range = if let Some((from, to)) = text.split_once("..") {
            Range { from: moment(from, calendar)?, to: moment(to, calendar)? }
        } else if let Some(unit) = text.strip_prefix("now/") {
            Range { from: calendar.start_of(unit_of(unit)?, now), to: now }
        } else if let Some(unit) = text.strip_prefix("last/") {
            let unit = unit_of(unit)?;
            let this = calendar.first_day(unit, calendar.local(now).date_naive());
            Range { from: calendar.midnight(shift(this, unit, -1)), to: calendar.midnight(this) }
        } else {
            Range { from: back(text, now, calendar)?, to: now }
        };
        range.on_the_calendar()?;
        // A period that has just begun is empty, not wrong; a reversed one is a mistake.
        if range.from > range.to {
            return Err(format!("the range `{text}` ends before it begins"));
        }
        Ok(range)
    }

    /// Whether both ends lie in the years that everything here can count with; periods before and after them too.
    ///
    /// # Errors
    /// Says which years those are.
    pub fn on_the_calendar(&self) -> Result<(), String> {
        match [self.from, self.to].iter().all(|end| YEARS.contains(&end.year())) {
            true => Ok(()),
            false => Err(beyond()),
        }
    }

    pub fn length(&self) -> TimeDelta {
        self.to - self.from
    }

    pub fn contains(&self, t: Timestamp) -> bool {
        self.from <= t && t < self.to
    }
}

fn unit_of(text: &str) -> Result<CalendarUnit, String> {
    Ok(match text {
        "d" => CalendarUnit::Day,
        "w" => CalendarUnit::Week,
        "M" => CalendarUnit::Month,
        "Q" => CalendarUnit::Quarter,
        "y" => CalendarUnit::Year,
        _ => return Err(format!("`{text}` is not one of d, w, M, Q, y; {HELP}")),
    })
}

fn moment(text: &str, calendar: &Calendar) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(day) = text.parse::<NaiveDate>() {
        return if YEARS.contains(&day.year()) { Ok(calendar.midnight(day)) } else { Err(beyond()) };
    }
    let moment: Timestamp = text.parse().map_err(|_| format!("`{text}` is not a date; {HELP}"))?;
    if YEARS.contains(&moment.year()) { Ok(moment) } else { Err(beyond()) }
}

fn back(text: &str, now: Timestamp, calendar: &Calendar) -> Result<Timestamp, String> {
    let wrong = || format!("`{text}` is not a range; {HELP}");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let n: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    if n == 0 || n > 100_000 {
        return Err(wrong());
    }
    let span = match unit {
        'm' => TimeDelta::minutes(n.into()),
        'h' => TimeDelta::hours(n.into()),
        'd' => TimeDelta::days(n.into()),
        'w' => TimeDelta::weeks(n.into()),
        'M' | 'Q' | 'y' => {
            let months = n * match unit {
                'M' => 1,
                'Q' => 3,
                _ => 12,
            };
            let wall = calendar.local(now);
            return wall.checked_sub_months(Months::new(months)).map(|t| t.to_utc()).ok_or_else(wrong);
        }
        _ => return Err(wrong()),
    };
    now.checked_sub_signed(span).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String), String> {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let now = "2026-03-18T02:30:00Z".parse().unwrap(); // Wednesday 10:30 in Shanghai
        let wall = |t| calendar.local(t).format("%Y-%m-%d %H:%M").to_string();
        Range::parse(text, now, &calendar).map(|r| (wall(r.from), wall(r.to)))
    }

    #[test]
    fn ranges_are_read_in_the_sites_zone() {
        let cases = [
            ("24h", "2026-03-17 10:30", "2026-03-18 10:30"),
            ("7d", "2026-03-11 10:30", "2026-03-18 10:30"),
            ("12M", "2025-03-18 10:30", "2026-03-18 10:30"),
            ("now/d", "2026-03-18 00:00", "2026-03-18 10:30"),
            ("now/w", "2026-03-16 00:00", "2026-03-18 10:30"),
            ("now/Q", "2026-01-01 00:00", "2026-03-18 10:30"),
            ("last/M", "2026-02-01 00:00", "2026-03-01 00:00"),
            ("last/w", "2026-03-09 00:00", "2026-03-16 00:00"),
            ("last/y", "2025-01-01 00:00", "2026-01-01 00:00"),
            ("2026-01-01..2026-02-01", "2026-01-01 00:00", "2026-02-01 00:00"),
        ];
        for (text, from, to) in cases {
            assert_eq!(parse(text).unwrap(), (from.into(), to.into()), "{text}");
        }
    }

    #[test]
    fn only_named_periods_are_periods() {
        let month = |so_far| Some(Period { unit: CalendarUnit::Month, so_far });
        assert_eq!((Period::of(" now/M"), Period::of("last/M")), (month(true), month(false)));
        for text in ["1M", "30d", "2026-01-01..2026-02-01", "now/x", "next/M"] {
            assert_eq!(Period::of(text), None, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in [
            "",
            "d",
            "0d",
            "-3d",
            "7x",
            "now/x",
            "yesterday",
            "2026-02-01..2026-01-01",
            "99999999999d",
            "７天",
            "-262143-01-01..+262142-12-31",
            "2026-01-01..+10000-01-01",
            "0000-12-31..2026-01-01",
            "100000y",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("7x").unwrap_err().contains("for example"));
    }
}
