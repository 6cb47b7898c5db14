//! What is asked of a metric, and what comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use store::Timestamp;

use super::Period;
use crate::{Range, TableName, Title};

/// A question to a metric; dashboards and rules hold the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricQuery {
    pub metric: String,
    /// From inclusive, to exclusive.
    pub range: Range,
    /// Time buckets; without, one value over the whole range.
    #[serde(default)]
    pub grain: Option<Grain>,
    /// Dimensions to split by.
    #[serde(default)]
    pub by: Vec<String>,
    #[serde(default)]
    pub filters: Vec<Filter>,
    #[serde(default)]
    pub compare: Option<Compare>,
    /// With `grain` and `by`: so many series, by their total; without `grain`: so many rows.
    #[serde(default)]
    pub limit: Option<usize>,
    #[serde(default)]
    pub order: Order,
    /// The calendar period that `range` was asked as: `Previous` is the one before it.
    #[serde(skip)]
    pub period: Option<Period>,
    /// Time after the table's newest row counts as time in which nothing happened. Otherwise nothing is known
    /// of it; a rule, however, has to report silence.
    #[serde(skip)]
    pub silence_is_nothing: bool,
}

impl MetricQuery {
    /// One value of `metric` over `range`.
    pub fn new(metric: impl Into<String>, range: Range) -> Self {
        Self {
            metric: metric.into(),
            range,
            grain: None,
            by: Vec::new(),
            filters: Vec::new(),
            compare: None,
            limit: None,
            order: Order::default(),
            period: None,
            silence_is_nothing: false,
        }
    }
}

/// Keeps rows whose dimension has one of these values, or drops them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub dimension: String,
    /// Values as answers write them, or as people do (`TRUE`, `1.50`, `2026/1/5`); None is "no value". Numbers and
    /// booleans of JSON are taken as they are written.
    #[serde(deserialize_with = "texts")]
    pub values: Vec<Option<String>>,
    /// True: rows with these values are left out (rows without a value stay, unless None is among them).
    #[serde(default)]
    pub exclude: bool,
}

fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Option<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(String),
        Bool(bool),
        Number(serde_json::Number),
    }
    let values = Vec::<Option<Value>>::deserialize(from)?;
    let text = |value| match value {
        Value::Text(text) => text,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
    };
    Ok(values.into_iter().map(|value| value.map(text)).collect())
}

/// Length of a time bucket in the site's zone; weeks start on the site's first weekday.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// What a value is compared to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The period of the same length just before.
    Previous,
    /// The same dates a year before (29 February stands alone); by weeks the same weekdays, 52 weeks before.
    LastYear,
}

/// Order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    #[default]
    Time,
    ValueDesc,
    ValueAsc,
}

/// The rows of an answer and where they come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricAnswer {
    pub rows: Vec<MetricRow>,
    /// Oldest commit time among the tables read: the answer is at least this fresh.
    pub as_of: Option<Timestamp>,
    /// Tables read and their versions.
    pub tables: Vec<(TableName, i64)>,
    pub range: Range,
    pub previous_range: Option<Range>,
    /// The comparison is incomplete: the data begins inside or after the range compared to, or that range holds
    /// whole periods and the present one still runs. `previous` is then unknown where it would mislead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// Dimension → value → what it is called, for values of the answer that have a title.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub titles: BTreeMap<String, BTreeMap<String, Title>>,
    /// Id in `system.queries`; of the first query when several were needed.
    pub query_id: String,
}

/// One value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// Start of the bucket; None without grain.
    pub time: Option<Timestamp>,
    /// Values of the dimensions asked for, in that order.
    pub by: Vec<Option<String>>,
    /// None where nothing is known: no rows, a ratio over zero, or time before the table's first row or after
    /// its last one.
    pub value: Option<f64>,
    /// Both sides of a ratio.
    pub numerator: Option<f64>,
    pub denominator: Option<f64>,
    /// The same bucket of the period compared to.
    pub previous: Option<f64>,
    /// The bucket is not over yet, the range cuts it, or the data begins inside it.
    pub partial: bool,
}
