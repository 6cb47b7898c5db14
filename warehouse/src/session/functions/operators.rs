//! `+ - *` of whole numbers and `||` of texts as functions of the house: the first err where the engine's own wrap
//! around, the second weigh their result before they make it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::compute::{cast, kernels::numeric};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::admission::{admit, check};
use super::sizes::{bytes, scalar};

/// Plans the operators as functions. Comes after the planners of the engine, which take lists.
#[derive(Debug)]
pub(crate) struct Operators {
    concat: Arc<ScalarUDF>,
}

impl Operators {
    pub(crate) fn new() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { concat: Arc::new(ScalarUDF::new_from_impl(Concat { signature })) }
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DfResult<PlannerResult<RawBinaryExpr>> {
        let op = match expr.op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::StringConcat => Operator::StringConcat,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        if op == Operator::StringConcat {
            let texts = [&left, &right].iter().all(|kind| !kind.is_nested() && !binary(kind));
            if !texts {
                return Ok(PlannerResult::Original(expr));
            }
            return Ok(PlannerResult::Planned(self.joined(expr)));
        }
        if !left.is_integer() || !right.is_integer() {
            return Ok(PlannerResult::Original(expr));
        }
        match BinaryTypeCoercer::new(&left, &op, &right).get_input_types() {
            Ok((left, right)) if left.is_integer() && right.is_integer() => {
                Ok(PlannerResult::Planned(computed(op, expr.left, expr.right)))
            }
            _ => Ok(PlannerResult::Original(expr)),
        }
    }
}

impl Operators {
    /// A row of `||` becomes one call.
    fn joined(&self, expr: RawBinaryExpr) -> Expr {
        let mut parts = match expr.left {
            Expr::ScalarFunction(call) if call.func == self.concat => call.args,
            left => vec![left],
        };
        parts.push(expr.right);
        self.concat.call(parts)
    }
}

/// A row of operators becomes one call that works from left to right: a tree as deep as the row is long would make
/// planning slow.
fn computed(op: Operator, left: Expr, right: Expr) -> Expr {
    let (mut ops, mut args) = match left {
        Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<Checked>() {
            Some(checked) => (checked.ops.clone(), call.args),
            None => (vec![], vec![Expr::ScalarFunction(call)]),
        },
        left => (vec![], vec![left]),
    };
    ops.push(op);
    args.push(right);
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(Checked { ops, signature }).call(args)
}

fn binary(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

/// `a op b op c …` of whole numbers, from left to right.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    ops: Vec<Operator>,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    /// Columns are called as they were with the operators themselves.
    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        let mut name = String::new();
        for (n, arg) in args.iter().enumerate() {
            if let Some(op) = n.checked_sub(1).and_then(|before| self.ops.get(before)) {
                name.push_str(&format!(" {op} "));
            }
            name.push_str(&arg.schema_name().to_string());
        }
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        let [first, rest @ ..] = args else { return plan_err!("+, - and * take two numbers") };
        let mut common = first.clone();
        for (op, kind) in self.ops.iter().zip(rest) {
            let (wider, _) = BinaryTypeCoercer::new(&common, op, kind).get_input_types()?;
            common = wider;
        }
        Ok(vec![common; args.len()])
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(typed(self.name(), self.return_type(&kinds)?, &args))
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        match args.first() {
            Some(kind) => Ok(kind.clone()),
            None => plan_err!("+, - and * take two numbers"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let mut args = args.args.into_iter();
        let Some(mut value) = args.next() else { return plan_err!("+, - and * take two numbers") };
        for (op, next) in self.ops.iter().zip(args) {
            value = match op {
                Operator::Plus => apply(&value, &next, numeric::add)?,
                Operator::Minus => apply(&value, &next, numeric::sub)?,
                _ => apply(&value, &next, numeric::mul)?,
            };
        }
        Ok(value)
    }
}

/// Unknown where a part is.
fn typed(name: &str, kind: DataType, args: &ReturnFieldArgs) -> FieldRef {
    Arc::new(Field::new(name, kind, args.arg_fields.iter().any(|field| field.is_nullable())))
}

fn between(op: &str, args: impl Iterator<Item = String>) -> String {
    args.collect::<Vec<_>>().join(&format!(" {op} "))
}

/// `a || b || …`: nothing is known of a row in which one part is missing.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    signature: Signature,
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &str {
        "concatenated"
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(between("||", args.iter().map(|arg| arg.schema_name().to_string())))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(vec![DataType::Utf8; args.len()])
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        Ok(typed(self.name(), DataType::Utf8, &args))
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        check(&args.config_options)?;
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let mut total = 0u64;
        for arg in &args.args {
            total = total.saturating_add(match arg {
                ColumnarValue::Scalar(value) => scalar(value).saturating_mul(rows as u64),
                ColumnarValue::Array(array) => bytes(array),
            });
        }
        admit("||", total / rows.max(1) as u64, total)?;
        let parts = args.args.iter().map(Part::new).collect::<DfResult<Vec<_>>>()?;
        let mut made = StringBuilder::with_capacity(rows, total as usize);
        let mut text = String::new();
        for row in 0..rows {
            text.clear();
            let known = parts.iter().all(|part| match part.at(row) {
                Some(piece) => {
                    text.push_str(piece);
                    true
                }
                None => false,
            });
            admit("||", text.len() as u64, 0)?;
            made.append_option(known.then_some(&text));
        }
        let made: ArrayRef = Arc::new(made.finish());
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
    }
}

enum Part {
    Same(Option<String>),
    Each(ArrayRef),
}

impl Part {
    fn new(value: &ColumnarValue) -> DfResult<Self> {
        Ok(match value {
            ColumnarValue::Scalar(value) => {
                Part::Same(value.cast_to(&DataType::Utf8)?.try_as_str().flatten().map(str::to_owned))
            }
            ColumnarValue::Array(array) => Part::Each(cast(array, &DataType::Utf8)?),
        })
    }

    fn at(&self, row: usize) -> Option<&str> {
        match self {
            Part::Same(text) => text.as_deref(),
            Part::Each(array) => {
                let array = array.as_string::<i32>();
                array.is_valid(row).then(|| array.value(row))
            }
        }
    }
}
