//! Functions whose results can be much larger than their arguments, or that take long for a row: what they would make
//! is weighed before they make it, and a query that must end does so between slices of a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type, TimeUnit};
use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use regex::Regex;
use store::limits;

use crate::error::Error;
use crate::memory;
use crate::session::running::Running;

/// A batch of results may be so many times as large as its largest value.
const BATCH: u64 = 16;
/// Results from this size on ask whether the process has room for them.
const LARGE: u64 = 1 << 20;
/// A function of nothing but constants becomes one when the query is planned, and is copied as often as the plan: so
/// long may a text be, and so many bytes all of a query.
const CONSTANT: u64 = 1 << 20;
const CONSTANTS: u64 = 32 << 20;
/// A slow function looks whether its query must end about so often; it begins with one row.
const LOOK: Duration = Duration::from_millis(20);
/// Steps that comparing two texts may take; nothing interrupts them.
const STEPS: u64 = 100_000_000;
/// Bytes that functions are about to make, at most twice what they will hold.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// The query that functions run for, among its options.
#[derive(Clone, Debug)]
pub(crate) struct Limited(pub(crate) Arc<Running>);

impl ConfigExtension for Limited {
    const PREFIX: &'static str = "guanlan_query";
}

impl ExtensionOptions for Limited {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> DfResult<()> {
        datafusion::common::config_err!("{key} cannot be set")
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![]
    }
}

/// Errs when the query must end.
pub(super) fn check(options: &ConfigOptions) -> DfResult<()> {
    match options.extensions.get::<Limited>() {
        Some(Limited(query)) => query.check().map_err(Error::into_datafusion),
        None => Ok(()),
    }
}

/// Errs when `total` bytes of results, the largest value being `largest`, are more than a function may make.
pub(super) fn admit(name: &str, largest: u64, total: u64) -> DfResult<()> {
    let most = limits().result_bytes as u64;
    let refuse = |message: String| Err(Error::Exhausted { message }.into_datafusion());
    if largest > most {
        return refuse(format!(
            "{name} would make a value of {} MiB; at most {} MiB are allowed (`limits: {{ result_bytes: … }}`)",
            largest >> 20,
            most >> 20
        ));
    }
    let ahead = || AHEAD.load(Ordering::Relaxed).saturating_add(total);
    if total > most.saturating_mul(BATCH) || (total > LARGE && memory::full(ahead())) {
        return refuse(format!(
            "{name} would make {} MiB at once, which the server has no room for; make shorter values or select fewer \
             rows and columns",
            total >> 20
        ));
    }
    Ok(())
}

/// Errs when a query's constants are more than a plan may hold, or one `text` is.
fn admit_constant(name: &str, options: &ConfigOptions, text: bool, bytes: u64) -> DfResult<()> {
    let refuse = |message: String| Err(Error::Exhausted { message }.into_datafusion());
    if text && bytes > CONSTANT {
        return refuse(format!(
            "{name} would make a constant text of {} MiB; at most {} MiB are allowed",
            bytes >> 20,
            CONSTANT >> 20
        ));
    }
    let Some(Limited(query)) = options.extensions.get::<Limited>() else { return Ok(()) };
    if query.constants.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > CONSTANTS {
        return refuse(format!(
            "the constants of the query are larger than {} MiB; make shorter ones, or read them from a table",
            CONSTANTS >> 20
        ));
    }
    Ok(())
}

/// Bytes that are being made, for as long as that takes.
struct Making(u64);

