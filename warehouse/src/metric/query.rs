//! What is asked of a metric, and what comes back.

use serde::{Deserialize, Serialize};
use store::Timestamp;

use super::Period;
use crate::{Range, TableName};

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
        }
    }
}

/// Keeps rows whose dimension has one of these values, or drops them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub dimension: String,
    pub values: Vec<String>,
    /// True: rows with these values are left out (rows without a value stay).
    #[serde(default)]
    pub exclude: bool,
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
    /// The same dates a year before; by weeks the same weekdays, 52 weeks before.
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
    /// None where nothing is known: no rows, or a ratio over zero.
    pub value: Option<f64>,
    /// Both sides of a ratio.
    pub numerator: Option<f64>,
    pub denominator: Option<f64>,
    /// The same bucket of the period compared to.
    pub previous: Option<f64>,
    /// The bucket is not over yet, or the range cuts it.
    pub partial: bool,
}
