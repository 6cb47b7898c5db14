//! Builders of clean columns: each takes texts and typed values and says why one does not fit.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};

use super::civil::{DAY_MICROS, LocalClock, RANGE};
use super::kind::{DecimalSize, Kind};
use super::moment::{Format, Moment};
use super::number::{Factor, Number, Read};
use super::reject::Reason;

/// A column under construction. A method that returns a reason has appended nothing.
pub(crate) trait Target {
    fn null(&mut self);
    fn text(&mut self, text: &str) -> Result<(), Reason>;
    fn exact(&mut self, _number: Number) -> Result<(), Reason> {
        Err(Reason::WrongType)
    }
    fn real(&mut self, _number: f64) -> Result<(), Reason> {
        Err(Reason::WrongType)
    }
    fn flag(&mut self, _flag: bool) -> Result<(), Reason> {
        Err(Reason::WrongType)
    }
    fn moment(&mut self, _moment: Moment) -> Result<(), Reason> {
        Err(Reason::WrongType)
    }
    fn finish(&mut self) -> ArrayRef;
    /// Rows whose value was rounded to fit; asked once, before [`Target::finish`].
    fn rounded(&mut self) -> Vec<usize> {
        Vec::new()
    }
}

impl Target for StringBuilder {
    fn null(&mut self) {
        self.append_null();
    }

    fn text(&mut self, text: &str) -> Result<(), Reason> {
        self.append_value(text);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(StringBuilder::finish(self))
    }
}

/// How a text of a number column is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notation {
    Plain,
    Amount,
    Share,
}

/// Whole numbers, floating point numbers and decimals.
pub(crate) struct Numbers<B> {
    pub(crate) builder: B,
    pub(crate) notation: Notation,
    /// Applied to values that do not carry a unit themselves.
    pub(crate) factor: Factor,
}

/// Stores a number multiplied by a factor.
pub(crate) trait NumberBuilder {
    fn empty(&mut self);
    fn store(&mut self, number: Number, factor: Factor) -> Result<(), Reason>;
    fn store_float(&mut self, value: f64) -> Result<(), Reason>;
    fn done(&mut self) -> ArrayRef;
    fn rounded(&mut self) -> Vec<usize> {
        Vec::new()
    }
}

impl<B: NumberBuilder> Target for Numbers<B> {
    fn null(&mut self) {
        self.builder.empty();
    }

    fn text(&mut self, text: &str) -> Result<(), Reason> {
        let read = match self.notation {
            Notation::Plain => Number::plain(text).map(|number| Read { number, factor: None }),
            Notation::Amount => Read::amount(text),
            Notation::Share => Read::share(text),
        };
        let read = read.ok_or(Reason::NotANumber)?;
        self.builder.store(read.number, read.factor.unwrap_or(self.factor))
    }

    fn exact(&mut self, number: Number) -> Result<(), Reason> {
        self.builder.store(number, self.factor)
    }

    fn real(&mut self, number: f64) -> Result<(), Reason> {
        let value = number * self.factor.0 as f64 / self.factor.1 as f64;
        if value.is_finite() { self.builder.store_float(value) } else { Err(Reason::NotANumber) }
    }

    fn flag(&mut self, flag: bool) -> Result<(), Reason> {
        self.builder.store(Number::whole(i64::from(flag)), (1, 1))
    }

    fn finish(&mut self) -> ArrayRef {
        self.builder.done()
    }

    fn rounded(&mut self) -> Vec<usize> {
        self.builder.rounded()
    }
}

impl NumberBuilder for Int64Builder {
    fn empty(&mut self) {
        self.append_null();
    }

    fn store(&mut self, number: Number, factor: Factor) -> Result<(), Reason> {
        let (value, exact) = number.scaled(factor, 0).ok_or(Reason::TooLarge)?;
        if !exact {
            return Err(Reason::NotWhole);
        }
        self.append_value(i64::try_from(value).map_err(|_| Reason::TooLarge)?);
        Ok(())
    }

    fn store_float(&mut self, value: f64) -> Result<(), Reason> {
        if value.fract() != 0.0 {
            return Err(Reason::NotWhole);
        }
        // Beyond 2^53 a float no longer says which whole number it means.
        if value.abs() > 9_007_199_254_740_992.0 {
            return Err(Reason::TooLarge);
        }
        self.append_value(value as i64);
        Ok(())
    }

