//! `sum` that errs where the engine's own wraps around: whole numbers and wide decimals are added in 128 bits.

use std::collections::HashMap;
use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result as DfResult, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

/// Decimals up to this many digits cannot overflow 38 before ten billion rows were added.
const NARROW: u8 = 28;
/// The type of unfinished sums of whole numbers.
const UNFINISHED: DataType = DataType::Decimal128(38, 0);

/// The engine's `sum` with checks.
pub(super) fn checked(inner: Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::new_from_impl(Sum { inner })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    inner: Arc<AggregateUDF>,
}

/// Whether sums of this type are ours.
fn ours(of: &DataType, argument: Option<&FieldRef>) -> bool {
    match of {
        DataType::Int64 | DataType::UInt64 => true,
        DataType::Decimal128(_, _) => argument.is_some_and(
            |field| matches!(field.data_type(), DataType::Decimal128(digits, _) if *digits > NARROW),
        ),
        _ => false,
    }
}

fn unfinished(of: &DataType) -> DataType {
    if let DataType::Decimal128(..) = of { of.clone() } else { UNFINISHED }
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        self.inner.return_type(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        let of = args.return_field.data_type();
        if !ours(of, args.expr_fields.first()) {
            return self.inner.accumulator(args);
        }
        Ok(if args.is_distinct {
            Box::new(Distinct { of: of.clone(), seen: HashMap::new() })
        } else {
            Box::new(One { of: of.clone(), sum: 0, rows: 0 })
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        if ours(args.return_field.data_type(), args.expr_fields.first()) {
            return self.accumulator(args);
        }
        self.inner.create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        let of = args.return_field.data_type();
        if !ours(of, args.input_fields.first()) {
            return self.inner.state_fields(args);
        }
        let of = unfinished(of);
        Ok(if args.is_distinct {
            let name = format_state_name(args.name, "sum distinct");
            vec![Arc::new(Field::new_list(name, Field::new_list_field(of, true), true))]
        } else {
            vec![
                Arc::new(Field::new(format_state_name(args.name, "sum"), of, true)),
                Arc::new(Field::new(format_state_name(args.name, "rows"), DataType::UInt64, true)),
            ]
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn GroupsAccumulator>> {
        let of = args.return_field.data_type();
        if !ours(of, args.expr_fields.first()) {
            return self.inner.create_groups_accumulator(args);
        }
        Ok(Box::new(Groups { of: of.clone(), sums: vec![], rows: vec![] }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, of: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(of)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// Calls `add` with each value that is there.
fn each(values: &ArrayRef, mut add: impl FnMut(usize, i128) -> DfResult<()>) -> DfResult<()> {
    match values.data_type() {
        DataType::Int64 => {
            for (row, value) in values.as_primitive::<Int64Type>().iter().enumerate() {
                if let Some(value) = value {
                    add(row, value.into())?;
                }
            }
        }
        DataType::UInt64 => {
            for (row, value) in values.as_primitive::<UInt64Type>().iter().enumerate() {
                if let Some(value) = value {
                    add(row, value.into())?;
                }
            }
        }
        DataType::Decimal128(..) => {
            for (row, value) in values.as_primitive::<Decimal128Type>().iter().enumerate() {
                if let Some(value) = value {
                    add(row, value)?;
                }
            }
        }
        other => return exec_err!("sum cannot add {other}"),
    }
    Ok(())
}

fn overflow<T>(of: &DataType) -> DfResult<T> {
    let wider = match of {
        DataType::Decimal128(..) => "cast the values to double",
        _ => "cast the values to decimal(38, 0)",
    };
    exec_err!("the sum is larger than its type can hold; {wider}")
}

fn plus(of: &DataType, sum: i128, value: i128) -> DfResult<i128> {
    sum.checked_add(value).map_or_else(|| overflow(of), Ok)
}

/// Sums as an array of the type that the function returns.
fn finished(of: &DataType, sums: impl Iterator<Item = Option<i128>>) -> DfResult<ArrayRef> {
    let fits = |sum: Option<i128>, fits: &dyn Fn(i128) -> bool| match sum {
        Some(sum) if !fits(sum) => overflow(of),
        sum => Ok(sum),
    };
    Ok(match of {
        DataType::Int64 => {
            let whole = sums.map(|s| Ok(fits(s, &|s| i64::try_from(s).is_ok())?.map(|s| s as i64)));
            Arc::new(whole.collect::<DfResult<Int64Array>>()?)
        }
        DataType::UInt64 => {
            let whole = sums.map(|s| Ok(fits(s, &|s| u64::try_from(s).is_ok())?.map(|s| s as u64)));
            Arc::new(whole.collect::<DfResult<UInt64Array>>()?)
        }
        _ => decimals(of, sums)?,
    })
}

fn decimals(of: &DataType, sums: impl Iterator<Item = Option<i128>>) -> DfResult<ArrayRef> {
    let DataType::Decimal128(digits, scale) = *of else { return exec_err!("sum cannot answer {of}") };
    let most = 10i128.checked_pow(digits.into()).unwrap_or(i128::MAX);
    let within = sums.map(|sum| match sum {
        Some(sum) if sum.unsigned_abs() >= most.unsigned_abs() => overflow(of),
        sum => Ok(sum),
    });
    let array = within.collect::<DfResult<Decimal128Array>>()?;
    Ok(Arc::new(array.with_precision_and_scale(digits, scale)?))
}

fn only(array: &ArrayRef) -> DfResult<ScalarValue> {
    ScalarValue::try_from_array(array, 0)
}

/// One sum, of a group or a window.
#[derive(Debug)]
struct One {
    of: DataType,
    sum: i128,
    rows: u64,
}

impl One {
    fn known(&self) -> Option<i128> {
        (self.rows > 0).then_some(self.sum)
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        each(&values[0], |_, value| {
            self.sum = plus(&self.of, self.sum, value)?;
            self.rows += 1;
            Ok(())
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        each(&values[0], |_, value| {
            self.sum = plus(&self.of, self.sum, -value)?;
            self.rows = self.rows.saturating_sub(1);
            Ok(())
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        each(&states[0], |_, value| {
            self.sum = plus(&self.of, self.sum, value)?;
            Ok(())
        })?;
        self.rows += states[1].as_primitive::<UInt64Type>().iter().flatten().sum::<u64>();
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        only(&finished(&self.of, std::iter::once(self.known()))?)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let sum = decimals(&unfinished(&self.of), std::iter::once(self.known()))?;
        Ok(vec![only(&sum)?, self.rows.into()])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum of different values, with how often each is in the window.
#[derive(Debug)]
struct Distinct {
    of: DataType,
    seen: HashMap<i128, usize>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        each(&values[0], |_, value| {
            *self.seen.entry(value).or_default() += 1;
            Ok(())
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        each(&values[0], |_, value| {
            if let Some(times) = self.seen.get_mut(&value) {
                *times -= 1;
                if *times == 0 {
                    self.seen.remove(&value);
                }
            }
            Ok(())
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[list])?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut sum = 0;
        for value in self.seen.keys() {
            sum = plus(&self.of, sum, *value)?;
        }
        let known = (!self.seen.is_empty()).then_some(sum);
        only(&finished(&self.of, std::iter::once(known))?)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let of = unfinished(&self.of);
        let values = decimals(&of, self.seen.keys().map(|value| Some(*value)))?;
        let values = (0..values.len())
            .map(|row| ScalarValue::try_from_array(&values, row))
            .collect::<DfResult<Vec<_>>>()?;
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &of))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * size_of::<(i128, usize)>()
    }
}

/// The sums of many groups.
#[derive(Debug)]
struct Groups {
    of: DataType,
    sums: Vec<i128>,
    rows: Vec<u64>,
}

impl Groups {
    fn make_room(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.rows.resize(groups, 0);
    }

    fn take(&mut self, emit: EmitTo) -> (Vec<Option<i128>>, Vec<u64>) {
        let (sums, rows) = (emit.take_needed(&mut self.sums), emit.take_needed(&mut self.rows));
        let known = sums.into_iter().zip(&rows).map(|(sum, rows)| (*rows > 0).then_some(sum));
        (known.collect(), rows)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DfResult<()> {
        self.make_room(total);
        each(&values[0], |row, value| {
            if filter.is_some_and(|keep| keep.is_null(row) || !keep.value(row)) {
                return Ok(());
            }
            let group = groups[row];
            self.sums[group] = plus(&self.of, self.sums[group], value)?;
            self.rows[group] += 1;
            Ok(())
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DfResult<()> {
        self.make_room(total);
        each(&states[0], |row, value| {
            let group = groups[row];
            self.sums[group] = plus(&self.of, self.sums[group], value)?;
            Ok(())
        })?;
        for (row, rows) in states[1].as_primitive::<UInt64Type>().iter().enumerate() {
            self.rows[groups[row]] += rows.unwrap_or(0);
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> DfResult<ArrayRef> {
        let (sums, _) = self.take(emit);
        finished(&self.of, sums.into_iter())
    }

    fn state(&mut self, emit: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let (sums, rows) = self.take(emit);
        Ok(vec![decimals(&unfinished(&self.of), sums.into_iter())?, Arc::new(UInt64Array::from(rows))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        let mut one = Groups { of: self.of.clone(), sums: vec![], rows: vec![] };
        let rows = values[0].len();
        let groups: Vec<usize> = (0..rows).collect();
        one.update_batch(values, &groups, filter, rows)?;
        one.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.rows.capacity() * size_of::<u64>()
    }
}
