//! The values of one series on a time axis that all series of an answer share.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, TimeDelta, Timelike};
use store::Timestamp;
use warehouse::metric::{Grain, Measure, MetricAnswer, MetricSpec};
use warehouse::{Calendar, CalendarUnit};

/// How a value behaves while its bucket is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Only grows until the bucket ends: counts and sums. Already above is above; still below says nothing.
    Growing,
    /// The present level of a stock: what it is now.
    Level,
    /// A mean, share or extreme of what came so far: says nothing before the bucket ends.
    Whole,
}

impl Nature {
    pub fn of(metric: &MetricSpec) -> Self {
        match &metric.measure {
            Measure::Count(_) | Measure::Sum(_) | Measure::Distinct(_) => Nature::Growing,
            Measure::Latest(_) | Measure::Last(_) => Nature::Level,
            _ => Nature::Whole,
        }
    }

    /// The value of a group without rows: nothing happened; a level is zero where other groups say that the
    /// time was seen; of means and shares nothing is known.
    pub(crate) fn of_nothing(self, seen: bool) -> Option<f64> {
        match self {
            Nature::Growing => Some(0.0),
            Nature::Level => seen.then_some(0.0),
            Nature::Whole => None,
        }
    }
}

/// One bucket of time, and what kind of time it is on the site's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub start: Timestamp,
    pub end: Timestamp,
    /// Its day on the site's wall clock.
    pub day: NaiveDate,
    /// Hour 0–23 of its start.
    pub hour: u8,
    /// Days since Monday.
    pub weekday: u8,
    /// Whether its day is worked: make-up workdays are, public holidays are not.
    pub works: bool,
}

impl Bucket {
    fn new(start: Timestamp, end: Timestamp, calendar: &Calendar) -> Self {
        let local = calendar.local(start);
        Self {
            start,
            end,
            day: local.date_naive(),
            hour: local.hour() as u8,
            weekday: local.weekday().num_days_from_monday() as u8,
            works: calendar.is_workday(local.date_naive()),
        }
    }
}

/// Buckets, oldest first. The first `settled` of them are complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    pub buckets: Vec<Bucket>,
    pub settled: usize,
}

/// One series: a value a bucket, and what each is compared to where the rule compares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    pub current: Vec<Option<f64>>,
    /// Of a year before, or of the window before; empty when nothing of the kind was asked.
    pub base: Vec<Option<f64>>,
}

/// What [`crate::judge::judge`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    pub axis: &'a Axis,
    pub values: &'a Values,
    pub nature: Nature,
}

impl Series<'_> {
    pub(crate) fn value(&self, at: usize) -> Option<f64> {
        self.values.current.get(at).copied().flatten()
    }

    /// The newest complete bucket.
    pub(crate) fn settled(&self) -> Option<usize> {
        self.axis.settled.checked_sub(1)
    }

    /// Buckets that are not complete and have a value, newest first.
    pub(crate) fn open(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        (self.axis.settled..self.axis.buckets.len()).rev().filter_map(|at| Some((at, self.value(at)?)))
    }
}

/// How long after its end a bucket may still get rows of its time from a source that is up to date.
fn settle(grain: Grain) -> TimeDelta {
    TimeDelta::minutes(match grain {
        Grain::Hour => 5,
        Grain::Day => 15,
        _ => 60,
    })
}

/// How long a bucket waits for its tables to change after its end. Longer silence counts: a source
/// without any rows commits nothing, and nothing is what a rule may have to report.
fn patience(grain: Grain) -> TimeDelta {
    TimeDelta::hours(match grain {
        Grain::Hour => 1,
        Grain::Day => 12,
        _ => 24,
    })
}

/// The start of the bucket that holds `t`.
pub(crate) fn start_of(grain: Grain, t: Timestamp, calendar: &Calendar) -> Timestamp {
    match unit(grain) {
        Some(unit) => calendar.start_of(unit, t),
        None => {
            let local = calendar.local(t);
            let into = i64::from(local.minute() * 60 + local.second());
            t - TimeDelta::seconds(into) - TimeDelta::nanoseconds(i64::from(local.nanosecond()))
        }
    }
}

fn end_of(grain: Grain, start: Timestamp, calendar: &Calendar) -> Timestamp {
    match unit(grain) {
        Some(unit) => calendar.next_of(unit, start),
        None => start + TimeDelta::hours(1),
    }
}

fn unit(grain: Grain) -> Option<CalendarUnit> {
    Some(match grain {
        Grain::Hour => return None,
        Grain::Day => CalendarUnit::Day,
        Grain::Week => CalendarUnit::Week,
        Grain::Month => CalendarUnit::Month,
        Grain::Quarter => CalendarUnit::Quarter,
        Grain::Year => CalendarUnit::Year,
    })
}

/// Whether a bucket's value is final at `now`. `as_of` is when the tables last changed, if known; rows come
/// `delay` later than their time.
pub(crate) fn is_settled(
    grain: Grain,
    end: Timestamp,
    delay: TimeDelta,
    now: Timestamp,
    as_of: Option<Timestamp>,
) -> bool {
    let Some(there) = end.checked_add_signed(delay) else { return false };
    let fresh = as_of.is_none_or(|as_of| as_of >= there) || there + patience(grain) <= now;
    there + settle(grain) <= now && fresh
}

/// The values of a dimension, in the order asked.
pub(crate) type Key = Vec<Option<String>>;

/// All series of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Frame {
    pub axis: Axis,
    pub series: BTreeMap<Key, Values>,
}

