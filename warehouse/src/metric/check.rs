//! Finds mistakes in a metric before it is asked.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Schema};
use store::{Problem, Step, limits, nearest};

use super::formula::Formula;
use super::predicate::predicate;
use super::spec::{Derived, MAX_DEPTH, Measure, MetricSpec, Term};

/// What is wrong with `metrics/<name>.yaml`. With the schema of its table, columns are looked up
/// too. Paths start at the root of the file.
pub fn check(
    name: &str,
    spec: &MetricSpec,
    all: &BTreeMap<String, MetricSpec>,
    schema: Option<&Schema>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Measure::Derived(derived) = &spec.measure {
        check_derived(name, spec, derived, all, &mut problems);
        return problems;
    }
    if spec.table.is_none() {
        problems.push(Problem::new("the metric names no table").hint("add `table: mart.<model>`"));
    }
    match &spec.time {
        None => problems.push(
            Problem::new("the metric names no time column")
                .hint("add `time: <column>`, a timestamp or date column of the table"),
        ),
        Some(time) => problems.extend(schema.and_then(|schema| time_problem(time, schema))),
    }
    if let Some(schema) = schema {
        for dimension in spec.dimensions.names() {
            problems.extend(unknown(dimension, schema).map(|p| p.at_key("dimensions").at_key(dimension)));
        }
    }
    let at = |problem: Problem| problem.within(Step::Key("measure".into()));
    problems.extend(measure_problems(&spec.measure, schema).into_iter().map(at));
    problems
}

fn unknown(column: &str, schema: &Schema) -> Option<Problem> {
    if schema.column_with_name(column).is_some() {
        return None;
    }
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let problem = Problem::new(format!("the table has no column `{column}`"));
    Some(match nearest(column, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("it has {}", known.join(", "))),
    })
}

fn time_problem(time: &str, schema: &Schema) -> Option<Problem> {
    if let Some(problem) = unknown(time, schema) {
        return Some(problem.at_key("time"));
    }
    let kind = schema.field_with_name(time).ok()?.data_type();
    match kind {
        DataType::Date32 | DataType::Timestamp(_, Some(_)) => None,
        DataType::Timestamp(_, None) => Some(
            Problem::new(format!("`{time}` is a timestamp without a time zone"))
                .at_key("time")
                .hint("clean it with `type: timestamp` and its `zone`, so that it becomes UTC"),
        ),
        other => Some(
            Problem::new(format!("`{time}` is {other}, not a timestamp or date"))
                .at_key("time")
                .hint("choose another column, or cast it in the model"),
        ),
    }
}

fn measure_problems(measure: &Measure, schema: Option<&Schema>) -> Vec<Problem> {
    let (key, parts): (&str, Vec<Problem>) = match measure {
        Measure::Count(of) => ("count", filter(of.filter.as_deref(), schema)),
        Measure::Sum(of) => ("sum", column(&of.column, of.filter.as_deref(), true, schema)),
        Measure::Average(of) => ("average", column(&of.column, of.filter.as_deref(), true, schema)),
        Measure::Minimum(of) => ("minimum", column(&of.column, of.filter.as_deref(), true, schema)),
        Measure::Maximum(of) => ("maximum", column(&of.column, of.filter.as_deref(), true, schema)),
        Measure::Latest(of) => ("latest", column(&of.column, of.filter.as_deref(), true, schema)),
        Measure::Last(of) => {
            let mut parts = column(&of.column, of.filter.as_deref(), true, schema);
            if of.by.is_empty() {
                let problem = Problem::new("`last` needs the columns that tell apart what has a value each");
                parts.push(problem.at_key("by").hint("write for example `by: [account]`"));
            }
            for (index, name) in of.by.iter().enumerate() {
                let problem = schema.and_then(|schema| unknown(name, schema));
                parts.extend(problem.map(|problem| problem.at_key("by").at_index(index)));
            }
            ("last", parts)
        }
        Measure::Distinct(of) => ("distinct", column(&of.column, of.filter.as_deref(), false, schema)),
        Measure::Quantile(of) => {
            let mut parts = column(&of.column, of.filter.as_deref(), true, schema);
            if !(0.0..=1.0).contains(&of.q) {
                let problem = Problem::new(format!("q is {}, not between 0 and 1", of.q)).at_key("q");
                parts.push(problem.hint("write 0.9 for the ninth decile"));
            }
            ("quantile", parts)
        }
        Measure::Ratio(ratio) => {
            let side = |term: &Term, key: &str| -> Vec<Problem> {
                term_problems(term, schema).into_iter().map(|p| p.within(Step::Key(key.into()))).collect()
            };
            let mut parts = side(&ratio.numerator, "numerator");
            parts.extend(side(&ratio.denominator, "denominator"));
            ("ratio", parts)
        }
        Measure::Derived(_) => ("derived", Vec::new()),
    };
    parts.into_iter().map(|problem| problem.within(Step::Key(key.into()))).collect()
}

