//! Which version of each definition is served when some are broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::Checker;
use super::files::{Kind, Place};
use super::finding::Finding;
use super::graph::{Graph, Items};
use super::item::Item;

/// Definitions that fit together, and what is wrong with the rest.
pub(crate) struct Settled {
    pub(crate) items: Items,
    pub(crate) findings: Vec<Finding>,
    /// Definitions that are not served as the file on disk says, and why.
    pub(crate) held: BTreeMap<Place, Finding>,
}

/// What is on disk.
pub(crate) struct OnDisk {
    /// Files that could be read.
    pub(crate) fresh: Items,
    /// Files that could not, with their paths and reasons.
    pub(crate) broken: BTreeMap<Place, (String, Vec<Finding>)>,
    /// Of those, dashboards of which some tiles could be read.
    pub(crate) partial: Items,
}

/// Chooses versions; `served` is what fitted together last time.
///
/// A broken file is replaced by its last good version. Then, as long as something does not fit: if it
/// changed, its own last good version comes back; if it did not, what it needs and what changed does.
/// Only causes are told: what merely depends on a broken file is held back in silence.
pub(crate) fn settle(disk: &OnDisk, served: &Items, checker: &Checker<'_>) -> Settled {
    let mut draft = disk.fresh.clone();
    for place in disk.broken.keys() {
        let good = served.get(place).filter(|item| !item.partial);
        if let Some(item) = good.or_else(|| disk.partial.get(place)).or_else(|| served.get(place)) {
            draft.insert(place.clone(), item.clone());
        }
    }
    let lost: Vec<&Place> = disk.broken.keys().filter(|place| !draft.contains_key(*place)).collect();
    let mut found = checker.check(&draft);
    let mut findings: Vec<Finding> = disk.broken.values().flat_map(|(_, why)| why).cloned().collect();
    let causes = found.values().flatten().filter(|f| !lost.iter().any(|gone| mentions(f, gone)));
    findings.extend(causes.cloned());
    let told = findings.clone();
    // Each round moves at least one definition from new to old, from old to none, or a dashboard to its good tiles.
    for _ in 0..=3 * draft.len() {
        let failing = found.iter().filter(|(_, all)| all.iter().any(Finding::is_error));
        let failing: Vec<Place> = failing.map(|(place, _)| place.clone()).collect();
        if failing.is_empty() {
            break;
        }
        for place in &failing {
            match good_tiles(place, &draft, served, &found, &told) {
                Some(page) => drop(draft.insert(place.clone(), page)),
                None => step_back(place, &mut draft, served),
            }
        }
        found = checker.check(&draft);
    }
    findings.sort();
    findings.dedup();
    let held = held(disk, &draft, served, &findings);
    Settled { items: draft, findings, held }
}

/// Definitions that differ from the disk, each with the error in its own file or in one it needs.
fn held(disk: &OnDisk, draft: &Items, served: &Items, findings: &[Finding]) -> BTreeMap<Place, Finding> {
    let mut all = served.clone();
    all.extend(disk.fresh.iter().map(|(place, item)| (place.clone(), item.clone())));
    let graph = Graph::of(&all);
    let file = |place: &Place| match disk.broken.get(place) {
        Some((file, _)) => Some(file.clone()),
        None => all.get(place).map(|item| item.file.clone()),
    };
    let error = |place: &Place| {
        let file = file(place)?;
        findings.iter().find(|f| f.is_error() && f.file == file).cloned()
    };
    let fresh = disk.fresh.iter().filter(|(place, item)| {
        let served = draft.get(place);
        !same(served, Some(item)) || served.is_some_and(|item| item.partial)
    });
    let deleted = draft.keys().filter(|p| !disk.fresh.contains_key(*p) && !disk.broken.contains_key(*p));
    let places: BTreeSet<&Place> = fresh.map(|(p, _)| p).chain(disk.broken.keys()).chain(deleted).collect();
    let mut held = BTreeMap::new();
    for place in places {
        let cause = error(place).or_else(|| graph.needs(place).iter().find_map(error));
        // A deleted file is held because something that still stands there needs it.
        let cause = cause.or_else(|| graph.affected(&BTreeSet::from([place.clone()])).iter().find_map(error));
        held.extend(cause.map(|cause| (place.clone(), cause)));
    }
    held
}

/// A dashboard without its bad tiles, when no good version of it is known.
fn good_tiles(
    place: &Place,
    draft: &Items,
    served: &Items,
    found: &BTreeMap<Place, Vec<Finding>>,
    told: &[Finding],
) -> Option<Arc<Item>> {
    let item = draft.get(place).filter(|_| place.kind == Kind::Dashboard)?;
    // A good version comes back, or what changed below it does; only where neither is there the tiles are told apart.
    if let Some(good) = served.get(place).filter(|good| !good.partial)
        && (!same(Some(item), Some(good)) || !changed_needs(place, draft, served).is_empty())
    {
        return None;
    }
    // A metric that is missing because its file is broken: that is what the tile has to tell.
    let cause = |finding: &Finding| {
        let name = finding.message.strip_prefix("there is no metric `")?.strip_suffix('`')?;
        let file = format!("metrics/{name}.yaml");
        told.iter().find(|cause| cause.is_error() && cause.file == file).cloned()
    };
    item.without_bad_tiles(found.get(place)?, cause).map(Arc::new)
}

/// Whether a finding is only about a definition that could not be read, and is told there.
fn mentions(finding: &Finding, gone: &Place) -> bool {
    // A finding that only holds the name somewhere is another mistake, and told.
    let is = |what: &str, name: String| finding.message == format!("there is no {what} `{name}`");
    match gone.kind {
        Kind::Config | Kind::Calendar | Kind::Dashboard | Kind::Rule => false,
        Kind::Source => finding.message.starts_with(&format!("there is no table `raw.{}_", gone.name)),
        Kind::Clean => {
            is("cleaning", gone.name.clone())
                || is("table", format!("clean.{}", gone.name))
                || is("table", format!("clean.{}_rejected", gone.name))
        }
        Kind::Model => is("table", format!("mart.{}", gone.name)),
        Kind::Metric => is("metric", gone.name.clone()),
    }
}

fn same(a: Option<&Arc<Item>>, b: Option<&Arc<Item>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.text == b.text,
        (None, None) => true,
        _ => false,
    }
}

/// What a definition needs and is not as it was.
fn changed_needs(place: &Place, draft: &Items, served: &Items) -> Vec<Place> {
    let needed = Graph::of(served).needs(place);
    needed.into_iter().filter(|p| !same(draft.get(p), served.get(p))).collect()
}

fn step_back(place: &Place, draft: &mut Items, served: &Items) {
    if !same(draft.get(place), served.get(place)) {
        restore(place, draft, served);
        return;
    }
    let changed = changed_needs(place, draft, served);
    if changed.is_empty() {
        draft.remove(place);
    }
    for other in changed {
        restore(&other, draft, served);
    }
}

fn restore(place: &Place, draft: &mut Items, served: &Items) {
    match served.get(place) {
        Some(good) => draft.insert(place.clone(), good.clone()),
        None => draft.remove(place),
    };
}
