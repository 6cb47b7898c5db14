//! `cleans/<name>.yaml`: how a raw table becomes `clean.<name>`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::ordered::Ordered;
use super::unit::Unit;
use crate::{TableName, Title};

/// How rows of one raw table are typed, mapped, deduplicated, or put into quarantine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanSpec {
    /// Name shown to readers; the table name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// The raw table that is read, such as `raw.oa_approvals`.
    pub from: TableName,
    /// Output columns that identify a row. Of rows with the same key the last one stays; without
    /// a key every row stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Output column that orders versions of a key; arrival order decides ties, or everything
    /// when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Output columns in order. Source columns that are not listed are dropped.
    pub columns: Ordered<ColumnSpec>,
}

/// How one output column is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Source column; the output name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Output type: text, int, float, decimal, bool, date, timestamp; or
    /// `{decimal: {precision: 18, scale: 2}}`. Text if absent.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// Name shown to readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Removes white space around text (full-width space too). On unless set to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<bool>,
    /// Turns full-width ASCII (`１２３`, `ＡＢＣ`) into half-width. On for all types but text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrow: Option<bool>,
    /// Texts that mean "no value". Typed columns read an empty text as no value anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_values: Option<Vec<String>>,
    /// Replaces codes by their meaning, before the type is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<CodeMap>,
    /// Date and time formats tried in order (strftime), plus `excel` for Excel serial numbers.
    /// ISO 8601 if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// Time zone of times that carry none, such as `Asia/Shanghai`; the site's zone if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Reads money as people write it: `1,234.50`, `￥3.2万`, `1.5亿`, `(300)` for minus 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Unit of the output and of the source: `{yuan: 万}`, `{hours: minutes}`, `{ratio: percent}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// A row without this value goes to quarantine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Written where there is no value, read like a source text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

impl ColumnSpec {
    /// The source column of the output column `name`.
    pub fn source<'a>(&'a self, name: &'a str) -> &'a str {
        self.from.as_deref().unwrap_or(name)
    }

    pub(crate) fn trims(&self) -> bool {
        self.trim.unwrap_or(true)
    }

    pub(crate) fn narrows(&self) -> bool {
        self.narrow.unwrap_or(self.kind != Kind::Text)
    }
}

/// Reads money as people write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {}

/// Source codes and their meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeMap {
    /// Source text to output text.
    pub values: BTreeMap<String, String>,
    /// What happens to a text that is neither a listed code nor already a listed meaning.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// What happens to a text that no code map lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// The row goes to quarantine.
    #[default]
    Reject,
    /// The text stays as it is.
    Keep,
    /// The value is dropped.
    Null,
}
