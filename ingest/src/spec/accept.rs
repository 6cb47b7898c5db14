//! What share of a stream may be set aside or changed before a sync says so with its exit code.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a stream accepts. It is still said; only the outcome of the sync stays good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcceptSpec {
    /// Rows set aside, of the rows read, while landing and while cleaning: `1%`. None when left out.
    pub set_aside: Share,
    /// Cells that could not be kept as delivered, of the rows read: `0.5%`. None when left out.
    pub changed: Share,
}

/// A share of rows, written as a percentage.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Whether `part` of `whole` is within the share.
    pub fn holds(self, part: u64, whole: u64) -> bool {
        part == 0 || part as f64 <= self.0 / 100.0 * whole as f64
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
        match number {
            Some(n) if (0.0..=100.0).contains(&n) => Ok(Share(n)),
            _ => Err(format!("`{text}` is no share; write a percentage from 0% to 100%, such as 1%")),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct Word;
        impl de::Visitor<'_> for Word {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as 1%")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                text.parse().map_err(E::custom)
            }
        }
        de.deserialize_any(Word)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]+)?%$",
            "description": "a percentage of rows, for example `1%`"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage() {
        let one: Share = "1%".parse().unwrap();
        assert!(one.holds(1, 100) && !one.holds(2, 100) && one.holds(0, 0));
        assert!(!Share::default().holds(1, 1_000_000));
        for wrong in ["1", "0.01", "101%", "-1%", "", "NaN%"] {
            assert!(wrong.parse::<Share>().unwrap_err().contains("such as 1%"), "{wrong}");
        }
        assert!(serde_json::from_str::<AcceptSpec>(r#"{"set_aside": 1}"#).is_err());
        assert_eq!(one.to_string(), "1%");
    }
}
