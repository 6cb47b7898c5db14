//! The one read door. Every query of a person, a tile, a rule or an export runs in a [`Session`] made for a principal:
//! only the zones that the principal may read exist in it, only reading statements pass, memory and time are
//! bounded, it can be cancelled, and it leaves a row in `system.queries`.

mod answer;
pub(crate) mod audit;
pub(crate) mod budget;
mod catalogue;
mod charging;
mod escape;
pub(crate) mod functions;
pub(crate) mod gate;
mod not_in;
mod running;
mod share;
#[cfg(test)]
mod tests;
mod workers;
mod yielding;

use std::sync::Arc;

use access::{Permission, Principal, decide};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use store::nearest;

pub use answer::{Answer, row_bytes};
pub(crate) use catalogue::open;
pub(crate) use running::Registry;
use running::{Class, Running};
pub(crate) use workers::{Workers, caught};

use crate::bounds::{Widths, expanded, inlined, on_large_stack};
use crate::catalog::TableInfo;
use crate::error::{Error, Result};
use crate::lineage::{name_of, one_statement, tables_of, too_much};
use crate::metric::{self, MetricAnswer, MetricQuery};
use crate::table::{TableName, Zone};
use crate::warehouse::Warehouse;
use crate::words::distinct_names;

/// Reading as one principal. Cheap to make and to clone.
#[derive(Clone, Debug)]
pub struct Session {
    warehouse: Warehouse,
    who: Principal,
    class: Class,
    /// Set inside [`Session::metric`]: a metric's SQL is the house's own, so its reader need not hold RunSql.
    measuring: bool,
}

impl Session {
    pub(crate) fn new(warehouse: Warehouse, who: &Principal) -> Self {
        let class = if who.user == Principal::system().user { Class::House } else { Class::Person };
        Self { warehouse, who: who.clone(), class, measuring: false }
    }

    /// The same for what a page asks in its reader's name: it has turns of its own and does not appear in the
    /// reader's history.
    pub fn for_page(self) -> Self {
        let class = if self.class == Class::Person { Class::Page } else { self.class };
        Self { class, ..self }
    }

    pub fn who(&self) -> &Principal {
        &self.who
    }

    pub(crate) fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    /// Runs one reading statement. Rows stream; dropping the answer cancels the query.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::NotFound`] (with a suggestion), [`Error::Sql`] (with line and column where known),
    /// [`Error::Timeout`], [`Error::Exhausted`]; the same kinds may come out of the stream.
    pub async fn sql(&self, sql: &str) -> Result<Answer> {
        self.require_sql()?;
        let id = store::new_id(self.warehouse.clock().as_ref());
        let record = audit::Record::new(&id, &self.who, self.class, sql, self.warehouse.clock().now());
        let running = Running::new(self.class, record, self.warehouse.settings().timeout);
        answer::begin(self, self.warehouse.running().begin(running), sql).await
    }

    /// Answers a question about one number.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown metric, [`Error::Invalid`] for a question that does not fit it, and what
    /// [`Session::sql`] reports.
    pub async fn metric(&self, ask: &MetricQuery) -> Result<MetricAnswer> {
        metric::answer(&Self { measuring: true, ..self.clone().for_page() }, ask).await
    }

    /// Plans without running: the columns that the statement would answer with.
    pub async fn check(&self, sql: &str) -> Result<SchemaRef> {
        self.require_sql()?;
        let (session, sql) = (self.clone(), sql.to_owned());
        let planning = async move {
            let context = open(&session.warehouse, &session.zones(), None, None);
            let plan = session.plan(&context, &sql).await?;
            Ok(Arc::new(Schema::new(plan.schema().fields().clone())))
        };
        self.warehouse.workers().run(self.class, planning).await
    }

    /// The tables that this principal may read.
    pub async fn catalogue(&self) -> Result<Vec<TableInfo>> {
        self.require(Permission::ReadTables, "see the catalogue")?;
        let zones = self.zones();
        Ok(self.warehouse.tables().await.into_iter().filter(|t| zones.contains(&t.name.zone)).collect())
    }

    fn require_sql(&self) -> Result<()> {
        if self.measuring { Ok(()) } else { self.require(Permission::RunSql, "run SQL") }
    }

