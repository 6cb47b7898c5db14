//! Mistakes in a dashboard that can be seen without any data.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use store::{Problem, Step, limits, nearest};
use warehouse::metric::MetricSpec;
use warehouse::{Calendar, Range, TableName};

use crate::spec::{DashboardSpec, PAGE_WIDTH, Placed, Tile};

/// Every mistake of a dashboard, given all metrics of the project.
pub fn check(spec: &DashboardSpec, metrics: &BTreeMap<String, MetricSpec>) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Err(problem) = range(&spec.range) {
        found.push(problem.at_key("range"));
    }
    filters(spec, metrics, &mut found);
    rows(spec, &mut found);
    ids(spec, &mut found);
    // What is wrong with a broken tile was told when it was read.
    for placed in spec.placed().into_iter().filter(|placed| !matches!(placed.tile, Tile::Broken(_))) {
        let mut inner = Vec::new();
        tile(placed.tile, metrics, &mut inner);
        found.extend(inner.into_iter().map(|p| below(p, &placed)));
    }
    found
}

/// The tables whose commits change this page.
pub fn tables_behind(spec: &DashboardSpec, metrics: &BTreeMap<String, MetricSpec>) -> BTreeSet<TableName> {
    spec.rows
        .iter()
        .flatten()
        .filter(|tile| !matches!(tile, Tile::Broken(_)))
        .flat_map(Tile::metrics)
        .filter_map(|name| metrics.get(name))
        .flat_map(|metric| metric.tables(metrics))
        .collect()
}

/// Puts the place of the tile before the place inside it: rows → row → column → kind.
fn below(problem: Problem, placed: &Placed<'_>) -> Problem {
    let mut path = vec![
        Step::Key("rows".into()),
        Step::Index(placed.row - 1),
        Step::Index(placed.column - 1),
        Step::Key(placed.tile.kind().into()),
    ];
    path.extend(problem.path);
    Problem { path, ..problem }
}

fn range(text: &str) -> Result<(), Problem> {
    // Whether a range can be read does not depend on the day; any moment will do.
    let moment = DateTime::<Utc>::from_timestamp(1_767_225_600, 0).expect("a second of the year 2026");
    let calendar = Calendar::built_in(chrono_tz::Tz::UTC);
    Range::parse(text, moment, &calendar).map(|_| ()).map_err(|message| match message.split_once("; ") {
        Some((message, hint)) => Problem::new(message).hint(hint),
        None => Problem::new(message),
    })
}

fn filters(spec: &DashboardSpec, metrics: &BTreeMap<String, MetricSpec>, found: &mut Vec<Problem>) {
    let used: BTreeSet<&str> = spec.rows.iter().flatten().flat_map(Tile::metrics).collect();
    let offered: BTreeSet<String> = used
        .into_iter()
        .filter_map(|name| metrics.get(name))
        .flat_map(|metric| metric.dimensions(metrics).names().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    // Without one readable metric there is nothing to compare with; the tiles say so already.
    if offered.is_empty() {
        return;
    }
    for (index, dimension) in spec.filters.iter().enumerate() {
        if !offered.contains(dimension) {
            let problem = Problem::new(format!("no metric on this page has the dimension `{dimension}`"))
                .at_key("filters")
                .at_index(index);
            found.push(suggest(problem, dimension, offered.iter().map(String::as_str)));
        }
    }
}

fn rows(spec: &DashboardSpec, found: &mut Vec<Problem>) {
    if spec.rows.iter().all(Vec::is_empty) {
        found.push(
            Problem::new("the dashboard has no tile")
                .at_key("rows")
                .hint("rows: [ [ {kpi: {metric: orders}}, {line: {metric: orders}} ] ]"),
        );
    }
    let (tiles, most) = (spec.rows.iter().map(Vec::len).sum::<usize>(), limits().tiles);
    if tiles > most {
        found.push(
            Problem::new(format!(
                "the page has {tiles} tiles; at most {most} are answered (`limits: {{ tiles: … }}`)"
            ))
            .at_key("rows")
            .hint("split it into several pages"),
        );
    }
    for (index, tiles) in spec.rows.iter().enumerate() {
        let given: u32 = tiles.iter().filter_map(|t| t.frame().width).map(u32::from).sum();
        if given > u32::from(PAGE_WIDTH) {
            found.push(
                Problem::new(format!(
                    "the tiles of this row are {given} columns wide, a page has {PAGE_WIDTH}"
                ))
                .at_key("rows")
                .at_index(index)
                .hint("make tiles narrower or move some to another row"),
            );
        }
    }
}

fn ids(spec: &DashboardSpec, found: &mut Vec<Problem>) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for placed in spec.placed() {
        let place = format!("row {}, column {}", placed.row, placed.column);
        if let Some(first) = seen.insert(placed.id.clone(), place) {
            let problem = Problem::new(format!("the tile id `{}` is taken already ({first})", placed.id));
            found.push(below(problem.at_key("id").hint("ids are unique on a page"), &placed));
        }
    }
}

