//! `dashboards/<name>.yaml`: a page of tiles.

use std::collections::BTreeMap;

use access::{Permission, Principal, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use warehouse::Title;
use warehouse::metric::{Compare, Grain};

/// Columns of the page grid.
pub(crate) const PAGE_WIDTH: u8 = 12;

/// Dimension → values chosen; None is "no value".
pub type Chosen = BTreeMap<String, Vec<Option<String>>>;

/// One page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardSpec {
    /// Name shown to readers.
    pub title: Title,
    /// Who may open it; without, everyone who may read dashboards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Time range when the reader chose none: `24h`, `30d`, `12M`, `now/d`, `now/M`, `last/M` or
    /// `2026-01-01..2026-02-01`.
    #[serde(default = "usual_range")]
    pub range: String,
    /// What values are compared to when the reader chose nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// Dimensions that readers can filter the page by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Rows of tiles, from top to bottom.
    pub rows: Vec<Vec<Tile>>,
}

fn usual_range() -> String {
    "30d".into()
}

/// One tile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tile {
    /// One value with its change and a small curve.
    Kpi(KpiTile),
    /// A curve over time, or one for each of the largest values of a dimension.
    Line(LineTile),
    /// The largest values of a dimension.
    Bar(BarTile),
    /// Metrics side by side, one row for each value of some dimensions.
    Table(TableTile),
    /// A tile whose definition is wrong, on a page of which no good version is known: it says what is wrong, the
    /// others show their numbers. Never written in a file.
    #[serde(skip)]
    Broken(BrokenTile),
}

/// What is wrong with a tile, where the tile would stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokenTile {
    /// The kind that its definition names, as far as it can be read.
    pub kind: String,
    pub metric: Option<String>,
    pub id: Option<String>,
    pub width: Option<u8>,
    pub title: Option<Title>,
    /// What is wrong, with file, line and column.
    pub detail: String,
    pub hint: Option<String>,
    filters: Chosen,
}

/// One value with its change and a small curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KpiTile {
    /// The metric shown.
    pub metric: String,
    /// Name of the tile in addresses; its place, such as `r1c2`, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Width in twelfths of the page; an equal share of what the row leaves if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u8>,
    /// Title of the tile; that of the metric if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Time range of this tile, whatever the reader chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Dimension → values (null is "no value"): only rows with one of these values count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: Chosen,
}

/// A curve over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineTile {
    /// The metric shown.
    pub metric: String,
    /// Length of a bucket; chosen by the range if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grain: Option<Grain>,
    /// Dimension: one curve for each of its five largest values, one for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Name of the tile in addresses; its place, such as `r1c2`, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Width in twelfths of the page; an equal share of what the row leaves if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u8>,
    /// Title of the tile; that of the metric if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Time range of this tile, whatever the reader chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Dimension → values (null is "no value"): only rows with one of these values count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: Chosen,
}

/// The largest values of a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarTile {
    /// The metric shown.
    pub metric: String,
    /// The dimension it is split by.
    pub by: String,
    /// So many bars, at most 100; 10 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Name of the tile in addresses; its place, such as `r1c2`, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Width in twelfths of the page; an equal share of what the row leaves if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u8>,
    /// Title of the tile; that of the metric if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Time range of this tile, whatever the reader chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Dimension → values (null is "no value"): only rows with one of these values count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: Chosen,
}

/// Metrics side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableTile {
    /// The metrics shown; rows are ordered by the first.
    pub metrics: Vec<String>,
    /// One row for each combination of values of these dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// So many rows, at most 500; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Name of the tile in addresses; its place, such as `r1c2`, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Width in twelfths of the page; an equal share of what the row leaves if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u8>,
    /// Title of the tile; that of the first metric if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Time range of this tile, whatever the reader chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Dimension → values (null is "no value"): only rows with one of these values count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: Chosen,
}

/// What all tiles have.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) width: Option<u8>,
    pub(crate) title: Option<&'a Title>,
    pub(crate) range: Option<&'a str>,
    pub(crate) filters: &'a Chosen,
}

macro_rules! frame {
    ($tile:expr) => {
        Frame {
            id: $tile.id.as_deref(),
            width: $tile.width,
            title: $tile.title.as_ref(),
            range: $tile.range.as_deref(),
            filters: &$tile.filters,
        }
    };
}

