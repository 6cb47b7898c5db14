//! A filter of a question as SQL. Its values are read in the type of the column, so that `1.50`, `TRUE` and
//! `2026/1/5` find what they mean; a text that is no value of the type is refused rather than matching nothing.

use arrow::datatypes::{DataType, TimeUnit};

use super::query::Filter;
use crate::clean::{self, literal, quoted};
use crate::{Calendar, Error, Result};

/// The predicate of a filter over a column of type `kind`: one flat list of literals, however many values.
///
/// # Errors
/// `Invalid` names the first value that the column cannot hold.
pub(crate) fn predicate(filter: &Filter, kind: &DataType, calendar: &Calendar) -> Result<String> {
    let missing = filter.values.iter().any(Option::is_none);
    let mut texts: Vec<&str> = filter.values.iter().flatten().map(String::as_str).collect();
    texts.sort_unstable();
    texts.dedup();
    let column = match kind {
        kind if is_typed(kind) || is_text(kind) => quoted(&filter.dimension),
        _ => format!("CAST({} AS VARCHAR)", quoted(&filter.dimension)),
    };
    let name = quoted(&filter.dimension);
    let literals: Vec<String> = texts
        .iter()
        .map(|text| value(text, kind, calendar).ok_or_else(|| refused(filter, text, kind)))
        .collect::<Result<_>>()?;
    let list = literals.join(", ");
    Ok(match (literals.is_empty(), missing, filter.exclude) {
        // No value chosen keeps nothing, no value excluded keeps everything.
        (true, false, false) => "false".to_owned(),
        (true, false, true) => "true".to_owned(),
        (true, true, false) => format!("{name} IS NULL"),
        (true, true, true) => format!("{name} IS NOT NULL"),
        (false, false, false) => format!("{column} IN ({list})"),
        (false, true, false) => format!("({column} IN ({list}) OR {name} IS NULL)"),
        (false, false, true) => format!("({column} NOT IN ({list}) OR {name} IS NULL)"),
        (false, true, true) => format!("({column} NOT IN ({list}) AND {name} IS NOT NULL)"),
    })
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_typed(kind: &DataType) -> bool {
    kind.is_integer()
        || matches!(
            kind,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(TimeUnit::Microsecond, _)
        )
}

/// A text as a literal of the type; None when it is no value of it.
fn value(text: &str, kind: &DataType, calendar: &Calendar) -> Option<String> {
    let plain = text.trim();
    Some(match kind {
        DataType::Boolean => match plain.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "是" => "true".to_owned(),
            "false" | "f" | "no" | "n" | "0" | "否" => "false".to_owned(),
            _ => return None,
        },
        kind if kind.is_integer() => {
            let (whole, exact) = clean::scaled(plain, 0)?;
            let whole = i64::try_from(whole).ok().filter(|_| exact)?;
            format!("CAST('{whole}' AS BIGINT)")
        }
        DataType::Decimal128(precision, scale) => {
            let (unscaled, exact) = clean::scaled(plain, *scale)?;
            let fits = unscaled.unsigned_abs() < 10u128.checked_pow(u32::from(*precision))?;
            (exact && fits).then(|| format!("arrow_cast('{}', '{kind}')", decimal(unscaled, *scale)))?
        }
        DataType::Float32 | DataType::Float64 => {
            plain.parse::<f64>().ok()?;
            format!("arrow_cast({}, '{kind}')", literal(plain))
        }
        DataType::Date32 => format!("DATE '{}'", clean::day(plain)?),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = clean::instant(plain, calendar.timezone(), zone.is_some())?;
            let zone = if zone.is_some() { "Some(\"UTC\")" } else { "None" };
            format!("arrow_cast({micros}, 'Timestamp(Microsecond, {zone})')")
        }
        _ => literal(text),
    })
}

/// A decimal in the plain notation that every cast reads.
fn decimal(unscaled: i128, scale: i8) -> String {
    let scale = usize::from(scale.max(0).unsigned_abs());
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn refused(filter: &Filter, text: &str, kind: &DataType) -> Error {
    let shown: String = text.chars().take(60).collect();
    let hint = match kind {
        DataType::Boolean => "which holds true and false".to_owned(),
        kind if kind.is_integer() => "which holds whole numbers".to_owned(),
        DataType::Decimal128(_, scale) => format!("which holds numbers with {scale} decimals"),
        DataType::Float32 | DataType::Float64 => "which holds numbers".to_owned(),
        DataType::Date32 => "which holds days: write 2026-01-05".to_owned(),
        DataType::Timestamp(..) => {
            "which holds times: write 2026-01-05 13:30:00, or 2026-01-05T05:30:00Z".to_owned()
        }
        other => format!("which is {other}"),
    };
    Error::invalid(format!(
        "`{shown}` cannot be a value of `{}`, {hint}; null stands for no value",
        filter.dimension
    ))
}
