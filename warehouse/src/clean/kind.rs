//! The type of a clean column.

use std::borrow::Cow;
use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Output type of a clean column. Written as a word (`int`) or, for decimals with a size, as
/// `{decimal: {precision: 18, scale: 2}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Text,
    /// 64-bit whole number.
    Int,
    /// 64-bit floating point number.
    Float,
    /// Exact decimal number.
    Decimal(DecimalSize),
    Bool,
    /// Calendar day.
    Date,
    /// Instant, microseconds UTC.
    Timestamp,
}

/// Digits of a decimal: `precision` in all (1–38), `scale` of them after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecimalSize {
    #[serde(default = "DecimalSize::precision")]
    pub precision: u8,
    #[serde(default = "DecimalSize::scale")]
    pub scale: i8,
}

impl DecimalSize {
    fn precision() -> u8 {
        18
    }

    fn scale() -> i8 {
        2
    }
}

impl Default for DecimalSize {
    fn default() -> Self {
        Self { precision: Self::precision(), scale: Self::scale() }
    }
}

const WORDS: [&str; 7] = ["text", "int", "float", "decimal", "bool", "date", "timestamp"];

impl Kind {
    /// The Arrow type that `clean.*` tables store.
    pub fn arrow(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Decimal(size) => DataType::Decimal128(size.precision, size.scale),
            Kind::Bool => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The word a definition file uses.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Decimal(_) => "decimal",
            Kind::Bool => "bool",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Float | Kind::Decimal(_))
    }

    pub(crate) fn is_time(self) -> bool {
        matches!(self, Kind::Date | Kind::Timestamp)
    }

    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "text" => Kind::Text,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "decimal" => Kind::Decimal(DecimalSize::default()),
            "bool" => Kind::Bool,
            "date" => Kind::Date,
            "timestamp" => Kind::Timestamp,
            other => return Err(unknown(other)),
        })
    }
}

fn unknown(word: &str) -> String {
    let hint = match store::nearest(word, WORDS) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    format!("unknown type `{word}`, expected one of {}{hint}", WORDS.join(", "))
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Kind::Decimal(size) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("decimal", size)?;
                map.end()
            }
            other => serializer.serialize_str(other.word()),
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrMap)
    }
}

struct WordOrMap;

impl<'de> Visitor<'de> for WordOrMap {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a type: {}", WORDS.join(", "))
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Kind, E> {
        Kind::parse(word).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let word: String = map.next_key()?.ok_or_else(|| A::Error::custom("the type is empty"))?;
        let kind = match word.as_str() {
            "decimal" => Kind::Decimal(map.next_value()?),
            known if WORDS.contains(&known) => {
                return Err(A::Error::custom(format!("write `type: {known}`, it takes no options")));
            }
            other => return Err(A::Error::custom(unknown(other))),
        };
        match map.next_key::<String>()? {
            None => Ok(kind),
            Some(extra) => Err(A::Error::custom(format!("a column has one type; remove `{extra}`"))),
        }
    }
}

impl JsonSchema for Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let size = generator.subschema_for::<DecimalSize>();
        schemars::json_schema!({
            "description": "Output type of a clean column.",
            "oneOf": [
                { "enum": WORDS },
                { "type": "object", "properties": { "decimal": size }, "required": ["decimal"], "additionalProperties": false }
            ]
        })
    }
}