impl BrokenTile {
    /// Keeps of a definition what can be read of it: kind, metric, id, width and title.
    pub fn of(written: &serde_json::Value, detail: String, hint: Option<String>) -> Self {
        let entry = written.as_object().and_then(|object| object.iter().next());
        let key = |name: &str| entry.and_then(|(_, settings)| settings.get(name));
        let text = |name: &str| key(name).and_then(|value| value.as_str()).map(str::to_owned);
        Self {
            kind: entry.map(|(kind, _)| kind.clone()).unwrap_or_default(),
            metric: text("metric"),
            id: text("id")
                .filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')),
            width: key("width")
                .and_then(|w| u8::try_from(w.as_u64()?).ok())
                .filter(|w| (1..=PAGE_WIDTH).contains(w)),
            title: key("title").and_then(|title| serde_json::from_value(title.clone()).ok()),
            detail,
            hint,
            filters: Chosen::new(),
        }
    }
}

impl Tile {
    /// The same tile as one that only says what is wrong with it.
    pub fn broken(&self, detail: String, hint: Option<String>) -> Self {
        let written = serde_json::to_value(self).unwrap_or_default();
        Tile::Broken(BrokenTile::of(&written, detail, hint))
    }

    /// The YAML key of this kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Tile::Broken(t) => match t.kind.as_str() {
                "line" => "line",
                "bar" => "bar",
                "table" => "table",
                _ => "kpi",
            },
            Tile::Kpi(_) => "kpi",
            Tile::Line(_) => "line",
            Tile::Bar(_) => "bar",
            Tile::Table(_) => "table",
        }
    }

    /// Names of the metrics it asks.
    pub fn metrics(&self) -> Vec<&str> {
        match self {
            Tile::Kpi(t) => vec![&t.metric],
            Tile::Line(t) => vec![&t.metric],
            Tile::Bar(t) => vec![&t.metric],
            Tile::Table(t) => t.metrics.iter().map(String::as_str).collect(),
            Tile::Broken(t) => t.metric.as_deref().into_iter().collect(),
        }
    }

    /// Dimensions it splits by.
    pub fn by(&self) -> Vec<&str> {
        match self {
            Tile::Kpi(_) | Tile::Broken(_) => Vec::new(),
            Tile::Line(t) => t.by.as_deref().into_iter().collect(),
            Tile::Bar(t) => vec![&t.by],
            Tile::Table(t) => t.by.iter().map(String::as_str).collect(),
        }
    }

    /// So many bars or rows.
    pub fn limit(&self) -> Option<usize> {
        match self {
            Tile::Kpi(_) | Tile::Line(_) | Tile::Broken(_) => None,
            Tile::Bar(t) => Some(t.limit.unwrap_or(10).clamp(1, 100)),
            Tile::Table(t) => Some(t.limit.unwrap_or(50).clamp(1, 500)),
        }
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        match self {
            Tile::Kpi(t) => frame!(t),
            Tile::Line(t) => frame!(t),
            Tile::Bar(t) => frame!(t),
            Tile::Table(t) => frame!(t),
            Tile::Broken(t) => Frame {
                id: t.id.as_deref(),
                width: t.width,
                title: t.title.as_ref(),
                range: None,
                filters: &t.filters,
            },
        }
    }
}

/// A tile and its place; row and column count from 1.
pub(crate) struct Placed<'a> {
    pub(crate) id: String,
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) width: u8,
    pub(crate) tile: &'a Tile,
}

impl DashboardSpec {
    /// Whether `who` may open this page. An administrator may open every page.
    pub fn open_to(&self, who: &Principal) -> bool {
        access::decide(who, Permission::ReadDashboards)
            && (self.roles.is_empty()
                || who.roles.iter().any(|role| *role == Role::Admin || self.roles.contains(role)))
    }

    /// All tiles with ids and widths, in reading order.
    pub(crate) fn placed(&self) -> Vec<Placed<'_>> {
        let mut placed = Vec::new();
        for (row, tiles) in self.rows.iter().enumerate() {
            let share = fair_share(tiles);
            for (column, tile) in tiles.iter().enumerate() {
                let frame = tile.frame();
                let id = frame.id.map_or_else(|| format!("r{}c{}", row + 1, column + 1), str::to_owned);
                let width = frame.width.unwrap_or(share).clamp(1, PAGE_WIDTH);
                placed.push(Placed { id, row: row + 1, column: column + 1, width, tile });
            }
        }
        placed
    }
}

/// What a tile without `width` gets: an equal part of what the others leave, never under two columns.
fn fair_share(tiles: &[Tile]) -> u8 {
    let given: u32 = tiles.iter().filter_map(|t| t.frame().width).map(u32::from).sum();
    let open = tiles.iter().filter(|t| t.frame().width.is_none()).count() as u32;
    let left = u32::from(PAGE_WIDTH).saturating_sub(given);
    u8::try_from((left / open.max(1)).clamp(2, u32::from(PAGE_WIDTH))).unwrap_or(PAGE_WIDTH)
}
