//! LIKE and `~` whose patterns come with the rows. The engine reads each pattern anew and looks up only when a whole
//! batch is done, which may take minutes; as functions they go through a batch in slices.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::kernels::comparison::{ilike, like, regexp_is_match};
use datafusion::arrow::compute::{cast, not};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, exec_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::limited::slow;

/// Puts the functions in place of the operators. Runs after types are settled.
#[derive(Debug)]
pub(crate) struct Patterns;

impl AnalyzerRule for Patterns {
    fn name(&self) -> &str {
        "patterns_of_rows"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        plan.transform_down_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                if !expr.exists(|part| Ok(matching(part).is_some()))? {
                    return Ok(Transformed::no(expr));
                }
                let name = names.save(&expr);
                let written = expr.transform_up(|part| match (matching(&part), part) {
                    (Some(matching), Expr::Like(like)) => {
                        Ok(Transformed::yes(matching.call(*like.expr, *like.pattern)))
                    }
                    (Some(matching), Expr::BinaryExpr(BinaryExpr { left, right, .. })) => {
                        Ok(Transformed::yes(matching.call(*left, *right)))
                    }
                    (_, part) => Ok(Transformed::no(part)),
                })?;
                Ok(written.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|done| done.data)
    }
}

/// What an expression matches, if its pattern is no constant.
fn matching(expr: &Expr) -> Option<Matching> {
    let fixed = |pattern: &Expr| matches!(pattern, Expr::Literal(..));
    let new =
        |kind, negated| Some(Matching { kind, negated, signature: Signature::any(2, Volatility::Immutable) });
    match expr {
        Expr::Like(like) if !fixed(&like.pattern) => {
            new(if like.case_insensitive { Kind::Ilike } else { Kind::Like }, like.negated)
        }
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) if !fixed(right) => match op {
            Operator::RegexMatch => new(Kind::Regex, false),
            Operator::RegexIMatch => new(Kind::RegexInsensitive, false),
            Operator::RegexNotMatch => new(Kind::Regex, true),
            Operator::RegexNotIMatch => new(Kind::RegexInsensitive, true),
            Operator::LikeMatch => new(Kind::Like, false),
            Operator::ILikeMatch => new(Kind::Ilike, false),
            Operator::NotLikeMatch => new(Kind::Like, true),
            Operator::NotILikeMatch => new(Kind::Ilike, true),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Like,
    Ilike,
    Regex,
    RegexInsensitive,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Matching {
    kind: Kind,
    negated: bool,
    signature: Signature,
}

impl Matching {
    fn call(self, text: Expr, pattern: Expr) -> Expr {
        slow(Arc::new(ScalarUDF::new_from_impl(self))).call(vec![text, pattern])
    }

    fn matches(&self, texts: &ArrayRef, patterns: &ArrayRef) -> DfResult<BooleanArray> {
        let (texts, patterns) = (cast(texts, &DataType::Utf8)?, cast(patterns, &DataType::Utf8)?);
        let (texts, patterns) = (texts.as_string::<i32>(), patterns.as_string::<i32>());
        let found = match self.kind {
            Kind::Like => like(texts, patterns)?,
            Kind::Ilike => ilike(texts, patterns)?,
            Kind::Regex => regexp_is_match(texts, patterns, None::<&StringArray>)?,
            Kind::RegexInsensitive => {
                regexp_is_match(texts, patterns, Some(&StringArray::from(vec!["i"; texts.len()])))?
            }
        };
        Ok(if self.negated { not(&found)? } else { found })
    }
}

impl ScalarUDFImpl for Matching {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Like => "like",
            Kind::Ilike => "ilike",
            Kind::Regex | Kind::RegexInsensitive => "matches",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [text, pattern] = args.args.as_slice() else {
            return exec_err!("a text is matched with one pattern");
        };
        let (text, pattern) = (text.to_array(args.number_rows)?, pattern.to_array(args.number_rows)?);
        Ok(ColumnarValue::Array(Arc::new(self.matches(&text, &pattern)?)))
    }
}
