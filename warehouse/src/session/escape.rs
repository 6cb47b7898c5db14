//! `LIKE … ESCAPE`: the engine knows the backslash only, so a pattern with another sign is written with it.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, ScalarValue, plan_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Like, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

#[derive(Debug)]
pub(crate) struct Escapes;

impl AnalyzerRule for Escapes {
    fn name(&self) -> &str {
        "like_escape"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        plan.transform_down_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let foreign = |part: &Expr| {
                    matches!(part, Expr::Like(Like { escape_char: Some(sign), .. }) if *sign != '\\')
                };
                if !expr.exists(|part| Ok(foreign(part)))? {
                    return Ok(Transformed::no(expr));
                }
                let name = names.save(&expr);
                let written = expr.transform_up(|part| match part {
                    Expr::Like(like) if like.escape_char.is_some_and(|sign| sign != '\\') => {
                        backslashed(like).map(|like| Transformed::yes(Expr::Like(like)))
                    }
                    part => Ok(Transformed::no(part)),
                })?;
                Ok(written.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|done| done.data)
    }
}

fn backslashed(like: Like) -> DfResult<Like> {
    let Expr::Literal(value, metadata) = like.pattern.as_ref() else {
        return plan_err!(
            "LIKE … ESCAPE needs a pattern that is written out; escape with a backslash instead"
        );
    };
    let Some(Some(text)) = value.try_as_str() else { return Ok(Like { escape_char: None, ..like }) };
    let mut pattern = String::with_capacity(text.len() + 4);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == like.escape_char => {
                pattern.push('\\');
                match chars.next() {
                    Some(next) => pattern.push(next),
                    None => return plan_err!("the pattern of LIKE ends in its ESCAPE sign"),
                }
            }
            '\\' => pattern.push_str("\\\\"),
            c => pattern.push(c),
        }
    }
    let value = match value {
        ScalarValue::LargeUtf8(_) => ScalarValue::LargeUtf8(Some(pattern)),
        ScalarValue::Utf8View(_) => ScalarValue::Utf8View(Some(pattern)),
        _ => ScalarValue::Utf8(Some(pattern)),
    };
    let pattern = Box::new(Expr::Literal(value, metadata.clone()));
    Ok(Like { escape_char: None, pattern, ..like })
}
