//! Moments on the site's wall clock, and what is counted between them.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result as DfResult, exec_datafusion_err, exec_err};

use super::{Part, Site};

/// Dates or times of a column.
pub(super) struct Moments<'a> {
    values: &'a ArrayRef,
    site: &'a Site,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    /// Without a zone.
    Wall,
    Instant,
}

impl<'a> Moments<'a> {
    pub(super) fn new(values: &'a ArrayRef, site: &'a Site) -> DfResult<Self> {
        let kind = match values.data_type() {
            DataType::Date32 => Kind::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Kind::Wall,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Kind::Instant,
            other => return exec_err!("a date or time is wanted here, not {other}"),
        };
        Ok(Self { values, site, kind })
    }

    /// What the site's clock shows.
    pub(super) fn wall(&self, row: usize) -> DfResult<Option<NaiveDateTime>> {
        if self.values.is_null(row) {
            return Ok(None);
        }
        let beyond = || exec_datafusion_err!("a date or time lies beyond the calendar");
        let wall = match self.kind {
            Kind::Date => super::super::day(self.values.as_primitive::<Date32Type>().value(row))
                .and_then(|day| day.and_hms_opt(0, 0, 0)),
            Kind::Wall => DateTime::from_timestamp_micros(self.micros_at(row)).map(|t| t.naive_utc()),
            Kind::Instant => self.site.wall(self.micros_at(row)),
        };
        wall.ok_or_else(beyond).map(Some)
    }

    /// Microseconds since 1970 in UTC; a time without a zone is the site's.
    pub(super) fn instant(&self, row: usize) -> DfResult<Option<i64>> {
        if self.values.is_null(row) {
            return Ok(None);
        }
        if self.kind == Kind::Instant {
            return Ok(Some(self.micros_at(row)));
        }
        Ok(self.wall(row)?.map(|wall| self.site.instant(wall)))
    }

    /// A wall time as this column would hold it.
    pub(super) fn micros(&self, wall: NaiveDateTime) -> i64 {
        if self.kind == Kind::Instant { self.site.instant(wall) } else { wall.and_utc().timestamp_micros() }
    }

    fn micros_at(&self, row: usize) -> i64 {
        self.values.as_primitive::<TimestampMicrosecondType>().value(row)
    }
}

pub(super) fn part(part: Part, at: NaiveDateTime) -> i32 {
    match part {
        Part::Year => at.year(),
        Part::Quarter => at.month0() as i32 / 3 + 1,
        Part::Month => at.month() as i32,
        Part::Week => at.iso_week().week() as i32,
        Part::Day => at.day() as i32,
        Part::DayOfYear => at.ordinal() as i32,
        Part::DayOfWeek => at.weekday().number_from_sunday() as i32,
        Part::Weekday => at.weekday().num_days_from_monday() as i32,
        Part::Hour => at.hour() as i32,
        Part::Minute => at.minute() as i32,
        Part::Second => at.second() as i32,
    }
}

pub(super) fn last_day(day: NaiveDate) -> Option<NaiveDate> {
    day.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
}

/// A step on the calendar.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shift {
    pub(super) months: i64,
    pub(super) days: i64,
    pub(super) micros: i64,
}

impl Shift {
    pub(super) fn of(self, at: NaiveDateTime) -> Option<NaiveDateTime> {
        let months = Months::new(u32::try_from(self.months.unsigned_abs()).ok()?);
        let days = Days::new(self.days.unsigned_abs());
        let at =
            if self.months < 0 { at.checked_sub_months(months)? } else { at.checked_add_months(months)? };
        let at = if self.days < 0 { at.checked_sub_days(days)? } else { at.checked_add_days(days)? };
        at.checked_add_signed(TimeDelta::microseconds(self.micros))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}

impl Unit {
    /// Understands `month`, `MONTHS`, `mm`, `sql_tsi_month`, …
    pub(super) fn read(text: &str) -> Option<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let word = lower.strip_prefix("sql_tsi_").unwrap_or(&lower);
        Some(match word {
            "year" | "years" | "yy" | "yyyy" | "y" => Unit::Year,
            "quarter" | "quarters" | "qq" | "q" => Unit::Quarter,
            "month" | "months" | "mm" | "mon" => Unit::Month,
            "week" | "weeks" | "wk" | "ww" | "w" => Unit::Week,
            "day" | "days" | "dd" | "d" => Unit::Day,
            "hour" | "hours" | "hh" | "h" => Unit::Hour,
            "minute" | "minutes" | "mi" | "n" => Unit::Minute,
            "second" | "seconds" | "ss" | "s" => Unit::Second,
            "millisecond" | "milliseconds" | "ms" => Unit::Millisecond,
            "microsecond" | "microseconds" | "us" | "mcs" => Unit::Microsecond,
            _ => return None,
        })
    }

