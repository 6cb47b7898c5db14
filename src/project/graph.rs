//! What stands on what: source → clean → model → metric → dashboard and rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ingest::SourceSpec;
use warehouse::TableName;

use super::files::Place;
use super::item::{Definition, Item, maker};

/// All definitions that could be read.
pub(crate) type Items = BTreeMap<Place, Arc<Item>>;

/// Raw table → source, for all streams. Rows that cannot be read land beside it.
pub(crate) fn raw_tables(items: &Items) -> BTreeMap<TableName, String> {
    let mut tables = BTreeMap::new();
    for (place, item) in items {
        let Definition::Source(source) = &item.definition else { continue };
        for stream in source.streams.keys() {
            tables.entry(SourceSpec::table(&place.name, stream)).or_insert_with(|| place.name.clone());
            tables
                .entry(SourceSpec::rejected_table(&place.name, stream))
                .or_insert_with(|| place.name.clone());
        }
    }
    tables
}

/// Definition → definitions that data reaches it from.
pub(crate) struct Graph {
    upstream: BTreeMap<Place, BTreeSet<Place>>,
    named: BTreeMap<Place, BTreeSet<Place>>,
}

impl Graph {
    pub(crate) fn of(items: &Items) -> Self {
        let raw = raw_tables(items);
        let mut graph = Self { upstream: BTreeMap::new(), named: BTreeMap::new() };
        for (place, item) in items {
            let tables = item.uses.tables.iter().filter_map(|t| maker(t, |t| raw.get(t).cloned()));
            let from = tables.chain(item.uses.places.iter().cloned()).collect();
            graph.upstream.insert(place.clone(), from);
            graph.named.insert(place.clone(), item.uses.named.clone());
        }
        graph
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.upstream.keys()
    }

    /// Definitions that data reaches `place` from directly.
    pub(crate) fn upstream(&self, place: &Place) -> impl Iterator<Item = &Place> {
        self.upstream.get(place).into_iter().flatten()
    }

    /// Everything that `place` needs, near or far.
    pub(crate) fn needs(&self, place: &Place) -> BTreeSet<Place> {
        let empty = BTreeSet::new();
        let next = |place: &Place| {
            let up = self.upstream.get(place).unwrap_or(&empty);
            up.union(self.named.get(place).unwrap_or(&empty)).cloned().collect::<Vec<_>>()
        };
        closure(next(place), next)
    }

    /// Everything that data reaches from these places; without the places themselves.
    pub(crate) fn affected(&self, places: &BTreeSet<Place>) -> BTreeSet<Place> {
        let mut down: BTreeMap<&Place, Vec<Place>> = BTreeMap::new();
        for (place, from) in &self.upstream {
            for one in from {
                down.entry(one).or_default().push(place.clone());
            }
        }
        let next = |place: &Place| down.get(place).cloned().unwrap_or_default();
        let mut found = closure(places.iter().flat_map(next).collect(), next);
        found.retain(|place| !places.contains(place));
        found
    }

    /// A circle through the definitions, in order, or None.
    pub(crate) fn circle(&self) -> Option<Vec<Place>> {
        let mut done = BTreeSet::new();
        self.upstream.keys().find_map(|start| {
            let mut path = Vec::new();
            self.walk(start, &mut path, &mut done)
        })
    }

    /// Depth first without recursion: a project may chain thousands of models.
    fn walk(&self, start: &Place, path: &mut Vec<Place>, done: &mut BTreeSet<Place>) -> Option<Vec<Place>> {
        if done.contains(start) {
            return None;
        }
        let children =
            |place: &Place| self.upstream.get(place).into_iter().flatten().cloned().collect::<Vec<_>>();
        let mut open = vec![children(start)];
        path.push(start.clone());
        while let Some(rest) = open.last_mut() {
            match rest.pop() {
                None => {
                    open.pop();
                    done.extend(path.pop());
                }
                Some(next) => {
                    if let Some(at) = path.iter().position(|p| *p == next) {
                        return Some(path[at..].to_vec());
                    }
                    if !done.contains(&next) && self.upstream.contains_key(&next) {
                        open.push(children(&next));
                        path.push(next);
                    }
                }
            }
        }
        None
    }
}

fn closure(mut open: Vec<Place>, next: impl Fn(&Place) -> Vec<Place>) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    while let Some(place) = open.pop() {
        if found.insert(place.clone()) {
            open.extend(next(&place));
        }
    }
    found
}
