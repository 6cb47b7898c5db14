//! One clean column: compiled once, then run over batches.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use chrono_tz::Tz;
use store::{Problem, nearest};

use super::civil::{DAY_MICROS, LocalClock};
use super::kind::Kind;
use super::moment::{Format, Moment};
use super::number::{Factor, Number, advice, is_shortened};
use super::reject::Reason;
use super::spec::ColumnSpec;
use super::target::{Dates, Decimals, Formats, Instants, Notation, Numbers, Target};
use super::text::{Cell, TextReader};
use super::unit::Unit;

/// How one output column is made, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) kind: Kind,
    reader: TextReader,
    /// A typed source has to become text first: codes and null words are texts.
    as_text: bool,
    /// What stands before or behind an amount in the column's own currency.
    currencies: Vec<String>,
    formats: Formats,
    notation: Notation,
    factor: Factor,
    required: bool,
    default: Option<String>,
}

/// A row of a batch that does not fit, and why.
pub(crate) type Failure = (usize, Reason);

impl Column {
    /// Compiles the description of column `name`. The problem's path starts at the column.
    pub(crate) fn compile(name: &str, spec: &ColumnSpec, site: Tz) -> Result<Self, Problem> {
        let zone = match &spec.zone {
            None => site,
            Some(text) => text.parse().map_err(|_| unknown_zone(text))?,
        };
        let mut formats = Vec::new();
        for (index, text) in spec.formats.iter().enumerate() {
            let format = Format::parse(text).map_err(|message| {
                Problem::new(message).at_key("formats").at_index(index).hint(
                    "use strftime codes such as `%Y-%m-%d %H:%M:%S`, or `excel`, `iso`, `unix`, `unix_ms`",
                )
            })?;
            formats.push(format);
        }
        if formats.is_empty() {
            formats.push(Format::Flexible);
        }
        let notation = match (&spec.amount, spec.unit) {
            (Some(_), _) | (None, Some(Unit::Yuan(_))) => Notation::Amount,
            // Who says what the decimal sign is has numbers with groups.
            (None, None) if spec.decimal.is_some() => Notation::Amount,
            (None, Some(Unit::Ratio(_))) => Notation::Share,
            (None, _) => Notation::Plain,
        };
        Ok(Self {
            name: name.to_owned(),
            source: spec.source(name).to_owned(),
            kind: spec.kind,
            reader: TextReader::new(spec)?,
            as_text: spec.reads_texts(),
            currencies: spec.amount.as_ref().map(|amount| amount.currencies.clone()).unwrap_or_default(),
            formats: Formats { formats, clock: LocalClock::new(zone) },
            notation,
            factor: spec.unit.map_or((1, 1), Unit::factor),
            required: spec.required,
            default: spec.default.clone(),
        })
    }

    pub(crate) fn require(&mut self) {
        self.required = true;
    }

    /// Reads one batch's source array. Rows that do not fit are null in the array and listed; so are, behind them,
    /// rows whose value was rounded.
    pub(crate) fn run(&self, source: &ArrayRef) -> (ArrayRef, Vec<Failure>, Vec<usize>) {
        let rows = source.len();
        let formats = self.formats.clone();
        match self.kind {
            Kind::Text => self.fill(source, StringBuilder::with_capacity(rows, rows * 12)),
            Kind::Int => self.fill(source, self.numbers(Int64Builder::with_capacity(rows))),
            Kind::Float => self.fill(source, self.numbers(Float64Builder::with_capacity(rows))),
            Kind::Decimal(size) => self.fill(source, self.numbers(Decimals::new(size, rows))),
            Kind::Bool => self.fill(source, BooleanBuilder::with_capacity(rows)),
            Kind::Date => self.fill(source, Dates { builder: Date32Builder::with_capacity(rows), formats }),
            Kind::Timestamp => {
                let builder = TimestampMicrosecondBuilder::with_capacity(rows);
                self.fill(source, Instants { builder, formats })
            }
        }
    }

    /// Reads one text; where it does not fit, the reason says what would read it.
    fn text(&self, target: &mut impl Target, text: &str) -> Result<(), Reason> {
        if self.kind == Kind::Int && is_shortened(text) {
            return Err(Reason::Shortened);
        }
        let bare = self.without_currency(text);
        target.text(bare).map_err(|reason| match reason {
            Reason::NotANumber => advice(text).unwrap_or(reason),
            other => other,
        })
    }

    fn without_currency<'t>(&self, text: &'t str) -> &'t str {
        for mark in self.currencies.iter().filter(|mark| !mark.is_empty()) {
            if let Some(bare) = text.strip_prefix(mark.as_str()).or_else(|| text.strip_suffix(mark.as_str()))
            {
                return bare.trim();
            }
        }
        text
    }

    fn numbers<B>(&self, builder: B) -> Numbers<B> {
        Numbers { builder, notation: self.notation, factor: self.factor }
    }

    fn fill<T: Target>(&self, source: &ArrayRef, target: T) -> (ArrayRef, Vec<Failure>, Vec<usize>) {
        let mut filling = Filling { column: self, target, failures: Vec::new() };
        filling.all(source);
        let rounded = filling.target.rounded();
        (filling.target.finish(), filling.failures, rounded)
    }

    /// True when numbers stand for moments: `excel` and `unix`.
    fn reads_numbers_as_moments(&self) -> bool {
        self.formats.formats.iter().any(|f| matches!(f, Format::Excel | Format::Unix { .. }))
    }
}

