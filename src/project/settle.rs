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
}

/// Chooses versions; `served` is what fitted together last time.
///
/// A broken file is replaced by its last good version. Then, as long as something does not fit: if it
/// changed, its own last good version comes back; if it did not, what it needs and what changed does.
/// Only causes are told: what merely depends on a broken file is held back in silence.
pub(crate) fn settle(disk: &OnDisk, served: &Items, checker: &Checker<'_>) -> Settled {
    let mut draft = disk.fresh.clone();
    for place in disk.broken.keys() {
        if let Some(good) = served.get(place) {
            draft.insert(place.clone(), good.clone());
        }
    }
    let lost: Vec<&Place> = disk.broken.keys().filter(|place| !draft.contains_key(*place)).collect();
    let mut found = checker.check(&draft);
    let mut findings: Vec<Finding> = disk.broken.values().flat_map(|(_, why)| why).cloned().collect();
    let causes = found.values().flatten().filter(|f| !lost.iter().any(|gone| mentions(f, gone)));
    findings.extend(causes.cloned());
    // Each round moves at least one definition from new to old or from old to none.
    for _ in 0..=2 * draft.len() {
        let failing = found.iter().filter(|(_, all)| all.iter().any(Finding::is_error));
        let failing: Vec<Place> = failing.map(|(place, _)| place.clone()).collect();
        if failing.is_empty() {
            break;
        }
        for place in &failing {
            step_back(place, &mut draft, served);
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
    let fresh = disk.fresh.iter().filter(|(place, item)| !same(draft.get(place), Some(item)));
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

/// Whether a finding is only about a definition that could not be read, and is told there.
fn mentions(finding: &Finding, gone: &Place) -> bool {
    let says = |name: String| finding.message.contains(&format!("`{name}"));
    match gone.kind {
        Kind::Config | Kind::Calendar => false,
        Kind::Source => says(format!("raw.{}_", gone.name)),
        Kind::Clean => says(format!("clean.{}`", gone.name)) || says(format!("{}`", gone.name)),
        Kind::Model => says(format!("mart.{}`", gone.name)),
        Kind::Metric | Kind::Dashboard | Kind::Rule => says(format!("{}`", gone.name)),
    }
}

fn same(a: Option<&Arc<Item>>, b: Option<&Arc<Item>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.text == b.text,
        (None, None) => true,
        _ => false,
    }
}

fn step_back(place: &Place, draft: &mut Items, served: &Items) {
    if !same(draft.get(place), served.get(place)) {
        restore(place, draft, served);
        return;
    }
    let needed = Graph::of(served).needs(place);
    let changed: Vec<Place> = needed.into_iter().filter(|p| !same(draft.get(p), served.get(p))).collect();
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