fn term_problems(term: &Term, schema: Option<&Schema>) -> Vec<Problem> {
    let (key, parts) = match term {
        Term::Count(of) => ("count", filter(of.filter.as_deref(), schema)),
        Term::Sum(of) => ("sum", column(&of.column, of.filter.as_deref(), true, schema)),
        Term::Distinct(of) => ("distinct", column(&of.column, of.filter.as_deref(), false, schema)),
    };
    parts.into_iter().map(|problem| problem.within(Step::Key(key.into()))).collect()
}

fn column(name: &str, predicate: Option<&str>, number: bool, schema: Option<&Schema>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = schema
        .and_then(|schema| unknown(name, schema).or_else(|| no_number(name, number, schema)))
        .map(|problem| problem.at_key("column"))
        .into_iter()
        .collect();
    problems.extend(filter(predicate, schema));
    problems
}

fn no_number(name: &str, number: bool, schema: &Schema) -> Option<Problem> {
    let kind = schema.field_with_name(name).ok()?.data_type();
    let fits = !number || kind.is_numeric();
    (!fits).then(|| {
        Problem::new(format!("`{name}` is {kind}, not a number"))
            .hint("choose a numeric column, or turn it into one in the model")
    })
}

fn filter(text: Option<&str>, schema: Option<&Schema>) -> Vec<Problem> {
    let problem = text.and_then(|text| predicate(text, schema).err());
    problem.map(|reason| Problem::new(reason).at_key("where")).into_iter().collect()
}

fn check_derived(
    name: &str,
    spec: &MetricSpec,
    derived: &Derived,
    all: &BTreeMap<String, MetricSpec>,
    problems: &mut Vec<Problem>,
) {
    let at = |problem: Problem| problem.at_key("measure").at_key("derived");
    for (given, key) in [(spec.table.is_some(), "table"), (spec.time.is_some(), "time")] {
        if given {
            problems.push(Problem::new(format!("a derived metric has no `{key}` of its own")).at_key(key));
        }
    }
    match Formula::parse(&derived.expression) {
        Err(reason) => problems.push(at(Problem::new(reason)).at_key("expression")),
        Ok(formula) => {
            for used in formula.names().collect::<BTreeSet<_>>() {
                if !derived.metrics.contains_key(used) {
                    let problem = at(Problem::new(format!("`{used}` is not listed under `metrics`")));
                    let near = nearest(used, derived.metrics.keys().map(String::as_str));
                    let hint = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("add `{used}: <metric>`"),
                    };
                    problems.push(problem.at_key("expression").hint(hint));
                }
            }
        }
    }
    let most = limits().filters;
    if derived.metrics.len() > most {
        let problem = Problem::new(format!("a derived metric stands on at most {most} metrics"));
        problems.push(at(problem).at_key("metrics").hint("sum some of them up in a model"));
    }
    if derived.metrics.is_empty() {
        problems.push(at(Problem::new("a derived metric needs at least one metric")).at_key("metrics"));
    }
    for (alias, metric) in &derived.metrics {
        if !all.contains_key(metric) {
            let problem = at(Problem::new(format!("there is no metric `{metric}`")));
            let problem = problem.at_key("metrics").at_key(alias);
            problems.push(match nearest(metric, all.keys().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("add metrics/{metric}.yaml")),
            });
        }
    }
    if reaches_itself(name, derived, all) {
        problems.push(
            at(Problem::new(format!(
                "`{name}` is derived from itself, or over more than {MAX_DEPTH} metrics that are derived"
            )))
            .at_key("metrics"),
        );
        return;
    }
    let shared = spec.dimensions(all);
    for dimension in spec.dimensions.names().filter(|dimension| !shared.contains(dimension)) {
        problems.push(
            Problem::new(format!("not all metrics of the expression have the dimension `{dimension}`"))
                .at_key("dimensions")
                .at_key(dimension),
        );
    }
}

fn reaches_itself(name: &str, derived: &Derived, all: &BTreeMap<String, MetricSpec>) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<(&str, usize)> = derived.metrics.values().map(|metric| (metric.as_str(), 1)).collect();
    while let Some((metric, depth)) = open.pop() {
        if metric == name || depth > MAX_DEPTH {
            return true;
        }
        if !seen.insert(metric) {
            continue;
        }
        if let Some(MetricSpec { measure: Measure::Derived(inner), .. }) = all.get(metric) {
            open.extend(inner.metrics.values().map(|metric| (metric.as_str(), depth + 1)));
        }
    }
    false
}
