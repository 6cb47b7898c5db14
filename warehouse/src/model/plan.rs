//! From a model's SQL to a plan, and from a planning error to a place in the file.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use store::{Problem, nearest};

use super::check::in_file;
use super::spec::{ModelSpec, Refresh};
use crate::bounds::{inlined, on_large_stack};
use crate::lineage::{one_statement, too_much};
use crate::{Error, TableName, references};

/// Plans the SELECT with `$since` bound (None: NULL).
pub(super) async fn plan(
    cx: &SessionContext,
    spec: &ModelSpec,
    since: Option<ScalarValue>,
) -> Result<LogicalPlan, DataFusionError> {
    let open = select(cx, &spec.sql).await?;
    let Refresh::Incremental(how) = &spec.refresh else {
        return Ok(open);
    };
    let bind = |value: ScalarValue| open.clone().with_param_values(vec![("since", value)]);
    if let Some(value) = since {
        return bind(value);
    }
    let untyped = bind(ScalarValue::Null)?;
    // A NULL of the right type lets `$since - interval '1 day'` plan on the first build too.
    let kind = untyped.schema().field_with_unqualified_name(&how.since).map(|f| f.data_type().clone());
    match kind {
        Ok(kind) => bind(ScalarValue::try_from(&kind)?),
        Err(_) => Ok(untyped),
    }
}

/// Plans one SELECT; anything that changes data or settings is refused.
pub(super) async fn select(cx: &SessionContext, sql: &str) -> Result<LogicalPlan, DataFusionError> {
    let mut state = cx.state();
    // Errors then know the line and column of the column they complain about.
    state.config_mut().options_mut().sql_parser.collect_spans = true;
    let statement = one_statement(sql).map_err(Error::into_datafusion)?;
    let plan = state.statement_to_plan(statement).await?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)?;
    on_large_stack(|| inlined(&plan)).map_err(|p| too_much(p).into_datafusion())?;
    Ok(plan)
}

/// The columns of a plan. Err names a column that appears twice.
pub(super) fn columns(plan: &LogicalPlan) -> Result<SchemaRef, Problem> {
    let schema: SchemaRef = plan.schema().inner().clone();
    for (index, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..index].iter().any(|other| other.name() == field.name()) {
            return Err(Problem::new(format!("the SELECT has two columns named `{}`", field.name()))
                .hint("give one of them another name with AS"));
        }
    }
    Ok(schema)
}

/// What a planning error means to the author of the model, with a place in the file.
pub(super) fn problem(cx: &SessionContext, spec: &ModelSpec, error: DataFusionError) -> Problem {
    if let Some(problem) = missing_table(cx, &spec.sql) {
        return in_file(problem, spec);
    }
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let mut problem = match Error::from_datafusion(error) {
        Error::Sql { message, line, column, hint } => Problem {
            hint,
            at: line.zip(column).map(|(line, column)| (line as usize, column as usize)),
            ..Problem::new(message)
        },
        other => Problem::new(other.to_string()),
    };
    if problem.hint.is_none() && problem.message.contains("ambiguous") {
        let hint = "name the table as well (`a.id`), or give one of the columns another name with AS";
        problem.hint = Some(hint.to_owned());
    }
    if let Some(span) = span {
        problem.at = Some((span.start.line as usize, span.start.column as usize));
    }
    in_file(problem, spec)
}

/// The first table that the SQL reads and nobody has.
fn missing_table(cx: &SessionContext, sql: &str) -> Option<Problem> {
    let read = references(sql).ok()?;
    let missing = read.into_iter().find(|table| !exists(cx, table))?;
    let name = missing.to_string();
    let problem = Problem::new(format!("there is no table {name}"));
    let known = names(cx, &missing);
    let mut problem = match nearest(&missing.name, known.iter().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean {}.{near}?", missing.zone)),
        None => problem.hint(
            "check the spelling; raw tables appear with the first sync, clean tables with their cleaning",
        ),
    };
    problem.at = place(sql, &name).or_else(|| place(sql, &missing.name));
    Some(problem)
}

fn exists(cx: &SessionContext, table: &TableName) -> bool {
    cx.table_exist(TableReference::partial(table.zone.as_str(), table.name.as_str())).unwrap_or(false)
}

fn names(cx: &SessionContext, like: &TableName) -> Vec<String> {
    cx.catalog_names()
        .iter()
        .filter_map(|name| cx.catalog(name)?.schema(like.zone.as_str()))
        .flat_map(|schema| schema.table_names())
        .collect()
}

/// Line and column (1-based, in characters) of the first place where a name stands alone.
fn place(sql: &str, name: &str) -> Option<(usize, usize)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let at = sql
        .match_indices(name)
        .map(|(at, _)| at)
        .find(|&at| !sql[..at].ends_with(part) && !sql[at + name.len()..].starts_with(part))?;
    let line_start = sql[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = sql[..at].matches('\n').count() + 1;
    Some((line, sql[line_start..at].chars().count() + 1))
}
