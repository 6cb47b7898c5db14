//! Metric → page.
//!
//! A dashboard is a page of tiles. A tile holds no number of its own: it asks metrics, through the
//! reader's session, so that a page shows exactly what the reader may see and what every other door
//! answers. This room never writes SQL, never formats a number, never speaks HTTP.
//!
//! Read in this order: `spec` (the YAML), `check` (its mistakes), `view` (what a browser lays out),
//! `period` (which range and buckets), `tile` (questions of a tile and their answer), `reader`
//! (results shared between viewers), `page` (all tiles at once).

mod answer;
mod check;
mod error;
mod page;
mod period;
mod reader;
mod spec;
mod tile;
mod view;

#[cfg(test)]
mod tests;

pub use answer::{
    Bar, BarContent, Cell, ColumnKind, ColumnTitle, Evidence, KpiContent, LineContent, PageAnswer, Point,
    Series, SparkPoint, TableContent, TableState, TileAnswer, TileData, TileFailure,
};
pub use check::{check, tables_behind};
pub use error::Error;
pub use page::{Dashboards, PageAsk, PageCompare};
pub use spec::{BarTile, BrokenTile, Chosen, DashboardSpec, KpiTile, LineTile, TableTile, Tile};
pub use view::{FilterView, MetricView, PageView, TileView};
