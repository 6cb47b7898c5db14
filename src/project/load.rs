//! Reads the folder and decides what is served.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use store::{SharedClock, Timestamp};

use super::Project;
use super::calendar::calendar;
use super::check::Checker;
use super::columns::{Catalogue, PlanCache};
use super::files::{self, Entry, Kind, Listing, Place, Stamp};
use super::finding::Finding;
use super::graph::Items;
use super::item::{Definition, Item};
use super::plan::{Plan, plan};
use super::served;
use super::settle::{OnDisk, settle};

/// One state of the project.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub project: Arc<Project>,
    /// What is wrong with the files on disk, sorted by file and line.
    pub findings: Vec<Finding>,
    /// Definitions that are not served as the file on disk says (their last good version is, or nothing
    /// when there is none), each with the error that keeps it: its own, or of a file it needs.
    pub held: BTreeMap<Place, Finding>,
    pub loaded_at: Timestamp,
    /// What changed since the state before.
    pub plan: Plan,
    texts: Arc<BTreeMap<String, Arc<str>>>,
}

impl Loaded {
    /// The text on disk, also of a file that is not served.
    pub fn text(&self, file: &str) -> Option<&str> {
        self.texts.get(file).map(|text| &**text)
    }

    /// Why a definition is not served as its file says.
    pub fn problem(&self, kind: Kind, name: &str) -> Option<&Finding> {
        self.held.get(&Place::new(kind, name))
    }

    /// Whether every file on disk is served as it stands.
    pub fn is_good(&self) -> bool {
        !self.findings.iter().any(Finding::is_error)
    }

    /// All findings for a terminal.
    pub fn render(&self) -> String {
        render(&self.findings, &self.texts)
    }
}

/// A folder that cannot be served at all: it has no readable `guanlan.yaml`.
#[derive(Clone, Debug)]
pub struct Unusable {
    /// Everything that is wrong, the configuration included.
    pub findings: Vec<Finding>,
    texts: Arc<BTreeMap<String, Arc<str>>>,
}

