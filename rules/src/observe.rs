//! What a rule sees: every series of its metric, the rows of its query, or how stale its table is,
//! each with a verdict and the evidence for it.

use std::collections::BTreeMap;

use access::Principal;
use chrono::{Months, TimeDelta, TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Timestamp;
use warehouse::metric::{Compare, Filter, Grain, MetricQuery, MetricSpec, MetricUnit};
use warehouse::{Calendar, Error, Range, Result, TableName, Warehouse};

use crate::judge::{Reading, Unknown, Verdict, evidence, judge};
use crate::names::{Labels, label, series_of};
use crate::rows::{found, freshness};
use crate::series::{Frame, Key, Nature, Series, Values, delta, start_of};
use crate::spec::{Against, Ask, Change, Condition, RuleSpec};

/// The most series or rows of one rule; a rule that names more is itself the trouble.
pub(crate) const MOST_SERIES: usize = 5_000;
/// Points kept as evidence.
const EVIDENCE_POINTS: usize = 400;

/// One series with its verdict.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    /// Which series it is: see [`series_of`].
    pub(crate) series: String,
    pub(crate) labels: Labels,
    /// Columns of a row, as text for the message.
    pub(crate) columns: BTreeMap<String, String>,
    pub(crate) verdict: Verdict,
    pub(crate) evidence: Evidence,
}

/// Why an alert fired, kept with it, since data goes on changing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<MetricUnit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<EvidencePoint>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub row: BTreeMap<String, Value>,
    /// The tables that `row` was read from: who may not read them does not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Vec<TableName>>,
}

/// A point with what was right there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidencePoint {
    pub t: Timestamp,
    pub v: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub outside: bool,
    /// The bucket was not over when the alert fired.
    #[serde(default)]
    pub partial: bool,
}

/// What is asked of the warehouse for a rule: rules that ask the same share the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) now: MetricQuery,
    /// The window before, for rules that compare windows, and for those that warn of groups without rows.
    pub(crate) before: Option<MetricQuery>,
    /// How much later than their time rows come; a window ends that much earlier already.
    pub(crate) delay: TimeDelta,
}

/// The question of a rule at `now`; `None` for rules that ask no metric.
pub(crate) fn question(spec: &RuleSpec, now: Timestamp, calendar: &Calendar) -> Option<Question> {
    let ask = spec.ask.as_ref()?;
    let delay = delta(spec.delay.0);
    let against = match &spec.when {
        Condition::Change(change) => Some(change.against),
        _ => None,
    };
    let Some(grain) = ask.grain else {
        let to = now - delay;
        let range = Range { from: to - delta(ask.window.0), to };
        // A group that falls silent is known from the window before.
        let silence = !ask.by.is_empty() && warns_at_zero(&spec.when);
        let before = against.or(silence.then_some(Against::Previous)).map(|against| {
            let back = |t: Timestamp| match against {
                Against::Previous => t - delta(ask.window.0),
                Against::LastWeek => t - TimeDelta::days(7),
                Against::LastMonth => month_before(t, calendar),
                // Whole weeks, so that the same weekdays are compared.
                Against::LastYear => t - TimeDelta::days(364),
            };
            query(ask, Range { from: back(range.from), to: back(range.to) })
        });
        return Some(Question { now: query(ask, range), before, delay });
    };
    let range = Range { from: reach(spec, ask, grain, now - delay, calendar), to: now };
    let compare = (against == Some(Against::LastYear)).then_some(Compare::LastYear);
    let now = MetricQuery { grain: Some(grain), compare, ..query(ask, range) };
    Some(Question { now, before: None, delay })
}

/// Whether a fixed limit is passed by having nothing.
pub(crate) fn warns_at_zero(when: &Condition) -> bool {
    match when {
        Condition::Below(limit) => limit.value > 0.0,
        Condition::Outside(corridor) => corridor.low > 0.0 || corridor.high < 0.0,
        _ => false,
    }
}

/// The same time of the same date a month before, or of that month's last day.
fn month_before(t: Timestamp, calendar: &Calendar) -> Timestamp {
    let wall = calendar.local(t).naive_local();
    let moved = wall.checked_sub_months(Months::new(1)).unwrap_or(wall);
    let there = calendar.timezone().from_local_datetime(&moved).earliest();
    there.map_or_else(|| t - TimeDelta::days(30), |there| there.to_utc())
}

/// How far back values are needed: the window, or further where the condition looks further. Begins with a
/// bucket, and with two more, since the newest complete bucket may be the last but one.
fn reach(spec: &RuleSpec, ask: &Ask, grain: Grain, now: Timestamp, calendar: &Calendar) -> Timestamp {
    let needed = match &spec.when {
        Condition::Seasonal(seasonal) => delta(seasonal.reach(ask.window).0),
        Condition::Change(Change { against: Against::LastWeek, .. }) => TimeDelta::days(8),
        Condition::Change(Change { against: Against::LastMonth, .. }) => TimeDelta::days(33),
        _ => TimeDelta::zero(),
    };
    let mut from = start_of(grain, now - delta(ask.window.0).max(needed), calendar);
    for _ in 0..2 {
        from = start_of(grain, from - TimeDelta::seconds(1), calendar);
    }
    from
}

