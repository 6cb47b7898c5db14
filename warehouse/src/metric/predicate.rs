//! The `where` of a measure: parsed, looked through, and written back as SQL of our own.

use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use store::nearest;

use crate::{bounded, on_large_stack};

/// Functions that look at more than one row.
const AGGREGATES: [&str; 12] = [
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "stddev",
    "var",
    "array_agg",
    "string_agg",
    "percentile_cont",
];

/// Reads a predicate and gives it back as SQL without anything around it. Err says why it is none
/// and what to do: it must be one expression over single rows of one table.
pub(crate) fn predicate(text: &str, schema: Option<&Schema>) -> Result<String, String> {
    bounded(text).map_err(|problem| problem.to_string())?;
    on_large_stack(|| within_bounds(text, schema))
}

fn within_bounds(text: &str, schema: Option<&Schema>) -> Result<String, String> {
    let dialect = GenericDialect {};
    let wrong = |error: &dyn std::fmt::Display| {
        let message = error.to_string();
        let text: String = text.chars().take(200).collect();
        format!("`{text}` is not an SQL predicate: {}", message.trim_start_matches("sql parser error: "))
    };
    let tokens = Tokenizer::new(&dialect, text).tokenize().map_err(|error| wrong(&error))?;
    let mut parser = Parser::new(&dialect).with_recursion_limit(50).with_tokens(tokens);
    let expr = parser.parse_expr().map_err(|error| wrong(&error))?;
    let next = parser.next_token();
    if next.token != Token::EOF {
        return Err(format!("`{text}` is not one SQL predicate: `{next}` is not expected"));
    }
    let found = visit_expressions(&expr, |part| match refused(part, schema) {
        Some(reason) => ControlFlow::Break(reason),
        None => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(reason) => Err(format!("`{text}`: {reason}")),
        ControlFlow::Continue(()) => Ok(expr.to_string()),
    }
}

fn refused(part: &Expr, schema: Option<&Schema>) -> Option<String> {
    match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            Some("a predicate looks at one row; do the look-up in the model instead".to_owned())
        }
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            let many = function.over.is_some() || AGGREGATES.contains(&name.as_str());
            many.then(|| format!("`{name}` looks at many rows; compute it in the model instead"))
        }
        Expr::Identifier(column) => {
            let name = match column.quote_style {
                Some(_) => column.value.clone(),
                None => column.value.to_lowercase(),
            };
            unknown(&name, schema)
        }
        Expr::CompoundIdentifier(parts) => {
            let name = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
            Some(format!("write the column of `{name}` alone: only one table is read"))
        }
        Expr::Value(value) if value.to_string().starts_with(['$', '?']) => {
            Some(format!("`{value}` has no value here"))
        }
        _ => None,
    }
}

fn unknown(name: &str, schema: Option<&Schema>) -> Option<String> {
    let schema = schema?;
    if schema.column_with_name(name).is_some() {
        return None;
    }
    let hint = match nearest(name, schema.fields().iter().map(|field| field.name().as_str())) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Some(format!("there is no column `{name}`{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("status", DataType::Utf8, true),
            Field::new("amount", DataType::Float64, true),
        ])
    }

    #[test]
    fn a_predicate_over_known_columns_passes() {
        for text in [
            "status = 'open'",
            "amount > 100 and status in ('a', 'b')",
            "lower(status) like 'x%' or amount is null",
            "case when amount > 1 then true else false end",
        ] {
            let sql = predicate(text, Some(&schema())).unwrap_or_else(|error| panic!("{error}"));
            assert!(predicate(&sql, Some(&schema())).is_ok(), "{sql}");
        }
    }

    #[test]
    fn anything_that_leaves_the_row_is_refused() {
        for (text, reason) in [
            ("status = 'a' ) or (1=1", "not expected"),
            ("1=1; drop table x", "not expected"),
            ("status in (select status from mart.x)", "look-up"),
            ("exists (select 1)", "look-up"),
            ("amount > avg(amount)", "many rows"),
            ("row_number() over (order by amount) = 1", "many rows"),
            ("o.amount > 1", "alone"),
            ("amout > 1", "did you mean `amount`"),
            ("status = $1", "no value"),
            ("status =", "not an SQL predicate"),
            ("", "not an SQL predicate"),
        ] {
            let error = predicate(text, Some(&schema())).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_predicate_without_end_is_refused_before_it_is_parsed() {
        for text in [
            vec!["amount"; 200_000].join("+") + " > 1",
            vec!["amount > 1"; 20_000].join(" or "),
            "(".repeat(20_000),
            "not ".repeat(20_000) + "true",
        ] {
            let error = predicate(&text, Some(&schema())).expect_err("too long");
            assert!(error.len() < 200, "{error}");
        }
        let long = vec!["amount > 1"; 400].join(" or ");
        assert!(predicate(&long, Some(&schema())).is_ok());
    }

    #[test]
    fn comments_do_not_survive() {
        let sql = predicate("status = 'open' -- and more", Some(&schema())).expect("a predicate");
        assert_eq!(sql, "status = 'open'");
    }
}
