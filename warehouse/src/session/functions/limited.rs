//! Functions whose results can be much larger than their arguments, or that take long for a row: what they would make
//! is weighed before they make it, and a query that must end does so between slices of a batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

use super::admission::{Making, admit, admit_constant, check};
use super::growth::Growth;
use super::sizes::Sizes;
use crate::error::Error;

/// A slow function looks whether its query must end about so often; it begins with one row.
const LOOK: Duration = Duration::from_millis(20);
/// Steps that comparing two texts may take; nothing interrupts them.
const STEPS: u64 = 100_000_000;

const LIMITED: [(&str, Growth); 40] = [
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::RegexReplace),
    ("array_repeat", Growth::ArrayRepeat),
    ("array_resize", Growth::ArrayResize),
    ("range", Growth::Series),
    ("generate_series", Growth::Series),
    ("concat", Growth::Sum(1)),
    ("concat_ws", Growth::Separated),
    ("array_concat", Growth::Sum(1)),
    ("array_append", Growth::Sum(1)),
    ("array_prepend", Growth::Sum(1)),
    ("make_array", Growth::Sum(1)),
    ("struct", Growth::Sum(1)),
    ("named_struct", Growth::Sum(1)),
    ("map", Growth::Sum(1)),
    ("array_to_string", Growth::Listed),
    ("string_to_array", Growth::Sum(8)),
    ("overlay", Growth::Sum(1)),
    ("translate", Growth::Sum(4)),
    ("upper", Growth::Sum(3)),
    ("lower", Growth::Sum(3)),
    ("initcap", Growth::Sum(3)),
    ("encode", Growth::Sum(2)),
    ("array_replace_all", Growth::Sum(8)),
    ("levenshtein", Growth::Distance),
    ("regexp_like", Growth::Slow),
    ("regexp_match", Growth::Slow),
    ("regexp_count", Growth::Slow),
    ("regexp_instr", Growth::Slow),
    ("array_distinct", Growth::Slow),
    ("array_union", Growth::Slow),
    ("array_intersect", Growth::Slow),
    ("array_except", Growth::Slow),
    ("array_has_all", Growth::Slow),
    ("array_has_any", Growth::Slow),
    ("array_remove_all", Growth::Slow),
    ("array_sort", Growth::Slow),
];

/// The functions of `all` that need bounds, with them.
pub(super) fn limited<'a>(
    find: impl Fn(&str) -> Option<Arc<ScalarUDF>> + 'a,
) -> impl Iterator<Item = ScalarUDF> + 'a {
    LIMITED.iter().filter_map(move |(name, growth)| {
        let inner = find(name)?;
        let bounded = Bounded { inner, growth: *growth };
        Some(ScalarUDF::new_from_impl(bounded))
    })
}

/// A function that takes long for a row, with slices.
pub(super) fn slow(inner: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Bounded { inner, growth: Growth::Slow })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        self.inner.return_type(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        self.inner.coerce_types(args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Bounded { inner: Arc::new(inner), growth: self.growth }))
    }

    /// What is slow may be written in a faster way; what grows must stay in its bounds.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> DfResult<ExprSimplifyResult> {
        if matches!(self.growth, Growth::Slow | Growth::Distance) {
            return self.inner.simplify(args, info);
        }
        Ok(ExprSimplifyResult::Original(args))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        check(&args.config_options)?;
        let (largest, total) = self.growth.weigh(&args);
        // Builders grow by doubling: while they do, they hold more than what they make.
        let _making = Making::new(total);
        admit(self.name(), largest, total)?;
        let arrays = args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_)));
        if !arrays {
            let text = args.return_field.data_type().is_string();
            admit_constant(self.name(), &args.config_options, text, largest)?;
        }
        if self.growth == Growth::Distance {
            self.near(&args)?;
        }
        let slow = matches!(self.growth, Growth::Slow | Growth::Distance | Growth::RegexReplace);
        if slow && arrays && args.number_rows > 1 {
            return self.sliced(args);
        }
        self.inner.invoke_with_args(args)
    }
}

impl Bounded {
    /// Errs when two texts are too long to be compared letter by letter.
    fn near(&self, args: &ScalarFunctionArgs) -> DfResult<()> {
        let rows = args.number_rows.max(1);
        let (one, other) = (Sizes::new(args.args.first(), rows), Sizes::new(args.args.get(1), rows));
        match (0..rows).map(|row| one.of(row).saturating_mul(other.of(row))).max() {
            Some(steps) if steps > STEPS => Err(Error::Exhausted {
                message: format!(
                    "{} compares each letter of one text with each of the other, and would take {steps} steps for \
                     one row; at most {STEPS} are allowed: compare the beginnings, `left(text, 1000)`",
                    self.name()
                ),
            }
            .into_datafusion()),
            _ => Ok(()),
        }
    }

    fn sliced(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let mut parts: Vec<ArrayRef> = vec![];
        let (mut from, mut most) = (0, 1);
        while from < args.number_rows {
            check(&args.config_options)?;
            let started = Instant::now();
            let rows = most.min(args.number_rows - from);
            let slice = |arg: &ColumnarValue| match arg {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
                scalar => scalar.clone(),
            };
            let part = ScalarFunctionArgs {
                args: args.args.iter().map(slice).collect(),
                number_rows: rows,
                ..args.clone()
            };
            parts.push(self.inner.invoke_with_args(part)?.into_array(rows)?);
            from += rows;
            most = if started.elapsed() < LOOK { most * 2 } else { (most / 2).max(1) };
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}