impl Making {
    fn new(bytes: u64) -> Self {
        AHEAD.fetch_add(bytes, Ordering::Relaxed);
        Making(bytes)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        AHEAD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// How the size of a function's results follows from its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// repeat(text, n)
    Repeat,
    /// lpad(text, n, fill)
    Pad,
    /// replace(text, from, to)
    Replace,
    /// regexp_replace(text, pattern, to, flags)
    RegexReplace,
    /// array_repeat(value, n)
    ArrayRepeat,
    /// array_resize(list, n, value)
    ArrayResize,
    /// range(from, to, step)
    Series,
    /// concat_ws(separator, …)
    Separated,
    /// array_to_string(list, separator)
    Listed,
    /// At most so many times all arguments together.
    Sum(u64),
    /// No larger than its arguments, but slow.
    Slow,
    /// As slow as its two texts are long, multiplied.
    Distance,
}

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

impl Growth {
    /// Bytes of the largest value and of all of them; an upper bound.
    fn weigh(self, args: &ScalarFunctionArgs) -> (u64, u64) {
        // Constants are computed once, whatever the rows.
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arg = |n: usize| args.args.get(n);
        let sizes = |n: usize| Sizes::new(arg(n), rows);
        let whole = |n: usize| Whole::new(arg(n), rows);
        let weigh = |one: &dyn Fn(usize) -> u64| {
            (0..rows).map(one).fold((0, 0u64), |(largest, total): (u64, u64), bytes| {
                (largest.max(bytes), total.saturating_add(bytes))
            })
        };
        let positive = |n: Option<i64>| n.unwrap_or(0).max(0) as u64;
        match self {
            Growth::Repeat => {
                let (text, times) = (sizes(0), whole(1));
                weigh(&|row| text.of(row).saturating_mul(positive(times.of(row))))
            }
            Growth::Pad => {
                let (text, length, fill) = (sizes(0), whole(1), sizes(2));
                let plain = match arg(2) {
                    None => true,
                    Some(ColumnarValue::Scalar(fill)) => fill.to_string().is_ascii(),
                    Some(ColumnarValue::Array(_)) => false,
                };
                let width = if plain { 1 } else { 4 };
                weigh(&|row| {
                    let filled = positive(length.of(row)).saturating_mul(width);
                    if arg(2).is_some() && fill.of(row) == 0 {
                        text.of(row)
                    } else {
                        filled.max(text.of(row))
                    }
                })
            }
            Growth::Replace => {
                let (text, from, to) = (sizes(0), sizes(1), sizes(2));
                weigh(&|row| {
                    let (text, from, to) = (text.of(row), from.of(row), to.of(row));
                    if to <= from {
                        text
                    } else {
                        (text / from.max(1) + 1).saturating_mul(to).saturating_add(text)
                    }
                })
            }
            Growth::RegexReplace => regex_growth(args, rows),
            Growth::ArrayRepeat => {
                let (value, times) = (sizes(0), whole(1));
                weigh(&|row| value.of(row).max(8).saturating_mul(positive(times.of(row))))
            }
            Growth::ArrayResize => {
                let (list, length, value) = (sizes(0), whole(1), sizes(2));
                weigh(&|row| {
                    positive(length.of(row)).saturating_mul(value.of(row).max(8)).saturating_add(list.of(row))
                })
            }
            Growth::Series => {
                let one = args.args.len() < 2;
                let (from, to, step) =
                    (whole(0), whole(if one { 0 } else { 1 }), Step::new(arg(0), arg(2), rows));
                weigh(&|row| {
                    let first = if one { 0 } else { from.of(row).unwrap_or(0) };
                    let span = (i128::from(to.of(row).unwrap_or(0)) - i128::from(first)).unsigned_abs();
                    u64::try_from((span / step.of(row)).saturating_mul(8)).unwrap_or(u64::MAX)
                })
            }
            Growth::Separated => {
                let parts: Vec<Sizes> = (0..args.args.len()).map(sizes).collect();
                let between = parts.len().saturating_sub(2) as u64;
                weigh(&|row| {
                    let mut all = parts.iter().map(|part| part.of(row));
                    let separator = all.next().unwrap_or(0).saturating_mul(between);
                    all.fold(separator, u64::saturating_add)
                })
            }
            Growth::Listed => {
                let (list, separator) = (sizes(0), sizes(1));
                weigh(&|row| {
                    let list = list.of(row);
                    list.saturating_mul(3).saturating_add(separator.of(row).saturating_mul(list + 1))
                })
            }
            Growth::Sum(times) => {
                let all = args.args.iter().fold(0u64, |sum, arg| sum.saturating_add(total(arg, rows)));
                let all = all.saturating_mul(times);
                if all <= limits().result_bytes as u64 {
                    return (all, all);
                }
                let parts: Vec<Sizes> = (0..args.args.len()).map(sizes).collect();
                weigh(&|row| {
                    parts
                        .iter()
                        .fold(0u64, |sum, part| sum.saturating_add(part.of(row)))
                        .saturating_mul(times)
                })
            }
            Growth::Slow | Growth::Distance => (0, 0),
        }
    }
}

/// How far the values of a series stand apart, in the unit of its ends.
enum Step {
    Same(u128),
    Each(Whole),
}

impl Step {
    fn new(from: Option<&ColumnarValue>, step: Option<&ColumnarValue>, rows: usize) -> Self {
        const DAY: i128 = 86_400_000_000_000;
        let unit = match from.map(ColumnarValue::data_type) {
            Some(DataType::Date32) => DAY,
            Some(DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _)) => 1_000_000,
            Some(DataType::Timestamp(TimeUnit::Second, _)) => 1_000_000_000,
            Some(DataType::Timestamp(TimeUnit::Microsecond, _)) => 1_000,
            Some(DataType::Timestamp(TimeUnit::Nanosecond, _)) => 1,
            _ => return step.map_or(Step::Same(1), |step| Step::Each(Whole::new(Some(step), rows))),
        };
        match step {
            Some(ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(step)))) => {
                let days = i128::from(step.months) * 28 + i128::from(step.days);
                let nanos = days * DAY + i128::from(step.nanoseconds);
                Step::Same((nanos.unsigned_abs() / unit.unsigned_abs()).max(1))
            }
            // A column of intervals: as short as can be.
            _ => Step::Same(1),
        }
    }

    fn of(&self, row: usize) -> u128 {
        match self {
            Step::Same(step) => *step,
            Step::Each(steps) => steps.of(row).map_or(1, |step| u128::from(step.unsigned_abs().max(1))),
        }
    }
}

