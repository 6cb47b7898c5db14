//! What a browser needs to lay a page out before any number has arrived.

use std::collections::BTreeMap;

use serde::Serialize;
use warehouse::metric::{Compare, Direction, Grain, MetricSpec, MetricUnit, titles};
use warehouse::{Definitions, Title};

use crate::spec::{DashboardSpec, Tile};

/// A page without its numbers.
#[derive(Clone, Debug, Serialize)]
pub struct PageView {
    pub name: String,
    pub title: Title,
    /// Range when the reader chose none.
    pub range: String,
    /// Comparison when the reader chose none.
    pub compare: Option<Compare>,
    pub filters: Vec<FilterView>,
    pub rows: Vec<Vec<TileView>>,
}

/// A dimension that the page can be filtered by.
#[derive(Clone, Debug, Serialize)]
pub struct FilterView {
    pub dimension: String,
    pub title: Title,
    /// Value → what it is called, for those that have a title.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub titles: BTreeMap<String, Title>,
    /// A metric of the page that has the dimension: its values are offered.
    pub metric: String,
}

/// A tile without its numbers.
#[derive(Clone, Debug, Serialize)]
pub struct TileView {
    pub kind: &'static str,
    pub id: String,
    /// Twelfths of the page.
    pub width: u8,
    pub title: Title,
    /// The metric; a table has `metrics` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grain: Option<Grain>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Range of this tile, whatever the reader chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// What is wrong with the definition of this tile, which therefore shows no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How a metric is shown.
#[derive(Clone, Debug, Serialize)]
pub struct MetricView {
    pub name: String,
    pub title: Title,
    pub unit: MetricUnit,
    pub direction: Direction,
    pub target: Option<f64>,
    pub description: Option<Title>,
}

impl PageView {
    /// Lays out `spec`, found under `name`, with all definitions of the project.
    pub fn new(name: &str, spec: &DashboardSpec, definitions: &Definitions) -> Self {
        let metrics = &definitions.metrics;
        let mut rows: Vec<Vec<TileView>> = vec![Vec::new(); spec.rows.len()];
        for placed in spec.placed() {
            rows[placed.row - 1].push(tile_view(placed.id, placed.width, placed.tile, metrics));
        }
        Self {
            name: name.to_owned(),
            title: spec.title.clone(),
            range: spec.range.clone(),
            compare: spec.compare,
            filters: spec.filters.iter().filter_map(|d| filter_view(d, spec, definitions)).collect(),
            rows,
        }
    }
}

fn filter_view(dimension: &str, spec: &DashboardSpec, definitions: &Definitions) -> Option<FilterView> {
    let metrics = &definitions.metrics;
    spec.rows.iter().flatten().flat_map(Tile::metrics).find_map(|name| {
        let title = metrics.get(name)?.dimensions(metrics).get(dimension)?.clone();
        let titles = titles(name, dimension, definitions);
        Some(FilterView { dimension: dimension.to_owned(), title, titles, metric: name.to_owned() })
    })
}

fn tile_view(id: String, width: u8, tile: &Tile, metrics: &BTreeMap<String, MetricSpec>) -> TileView {
    let mut shown: Vec<MetricView> =
        tile.metrics().into_iter().map(|name| metric_view(name, metrics)).collect();
    let frame = tile.frame();
    let title =
        frame.title.cloned().or_else(|| shown.first().map(|m| m.title.clone())).unwrap_or_else(|| plain(&id));
    let metric = match tile {
        Tile::Table(_) => None,
        Tile::Broken(_) if tile.kind() == "table" => None,
        Tile::Broken(_) => shown.pop().or_else(|| Some(metric_view(&id, metrics))),
        _ => shown.pop(),
    };
    TileView {
        kind: tile.kind(),
        id,
        width,
        title,
        metric,
        metrics: shown,
        grain: if let Tile::Line(line) = tile { line.grain } else { None },
        by: tile.by().into_iter().map(str::to_owned).collect(),
        limit: tile.limit(),
        range: frame.range.map(str::to_owned),
        problem: if let Tile::Broken(broken) = tile { Some(broken.detail.clone()) } else { None },
    }
}

/// A metric that does not exist is shown under its name; its tile says what is wrong.
fn metric_view(name: &str, metrics: &BTreeMap<String, MetricSpec>) -> MetricView {
    match metrics.get(name) {
        Some(metric) => MetricView {
            name: name.to_owned(),
            title: metric.title.clone(),
            unit: metric.unit,
            direction: metric.direction,
            target: metric.target,
            description: metric.description.clone(),
        },
        None => MetricView {
            name: name.to_owned(),
            title: plain(name),
            unit: MetricUnit::default(),
            direction: Direction::default(),
            target: None,
            description: None,
        },
    }
}

fn plain(text: &str) -> Title {
    Title { zh: text.to_owned(), en: text.to_owned() }
}
