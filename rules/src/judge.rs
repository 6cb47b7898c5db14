//! Condition and series in, verdict out. Pure.
//!
//! A bucket that is not over must never raise a false alarm. So the newest complete bucket is judged,
//! and the open one only says what can no longer change, or what is true at this moment:
//!
//! | Nature of the value | open bucket, high side | open bucket, low side |
//! |---|---|---|
//! | growing (count, sum) | accuses: already above | acquits: no longer below a fixed limit |
//! | level (stock) | decides for fixed limits: it is what is | acquits for fixed limits |
//! | whole (mean, share, extreme) | ignored | ignored |

use chrono::{Datelike, Months, TimeDelta};
use store::Timestamp;

use crate::series::{Bucket, Nature, Series, delta};
use crate::spec::{Against, Change, Condition, Season, Seasonal, Side};
use crate::spread;

/// What was seen, and what would have been right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Start of the bucket, or when the row happened.
    pub at: Option<Timestamp>,
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// What the value is compared to: an earlier value, or the median.
    pub previous: Option<f64>,
}

impl Reading {
    /// The change from `previous`, as a share of it.
    pub fn change(&self) -> Option<f64> {
        let (value, previous) = (self.value?, self.previous?);
        (previous != 0.0).then(|| (value - previous) / previous.abs())
    }
}

/// What a condition says of a series now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Normal(Reading),
    Outside(Reading),
    /// Nothing can be said.
    Unknown(Unknown),
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No complete bucket has a value.
    NoValue,
    /// Too few earlier values to compare to.
    NoHistory,
}

/// What is right at one bucket, and which side is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Band {
    low: Option<f64>,
    high: Option<f64>,
    previous: Option<f64>,
    side: Side,
}

impl Band {
    fn is_above(&self, value: f64) -> bool {
        self.side != Side::Below && self.high.is_some_and(|high| value > high)
    }

    fn is_below(&self, value: f64) -> bool {
        self.side != Side::Above && self.low.is_some_and(|low| value < low)
    }

    fn reading(&self, bucket: &Bucket, value: Option<f64>) -> Reading {
        Reading { at: Some(bucket.start), value, low: self.low, high: self.high, previous: self.previous }
    }
}

/// Judges the newest values of a series. Conditions that judge no series know nothing here.
pub fn judge(when: &Condition, series: &Series<'_>) -> Verdict {
    if let Some(verdict) = judge_open(when, series) {
        return verdict;
    }
    let Some(at) = series.settled() else { return Verdict::Unknown(Unknown::NoValue) };
    let Some(value) = series.value(at) else { return Verdict::Unknown(Unknown::NoValue) };
    let Some(band) = band(when, series, at) else { return Verdict::Unknown(Unknown::NoHistory) };
    let reading = band.reading(&series.axis.buckets[at], Some(value));
    if band.is_above(value) || band.is_below(value) {
        Verdict::Outside(reading)
    } else {
        Verdict::Normal(reading)
    }
}

/// What buckets that are not complete settle by themselves; see the table above. There can be two: one
/// that ended a moment ago and may still get rows, and the present one.
fn judge_open(when: &Condition, series: &Series<'_>) -> Option<Verdict> {
    let fixed = matches!(when, Condition::Above(_) | Condition::Below(_) | Condition::Outside(_));
    for (at, value) in series.open() {
        let Some(band) = band(when, series, at) else { continue };
        let reading = band.reading(&series.axis.buckets[at], Some(value));
        match series.nature {
            Nature::Growing if band.is_above(value) && grows(&band, series) => {
                return Some(Verdict::Outside(reading));
            }
            // The complete bucket may still be too high; only what was too low can be made good by now.
            Nature::Growing if fixed && band.high.is_none() && !band.is_below(value) => {
                return Some(Verdict::Normal(reading));
            }
            Nature::Level if fixed && band.is_above(value) => return Some(Verdict::Outside(reading)),
            Nature::Level if fixed && !band.is_below(value) => return Some(Verdict::Normal(reading)),
            // The newest level counts; one before it does not.
            Nature::Level => return None,
            _ => {}
        }
    }
    None
}

/// Whether a value really only grows, from zero on: a sum over amounts that may be negative can still come
/// down, and is above a negative limit before its first row.
fn grows(band: &Band, series: &Series<'_>) -> bool {
    let complete = &series.values.current[..series.axis.settled];
    band.high.is_some_and(|high| high >= 0.0) && complete.iter().flatten().all(|v| *v >= 0.0)
}

fn band(when: &Condition, series: &Series<'_>, at: usize) -> Option<Band> {
    let fixed = |low, high| Some(Band { low, high, previous: None, side: Side::Both });
    match when {
        Condition::Above(limit) => fixed(None, Some(limit.value)),
        Condition::Below(limit) => fixed(Some(limit.value), None),
        Condition::Outside(corridor) => fixed(Some(corridor.low), Some(corridor.high)),
        Condition::Change(change) => change_band(change, series, at),
        Condition::Seasonal(seasonal) => usual(seasonal, series, at),
        Condition::Stale(_) | Condition::Rows(_) => None,
    }
}

