//! Which tables a statement reads.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{self, Visit};
use store::{Problem, limits, nearest};

use crate::bounds::{Widths, bounded, expanded, on_large_stack};
use crate::error::Error;
use crate::table::{TableName, Zone};
use crate::words::translate;

/// The name of the one catalogue, as in `guanlan.mart.orders`.
pub(crate) const CATALOGUE: &str = "guanlan";
pub(crate) const INFORMATION: &str = "information_schema";

/// The tables that a query reads: sorted, each once, without its own CTEs. A bare name is a table of `mart`.
///
/// # Errors
/// When the text is not one query, or names a table of no zone; `at` is the place in the text when the parser told.
pub fn references(sql: &str) -> Result<Vec<TableName>, Problem> {
    on_large_stack(|| read(sql))
}

fn read(sql: &str) -> Result<Vec<TableName>, Problem> {
    let statement = one_statement(sql).map_err(problem)?;
    let Statement::Statement(inner) = &statement else {
        return Err(Problem::new("this is not a query").hint("write one SELECT"));
    };
    if !matches!(inner.as_ref(), ast::Statement::Query(_)) {
        return Err(Problem::new("this is not a query").hint("write one SELECT"));
    }
    let found = tables_of(&statement).map_err(problem)?;
    let mut names = BTreeSet::new();
    for reference in &found {
        match name_of(reference) {
            Ok(Some(name)) => drop(names.insert(name)),
            Ok(None) => {
                return Err(Problem::new(format!("{reference} cannot be read here"))
                    .hint("name a table of raw, clean, mart or system"));
            }
            Err(e) => return Err(problem(e)),
        }
    }
    Ok(names.into_iter().collect())
}

/// The relations of a statement, without its own CTEs and without table functions such as generate_series(…).
pub(crate) fn tables_of(statement: &Statement) -> Result<Vec<TableReference>, Error> {
    let (mut found, _) = resolve_table_references(statement, true).map_err(Error::from_datafusion)?;
    let mut functions = Functions::default();
    if let Statement::Statement(inner) = statement {
        let _ = inner.visit(&mut functions);
    }
    found.retain(|reference| reference.schema().is_some() || !functions.called(reference.table()));
    Ok(found)
}

#[derive(Default)]
struct Functions {
    called: BTreeSet<String>,
    plain: BTreeSet<String>,
}

impl Functions {
    fn called(&self, name: &str) -> bool {
        self.called.contains(name) && !self.plain.contains(name)
    }
}

impl ast::Visitor for Functions {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        if let ast::TableFactor::Table { name, args, .. } = factor {
            let name = name.to_string().to_ascii_lowercase();
            if args.is_some() {
                self.called.insert(name)
            } else {
                self.plain.insert(name)
            };
        }
        ControlFlow::Continue(())
    }
}

/// The single statement of a text, within the bounds of what can be planned.
pub(crate) fn one_statement(sql: &str) -> Result<Statement, Error> {
    let mut statement = parsed(sql)?;
    on_large_stack(|| expanded(&statement, &Widths::new())).map_err(too_much)?;
    on_large_stack(|| translate(&mut statement));
    Ok(statement)
}

/// The same without looking into it.
pub(crate) fn parsed(sql: &str) -> Result<Statement, Error> {
    bounded(sql).map_err(too_much)?;
    // The parser counts several levels for one of the text.
    let levels = limits().depth.saturating_mul(4);
    let parse = || DFParserBuilder::new(sql).with_recursion_limit(levels).build()?.parse_statements();
    let mut statements = on_large_stack(parse).map_err(Error::from_datafusion)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::Sql {
            message: "the query is empty".into(),
            line: None,
            column: None,
            hint: Some("write one SELECT".into()),
        }),
        (Some(_), false) => Err(Error::Sql {
            message: "there are several statements; one is answered at a time".into(),
            line: None,
            column: None,
            hint: Some("remove the text after the first semicolon".into()),
        }),
    }
}

/// What the bounds refuse, as an error of the query.
pub(crate) fn too_much(problem: Problem) -> Error {
    Error::Sql {
        message: problem.message,
        line: problem.at.map(|at| at.0 as u64),
        column: problem.at.map(|at| at.1 as u64),
        hint: problem.hint,
    }
}

/// The table a reference means; `None` for the information schema.
pub(crate) fn name_of(reference: &TableReference) -> Result<Option<TableName>, Error> {
    let missing = |hint: Option<String>| Error::NotFound { what: format!("table {reference}"), hint };
    if reference.catalog().is_some_and(|c| c != CATALOGUE) {
        return Err(missing(Some("write zone.name, for example mart.orders".into())));
    }
    let zone = match reference.schema() {
        None => Zone::Mart,
        Some(INFORMATION) => return Ok(None),
        Some(schema) => schema.parse().map_err(|_| {
            let near = nearest(schema, Zone::ALL.iter().map(|z| z.as_str()));
            missing(Some(match near {
                Some(near) => format!("did you mean the zone {near}?"),
                None => "the zones are raw, clean, mart and system".into(),
            }))
        })?,
    };
    TableName::new(zone, reference.table()).map(Some).map_err(|_| missing(None))
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Sql { message, line, column, hint } => {
            let mut problem = Problem::new(message);
            problem.hint = hint;
            problem.at = line.zip(column).map(|(l, c)| (l as usize, c as usize));
            problem
        }
        Error::NotFound { what, hint } => {
            let mut problem = Problem::new(format!("{what} was not found"));
            problem.hint = hint;
            problem
        }
        other => Problem::new(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        references(sql).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_table_is_found_wherever_it_stands() {
        let sql = "with recent as (select * from clean.approvals where at > now())
            select r.*, (select max(x) from raw.events) from recent r
            left join orders o on o.id = r.id
            where r.id in (select id from guanlan.mart.vip)
            union all select * from (select * from clean.approvals) t";
        assert_eq!(names(sql), ["raw.events", "clean.approvals", "mart.orders", "mart.vip"]);
    }

    #[test]
    fn a_table_function_is_no_table() {
        assert_eq!(names("select * from generate_series(1, 3) g join orders on true"), ["mart.orders"]);
    }

    #[test]
    fn a_cte_hides_a_table_of_its_name() {
        assert_eq!(names("with orders as (select 1) select * from orders"), Vec::<String>::new());
        assert_eq!(names("with orders as (select * from orders) select * from orders"), ["mart.orders"]);
    }

    #[test]
    fn what_is_not_a_query_of_our_tables_is_a_problem() {
        for sql in [
            "",
            "drop table mart.x",
            "select 1; select 2",
            "select * from '/etc/passwd'",
            "select * from gold.x",
            "select * from information_schema.tables",
            "insert into mart.x select 1",
        ] {
            assert!(references(sql).is_err(), "{sql}");
        }
        let problem = references("select *\nfrom mart.orders wher x").unwrap_err();
        assert_eq!(problem.at.map(|at| at.0), Some(2), "{problem:?}");
        assert!(references("select * from marts.x").unwrap_err().hint.unwrap().contains("mart"));
    }
}
