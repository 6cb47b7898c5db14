//! SQL functions of the house: time comes from the Clock, days from the site's calendar.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use store::{Timestamp, from_micros, micros};

use crate::calendar::Calendar;

/// Registers them for one query; `now` stays the same for its whole length.
pub(crate) fn register(context: &SessionContext, calendar: &Arc<Calendar>, now: Timestamp) {
    // It would ask the operating system.
    context.deregister_udf("current_time");
    let today = days(calendar.local(now).date_naive());
    let moment = ScalarValue::TimestampMicrosecond(Some(micros(now)), Some("UTC".into()));
    let fixed = [
        Fixed { name: "now", aliases: vec!["current_timestamp".into()], value: moment },
        Fixed {
            name: "current_date",
            aliases: vec!["today".into()],
            value: ScalarValue::Date32(Some(today)),
        },
    ];
    for constant in fixed {
        context.register_udf(ScalarUDF::new_from_impl(constant));
    }
    for what in [What::LocalDate, What::LocalHour, What::WorkingHours, What::IsWorkday] {
        let signature = Signature::any(what.arguments(), Volatility::Immutable);
        context.register_udf(ScalarUDF::new_from_impl(Dated { what, signature, calendar: calendar.clone() }));
    }
}

/// A function without arguments whose value is known when the query begins.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fixed {
    name: &'static str,
    aliases: Vec<String>,
    value: ScalarValue,
}

impl ScalarUDFImpl for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        static NONE: std::sync::LazyLock<Signature> =
            std::sync::LazyLock::new(|| Signature::nullary(Volatility::Stable));
        &NONE
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    /// local_date(timestamp) → date in the site's zone
    LocalDate,
    /// local_hour(timestamp) → 0–23 in the site's zone
    LocalHour,
    /// working_hours(start, end) → hours inside working time
    WorkingHours,
    /// is_workday(date)
    IsWorkday,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::LocalDate => "local_date",
            What::LocalHour => "local_hour",
            What::WorkingHours => "working_hours",
            What::IsWorkday => "is_workday",
        }
    }

    fn arguments(self) -> usize {
        if self == What::WorkingHours { 2 } else { 1 }
    }

    fn returns(self) -> DataType {
        match self {
            What::LocalDate => DataType::Date32,
            What::LocalHour => DataType::Int32,
            What::WorkingHours => DataType::Float64,
            What::IsWorkday => DataType::Boolean,
        }
    }
}

#[derive(Debug)]
struct Dated {
    what: What,
    signature: Signature,
    calendar: Arc<Calendar>,
}

impl PartialEq for Dated {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what && Arc::ptr_eq(&self.calendar, &other.calendar)
    }
}

impl Eq for Dated {}

impl Hash for Dated {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.what.hash(state);
    }
}

impl ScalarUDFImpl for Dated {
    fn name(&self) -> &str {
        self.what.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.what.returns())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scalar = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let calendar = &self.calendar;
        let result: ArrayRef = match self.what {
            What::LocalDate => {
                let local = Offsets::new(calendar);
                let times = moments(&arrays[0])?;
                Arc::new(each(&times, local, |wall, _| days(wall.date())).collect::<Date32Array>())
            }
            What::LocalHour => {
                let local = Offsets::new(calendar);
                let times = moments(&arrays[0])?;
                Arc::new(each(&times, local, |wall, _| wall.hour() as i32).collect::<Int32Array>())
            }
            What::WorkingHours => {
                let (from, to) = (moments(&arrays[0])?, moments(&arrays[1])?);
                let (from, to) = (
                    from.as_primitive::<TimestampMicrosecondType>(),
                    to.as_primitive::<TimestampMicrosecondType>(),
                );
                let hours = from.iter().zip(to.iter()).map(|pair| {
                    let (a, b) = (pair.0?, pair.1?);
                    Some(calendar.working_time(from_micros(a), from_micros(b)).as_secs_f64() / 3600.0)
                });
                Arc::new(hours.collect::<Float64Array>())
            }
            What::IsWorkday => {
                let dates = cast(&arrays[0], &DataType::Date32)?;
                let works =
                    dates.as_primitive::<Date32Type>().iter().map(|d| Some(calendar.is_workday(day(d?)?)));
                Arc::new(works.collect::<BooleanArray>())
            }
        };
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// Any timestamp, date or text as microseconds UTC.
fn moments(array: &ArrayRef) -> DfResult<ArrayRef> {
    Ok(cast(array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?)
}

/// The zone's offset changes at most a few times a year: looking it up once an hour of data is enough, and rows
/// usually come in order of time.
struct Offsets<'a> {
    calendar: &'a Calendar,
    hour: i64,
    offset: i64,
}

impl<'a> Offsets<'a> {
    fn new(calendar: &'a Calendar) -> Self {
        Self { calendar, hour: i64::MIN, offset: 0 }
    }

    fn wall(&mut self, micros: i64) -> Option<chrono::NaiveDateTime> {
        // Zones change at multiples of a quarter hour.
        let quarter = micros.div_euclid(900_000_000);
        if quarter != self.hour {
            let utc = DateTime::from_timestamp_micros(micros)?;
            let wall = self.calendar.local(utc).naive_local();
            (self.hour, self.offset) = (quarter, (wall - utc.naive_utc()).num_microseconds()?);
        }
        Some(DateTime::from_timestamp_micros(micros.checked_add(self.offset)?)?.naive_utc())
    }
}

fn each<'a, T: 'a>(
    times: &'a ArrayRef,
    mut local: Offsets<'a>,
    make: impl Fn(chrono::NaiveDateTime, i64) -> T + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    (0..times.len()).map(move |i| {
        if times.is_null(i) {
            return None;
        }
        let t = times.value(i);
        local.wall(t).map(|wall| make(wall, t))
    })
}

/// Days since 1970.
fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - 719_163
}

fn day(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(TimeDelta::days(days.into()))
}
