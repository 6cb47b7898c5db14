//! A metric and a question into one SELECT. Names are quoted, values are literals, and predicates
//! were parsed and written anew: no text of a user gets into the SQL as it came.

use arrow::datatypes::{DataType, Schema};
use store::{Timestamp, nearest};

use super::predicate::predicate;
use super::query::{Filter, Grain, MetricQuery};
use super::spec::{ColumnOf, CountOf, Measure, MetricSpec, Term};
use crate::clean::quoted;
use crate::{Calendar, Error, Range, Result};

/// Columns of the answer, in this order: `part` (0 the range, 1 the one compared to), `bucket`
/// (only with a grain), `until` (only when carried), the dimensions, then the value, or numerator and denominator.
pub(crate) struct Compiled {
    pub(crate) sql: String,
    pub(crate) has_bucket: bool,
    /// The value holds in every bucket from `bucket` on that begins before `until`.
    pub(crate) carried: bool,
    pub(crate) dimensions: usize,
    pub(crate) ratio: bool,
}

/// What one scan answers: the range, and the one compared to when they do not overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) current: Option<Range>,
    pub(crate) previous: Option<Range>,
    /// Time of the previous range that nothing is compared to.
    pub(crate) except: Option<Range>,
}

/// Compiles a metric that reads a table. `schema` is the table's, `reached` the time up to which levels are known.
///
/// # Errors
/// `Invalid` when definition and table do not fit together, or the question asks for a dimension
/// that the metric does not have.
pub(crate) fn compile(
    spec: &MetricSpec,
    ask: &MetricQuery,
    parts: Parts,
    schema: &Schema,
    calendar: &Calendar,
    reached: Timestamp,
) -> Result<Compiled> {
    let table = spec.table.as_ref().ok_or_else(|| incomplete(ask, "table"))?;
    let time = spec.time.as_deref().ok_or_else(|| incomplete(ask, "time"))?;
    let query = Select {
        from: format!("{}.{}", quoted(table.zone.as_str()), quoted(&table.name)),
        time: TimeColumn::of(time, schema)?,
        by: ask.by.iter().map(|name| column(spec, schema, name)).collect::<Result<_>>()?,
        filters: filters(spec, ask, schema, calendar)?,
        grain: ask.grain,
        parts,
        calendar,
    };
    if query.time.is_date && ask.grain == Some(Grain::Hour) {
        return Err(Error::invalid(format!(
            "metric `{}` counts by day (`{time}` is a date); ask for the grain day or longer",
            ask.metric
        )));
    }
    let measure = Aggregates { schema, metric: &ask.metric };
    let sql = match &spec.measure {
        Measure::Ratio(ratio) => {
            let columns = [measure.term(&ratio.numerator)?, measure.term(&ratio.denominator)?];
            query.plain(&columns, None)?
        }
        Measure::Latest(of) => {
            query.latest(&measure.number(&of.column)?, measure.filter(of.filter.as_deref())?)?
        }
        Measure::Last(of) => {
            let keys: Vec<String> = of.by.iter().map(|name| measure.column(name)).collect::<Result<_>>()?;
            query.last(&measure.number(&of.column)?, &keys, measure.filter(of.filter.as_deref())?, reached)?
        }
        Measure::Count(of) => query.plain(&["count(*)".to_owned()], measure.filter(of.filter.as_deref())?)?,
        Measure::Quantile(of) => {
            let value = measure.number(&of.column)?;
            let q = of.q.clamp(0.0, 1.0);
            let aggregate = format!("percentile_cont({q:?}) WITHIN GROUP (ORDER BY {value})");
            query.plain(&[aggregate], measure.filter(of.filter.as_deref())?)?
        }
        Measure::Sum(of) => query.plain(&[measure.sum(of)?], measure.filter(of.filter.as_deref())?)?,
        Measure::Average(of) => {
            query.plain(&[measure.of("avg", of)?], measure.filter(of.filter.as_deref())?)?
        }
        Measure::Minimum(of) => {
            query.plain(&[measure.of("min", of)?], measure.filter(of.filter.as_deref())?)?
        }
        Measure::Maximum(of) => {
            query.plain(&[measure.of("max", of)?], measure.filter(of.filter.as_deref())?)?
        }
        Measure::Distinct(of) => {
            query.plain(&[measure.distinct(of)?], measure.filter(of.filter.as_deref())?)?
        }
        Measure::Derived(_) => return Err(incomplete(ask, "table")),
    };
    Ok(Compiled {
        sql,
        has_bucket: ask.grain.is_some(),
        carried: ask.grain.is_some() && matches!(spec.measure, Measure::Last(_)),
        dimensions: ask.by.len(),
        ratio: matches!(spec.measure, Measure::Ratio(_)),
    })
}

