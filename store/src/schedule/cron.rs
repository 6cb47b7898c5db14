//! A crontab(5) front for the `cron` crate, which differs from crontab: it wants seconds, counts Sunday
//! as 1, joins day-of-month and day-of-week with "and", and skips times that daylight saving skips. So
//! the fields are read here, handed over as plain numbers, searched on the wall clock as if it were UTC,
//! and only then placed in the zone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Weekday};
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

/// Days in a row that may be refused before an expression is taken for one that never runs: 29 February
/// is at most eight years away.
const MOST_REFUSALS: usize = 9 * 366;

/// A five-field crontab expression: names, ranges, lists, steps, Sunday as 0 or 7, `@daily` and friends; `L`
/// is the last day of a month, `LW` its last workday, `workday` and `freeday` are days of the site's calendar.
#[derive(Debug, Clone)]
pub struct CronSpec {
    text: String,
    /// Several when both days are restricted: crontab runs when either matches.
    either: Vec<Alternative>,
    /// Runs in every hour, so it also runs through the hour that daylight saving repeats.
    every_hour: bool,
}

#[derive(Debug, Clone)]
struct Alternative {
    schedule: cron::Schedule,
    /// What a day must be beside what the schedule can say.
    only: Vec<Only>,
}

/// A kind of day that numbers cannot name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    LastDay,
    LastWorkday,
    Workday,
    Freeday,
}

impl Only {
    fn holds(self, day: NaiveDate, works: &dyn Fn(NaiveDate) -> bool) -> bool {
        let rest_of_month = || day.iter_days().skip(1).take_while(|next| next.month() == day.month());
        match self {
            Only::LastDay => rest_of_month().next().is_none(),
            Only::LastWorkday => works(day) && !rest_of_month().any(works),
            Only::Workday => works(day),
            Only::Freeday => !works(day),
        }
    }
}

/// One part of a day field: numbers, and what the day must be beside.
type Part = (BTreeSet<u32>, Vec<Only>);

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
        let days =
            parts(&FIELDS[2], day, &[("l", 28..=31, Only::LastDay), ("lw", 1..=31, Only::LastWorkday)])?;
        let months = FIELDS[3].read(month)?;
        let kinds = [("workday", 0..=6, Only::Workday), ("freeday", 0..=6, Only::Freeday)];
        // Sunday is 0 or 7 here and 1 in the crate.
        let sunday_first = |(days, only): Part| (days.into_iter().map(|d| d % 7 + 1).collect(), only);
        let weekdays: Vec<Part> = parts(&FIELDS[4], weekday, &kinds)?.into_iter().map(sunday_first).collect();
        let all: Part = (BTreeSet::new(), Vec::new());
        // crontab(5): a day field that begins with a star restricts nothing by itself.
        let pairs: Vec<(&Part, &Part)> = match !day.starts_with('*') && !weekday.starts_with('*') {
            true => days.iter().map(|d| (d, &all)).chain(weekdays.iter().map(|w| (&all, w))).collect(),
            false => days.iter().flat_map(|d| weekdays.iter().map(move |w| (d, w))).collect(),
        };
        let either = pairs
            .into_iter()
            .map(|((days, a), (weekdays, b))| {
                let (days, weekdays) = (list(days, 31), list(weekdays, 7));
                let text = format!(
                    "0 {} {} {days} {} {weekdays}",
                    list(&minutes, 60),
                    list(&hours, 24),
                    list(&months, 12)
                );
                let schedule = cron::Schedule::from_str(&text)
                    .map_err(|e| format!("\"{full}\" is not a schedule: {e}"))?;
                Ok(Alternative { schedule, only: a.iter().chain(b).copied().collect() })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self { text: text.to_owned(), either, every_hour: hours.len() == 24 })
    }
}

/// A day field: its numbers together, and each kind of day that it names by a word.
fn parts(
    field: &Field,
    text: &str,
    kinds: &[(&str, std::ops::RangeInclusive<u32>, Only)],
) -> Result<Vec<Part>, String> {
    let mut found = Vec::new();
    let mut plain = Vec::new();
    for word in text.split(',') {
        match kinds.iter().find(|(name, ..)| *name == word) {
            Some((_, days, only)) => found.push((days.clone().collect(), vec![*only])),
            None => plain.push(word),
        }
    }
    if !plain.is_empty() {
        found.push((field.read(&plain.join(","))?, Vec::new()));
    }
    Ok(found)
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
        let kinds = match self.name {
            "day of month" => ", L for the last day, LW for the last workday",
            "day of week" => ", workday or freeday",
            _ => "",
        };
        format!(
            "\"{part}\" is not a {}: use {}–{}{names}{kinds}, *, lists with commas, ranges with - and steps with /",
            self.name, self.low, self.high
        )
    }
}

impl CronSpec {
    /// The first moment after `t` on the wall clock of `tz`; see [`super::Schedule::next_on`].
    pub fn next_on(&self, t: Timestamp, tz: Tz, works: &dyn Fn(NaiveDate) -> bool) -> Option<Timestamp> {
        self.either.iter().filter_map(|alternative| self.next_of(alternative, t, tz, works)).min()
    }

    fn next_of(
        &self,
        Alternative { schedule, only }: &Alternative,
        t: Timestamp,
        tz: Tz,
        works: &dyn Fn(NaiveDate) -> bool,
    ) -> Option<Timestamp> {
        let mut best: Option<Timestamp> = None;
        let mut from = search_start(t, tz);
        'days: for _ in 0..MOST_REFUSALS {
            for candidate in schedule.after(&from.and_utc()) {
                let wall = candidate.naive_utc();
                if !only.iter().all(|only| only.holds(wall.date(), works)) {
                    // Nothing else of this day counts either.
                    from = wall.date().and_time(NaiveTime::MIN) + chrono::Duration::seconds(86_399);
                    continue 'days;
                }
                let moments = instants(tz, wall)?;
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
            break;
        }
        best
    }
}

/// The workdays of a week where nothing is known of a calendar.
pub(super) fn monday_to_friday(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
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
                            for example \"*/5 8-20 * * mon-fri\"; L is the last day of a month, LW its last workday, \
                            workday and freeday are days of the calendar (make-up workdays work); or @hourly, @daily, @weekly, @monthly, @yearly.",
        })
    }
}
