//! How large a function's results become, told from its arguments.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use regex::Regex;
use store::limits;

use super::sizes::{Sizes, Whole, total};

/// How the size of a function's results follows from its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
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

impl Growth {
    /// Bytes of the largest value and of all of them; an upper bound.
    pub(super) fn weigh(self, args: &ScalarFunctionArgs) -> (u64, u64) {
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
