//! Answers a question: few scans, gaps filled, both periods side by side.

use std::collections::{BTreeMap, BTreeSet};

use access::Permission;
use arrow::datatypes::SchemaRef;
use futures::future::try_join_all;
use store::Timestamp;

use super::bounds::bounded;
use super::bucket::{buckets, next_of};
use super::compare::{Before, previous};
use super::compile::{Parts, compile};
use super::formula::Formula;
use super::grid::{Axis, Cell, Gap, Grid, Key, Known, MAX_CELLS, Series};
use super::query::{Grain, MetricAnswer, MetricQuery, Order};
use super::rows::{Rows, numeric};
use super::span::Span;
use super::spec::{Derived, Measure, MetricSpec};
use super::{parts, titles};
use crate::clean::quoted;
use crate::{Calendar, Error, Range, Result, Session, TableName, Zone};

/// Answers `ask` with the rights of the session, which must be one made by [`Session::metric`]: who
/// may read metrics need not be allowed to write SQL.
///
/// # Errors
/// `NotFound` for an unknown metric, `Invalid` for a question or definition that does not fit, and
/// what the session's queries report.
pub(crate) async fn answer(session: &Session, ask: &MetricQuery) -> Result<MetricAnswer> {
    session.require(Permission::ReadMetrics, "read metrics")?;
    bounded(ask)?;
    let warehouse = session.warehouse();
    let definitions = warehouse.definitions();
    let calendar = warehouse.calendar();
    let before = ask.compare.map(|compare| previous(ask, compare, calendar));
    let asking = Asking { session, metrics: &definitions.metrics, calendar, now: warehouse.clock().now() };
    let mut axis = asking.axis(ask, before)?;
    let found = asking.metric(ask, before, &axis).await?;
    let running = before.is_some() && asking.unpair_running(ask, &found, &mut axis);
    let totals = match asking.needs_totals(ask) {
        true => Some(asking.totals(ask).await?),
        false => None,
    };
    let rows = Rows { ask, axis: &axis, now: asking.now, span: found.span, numeric: &found.numeric, totals }
        .of(found.grid);
    Ok(MetricAnswer {
        titles: titles::shown(&ask.metric, &ask.by, &rows, &definitions),
        rows,
        as_of: found.as_of,
        tables: found.tables.into_iter().collect(),
        range: ask.range,
        incomplete: before
            .is_some_and(|before| running || (found.whole && found.span.begins_after_start(&before.range))),
        previous_range: before.map(|before| before.range),
        query_id: found.query_id,
    })
}

struct Asking<'a> {
    session: &'a Session,
    metrics: &'a BTreeMap<String, MetricSpec>,
    calendar: &'a Calendar,
    now: Timestamp,
}

/// Values and where they come from.
struct Found {
    grid: Grid,
    as_of: Option<Timestamp>,
    tables: BTreeSet<(TableName, i64)>,
    query_id: String,
    span: Span,
    /// See [`Known::whole`].
    whole: bool,
    /// For each dimension asked for whether it holds numbers.
    numeric: Vec<bool>,
    /// The period that rows stand for, where they do.
    covers: Option<Grain>,
}

