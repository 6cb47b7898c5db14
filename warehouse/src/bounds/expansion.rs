//! Parsed statements that a planner would write out to many times their size.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use store::Problem;

/// Tables of a statement with every common table expression counted where it is used: planners write it out there.
const RELATIONS: u64 = 500;
/// Columns that all steps of a statement carry: each join holds a list of those that are joined up to it, each SELECT one
/// of what it reads and one of what it answers with.
const CARRIED: u64 = 60_000;
/// So many columns are passed over in the time that carrying one costs.
const LOOKS: u64 = 1_000;
/// Columns of what is no table of ours.
const UNKNOWN: u64 = 20;
/// Subqueries in conditions and values that stand in one another: planners walk each twice as often as the one around.
const NESTED: usize = 8;
/// Columns of all CUBEs together: each doubles the groups.
const CUBED: usize = 10;

/// How many columns tables have, by `zone.name`.
pub(crate) type Widths = BTreeMap<String, u64>;

/// Refuses a parsed statement that a planner would write out to many times its size.
///
/// # Errors
/// Says what grows and what to do.
pub(crate) fn expanded(statement: &Statement, widths: &Widths) -> Result<(), Problem> {
    match statement {
        Statement::Statement(inner) => match inner.visit(&mut Expansion::new(widths)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(problem) => Err(problem),
        },
        Statement::Explain(explain) => expanded(&explain.statement, widths),
        _ => Ok(()),
    }
}

/// Counts relations with each common table expression written out where it is named.
struct Expansion<'a> {
    widths: &'a Widths,
    queries: Vec<Open>,
    /// Columns of what each SELECT that is being walked reads from.
    selects: Vec<u64>,
    nested: usize,
    cubed: usize,
}

/// What a query comes to when it is written out.
#[derive(Clone, Copy, Default)]
struct Size {
    relations: u64,
    /// Columns that it answers with, at most.
    columns: u64,
    /// Columns that all its steps carry.
    carried: u64,
}

/// A query that is being walked.
#[derive(Default)]
struct Open {
    size: Size,
    /// Its common table expressions: those still to be walked, in order, and the sizes of those that were.
    ahead: VecDeque<String>,
    known: BTreeMap<String, Size>,
}

impl<'a> Expansion<'a> {
    fn new(widths: &'a Widths) -> Self {
        Self { widths, queries: Vec::new(), selects: Vec::new(), nested: 0, cubed: 0 }
    }

    /// The size of what a FROM names.
    fn named(&self, table: &ast::ObjectName) -> Size {
        let parts: Vec<String> = table.0.iter().filter_map(|part| part.as_ident().map(name)).collect();
        let known =
            |only: &String| self.queries.iter().rev().find_map(|query| query.known.get(only).copied());
        let full = match parts.as_slice() {
            [only] => match known(only) {
                Some(size) => return size,
                None => format!("mart.{only}"),
            },
            [.., zone, table] => format!("{zone}.{table}"),
            [] => String::new(),
        };
        Size { relations: 1, columns: self.widths.get(&full).copied().unwrap_or(UNKNOWN), carried: 0 }
    }

    /// Adds what the SELECT that is being walked reads from.
    fn reads(&mut self, size: Size) {
        let joined = self.selects.last_mut().map_or(0, |from| {
            *from = from.saturating_add(size.columns);
            *from
        });
        if let Some(query) = self.queries.last_mut() {
            query.size.relations = query.size.relations.saturating_add(size.relations);
            query.size.carried = query.size.carried.saturating_add(size.carried).saturating_add(joined);
        }
    }
}

fn too_many(message: String, hint: &str) -> ControlFlow<Problem> {
    ControlFlow::Break(Problem::new(message).hint(hint))
}

fn is_subquery(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. })
}

impl Visitor for Expansion<'_> {
    type Break = Problem;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Problem> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| name(&cte.alias.name));
        self.queries.push(Open { ahead: names.collect(), ..Open::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<Problem> {
        let Some(closed) = self.queries.pop() else { return ControlFlow::Continue(()) };
        let size = Size { relations: closed.size.relations.max(1), ..closed.size };
        match self.queries.last_mut().map(|around| (around.ahead.pop_front(), around)) {
            Some((Some(name), around)) => drop(around.known.insert(name, size)),
            _ => self.reads(size),
        }
        if size.relations > RELATIONS {
            return too_many(
                format!("the SQL reads more than {RELATIONS} tables once its WITH parts are written out"),
                "build the parts as models, so that each is computed once",
            );
        }
        if size.carried > CARRIED {
            return too_many(
                format!("the steps of the SQL carry more than {CARRIED} columns together"),
                "name the columns that are used where a wide table is read, instead of *",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, _: &ast::Select) -> ControlFlow<Problem> {
        self.selects.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Problem> {
        let from = self.selects.pop().unwrap_or_default();
        let all = |item: &ast::SelectItem| {
            matches!(item, ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..))
        };
        let stars = select.projection.iter().filter(|item| all(item)).count() as u64;
        let columns = from.saturating_mul(stars).saturating_add(select.projection.len() as u64);
        // Each column of a SELECT is looked for among all that it reads.
        let looked = columns.saturating_mul(from) / LOOKS;
        if let Some(query) = self.queries.last_mut() {
            query.size.columns = query.size.columns.max(columns);
            query.size.carried = query.size.carried.saturating_add(columns).saturating_add(looked);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<Problem> {
        if let ast::TableFactor::Table { name, .. } = factor {
            let size = self.named(name);
            self.reads(size);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Problem> {
        if let ast::Expr::Cube(columns) = expr {
            self.cubed += columns.len();
        }
        if self.cubed > CUBED {
            return too_many(
                format!("CUBE over more than {CUBED} columns makes too many groups"),
                "name the groups that are wanted with GROUPING SETS",
            );
        }
        self.nested += usize::from(is_subquery(expr));
        if self.nested > NESTED {
            return too_many(
                format!("subqueries stand in one another more than {NESTED} deep"),
                "join their tables, or name the inner ones with WITH",
            );
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Problem> {
        self.nested -= usize::from(is_subquery(expr));
        ControlFlow::Continue(())
    }
}

fn name(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