fn incomplete(ask: &MetricQuery, key: &str) -> Error {
    Error::invalid(format!("metric `{}` has no `{key}`; run `guanlan check`", ask.metric))
}

fn missing(metric: &str, name: &str, schema: &Schema) -> Error {
    let hint = match nearest(name, schema.fields().iter().map(|field| field.name().as_str())) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => "; run `guanlan check`".to_owned(),
    };
    Error::invalid(format!("{metric}: the table has no column `{name}`{hint}"))
}

fn known_dimension(spec: &MetricSpec, schema: &Schema, name: &str) -> Result<()> {
    if !spec.dimensions.contains(name) {
        let known: Vec<&str> = spec.dimensions.names().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", known.join(", ")),
        };
        return Err(Error::invalid(format!("`{name}` is not a dimension of this metric; {hint}")));
    }
    match schema.column_with_name(name) {
        Some(_) => Ok(()),
        None => Err(missing("dimension", name, schema)),
    }
}

fn column(spec: &MetricSpec, schema: &Schema, name: &str) -> Result<String> {
    known_dimension(spec, schema, name)?;
    Ok(quoted(name))
}

/// Each predicate once: a page and a tile may ask for the same.
fn filters(
    spec: &MetricSpec,
    ask: &MetricQuery,
    schema: &Schema,
    calendar: &Calendar,
) -> Result<Vec<String>> {
    let mut predicates: Vec<String> = Vec::with_capacity(ask.filters.len());
    for filter in &ask.filters {
        let predicate = filtered(spec, schema, filter, calendar)?;
        if !predicates.contains(&predicate) {
            predicates.push(predicate);
        }
    }
    Ok(predicates)
}

fn filtered(spec: &MetricSpec, schema: &Schema, filter: &Filter, calendar: &Calendar) -> Result<String> {
    known_dimension(spec, schema, &filter.dimension)?;
    super::filter::predicate(filter, schema.field_with_name(&filter.dimension)?.data_type(), calendar)
}

/// Aggregates over columns that were looked up.
struct Aggregates<'a> {
    schema: &'a Schema,
    metric: &'a str,
}

impl Aggregates<'_> {
    fn column(&self, name: &str) -> Result<String> {
        match self.schema.column_with_name(name) {
            Some(_) => Ok(quoted(name)),
            None => Err(missing(self.metric, name, self.schema)),
        }
    }

    fn number(&self, name: &str) -> Result<String> {
        Ok(format!("CAST({} AS DOUBLE)", self.column(name)?))
    }

    /// Decimals are added exactly and become a floating point number at the end.
    fn of(&self, function: &str, of: &ColumnOf) -> Result<String> {
        Ok(format!("CAST({function}({}) AS DOUBLE)", self.column(&of.column)?))
    }

    fn sum(&self, of: &ColumnOf) -> Result<String> {
        self.of("sum", of)
    }

    fn distinct(&self, of: &ColumnOf) -> Result<String> {
        Ok(format!("count(DISTINCT {})", self.column(&of.column)?))
    }

    fn filter(&self, text: Option<&str>) -> Result<Option<String>> {
        text.map(|text| predicate(text, Some(self.schema)))
            .transpose()
            .map_err(|reason| Error::invalid(format!("{}: {reason}", self.metric)))
    }

    /// One side of a ratio: its own filter must not hide rows from the other side.
    fn term(&self, term: &Term) -> Result<String> {
        let (aggregate, filter) = match term {
            Term::Count(CountOf { filter }) => ("count(*)".to_owned(), filter),
            Term::Sum(of) => (format!("sum({})", self.column(&of.column)?), &of.filter),
            Term::Distinct(of) => (self.distinct(of)?, &of.filter),
        };
        let filtered = match self.filter(filter.as_deref())? {
            Some(sql) => format!("{aggregate} FILTER (WHERE {sql})"),
            None => aggregate,
        };
        Ok(format!("CAST({filtered} AS DOUBLE)"))
    }
}

