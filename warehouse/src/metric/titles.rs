//! What the values of dimensions are called.

use std::collections::{BTreeMap, BTreeSet};

use super::query::MetricRow;
use super::spec::{Measure, MetricSpec};
use crate::{Definitions, TableName, Title, Zone, references};

/// Value → title of a metric's dimension: the metric's own titles, else those of its table's model or clean column,
/// else those of the column of the same name in a table that the model reads.
pub fn titles(metric: &str, dimension: &str, definitions: &Definitions) -> BTreeMap<String, Title> {
    let all = &definitions.metrics;
    let Some(spec) = all.get(metric) else { return BTreeMap::new() };
    if let Some(own) = spec.split_by(all).get(dimension).filter(|own| !own.titles.is_empty()) {
        return own.titles.clone();
    }
    // A derived metric shows the values of its first part that has titles.
    let mut open: Vec<&MetricSpec> = vec![spec];
    for _ in 0..all.len().min(256) {
        let Some(spec) = open.pop() else { break };
        if let Measure::Derived(derived) = &spec.measure {
            open.extend(derived.metrics.values().rev().filter_map(|name| all.get(name)));
        }
        let Some(table) = &spec.table else { continue };
        if let Some(found) = of_column(table, dimension, definitions) {
            return found;
        }
    }
    BTreeMap::new()
}

/// The titles of a column's values: of its own definition, else of the column of the same name in the tables that its
/// model reads.
fn of_column(table: &TableName, column: &str, definitions: &Definitions) -> Option<BTreeMap<String, Title>> {
    let mut open = vec![table.clone()];
    let mut seen = BTreeSet::new();
    while let Some(table) = open.pop() {
        if seen.len() > MOST_TABLES || !seen.insert(table.clone()) {
            continue;
        }
        let (found, from) = match table.zone {
            Zone::Clean => {
                let Some(clean) = definitions.cleans.get(&table.name) else { continue };
                (clean.columns.get(column).map(|c| &c.titles), Vec::new())
            }
            Zone::Mart => {
                let Some(model) = definitions.models.get(&table.name) else { continue };
                let own = model.columns.get(column).map(|c| &c.titles);
                (own, references(&model.sql).unwrap_or_default())
            }
            Zone::Raw | Zone::System => continue,
        };
        if let Some(found) = found.filter(|found| !found.is_empty()) {
            return Some(found.clone());
        }
        open.extend(from.into_iter().rev());
    }
    None
}

/// So many tables above one are looked through for names of its values.
const MOST_TABLES: usize = 64;

/// Dimension → value → title, for the values that stand in an answer.
pub(crate) fn shown(
    metric: &str,
    by: &[String],
    rows: &[MetricRow],
    definitions: &Definitions,
) -> BTreeMap<String, BTreeMap<String, Title>> {
    by.iter()
        .enumerate()
        .filter_map(|(at, dimension)| {
            let all = titles(metric, dimension, definitions);
            let values = rows.iter().filter_map(|row| row.by.get(at)?.as_deref());
            let used: BTreeMap<String, Title> =
                values.filter_map(|value| Some((value.to_owned(), all.get(value)?.clone()))).collect();
            (!used.is_empty()).then(|| (dimension.clone(), used))
        })
        .collect()
}
