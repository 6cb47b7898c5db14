//! Functions that people who know MySQL, PostgreSQL or Oracle try first, under the names that they have there.
//!
//! A moment with a zone is read on the wall clock of the site, one without as it stands.

mod moment;
mod pattern;
mod rewritten;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result as DfResult, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use self::moment::{Moments, Unit};
use self::pattern::Pattern;
use super::admission::{admit, check};
use super::{Site, days};

/// All of them; `engine` finds those of the engine that some of them build on.
pub(super) fn functions(site: &Site, engine: &dyn Fn(&str) -> Option<Arc<ScalarUDF>>) -> Vec<ScalarUDF> {
    let mut all: Vec<ScalarUDF> = WORDS
        .iter()
        .map(|(name, aliases, word)| {
            ScalarUDF::new_from_impl(Portable {
                name,
                aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
                word: *word,
                signature: Signature::user_defined(Volatility::Immutable),
                site: site.clone(),
                inner: None,
            })
        })
        .collect();
    // Those that the engine has too, under patterns of its own kind.
    for (name, word) in
        [("to_char", Word::ToChar), ("to_date", Word::ToDate), ("to_timestamp", Word::ToTimestamp)]
    {
        all.push(ScalarUDF::new_from_impl(Portable {
            name,
            aliases: vec![],
            word,
            signature: Signature::user_defined(Volatility::Immutable),
            site: site.clone(),
            inner: engine(name),
        }));
    }
    all.extend(rewritten::functions(engine("decode")));
    all
}

const WORDS: [(&str, &[&str], Word); 31] = [
    ("year", &[], Word::Part(Part::Year)),
    ("quarter", &[], Word::Part(Part::Quarter)),
    ("month", &[], Word::Part(Part::Month)),
    ("week", &["weekofyear"], Word::Part(Part::Week)),
    ("day", &["dayofmonth"], Word::Part(Part::Day)),
    ("dayofyear", &[], Word::Part(Part::DayOfYear)),
    ("dayofweek", &[], Word::Part(Part::DayOfWeek)),
    ("weekday", &[], Word::Part(Part::Weekday)),
    ("hour", &[], Word::Part(Part::Hour)),
    ("minute", &[], Word::Part(Part::Minute)),
    ("second", &[], Word::Part(Part::Second)),
    ("monthname", &[], Word::Name("FMMonth")),
    ("dayname", &[], Word::Name("FMDay")),
    ("last_day", &[], Word::LastDay),
    ("date", &[], Word::Date),
    ("datediff", &[], Word::DateDiff),
    ("date_diff", &[], Word::DateDiff),
    ("timestampdiff", &[], Word::TimestampDiff),
    ("dateadd", &[], Word::DateAdd(1)),
    ("timestampadd", &[], Word::DateAdd(1)),
    ("date_add", &["adddate"], Word::DateAdd(1)),
    ("date_sub", &["subdate"], Word::DateAdd(-1)),
    ("add_months", &[], Word::AddMonths),
    ("months_between", &[], Word::MonthsBetween),
    ("age", &[], Word::Age),
    ("date_format", &[], Word::DateFormat),
    ("strftime", &[], Word::Strftime),
    ("str_to_date", &[], Word::StrToDate),
    ("unix_timestamp", &[], Word::UnixTimestamp),
    ("space", &[], Word::Space),
    ("locate", &["charindex"], Word::Locate),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Year,
    Quarter,
    Month,
    /// Of ISO 8601.
    Week,
    Day,
    DayOfYear,
    /// 1 is Sunday, as in MySQL.
    DayOfWeek,
    /// 0 is Monday, as in MySQL.
    Weekday,
    Hour,
    Minute,
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Part(Part),
    Name(&'static str),
    LastDay,
    Date,
    /// `(a, b)`: days from b to a. `('unit', a, b)`: borders of the unit from a to b.
    DateDiff,
    /// `('unit', a, b)`: whole units from a to b.
    TimestampDiff,
    /// `(date, days)`, `(date, interval)`, `('unit', n, date)`.
    DateAdd(i64),
    AddMonths,
    MonthsBetween,
    Age,
    DateFormat,
    Strftime,
    StrToDate,
    UnixTimestamp,
    ToChar,
    ToDate,
    ToTimestamp,
    Space,
    Locate,
}

#[derive(Debug)]
struct Portable {
    name: &'static str,
    aliases: Vec<String>,
    word: Word,
    signature: Signature,
    site: Site,
    inner: Option<Arc<ScalarUDF>>,
}

impl PartialEq for Portable {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.site == other.site
    }
}

