//! `metrics/<name>.yaml`: one definition per number.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clean::Ordered;
use crate::{TableName, Title};

/// One number: what is measured, over which time column, along which dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSpec {
    /// Name shown to readers.
    pub title: Title,
    /// What the number means, and what it leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Title>,
    /// The table that is measured, such as `mart.approvals`. Derived metrics have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// What is measured.
    pub measure: Measure,
    /// Timestamp or date column of `table`. Derived metrics have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Columns of `table` by which the number can be split and filtered. A derived metric has
    /// the dimensions that all its metrics share; it may repeat some here for other titles.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub dimensions: Ordered<Title>,
    /// Unit of the value.
    #[serde(default)]
    pub unit: MetricUnit,
    /// Which way is good.
    #[serde(default)]
    pub direction: Direction,
    /// The value aimed at, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Who answers for the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Number of rows.
    Count(CountOf),
    /// Sum of a column.
    Sum(ColumnOf),
    /// Mean of a column.
    Average(ColumnOf),
    /// Smallest value of a column.
    Minimum(ColumnOf),
    /// Largest value of a column.
    Maximum(ColumnOf),
    /// Number of different values of a column.
    Distinct(ColumnOf),
    /// Exact quantile of a column, linearly interpolated.
    Quantile(QuantileOf),
    /// Semi-additive: the sum over the rows at the newest time inside each bucket. For stocks such
    /// as a backlog, which add up over departments but not over days.
    Latest(ColumnOf),
    /// One aggregate divided by another over the same rows.
    Ratio(Ratio),
    /// Arithmetic over other metrics.
    Derived(Derived),
}

/// Number of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountOf {
    /// SQL predicate over the table's columns; only rows for which it is true count.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// An aggregate of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnOf {
    /// Column of the table.
    pub column: String,
    /// SQL predicate over the table's columns; only rows for which it is true count.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// A quantile of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantileOf {
    /// Column of the table.
    pub column: String,
    /// Between 0 and 1: 0.5 is the median, 0.9 the ninth decile.
    pub q: f64,
    /// SQL predicate over the table's columns; only rows for which it is true count.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// One aggregate divided by another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    pub numerator: Term,
    pub denominator: Term,
}

/// One side of a ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// Number of rows.
    Count(CountOf),
    /// Sum of a column.
    Sum(ColumnOf),
    /// Number of different values of a column.
    Distinct(ColumnOf),
}

/// Arithmetic over other metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// Numbers, + - * / and parentheses over the names in `metrics`, such as `a - b`.
    pub expression: String,
    /// Name in the expression → metric.
    pub metrics: BTreeMap<String, String>,
}

/// Unit of a metric's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricUnit {
    #[default]
    Count,
    /// Yuan.
    Cny,
    Hours,
    Minutes,
    Days,
    /// The value lies between 0 and 1 and is shown as a percentage.
    Percent,
    Ratio,
    Points,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    Down,
    #[default]
    None,
}

impl MetricSpec {
    /// True when missing buckets are zero (nothing happened) rather than unknown.
    pub fn is_additive(&self) -> bool {
        matches!(self.measure, Measure::Count(_) | Measure::Sum(_) | Measure::Distinct(_))
    }

    /// The tables whose commits change this number; for a derived metric those of its parts.
    /// Unknown metrics and cycles, which `check` reports, add nothing.
    pub fn tables(&self, all: &BTreeMap<String, MetricSpec>) -> BTreeSet<TableName> {
        let mut tables = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![self];
        while let Some(spec) = open.pop() {
            tables.extend(spec.table.clone());
            if let Measure::Derived(derived) = &spec.measure {
                for name in derived.metrics.values() {
                    if let Some(part) = all.get(name)
                        && seen.insert(name.as_str())
                    {
                        open.push(part);
                    }
                }
            }
        }
        tables
    }

    /// Dimensions with titles: its own, or for a derived metric those that all its parts share.
    pub fn dimensions(&self, all: &BTreeMap<String, MetricSpec>) -> Ordered<Title> {
        self.shared_dimensions(all, 0)
    }

    fn shared_dimensions(&self, all: &BTreeMap<String, MetricSpec>, depth: usize) -> Ordered<Title> {
        let Measure::Derived(derived) = &self.measure else {
            return self.dimensions.clone();
        };
        if depth >= MAX_DEPTH {
            return Ordered::default();
        }
        let parts: Vec<Ordered<Title>> = derived
            .metrics
            .values()
            .filter_map(|name| all.get(name))
            .map(|part| part.shared_dimensions(all, depth + 1))
            .collect();
        let Some((first, rest)) = parts.split_first() else {
            return Ordered::default();
        };
        first
            .iter()
            .filter(|(name, _)| rest.iter().all(|other| other.contains(name)))
            .map(|(name, title)| {
                let title = self.dimensions.get(name).unwrap_or(title);
                (name.to_owned(), title.clone())
            })
            .collect()
    }
}

/// Derived metrics of derived metrics: nobody understands more levels, and a cycle ends here.
pub(crate) const MAX_DEPTH: usize = 8;
