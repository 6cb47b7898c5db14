//! Functions that are another way to write an expression: `if`, `decode`, `mod`, … Only the branch that is taken is
//! computed, as in the databases that they come from.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as DfResult, ScalarValue, plan_err};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::{
    BinaryTypeCoercer, comparison_coercion, type_union_resolution,
};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, lit,
};

pub(super) fn functions(decode: Option<Arc<ScalarUDF>>) -> Vec<ScalarUDF> {
    let make = |name, aliases: &[&str], form, inner: Option<Arc<ScalarUDF>>| {
        ScalarUDF::new_from_impl(Rewritten {
            name,
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            form,
            signature: Signature::user_defined(Volatility::Immutable),
            inner,
        })
    };
    vec![
        make("if", &["iif"], Form::If, None),
        make("decode", &[], Form::Decode, decode),
        make("mod", &[], Form::Mod, None),
        make("isnull", &[], Form::IsNull, None),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// if(condition, then, else)
    If,
    /// decode(value, key, then, …, else)
    Decode,
    /// mod(a, b)
    Mod,
    /// isnull(value), or isnull(value, instead)
    IsNull,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rewritten {
    name: &'static str,
    aliases: Vec<String>,
    form: Form,
    signature: Signature,
    /// What the engine calls so: `decode(bytes, 'hex')`.
    inner: Option<Arc<ScalarUDF>>,
}

impl Rewritten {
    fn engines(&self, args: usize) -> Option<&Arc<ScalarUDF>> {
        self.inner.as_ref().filter(|_| args < 3)
    }
}

fn union(kinds: &[DataType]) -> DfResult<DataType> {
    match type_union_resolution(kinds) {
        Some(kind) => Ok(kind),
        None => plan_err!("the results have no type in common; cast them to one"),
    }
}

impl ScalarUDFImpl for Rewritten {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        if let Some(inner) = self.engines(args.len()) {
            let fields = super::fields(args);
            let coerced =
                datafusion::logical_expr::type_coercion::functions::fields_with_udf(&fields, inner.as_ref())?;
            return Ok(coerced.iter().map(|field| field.data_type().clone()).collect());
        }
        match (self.form, args) {
            (Form::If, [_, then, otherwise]) => {
                let kind = union(&[then.clone(), otherwise.clone()])?;
                Ok(vec![DataType::Boolean, kind.clone(), kind])
            }
            (Form::If, [_, then]) => Ok(vec![DataType::Boolean, then.clone()]),
            (Form::Decode, [value, rest @ ..]) if rest.len() >= 2 => {
                let pairs = rest.len() / 2;
                let mut results: Vec<DataType> = (0..pairs).map(|n| rest[2 * n + 1].clone()).collect();
                if rest.len() % 2 == 1 {
                    results.extend(rest.last().cloned());
                }
                let result = union(&results)?;
                let mut key = value.clone();
                for n in 0..pairs {
                    match comparison_coercion(&key, &rest[2 * n]) {
                        Some(both) => key = both,
                        None => return plan_err!("decode cannot compare {key} with {}", rest[2 * n]),
                    }
                }
                let place = |n: usize| {
                    if n.is_multiple_of(2) && n < 2 * pairs { key.clone() } else { result.clone() }
                };
                Ok(std::iter::once(key.clone()).chain((0..rest.len()).map(place)).collect())
            }
            (Form::Mod, [a, b]) => {
                let (a, b) = BinaryTypeCoercer::new(a, &Operator::Modulo, b).get_input_types()?;
                Ok(vec![a, b])
            }
            (Form::IsNull, [value]) => Ok(vec![value.clone()]),
            (Form::IsNull, [value, instead]) => {
                let kind = union(&[value.clone(), instead.clone()])?;
                Ok(vec![kind.clone(), kind])
            }
            (Form::If, _) => plan_err!("if: write if(condition, then, else)"),
            (Form::Decode, _) => plan_err!("decode: write decode(value, key, then, …, else)"),
            (Form::Mod, _) => plan_err!("mod: write mod(a, b)"),
            (Form::IsNull, _) => plan_err!("isnull: write isnull(value) or isnull(value, instead)"),
        }
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        if let Some(inner) = self.engines(args.len()) {
            return inner.return_type(args);
        }
        match (self.form, args) {
            (Form::If, [_, then, ..]) => Ok(then.clone()),
            (Form::Decode, [_, _, result, ..]) => Ok(result.clone()),
            (Form::Mod, [a, b]) => BinaryTypeCoercer::new(a, &Operator::Modulo, b).get_result_type(),
            (Form::IsNull, [_]) => Ok(DataType::Boolean),
            (Form::IsNull, [value, ..]) => Ok(value.clone()),
            _ => plan_err!("{} lacks arguments", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        if let Some(inner) = self.engines(args.arg_fields.len()) {
            return inner.return_field_from_args(args);
        }
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let missing = |n: usize| args.arg_fields.get(n).is_none_or(|field| field.is_nullable());
        let nullable = match self.form {
            Form::If => missing(1) || missing(2),
            Form::Decode => true,
            Form::Mod => missing(0) || missing(1),
            Form::IsNull => kinds.len() > 1 && missing(1),
        };
        Ok(Arc::new(Field::new(self.name, self.return_type(&kinds)?, nullable)))
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> DfResult<ExprSimplifyResult> {
        if self.engines(args.len()).is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let case = |pairs: Vec<(Expr, Expr)>, otherwise: Option<Expr>| {
            let pairs = pairs.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
            Expr::Case(Case::new(None, pairs, otherwise.map(Box::new)))
        };
        let mut args = args.into_iter();
        let mut next = || args.next().unwrap_or_else(|| lit(ScalarValue::Null));
        let written = match self.form {
            Form::If => {
                let (condition, then) = (next(), next());
                case(vec![(condition, then)], args.next())
            }
            Form::Mod => {
                let (a, b) = (next(), next());
                Expr::BinaryExpr(BinaryExpr { left: Box::new(a), op: Operator::Modulo, right: Box::new(b) })
            }
            Form::IsNull => {
                let value = next();
                match args.next() {
                    None => value.is_null(),
                    Some(instead) => case(vec![(value.clone().is_not_null(), value)], Some(instead)),
                }
            }
            Form::Decode => {
                let value = next();
                let mut pairs = vec![];
                let mut otherwise = None;
                while let Some(key) = args.next() {
                    match args.next() {
                        // Oracle finds a missing value by a missing key.
                        Some(then) => {
                            let same = Expr::BinaryExpr(BinaryExpr {
                                left: Box::new(value.clone()),
                                op: Operator::IsNotDistinctFrom,
                                right: Box::new(key),
                            });
                            pairs.push((same, then));
                        }
                        None => otherwise = Some(key),
                    }
                }
                case(pairs, otherwise)
            }
        };
        Ok(ExprSimplifyResult::Simplified(written))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        match self.engines(args.args.len()) {
            Some(inner) => inner.invoke_with_args(args),
            None => datafusion::common::internal_err!("{} is written as another expression", self.name),
        }
    }
}
