//! Units of numbers: what the source delivers and what the clean column holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Target unit, and the unit in which the source delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The column holds yuan.
    Yuan(Money),
    /// The column holds seconds.
    Seconds(Interval),
    /// The column holds minutes.
    Minutes(Interval),
    /// The column holds hours.
    Hours(Interval),
    /// The column holds days of 24 hours.
    Days(Interval),
    /// The column holds a share between 0 and 1.
    Ratio(Share),
}

/// Unit of money in the source. A 万 or 亿 written in the cell itself wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Money {
    #[serde(rename = "分", alias = "fen")]
    Fen,
    #[serde(rename = "角", alias = "jiao")]
    Jiao,
    #[serde(rename = "元", alias = "yuan")]
    Yuan,
    #[serde(rename = "千", alias = "千元", alias = "thousand")]
    Thousand,
    #[serde(rename = "万", alias = "万元", alias = "wan")]
    Wan,
    #[serde(rename = "百万", alias = "百万元", alias = "million")]
    Million,
    #[serde(rename = "亿", alias = "亿元", alias = "yi")]
    Yi,
}

/// Unit of a duration in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

/// Unit of a share in the source. A % or ‰ written in the cell itself wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    Ratio,
    Percent,
    Permille,
}

impl Unit {
    /// Factor from source to output as an exact fraction (numerator, denominator).
    pub(crate) fn factor(self) -> (i64, i64) {
        match self {
            Unit::Yuan(money) => money.factor(),
            Unit::Seconds(span) => reduce(span.milliseconds(), 1_000),
            Unit::Minutes(span) => reduce(span.milliseconds(), 60_000),
            Unit::Hours(span) => reduce(span.milliseconds(), 3_600_000),
            Unit::Days(span) => reduce(span.milliseconds(), 86_400_000),
            Unit::Ratio(Share::Ratio) => (1, 1),
            Unit::Ratio(Share::Percent) => (1, 100),
            Unit::Ratio(Share::Permille) => (1, 1_000),
        }
    }
}

impl Money {
    fn factor(self) -> (i64, i64) {
        match self {
            Money::Fen => (1, 100),
            Money::Jiao => (1, 10),
            Money::Yuan => (1, 1),
            Money::Thousand => (1_000, 1),
            Money::Wan => (10_000, 1),
            Money::Million => (1_000_000, 1),
            Money::Yi => (100_000_000, 1),
        }
    }
}

impl Interval {
    fn milliseconds(self) -> i64 {
        match self {
            Interval::Milliseconds => 1,
            Interval::Seconds => 1_000,
            Interval::Minutes => 60_000,
            Interval::Hours => 3_600_000,
            Interval::Days => 86_400_000,
        }
    }
}

fn reduce(numerator: i64, denominator: i64) -> (i64, i64) {
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (numerator / a, denominator / a)
}
