//! What a column and its values are called, in both languages of the house.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Title;

/// What a column is called, and what its values are called.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Naming {
    pub title: Title,
    /// Value → its name for readers, such as `expense: { zh: 报销, en: Expense }`. Values that are not listed
    /// show as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub titles: BTreeMap<String, Title>,
}

/// How it is written: `Region`, `{ zh: 地区, en: Region }` or `{ title: …, titles: { … } }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    zh: Option<String>,
    #[serde(default)]
    en: Option<String>,
    #[serde(default)]
    title: Option<Title>,
    #[serde(default)]
    titles: BTreeMap<String, Title>,
}

impl From<Title> for Naming {
    fn from(title: Title) -> Self {
        Self { title, titles: BTreeMap::new() }
    }
}

impl JsonSchema for Naming {
    fn schema_name() -> Cow<'static, str> {
        "Naming".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let title = generator.subschema_for::<Title>();
        schemars::json_schema!({
            "description": "A title, or a title and what the values are called.",
            "oneOf": [
                title,
                {
                    "type": "object",
                    "properties": { "title": title, "titles": { "type": "object", "additionalProperties": title } },
                    "required": ["title"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl<'de> Deserialize<'de> for Naming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamingVisitor)
    }
}

struct NamingVisitor;

impl<'de> Visitor<'de> for NamingVisitor {
    type Value = Naming;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a title, or {title: …, titles: {value: title}}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Naming, E> {
        Ok(Title::both(text).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Naming, A::Error> {
        let form = Form::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let title = match (form.title, form.zh, form.en) {
            (Some(title), None, None) => title,
            (None, Some(zh), Some(en)) => Title { zh, en },
            (None, Some(one), None) | (None, None, Some(one)) => Title::both(&one),
            (None, None, None) => return Err(de::Error::missing_field("title")),
            (Some(_), ..) => {
                return Err(de::Error::custom("a title is given twice; keep `title`, or `zh` and `en`"));
            }
        };
        Ok(Naming { title, titles: form.titles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_naming_is_a_title_or_a_title_with_those_of_its_values() {
        let read = |text: &str| serde_saphyr::from_str::<Naming>(text);
        assert_eq!(read("Region").expect("a title").title, Title::both("Region"));
        assert_eq!(read("{zh: 地区, en: Region}").expect("a title").title.zh, "地区");
        let full =
            read("{title: 流程, titles: {expense: {zh: 报销, en: Expense}, leave: 请假}}").expect("titles");
        assert_eq!(
            (full.titles["expense"].en.as_str(), full.titles["leave"].zh.as_str()),
            ("Expense", "请假")
        );
        for wrong in ["{titles: {a: b}}", "{title: a, zh: b}", "{fr: a}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