impl Asking<'_> {
    fn axis(&self, ask: &MetricQuery, before: Option<Before>) -> Result<Axis> {
        let split = |range: &Range| -> Result<Vec<Range>> {
            let Some(grain) = ask.grain else { return Ok(vec![*range]) };
            let starts = buckets(range, grain, self.calendar)?;
            Ok(starts
                .into_iter()
                .map(|from| Range { from, to: next_of(grain, from, self.calendar) })
                .collect())
        };
        let current = split(&ask.range)?;
        let Some(before) = before else {
            return Ok(Axis { current, ..Axis::default() });
        };
        let previous = split(&before.range)?;
        let starts = |buckets: &[Range]| buckets.iter().map(|bucket| bucket.from).collect::<Vec<_>>();
        let pairs = before.shift.pairs(ask.grain, &starts(&current), &starts(&previous), self.calendar);
        Ok(Axis { current, previous, pairs })
    }

    /// The values of the metric asked for, each metric that it stands on asked once.
    async fn metric(&self, ask: &MetricQuery, before: Option<Before>, axis: &Axis) -> Result<Found> {
        let order = parts::in_order(&ask.metric, self.metrics)?;
        let measured = order.iter().filter_map(|name| {
            let spec = self.metrics.get(*name)?;
            (!matches!(spec.measure, Measure::Derived(_))).then_some((*name, spec))
        });
        let found = try_join_all(measured.map(|(name, spec)| async move {
            let ask = MetricQuery { metric: name.to_owned(), ..ask.clone() };
            self.measured(spec, &ask, before, axis).await.map(|found| (name, found))
        }));
        let mut found: BTreeMap<&str, Found> = found.await?.into_iter().collect();
        for name in order {
            if let Some(Measure::Derived(derived)) = self.metrics.get(name).map(|spec| &spec.measure) {
                let made = self.derived(name, derived, ask, &found, axis)?;
                found.insert(name, made);
            }
        }
        found.remove(ask.metric.as_str()).ok_or_else(|| {
            Error::invalid(format!("metric `{}` has no value; run `guanlan check`", ask.metric))
        })
    }

    async fn measured(
        &self,
        spec: &MetricSpec,
        ask: &MetricQuery,
        before: Option<Before>,
        axis: &Axis,
    ) -> Result<Found> {
        let table = spec.table.as_ref().ok_or_else(|| {
            Error::invalid(format!("metric `{}` has no `table`; run `guanlan check`", ask.metric))
        })?;
        let schema = self.schema(&ask.metric, table).await?;
        let mut found = Found {
            grid: Grid::default(),
            as_of: None,
            tables: BTreeSet::new(),
            query_id: String::new(),
            span: self.span(table, spec, ask.grain).await?,
            whole: !spec.is_level(),
            numeric: numeric(&ask.by, &schema),
            covers: spec.covers,
        };
        let reached = found.span.last().map_or(self.now, |last| last.max(self.now));
        for parts in scans(ask, before, spec) {
            let compiled = compile(spec, ask, parts, &schema, self.calendar, reached)?;
            let answer = self.session.sql(&compiled.sql).await?;
            if found.query_id.is_empty() {
                found.query_id.clone_from(&answer.id);
            }
            found.as_of = found.as_of.into_iter().chain(answer.as_of).min();
            found.tables.extend(answer.tables.iter().cloned());
            let (batches, truncated) = answer.collect(MAX_CELLS).await?;
            if truncated {
                return Err(Error::Exhausted {
                    message: format!(
                        "metric `{}` splits into more groups than one answer holds ({MAX_CELLS}, or 32 MiB); ask for fewer dimensions or a shorter range",
                        ask.metric
                    ),
                });
            }
            for batch in &batches {
                found.grid.add(batch, &compiled, axis)?;
            }
        }
        let known = self.known(ask, &found);
        found.grid.fill(gap(spec), axis, &known, !ask.by.is_empty());
        Ok(found)
    }

    fn known(&self, ask: &MetricQuery, found: &Found) -> Known {
        Known { span: found.span, now: self.now, silent: ask.silence_is_nothing, whole: found.whole }
    }

    /// From when to when the table's rows reach. What Guanlan records about itself has no statistics.
    async fn span(&self, table: &TableName, spec: &MetricSpec, grain: Option<Grain>) -> Result<Span> {
        let (Some(time), false) = (&spec.time, table.zone == Zone::System) else { return Ok(Span::Open) };
        let snapshot = self.session.warehouse().snapshot(table).await?;
        Ok(snapshot
            .map_or(Span::Open, |snapshot| Span::of(&snapshot, time, grain, spec.covers, self.calendar)))
    }

    async fn schema(&self, metric: &str, table: &TableName) -> Result<SchemaRef> {
        let all = format!("SELECT * FROM {}.{}", quoted(table.zone.as_str()), quoted(&table.name));
        self.session.check(&all).await.map_err(|error| match error {
            Error::NotFound { hint, .. } => Error::NotFound {
                what: format!("table {table} of metric `{metric}`"),
                hint: hint
                    .or_else(|| Some("it appears when its model is built for the first time".to_owned())),
            },
            other => other,
        })
    }

    fn derived(
        &self,
        name: &str,
        derived: &Derived,
        ask: &MetricQuery,
        found: &BTreeMap<&str, Found>,
        axis: &Axis,
    ) -> Result<Found> {
        let formula = Formula::parse(&derived.expression)
            .map_err(|reason| Error::invalid(format!("metric `{name}`: {reason}")))?;
        let parts: Vec<&Found> =
            derived.metrics.values().filter_map(|metric| found.get(metric.as_str())).collect();
        let keys: BTreeSet<&Key> = parts.iter().flat_map(|part| part.grid.series.keys()).collect();
        let absent: Vec<Series> = derived
            .metrics
            .values()
            .zip(&parts)
            .map(|(metric, part)| self.absent(metric, axis, &self.known(ask, part)))
            .collect();
        let names: Vec<&str> = derived.metrics.keys().map(String::as_str).collect();
        let mut grid = Grid::default();
        for key in keys {
            let series: Vec<&Series> = parts
                .iter()
                .zip(&absent)
                .map(|(part, absent)| part.grid.series.get(key).unwrap_or(absent))
                .collect();
            grid.series.insert(key.clone(), combined(&formula, &names, &series, axis));
        }
        Ok(Found {
            grid,
            as_of: parts.iter().filter_map(|part| part.as_of).min(),
            tables: parts.iter().flat_map(|part| part.tables.iter().cloned()).collect(),
            query_id: parts
                .iter()
                .map(|part| &part.query_id)
                .find(|id| !id.is_empty())
                .cloned()
                .unwrap_or_default(),
            span: parts.iter().fold(Span::Open, |span, part| span.and(part.span)),
            whole: parts.iter().any(|part| part.whole),
            numeric: parts.first().map(|part| part.numeric.clone()).unwrap_or_default(),
            covers: parts.iter().filter_map(|part| part.covers).max(),
        })
    }

    /// What a metric says of a group that it has no row of: nothing happened, or nothing is known.
    fn absent(&self, metric: &str, axis: &Axis, known: &Known) -> Series {
        let mut grid = Grid::default();
        let gap = self.metrics.get(metric).map_or(Gap::Unknown, gap);
        let gap = if gap == Gap::ZeroWhereSeen { Gap::Unknown } else { gap };
        grid.fill(gap, axis, known, false);
        grid.series.into_values().next().unwrap_or_else(|| Series::empty(axis))
    }

    /// Where rows are totals of whole periods, takes their counterpart from the buckets that end in a period which
    /// still runs: its ten days would stand beside a whole month. Answers whether there were any.
    fn unpair_running(&self, ask: &MetricQuery, found: &Found, axis: &mut Axis) -> bool {
        let Some(unit) = found.covers else { return false };
        let mut any = false;
        for (bucket, pair) in axis.current.iter().zip(&mut axis.pairs) {
            let last = bucket.to.min(ask.range.to) - chrono::TimeDelta::microseconds(1);
            if next_of(unit, last.min(self.now), self.calendar) > self.now {
                any |= pair.take().is_some();
            }
        }
        any
    }

    /// Whether series have to be ranked by values that their buckets do not add up to.
    fn needs_totals(&self, ask: &MetricQuery) -> bool {
        let ranks =
            ask.grain.is_some() && (ask.order != Order::Time || ask.limit.is_some()) && !ask.by.is_empty();
        let measure = self.metrics.get(&ask.metric).map(|spec| &spec.measure);
        ranks && !matches!(measure, Some(Measure::Count(_) | Measure::Sum(_)))
    }

    /// The value over the whole range of each series.
    async fn totals(&self, ask: &MetricQuery) -> Result<BTreeMap<Key, Option<f64>>> {
        let whole = MetricQuery { grain: None, compare: None, ..ask.clone() };
        let axis = self.axis(&whole, None)?;
        let found = self.metric(&whole, None, &axis).await?;
        let value = |series: &Series| series.current.first().copied().flatten()?.value;
        Ok(found.grid.series.into_iter().map(|(key, series)| (key, value(&series))).collect())
    }
}

