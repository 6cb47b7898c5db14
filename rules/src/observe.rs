//! What a rule sees: every series of its metric, the rows of its query, or how stale its table is,
//! each with a verdict and the evidence for it.

use std::collections::{BTreeMap, HashSet};

use access::Principal;
use arrow::array::RecordBatch;
use chrono::{NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Timestamp;
use warehouse::metric::{Compare, Filter, Grain, MetricQuery, MetricSpec, MetricUnit};
use warehouse::{Calendar, Error, Range, Result, Warehouse};

use crate::judge::{Reading, Unknown, Verdict, evidence, judge};
use crate::series::{Frame, Key, Nature, Series, Values, delta, start_of};
use crate::spec::{Against, Ask, Change, Condition, Rows, RuleSpec, Seasonal, Stale};

pub(crate) type Labels = BTreeMap<String, String>;

/// The most series or rows of one rule; a rule that names more is itself the trouble.
const MOST_SERIES: usize = 5_000;
/// Points kept as evidence.
const EVIDENCE_POINTS: usize = 400;
/// Columns of a row kept as evidence, and bytes of each.
const MOST_COLUMNS: usize = 60;
const LONGEST_CELL: usize = 2_000;
/// A dimension or column without a value.
const NOTHING: &str = "—";

/// One series with its verdict.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
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
}

/// The question of a rule at `now`; `None` for rules that ask no metric.
pub(crate) fn question(spec: &RuleSpec, now: Timestamp, calendar: &Calendar) -> Option<Question> {
    let ask = spec.ask.as_ref()?;
    let against = match &spec.when {
        Condition::Change(change) => Some(change.against),
        _ => None,
    };
    let Some(grain) = ask.grain else {
        let range = Range { from: now - delta(ask.window.0), to: now };
        // A group that falls silent is known from the window before.
        let silence = !ask.by.is_empty() && warns_at_zero(&spec.when);
        let back = against.or(silence.then_some(Against::Previous)).map(|against| match against {
            Against::Previous => delta(ask.window.0),
            Against::LastWeek => TimeDelta::days(7),
            // Whole weeks, so that the same weekdays are compared.
            Against::LastYear => TimeDelta::days(364),
        });
        let before = back.map(|back| query(ask, Range { from: range.from - back, to: range.to - back }));
        return Some(Question { now: query(ask, range), before });
    };
    let range = Range { from: reach(spec, ask, grain, now, calendar), to: now };
    let compare = (against == Some(Against::LastYear)).then_some(Compare::LastYear);
    Some(Question { now: MetricQuery { grain: Some(grain), compare, ..query(ask, range) }, before: None })
}

/// Whether a fixed limit is passed by having nothing.
pub(crate) fn warns_at_zero(when: &Condition) -> bool {
    match when {
        Condition::Below(limit) => limit.value > 0.0,
        Condition::Outside(corridor) => corridor.low > 0.0 || corridor.high < 0.0,
        _ => false,
    }
}

