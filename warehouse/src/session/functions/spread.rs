//! Long constants in the rows of a plan. The engine writes a constant out for each row of a batch; one of a few
//! megabytes would fill the memory in a moment, so the long ones pass by a function that looks first.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, plan_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::admission::{admit, check};
use super::sizes::scalar;

/// Constants from this size on are looked at.
const LONG: u64 = 128;

/// Puts the function around long constants; runs when constants are computed.
#[derive(Debug)]
pub(crate) struct LongConstants(Arc<ScalarUDF>);

impl LongConstants {
    pub(crate) fn new() -> Self {
        Self(Arc::new(ScalarUDF::new_from_impl(Spread {
            // Volatile: it must not be computed into a constant again.
            signature: Signature::any(1, Volatility::Volatile),
        })))
    }
}

impl OptimizerRule for LongConstants {
    fn name(&self) -> &str {
        "long_constants"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)) {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            if !expr.exists(|part| Ok(long(part)))? || done(&expr) {
                return Ok(Transformed::no(expr));
            }
            let name = names.save(&expr);
            let spread = expr.transform_down(|part| match part {
                Expr::ScalarFunction(call) if call.func.name() == NAME => {
                    let whole = Expr::ScalarFunction(call);
                    Ok(Transformed::new(whole, false, datafusion::common::tree_node::TreeNodeRecursion::Jump))
                }
                part if long(&part) => Ok(Transformed::new(
                    self.0.call(vec![part]),
                    true,
                    datafusion::common::tree_node::TreeNodeRecursion::Jump,
                )),
                part => Ok(Transformed::no(part)),
            })?;
            Ok(spread.update_data(|expr| name.restore(expr)))
        })
    }
}

/// The same expression was seen before: every long constant stands in the function.
fn done(expr: &Expr) -> bool {
    let (mut constants, mut spread) = (0, 0);
    let _ = expr.apply(|part| {
        constants += usize::from(long(part));
        spread += usize::from(matches!(part, Expr::ScalarFunction(call) if call.func.name() == NAME));
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    constants <= spread
}

fn long(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if scalar(value) > LONG)
}

const NAME: &str = "constant";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Spread {
    signature: Signature,
}

impl ScalarUDFImpl for Spread {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        match args {
            [one] => Ok(one.clone()),
            _ => plan_err!("a constant is one value"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        check(&args.config_options)?;
        if let Some(ColumnarValue::Scalar(value)) = args.args.first() {
            let bytes = scalar(value);
            admit("a constant", bytes, bytes.saturating_mul(args.number_rows as u64))?;
        }
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => plan_err!("a constant is one value"),
        }
    }
}