/// The time column of a metric.
pub(super) struct TimeColumn {
    pub(super) sql: String,
    is_date: bool,
    has_zone: bool,
}

impl TimeColumn {
    fn of(name: &str, schema: &Schema) -> Result<Self> {
        let Some((_, field)) = schema.column_with_name(name) else {
            return Err(missing("time", name, schema));
        };
        let (is_date, has_zone) = match field.data_type() {
            DataType::Date32 => (true, false),
            DataType::Timestamp(_, zone) => (false, zone.is_some()),
            other => {
                return Err(Error::invalid(format!(
                    "the time column `{name}` is {other}; it must be a timestamp or a date"
                )));
            }
        };
        Ok(Self { sql: quoted(name), is_date, has_zone })
    }

    /// True for times inside `[from, to)`; a date counts with its midnight in the site's zone.
    fn within(&self, range: &Range, calendar: &Calendar) -> String {
        let time = &self.sql;
        format!(
            "{time} >= {} AND {time} < {}",
            self.point(range.from, calendar),
            self.point(range.to, calendar)
        )
    }

    pub(super) fn point(&self, t: Timestamp, calendar: &Calendar) -> String {
        if self.is_date {
            let day = calendar.local(t).date_naive();
            let first = if calendar.midnight(day) >= t { Some(day) } else { day.succ_opt() };
            return format!("DATE '{}'", first.unwrap_or(day));
        }
        // A literal of the column's own type, so that files are pruned by their statistics.
        let zone = if self.has_zone { "Some(\"UTC\")" } else { "None" };
        format!("arrow_cast({}, 'Timestamp(Microsecond, {zone})')", t.timestamp_micros())
    }
}

/// The parts of the SELECT that all measures share.
pub(super) struct Select<'a> {
    pub(super) from: String,
    pub(super) time: TimeColumn,
    pub(super) by: Vec<String>,
    pub(super) filters: Vec<String>,
    pub(super) grain: Option<Grain>,
    pub(super) parts: Parts,
    pub(super) calendar: &'a Calendar,
}