/// Groups that matched do not overlap, so each named group adds the text at most once; the rest of the replacement
/// comes as often as the pattern matches, which is counted where guessing would refuse too much.
fn regex_growth(args: &ScalarFunctionArgs, rows: usize) -> (u64, u64) {
    let text = |n: usize, row: usize| args.args.get(n).and_then(|arg| text_at(arg, row));
    let mut known: Option<(String, Option<Regex>)> = None;
    let (mut largest, mut total) = (0u64, 0u64);
    let sizes = Sizes::new(args.args.first(), rows);
    for row in 0..rows {
        let Some(to) = text(2, row) else { continue };
        let size = sizes.of(row);
        let groups = to.matches(['\\', '$']).count() as u64;
        let global = text(3, row).is_some_and(|flags| flags.contains('g'));
        let once = size.saturating_mul(groups + 1).saturating_add(to.len() as u64);
        let mut bytes = if global {
            once.saturating_add(size.saturating_add(1).saturating_mul(to.len() as u64))
        } else {
            once
        };
        if bytes > limits().result_bytes as u64
            && global
            && let (Some(value), Some(pattern)) = (text(0, row), text(1, row))
        {
            if known.as_ref().is_none_or(|(compiled, _)| *compiled != pattern) {
                known = Some((pattern.clone(), Regex::new(&pattern).ok()));
            }
            if let Some((_, Some(pattern))) = &known {
                let found = pattern.find_iter(&value).count() as u64;
                bytes = once.saturating_add(found.saturating_mul(to.len() as u64));
            }
        }
        largest = largest.max(bytes);
        total = total.saturating_add(bytes);
    }
    (largest, total)
}