impl Eq for Portable {}

impl std::hash::Hash for Portable {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// No piece of a pattern is written with more bytes for each of its own.
const LONGEST: u64 = 24;

const WALL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A moment as a function takes it: dates and times stay what they are, texts are read as times.
fn time_like(kind: &DataType) -> DfResult<DataType> {
    Ok(match kind {
        DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => kind.clone(),
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => WALL,
        other => return plan_err!("a date or time is wanted here, not {other}"),
    })
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

impl Portable {
    /// The engine's own function stands in for what is not ours: its patterns, and values that are no times.
    fn engines(&self, args: &[DataType], pattern: Option<&str>) -> Option<&Arc<ScalarUDF>> {
        let inner = self.inner.as_ref()?;
        let engines = match self.word {
            Word::ToChar => args.first().and_then(|kind| time_like(kind).ok()).is_none(),
            Word::ToDate | Word::ToTimestamp => args.len() < 2 || !args.first().is_some_and(is_text),
            _ => false,
        };
        let percent = pattern.is_some_and(|pattern| pattern.contains('%'));
        (engines || percent || args.len() > 2).then_some(inner)
    }

    fn wrong<T>(&self, wanted: &str) -> DfResult<T> {
        plan_err!("{}: write {wanted}", self.name)
    }
}

/// A constant text among the arguments.
fn constant(value: Option<&Option<&ScalarValue>>) -> Option<String> {
    (*value?)?.try_as_str().flatten().map(str::to_owned)
}

impl ScalarUDFImpl for Portable {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        let utf8 = DataType::Utf8;
        Ok(match (self.word, args) {
            (Word::Part(_) | Word::Name(_) | Word::LastDay | Word::Date | Word::UnixTimestamp, [at]) => {
                vec![time_like(at)?]
            }
            (Word::DateDiff, [a, b]) | (Word::MonthsBetween | Word::Age, [a, b]) => {
                vec![time_like(a)?, time_like(b)?]
            }
            (Word::Age, [at]) => vec![time_like(at)?],
            // BigQuery and others put the unit last.
            (Word::DateDiff, [a, b, unit]) if is_text(unit) && !is_text(a) => {
                vec![time_like(a)?, time_like(b)?, utf8]
            }
            (Word::DateDiff | Word::TimestampDiff, [_, a, b]) => vec![utf8, time_like(a)?, time_like(b)?],
            (Word::DateAdd(_), [at, DataType::Interval(_)]) => {
                vec![
                    time_like(at)?,
                    DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano),
                ]
            }
            (Word::DateAdd(_) | Word::AddMonths, [at, _]) => vec![time_like(at)?, DataType::Int64],
            (Word::DateAdd(_), [_, _, at]) => vec![utf8, DataType::Int64, time_like(at)?],
            (Word::DateFormat, [at, _]) => vec![time_like(at)?, utf8],
            // SQLite writes the pattern first.
            (Word::Strftime, [first, second]) if is_text(first) && !is_text(second) => {
                vec![utf8, time_like(second)?]
            }
            (Word::Strftime, [first, _]) => vec![time_like(first)?, utf8],
            (Word::StrToDate, [_, _]) => vec![utf8.clone(), utf8],
            (Word::Space, [_]) => vec![DataType::Int64],
            (Word::Locate, [_, _]) => vec![utf8.clone(), utf8],
            (Word::Locate, [_, _, _]) => vec![utf8.clone(), utf8, DataType::Int64],
            (Word::ToChar, [at, _]) if time_like(at).is_ok() => vec![time_like(at)?, utf8],
            (Word::ToDate | Word::ToTimestamp, [text, pattern]) if is_text(text) && is_text(pattern) => {
                vec![utf8.clone(), utf8]
            }
            _ => match &self.inner {
                Some(inner) => match inner.signature().type_signature {
                    datafusion::logical_expr::TypeSignature::UserDefined => inner.coerce_types(args)?,
                    _ => datafusion::logical_expr::type_coercion::functions::fields_with_udf(
                        &fields(args),
                        inner.as_ref(),
                    )?
                    .iter()
                    .map(|field| field.data_type().clone())
                    .collect(),
                },
                None => return self.wrong(self.word.usage()),
            },
        })
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        plan_err!("{} is typed by its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let pattern = constant(args.scalar_arguments.get(1));
        if let Some(inner) = self.engines(&kinds, pattern.as_deref()) {
            return inner.return_field_from_args(args);
        }
        let kind = match self.word {
            Word::Part(_) => DataType::Int32,
            Word::Name(_) | Word::DateFormat | Word::Strftime | Word::ToChar | Word::Space => DataType::Utf8,
            Word::LastDay | Word::Date | Word::ToDate => DataType::Date32,
            Word::DateDiff | Word::TimestampDiff | Word::UnixTimestamp => DataType::Int64,
            Word::Locate => DataType::Int32,
            Word::MonthsBetween => DataType::Float64,
            Word::Age => DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano),
            Word::ToTimestamp => WALL,
            Word::AddMonths => kinds.first().cloned().unwrap_or(WALL),
            Word::DateAdd(_) => {
                let at = if kinds.len() == 3 { kinds.last() } else { kinds.first() };
                let at = at.cloned().unwrap_or(WALL);
                let unit = constant(args.scalar_arguments.first()).and_then(|unit| Unit::read(&unit));
                let timed = kinds.len() == 3 && unit.is_none_or(Unit::is_time);
                // A date and some hours is a time.
                if at == DataType::Date32 && timed { WALL } else { at }
            }
            Word::StrToDate => match pattern.as_deref().map(Pattern::read) {
                Some(Ok(pattern)) if !pattern.has_time() => DataType::Date32,
                Some(Err(why)) => return plan_err!("{}: {why}", self.name),
                _ => WALL,
            },
        };
        Ok(Arc::new(Field::new(self.name, kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        check(&args.config_options)?;
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let pattern = match args.args.get(1) {
            Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        };
        if let Some(inner) = self.engines(&kinds, pattern.as_deref()) {
            let pattern = pattern.map_or(0, |pattern| pattern.len() as u64 * LONGEST);
            admit(self.name, pattern, pattern.saturating_mul(args.number_rows as u64))?;
            return inner.invoke_with_args(args);
        }
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<DfResult<_>>()?;
        let made = self.rows(&arrays, rows, args.return_field.data_type())?;
        let made = if made.data_type() == args.return_field.data_type() {
            made
        } else {
            cast(&made, args.return_field.data_type())?
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
    }
}

fn fields(kinds: &[DataType]) -> Vec<FieldRef> {
    kinds.iter().map(|kind| Arc::new(Field::new("", kind.clone(), true))).collect()
}

impl Word {
    /// How it is called, for who called it otherwise.
    fn usage(self) -> &'static str {
        match self {
            Word::Part(_) | Word::Name(_) | Word::LastDay | Word::Date | Word::UnixTimestamp => "f(time)",
            Word::DateDiff => "datediff(later, earlier) for days, or datediff('month', from, to)",
            Word::TimestampDiff => "timestampdiff('month', from, to)",
            Word::DateAdd(_) => {
                "date_add(time, days), date_add(time, interval '1 month') or dateadd('month', 1, time)"
            }
            Word::AddMonths => "add_months(time, months)",
            Word::MonthsBetween => "months_between(later, earlier)",
            Word::Age => "age(later, earlier)",
            Word::DateFormat | Word::Strftime => "date_format(time, '%Y-%m-%d')",
            Word::StrToDate => "str_to_date(text, '%Y-%m-%d')",
            Word::ToChar => "to_char(time, 'YYYY-MM-DD')",
            Word::ToDate => "to_date(text, 'YYYY-MM-DD')",
            Word::ToTimestamp => "to_timestamp(text, 'YYYY-MM-DD HH24:MI:SS')",
            Word::Space => "space(n)",
            Word::Locate => "locate(part, text)",
        }
    }
}

impl Portable {
    fn rows(&self, args: &[ArrayRef], rows: usize, returns: &DataType) -> DfResult<ArrayRef> {
        let moments = |n: usize| Moments::new(&args[n], &self.site);
        let all = 0..rows;
        Ok(match self.word {
            Word::Part(part) => {
                let at = moments(0)?;
                int32(all.map(|row| Ok(at.wall(row)?.map(|wall| moment::part(part, wall)))))?
            }
            Word::Name(pattern) => {
                let (at, pattern) = (moments(0)?, Pattern::template(pattern));
                texts(rows, |row, out| {
                    let wall = at.wall(row)?;
                    Ok(wall.map(|wall| pattern.write(wall, out)).is_some())
                })?
            }
            Word::Date => {
                let at = moments(0)?;
                dates(all.map(|row| Ok(at.wall(row)?.map(|wall| wall.date()))))?
            }
            Word::LastDay => {
                let at = moments(0)?;
                dates(all.map(|row| Ok(at.wall(row)?.and_then(|wall| moment::last_day(wall.date())))))?
            }
            Word::DateDiff if args.len() == 2 => {
                let (a, b) = (moments(0)?, moments(1)?);
                int64(all.map(|row| {
                    let pair = a.wall(row)?.zip(b.wall(row)?);
                    Ok(pair.map(|(a, b)| (a.date() - b.date()).num_days()))
                }))?
            }
            Word::DateDiff | Word::TimestampDiff => {
                let last = is_text(args[2].data_type());
                let (unit, a, b) =
                    if last { (2, moments(0)?, moments(1)?) } else { (0, moments(1)?, moments(2)?) };
                let whole = self.word == Word::TimestampDiff;
                let unit = text_of(&args[unit])?;
                int64(all.map(|row| {
                    let (Some(unit), Some(a), Some(b)) = (unit.at(row), a.wall(row)?, b.wall(row)?) else {
                        return Ok(None);
                    };
                    let unit = self.unit(unit)?;
                    // The unit last: (later, earlier, unit).
                    let (a, b) = if last { (b, a) } else { (a, b) };
                    Ok(Some(if whole { unit.between(a, b) } else { unit.borders(a, b) }))
                }))?
            }
            Word::DateAdd(sign) if args.len() == 3 => {
                let (unit, n, at) = (text_of(&args[0])?, numbers(&args[1])?, moments(2)?);
                self.moved(all, &at, returns, |row| {
                    let (Some(unit), Some(n)) = (unit.at(row), n.at(row)) else { return Ok(None) };
                    Ok(Some(self.unit(unit)?.times(n.checked_mul(sign)).ok_or_else(|| self.beyond())?))
                })?
            }
            Word::DateAdd(sign) if matches!(args[1].data_type(), DataType::Interval(_)) => {
                let intervals =
                    args[1].as_primitive::<datafusion::arrow::datatypes::IntervalMonthDayNanoType>();
                let at = moments(0)?;
                self.moved(all, &at, returns, |row| {
                    Ok(intervals.is_valid(row).then(|| {
                        let i = intervals.value(row);
                        moment::Shift {
                            months: i64::from(i.months) * sign,
                            days: i64::from(i.days) * sign,
                            micros: i.nanoseconds / 1000 * sign,
                        }
                    }))
                })?
            }
            Word::DateAdd(sign) => {
                let (at, n) = (moments(0)?, numbers(&args[1])?);
                self.moved(all, &at, returns, |row| {
                    n.at(row)
                        .map(|n| Unit::Day.times(n.checked_mul(sign)).ok_or_else(|| self.beyond()))
                        .transpose()
                })?
            }
            Word::AddMonths => {
                let (at, n) = (moments(0)?, numbers(&args[1])?);
                self.moved_by(all, &at, returns, |row, wall| {
                    let Some(n) = n.at(row) else { return Ok(None) };
                    moment::add_months(wall, n).map(Some).ok_or_else(|| self.beyond())
                })?
            }
            Word::MonthsBetween => {
                let (a, b) = (moments(0)?, moments(1)?);
                let months = all
                    .map(|row| Ok(a.wall(row)?.zip(b.wall(row)?).map(|(a, b)| moment::months_between(a, b))));
                Arc::new(months.collect::<DfResult<datafusion::arrow::array::Float64Array>>()?)
            }
            Word::Age => {
                let (a, b) =
                    if args.len() == 2 { (moments(0)?, Some(moments(1)?)) } else { (moments(0)?, None) };
                let today = self.site.today().and_time(chrono::NaiveTime::MIN);
                let ages = all.map(|row| {
                    let pair = match &b {
                        Some(b) => a.wall(row)?.zip(b.wall(row)?),
                        None => Some(today).zip(a.wall(row)?),
                    };
                    Ok(pair.map(|(a, b)| moment::age(a, b)))
                });
                Arc::new(ages.collect::<DfResult<datafusion::arrow::array::IntervalMonthDayNanoArray>>()?)
            }
            Word::DateFormat | Word::ToChar => self.formatted(&moments(0)?, &text_of(&args[1])?, rows)?,
            Word::Strftime if is_text(args[0].data_type()) => {
                self.formatted(&moments(1)?, &text_of(&args[0])?, rows)?
            }
            Word::Strftime => self.formatted(&moments(0)?, &text_of(&args[1])?, rows)?,
            Word::StrToDate | Word::ToDate | Word::ToTimestamp => {
                let (text, pattern) = (text_of(&args[0])?, text_of(&args[1])?);
                let mut patterns = Patterns::new(self);
                let read = all.map(|row| {
                    let (Some(text), Some(pattern)) = (text.at(row), pattern.at(row)) else {
                        return Ok(None);
                    };
                    match patterns.get(pattern)?.parse(text) {
                        Ok(at) => Ok(Some(at.and_utc().timestamp_micros())),
                        Err(why) => exec_err!("{}: {why}", self.name),
                    }
                });
                Arc::new(read.collect::<DfResult<TimestampMicrosecondArray>>()?)
            }
            Word::UnixTimestamp => {
                let at = moments(0)?;
                int64(all.map(|row| Ok(at.instant(row)?.map(|micros| micros.div_euclid(1_000_000)))))?
            }
            Word::Space => {
                let n = numbers(&args[0])?;
                let each = |row| n.at(row).unwrap_or(0).max(0) as u64;
                let total = (0..rows).fold(0u64, |sum, row| sum.saturating_add(each(row)));
                admit(self.name, (0..rows).map(each).max().unwrap_or(0), total)?;
                texts(rows, |row, out| {
                    let Some(n) = n.at(row) else { return Ok(false) };
                    out.extend(std::iter::repeat_n(' ', n.max(0) as usize));
                    Ok(true)
                })?
            }
            Word::Locate => {
                let (part, text) = (text_of(&args[0])?, text_of(&args[1])?);
                let from = args.get(2).map(numbers).transpose()?;
                int32(all.map(|row| {
                    let (Some(part), Some(text)) = (part.at(row), text.at(row)) else { return Ok(None) };
                    let skip = from.as_ref().and_then(|from| from.at(row)).unwrap_or(1).max(1) as usize - 1;
                    let start = text.char_indices().nth(skip).map(|(at, _)| at);
                    let found = start.and_then(|start| Some(start + text[start..].find(part)?));
                    Ok(Some(found.map_or(0, |at| text[..at].chars().count() as i32 + 1)))
                }))?
            }
        })
    }

    fn unit(&self, text: &str) -> DfResult<Unit> {
        match Unit::read(text) {
            Some(unit) => Ok(unit),
            None => exec_err!(
                "{}: `{text}` is not a unit; use year, quarter, month, week, day, hour, minute or second",
                self.name
            ),
        }
    }

    fn beyond(&self) -> datafusion::common::DataFusionError {
        datafusion::common::exec_datafusion_err!("{}: the result lies beyond the calendar", self.name)
    }

    /// Each moment moved on, in the type of `returns`.
    fn moved(
        &self,
        rows: std::ops::Range<usize>,
        at: &Moments,
        returns: &DataType,
        by: impl Fn(usize) -> DfResult<Option<moment::Shift>>,
    ) -> DfResult<ArrayRef> {
        self.moved_by(rows, at, returns, |row, wall| {
            let Some(shift) = by(row)? else { return Ok(None) };
            shift.of(wall).map(Some).ok_or_else(|| self.beyond())
        })
    }

    fn moved_by(
        &self,
        rows: std::ops::Range<usize>,
        at: &Moments,
        returns: &DataType,
        to: impl Fn(usize, chrono::NaiveDateTime) -> DfResult<Option<chrono::NaiveDateTime>>,
    ) -> DfResult<ArrayRef> {
        let moved = rows.map(|row| match at.wall(row)? {
            Some(wall) => to(row, wall),
            None => Ok(None),
        });
        match returns {
            DataType::Date32 => dates(moved.map(|wall| Ok(wall?.map(|wall| wall.date())))),
            DataType::Timestamp(_, zone) => {
                let micros = moved.map(|wall| Ok(wall?.map(|wall| at.micros(wall))));
                let made = micros.collect::<DfResult<TimestampMicrosecondArray>>()?;
                Ok(Arc::new(made.with_timezone_opt(zone.clone())))
            }
            other => exec_err!("{} cannot answer {other}", self.name),
        }
    }

    fn formatted(&self, at: &Moments, pattern: &Texts, rows: usize) -> DfResult<ArrayRef> {
        let longest = (0..rows).filter_map(|row| pattern.at(row)).map(str::len).max().unwrap_or(0) as u64;
        admit(self.name, longest * LONGEST, longest.saturating_mul(LONGEST).saturating_mul(rows as u64))?;
        let mut patterns = Patterns::new(self);
        texts(rows, |row, out| {
            let (Some(wall), Some(pattern)) = (at.wall(row)?, pattern.at(row)) else { return Ok(false) };
            patterns.get(pattern)?.write(wall, out);
            Ok(true)
        })
    }
}

/// The pattern read last, which nearly always is the next one too.
struct Patterns<'a> {
    of: &'a Portable,
    last: Option<(String, Pattern)>,
}

impl<'a> Patterns<'a> {
    fn new(of: &'a Portable) -> Self {
        Self { of, last: None }
    }

    fn get(&mut self, text: &str) -> DfResult<&Pattern> {
        if self.last.as_ref().is_none_or(|(known, _)| known != text) {
            let sqlites = self.of.word == Word::Strftime;
            // SQLite, Python and others write the minute as %M.
            let read = if sqlites { text.replace("%M", "%i").replace("%B", "%M") } else { text.to_owned() };
            match Pattern::read(&read) {
                Ok(pattern) => self.last = Some((text.to_owned(), pattern)),
                Err(why) => return exec_err!("{}: {why}", self.of.name),
            }
        }
        match &self.last {
            Some((_, pattern)) => Ok(pattern),
            None => exec_err!("{} has no pattern", self.of.name),
        }
    }
}

struct Texts(ArrayRef);

fn text_of(array: &ArrayRef) -> DfResult<Texts> {
    Ok(Texts(cast(array, &DataType::Utf8)?))
}

impl Texts {
    fn at(&self, row: usize) -> Option<&str> {
        let array = self.0.as_string::<i32>();
        array.is_valid(row).then(|| array.value(row))
    }
}

struct Numbers(ArrayRef);

fn numbers(array: &ArrayRef) -> DfResult<Numbers> {
    Ok(Numbers(cast(array, &DataType::Int64)?))
}

impl Numbers {
    fn at(&self, row: usize) -> Option<i64> {
        let array = self.0.as_primitive::<datafusion::arrow::datatypes::Int64Type>();
        array.is_valid(row).then(|| array.value(row))
    }
}

fn int32(values: impl Iterator<Item = DfResult<Option<i32>>>) -> DfResult<ArrayRef> {
    Ok(Arc::new(values.collect::<DfResult<datafusion::arrow::array::Int32Array>>()?))
}

fn int64(values: impl Iterator<Item = DfResult<Option<i64>>>) -> DfResult<ArrayRef> {
    Ok(Arc::new(values.collect::<DfResult<datafusion::arrow::array::Int64Array>>()?))
}

fn dates(values: impl Iterator<Item = DfResult<Option<chrono::NaiveDate>>>) -> DfResult<ArrayRef> {
    let numbers = values.map(|date| Ok(date?.map(days)));
    Ok(Arc::new(numbers.collect::<DfResult<Date32Array>>()?))
}

/// `write` appends a row's text, or says that there is none.
fn texts(rows: usize, mut write: impl FnMut(usize, &mut String) -> DfResult<bool>) -> DfResult<ArrayRef> {
    let mut made = StringBuilder::new();
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        let known = write(row, &mut text)?;
        made.append_option(known.then_some(&text));
    }
    Ok(Arc::new(made.finish()))
}
