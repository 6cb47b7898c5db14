//! Which version of each definition is served when some are broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::Checker;
use super::files::{Kind, Place};
use super::finding::Finding;
use super::graph::{Graph, Items};

/// Definitions that fit together, and what is wrong with the rest.
pub(crate) struct Settled {
    pub(crate) items: Items,
    pub(crate) findings: Vec<Finding>,
    /// Served in an older version than the file on disk.
    pub(crate) held: BTreeSet<Place>,
}

/// Chooses versions. `fresh` are the files that could be read, `broken` those that could not (with
/// their paths), `served` is what fitted together last time.
///
/// A broken file is replaced by its last good version. Then, as long as something does not fit: if it
/// changed, its own last good version comes back; if it did not, what it needs and what changed does.
pub(crate) fn settle(
    fresh: &Items,
    broken: &BTreeMap<Place, String>,
    served: &Items,
    checker: &Checker<'_>,
) -> Settled {
    let mut draft = fresh.clone();
    for place in broken.keys() {
        if let Some(good) = served.get(place) {
            draft.insert(place.clone(), good.clone());
        }
    }
    let lost: BTreeMap<&Place, &String> =
        broken.iter().filter(|(place, _)| !draft.contains_key(*place)).collect();
    let mut found = checker.check(&draft);
    let mut findings = first_findings(&draft, &found, &lost);
    let told: BTreeSet<Place> = found.keys().cloned().collect();
    // Each round moves at least one definition from new to old or from old to none.
    for _ in 0..=2 * draft.len() {
        let failing: Vec<Place> = found
            .iter()
            .filter(|(_, all)| all.iter().any(Finding::is_error))
            .map(|(p, _)| p.clone())
            .collect();
        if failing.is_empty() {
            break;
        }
        for place in &failing {
            step_back(place, &mut draft, served);
        }
        found = checker.check(&draft);
        let late = found.iter().filter(|(place, _)| !told.contains(*place));
        findings.extend(late.filter_map(|(place, _)| waiting(draft.get(place)?, &failing)));
    }
    findings.sort();
    findings.dedup();
    let held = draft
        .iter()
        .filter(|(place, item)| {
            broken.contains_key(*place) || fresh.get(*place).is_none_or(|new| new.text != item.text)
        })
        .map(|(place, _)| place.clone())
        .collect();
    Settled { items: draft, findings, held }
}

/// What is wrong with the files as they are on disk. What fails only because a broken file is missing
/// is told once, as waiting for that file.
fn first_findings(
    draft: &Items,
    found: &BTreeMap<Place, Vec<Finding>>,
    lost: &BTreeMap<&Place, &String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, all) in found {
        let Some(item) = draft.get(place) else { continue };
        let missing = lost.iter().find(|(gone, _)| all.iter().any(|f| mentions(f, gone)));
        if let Some((gone, file)) = missing {
            let message = format!("not served until {file} is corrected: it needs the {gone}");
            findings.push(Finding::whole(&item.file, message).warning());
        }
        let others = all.iter().filter(|f| !lost.keys().any(|gone| mentions(f, gone)));
        findings.extend(others.cloned());
    }
    findings
}

/// Whether a finding is about a definition that could not be read.
fn mentions(finding: &Finding, gone: &Place) -> bool {
    let name = match gone.kind {
        Kind::Config | Kind::Calendar => return false,
        Kind::Clean => format!("clean.{}", gone.name),
        Kind::Model => format!("mart.{}", gone.name),
        Kind::Source => format!("raw.{}_", gone.name),
        _ => gone.name.clone(),
    };
    finding.message.contains(&format!("`{name}`"))
        || (gone.kind == Kind::Source && finding.message.contains(&format!("`{name}")))
        || (gone.kind == Kind::Clean && finding.message.contains(&format!("`{}`", gone.name)))
}

fn step_back(place: &Place, draft: &mut Items, served: &Items) {
    let same = |a: Option<&Arc<super::item::Item>>, b: Option<&Arc<super::item::Item>>| match (a, b) {
        (Some(a), Some(b)) => a.text == b.text,
        (None, None) => true,
        _ => false,
    };
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

/// A definition that is right in itself, but not with the older versions it now stands on.
fn waiting(item: &super::item::Item, failing: &[Place]) -> Option<Finding> {
    let cause = failing.first()?;
    let message = format!("its last good version stays in use until the {cause} is corrected");
    Some(Finding::whole(&item.file, message).warning())
}