impl Frame {
    /// Buckets of an answer with a grain, as far as they had begun at `now`. A bucket whose rows come `delay`
    /// later than their time is complete that much later.
    pub(crate) fn by_time(
        answer: MetricAnswer,
        grain: Grain,
        now: Timestamp,
        delay: TimeDelta,
        calendar: &Calendar,
    ) -> Self {
        let mut starts: Vec<Timestamp> =
            answer.rows.iter().filter_map(|row| row.time).filter(|t| *t < now).collect();
        starts.sort_unstable();
        starts.dedup();
        let buckets: Vec<Bucket> = starts
            .iter()
            .map(|start| Bucket::new(*start, end_of(grain, *start, calendar), calendar))
            .collect();
        let is_complete = |b: &&Bucket| is_settled(grain, b.end, delay, now, answer.as_of);
        let settled = buckets.iter().take_while(is_complete).count();
        let compares = answer.previous_range.is_some();
        let width = buckets.len();
        let mut series: BTreeMap<Key, Values> = BTreeMap::new();
        for row in answer.rows {
            let Some(at) = row.time.and_then(|t| starts.binary_search(&t).ok()) else { continue };
            let values = match series.get_mut(&row.by) {
                Some(values) => values,
                None => series.entry(row.by).or_insert_with(|| Values {
                    current: vec![None; width],
                    base: if compares { vec![None; width] } else { Vec::new() },
                }),
            };
            values.current[at] = row.value;
            if compares {
                values.base[at] = row.previous;
            }
        }
        Self { axis: Axis { buckets, settled }, series }
    }

    /// One value over a window that ends now, and perhaps the one of an earlier window. A group without rows
    /// is in neither answer: one that the earlier window knows is there with nothing, which is what a rule may
    /// have to report.
    pub(crate) fn of_window(
        answer: MetricAnswer,
        base: Option<MetricAnswer>,
        nature: Nature,
        calendar: &Calendar,
    ) -> Self {
        let bucket = Bucket::new(answer.range.from, answer.range.to, calendar);
        let groups = |answer: MetricAnswer| -> BTreeMap<Key, Option<f64>> {
            answer.rows.into_iter().map(|row| (row.by, row.value)).collect()
        };
        // Whether a window knows anything at all: a stock that no group tells of is not gone.
        let seen = |groups: &BTreeMap<Key, Option<f64>>| groups.values().any(Option::is_some);
        let (mut current, earlier) = (groups(answer), base.map(groups));
        if let Some(earlier) = &earlier
            && let Some(nothing) = nature.of_nothing(seen(&current))
        {
            for key in earlier.keys() {
                current.entry(key.clone()).or_insert(Some(nothing));
            }
        }
        let series = current.into_iter().map(|(key, value)| {
            let before = |e: &BTreeMap<Key, Option<f64>>| match e.get(&key) {
                Some(value) => *value,
                None => nature.of_nothing(seen(e)),
            };
            let base = earlier.iter().map(before).collect();
            (key, Values { current: vec![value], base })
        });
        let series = series.collect();
        Self { axis: Axis { buckets: vec![bucket], settled: 1 }, series }
    }
}

/// A span as calendar arithmetic wants it; longer ones than it can hold do not occur in checked rules.
pub(crate) fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_is_final_when_it_is_over_and_its_tables_changed_since() {
        let end = at("2026-03-02T10:00:00Z");
        let cases = [
            ("2026-03-02T10:04:59Z", Some("2026-03-02T10:04:00Z"), false, "rows may still be on their way"),
            ("2026-03-02T10:05:00Z", Some("2026-03-02T10:00:30Z"), true, "loaded after its end"),
            ("2026-03-02T10:30:00Z", Some("2026-03-02T09:50:00Z"), false, "not loaded since"),
            (
                "2026-03-02T11:00:00Z",
                Some("2026-03-02T09:50:00Z"),
                true,
                "silent for an hour: nothing happened",
            ),
            ("2026-03-02T10:05:00Z", None, true, "nothing is known of loads"),
        ];
        for (now, as_of, expected, why) in cases {
            assert_eq!(
                is_settled(Grain::Hour, end, TimeDelta::zero(), at(now), as_of.map(at)),
                expected,
                "{why}"
            );
        }
    }

    #[test]
    fn a_bucket_waits_for_rows_that_always_come_later() {
        let end = at("2026-03-02T10:00:00Z");
        let settled = |now: &str, as_of: &str| {
            is_settled(Grain::Hour, end, TimeDelta::hours(1), at(now), Some(at(as_of)))
        };
        assert!(!settled("2026-03-02T10:30:00Z", "2026-03-02T10:29:00Z"), "others keep the table fresh");
        assert!(!settled("2026-03-02T11:04:59Z", "2026-03-02T11:04:00Z"));
        assert!(settled("2026-03-02T11:05:00Z", "2026-03-02T11:04:00Z"));
    }

    #[test]
    fn a_night_batch_that_comes_at_six_does_not_make_yesterday_look_empty() {
        let end = at("2026-03-01T16:00:00Z"); // midnight in Shanghai
        let loaded = Some(at("2026-02-28T22:00:00Z"));
        let none = TimeDelta::zero();
        assert!(
            !is_settled(Grain::Day, end, none, at("2026-03-01T21:00:00Z"), loaded),
            "still waiting at five"
        );
        let now = at("2026-03-01T22:10:00Z");
        assert!(is_settled(Grain::Day, end, none, now, Some(at("2026-03-01T22:05:00Z"))), "loaded at six");
    }

    #[test]
    fn buckets_know_holidays_and_make_up_workdays() {
        let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
        let bucket = |text: &str| Bucket::new(at(text), at(text), &calendar);
        let makeup = bucket("2026-02-14T01:00:00Z");
        assert_eq!((makeup.weekday, makeup.hour, makeup.works), (5, 9, true));
        assert!(!bucket("2026-02-17T01:00:00Z").works);
    }
}