fn change_band(change: &Change, series: &Series<'_>, at: usize) -> Option<Band> {
    let base = base(change.against, series, at)?;
    // Too small to compare to, or nothing to take a share of: everything is right.
    let comparable = base != 0.0 && base.abs() >= change.min;
    let limit =
        |share: Option<f64>, sign: f64| share.filter(|_| comparable).map(|s| base + sign * base.abs() * s);
    Some(Band {
        low: limit(change.down, -1.0),
        high: limit(change.up, 1.0),
        previous: Some(base),
        side: Side::Both,
    })
}

fn base(against: Against, series: &Series<'_>, at: usize) -> Option<f64> {
    if !series.values.base.is_empty() {
        return series.values.base.get(at).copied().flatten();
    }
    match against {
        // A bucket that is not complete is no measure for the next.
        Against::Previous => {
            at.checked_sub(1).filter(|b| *b < series.axis.settled).and_then(|b| series.value(b))
        }
        Against::LastWeek => series.value(week_before(&series.axis.buckets, at)?),
        Against::LastMonth => series.value(month_before(&series.axis.buckets, at)?),
        Against::LastYear => None,
    }
}

/// The bucket of the same weekday and hour a week before, on the wall clock: a clock change between
/// them makes the distance an hour longer or shorter.
fn week_before(buckets: &[Bucket], at: usize) -> Option<usize> {
    let bucket = &buckets[at];
    let wanted = bucket.start - TimeDelta::days(7);
    let near = buckets[..at].partition_point(|b| b.start < wanted - TimeDelta::hours(2));
    buckets[near..at]
        .iter()
        .take(5)
        .position(|b| b.weekday == bucket.weekday && b.hour == bucket.hour)
        .map(|offset| near + offset)
}

/// The bucket of the same date and hour a month before. The month before may have no such date.
fn month_before(buckets: &[Bucket], at: usize) -> Option<usize> {
    let bucket = &buckets[at];
    let wanted = bucket.day.checked_sub_months(Months::new(1)).filter(|day| day.day() == bucket.day.day())?;
    let near = buckets[..at].partition_point(|b| b.day < wanted);
    buckets[near..at]
        .iter()
        .take_while(|b| b.day == wanted)
        .position(|b| b.hour == bucket.hour)
        .map(|offset| near + offset)
}

/// Median of the alike complete buckets before `at` ± what their scatter allows. For a week the other weekdays
/// lend their scatter: twelve weeks have few Mondays.
fn usual(seasonal: &Seasonal, series: &Series<'_>, at: usize) -> Option<Band> {
    let bucket = &series.axis.buckets[at];
    let history = seasonal.history.map(|h| bucket.start - delta(h.0));
    let first = history.map_or(0, |from| series.axis.buckets.partition_point(|b| b.start < from));
    let weekly = seasonal.season == Season::Week && is_ordinary(bucket);
    let (mut own, mut others) = (Vec::new(), vec![Vec::new(); if weekly { 7 } else { 0 }]);
    let past = series.axis.buckets[..at.min(series.axis.settled)].iter().enumerate().skip(first);
    let alike =
        |b: &Bucket| b.hour == bucket.hour && (seasonal.season == Season::Day || b.works == bucket.works);
    let values = past.rev().filter(|(_, b)| alike(b)).filter_map(|(i, b)| Some((b, series.value(i)?)));
    for (b, value) in values.take(spread::MOST) {
        match others.get_mut(usize::from(b.weekday)) {
            Some(other) if b.weekday != bucket.weekday => other.push(value),
            _ => own.push(value),
        }
    }
    if own.len() < seasonal.min_points.max(1) {
        return None;
    }
    // Where nothing is ever negative, a lower bound below zero would only confuse its reader.
    let positive = own.iter().all(|v| *v >= 0.0);
    let (middle, distance) = spread::usual(&mut own, &mut others, seasonal.deviations);
    let distance = distance.max(seasonal.floor).max(middle.abs() * 1e-9);
    let low = if positive { (middle - distance).max(0.0) } else { middle - distance };
    Some(Band { low: Some(low), high: Some(middle + distance), previous: Some(middle), side: seasonal.side })
}

/// Whether a day is worked exactly when its weekday usually is.
fn is_ordinary(bucket: &Bucket) -> bool {
    bucket.works == (bucket.weekday < 5)
}

/// One value of the evidence and what would have been right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub reading: Reading,
    pub outside: bool,
    pub partial: bool,
}

/// The newest values with what would have been right at each, at most `longest`.
pub(crate) fn evidence(when: &Condition, series: &Series<'_>, longest: usize) -> Vec<Point> {
    let buckets = &series.axis.buckets;
    let first = buckets.len().saturating_sub(longest);
    (first..buckets.len())
        .map(|at| {
            let (value, partial) = (series.value(at), at >= series.axis.settled);
            match band(when, series, at) {
                Some(band) => {
                    let low = !partial && value.is_some_and(|v| band.is_below(v));
                    let high = value.is_some_and(|v| band.is_above(v))
                        && (!partial || series.nature != Nature::Whole);
                    Point { reading: band.reading(&buckets[at], value), outside: low || high, partial }
                }
                None => {
                    let reading = Reading { at: Some(buckets[at].start), value, ..Reading::default() };
                    Point { reading, outside: false, partial }
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
