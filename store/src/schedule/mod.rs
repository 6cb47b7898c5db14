//! When something happens again: every so often, or by crontab(5) in the site's zone.

mod cron;
mod span;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

pub use self::cron::CronSpec;
pub use self::span::{Span, parse_duration};
use crate::clock::Timestamp;

/// A repetition. Display gives the text that [`Schedule::parse`] reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    Every(Duration),
    Cron(CronSpec),
}

impl Schedule {
    /// Reads a duration ("5m") or a crontab expression ("*/5 8-20 * * mon-fri", "@daily").
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('@') || text.split_whitespace().count() > 1 {
            return CronSpec::from_str(text).map(Schedule::Cron);
        }
        let every = parse_duration(text)?;
        if every.is_zero() {
            return Err("an interval of zero never ends: write for example 5m".into());
        }
        Ok(Schedule::Every(every))
    }

    /// The first moment after `t`. Intervals lie on a grid that does not depend on when the process
    /// started: multiples since 1970 UTC, whole days at local midnight. Cron follows the wall clock of
    /// `tz`: a time that daylight saving skips runs when the gap ends, a time that it repeats runs once,
    /// and expressions for every hour run through both. `None`: never (30 February). Where no calendar is
    /// known, Monday to Friday are worked; see [`Schedule::next_on`].
    pub fn next_after(&self, t: Timestamp, tz: Tz) -> Option<Timestamp> {
        self.next_on(t, tz, &cron::monday_to_friday)
    }

    /// The same with the days that a calendar says are worked, for `workday`, `freeday` and `LW`.
    pub fn next_on(&self, t: Timestamp, tz: Tz, works: &dyn Fn(NaiveDate) -> bool) -> Option<Timestamp> {
        match self {
            Schedule::Every(every) => next_interval(*every, t, tz),
            Schedule::Cron(cron) => cron.next_on(t, tz, works),
        }
    }

    /// Whether it names a date that does not exist, so that nothing would ever run.
    pub fn is_never(&self) -> bool {
        self.next_after(Timestamp::UNIX_EPOCH, Tz::UTC).is_none()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Every(every) => Span(*every).fmt(f),
            Schedule::Cron(cron) => cron.fmt(f),
        }
    }
}

fn next_interval(every: Duration, t: Timestamp, tz: Tz) -> Option<Timestamp> {
    const DAY: i64 = 86_400_000_000;
    let step = i64::try_from(every.as_micros()).ok().filter(|s| *s > 0)?;
    if step % DAY == 0 {
        let days = step / DAY;
        let mut date = tz.from_utc_datetime(&t.naive_utc()).date_naive();
        // The next multiple may still lie before `t` only where a zone skips midnight; then once more.
        for _ in 0..3 {
            let number = date.signed_duration_since(NaiveDate::default()).num_days();
            let ahead = days - number.rem_euclid(days);
            date = date.checked_add_days(Days::new(ahead as u64))?;
            let moment = *instants(tz, date.and_time(NaiveTime::MIN))?.first()?;
            if moment > t {
                return Some(moment);
            }
        }
        return None;
    }
    let now = t.timestamp_micros();
    Timestamp::from_timestamp_micros(now.checked_add(step - now.rem_euclid(step))?)
}

/// The moments of a wall-clock time: one, two when daylight saving repeats it, and for a time that it
/// skips the moment when the gap ends.
fn instants(tz: Tz, wall: NaiveDateTime) -> Option<Vec<Timestamp>> {
    // Apia skipped a whole day in 2011: the longest gap there is.
    for minutes in 0..=(25 * 60) {
        let wall = wall.checked_add_signed(chrono::Duration::minutes(minutes))?;
        match tz.from_local_datetime(&wall) {
            LocalResult::Single(one) => return Some(vec![one.to_utc()]),
            LocalResult::Ambiguous(a, _) if minutes > 0 => return Some(vec![a.to_utc()]),
            LocalResult::Ambiguous(a, b) => return Some(vec![a.to_utc(), b.to_utc()]),
            LocalResult::None => {}
        }
    }
    None
}