fn tile(tile: &Tile, metrics: &BTreeMap<String, MetricSpec>, found: &mut Vec<Problem>) {
    let frame = tile.frame();
    if let Some(text) = frame.range
        && let Err(problem) = range(text)
    {
        found.push(problem.at_key("range"));
    }
    if frame.width.is_some_and(|w| w == 0 || w > PAGE_WIDTH) {
        found.push(Problem::new(format!("`width` must be between 1 and {PAGE_WIDTH}")).at_key("width"));
    }
    if frame.id.is_some_and(|id| id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        found.push(Problem::new("`id` holds letters, digits and _ only").at_key("id"));
    }
    limit(tile, found);
    let known = known_metrics(tile, metrics, found);
    for (key, index, dimension) in dimensions(tile) {
        for metric in &known {
            if let Some(problem) = missing_dimension(metric, dimension, metrics) {
                let problem = problem.at_key(key);
                found.push(match index {
                    Some(index) => problem.at_index(index),
                    None => problem,
                });
                break;
            }
        }
    }
    let (most, most_values) = (limits().filters, limits().filter_values);
    if frame.filters.len() > most || frame.filters.values().map(Vec::len).sum::<usize>() > most_values {
        let message = format!("a tile has at most {most} filters with {most_values} values together");
        found.push(
            Problem::new(message)
                .at_key("filters")
                .hint("mark the rows in the model, and filter by the mark"),
        );
    }
    for (dimension, values) in frame.filters {
        for metric in &known {
            if let Some(problem) = missing_dimension(metric, dimension, metrics) {
                found.push(problem.at_key("filters").at_key(dimension));
                break;
            }
        }
        if values.is_empty() {
            found.push(
                Problem::new("this filter keeps no row at all")
                    .at_key("filters")
                    .at_key(dimension)
                    .hint("list at least one value, or remove the filter"),
            );
        }
    }
}

fn limit(tile: &Tile, found: &mut Vec<Problem>) {
    let (given, most) = match tile {
        Tile::Bar(t) => (t.limit, 100),
        Tile::Table(t) => (t.limit, 500),
        Tile::Kpi(_) | Tile::Line(_) | Tile::Broken(_) => return,
    };
    if given.is_some_and(|n| n == 0 || n > most) {
        found.push(Problem::new(format!("`limit` must be between 1 and {most}")).at_key("limit"));
    }
}

/// The metrics of a tile that exist; the others become problems.
fn known_metrics<'a>(
    tile: &'a Tile,
    metrics: &BTreeMap<String, MetricSpec>,
    found: &mut Vec<Problem>,
) -> Vec<&'a str> {
    let many = matches!(tile, Tile::Table(_));
    let names = tile.metrics();
    let most = limits().filters;
    if names.len() > most || tile.by().len() > most {
        found.push(Problem::new(format!("a tile has at most {most} metrics and {most} dimensions")));
        return Vec::new();
    }
    if names.is_empty() {
        found.push(Problem::new("a table needs at least one metric").at_key("metrics"));
    }
    let mut known = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        if metrics.contains_key(name) {
            known.push(name);
            continue;
        }
        let problem = Problem::new(format!("there is no metric `{name}`"));
        let problem = if many { problem.at_key("metrics").at_index(index) } else { problem.at_key("metric") };
        found.push(suggest(problem, name, metrics.keys().map(String::as_str)));
    }
    known
}

fn dimensions(tile: &Tile) -> Vec<(&'static str, Option<usize>, &str)> {
    match tile {
        Tile::Table(t) => t.by.iter().enumerate().map(|(i, d)| ("by", Some(i), d.as_str())).collect(),
        other => other.by().into_iter().map(|d| ("by", None, d)).collect(),
    }
}

fn missing_dimension(
    metric: &str,
    dimension: &str,
    metrics: &BTreeMap<String, MetricSpec>,
) -> Option<Problem> {
    let offered = metrics.get(metric)?.dimensions(metrics);
    if offered.contains(dimension) {
        return None;
    }
    let problem = Problem::new(format!("the metric `{metric}` has no dimension `{dimension}`"));
    Some(suggest(problem, dimension, offered.names()))
}

/// Adds "did you mean", or what there is to choose from.
fn suggest<'a>(problem: Problem, wrong: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let known: Vec<&str> = known.collect();
    if let Some(near) = nearest(wrong, known.iter().copied()) {
        return problem.hint(format!("did you mean `{near}`?"));
    }
    if known.is_empty() {
        return problem.hint("there is none to choose from");
    }
    let mut list = known.iter().take(12).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if known.len() > 12 {
        list.push_str(", …");
    }
    problem.hint(format!("there is {list}"))
}
