//! Finds mistakes in a model before it runs.

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::prelude::SessionContext;
use store::{Problem, Step, nearest};

use super::plan;
use super::spec::{Check, ModelSpec, Refresh};
use crate::references;

/// Plans a model against the tables of `cx` and looks its columns up: the schema of
/// `mart.<model>`, or what is wrong with it. Checks that query are planned too, with `this` as an
/// empty table of that schema.
pub async fn check(spec: &ModelSpec, cx: &SessionContext) -> Result<SchemaRef, Vec<Problem>> {
    let problems = definition(spec);
    if !problems.is_empty() {
        return Err(problems);
    }
    let planned = plan::plan(cx, spec, None).await.map_err(|error| vec![plan::problem(cx, spec, error)])?;
    let schema = plan::columns(&planned).map_err(|problem| vec![problem])?;
    let mut problems = against_columns(spec, &schema);
    problems.extend(against_this(spec, cx, &schema).await);
    if problems.is_empty() { Ok(schema) } else { Err(problems) }
}

/// What can be said about a model file alone, without any table. `at` is a place in the file.
pub(crate) fn definition(spec: &ModelSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.sql.trim().is_empty() {
        let mut problem =
            Problem::new("the model has no SELECT").hint("write the query below the closing `---` line");
        problem.at = Some((spec.header_lines + 1, 1));
        return vec![problem];
    }
    if let Err(problem) = references(&spec.sql) {
        problems.push(in_file(problem, spec));
    }
    refresh(spec, &mut problems);
    for (index, check) in spec.checks.iter().enumerate() {
        if let Err(problem) = check_alone(check) {
            problems.push(problem.within(Step::Index(index)).within(Step::Key("checks".into())));
        }
    }
    problems
}

/// Moves a place in the SQL to the same place in the file.
pub(crate) fn in_file(mut problem: Problem, spec: &ModelSpec) -> Problem {
    problem.at = problem.at.map(|(line, column)| (line + spec.header_lines, column));
    problem
}

fn refresh(spec: &ModelSpec, problems: &mut Vec<Problem>) {
    let uses_since = spec.sql.contains("$since");
    match &spec.refresh {
        Refresh::Full(_) if uses_since => problems.push(
            Problem::new("the SQL uses `$since`, but the model is rebuilt in full")
                .at_key("refresh")
                .hint("write `refresh: { incremental: { key: [day], since: day, lookback: 3d } }`"),
        ),
        Refresh::Incremental(_) if !uses_since => problems.push(
            Problem::new("the model is incremental, but its SQL does not use `$since`")
                .at_key("refresh")
                .hint("add `where $since is null or day >= $since`, or use `refresh: { full: {} }`"),
        ),
        Refresh::Incremental(how) if how.key.is_empty() => problems.push(
            Problem::new("an incremental model needs at least one key column")
                .at_key("refresh")
                .at_key("incremental")
                .at_key("key")
                .hint("name the columns whose rows are replaced together, such as `[day]`"),
        ),
        _ => {}
    }
}

fn check_alone(check: &Check) -> Result<(), Problem> {
    match check {
        Check::NotNull(columns) if columns.is_empty() => {
            Err(Problem::new("`not_null` names no column").at_key("not_null"))
        }
        Check::Unique(columns) if columns.is_empty() => {
            Err(Problem::new("`unique` names no column").at_key("unique"))
        }
        Check::Accepted(accepted) if accepted.values.is_empty() => {
            Err(Problem::new("`accepted` lists no value").at_key("accepted").at_key("values"))
        }
        Check::Rows(rows) => match (rows.min, rows.max) {
            (None, None) => Err(Problem::new("`rows` says neither `min` nor `max`").at_key("rows")),
            (Some(min), Some(max)) if min > max => {
                Err(Problem::new(format!("`min` {min} is above `max` {max}")).at_key("rows"))
            }
            _ => Ok(()),
        },
        Check::Sql(sql) => match references(&sql.query) {
            Ok(_) => Ok(()),
            // `at` would be read as a place in the file; the path says where the query stands.
            Err(problem) => Err(Problem { at: None, ..problem }
                .within(Step::Key("query".into()))
                .within(Step::Key("sql".into()))),
        },
        _ => Ok(()),
    }
}

/// Columns that the header names and the SELECT does not have.
pub(super) fn against_columns(spec: &ModelSpec, schema: &Schema) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in spec.columns.names() {
        problems.extend(unknown(schema, name).map(|p| p.at_key("columns").at_key(name)));
    }
    if let Refresh::Incremental(how) = &spec.refresh {
        let at = |problem: Problem| problem.at_key("refresh").at_key("incremental");
        for (index, name) in how.key.iter().enumerate() {
            problems.extend(unknown(schema, name).map(|p| at(p).at_key("key").at_index(index)));
        }
        problems.extend(unknown(schema, &how.since).map(|p| at(p).at_key("since")));
        problems.extend(no_time(schema, &how.since).map(|p| at(p).at_key("since")));
    }
    for (index, check) in spec.checks.iter().enumerate() {
        let at = |problem: Problem, key: &str| problem.at_key("checks").at_index(index).at_key(key);
        match check {
            Check::NotNull(columns) => problems.extend(unknown_of(schema, columns, |p| at(p, "not_null"))),
            Check::Unique(columns) => problems.extend(unknown_of(schema, columns, |p| at(p, "unique"))),
            Check::Accepted(accepted) => {
                problems.extend(unknown(schema, &accepted.column).map(|p| at(p, "accepted").at_key("column")))
            }
            Check::Rows(_) | Check::Sql(_) => {}
        }
    }
    problems
}

fn unknown_of(schema: &Schema, columns: &[String], at: impl Fn(Problem) -> Problem) -> Vec<Problem> {
    let each = columns.iter().enumerate();
    each.filter_map(|(index, name)| Some(at(unknown(schema, name)?).at_index(index))).collect()
}

fn unknown(schema: &Schema, name: &str) -> Option<Problem> {
    if schema.column_with_name(name).is_some() {
        return None;
    }
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let problem = Problem::new(format!("the SELECT has no column `{name}`"));
    Some(match nearest(name, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("it has {}", known.join(", "))),
    })
}

fn no_time(schema: &Schema, name: &str) -> Option<Problem> {
    let kind = schema.field_with_name(name).ok()?.data_type();
    match kind {
        DataType::Date32 | DataType::Timestamp(..) => None,
        other => Some(
            Problem::new(format!("`{name}` is {other}, not a date or timestamp"))
                .hint("cast it in the SELECT, or choose another column"),
        ),
    }
}

/// SQL checks that cannot be planned over the columns of the model.
async fn against_this(spec: &ModelSpec, cx: &SessionContext, schema: &SchemaRef) -> Vec<Problem> {
    let mut problems = Vec::new();
    let this = std::sync::Arc::new(datafusion::datasource::empty::EmptyTable::new(schema.clone()));
    if let Err(error) = cx.register_table("this", this) {
        return vec![Problem::new(format!("the checks cannot be planned: {error}"))];
    }
    for (index, check) in spec.checks.iter().enumerate() {
        let Check::Sql(sql) = check else { continue };
        if let Err(error) = plan::select(cx, &sql.query).await {
            problems.push(
                Problem::new(crate::Error::from_datafusion(error).to_string())
                    .at_key("checks")
                    .at_index(index)
                    .at_key("sql")
                    .at_key("query"),
            );
        }
    }
    // The context is the caller's: it gets it back as it was.
    if let Err(error) = cx.deregister_table("this") {
        problems.push(Problem::new(format!("the checks cannot be planned: {error}")));
    }
    problems
}