    fn done(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl NumberBuilder for Float64Builder {
    fn empty(&mut self) {
        self.append_null();
    }

    fn store(&mut self, number: Number, factor: Factor) -> Result<(), Reason> {
        self.append_value(number.float(factor));
        Ok(())
    }

    fn store_float(&mut self, value: f64) -> Result<(), Reason> {
        self.append_value(value);
        Ok(())
    }

    fn done(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

/// A decimal builder that knows its size.
pub(crate) struct Decimals {
    builder: Decimal128Builder,
    size: DecimalSize,
    /// 10^precision: every stored value is closer to zero.
    limit: u128,
    rounded: Vec<usize>,
}

impl Decimals {
    pub(crate) fn new(size: DecimalSize, rows: usize) -> Self {
        let builder = Decimal128Builder::with_capacity(rows).with_data_type(Kind::Decimal(size).arrow());
        Self { builder, size, limit: 10u128.pow(u32::from(size.precision.min(38))), rounded: Vec::new() }
    }
}

impl NumberBuilder for Decimals {
    fn empty(&mut self) {
        self.builder.append_null();
    }

    fn store(&mut self, number: Number, factor: Factor) -> Result<(), Reason> {
        let (value, exact) = number.scaled(factor, self.size.scale).ok_or(Reason::TooLarge)?;
        if value.unsigned_abs() >= self.limit {
            return Err(Reason::TooLarge);
        }
        if !exact {
            self.rounded.push(self.builder.len());
        }
        self.builder.append_value(value);
        Ok(())
    }

    fn store_float(&mut self, value: f64) -> Result<(), Reason> {
        // The shortest text of a float is what was meant: 1.005 is not 1.00499999999999989.
        let number = Number::plain(&value.to_string()).ok_or(Reason::TooLarge)?;
        self.store(number, (1, 1))
    }

    fn done(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }

    fn rounded(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.rounded)
    }
}

impl Target for BooleanBuilder {
    fn null(&mut self) {
        self.append_null();
    }

    fn text(&mut self, text: &str) -> Result<(), Reason> {
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        let value = if is(&["1", "true", "yes", "y", "t", "on", "是", "真", "有", "对", "√"]) {
            true
        } else if is(&["0", "false", "no", "n", "f", "off", "否", "假", "无", "错", "×"]) {
            false
        } else {
            return Err(Reason::NotABool);
        };
        self.append_value(value);
        Ok(())
    }

    fn exact(&mut self, number: Number) -> Result<(), Reason> {
        match number.scaled((1, 1), 0) {
            Some((value @ (0 | 1), true)) => {
                self.append_value(value == 1);
                Ok(())
            }
            _ => Err(Reason::NotABool),
        }
    }

    fn real(&mut self, number: f64) -> Result<(), Reason> {
        match number {
            0.0 => self.append_value(false),
            1.0 => self.append_value(true),
            _ => return Err(Reason::NotABool),
        }
        Ok(())
    }

    fn flag(&mut self, flag: bool) -> Result<(), Reason> {
        self.append_value(flag);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanBuilder::finish(self))
    }
}

/// Reads moments by the formats of a column.
#[derive(Clone, Debug)]
pub(crate) struct Formats {
    pub(crate) formats: Vec<Format>,
    pub(crate) clock: LocalClock,
}

impl Formats {
    fn text(&self, text: &str) -> Option<Moment> {
        self.formats.iter().find_map(|format| format.read(text))
    }

    fn number(&self, value: f64) -> Option<Moment> {
        self.formats.iter().find_map(|format| format.number(value))
    }
}

/// Days in the column's zone.
pub(crate) struct Dates {
    pub(crate) builder: Date32Builder,
    pub(crate) formats: Formats,
}

impl Dates {
    fn store(&mut self, moment: Option<Moment>) -> Result<(), Reason> {
        let moment = moment.ok_or(Reason::NotADate)?;
        let local = match moment.offset {
            None => Some(moment.micros),
            Some(seconds) => self.formats.clock.local(moment.micros - i64::from(seconds) * 1_000_000),
        };
        let local = local.filter(|micros| RANGE.contains(micros)).ok_or(Reason::NotADate)?;
        let day = i32::try_from(local.div_euclid(DAY_MICROS)).map_err(|_| Reason::NotADate)?;
        self.builder.append_value(day);
        Ok(())
    }
}

impl Target for Dates {
    fn null(&mut self) {
        self.builder.append_null();
    }

    fn text(&mut self, text: &str) -> Result<(), Reason> {
        self.store(self.formats.text(text))
    }

    fn exact(&mut self, number: Number) -> Result<(), Reason> {
        self.real(number.float((1, 1)))
    }

    fn real(&mut self, number: f64) -> Result<(), Reason> {
        self.store(self.formats.number(number))
    }

    fn moment(&mut self, moment: Moment) -> Result<(), Reason> {
        self.store(Some(moment))
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

/// Instants in UTC.
pub(crate) struct Instants {
    pub(crate) builder: TimestampMicrosecondBuilder,
    pub(crate) formats: Formats,
}

impl Instants {
    fn store(&mut self, moment: Option<Moment>) -> Result<(), Reason> {
        let moment = moment.ok_or(Reason::NotATime)?;
        let utc = match moment.offset {
            None => self.formats.clock.utc(moment.micros),
            Some(seconds) => Some(moment.micros - i64::from(seconds) * 1_000_000),
        };
        self.builder.append_value(utc.filter(|micros| RANGE.contains(micros)).ok_or(Reason::NotATime)?);
        Ok(())
    }
}

impl Target for Instants {
    fn null(&mut self) {
        self.builder.append_null();
    }

    fn text(&mut self, text: &str) -> Result<(), Reason> {
        self.store(self.formats.text(text))
    }

    fn exact(&mut self, number: Number) -> Result<(), Reason> {
        self.real(number.float((1, 1)))
    }

    fn real(&mut self, number: f64) -> Result<(), Reason> {
        self.store(self.formats.number(number))
    }

    fn moment(&mut self, moment: Moment) -> Result<(), Reason> {
        self.store(Some(moment))
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish().with_timezone("UTC"))
    }
}
