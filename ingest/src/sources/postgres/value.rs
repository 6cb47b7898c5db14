//! Values of the binary copy format → cells.

use arrow::array::StringBuilder;
use encoding_rs::Encoding;

use super::catalogue::{Column, Wire};
use crate::error::SourceError;
use crate::sources::sql::columns::{Cells, Kind};

/// Days and microseconds between 1970-01-01 and PostgreSQL's 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// 0001-01-01 and 9999-12-31, which stand for the ends of time: unknown is another thing.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;

/// What became of a value that could not be kept, and the value itself.
type Lost = Option<(String, String)>;

/// Writes one value; answers what was written instead when a cell cannot hold it.
pub(super) fn put(
    column: &Column,
    cells: &mut Cells,
    bytes: &[u8],
    encoding: Option<&'static Encoding>,
) -> Result<Lost, SourceError> {
    let wrong = || {
        SourceError::never(format!(
            "column `{}`: {} bytes are not a {:?}",
            column.name,
            bytes.len(),
            column.wire
        ))
    };
    match (column.wire, cells) {
        (Wire::Bool, Cells::Bool(b)) => b.append_value(bytes.first().ok_or_else(wrong)? != &0),
        (Wire::Int2, Cells::Int(b)) => {
            b.append_value(i64::from(i16::from_be_bytes(bytes.try_into().map_err(|_| wrong())?)))
        }
        (Wire::Int4, Cells::Int(b)) => {
            b.append_value(i64::from(i32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?)))
        }
        (Wire::Int8, Cells::Int(b)) => {
            b.append_value(i64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?))
        }
        // The shortest text of a 32 bit float: 12.34, not 12.34000015258789.
        (Wire::Float4, Cells::Float(b)) => {
            let value = f32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?);
            b.append_value(value.to_string().parse().unwrap_or(f64::from(value)));
        }
        (Wire::Float8, Cells::Float(b)) => {
            b.append_value(f64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?))
        }
        (Wire::Text | Wire::Cast, Cells::Text(b)) => return text(b, bytes, encoding),
        (Wire::Jsonb, Cells::Text(b)) => return text(b, bytes.get(1..).ok_or_else(wrong)?, encoding),
        (Wire::Uuid, Cells::Text(b)) => b.append_value(uuid(bytes.try_into().map_err(|_| wrong())?)),
        (Wire::Bytea, Cells::Binary(b)) => b.append_value(bytes),
        (Wire::Date, Cells::Date(b)) => match i32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?) {
            i32::MIN => {
                b.append_value(FIRST_DAY);
                return Ok(endless("0001-01-01", "-infinity"));
            }
            i32::MAX => {
                b.append_value(LAST_DAY);
                return Ok(endless("9999-12-31", "infinity"));
            }
            days => b.append_value(days.saturating_add(EPOCH_DAYS)),
        },
        (Wire::Time, Cells::Time(b)) => match i64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?) {
            i64::MIN => {
                b.append_value(i64::from(FIRST_DAY) * DAY_MICROS);
                return Ok(endless("0001-01-01 00:00:00", "-infinity"));
            }
            i64::MAX => {
                b.append_value((i64::from(LAST_DAY) + 1) * DAY_MICROS - 1);
                return Ok(endless("9999-12-31 23:59:59.999999", "infinity"));
            }
            micros => match micros.checked_add(EPOCH_MICROS) {
                Some(micros) => b.append_value(micros),
                None => {
                    b.append_null();
                    return Ok(Some(("NULL: a time out of range".into(), micros.to_string())));
                }
            },
        },
        (Wire::Numeric, Cells::Decimal(b)) => {
            let Kind::Decimal(precision, scale) = column.kind else { return Err(wrong()) };
            match numeric(bytes, scale).filter(|v| v.unsigned_abs() < 10u128.pow(u32::from(precision))) {
                Some(value) => b.append_value(value),
                None => {
                    b.append_null();
                    return Ok(Some(no_number(bytes)));
                }
            }
        }
        _ => return Err(wrong()),
    }
    Ok(None)
}

fn endless(instead: &str, value: &str) -> Lost {
    Some((format!("{instead}: stands for {value}, which no date is"), value.to_owned()))
}

/// Why a numeric is no decimal.
fn no_number(bytes: &[u8]) -> (String, String) {
    let value = match bytes.get(4..6) {
        Some([0xc0, 0x00]) => "NaN",
        Some([0xd0, 0x00]) => "Infinity",
        Some([0xf0, 0x00]) => "-Infinity",
        _ => return ("NULL: more digits than a decimal has".into(), "a numeric".into()),
    };
    (format!("NULL: {value} is no number"), value.into())
}

fn text(
    cells: &mut StringBuilder,
    bytes: &[u8],
    encoding: Option<&'static Encoding>,
) -> Result<Lost, SourceError> {
    let (text, damaged) = match encoding {
        None => (String::from_utf8_lossy(bytes), std::str::from_utf8(bytes).is_err()),
        Some(encoding) => encoding.decode_without_bom_handling(bytes),
    };
    cells.append_value(&text);
    let of = encoding.map_or("UTF-8", Encoding::name);
    Ok(damaged.then(|| {
        let shown: String = text.chars().take(40).collect();
        (format!("\u{fffd} in place of bytes that are not {of}; correct `encoding` of the source"), shown)
    }))
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Base-10000 digits → unscaled value at `scale`; `None` for NaN, infinity and what does not fit.
fn numeric(bytes: &[u8], scale: i8) -> Option<i128> {
    let word = |i: usize| bytes.get(i * 2..i * 2 + 2).map(|b| i16::from_be_bytes([b[0], b[1]]));
    let (count, weight, sign) = (word(0)?, word(1)?, word(2)? as u16);
    if sign != 0 && sign != 0x4000 {
        return None;
    }
    let mut value: i128 = 0;
    for i in 0..usize::try_from(count).ok()? {
        let digit = i128::from(word(4 + i)?);
        // This digit stands for digit × 10^exponent.
        let exponent = (i32::from(weight) - i as i32) * 4 + i32::from(scale);
        let part = if exponent >= 0 {
            digit.checked_mul(10i128.checked_pow(exponent as u32)?)?
        } else if exponent > -4 {
            // The server rounded to the scale: what is cut off here is zero.
            digit / 10i128.pow(exponent.unsigned_abs())
        } else {
            0
        };
        value = value.checked_add(part)?;
    }
    Some(if sign == 0x4000 { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::numeric;

    /// Words of the wire form: digit count, weight, sign, display scale, digits.
    fn wire(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_keep_every_digit() {
        // 12345.67 = 1, 2345, 6700 with weight 1
        assert_eq!(numeric(&wire(&[3, 1, 0, 2, 1, 2345, 6700]), 2), Some(1_234_567));
        assert_eq!(numeric(&wire(&[3, 1, 0x4000, 2, 1, 2345, 6700]), 2), Some(-1_234_567));
        // 0.0001 at scale 4, and zero
        assert_eq!(numeric(&wire(&[1, 0xffff, 0, 4, 1]), 4), Some(1));
        assert_eq!(numeric(&wire(&[0, 0, 0, 2]), 2), Some(0));
        // 100000000 = 1 with weight 2
        assert_eq!(numeric(&wire(&[1, 2, 0, 0, 1]), 0), Some(100_000_000));
        // NaN
        assert_eq!(numeric(&wire(&[0, 0, 0xc000, 0]), 2), None);
    }
}
