//! SQL functions of the house: time comes from the Clock, days from the site's calendar; functions of the engine are
//! bounded, and those of other databases are there under their names.

mod admission;
mod gathered;
mod growth;
mod limited;
mod operators;
mod patterns;
mod portable;
mod sizes;
mod spread;
mod sum;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use store::{SharedClock, Timestamp, from_micros, micros};

use crate::calendar::Calendar;

pub(crate) use admission::Limited;
pub(crate) use patterns::Patterns;
pub(crate) use spread::LongConstants;

/// Puts the bounded functions of the engine and those of other databases into a state. What the state plans then is
/// what every query of the warehouse plans.
///
/// # Errors
/// When the state refuses a function.
pub fn sql_functions(
    state: &mut SessionState,
    calendar: &Arc<Calendar>,
    clock: &SharedClock,
) -> datafusion::common::Result<()> {
    let site = Site { calendar: calendar.clone(), clock: clock.clone() };
    let known = state.scalar_functions().clone();
    let find = |name: &str| known.get(name).cloned();
    // The portable ones stand on the engine's own, the bounds go around what is left.
    let operators = operators::Operators::new();
    let made: Vec<ScalarUDF> = limited::limited(&find).chain(portable::functions(&site, &find)).collect();
    for function in made.into_iter().map(Arc::new) {
        state.register_udf(function)?;
    }
    for (alias, name) in ALSO {
        if let Some(function) = state.scalar_functions().get(name).cloned() {
            let renamed = function.as_ref().clone().with_aliases([alias]);
            state.register_udf(Arc::new(renamed))?;
        }
    }
    if let Some(engine) = state.aggregate_functions().get("sum").cloned() {
        state.register_udaf(Arc::new(sum::checked(engine)))?;
    }
    for name in ["array_agg", "string_agg"] {
        if let Some(engine) = state.aggregate_functions().get(name).cloned() {
            state.register_udaf(Arc::new(gathered::bounded(engine)))?;
        }
    }
    state.register_expr_planner(Arc::new(operators))
}

/// Other names of the engine's functions.
const ALSO: [(&str, &str); 12] = [
    ("len", "character_length"),
    ("ucase", "upper"),
    ("lcase", "lower"),
    ("mid", "substr"),
    ("ceiling", "ceil"),
    ("sign", "signum"),
    ("rand", "random"),
    ("truncate", "trunc"),
    ("char", "chr"),
    ("variance", "var"),
    ("newid", "uuid"),
    ("regexp_substr", "regexp_match"),
];

/// The site whose clock and calendar functions read.
#[derive(Clone)]
pub(crate) struct Site {
    calendar: Arc<Calendar>,
    clock: SharedClock,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Site({})", self.calendar.timezone())
    }
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.calendar, &other.calendar)
    }
}

impl Site {
    fn today(&self) -> NaiveDate {
        self.calendar.local(self.clock.now()).date_naive()
    }

    /// What the wall clock shows; `None` beyond the calendar.
    fn wall(&self, micros: i64) -> Option<NaiveDateTime> {
        let utc = DateTime::from_timestamp_micros(micros)?;
        let wall = self.calendar.local(utc).naive_local();
        // Beyond the calendar's edge the clock stands still.
        ((wall - utc.naive_utc()).abs() <= TimeDelta::days(1)).then_some(wall)
    }

    /// Microseconds since 1970 of a wall time; one that a clock change skips counts by the offset before.
    fn instant(&self, wall: NaiveDateTime) -> i64 {
        let zone = self.calendar.timezone();
        let at = zone.from_local_datetime(&wall).earliest();
        let at = at.or_else(|| {
            let before =
                zone.from_local_datetime(&wall.checked_sub_signed(TimeDelta::hours(3))?).earliest()?;
            before.checked_add_signed(TimeDelta::hours(3))
        });
        at.map_or_else(|| wall.and_utc().timestamp_micros(), |at| at.timestamp_micros())
    }
}

/// Registers them for one query; `now` stays the same for its whole length.
pub(crate) fn register(context: &SessionContext, calendar: &Arc<Calendar>, now: Timestamp) {
    // It would ask the operating system.
    context.deregister_udf("current_time");
    let today = days(calendar.local(now).date_naive());
    let moment = ScalarValue::TimestampMicrosecond(Some(micros(now)), Some("UTC".into()));
    let fixed = [
        Fixed {
            name: "now",
            aliases: ["current_timestamp", "sysdate", "getdate", "systimestamp"].map(str::to_owned).to_vec(),
            value: moment,
        },
        Fixed {
            name: "current_date",
            aliases: vec!["today".into(), "curdate".into()],
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
        admission::check(&args.config_options)?;
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
            let offset = wall - utc.naive_utc();
            // Beyond the calendar's edge the clock stands still.
            if offset.abs() > TimeDelta::days(1) {
                return None;
            }
            (self.hour, self.offset) = (quarter, offset.num_microseconds()?);
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
