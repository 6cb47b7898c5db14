//! Answers a question: few scans, gaps filled, both periods side by side.

use std::collections::{BTreeMap, BTreeSet};

use access::Permission;
use arrow::datatypes::SchemaRef;
use futures::future::{BoxFuture, FutureExt, try_join_all};
use store::{Timestamp, nearest};

use super::bucket::{buckets, next_of};
use super::compare::previous;
use super::compile::{Parts, compile};
use super::formula::Formula;
use super::grid::{Axis, Cell, Gap, Grid, Key, MAX_CELLS, Series};
use super::query::{MetricAnswer, MetricQuery, MetricRow, Order};
use super::spec::{Derived, MAX_DEPTH, Measure, MetricSpec};
use crate::clean::quoted;
use crate::{Calendar, Error, Range, Result, Session, TableName};

/// Answers `ask` with the rights of the session, which must be one made by [`Session::metric`]: who
/// may read metrics need not be allowed to write SQL.
///
/// # Errors
/// `NotFound` for an unknown metric, `Invalid` for a question or definition that does not fit, and
/// what the session's queries report.
pub(crate) async fn answer(session: &Session, ask: &MetricQuery) -> Result<MetricAnswer> {
    session.require(Permission::ReadMetrics, "read metrics")?;
    let warehouse = session.warehouse();
    let definitions = warehouse.definitions();
    let calendar = warehouse.calendar();
    let asking = Asking {
        session,
        metrics: &definitions.metrics,
        calendar,
        now: warehouse.clock().now(),
        previous: ask.compare.map(|compare| previous(ask, compare, calendar)),
    };
    let axis = asking.axis(ask)?;
    let found = asking.metric(ask, &axis, 0).await?;
    Ok(MetricAnswer {
        rows: asking.rows(ask, &axis, found.grid),
        as_of: found.as_of,
        tables: found.tables.into_iter().collect(),
        range: ask.range,
        previous_range: asking.previous,
        query_id: found.query_id,
    })
}

struct Asking<'a> {
    session: &'a Session,
    metrics: &'a BTreeMap<String, MetricSpec>,
    calendar: &'a Calendar,
    now: Timestamp,
    previous: Option<Range>,
}

/// Values and where they come from.
struct Found {
    grid: Grid,
    as_of: Option<Timestamp>,
    tables: BTreeSet<(TableName, i64)>,
    query_id: String,
}