impl Unusable {
    /// All findings for a terminal.
    pub fn render(&self) -> String {
        render(&self.findings, &self.texts)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Unusable {}

fn render(findings: &[Finding], texts: &BTreeMap<String, Arc<str>>) -> String {
    let shown = findings.iter().map(|f| f.render(texts.get(&f.file).map(|t| &**t)));
    shown.collect::<Vec<_>>().join("\n\n")
}

/// Reads a project folder again and again; remembers the last good version of every definition.
pub struct Loader {
    dir: PathBuf,
    clock: SharedClock,
    catalogue: Catalogue,
    /// Files as read last time.
    read: HashMap<String, Read>,
    served: Items,
    last: Option<Arc<Project>>,
    plans: PlanCache,
}

struct Read {
    stamp: Stamp,
    place: Place,
    outcome: Outcome,
}

#[derive(Clone)]
enum Outcome {
    Good(Arc<Item>),
    Bad(Bad),
}

#[derive(Clone)]
struct Bad {
    /// Missing when the file could not even be read.
    text: Option<Arc<str>>,
    why: Vec<Finding>,
    /// A dashboard with the tiles that could be read.
    partial: Option<Arc<Item>>,
}

impl Loader {
    pub fn new(dir: impl Into<PathBuf>, clock: SharedClock) -> Self {
        Self {
            dir: dir.into(),
            clock,
            catalogue: Catalogue::default(),
            read: HashMap::new(),
            served: Items::new(),
            last: None,
            plans: PlanCache::default(),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tables that exist already: raw tables have no other schema, and definitions may read tables that
    /// no file of the project fills.
    pub fn know(&mut self, catalogue: Catalogue) {
        self.catalogue = catalogue;
    }

    /// Reads what changed since last time and decides what is served.
    ///
    /// # Errors
    /// There is no readable `guanlan.yaml` and never was one.
    pub fn load(&mut self) -> Result<Loaded, Unusable> {
        let listing = Listing::of(&self.dir).map_err(|e| self.no_folder(&e))?;
        if self.read.is_empty() && self.served.is_empty() {
            bounds_first(&self.dir);
            self.served = served::recall(&self.dir);
            self.last = assemble(&self.dir, &self.served).map(Arc::new);
        }
        self.refresh(&listing);
        let mut findings = listing.findings.clone();
        let mut disk = OnDisk { fresh: Items::new(), broken: BTreeMap::new(), partial: Items::new() };
        let mut texts = BTreeMap::new();
        for (file, read) in &self.read {
            match &read.outcome {
                Outcome::Good(item) => {
                    texts.insert(file.clone(), item.text.clone());
                    disk.fresh.insert(read.place.clone(), item.clone());
                }
                Outcome::Bad(bad) => {
                    texts.extend(bad.text.clone().map(|text| (file.clone(), text)));
                    disk.broken.insert(read.place.clone(), (file.clone(), bad.why.clone()));
                    disk.partial.extend(bad.partial.clone().map(|item| (read.place.clone(), item)));
                }
            }
        }
        // What stands in a folder that cannot be looked into is not gone.
        for (place, item) in &self.served {
            if listing.closed.iter().any(|folder| item.file.starts_with(folder.as_str())) {
                disk.broken.entry(place.clone()).or_insert_with(|| (item.file.clone(), Vec::new()));
            }
        }
        let checker = Checker { catalogue: &self.catalogue, plans: &self.plans };
        let settled = settle(&disk, &self.served, &checker);
        findings.extend(settled.findings);
        findings.sort();
        let texts = Arc::new(texts);
        let Some(project) = assemble(&self.dir, &settled.items).map(Arc::new) else {
            if !listing.files.contains_key("guanlan.yaml") {
                findings.insert(0, missing_config());
            }
            return Err(Unusable { findings, texts });
        };
        self.served = settled.items;
        let plan = plan(self.last.as_deref(), &project);
        self.last = Some(project.clone());
        Ok(Loaded { project, findings, held: settled.held, loaded_at: self.clock.now(), plan, texts })
    }

    /// Reads files that are new or changed, and forgets those that are gone.
    fn refresh(&mut self, listing: &Listing) {
        self.read.retain(|file, _| listing.files.contains_key(file));
        for (file, Entry { place, stamp }) in &listing.files {
            if self.read.get(file).is_some_and(|read| read.stamp == *stamp) {
                continue;
            }
            let outcome = self.read_file(place, file);
            self.read.insert(file.clone(), Read { stamp: *stamp, place: place.clone(), outcome });
        }
    }

    fn read_file(&self, place: &Place, file: &str) -> Outcome {
        let text: Arc<str> = match files::text(&self.dir, file) {
            Ok(text) => text.into(),
            Err(finding) => return Outcome::Bad(Bad { text: None, why: vec![finding], partial: None }),
        };
        if let Some(Outcome::Good(item)) = self.read.get(file).map(|read| &read.outcome)
            && item.text == text
        {
            return Outcome::Good(item.clone());
        }
        match Item::read(place, file, text.clone()) {
            Ok(item) => Outcome::Good(Arc::new(item)),
            Err(why) => {
                let partial = why.first().and_then(|first| Item::read_good_tiles(place, file, &text, first));
                let (partial, why) = match partial {
                    Some((item, why)) => (Some(Arc::new(item)), why),
                    None => (None, why),
                };
                Outcome::Bad(Bad { text: Some(text), why, partial })
            }
        }
    }

    fn no_folder(&self, error: &std::io::Error) -> Unusable {
        let message = format!("the project folder {} cannot be read: {error}", self.dir.display());
        let finding = Finding::whole("guanlan.yaml", message);
        let finding = finding.hint("check the path, or create a project with `guanlan init NAME`");
        Unusable { findings: vec![finding], texts: Arc::default() }
    }
}

/// Puts the project's own bounds in force before anything is read under the usual ones. Its configuration is read
/// under those: what is wrong with it is told when it is loaded.
fn bounds_first(dir: &Path) {
    let path = dir.join("guanlan.yaml");
    let regular = std::fs::symlink_metadata(&path)
        .is_ok_and(|meta| meta.is_file() && meta.len() <= store::Limits::default().definition_bytes);
    let text = regular.then(|| std::fs::read_to_string(&path).ok()).flatten();
    let config = text.and_then(|text| super::yaml::read::<crate::config::Config>(&text, 0).ok());
    if let Some(config) = config {
        config.limits.install();
    }
}

fn missing_config() -> Finding {
    Finding::whole("guanlan.yaml", "this folder is no project: it has no guanlan.yaml")
        .hint("go to the project folder, name it with `--project`, or create one with `guanlan init NAME`")
}

/// Sorts the served definitions by kind; None without a configuration.
fn assemble(dir: &Path, items: &Items) -> Option<Project> {
    let find = |kind| items.get(&Place::new(kind, "")).map(|item| &item.definition);
    let Some(Definition::Config(config)) = find(Kind::Config) else { return None };
    let own_days = match find(Kind::Calendar) {
        Some(Definition::Calendar(days)) => Some(days),
        _ => None,
    };
    let mut project = Project {
        dir: dir.to_owned(),
        config: config.as_ref().clone(),
        sources: BTreeMap::new(),
        cleans: BTreeMap::new(),
        models: BTreeMap::new(),
        metrics: BTreeMap::new(),
        dashboards: BTreeMap::new(),
        rules: BTreeMap::new(),
        calendar: calendar(&config.site, own_days),
        revision: String::new(),
        files: BTreeMap::new(),
        items: items.clone(),
    };
    for (place, item) in items {
        let name = place.name.clone();
        match &item.definition {
            Definition::Config(_) | Definition::Calendar(_) => {}
            Definition::Source(spec) => drop(project.sources.insert(name, spec.clone())),
            Definition::Clean(spec) => drop(project.cleans.insert(name, spec.clone())),
            Definition::Model(spec) => drop(project.models.insert(name, spec.clone())),
            Definition::Metric(spec) => drop(project.metrics.insert(name, spec.clone())),
            Definition::Dashboard(spec) => drop(project.dashboards.insert(name, spec.clone())),
            Definition::Rule(spec) => drop(project.rules.insert(name, spec.as_ref().clone())),
        }
        project.files.insert(item.file.clone(), item.text.clone());
    }
    project.revision = revision(&project.files);
    Some(project)
}

/// A fingerprint of all texts; lengths keep the end of one apart from the start of the next.
fn revision(files: &BTreeMap<String, Arc<str>>) -> String {
    let mut hash = Sha256::new();
    for part in files.iter().flat_map(|(file, text)| [file.as_str(), text]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
