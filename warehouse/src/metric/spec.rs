//! `metrics/<name>.yaml`: one definition per number.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::query::Grain;
use crate::clean::Ordered;
use crate::{Naming, TableName, Title};

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
    pub dimensions: Ordered<Naming>,
    /// The time that one row stands for, where rows are totals of whole periods that begin at `time`: `month`
    /// for a table of monthly totals. While such a period runs, it is not compared to a whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Grain>,
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
    /// Semi-additive: the sum over the newest row of each key up to the end of each bucket. For balances of which
    /// each account writes at times of its own, and keeps its value until it writes another.
    Last(LastOf),
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

/// The newest value of each key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastOf {
    /// Column of the table.
    pub column: String,
    /// Columns that tell apart what each has a value of its own, such as `[account]`.
    pub by: Vec<String>,
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

    /// True when the value is a level at the end of a bucket, which no earlier part of it adds to.
    pub fn is_level(&self) -> bool {
        matches!(self.measure, Measure::Latest(_) | Measure::Last(_))
    }

    /// Dimensions with titles: its own, or for a derived metric those that all its parts share.
    pub fn dimensions(&self, all: &BTreeMap<String, MetricSpec>) -> Ordered<Title> {
        self.split_by(all)
            .iter()
            .map(|(name, dimension)| (name.to_owned(), dimension.title.clone()))
            .collect()
    }

    /// The same with the names of their values.
    pub(crate) fn split_by(&self, all: &BTreeMap<String, MetricSpec>) -> Ordered<Naming> {
        self.shared_dimensions(all, 0, &mut BTreeMap::new())
    }

    /// `known` keeps what was found of a part: parts of parts may be shared many times over.
    fn shared_dimensions<'a>(
        &'a self,
        all: &'a BTreeMap<String, MetricSpec>,
        depth: usize,
        known: &mut BTreeMap<&'a str, Ordered<Naming>>,
    ) -> Ordered<Naming> {
        let Measure::Derived(derived) = &self.measure else {
            return self.dimensions.clone();
        };
        if depth >= MAX_DEPTH {
            return Ordered::default();
        }
        let names: BTreeSet<&str> =
            derived.metrics.values().map(String::as_str).filter(|name| all.contains_key(*name)).collect();
        for name in &names {
            if !known.contains_key(name)
                && let Some(part) = all.get(*name)
            {
                let shared = part.shared_dimensions(all, depth + 1, known);
                known.insert(name, shared);
            }
        }
        // The titles are those of the part that the expression's first name stands for.
        let mut parts = derived.metrics.values().filter_map(|name| known.get(name.as_str()));
        let Some(first) = parts.next() else { return Ordered::default() };
        let rest: Vec<&Ordered<Naming>> = parts.collect();
        first
            .iter()
            .filter(|(name, _)| rest.iter().all(|other| other.contains(name)))
            .map(|(name, dimension)| {
                let own = self.dimensions.get(name);
                let titles = own.map(|own| &own.titles).filter(|titles| !titles.is_empty());
                let shared = Naming {
                    title: own.unwrap_or(dimension).title.clone(),
                    titles: titles.unwrap_or(&dimension.titles).clone(),
                };
                (name.to_owned(), shared)
            })
            .collect()
    }
}

/// Derived metrics of derived metrics: nobody understands more levels, and a cycle ends here.
pub(crate) const MAX_DEPTH: usize = 8;
