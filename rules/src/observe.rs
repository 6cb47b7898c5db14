//! What a rule sees: every series of its metric, the rows of its query, or how stale its table is,
//! each with a verdict and the evidence for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use access::Principal;
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Timestamp;
use warehouse::metric::{Compare, Filter, Grain, MetricAnswer, MetricQuery, MetricUnit};
use warehouse::{Error, Range, Result, Warehouse};

use crate::judge::{Reading, Unknown, Verdict, evidence, judge};
use crate::series::{Frame, Key, Nature, Series, delta, start_of};
use crate::spec::{Against, Ask, Condition, Rows, RuleSpec, Stale};

pub(crate) type Labels = BTreeMap<String, String>;

/// The most series or rows of one rule; a rule that names more is itself the trouble.
const MOST_SERIES: usize = 5_000;
/// Points kept as evidence.
const EVIDENCE_POINTS: usize = 400;

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

/// Answers that the rules of one pass share: rules over the same metric, window and split cost one query.
#[derive(Default)]
pub(crate) struct Answers(HashMap<MetricQuery, Arc<MetricAnswer>>);

impl Answers {
    async fn ask(&mut self, warehouse: &Warehouse, query: MetricQuery) -> Result<Arc<MetricAnswer>> {
        if let Some(answer) = self.0.get(&query) {
            return Ok(answer.clone());
        }
        let answer = Arc::new(warehouse.session(&Principal::system()).metric(&query).await?);
        self.0.insert(query, answer.clone());
        Ok(answer)
    }
}

/// Observes one rule at `now`.
pub(crate) async fn observe(
    warehouse: &Warehouse,
    spec: &RuleSpec,
    now: Timestamp,
    answers: &mut Answers,
) -> Result<Vec<Observation>> {
    match (&spec.when, &spec.ask) {
        (Condition::Stale(stale), _) => Ok(vec![freshness(warehouse, stale, now).await?]),
        (Condition::Rows(rows), _) => found(warehouse, rows).await,
        (_, Some(ask)) => judged(warehouse, spec, ask, now, answers).await,
        (_, None) => Err(Error::Invalid { message: "the rule has no `ask`; run `guanlan check`".into() }),
    }
}

async fn judged(
    warehouse: &Warehouse,
    spec: &RuleSpec,
    ask: &Ask,
    now: Timestamp,
    answers: &mut Answers,
) -> Result<Vec<Observation>> {
    let definitions = warehouse.definitions();
    let Some(metric) = definitions.metrics.get(&ask.metric) else {
        let what = format!("metric `{}`", ask.metric);
        return Err(Error::NotFound { what, hint: Some("run `guanlan check`".into()) });
    };
    let (unit, nature) = (metric.unit, Nature::of(metric));
    let mut frame = frame(warehouse, spec, ask, now, answers).await?;
    let axis = std::mem::take(&mut frame.axis);
    let seen = frame.series.into_iter().take(MOST_SERIES).map(|(key, values)| {
        let series = Series { axis: &axis, values: &values, nature };
        let verdict = judge(&spec.when, &series);
        // The picture is drawn only for what is outside; most series are fine.
        let points = match verdict {
            Verdict::Outside(_) => picture(spec, &series),
            _ => Vec::new(),
        };
        Observation {
            labels: labels(&ask.by, &key),
            columns: BTreeMap::new(),
            verdict,
            evidence: Evidence { metric: Some(ask.metric.clone()), unit: Some(unit), points, row: BTreeMap::new() },
        }
    });
    Ok(seen.collect())
}

async fn frame(
    warehouse: &Warehouse,
    spec: &RuleSpec,
    ask: &Ask,
    now: Timestamp,
    answers: &mut Answers,
) -> Result<Frame> {
    let calendar = warehouse.calendar();
    let from = now - delta(ask.window.0);
    let change = match &spec.when {
        Condition::Change(change) => Some(change.against),
        _ => None,
    };
    match ask.grain {
        Some(grain) => {
            // Windows begin with a bucket, so that rules of one pass share answers.
            let compare = (change == Some(Against::LastYear)).then_some(Compare::LastYear);
            let range = Range { from: start_of(grain, from, calendar), to: now };
            let query = MetricQuery { compare, ..question(ask, Some(grain), range) };
            let answer = answers.ask(warehouse, query).await?;
            Ok(Frame::by_time(MetricAnswer::clone(&answer), grain, now, calendar))
        }
        None => {
            let answer = answers.ask(warehouse, question(ask, None, Range { from, to: now })).await?;
            let back = change.map(|against| match against {
                Against::Previous => delta(ask.window.0),
                Against::LastWeek => chrono::TimeDelta::days(7),
                Against::LastYear => chrono::TimeDelta::days(364),
            });
            let base = match back {
                Some(back) => {
                    let range = Range { from: from - back, to: now - back };
                    Some(MetricAnswer::clone(&*answers.ask(warehouse, question(ask, None, range)).await?))
                }
                None => None,
            };
            Ok(Frame::of_window(MetricAnswer::clone(&answer), base, calendar))
        }
    }
}