    /// Shorter than a day.
    pub(super) fn is_time(self) -> bool {
        self.micros().is_some()
    }

    fn micros(self) -> Option<i64> {
        Some(match self {
            Unit::Hour => 3_600_000_000,
            Unit::Minute => 60_000_000,
            Unit::Second => 1_000_000,
            Unit::Millisecond => 1_000,
            Unit::Microsecond => 1,
            _ => return None,
        })
    }

    pub(super) fn times(self, n: Option<i64>) -> Option<Shift> {
        let n = n?;
        let months = |each: i64| Some(Shift { months: n.checked_mul(each)?, ..Shift::default() });
        match self {
            Unit::Year => months(12),
            Unit::Quarter => months(3),
            Unit::Month => months(1),
            Unit::Week => Some(Shift { days: n.checked_mul(7)?, ..Shift::default() }),
            Unit::Day => Some(Shift { days: n, ..Shift::default() }),
            _ => Some(Shift { micros: n.checked_mul(self.micros()?)?, ..Shift::default() }),
        }
    }

    /// How many borders of the unit lie between, as SQL Server and DuckDB count; weeks are whole ones, as in DuckDB.
    pub(super) fn borders(self, from: NaiveDateTime, to: NaiveDateTime) -> i64 {
        let months = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
        let days = |at: NaiveDateTime| i64::from(at.date().num_days_from_ce());
        let place = |at: NaiveDateTime| match self {
            Unit::Year => i64::from(at.year()),
            Unit::Quarter => months(at).div_euclid(3),
            Unit::Month => months(at),
            Unit::Day | Unit::Week => days(at),
            _ => at.and_utc().timestamp_micros().div_euclid(self.micros().unwrap_or(1)),
        };
        let borders = place(to) - place(from);
        if self == Unit::Week { borders / 7 } else { borders }
    }

    /// Whole units between, as MySQL's timestampdiff counts.
    pub(super) fn between(self, from: NaiveDateTime, to: NaiveDateTime) -> i64 {
        let months = || whole_months(from, to);
        match self {
            Unit::Year => months() / 12,
            Unit::Quarter => months() / 3,
            Unit::Month => months(),
            Unit::Week => (to - from).num_days() / 7,
            Unit::Day => (to - from).num_days(),
            _ => (to - from).num_microseconds().unwrap_or(i64::MAX) / self.micros().unwrap_or(1),
        }
    }
}

/// Negative when `to` comes first.
fn whole_months(from: NaiveDateTime, to: NaiveDateTime) -> i64 {
    if to < from {
        return -whole_months(to, from);
    }
    let months = i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month());
    let short = (to.day(), to.time()) < (from.day(), from.time());
    months - i64::from(short)
}

/// Oracle's: the last day of a month stays the last day.
pub(super) fn add_months(at: NaiveDateTime, n: i64) -> Option<NaiveDateTime> {
    let moved = Shift { months: n, ..Shift::default() }.of(at)?;
    if last_day(at.date())? == at.date() {
        return Some(last_day(moved.date())?.and_time(moved.time()));
    }
    Some(moved)
}

/// Oracle's: whole between equal days of the month and between last days, otherwise by months of 31 days.
pub(super) fn months_between(a: NaiveDateTime, b: NaiveDateTime) -> f64 {
    let months = f64::from((a.year() - b.year()) * 12 + a.month() as i32 - b.month() as i32);
    let last = |at: NaiveDateTime| last_day(at.date()) == Some(at.date());
    if a.day() == b.day() || (last(a) && last(b)) {
        return months;
    }
    let days = |at: NaiveDateTime| f64::from(at.day()) + f64::from(at.num_seconds_from_midnight()) / 86_400.0;
    months + (days(a) - days(b)) / 31.0
}

/// PostgreSQL's: years, months and days that stand between two moments.
pub(super) fn age(a: NaiveDateTime, b: NaiveDateTime) -> IntervalMonthDayNano {
    let (sign, later, earlier) = if a >= b { (1, a, b) } else { (-1, b, a) };
    let mut months = (later.year() - earlier.year()) * 12 + later.month() as i32 - earlier.month() as i32;
    let mut days = later.day() as i32 - earlier.day() as i32;
    let mut nanos = (later.time() - earlier.time()).num_nanoseconds().unwrap_or(0);
    if nanos < 0 {
        nanos += 86_400_000_000_000;
        days -= 1;
    }
    if days < 0 {
        // The days of the month that the earlier moment stands in.
        let length = last_day(earlier.date()).map_or(30, |last| last.day() as i32);
        days += length;
        months -= 1;
    }
    IntervalMonthDayNano::new(sign * months, sign * days, i64::from(sign) * nanos)
}