impl Select<'_> {
    fn plain(&self, values: &[String], filter: Option<String>) -> Result<String> {
        let mut columns = self.groups();
        let groups = columns.len();
        columns.extend(values.iter().cloned());
        let named: Vec<String> = columns
            .iter()
            .zip(self.names(values.len()))
            .map(|(sql, name)| format!("{sql} AS {name}"))
            .collect();
        let mut predicates = vec![format!("({})", self.times()?)];
        predicates.extend(self.filters.iter().cloned());
        predicates.extend(filter.map(|sql| format!("({sql})")));
        let ordinals: Vec<String> = (1..=groups).map(|at| at.to_string()).collect();
        Ok(format!(
            "SELECT {} FROM {} WHERE {} GROUP BY {}",
            named.join(", "),
            self.from,
            predicates.join(" AND "),
            ordinals.join(", "),
        ))
    }

    /// The sum over the rows at the newest time of each bucket. That time is the bucket's, not
    /// each dimension's own: a department without open cases has no row at all.
    fn latest(&self, value: &str, filter: Option<String>) -> Result<String> {
        let time = &self.time.sql;
        let keys: Vec<String> = self.keys().iter().map(|(_, name)| (*name).to_owned()).collect();
        let key_list: Vec<String> =
            self.keys().iter().map(|(sql, name)| format!("{sql} AS {name}")).collect();
        let keys_sql: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
        let same: Vec<String> = keys.iter().map(|key| format!("r.{key} = n.{key}")).collect();
        let mut wanted = self.filters.clone();
        wanted.extend(filter.map(|sql| format!("({sql})")));
        if wanted.is_empty() {
            wanted.push("true".to_owned());
        }
        let by: Vec<String> = self.by.iter().enumerate().map(|(at, sql)| format!("{sql} AS d{at}")).collect();
        let by_names: Vec<String> = (0..self.by.len()).map(|at| format!("r.d{at}")).collect();
        let row_columns: Vec<String> = key_list
            .iter()
            .cloned()
            .chain([format!("{time} AS moment")])
            .chain(by)
            .chain([format!("{value} AS v")])
            .collect();
        let outer: Vec<String> = keys.iter().map(|key| format!("r.{key}")).chain(by_names).collect();
        let ordinals: Vec<String> = (1..=outer.len()).map(|at| at.to_string()).collect();
        let (from, times) = (&self.from, self.times()?);
        Ok(format!(
            "SELECT {}, sum(r.v) AS v FROM (SELECT {} FROM {from} WHERE ({times}) AND {}) r \
             JOIN (SELECT {}, max({time}) AS newest FROM {from} WHERE {times} GROUP BY {}) n \
             ON r.moment = n.newest AND {} GROUP BY {}",
            outer.join(", "),
            row_columns.join(", "),
            wanted.join(" AND "),
            key_list.join(", "),
            keys_sql.join(", "),
            same.join(" AND "),
            ordinals.join(", "),
        ))
    }

    /// Part and bucket.
    fn keys(&self) -> Vec<(String, &'static str)> {
        let mut keys = vec![(self.part(), "part")];
        if let Some(grain) = self.grain {
            keys.push((format!("bucket_start({}, '{}')", self.time.sql, word(grain)), "bucket"));
        }
        keys
    }

    fn groups(&self) -> Vec<String> {
        self.keys().into_iter().map(|(sql, _)| sql).chain(self.by.iter().cloned()).collect()
    }

    fn names(&self, values: usize) -> Vec<String> {
        let keys = self.keys().into_iter().map(|(_, name)| name.to_owned());
        let by = (0..self.by.len()).map(|at| format!("d{at}"));
        keys.chain(by).chain((0..values).map(|at| format!("v{at}"))).collect()
    }

    fn part(&self) -> String {
        match (self.parts.current, self.parts.previous) {
            (Some(current), Some(_)) => {
                let from = self.time.point(current.from, self.calendar);
                format!("CASE WHEN {} < {from} THEN 1 ELSE 0 END", self.time.sql)
            }
            (None, Some(_)) => "1".to_owned(),
            _ => "0".to_owned(),
        }
    }

    fn times(&self) -> Result<String> {
        let within = |range: &Range| format!("({})", self.time.within(range, self.calendar));
        let mut ranges: Vec<String> = self.parts.current.iter().map(within).collect();
        ranges.extend(self.parts.previous.iter().map(|range| match &self.parts.except {
            Some(except) => format!("({} AND NOT {})", within(range), within(except)),
            None => within(range),
        }));
        match ranges.is_empty() {
            true => Err(Error::invalid("a metric needs a range")),
            false => Ok(ranges.join(" OR ")),
        }
    }
}

pub(super) fn word(grain: Grain) -> &'static str {
    match grain {
        Grain::Hour => "hour",
        Grain::Day => "day",
        Grain::Week => "week",
        Grain::Month => "month",
        Grain::Quarter => "quarter",
        Grain::Year => "year",
    }
}