/// One scan for both ranges, or two when they overlap, since a row can stand in one part only; or when a level is
/// carried from one into the other.
fn scans(ask: &MetricQuery, before: Option<Before>, spec: &MetricSpec) -> Vec<Parts> {
    let carried = matches!(spec.measure, Measure::Last(_));
    let now = Parts { current: Some(ask.range), previous: None, except: None };
    match before {
        None => vec![now],
        Some(Before { range, except, .. }) if range.to <= ask.range.from && !carried => {
            vec![Parts { previous: Some(range), except, ..now }]
        }
        Some(Before { range, except, .. }) => {
            vec![now, Parts { current: None, previous: Some(range), except }]
        }
    }
}

fn gap(spec: &MetricSpec) -> Gap {
    match &spec.measure {
        _ if spec.is_additive() => Gap::Zero,
        Measure::Latest(_) => Gap::ZeroWhereSeen,
        _ => Gap::Unknown,
    }
}

fn combined(formula: &Formula, names: &[&str], parts: &[&Series], axis: &Axis) -> Series {
    let cells = |of: fn(&Series) -> &Vec<Option<Cell>>, width: usize| -> Vec<Option<Cell>> {
        (0..width)
            .map(|at| {
                let value = formula.value(&|name| {
                    let index = names.iter().position(|known| *known == name)?;
                    of(parts[index])[at].and_then(|cell| cell.value)
                });
                value.map(|value| Cell { value: Some(value), ..Cell::default() })
            })
            .collect()
    };
    Series {
        current: cells(|series| &series.current, axis.current.len()),
        previous: cells(|series| &series.previous, axis.previous.len()),
    }
}
