//! Which statements may pass: an allow-list on the parsed tree. What is not named here is refused.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};

use crate::error::{Error, Result};

const HELP: &str = "write a SELECT; EXPLAIN, DESCRIBE and SHOW TABLES/COLUMNS are allowed too";

/// `all`: the reader may see run-time figures (EXPLAIN ANALYZE shows row counts from before filters).
pub(crate) fn admit(statement: &Statement, all: bool) -> Result<()> {
    match statement {
        Statement::Statement(inner) => admit_sql(inner, all),
        Statement::Explain(explain) => {
            // The options are private here and there between versions; their text is not.
            let text = explain.to_string().to_ascii_uppercase();
            let head: &str = text.split("SELECT").next().unwrap_or("");
            if !all && (head.contains("ANALYZE") || head.contains("VERBOSE")) {
                return Err(Error::refused(
                    "EXPLAIN ANALYZE and VERBOSE are for administrators",
                    "use plain EXPLAIN",
                ));
            }
            match explain.statement.as_ref() {
                Statement::Statement(inner) if matches!(inner.as_ref(), ast::Statement::Query(_)) => {
                    admit_sql(inner, all)
                }
                _ => Err(refused("EXPLAIN of this statement")),
            }
        }
        Statement::CreateExternalTable(_) => Err(refused("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(refused("COPY")),
        Statement::Reset(_) => Err(refused("RESET")),
    }
}

fn admit_sql(statement: &ast::Statement, all: bool) -> Result<()> {
    match statement {
        ast::Statement::Query(_) => {
            let mut search = OnlyReads { depth: 0 };
            match statement.visit(&mut search) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(what) => Err(refused(&what)),
            }
        }
        ast::Statement::Explain { analyze, verbose, statement, .. } => {
            if !all && (*analyze || *verbose) {
                return Err(Error::refused(
                    "EXPLAIN ANALYZE and VERBOSE are for administrators",
                    "use plain EXPLAIN",
                ));
            }
            match statement.as_ref() {
                ast::Statement::Query(_) => admit_sql(statement, all),
                _ => Err(refused("EXPLAIN of this statement")),
            }
        }
        ast::Statement::ExplainTable { .. }
        | ast::Statement::ShowTables { .. }
        | ast::Statement::ShowColumns { .. } => Ok(()),
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            Err(refused(&words.join(" ")))
        }
    }
}

fn refused(what: &str) -> Error {
    Error::refused(format!("{what} is not allowed: this door only reads"), HELP)
}

/// Inside a query: no statement that writes, no SELECT INTO.
struct OnlyReads {
    depth: usize,
}

impl Visitor for OnlyReads {
    type Break = String;

    fn pre_visit_statement(&mut self, statement: &ast::Statement) -> ControlFlow<String> {
        self.depth += 1;
        // The outermost is the query itself; a second one is INSERT, UPDATE, DELETE … used as a set expression.
        if self.depth > 1 {
            let text = statement.to_string();
            return ControlFlow::Break(text.split_whitespace().next().unwrap_or("this").to_owned());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<String> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("SELECT … FOR UPDATE".into());
        }
        body(&query.body)
    }
}

fn body(set: &ast::SetExpr) -> ControlFlow<String> {
    match set {
        ast::SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("SELECT INTO".into()),
        // Queries inside are visited by themselves.
        ast::SetExpr::Select(_)
        | ast::SetExpr::Query(_)
        | ast::SetExpr::Values(_)
        | ast::SetExpr::Table(_) => ControlFlow::Continue(()),
        ast::SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        _ => ControlFlow::Break("a statement that writes".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::one_statement;

    fn passes(sql: &str, all: bool) -> bool {
        one_statement(sql).and_then(|s| admit(&s, all)).is_ok()
    }

    #[test]
    fn reading_passes() {
        for sql in [
            "select 1",
            "with a as (select 1) select * from a union all values (2)",
            "explain select 1",
            "describe mart.orders",
            "show tables",
            "show columns from mart.orders",
            "select 1;",
            "(select 1) intersect (select 2)",
            "select * from generate_series(1, 3)",
        ] {
            assert!(passes(sql, false), "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "create table x (a int)",
            "create external table x stored as csv location '/etc/passwd'",
            "create view v as select 1",
            "create function f() returns int return 1",
            "drop table mart.orders",
            "insert into mart.x values (1)",
            "update mart.x set a = 1",
            "delete from mart.x",
            "merge into a using b on a.x = b.x when matched then delete",
            "truncate table mart.x",
            "copy (select 1) to '/tmp/x.csv'",
            "copy mart.x to '/tmp/x.parquet'",
            "set datafusion.execution.batch_size = 1",
            "reset datafusion.execution.batch_size",
            "prepare p as select 1",
            "execute p",
            "deallocate p",
            "begin",
            "commit",
            "select 1; select 2",
            "select 1; drop table mart.x",
            "select * into x from mart.orders",
            "with a as (insert into x select 1 returning *) select * from a",
            "explain insert into x select 1",
            "explain copy (select 1) to '/tmp/x'",
            "show all",
            "use mart",
            "grant select on x to y",
            "call p()",
            "attach 'x' as y",
            "load 'x'",
            "vacuum",
            "analyze table x",
            "select 1 for update",
            "",
        ] {
            assert!(!passes(sql, true), "{sql}");
        }
    }

    #[test]
    fn run_time_figures_are_for_administrators() {
        for sql in ["explain analyze select 1", "explain verbose select 1", "explain (analyze) select 1"] {
            assert!(!passes(sql, false), "{sql}");
        }
        assert!(passes("explain analyze select 1", true));
    }
}
