//! A crontab(5) front for the `cron` crate, which differs from crontab: it wants seconds, counts Sunday
//! as 1, joins day-of-month and day-of-week with "and", and skips times that daylight saving skips. So
//! the fields are read here, handed over as plain numbers, searched on the wall clock as if it were UTC,
//! and only then placed in the zone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::instants;
use crate::clock::Timestamp;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
/// Daylight saving moves clocks by far less; a zone that changed sides of the date line by a day.
const SLACK_HOURS: i64 = 26;

/// A five-field crontab expression: names, ranges, lists, steps, Sunday as 0 or 7, `@daily` and friends.
#[derive(Debug, Clone)]
pub struct CronSpec {
    text: String,
    /// Two when both days are restricted: crontab runs when either matches.
    either: Vec<cron::Schedule>,
    /// Runs in every hour, so it also runs through the hour that daylight saving repeats.
    every_hour: bool,
}

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    Field { name: "day of week", low: 0, high: 7, names: &DAYS },
];

impl FromStr for CronSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let lower = text.to_lowercase();
        let full = match lower.starts_with('@') {
            true => SHORTHANDS.iter().find(|(name, _)| *name == lower).map(|(_, full)| *full).ok_or_else(
                || format!("\"{text}\" is not known: use @hourly, @daily, @weekly, @monthly or @yearly"),
            )?,
            false => &lower,
        };
        let fields: Vec<&str> = full.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "\"{text}\" has {} fields; write five: minute hour day-of-month month day-of-week (no seconds), \
                 for example \"*/5 8-20 * * mon-fri\"",
                fields.len()
            ));
        };
        let minutes = FIELDS[0].read(minute)?;
        let hours = FIELDS[1].read(hour)?;
        let days = FIELDS[2].read(day)?;
        let months = FIELDS[3].read(month)?;
        // Sunday is 0 or 7 here and 1 in the crate.
        let weekdays: BTreeSet<u32> = FIELDS[4].read(weekday)?.into_iter().map(|d| d % 7 + 1).collect();
        let all = BTreeSet::new();
        // crontab(5): a day field that begins with a star restricts nothing by itself.
        let pairs = match !day.starts_with('*') && !weekday.starts_with('*') {
            true => vec![(&days, &all), (&all, &weekdays)],
            false => vec![(&days, &weekdays)],
        };
        let either = pairs
            .into_iter()
            .map(|(days, weekdays)| {
                let (days, weekdays) = (list(days, 31), list(weekdays, 7));
                let text = format!(
                    "0 {} {} {days} {} {weekdays}",
                    list(&minutes, 60),
                    list(&hours, 24),
                    list(&months, 12)
                );
                cron::Schedule::from_str(&text).map_err(|e| format!("\"{full}\" is not a schedule: {e}"))
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self { text: text.to_owned(), either, every_hour: hours.len() == 24 })
    }
}

/// Numbers for the crate; an empty or complete set is a star.
fn list(values: &BTreeSet<u32>, complete: usize) -> String {
    if values.is_empty() || values.len() == complete {
        return "*".into();
    }
    values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

impl Field {
    fn read(&self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut values = BTreeSet::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            let step = match step {
                Some(step) => step.parse::<u32>().ok().filter(|s| *s > 0).ok_or_else(|| self.wrong(part))?,
                None => 1,
            };
            let (low, high) = match range.split_once('-') {
                // A star over days of the week must not count Sunday twice under a step.
                None if range == "*" => (self.low, if self.high == 7 { 6 } else { self.high }),
                None if part.contains('/') => (self.number(range, part)?, self.high),
                None => (self.number(range, part)?, self.number(range, part)?),
                Some((low, high)) => self.range(low, high, part)?,
            };
            values.extend((low..=high).step_by(step as usize));
        }
        Ok(values)
    }

    fn range(&self, low: &str, high: &str, part: &str) -> Result<(u32, u32), String> {
        let (low, mut high) = (self.number(low, part)?, self.number(high, part)?);
        if self.high == 7 && high == 0 && low > 0 {
            high = 7;
        }
        if low > high {
            return Err(format!(
                "\"{part}\" ({}) runs backwards: write two ranges joined by a comma",
                self.name
            ));
        }
        Ok((low, high))
    }

    fn number(&self, text: &str, part: &str) -> Result<u32, String> {
        if let Some(i) = self.names.iter().position(|n| *n == text) {
            return Ok(i as u32 + if self.names.len() == 12 { 1 } else { 0 });
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse::<u32>().ok()).flatten();
        number.filter(|n| (self.low..=self.high).contains(n)).ok_or_else(|| self.wrong(part))
    }

    fn wrong(&self, part: &str) -> String {
        let names = match self.names {
            [] => String::new(),
            [first, .., last] => format!(" or {first}–{last}"),
            [only] => format!(" or {only}"),
        };
        format!(
            "\"{part}\" is not a {}: use {}–{}{names}, *, lists with commas, ranges with - and steps with /",
            self.name, self.low, self.high
        )
    }
}

impl CronSpec {
    /// The first moment after `t` on the wall clock of `tz`; see [`super::Schedule::next_after`].
    pub fn next_after(&self, t: Timestamp, tz: Tz) -> Option<Timestamp> {
        self.either.iter().filter_map(|schedule| self.next_of(schedule, t, tz)).min()
    }

    fn next_of(&self, schedule: &cron::Schedule, t: Timestamp, tz: Tz) -> Option<Timestamp> {
        let mut best: Option<Timestamp> = None;
        for candidate in schedule.after(&search_start(t, tz).and_utc()) {
            let moments = instants(tz, candidate.naive_utc())?;
            let first = *moments.first()?;
            let taken = if self.every_hour { moments.len() } else { 1 };
            for moment in moments.into_iter().take(taken).filter(|m| *m > t) {
                best = Some(best.map_or(moment, |b| b.min(moment)));
            }
            // First moments never run backwards, so nothing later can be earlier than the best.
            if first > t {
                break;
            }
        }
        best
    }
}

/// Where to start looking on the wall clock: just before now, or a day before when the zone changes its
/// offset around now and wall times repeat or shift.
fn search_start(t: Timestamp, tz: Tz) -> NaiveDateTime {
    let offset = |t: Timestamp| tz.offset_from_utc_datetime(&t.naive_utc()).fix().local_minus_utc();
    let slack = chrono::Duration::hours(SLACK_HOURS);
    let steady = offset(t - slack) == offset(t + slack) && offset(t) == offset(t - slack);
    let wall = tz.from_utc_datetime(&t.naive_utc()).naive_local();
    wall - if steady { chrono::Duration::seconds(1) } else { slack }
}

impl PartialEq for CronSpec {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for CronSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for CronSpec {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CronSpec {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for CronSpec {
    fn schema_name() -> Cow<'static, str> {
        "Cron".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A crontab(5) expression in the site's zone: minute hour day-of-month month day-of-week, \
                            for example \"*/5 8-20 * * mon-fri\"; or @hourly, @daily, @weekly, @monthly, @yearly.",
        })
    }
}