fn question(ask: &Ask, grain: Option<Grain>, range: Range) -> MetricQuery {
    let filters = ask
        .filters
        .iter()
        .map(|(dimension, values)| Filter { dimension: dimension.clone(), values: values.clone(), exclude: false })
        .collect();
    MetricQuery { grain, by: ask.by.clone(), filters, ..MetricQuery::new(ask.metric.clone(), range) }
}

fn labels(by: &[String], key: &Key) -> Labels {
    by.iter().zip(key).map(|(name, value)| (name.clone(), value.clone().unwrap_or_else(|| "—".into()))).collect()
}

fn picture(spec: &RuleSpec, series: &Series<'_>) -> Vec<EvidencePoint> {
    evidence(&spec.when, series, EVIDENCE_POINTS)
        .into_iter()
        .filter_map(|point| {
            let Reading { at, value, low, high, .. } = point.reading;
            Some(EvidencePoint { t: at?, v: value, low, high, outside: point.outside, partial: point.partial })
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
    let reading =
        Reading { at: Some(since), value: minutes(age), high: minutes(stale.longer_than.0), ..Reading::default() };
    let since = calendar.local(since).format("%m-%d %H:%M").to_string();
    let row = BTreeMap::from([
        ("since".to_owned(), Value::from(since.clone())),
        ("minutes".to_owned(), Value::from(age.as_secs() / 60)),
    ]);
    let verdict = if age > stale.longer_than.0 { Verdict::Outside(reading) } else { Verdict::Normal(reading) };
    let evidence = Evidence { unit: Some(MetricUnit::Minutes), row, ..Evidence::default() };
    Ok(Observation { labels, columns: BTreeMap::from([("since".to_owned(), since)]), verdict, evidence })
}

async fn found(warehouse: &Warehouse, rows: &Rows) -> Result<Vec<Observation>> {
    let answer = warehouse.session(&Principal::system()).sql(&rows.sql).await?;
    for name in rows.key.iter().chain(&rows.value).chain(&rows.at) {
        if answer.schema.field_with_name(name).is_err() {
            return Err(Error::Invalid { message: format!("the rule's query has no column `{name}`") });
        }
    }
    let (batches, truncated) = answer.collect(MOST_SERIES).await?;
    if truncated {
        tracing::warn!(rows = MOST_SERIES, "a rule's query returns more rows than one rule may have alerts");
    }
    let mut all = Vec::new();
    for batch in &batches {
        all.extend(objects(batch)?.into_iter().map(|row| of_row(rows, row)));
    }
    Ok(all)
}

fn of_row(rows: &Rows, row: BTreeMap<String, Value>) -> Observation {
    let text = |value: &Value| match value {
        Value::Null => "—".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns: BTreeMap<String, String> = row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let labels = rows
        .key
        .iter()
        .map(|k| (k.clone(), columns.get(k).cloned().unwrap_or_else(|| "—".into())))
        .collect();
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let moment = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let reading = Reading {
        value: rows.value.as_ref().and_then(|v| row.get(v)).and_then(number),
        at: rows.at.as_ref().and_then(|v| row.get(v)).and_then(moment),
        ..Reading::default()
    };
    Observation { labels, columns, verdict: Verdict::Outside(reading), evidence: Evidence { row, ..Evidence::default() } }
}

/// The rows of a batch as JSON objects.
fn objects(batch: &RecordBatch) -> Result<Vec<BTreeMap<String, Value>>> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let invalid = |e: serde_json::Error| Error::Invalid { message: format!("a row of the rule's query has no JSON form: {e}") };
    let bytes = writer.into_inner();
    if bytes.is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(&bytes).map_err(invalid) }
}
