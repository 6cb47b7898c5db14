//! `bucket_start(time, grain)` in SQL.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::bucket::{next_of, start_of, start_of_day};
use super::query::Grain;
use crate::Calendar;

/// The functions that metric SQL uses; every context that answers metrics registers them.
pub(crate) fn functions(calendar: &Arc<Calendar>) -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(BucketStart::new(calendar.clone()))]
}

/// `bucket_start(time, 'hour' | 'day' | 'week' | 'month' | 'quarter' | 'year')`: the start of the
/// bucket in the site's zone.
#[derive(Debug)]
struct BucketStart {
    signature: Signature,
    calendar: Arc<Calendar>,
}

impl BucketStart {
    fn new(calendar: Arc<Calendar>) -> Self {
        let takes = |time: DataType| TypeSignature::Exact(vec![time, DataType::Utf8]);
        let kinds = vec![
            takes(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            takes(DataType::Timestamp(TimeUnit::Microsecond, None)),
            takes(DataType::Date32),
        ];
        // The calendar of a site does not change while a query runs.
        Self { signature: Signature::one_of(kinds, Volatility::Immutable), calendar }
    }

    fn identity(&self) -> (chrono_tz::Tz, u32, u32) {
        let calendar = &self.calendar;
        (calendar.timezone(), calendar.week_start().num_days_from_monday(), calendar.fiscal_month())
    }
}

impl PartialEq for BucketStart {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for BucketStart {}

impl Hash for BucketStart {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ScalarUDFImpl for BucketStart {
    fn name(&self) -> &str {
        "bucket_start"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [time, ColumnarValue::Scalar(ScalarValue::Utf8(Some(grain)))] = args.args.as_slice() else {
            return plan_err!("bucket_start needs a time and a grain as a text, such as 'day'");
        };
        let grain = parse(grain)?;
        let scalar = matches!(time, ColumnarValue::Scalar(_));
        let starts = self.starts(&time.to_array(if scalar { 1 } else { args.number_rows })?, grain)?;
        Ok(match scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&starts, 0)?),
            false => ColumnarValue::Array(starts),
        })
    }
}

fn parse(grain: &str) -> Result<Grain> {
    Ok(match grain {
        "hour" => Grain::Hour,
        "day" => Grain::Day,
        "week" => Grain::Week,
        "month" => Grain::Month,
        "quarter" => Grain::Quarter,
        "year" => Grain::Year,
        other => return plan_err!("`{other}` is no grain; use hour, day, week, month, quarter or year"),
    })
}

impl BucketStart {
    fn starts(&self, time: &ArrayRef, grain: Grain) -> Result<ArrayRef> {
        let starts: TimestampMicrosecondArray = match time.data_type() {
            DataType::Date32 => {
                mapped(time.as_primitive::<Date32Type>(), |days, all| self.of_days(days, all, grain))?
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                mapped(time.as_primitive::<TimestampMicrosecondType>(), |micros, all| {
                    self.of_instants(micros, all, grain)
                })?
            }
            other => return plan_err!("bucket_start cannot read {other}"),
        };
        Ok(Arc::new(starts.with_timezone("UTC")))
    }

    /// Bucket starts of all values between the two ends, unless that list is longer than asking
    /// the calendar for each row.
    fn of_instants(&self, ends: (i64, i64), rows: usize, grain: Grain) -> Result<Starts<i64>> {
        let shortest = if grain == Grain::Hour { TimeDelta::hours(1) } else { TimeDelta::hours(23) };
        let (first, last) = (instant(ends.0)?, instant(ends.1)?);
        let count = (last - first).num_seconds() / shortest.num_seconds();
        if count > (rows as i64).max(64) * 4 {
            let calendar = self.calendar.clone();
            return Ok(Starts::Each(Box::new(move |micros| {
                instant(micros).map(|t| start_of(grain, t, &calendar).timestamp_micros())
            })));
        }
        let mut starts = Vec::new();
        let mut at = start_of(grain, first, &self.calendar);
        loop {
            starts.push(at.timestamp_micros());
            let next = next_of(grain, at, &self.calendar);
            if next > last || next <= at {
                return Ok(Starts::Sorted(starts));
            }
            at = next;
        }
    }

    fn of_days(&self, ends: (i32, i32), rows: usize, grain: Grain) -> Result<Starts<i32>> {
        let calendar = self.calendar.clone();
        let start =
            move |days: i32| day(days).map(|day| start_of_day(grain, day, &calendar).timestamp_micros());
        let count = i64::from(ends.1) - i64::from(ends.0) + 1;
        if count > (rows as i64).max(64) * 4 {
            return Ok(Starts::Each(Box::new(start)));
        }
        let table: Result<Vec<i64>> = (ends.0..=ends.1).map(start).collect();
        Ok(Starts::Table(ends.0, table?))
    }
}

/// How the start of each value is found.
enum Starts<T> {
    /// Sorted bucket starts, in microseconds like the values.
    Sorted(Vec<i64>),
    /// Start of the first value, of the next one, …
    Table(i32, Vec<i64>),
    Each(Box<dyn Fn(T) -> Result<i64>>),
}

impl<T: Copy + Into<i64>> Starts<T> {
    fn of(&self, value: T) -> Result<i64> {
        let missing = || DataFusionError::Internal("a value lies outside of its batch".to_owned());
        match self {
            Starts::Each(start) => start(value),
            Starts::Sorted(starts) => {
                let after = starts.partition_point(|start| *start <= value.into());
                after.checked_sub(1).and_then(|at| starts.get(at)).copied().ok_or_else(missing)
            }
            Starts::Table(first, starts) => {
                let at = usize::try_from(value.into() - i64::from(*first)).ok();
                at.and_then(|at| starts.get(at)).copied().ok_or_else(missing)
            }
        }
    }
}

/// Maps every value; `starts` gets the smallest and the largest one and the number of rows.
fn mapped<P>(
    values: &PrimitiveArray<P>,
    starts: impl Fn((P::Native, P::Native), usize) -> Result<Starts<P::Native>>,
) -> Result<TimestampMicrosecondArray>
where
    P: ArrowPrimitiveType,
    P::Native: Copy + Into<i64> + Ord,
{
    let ends = values.iter().flatten().min().zip(values.iter().flatten().max());
    let Some(ends) = ends else {
        return Ok(TimestampMicrosecondArray::new_null(values.len()));
    };
    let starts = starts(ends, values.len())?;
    values.iter().map(|value| value.map(|value| starts.of(value)).transpose()).collect()
}

fn instant(micros: i64) -> Result<DateTime<chrono::Utc>> {
    DateTime::from_timestamp_micros(micros)
        .filter(|t| (1..=9999).contains(&t.year()))
        .ok_or_else(|| DataFusionError::Execution(format!("{micros} µs is no time that the calendar knows")))
}

fn day(days: i32) -> Result<NaiveDate> {
    NaiveDate::from_epoch_days(days)
        .filter(|day| (1..=9999).contains(&day.year()))
        .ok_or_else(|| DataFusionError::Execution(format!("day {days} is none that the calendar knows")))
}
