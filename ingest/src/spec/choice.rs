//! Values that YAML writes as a word or a number, and paths into JSON documents.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the header of a sheet is: `auto`, `none` or a 1-based row number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderRow {
    /// The row that names the columns, as a reader would find it.
    Auto,
    /// The sheet has no header: every row is data.
    None,
    /// This row, 1-based as the spreadsheet shows it.
    Row(u32),
}

impl<'de> Deserialize<'de> for HeaderRow {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = HeaderRow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`auto`, `none` or a row number from 1")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<HeaderRow, E> {
                match u32::try_from(n) {
                    Ok(n) if n > 0 => Ok(HeaderRow::Row(n)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(n), &self)),
                }
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<HeaderRow, E> {
                u64::try_from(n)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(n), &self))
                    .and_then(|n| self.visit_u64(n))
            }
            fn visit_str<E: de::Error>(self, s: &str) -> Result<HeaderRow, E> {
                match s {
                    "auto" => Ok(HeaderRow::Auto),
                    "none" => Ok(HeaderRow::None),
                    other => match other.parse::<u64>() {
                        Ok(n) => self.visit_u64(n),
                        Err(_) => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                    },
                }
            }
        }
        de.deserialize_any(Word)
    }
}

impl Serialize for HeaderRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            HeaderRow::Auto => to.serialize_str("auto"),
            HeaderRow::None => to.serialize_str("none"),
            HeaderRow::Row(n) => to.serialize_u32(*n),
        }
    }
}

impl JsonSchema for HeaderRow {
    fn schema_name() -> Cow<'static, str> {
        "HeaderRow".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`auto`, `none` or the 1-based row number of the header",
            "oneOf": [{"const": "auto"}, {"const": "none"}, {"type": "integer", "minimum": 1}]
        })
    }
}

/// A path into a JSON document: `items`, `data.items` or `$.data.items`; `$` is the document itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JsonPath(pub(crate) Vec<String>);

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// An empty step, or a step with brackets or wildcards, which are not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('$').unwrap_or(text);
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return Ok(JsonPath(Vec::new()));
        }
        let steps: Vec<String> = rest.split('.').map(str::to_owned).collect();
        match steps.iter().find(|s| s.is_empty() || s.contains(['[', ']', '*'])) {
            Some(step) => Err(format!(
                "`{step}` in path `{text}` is not a field name; write names separated by dots, for example `$.data.items`"
            )),
            None => Ok(JsonPath(steps)),
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|step| write!(f, ".{step}"))
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        JsonPath::parse(&text).map_err(de::Error::custom)
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for JsonPath {
    fn schema_name() -> Cow<'static, str> {
        "JsonPath".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "names separated by dots, for example `items` or `$.data.items`"})
    }
}
