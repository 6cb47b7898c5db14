//! Plans whose conditions an optimizer would write out to many times their size: it moves a condition to where rows are
//! read, and puts for each column what that column is computed from.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use store::Problem;

/// Terms of all conditions, keys and arguments of a plan, with every column written out down to the columns of tables.
/// A plan of so many is optimised in 2 s by a debug build.
const TERMS: u64 = 100_000;

/// Refuses a plan whose conditions, sort keys, join keys or arguments of aggregates are too large once the columns they
/// name are written out. `a1 as (select a * a as a from a0), a2 as (select a * a as a from a1), …` doubles with each
/// part. To be asked before the plan is optimised.
///
/// # Errors
/// Says what grows and what to do.
pub(crate) fn inlined(plan: &LogicalPlan) -> Result<(), Problem> {
    let mut terms = Terms::default();
    terms.of(plan);
    if terms.total <= TERMS {
        return Ok(());
    }
    Err(Problem::new(format!(
        "the conditions of the SQL have more than {TERMS} terms once the columns they use are written out"
    ))
    .hint("build the parts that use a column several times as models, so that each is computed once"))
}

/// How many terms each column of a plan has when it is written out.
#[derive(Debug)]
struct Columns {
    schema: DFSchemaRef,
    terms: Vec<u64>,
}

impl Columns {
    fn find(&self, column: &Column) -> Option<u64> {
        // Most columns are those of tables, and names are looked for one by one.
        if self.terms.iter().all(|terms| *terms == 1) {
            return None;
        }
        self.terms.get(self.schema.maybe_index_of_column(column)?).copied()
    }
}

#[derive(Debug, Default)]
struct Terms {
    total: u64,
    /// What stands around the subquery that is walked.
    around: Vec<Columns>,
}

impl Terms {
    fn of(&mut self, plan: &LogicalPlan) -> Columns {
        let mut inputs: Vec<Columns> = plan.inputs().into_iter().map(|input| self.of(input)).collect();
        let computed = |terms: &mut Self, exprs: &[Expr], inputs: &mut Vec<Columns>| -> Vec<u64> {
            exprs.iter().map(|expr| terms.written(expr, inputs)).collect()
        };
        let mut terms: Vec<u64> = match plan {
            LogicalPlan::Projection(projection) => computed(self, &projection.expr, &mut inputs),
            LogicalPlan::Distinct(Distinct::On(on)) => {
                self.moved(&on.on_expr, &mut inputs);
                computed(self, &on.select_expr, &mut inputs)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let mut groups = computed(self, &aggregate.group_expr, &mut inputs);
                self.moved(&aggregate.aggr_expr, &mut inputs);
                // Groups may be of several expressions each (CUBE); a column of them is not larger than all.
                let widest = groups.iter().copied().fold(1, u64::saturating_add);
                let columns = plan.schema().fields().len() - aggregate.aggr_expr.len();
                if groups.len() != columns {
                    groups = vec![widest; columns];
                }
                groups
            }
            LogicalPlan::Union(_) => {
                let columns = plan.schema().fields().len();
                // A condition on a union is written out for each of its parts.
                let sum = |at: usize| {
                    let parts = inputs.iter().filter_map(|input| input.terms.get(at).copied());
                    parts.fold(0, u64::saturating_add)
                };
                (0..columns).map(sum).collect()
            }
            LogicalPlan::Unnest(unnest) => {
                let input = inputs.first().map(|input| input.terms.as_slice()).unwrap_or_default();
                unnest.dependency_indices.iter().map(|at| input.get(*at).copied().unwrap_or(1)).collect()
            }
            LogicalPlan::Join(join) => {
                self.moved(&plan.expressions(), &mut inputs);
                let part = |at: usize| inputs.get(at).map(|i: &Columns| i.terms.clone()).unwrap_or_default();
                match join.join_type {
                    JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => part(1),
                    JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => part(0),
                    _ => [part(0), part(1)].concat(),
                }
            }
            LogicalPlan::RecursiveQuery(_) | LogicalPlan::Values(_) | LogicalPlan::TableScan(_) => Vec::new(),
            // The others hand their rows on, perhaps with columns of their own behind.
            _ => {
                self.moved(&plan.expressions(), &mut inputs);
                inputs.first().map(|input| input.terms.clone()).unwrap_or_default()
            }
        };
        terms.resize(plan.schema().fields().len(), 1);
        Columns { schema: plan.schema().clone(), terms }
    }

    /// Counts expressions that may be moved down through the columns they name.
    fn moved(&mut self, exprs: &[Expr], inputs: &mut Vec<Columns>) {
        for expr in exprs {
            let terms = self.written(expr, inputs);
            self.total = self.total.saturating_add(terms);
        }
    }

    /// Terms of an expression whose columns are written out; a subquery has those of the column that it answers with.
    fn written(&mut self, expr: &Expr, inputs: &mut Vec<Columns>) -> u64 {
        let mut terms = 0u64;
        let walked = expr.apply(|part| {
            let more = match part {
                Expr::Column(column) => inputs.iter().find_map(|input| input.find(column)),
                Expr::OuterReferenceColumn(_, column) => {
                    self.around.iter().rev().find_map(|input| input.find(column))
                }
                Expr::ScalarSubquery(inner) => self.within(&inner.subquery, inputs),
                Expr::Exists(exists) => self.within(&exists.subquery.subquery, inputs).map(|_| 1),
                Expr::InSubquery(inner) => self.within(&inner.subquery.subquery, inputs),
                Expr::SetComparison(inner) => self.within(&inner.subquery.subquery, inputs),
                _ => None,
            };
            terms = terms.saturating_add(more.unwrap_or(1));
            Ok(TreeNodeRecursion::Continue)
        });
        drop(walked);
        terms
    }

    /// Walks a subquery, for which `inputs` stand around it.
    fn within(&mut self, plan: &LogicalPlan, inputs: &mut Vec<Columns>) -> Option<u64> {
        let (depth, outer) = (self.around.len(), inputs.len());
        self.around.append(inputs);
        let answer = self.of(plan).terms.first().copied();
        inputs.extend(self.around.drain(depth..depth + outer));
        answer
    }
}