fn unknown_zone(text: &str) -> Problem {
    let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let hint = match nearest(text, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "use a name of the tz database such as `Asia/Shanghai`".to_owned(),
    };
    Problem::new(format!("unknown time zone `{text}`")).at_key("zone").hint(hint)
}

/// One run of a column over one array.
struct Filling<'a, T> {
    column: &'a Column,
    target: T,
    failures: Vec<Failure>,
}

impl<T: Target> Filling<'_, T> {
    fn all(&mut self, source: &ArrayRef) {
        let typed = !self.column.as_text;
        let moments = self.column.kind.is_time();
        match source.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => self.texts(source),
            t if typed && t.is_integer() && (!moments || self.column.reads_numbers_as_moments()) => {
                self.wholes(source);
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 if typed => self.reals(source),
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..)
                if typed =>
            {
                self.exacts(source);
            }
            DataType::Boolean if typed => self.flags(source),
            DataType::Date32 | DataType::Date64 if typed && moments => self.days(source),
            DataType::Timestamp(_, zone) if typed && moments => {
                let offset = zone.is_some().then_some(0);
                self.instants(source, offset);
            }
            DataType::Null => (0..source.len()).for_each(|row| self.none(row)),
            _ => self.texts(source),
        }
    }

    fn texts(&mut self, source: &ArrayRef) {
        let Some(array) = converted(source, &DataType::Utf8) else {
            return self.nothing_fits(source);
        };
        let array = array.as_string::<i32>();
        let mut scratch = String::new();
        for row in 0..array.len() {
            if array.is_null(row) || (source.is_null(row)) {
                self.none(row);
                continue;
            }
            match self.column.reader.read(array.value(row), &mut scratch) {
                Cell::Null => self.none(row),
                Cell::Text(text) => {
                    let outcome = self.column.text(&mut self.target, text);
                    self.note(row, outcome);
                }
                Cell::Unknown => self.note(row, Err(Reason::UnknownCode)),
                Cell::Unmatched => self.note(row, Err(Reason::NoMatch)),
            }
        }
    }

    fn wholes(&mut self, source: &ArrayRef) {
        let Some(array) = converted(source, &DataType::Int64) else {
            return self.nothing_fits(source);
        };
        let array = array.as_primitive::<Int64Type>();
        self.each(source, |target, row| match array.is_valid(row) {
            true => target.exact(Number::whole(array.value(row))),
            false => Err(Reason::TooLarge),
        });
    }

    fn reals(&mut self, source: &ArrayRef) {
        let Some(array) = converted(source, &DataType::Float64) else {
            return self.nothing_fits(source);
        };
        let array = array.as_primitive::<Float64Type>();
        self.each(source, |target, row| target.real(array.value(row)));
    }

    fn exacts(&mut self, source: &ArrayRef) {
        let scale = match source.data_type() {
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => (*scale).max(0),
            _ => 0,
        };
        let Some(array) = converted(source, &DataType::Decimal128(38, scale)) else {
            return self.nothing_fits(source);
        };
        let array = array.as_primitive::<Decimal128Type>();
        self.each(source, |target, row| match array.is_valid(row) {
            true => {
                target.exact(Number { mantissa: array.value(row), scale: u32::from(scale.unsigned_abs()) })
            }
            false => Err(Reason::TooLarge),
        });
    }

    fn flags(&mut self, source: &ArrayRef) {
        let array = source.as_boolean();
        self.each(source, |target, row| target.flag(array.value(row)));
    }

    fn days(&mut self, source: &ArrayRef) {
        let Some(array) = converted(source, &DataType::Date32) else {
            return self.nothing_fits(source);
        };
        let array = array.as_primitive::<Date32Type>();
        self.each(source, |target, row| {
            target.moment(Moment { micros: i64::from(array.value(row)) * DAY_MICROS, offset: None })
        });
    }

    fn instants(&mut self, source: &ArrayRef, offset: Option<i32>) {
        let zone = offset.map(|_| "UTC".into());
        let Some(array) = converted(source, &DataType::Timestamp(TimeUnit::Microsecond, zone)) else {
            return self.nothing_fits(source);
        };
        let array = array.as_primitive::<TimestampMicrosecondType>();
        self.each(source, |target, row| target.moment(Moment { micros: array.value(row), offset }));
    }

    fn each(&mut self, source: &ArrayRef, value: impl Fn(&mut T, usize) -> Result<(), Reason>) {
        for row in 0..source.len() {
            if source.is_null(row) {
                self.none(row);
            } else {
                let outcome = value(&mut self.target, row);
                self.note(row, outcome);
            }
        }
    }

    /// No value: the default, or a failure when one is required.
    fn none(&mut self, row: usize) {
        match &self.column.default {
            Some(text) => {
                let outcome = self.target.text(text);
                self.note(row, outcome);
            }
            None if self.column.required => self.note(row, Err(Reason::Missing)),
            None => self.target.null(),
        }
    }

    fn note(&mut self, row: usize, outcome: Result<(), Reason>) {
        if let Err(reason) = outcome {
            self.target.null();
            self.failures.push((row, reason));
        }
    }

    fn nothing_fits(&mut self, source: &ArrayRef) {
        self.each(source, |_, _| Err(Reason::WrongType));
    }
}

/// The array in another type; values that do not fit become null. None when no cast exists.
fn converted(source: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    if source.data_type() == to {
        return Some(source.clone());
    }
    cast_with_options(source, to, &CastOptions { safe: true, ..CastOptions::default() }).ok()
}
