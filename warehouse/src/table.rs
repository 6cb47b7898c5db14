//! The name of a table: a zone and a plain name, `mart.orders`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A station of the one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// As delivered by a source.
    Raw,
    /// Typed, deduplicated, judged row by row.
    Clean,
    /// Models: what dashboards and rules read.
    Mart,
    /// What Guanlan records about itself.
    System,
}

impl Zone {
    pub const ALL: [Zone; 4] = [Zone::Raw, Zone::Clean, Zone::Mart, Zone::System];

    pub fn as_str(self) -> &'static str {
        match self {
            Zone::Raw => "raw",
            Zone::Clean => "clean",
            Zone::Mart => "mart",
            Zone::System => "system",
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Zone::ALL
            .into_iter()
            .find(|z| z.as_str() == s)
            .ok_or_else(|| format!("there is no zone `{s}`; write one of raw, clean, mart, system"))
    }
}

/// `zone.name`, both lower case; the name matches `[a-z][a-z0-9_]*` (at most 120 characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub zone: Zone,
    pub name: String,
}

impl TableName {
    /// # Errors
    /// Says which character is wrong.
    pub fn new(zone: Zone, name: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || name.len() > 120 || !name.chars().all(good) {
            return Err(format!(
                "`{name}` is not a table name; start with a lower-case letter and use a-z, 0-9 and _ (at most 120)"
            ));
        }
        Ok(Self { zone, name: name.to_owned() })
    }

    /// Where the table lies under the root of the store: `mart/orders`.
    pub(crate) fn folder(&self) -> object_store::path::Path {
        object_store::path::Path::from_iter([self.zone.as_str(), self.name.as_str()])
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.zone, self.name)
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (zone, name) = s
            .split_once('.')
            .ok_or_else(|| format!("`{s}` is not a table; write zone.name, for example mart.orders"))?;
        TableName::new(zone.parse()?, name)
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TableName {
    fn schema_name() -> Cow<'static, str> {
        "TableName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A table: zone.name, for example mart.orders",
            "pattern": "^(raw|clean|mart|system)\\.[a-z][a-z0-9_]*$"
        })
    }
}

/// What a thing is called, in both languages of the house.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Title {
    pub zh: String,
    pub en: String,
}

impl Title {
    pub fn both(text: &str) -> Self {
        Self { zh: text.to_owned(), en: text.to_owned() }
    }
}

impl From<&str> for Title {
    fn from(text: &str) -> Self {
        Title::both(text)
    }
}

impl<'de> Deserialize<'de> for Title {
    /// One plain string for both languages, or `{zh, en}` (a missing one repeats the other).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TitleVisitor)
    }
}

struct TitleVisitor;

impl<'de> Visitor<'de> for TitleVisitor {
    type Value = Title;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a text, or {zh: …, en: …}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Title, E> {
        Ok(Title::both(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Title, A::Error> {
        let (mut zh, mut en) = (None::<String>, None::<String>);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "zh" => zh = Some(map.next_value()?),
                "en" => en = Some(map.next_value()?),
                other => return Err(de::Error::unknown_field(other, &["zh", "en"])),
            }
        }
        match (zh, en) {
            (Some(zh), Some(en)) => Ok(Title { zh, en }),
            (Some(one), None) | (None, Some(one)) => Ok(Title { zh: one.clone(), en: one }),
            (None, None) => Err(de::Error::missing_field("zh")),
        }
    }
}

impl JsonSchema for Title {
    fn schema_name() -> Cow<'static, str> {
        "Title".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A title in Chinese and English, or one text for both",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "zh": { "type": "string" }, "en": { "type": "string" } },
                    "additionalProperties": false,
                    "minProperties": 1
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_round_trips_and_a_wrong_one_says_why() {
        let name: TableName = "mart.orders_2026".parse().unwrap();
        assert_eq!((name.zone, name.to_string().as_str()), (Zone::Mart, "mart.orders_2026"));
        for wrong in ["orders", "gold.orders", "mart.Orders", "mart.", "mart.1x", "mart.a.b", "raw.../etc"] {
            assert!(wrong.parse::<TableName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_title_is_a_text_or_both_languages() {
        let plain: Title = serde_json::from_str("\"订单\"").unwrap();
        assert_eq!(plain, Title { zh: "订单".into(), en: "订单".into() });
        let both: Title = serde_json::from_str(r#"{"zh":"订单","en":"Orders"}"#).unwrap();
        assert_eq!(both.en, "Orders");
        assert!(serde_json::from_str::<Title>(r#"{"fr":"x"}"#).is_err());
    }
}
