//! Parsed statements that a planner would write out to many times their size.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use store::Problem;

/// Tables of a statement with every common table expression counted where it is used: planners write it out there.
const RELATIONS: u64 = 500;
/// Columns of all CUBEs together: each doubles the groups.
const CUBED: usize = 10;

/// Refuses a parsed statement that a planner would write out to many times its size.
///
/// # Errors
/// Says what grows and what to do.
pub(crate) fn expanded(statement: &Statement) -> Result<(), Problem> {
    match statement {
        Statement::Statement(inner) => match inner.visit(&mut Expansion::default()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(problem) => Err(problem),
        },
        Statement::Explain(explain) => expanded(&explain.statement),
        _ => Ok(()),
    }
}

/// Counts relations with each common table expression written out where it is named.
#[derive(Default)]
struct Expansion {
    queries: Vec<Open>,
    cubed: usize,
}

/// A query that is being walked.
#[derive(Default)]
struct Open {
    relations: u64,
    /// Its common table expressions: those still to be walked, in order, and the sizes of those that were.
    ahead: VecDeque<String>,
    known: BTreeMap<String, u64>,
}

impl Visitor for Expansion {
    type Break = Problem;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Problem> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| name(&cte.alias.name));
        self.queries.push(Open { ahead: names.collect(), ..Open::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<Problem> {
        let Some(closed) = self.queries.pop() else { return ControlFlow::Continue(()) };
        let size = closed.relations.max(1);
        if let Some(around) = self.queries.last_mut() {
            match around.ahead.pop_front() {
                Some(name) => drop(around.known.insert(name, size)),
                None => around.relations = around.relations.saturating_add(size),
            }
        }
        if size <= RELATIONS {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(
            Problem::new(format!(
                "the SQL reads more than {RELATIONS} tables once its WITH parts are written out"
            ))
            .hint("build the parts as models, so that each is computed once"),
        )
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<Problem> {
        let size = match factor {
            ast::TableFactor::Table { name: table, .. } => match table.0.as_slice() {
                [ast::ObjectNamePart::Identifier(only)] => {
                    let wanted = name(only);
                    self.queries.iter().rev().find_map(|q| q.known.get(&wanted).copied()).unwrap_or(1)
                }
                _ => 1,
            },
            _ => 0,
        };
        if let Some(query) = self.queries.last_mut() {
            query.relations = query.relations.saturating_add(size);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Problem> {
        if let ast::Expr::Cube(columns) = expr {
            self.cubed += columns.len();
        }
        if self.cubed > CUBED {
            return ControlFlow::Break(
                Problem::new(format!("CUBE over more than {CUBED} columns makes too many groups"))
                    .hint("name the groups that are wanted with GROUPING SETS"),
            );
        }
        ControlFlow::Continue(())
    }
}

fn name(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