/// How far back values are needed: the window, or further where the condition looks further. Begins with a
/// bucket, and with two more, since the newest complete bucket may be the last but one.
fn reach(spec: &RuleSpec, ask: &Ask, grain: Grain, now: Timestamp, calendar: &Calendar) -> Timestamp {
    let needed = match &spec.when {
        Condition::Seasonal(Seasonal { history: Some(history), .. }) => delta(history.0),
        Condition::Change(Change { against: Against::LastWeek, .. }) => TimeDelta::days(8),
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
        Some(grain) => Frame::by_time(answer, grain, question.now.range.to, calendar),
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
            row: BTreeMap::new(),
        };
        Observation { labels: labels(&ask.by, key), columns: BTreeMap::new(), verdict, evidence }
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
    by.iter()
        .zip(key)
        .map(|(name, value)| (name.clone(), value.clone().unwrap_or_else(|| NOTHING.to_owned())))
        .collect()
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

async fn freshness(warehouse: &Warehouse, stale: &Stale, now: Timestamp) -> Result<Observation> {
    let labels = Labels::from([("table".to_owned(), stale.table.to_string())]);
    // A table that does not exist yet has a source that never ran, which is not the same as stopped.
    let Some(snapshot) = warehouse.snapshot(&stale.table).await? else {
        let verdict = Verdict::Unknown(Unknown::NoValue);
        return Ok(Observation { labels, columns: BTreeMap::new(), verdict, evidence: Evidence::default() });
    };
    let calendar = warehouse.calendar();
    let since = snapshot.committed_at;
    let age = if stale.working_hours {
        calendar.working_time(since, now)
    } else {
        (now - since).to_std().unwrap_or_default()
    };
    let minutes = |d: std::time::Duration| Some((d.as_secs() / 60) as f64);
    let reading = Reading {
        at: Some(since),
        value: minutes(age),
        high: minutes(stale.longer_than.0),
        ..Reading::default()
    };
    let since = calendar.local(since).format("%m-%d %H:%M").to_string();
    let row = BTreeMap::from([
        ("since".to_owned(), Value::from(since.clone())),
        ("minutes".to_owned(), Value::from(age.as_secs() / 60)),
    ]);
    let verdict =
        if age > stale.longer_than.0 { Verdict::Outside(reading) } else { Verdict::Normal(reading) };
    let evidence = Evidence { unit: Some(MetricUnit::Minutes), row, ..Evidence::default() };
    Ok(Observation { labels, columns: BTreeMap::from([("since".to_owned(), since)]), verdict, evidence })
}

/// The rows of a rule's query, each one out of bounds by being there.
pub(crate) async fn found(warehouse: &Warehouse, rows: &Rows) -> Result<Vec<Observation>> {
    let answer = warehouse.session(&Principal::system()).sql(&rows.sql).await?;
    for name in rows.key.iter().chain(&rows.value).chain(&rows.at) {
        if answer.schema.field_with_name(name).is_err() {
            let known: Vec<&str> = answer.schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Invalid {
                message: format!("the rule's query has no column `{name}`; it has {}", known.join(", ")),
            });
        }
    }
    let (batches, truncated) = answer.collect(MOST_SERIES).await?;
    // Which rows come first may differ from pass to pass: judging some of them would make alerts come and go.
    if truncated {
        return Err(Error::Invalid {
            message: format!(
                "the rule's query returns more than {MOST_SERIES} rows or 32 MiB; make it say which ones matter"
            ),
        });
    }
    let mut all = Vec::new();
    let mut known = HashSet::new();
    for batch in &batches {
        for row in objects(batch)? {
            let seen = of_row(rows, row, warehouse.calendar());
            if known.insert(seen.labels.clone()) {
                all.push(seen);
            }
        }
    }
    Ok(all)
}

fn of_row(rows: &Rows, row: BTreeMap<String, Value>, calendar: &Calendar) -> Observation {
    let row: BTreeMap<String, Value> =
        row.into_iter().take(MOST_COLUMNS).map(|(name, value)| (name, bounded(value))).collect();
    let text = |value: &Value| match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns: BTreeMap<String, String> =
        row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let label = |k: &String| (k.clone(), columns.get(k).cloned().unwrap_or_else(|| NOTHING.to_owned()));
    let labels = rows.key.iter().map(label).collect();
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let column = |name: &Option<String>| name.as_ref().and_then(|name| row.get(name));
    let reading = Reading {
        value: column(&rows.value).and_then(number),
        at: column(&rows.at).and_then(|value| moment(value.as_str()?, calendar)),
        ..Reading::default()
    };
    Observation {
        labels,
        columns,
        verdict: Verdict::Outside(reading),
        evidence: Evidence { row, ..Evidence::default() },
    }
}

/// A moment, or without a zone a wall-clock time or day of the site.
fn moment(text: &str, calendar: &Calendar) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(calendar.midnight(day));
    }
    let wall = text.parse::<NaiveDateTime>().ok()?;
    calendar.timezone().from_local_datetime(&wall).earliest().map(|t| t.to_utc())
}

/// A cell as evidence keeps it.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > LONGEST_CELL => {
            text.chars().take(LONGEST_CELL / 4).collect::<String>().into()
        }
        Value::Array(_) | Value::Object(_) => {
            value.to_string().chars().take(LONGEST_CELL / 4).collect::<String>().into()
        }
        other => other,
    }
}

/// The rows of a batch as JSON objects.
fn objects(batch: &RecordBatch) -> Result<Vec<BTreeMap<String, Value>>> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let invalid = |e: serde_json::Error| Error::Invalid {
        message: format!(
            "a row of the rule's query has no JSON form: {e}; cast its columns to text or numbers"
        ),
    };
    let bytes = writer.into_inner();
    if bytes.is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(&bytes).map_err(invalid) }
}