    pub(crate) fn require(&self, what: Permission, words: &str) -> Result<()> {
        if decide(&self.who, what) {
            return Ok(());
        }
        Err(Error::refused(
            format!("{} may not {words}", self.who.display),
            "ask an administrator for a role that may",
        ))
    }

    fn zones(&self) -> Vec<Zone> {
        access::zones(&self.who).into_iter().filter_map(|z| z.parse().ok()).collect()
    }

    fn context(&self, query: &Arc<Running>) -> SessionContext {
        // When many run, each takes fewer threads.
        let settings = self.warehouse.settings();
        let cores = settings
            .partitions
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get));
        let busy = self.warehouse.running().busy().max(1);
        let partitions = match query.class {
            Class::Person if busy > 1 => Some((cores / busy).max(1)),
            _ => None,
        };
        open(&self.warehouse, &self.zones(), partitions, Some(query))
    }

    fn all(&self) -> bool {
        decide(&self.who, Permission::ManageAccess)
    }

    async fn plan(&self, context: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        let statement = one_statement(sql)?;
        gate::admit(&statement, self.all())?;
        let widths = self.known(&statement).await?;
        on_large_stack(|| expanded(&statement, &widths)).map_err(too_much)?;
        let plan = match context.state().statement_to_plan(statement).await {
            // Other databases answer with two columns of one name; ours get a number.
            Err(error) if error.strip_backtrace().contains("require unique expression names") => {
                let mut statement = one_statement(sql)?;
                distinct_names(&mut statement);
                context.state().statement_to_plan(statement).await?
            }
            planned => planned?,
        };
        let reading =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan)?;
        on_large_stack(|| inlined(&plan)).map_err(too_much)?;
        Ok(plan)
    }

    /// How many columns each table of the statement has, all of which exist for this principal; otherwise says which
    /// one was perhaps meant. A table that exists but may not be read is "not found" too.
    async fn known(&self, statement: &Statement) -> Result<Widths> {
        let mut widths = Widths::new();
        let zones = self.zones();
        // SHOW names all of the information schema by itself.
        let shows = matches!(
            statement,
            Statement::Statement(inner)
                if matches!(**inner, ast::Statement::ShowColumns { .. } | ast::Statement::ShowTables { .. })
        );
        for reference in tables_of(statement)? {
            let Some(name) = name_of(&reference).map_err(|e| self.suggest(&reference, e))? else {
                // The information schema finds its tables however their names are written.
                if reference.table().eq_ignore_ascii_case("df_settings") && !self.all() && !shows {
                    return Err(Error::NotFound { what: format!("table {reference}"), hint: None });
                }
                continue;
            };
            let snapshot = match zones.contains(&name.zone) && !self.warehouse.is_system(&name) {
                true => self.warehouse.snapshot(&name).await?,
                false => None,
            };
            if let Some(snapshot) = &snapshot {
                widths.insert(name.to_string(), snapshot.schema.fields().len() as u64);
            }
            let system = zones.contains(&name.zone) && self.warehouse.is_system(&name);
            if snapshot.is_none() && !system {
                let missing = Error::NotFound { what: format!("table {name}"), hint: None };
                return Err(self.suggest(&reference, missing));
            }
        }
        Ok(widths)
    }

    fn suggest(&self, reference: &TableReference, error: Error) -> Error {
        let Error::NotFound { what, hint: None } = error else { return error };
        let zones = self.zones();
        let names: Vec<TableName> =
            self.warehouse.names().into_iter().filter(|n| zones.contains(&n.zone)).collect();
        let wanted = match reference.schema() {
            Some(schema) => format!("{schema}.{}", reference.table()),
            None => format!("mart.{}", reference.table()),
        };
        // The same name in another zone is the likelier mistake than a similar one in this.
        let elsewhere = names.iter().find(|n| n.name == reference.table()).map(ToString::to_string);
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        let near =
            elsewhere.or_else(|| nearest(&wanted, texts.iter().map(String::as_str)).map(str::to_owned));
        Error::NotFound { what, hint: near.map(|n| format!("did you mean {n}?")) }
    }
}
