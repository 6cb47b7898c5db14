//! Who uses a table: what stands downstream of it behind the last table.

use std::collections::BTreeSet;

use serde::Serialize;
use warehouse::{TableName, Title};

use super::Project;
use super::files::{Kind, Place};
use super::item::Definition;

/// One definition whose numbers come from a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// `metric`, `dashboard` or `rule`.
    pub kind: &'static str,
    pub name: String,
    pub title: Title,
    /// Whether it names the table itself, or something that does.
    pub direct: bool,
}

impl Project {
    /// Metrics, dashboards and rules that a change of `table` reaches, without those that only stand on tables made
    /// from it: they are the uses of those tables.
    pub fn uses(&self, table: &TableName) -> Vec<Use> {
        let judged = |kind: Kind| matches!(kind, Kind::Metric | Kind::Dashboard | Kind::Rule);
        let reads = |(place, item): &(&Place, &std::sync::Arc<super::item::Item>)| {
            judged(place.kind) && item.uses.tables.contains(table)
        };
        let direct: BTreeSet<&Place> = self.items.iter().filter(reads).map(|(place, _)| place).collect();
        let mut found = direct.clone();
        loop {
            let more: Vec<&Place> = self
                .items
                .iter()
                .filter(|(place, item)| {
                    judged(place.kind)
                        && !found.contains(place)
                        && item.uses.places.iter().any(|p| found.contains(p))
                })
                .map(|(place, _)| place)
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        found.into_iter().filter_map(|place| self.used(place, direct.contains(place))).collect()
    }

    fn used(&self, place: &Place, direct: bool) -> Option<Use> {
        let title = match &self.items.get(place)?.definition {
            Definition::Metric(metric) => metric.title.clone(),
            Definition::Dashboard(page) => page.title.clone(),
            Definition::Rule(rule) => rule.title.clone(),
            _ => return None,
        };
        Some(Use { kind: place.kind.noun(), name: place.name.clone(), title, direct })
    }
}