impl Asking<'_> {
    fn axis(&self, ask: &MetricQuery) -> Result<Axis> {
        let starts = |range: &Range| match ask.grain {
            Some(grain) => buckets(range, grain, self.calendar),
            None => Ok(vec![range.from]),
        };
        Ok(Axis {
            current: starts(&ask.range)?,
            previous: self.previous.as_ref().map(starts).transpose()?.unwrap_or_default(),
        })
    }

    fn metric<'b>(
        &'b self,
        ask: &'b MetricQuery,
        axis: &'b Axis,
        depth: usize,
    ) -> BoxFuture<'b, Result<Found>> {
        async move {
            let Some(spec) = self.metrics.get(&ask.metric) else {
                let near = nearest(&ask.metric, self.metrics.keys().map(String::as_str));
                return Err(Error::NotFound {
                    what: format!("metric `{}`", ask.metric),
                    hint: near.map(|near| format!("did you mean `{near}`?")),
                });
            };
            match &spec.measure {
                Measure::Derived(_) if depth >= MAX_DEPTH => Err(Error::invalid(format!(
                    "metric `{}` is derived from itself or over more than {MAX_DEPTH} levels",
                    ask.metric
                ))),
                Measure::Derived(derived) => self.derived(derived, ask, axis, depth).await,
                _ => self.measured(spec, ask, axis).await,
            }
        }
        .boxed()
    }

    async fn measured(&self, spec: &MetricSpec, ask: &MetricQuery, axis: &Axis) -> Result<Found> {
        let table = spec.table.as_ref().ok_or_else(|| {
            Error::invalid(format!("metric `{}` has no `table`; run `guanlan check`", ask.metric))
        })?;
        let schema = self.schema(&ask.metric, table).await?;
        let mut found =
            Found { grid: Grid::default(), as_of: None, tables: BTreeSet::new(), query_id: String::new() };
        for parts in self.scans(ask) {
            let compiled = compile(spec, ask, parts, &schema, self.calendar)?;
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
        found.grid.fill(gap(spec), axis, self.now, !ask.by.is_empty());
        Ok(found)
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

    /// One scan for both ranges, or two when they overlap: a row can stand in one part only.
    fn scans(&self, ask: &MetricQuery) -> Vec<Parts> {
        let current = Some(ask.range);
        match self.previous {
            None => vec![Parts { current, previous: None }],
            Some(before) if before.to <= ask.range.from => vec![Parts { current, previous: Some(before) }],
            Some(before) => {
                vec![Parts { current, previous: None }, Parts { current: None, previous: Some(before) }]
            }
        }
    }

    async fn derived(
        &self,
        derived: &Derived,
        ask: &MetricQuery,
        axis: &Axis,
        depth: usize,
    ) -> Result<Found> {
        let formula = Formula::parse(&derived.expression)
            .map_err(|reason| Error::invalid(format!("metric `{}`: {reason}", ask.metric)))?;
        let asks: Vec<MetricQuery> = derived
            .metrics
            .values()
            .map(|metric| MetricQuery { metric: metric.clone(), ..ask.clone() })
            .collect();
        let parts = try_join_all(asks.iter().map(|ask| self.metric(ask, axis, depth + 1))).await?;
        let keys: BTreeSet<&Key> = parts.iter().flat_map(|part| part.grid.series.keys()).collect();
        let absent: Vec<Series> = derived.metrics.values().map(|metric| self.absent(metric, axis)).collect();
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
                .into_iter()
                .map(|part| part.query_id)
                .find(|id| !id.is_empty())
                .unwrap_or_default(),
        })
    }

    /// What a metric says of a group that it has no row of: nothing happened, or nothing is known.
    fn absent(&self, metric: &str, axis: &Axis) -> Series {
        let mut grid = Grid::default();
        let gap = self.metrics.get(metric).map_or(Gap::Unknown, gap);
        let gap = if gap == Gap::ZeroWhereSeen { Gap::Unknown } else { gap };
        grid.fill(gap, axis, self.now, false);
        grid.series.into_values().next().unwrap_or_else(|| Series::empty(axis))
    }

    fn rows(&self, ask: &MetricQuery, axis: &Axis, grid: Grid) -> Vec<MetricRow> {
        let mut series: Vec<(Key, Series)> = grid.series.into_iter().collect();
        let by_value = ask.order != Order::Time;
        if by_value || (ask.limit.is_some() && ask.grain.is_some()) {
            let ascending = ask.order == Order::ValueAsc;
            series.sort_by(|a, b| ranked(a.1.total(), b.1.total(), ascending));
        }
        if let Some(limit) = ask.limit {
            series.truncate(limit);
        }
        if !by_value {
            series.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut rows = Vec::with_capacity(series.len() * axis.current.len());
        for (key, series) in &series {
            for at in 0..axis.current.len() {
                rows.push(self.row(ask, axis, key, series, at));
            }
        }
        if !by_value {
            rows.sort_by_key(|row| row.time);
        }
        rows
    }

    fn row(&self, ask: &MetricQuery, axis: &Axis, key: &Key, series: &Series, at: usize) -> MetricRow {
        let cell = series.current[at].unwrap_or_default();
        let (start, end) = match ask.grain {
            Some(grain) => (axis.current[at], next_of(grain, axis.current[at], self.calendar)),
            None => (ask.range.from, ask.range.to),
        };
        MetricRow {
            time: ask.grain.map(|_| start),
            by: key.clone(),
            value: cell.value,
            numerator: cell.numerator,
            denominator: cell.denominator,
            previous: series.previous.get(at).copied().flatten().and_then(|cell| cell.value),
            partial: end > self.now || start < ask.range.from || end > ask.range.to,
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

/// Known values first, then by value.
fn ranked(a: Option<f64>, b: Option<f64>, ascending: bool) -> std::cmp::Ordering {
    let order = match (a, b) {
        (Some(a), Some(b)) if ascending => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        _ => std::cmp::Ordering::Equal,
    };
    b.is_some().cmp(&a.is_some()).then(order)
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
