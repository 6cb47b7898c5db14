//! `NOT IN (SELECT …)` as SQL means it. The engine answers several of its forms as if no value were missing; they are
//! written as `EXISTS`, which it answers rightly, and what cannot be written so is refused.
//!
//! In a WHERE only "true" keeps a row, so below AND and OR "unknown" may be read as "false", and below a NOT as "true".

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result as DfResult, plan_err};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, exists, lit,
    not_exists, scalar_subquery,
};
use datafusion::optimizer::AnalyzerRule;

/// Runs after types are settled.
#[derive(Debug)]
pub(crate) struct NotIn;

impl AnalyzerRule for NotIn {
    fn name(&self) -> &str {
        "not_in"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        plan.transform_down_with_subqueries(|plan| {
            let LogicalPlan::Filter(mut filter) = plan else {
                // Elsewhere the engine refuses, or knows no missing value.
                return Ok(Transformed::no(plan));
            };
            if !filter.predicate.exists(|part| Ok(matches!(part, Expr::InSubquery(_))))? {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            }
            let schema = filter.input.schema().clone();
            let predicate = std::mem::replace(&mut filter.predicate, lit(true));
            filter.predicate = written(predicate, Unknown::IsFalse, true, &schema)?;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        })
        .map(|done| done.data)
    }
}

/// What a missing answer counts as in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    IsFalse,
    IsTrue,
}

/// `top`: a part of the outermost AND, where the engine looks for missing values itself.
fn written(expr: Expr, unknown: Unknown, top: bool, schema: &DFSchema) -> DfResult<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let top = top && op == Operator::And;
            Ok(Expr::BinaryExpr(BinaryExpr {
                left: Box::new(written(*left, unknown, top, schema)?),
                op,
                right: Box::new(written(*right, unknown, top, schema)?),
            }))
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => written(
                Expr::InSubquery(InSubquery { expr, subquery, negated: !negated }),
                unknown,
                top,
                schema,
            ),
            inner => {
                let turned = if unknown == Unknown::IsFalse { Unknown::IsTrue } else { Unknown::IsFalse };
                Ok(Expr::Not(Box::new(written(inner, turned, false, schema)?)))
            }
        },
        Expr::InSubquery(search) => {
            // The engine says "not found" of a value that is missing: right where that is what unknown counts as.
            let right = search.negated == (unknown == Unknown::IsTrue);
            if right || !may_be_missing(&search, schema)? {
                return Ok(Expr::InSubquery(search));
            }
            let plain = matches!(search.expr.as_ref(), Expr::Column(_));
            if top && plain && search.subquery.outer_ref_columns.is_empty() {
                return Ok(Expr::InSubquery(search));
            }
            as_exists(search, schema)
        }
        other => {
            let inside = other.exists(|part| match part {
                Expr::InSubquery(search) => may_be_missing(search, schema),
                _ => Ok(false),
            })?;
            if inside {
                return plan_err!(
                    "IN (SELECT …) inside another expression is not answered rightly where values are missing; write \
                     EXISTS (SELECT … WHERE …), or filter by it in WHERE"
                );
            }
            Ok(other)
        }
    }
}

fn may_be_missing(search: &InSubquery, schema: &DFSchema) -> DfResult<bool> {
    let values = search.subquery.subquery.schema();
    Ok(search.expr.nullable(schema)? || values.fields().first().is_none_or(|field| field.is_nullable()))
}

/// `x NOT IN (SELECT y …)` is true when no row has `y = x`, none has a missing `y`, and `x` is there or no row is.
fn as_exists(search: InSubquery, schema: &DFSchema) -> DfResult<Expr> {
    let InSubquery { expr, subquery, negated } = search;
    let Subquery { subquery: plan, outer_ref_columns, .. } = subquery;
    let deeper =
        expr.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..)) || part.is_volatile_node()))?;
    if deeper {
        return plan_err!(
            "NOT IN (SELECT …) cannot be answered for this value; write NOT EXISTS (SELECT … WHERE …) instead"
        );
    }
    let (qualifier, field) = plan.schema().qualified_field(0);
    let value = Expr::Column(Column::from((qualifier, field)));
    let outside = expr.as_ref().clone().transform(|part| match part {
        Expr::Column(column) => {
            let field = schema.field_from_column(&column)?.clone();
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        part => Ok(Transformed::no(part)),
    })?;
    let (outside, constant) = (outside.data, !outside.transformed);
    let equal = outside.clone().eq(value.clone());
    let found = |plan: LogicalPlan| {
        let plan = Arc::new(plan);
        if negated { not_exists(plan) } else { exists(plan) }
    };
    let whole = || LogicalPlanBuilder::from(plan.as_ref().clone());
    if !outer_ref_columns.is_empty() {
        let unknown = equal.or(value.is_null()).or(outside.is_null());
        return Ok(found(whole().filter(unknown)?.build()?));
    }
    // Parts that need no row of the outside are looked at once, by their first row.
    let first = |rows: LogicalPlanBuilder| -> DfResult<Expr> {
        let rows = rows.limit(0, Some(1))?.aggregate(Vec::<Expr>::new(), vec![count(lit(1i64))])?.build()?;
        let rows = scalar_subquery(Arc::new(rows));
        Ok(if negated { rows.eq(lit(0i64)) } else { rows.gt(lit(0i64)) })
    };
    let matches = whole().filter(equal)?;
    let matches = if constant { first(matches)? } else { found(matches.build()?) };
    let missing = first(whole().filter(value.is_null())?)?;
    let any = first(whole())?;
    Ok(if negated {
        matches.and(missing).and(expr.is_not_null().or(any))
    } else {
        matches.or(missing).or(expr.is_null().and(any))
    })
}
