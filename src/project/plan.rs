//! What a change of the project affects.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::Project;
use super::files::Place;
use super::graph::Graph;

/// The difference between two states of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub added: BTreeSet<Place>,
    pub changed: BTreeSet<Place>,
    pub removed: BTreeSet<Place>,
    /// Definitions that did not change themselves, but whose data comes from one that did.
    pub affected: BTreeSet<Place>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// All definitions that changed themselves.
    pub fn touched(&self) -> BTreeSet<Place> {
        self.added.iter().chain(&self.changed).chain(&self.removed).cloned().collect()
    }
}

/// What changes from `old` (None: nothing is served yet) to `new`, and what stands downstream of it.
/// Data keeps flowing into what stood downstream before and into what stands there now, so both count.
pub fn plan(old: Option<&Project>, new: &Project) -> Plan {
    let mut plan = Plan::default();
    for (place, item) in &new.items {
        match old.and_then(|old| old.items.get(place)) {
            None => plan.added.insert(place.clone()),
            Some(before) if before.text != item.text => plan.changed.insert(place.clone()),
            Some(_) => false,
        };
    }
    let touched_before = old.map(|old| {
        let gone = old.items.keys().filter(|place| !new.items.contains_key(*place));
        plan.removed.extend(gone.cloned());
        Graph::of(&old.items).affected(&plan.touched())
    });
    let touched = plan.touched();
    plan.affected = Graph::of(&new.items).affected(&touched);
    plan.affected.extend(touched_before.unwrap_or_default());
    plan.affected.retain(|place| !touched.contains(place) && new.items.contains_key(place));
    plan
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        let parts = [("+", &self.added), ("~", &self.changed), ("-", &self.removed), (">", &self.affected)];
        let lines = parts.iter().flat_map(|(sign, places)| places.iter().map(move |p| format!("{sign} {p}")));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let parts = [
            ("added", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
            ("affected", &self.affected),
        ];
        let mut map = serializer.serialize_map(Some(parts.len()))?;
        for (name, places) in parts {
            let names: Vec<String> = places.iter().map(Place::to_string).collect();
            map.serialize_entry(name, &names)?;
        }
        map.end()
    }
}