fn text_at(arg: &ColumnarValue, row: usize) -> Option<String> {
    match arg {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten().map(str::to_owned),
        ColumnarValue::Array(array) if array.is_null(row) => None,
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 => Some(array.as_string::<i32>().value(row).to_owned()),
            DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row).to_owned()),
            DataType::Utf8View => Some(array.as_string_view().value(row).to_owned()),
            _ => None,
        },
    }
}

/// Whole numbers of an argument, by row.
enum Whole {
    Same(Option<i64>),
    Each(ArrayRef),
}

impl Whole {
    fn new(arg: Option<&ColumnarValue>, rows: usize) -> Self {
        let number = |array: &ArrayRef| cast(array, &DataType::Int64).ok();
        match arg {
            Some(ColumnarValue::Array(array)) if array.len() == rows => {
                number(array).map_or(Whole::Same(None), Whole::Each)
            }
            Some(ColumnarValue::Scalar(value)) => {
                let array = value.to_array().ok().and_then(|array| number(&array));
                Whole::Same(array.and_then(|a| {
                    let a = a.as_primitive::<Int64Type>();
                    (!a.is_empty() && a.is_valid(0)).then(|| a.value(0))
                }))
            }
            _ => Whole::Same(None),
        }
    }

    fn of(&self, row: usize) -> Option<i64> {
        match self {
            Whole::Same(value) => *value,
            Whole::Each(array) => {
                let array = array.as_primitive::<Int64Type>();
                array.is_valid(row).then(|| array.value(row))
            }
        }
    }
}

/// Bytes of an argument, by row.
enum Sizes<'a> {
    Same(u64),
    Each(&'a ArrayRef),
}

impl<'a> Sizes<'a> {
    fn new(arg: Option<&'a ColumnarValue>, rows: usize) -> Self {
        match arg {
            Some(ColumnarValue::Array(array)) if array.len() == rows => Sizes::Each(array),
            Some(ColumnarValue::Scalar(value)) => Sizes::Same(scalar(value)),
            _ => Sizes::Same(0),
        }
    }

    fn of(&self, row: usize) -> u64 {
        match self {
            Sizes::Same(bytes) => *bytes,
            Sizes::Each(array) => one(array, row),
        }
    }
}

fn one(array: &ArrayRef, row: usize) -> u64 {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row) as u64,
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as u64,
        DataType::Utf8View => u64::from(array.as_string_view().lengths().nth(row).unwrap_or(0)),
        DataType::Binary => array.as_binary::<i32>().value_length(row) as u64,
        DataType::List(_) if array.is_valid(row) => bytes(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) if array.is_valid(row) => bytes(&array.as_list::<i64>().value(row)),
        kind => kind.primitive_width().unwrap_or(16) as u64,
    }
}

/// Bytes of the largest value of a column.
pub(super) fn largest(array: &ArrayRef) -> u64 {
    if bytes(array) <= limits().result_bytes as u64 {
        return 0;
    }
    (0..array.len()).map(|row| one(array, row)).max().unwrap_or(0)
}

/// Bytes of one constant.
pub(super) fn scalar(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.as_ref().map_or(0, String::len) as u64
        }
        other => other.size().saturating_sub(size_of::<ScalarValue>()).max(8) as u64,
    }
}

/// Bytes of all rows of an argument.
fn total(arg: &ColumnarValue, rows: usize) -> u64 {
    match arg {
        ColumnarValue::Scalar(value) => scalar(value).saturating_mul(rows as u64),
        ColumnarValue::Array(array) => bytes(array),
    }
}

/// Bytes of the values of an array, not of what it is a slice of.
pub(super) fn bytes(array: &ArrayRef) -> u64 {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().map(u64::from).sum(),
        _ => {
            let data = array.to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size()) as u64
        }
    }
}