/// Every series of an answer, as it stood at the question's end.
pub(crate) async fn answer(warehouse: &Warehouse, question: &Question) -> Result<Frame> {
    let (session, calendar) = (warehouse.session(&Principal::system()), warehouse.calendar());
    let answer = session.metric(&question.now).await?;
    let frame = match question.now.grain {
        Some(grain) => Frame::by_time(answer, grain, question.now.range.to, question.delay, calendar),
        None => {
            let before = match &question.before {
                Some(before) => Some(session.metric(before).await?),
                None => None,
            };
            let definitions = warehouse.definitions();
            let metric = definitions.metrics.get(&question.now.metric);
            Frame::of_window(answer, before, metric.map_or(Nature::Whole, Nature::of), calendar)
        }
    };
    if frame.series.len() > MOST_SERIES {
        return Err(Error::Invalid {
            message: format!(
                "the rule would watch {} series, more than {MOST_SERIES}; split by fewer dimensions, or filter",
                frame.series.len()
            ),
        });
    }
    Ok(frame)
}

/// Observes a rule that asks no metric.
pub(crate) async fn observe(
    warehouse: &Warehouse,
    spec: &RuleSpec,
    now: Timestamp,
) -> Result<Vec<Observation>> {
    match &spec.when {
        Condition::Stale(stale) => Ok(vec![freshness(warehouse, stale, now).await?]),
        Condition::Rows(rows) => found(warehouse, rows).await,
        _ => Err(Error::Invalid { message: "the rule has no `ask`; run `guanlan check`".into() }),
    }
}

/// Judges every series of a frame.
pub(crate) fn judged(
    spec: &RuleSpec,
    frame: &Frame,
    metrics: &BTreeMap<String, MetricSpec>,
) -> Vec<Observation> {
    let Some((ask, metric)) = spec.ask.as_ref().and_then(|ask| Some((ask, metrics.get(&ask.metric)?))) else {
        return Vec::new();
    };
    let nature = Nature::of(metric);
    let judge_one = |(key, values): (&Key, &Values)| {
        let series = Series { axis: &frame.axis, values, nature };
        let verdict = judge(&spec.when, &series);
        // The picture is drawn only for what is outside; most series are fine.
        let points = match verdict {
            Verdict::Outside(_) => picture(spec, &series),
            _ => Vec::new(),
        };
        let evidence = Evidence {
            metric: Some(ask.metric.clone()),
            unit: Some(metric.unit),
            points,
            ..Evidence::default()
        };
        Observation {
            series: series_of(ask.by.iter().zip(key.iter().map(Option::as_deref))),
            labels: labels(&ask.by, key),
            columns: BTreeMap::new(),
            verdict,
            evidence,
        }
    };
    frame.series.iter().map(judge_one).collect()
}

/// What a series says that is no longer in the answer: see [`Nature::of_nothing`]. Nothing is known of what it
/// would be compared to, and nothing against nothing would look like a recovery.
pub(crate) fn absent(spec: &RuleSpec, frame: &Frame, metrics: &BTreeMap<String, MetricSpec>) -> Verdict {
    let unknown = Verdict::Unknown(Unknown::NoValue);
    let Some(metric) = spec.metric().and_then(|name| metrics.get(name)) else { return unknown };
    let nature = Nature::of(metric);
    let seen = |at: usize| frame.series.values().any(|v| v.current.get(at).copied().flatten().is_some());
    let buckets = 0..frame.axis.buckets.len();
    let current: Vec<Option<f64>> = buckets.map(|at| nature.of_nothing(seen(at))).collect();
    let compares = frame.series.values().any(|v| !v.base.is_empty());
    let base = if compares { vec![None; current.len()] } else { Vec::new() };
    judge(&spec.when, &Series { axis: &frame.axis, values: &Values { current, base }, nature })
}

fn query(ask: &Ask, range: Range) -> MetricQuery {
    let filters = ask
        .filters
        .iter()
        .map(|(dimension, values)| Filter {
            dimension: dimension.clone(),
            values: values.iter().cloned().map(Some).collect(),
            exclude: false,
        })
        .collect();
    // Silence is what a rule may have to report: behind the newest row nothing happened.
    MetricQuery {
        by: ask.by.clone(),
        filters,
        silence_is_nothing: true,
        ..MetricQuery::new(ask.metric.clone(), range)
    }
}

pub(crate) fn labels(by: &[String], key: &Key) -> Labels {
    by.iter().zip(key).map(|(name, value)| (name.clone(), label(value.as_deref()))).collect()
}

fn picture(spec: &RuleSpec, series: &Series<'_>) -> Vec<EvidencePoint> {
    evidence(&spec.when, series, EVIDENCE_POINTS)
        .into_iter()
        .filter_map(|point| {
            let Reading { at, value, low, high, .. } = point.reading;
            Some(EvidencePoint {
                t: at?,
                v: value,
                low,
                high,
                outside: point.outside,
                partial: point.partial,
            })
        })
        .collect()
}
