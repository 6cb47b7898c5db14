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
    /// Rows that are no data: totals, separators, repeated headers. They are counted as skipped, not quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<SkipRows>,
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
    /// What values are called, such as `expense: { zh: 报销, en: Expense }`; others show as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub titles: BTreeMap<String, Title>,
    /// Signs taken off both ends before anything else is read, such as "`" of WeChat Pay's bills. (`="000123"`, as
    /// spreadsheets protect a text, is always read as `000123`.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip: Option<String>,
    /// Texts replaced by others, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replace>,
    /// Keeps what this regular expression finds: its first group, or all of it where it has none. A text in which
    /// it finds nothing goes to quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<String>,
    /// Keeps one part of a text; a text with fewer parts has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Removes white space around text (full-width space too). On unless set to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<bool>,
    /// Turns full-width ASCII (`１２３`, `ＡＢＣ`) into half-width. On for all types but text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrow: Option<bool>,
    /// Texts that mean "no value". Typed columns read an empty text as no value anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_values: Option<Vec<String>>,
    /// Texts that mean zero, such as the `—` of financial tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zero_values: Vec<String>,
    /// Sign before the decimals: `,` reads `1.234,56` and `1 234,5`. A point if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// Replaces codes by their meaning, before the type is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<CodeMap>,
    /// Date and time formats tried in order (strftime), plus `excel` for Excel serial numbers. A period such as
    /// `%Y-%m` or `%Y` is its first day. ISO 8601 if absent, also with 年月日, 上午 and 下午.
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

    /// Whether something about the column is said in texts, so that a typed source becomes text first.
    pub(crate) fn reads_texts(&self) -> bool {
        self.kind == Kind::Text
            || self.map.is_some()
            || self.null_values.is_some()
            || !self.zero_values.is_empty()
            || self.strip.is_some()
            || !self.replace.is_empty()
            || self.extract.is_some()
            || self.split.is_some()
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
pub struct Amount {
    /// Signs and codes of the currency that the column holds, such as `["$", USD]` or `[HK$, HKD]`; those of yuan
    /// if absent. An amount of any other currency goes to quarantine: it must not be added to these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
}

/// A text, or what a regular expression finds, and what takes its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The text replaced, wherever it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Or a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What takes its place; `$1` is the first group of `pattern`. Nothing if absent.
    #[serde(default)]
    pub with: String,
}

/// Which part of a text is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// What stands between the parts, such as `/`.
    pub by: String,
    /// Number of the part, from 1; negative ones count from the end.
    pub part: i32,
}

/// Rows that are not data, such as the totals below a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipRows {
    /// Source column that is looked at.
    pub column: String,
    /// Rows with one of these texts are left out (white space around them does not count).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Rows in whose text this regular expression finds something are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Rows without a text in this column are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
}

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
