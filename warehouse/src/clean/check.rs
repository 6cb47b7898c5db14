//! Finds mistakes in a cleaning before it runs.

use arrow::datatypes::Schema;
use store::{Problem, Step, nearest};

use super::apply::Cleaner;
use super::kind::Kind;
use super::spec::{CleanSpec, ColumnSpec, SkipRows};
use crate::Zone;

/// What is wrong with `cleans/<name>.yaml`. With `raw`, the schema of the raw table, source
/// columns are looked up too. Paths start at the root of the file.
pub fn check(spec: &CleanSpec, raw: Option<&Schema>) -> Vec<Problem> {
    let most = store::limits().columns;
    if spec.columns.len() > most {
        let problem = Problem::new(format!("the cleaning has more than {most} columns")).at_key("columns");
        return vec![problem.hint("take the columns that are used, or raise `limits: { columns: … }`")];
    }
    let mut problems = Vec::new();
    if spec.from.zone != Zone::Raw {
        problems.push(
            Problem::new(format!("`{}` is not a raw table", spec.from))
                .at_key("from")
                .hint("cleaning reads the zone raw, such as `raw.oa_approvals`"),
        );
    }
    if spec.columns.is_empty() {
        problems.push(Problem::new("the cleaning has no columns").at_key("columns"));
    }
    for (index, column) in spec.key.iter().enumerate() {
        if let Some(problem) = unknown_output(spec, column) {
            problems.push(problem.at_key("key").at_index(index));
        }
    }
    if let Some(latest) = &spec.latest {
        if let Some(problem) = unknown_output(spec, latest) {
            problems.push(problem.at_key("latest"));
        }
        if spec.key.is_empty() {
            problems.push(
                Problem::new("`latest` orders versions of a key, but there is no `key`")
                    .at_key("latest")
                    .hint("add `key: [id]`, or remove `latest`"),
            );
        }
    }
    for (index, skip) in spec.skip.iter().enumerate() {
        let found = skip_problem(skip, raw);
        problems.extend(
            found.map(|problem| problem.within(Step::Index(index)).within(Step::Key("skip".to_owned()))),
        );
    }
    for (name, column) in spec.columns.iter() {
        let found = column_problems(name, column, raw);
        problems.extend(found.into_iter().map(|problem| {
            problem.within(Step::Key(name.to_owned())).within(Step::Key("columns".to_owned()))
        }));
    }
    // The zone decides nothing about correctness here.
    if let Err(found) = Cleaner::compile(spec, chrono_tz::UTC) {
        problems.extend(found);
    }
    problems
}

fn skip_problem(skip: &SkipRows, raw: Option<&Schema>) -> Option<Problem> {
    if skip.values.is_empty() && skip.pattern.is_none() && !skip.empty {
        let problem = Problem::new("nothing says which rows are skipped");
        return Some(problem.hint("add `values: [合计]`, `pattern: \"^共\"` or `empty: true`"));
    }
    let raw = raw.filter(|raw| raw.column_with_name(&skip.column).is_none())?;
    let known: Vec<&str> = raw.fields().iter().map(|f| f.name().as_str()).collect();
    let problem = Problem::new(format!("the raw table has no column `{}`", skip.column)).at_key("column");
    Some(match nearest(&skip.column, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("it has {}", known.join(", "))),
    })
}

fn unknown_output(spec: &CleanSpec, column: &str) -> Option<Problem> {
    if spec.columns.contains(column) {
        return None;
    }
    let problem = Problem::new(format!("`{column}` is not one of the output columns"));
    Some(match nearest(column, spec.columns.names()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("list it under `columns`"),
    })
}

fn column_problems(name: &str, column: &ColumnSpec, raw: Option<&Schema>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let kind = column.kind;
    if !is_column_name(name) {
        problems.push(
            Problem::new(format!("`{name}` is not a column name"))
                .hint("use lower-case letters, digits and `_`, and say `from: <source column>`"),
        );
    }
    let mut only = |given: bool, key: &str, fits: bool, kinds: &str| {
        if given && !fits {
            let message = format!("`{key}` does nothing for type `{}`", kind.word());
            problems.push(Problem::new(message).at_key(key).hint(format!("it is for {kinds}")));
        }
    };
    only(!column.formats.is_empty(), "formats", kind.is_time(), "date and timestamp");
    only(column.zone.is_some(), "zone", kind.is_time(), "date and timestamp");
    only(!column.zero_values.is_empty(), "zero_values", kind.is_number(), "int, float and decimal");
    only(column.decimal.is_some(), "decimal", kind.is_number(), "int, float and decimal");
    only(column.amount.is_some(), "amount", kind.is_number(), "int, float and decimal");
    only(column.unit.is_some(), "unit", kind.is_number(), "int, float and decimal");
    if column.decimal.as_deref().is_some_and(|sign| sign != "," && sign != ".") {
        problems.push(
            Problem::new("the decimal sign is `,` or `.`").at_key("decimal").hint("write `decimal: \",\"`"),
        );
    }
    if let Some(twice) = column
        .zero_values
        .iter()
        .find(|zero| column.null_values.as_ref().is_some_and(|nulls| nulls.contains(zero)))
    {
        let message = format!("`{twice}` means no value already");
        problems.push(Problem::new(message).at_key("zero_values").hint("keep it in `null_values` or here"));
    }
    if let Kind::Decimal(size) = kind
        && !(1..=38).contains(&size.precision)
    {
        problems.push(
            Problem::new(format!("precision {} is not between 1 and 38", size.precision)).at_key("type"),
        );
    }
    if let Kind::Decimal(size) = kind
        && !(0..=size.precision.cast_signed()).contains(&size.scale)
    {
        let message = format!("scale {} is not between 0 and the precision {}", size.scale, size.precision);
        problems.push(Problem::new(message).at_key("type"));
    }
    if column.map.as_ref().is_some_and(|map| map.values.is_empty()) {
        problems.push(Problem::new("the code map is empty").at_key("map").at_key("values"));
    }
    if column.required && column.default.is_some() {
        problems.push(
            Problem::new("a column with a default is never missing")
                .at_key("required")
                .hint("remove `required` or `default`"),
        );
    }
    problems.extend(raw.and_then(|schema| unknown_source(name, column, schema)));
    problems
}

fn unknown_source(name: &str, column: &ColumnSpec, raw: &Schema) -> Option<Problem> {
    let source = column.source(name);
    if raw.column_with_name(source).is_some() {
        return None;
    }
    let problem = Problem::new(format!("the raw table has no column `{source}`"));
    let problem = if column.from.is_some() { problem.at_key("from") } else { problem };
    let known: Vec<&str> = raw.fields().iter().map(|f| f.name().as_str()).collect();
    Some(match nearest(source, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("it has {}", known.join(", "))),
    })
}

/// Column names are written without quotes in SQL.
fn is_column_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
