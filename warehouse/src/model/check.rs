//! Finds mistakes in a model before it runs.

use store::{Problem, Step};

use super::spec::{Check, ModelSpec, Refresh};
use crate::references;

/// What can be said about a model file alone, without any table. `at` is a place in the file.
pub(crate) fn definition(spec: &ModelSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.sql.trim().is_empty() {
        let mut problem = Problem::new("the model has no SELECT")
            .hint("write the query below the closing `---` line");
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
