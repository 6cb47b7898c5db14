//! What a page answers, as it travels to a browser: raw numbers, UTC times, titles in both languages.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use store::Timestamp;
use warehouse::metric::{Grain, MetricUnit};
use warehouse::{Range, Title};

/// All tiles asked for.
#[derive(Clone, Debug, Serialize)]
pub struct PageAnswer {
    /// The time range of the page, from inclusive, to exclusive.
    pub range: Range,
    /// The range that values are compared to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Range>,
    /// The server's time when it answered.
    pub now: Timestamp,
    /// Tile id → answer.
    pub tiles: BTreeMap<String, TileAnswer>,
}

/// One tile: data, or why there is none. `ok` tells which.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum TileAnswer {
    Data(TileData),
    Failure(TileFailure),
}

/// A tile that was answered; exactly one of `kpi`, `line`, `bar` and `table` is present.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TileData {
    /// Always true.
    pub ok: bool,
    #[serde(flatten)]
    pub evidence: Evidence,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kpi: Option<KpiContent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineContent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bar: Option<BarContent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableContent>,
}

/// Where the numbers of a tile come from.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Evidence {
    /// The data is at least this fresh: the oldest commit among the tables read.
    pub as_of: Option<Timestamp>,
    /// Id of the query in `system.queries`; of the first one when several were needed.
    pub query_id: String,
    /// Whether nothing had to be computed for this reader.
    pub cached: bool,
    /// Tables read.
    pub tables: Vec<TableState>,
    /// Page filters that this tile does not follow, because its metric lacks the dimension.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored_filters: BTreeSet<String>,
    /// The comparison is incomplete: the data does not reach back over the whole range compared to, or a period
    /// that still runs would stand beside whole ones. No percentage may be computed from it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// The range compared to, as the warehouse cut it.
    #[serde(skip)]
    pub(crate) previous: Option<Range>,
}

/// A table that was read.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TableState {
    /// Such as `mart.orders`.
    pub name: String,
    pub version: i64,
    pub updated_at: Option<Timestamp>,
}

/// Why a tile shows nothing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TileFailure {
    /// Always false.
    pub ok: bool,
    /// For programs: `not_permitted`, `no_table`, `unknown_metric`, `bad_range`, `definition`, `timeout`, `cancelled`, `unavailable`,
    /// `memory` or `query`.
    pub code: &'static str,
    /// What happened.
    pub detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
}

/// One value with its change and a small curve.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KpiContent {
    pub value: Option<f64>,
    /// The value of the range compared to; None where that is not known whole, see `incomplete`.
    pub previous: Option<f64>,
    pub target: Option<f64>,
    pub spark: Vec<SparkPoint>,
}

/// A point of a small curve.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SparkPoint {
    /// Start of the bucket.
    pub t: Timestamp,
    /// None: nothing is known, the curve has a gap.
    pub v: Option<f64>,
    /// The bucket is not over yet, or the range cuts it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub p: bool,
}

/// Curves over time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LineContent {
    #[schemars(with = "String")]
    pub grain: Grain,
    pub series: Vec<Series>,
}

/// One curve.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Series {
    /// Value of the dimension; None when it is missing there, or when the tile is not split.
    pub key: Option<String>,
    /// What the value is called, where it has a title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub title: Option<Title>,
    /// True for the curve of all values without a curve of their own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub other: bool,
    /// The value over the whole range: of a curve of one value of a dimension, by which the curves are ranked;
    /// of others where buckets add up to it.
    pub total: Option<f64>,
    pub points: Vec<Point>,
}

/// A point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Point {
    /// Start of the bucket.
    pub t: Timestamp,
    /// None: nothing is known, the curve has a gap.
    pub v: Option<f64>,
    /// The same bucket of the range compared to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev: Option<f64>,
    /// The bucket is not over yet, or the range cuts it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// The largest values of a dimension, largest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BarContent {
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Bar {
    /// Value of the dimension; None when it is missing there.
    pub key: Option<String>,
    /// What the value is called, where it has a title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub title: Option<Title>,
    pub value: Option<f64>,
    /// The value of the range compared to.
    pub previous: Option<f64>,
}

/// Metrics side by side.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TableContent {
    pub columns: Vec<ColumnTitle>,
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table tile.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ColumnTitle {
    pub name: String,
    #[schemars(with = "BTreeMap<String, String>")]
    pub title: Title,
    #[schemars(with = "Option<String>")]
    pub unit: Option<MetricUnit>,
    pub kind: ColumnKind,
    /// Of a dimension: value → what it is called, for those of the rows that have a title.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, BTreeMap<String, String>>")]
    pub titles: BTreeMap<String, Title>,
}

/// What a column of a table tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    Dimension,
    Metric,
}

/// A cell of a table tile.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Cell {
    Key(Option<String>),
    Value(Option<f64>),
}

impl TileAnswer {
    /// Data, if there is any.
    pub fn data(&self) -> Option<&TileData> {
        match self {
            TileAnswer::Data(data) => Some(data),
            TileAnswer::Failure(_) => None,
        }
    }
}
