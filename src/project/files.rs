//! The files of a project folder: which ones count, what each defines, and their texts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use store::limits;

use super::finding::Finding;

/// Folders below `models/` may nest so deep.
const DEEPEST: usize = 8;
/// More files than this are not a project that anybody wrote.
const MOST_FILES: usize = 20_000;

/// What a file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Config,
    Calendar,
    Source,
    Clean,
    Model,
    Metric,
    Dashboard,
    Rule,
}

impl Kind {
    const FOLDERS: [(&'static str, Kind); 6] = [
        ("sources", Kind::Source),
        ("cleans", Kind::Clean),
        ("models", Kind::Model),
        ("metrics", Kind::Metric),
        ("dashboards", Kind::Dashboard),
        ("rules", Kind::Rule),
    ];

    /// One such thing in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Config => "configuration",
            Kind::Calendar => "calendar",
            Kind::Source => "source",
            Kind::Clean => "cleaning",
            Kind::Model => "model",
            Kind::Metric => "metric",
            Kind::Dashboard => "dashboard",
            Kind::Rule => "rule",
        }
    }

    fn extension(self) -> &'static str {
        if self == Kind::Model { "sql" } else { "yaml" }
    }
}

/// Names one definition of the project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub kind: Kind,
    pub name: String,
}

impl Place {
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// What a file of the project defines, by its path inside the folder.
    pub(crate) fn of(file: &str) -> Option<Self> {
        match file {
            "guanlan.yaml" => return Some(Self::new(Kind::Config, "")),
            "calendar.yaml" => return Some(Self::new(Kind::Calendar, "")),
            _ => {}
        }
        let folder = file.split('/').next()?;
        let (_, kind) = Kind::FOLDERS.iter().find(|(name, _)| *name == folder)?;
        let stem = file.rsplit('/').next()?.strip_suffix(kind.extension())?.strip_suffix('.')?;
        is_name(stem).then(|| Self::new(*kind, stem))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Config | Kind::Calendar => write!(f, "{}", self.kind.noun()),
            kind => write!(f, "{} {}", kind.noun(), self.name),
        }
    }
}

/// Tells whether a file may have changed since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that defines something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) stamp: Stamp,
}

/// All files that define something, by their path inside the folder, and what is odd about others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) files: BTreeMap<String, Entry>,
    pub(crate) findings: Vec<Finding>,
    /// Folders that could not be looked into: what they hold is not known, which is not the same as gone.
    pub(crate) closed: BTreeSet<String>,
}

impl Listing {
    /// Lists the project in `dir`; reads no file.
    ///
    /// # Errors
    /// The folder itself cannot be listed.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for (name, path, meta) in children(dir)? {
            match Kind::FOLDERS.iter().find(|(folder, _)| *folder == name) {
                Some((_, kind)) if meta.is_dir() => listing.folder(*kind, &path, &name, 1),
                Some(_) if meta.is_symlink() => listing.linked(&name),
                _ if meta.is_dir() => listing.stranger(&name),
                _ if name == "guanlan.yaml" => listing.add(Place::new(Kind::Config, ""), name, &meta),
                _ if name == "calendar.yaml" => listing.add(Place::new(Kind::Calendar, ""), name, &meta),
                _ if name == "guanlan.yml" || name == "calendar.yml" => listing.ending(&name, "yaml"),
                _ => {}
            }
        }
        Ok(listing)
    }

    fn folder(&mut self, kind: Kind, dir: &Path, inside: &str, depth: usize) {
        let children = match children(dir) {
            Ok(children) => children,
            Err(error) => {
                let message = format!("the folder cannot be read: {error}");
                self.findings.push(Finding::whole(inside, message).hint("check its permissions"));
                self.closed.insert(format!("{inside}/"));
                return;
            }
        };
        for (name, path, meta) in children {
            let inside = format!("{inside}/{name}");
            if meta.is_dir() {
                if kind == Kind::Model && depth < DEEPEST {
                    self.folder(kind, &path, &inside, depth + 1);
                } else {
                    let found = Finding::whole(&inside, "folders in here are not read").warning();
                    self.findings.push(found.hint(format!("move the files up into `{}/`", plural(kind))));
                }
                continue;
            }
            if meta.is_symlink() && !name.contains('.') {
                self.linked(&inside);
                continue;
            }
            match name.rsplit_once('.') {
                Some((stem, ending)) if ending == kind.extension() => {
                    self.named(kind, stem.to_owned(), inside, &meta);
                }
                Some((_, "yml" | "yaml" | "sql")) => self.ending(&inside, kind.extension()),
                _ => {}
            }
        }
    }

    fn named(&mut self, kind: Kind, stem: String, file: String, meta: &std::fs::Metadata) {
        if !is_name(&stem) {
            let found = Finding::whole(&file, format!("`{stem}` cannot name a {}", kind.noun()));
            let hint = format!(
                "the file name is the name: lower-case letters, digits and _, starting with a letter, such as `{}.{}`",
                suggestion(&stem),
                kind.extension()
            );
            self.findings.push(found.hint(hint));
            return;
        }
        let place = Place::new(kind, stem);
        if let Some((other, _)) = self.files.iter().find(|(_, e)| kind == Kind::Model && e.place == place) {
            let found =
                Finding::whole(&file, format!("the name `{}` is taken already by {other}", place.name));
            self.findings.push(found.hint("names of models are unique over all folders: rename one"));
            return;
        }
        self.add(place, file, meta);
    }

    fn add(&mut self, place: Place, file: String, meta: &std::fs::Metadata) {
        if self.files.len() >= MOST_FILES {
            if self.files.len() == MOST_FILES && self.findings.iter().all(|f| f.file != file) {
                let message = format!(
                    "this file and what follows is not read: a project has at most {MOST_FILES} files"
                );
                self.findings.push(Finding::whole(&file, message));
            }
            return;
        }
        let stamp = Stamp {
            size: meta.len(),
            inode: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        };
        self.files.insert(file, Entry { place, stamp });
    }

    /// A folder that is a link: what it leads to may lie outside of the project.
    fn linked(&mut self, folder: &str) {
        self.findings.push(link(folder));
        self.closed.insert(format!("{folder}/"));
    }

    fn ending(&mut self, file: &str, right: &str) {
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let name = stem.rsplit('/').next().unwrap_or(stem);
        let found = Finding::whole(file, "a file with this ending is not read here");
        self.findings.push(found.hint(format!("rename it to `{name}.{right}`")));
    }

    /// A folder that is none of ours is none of our business, unless its name is a slip.
    fn stranger(&mut self, name: &str) {
        let folders = Kind::FOLDERS.iter().map(|(folder, _)| *folder);
        if let Some(near) = store::nearest(name, folders) {
            let found = Finding::whole(name, "this folder is not read").warning();
            self.findings.push(found.hint(format!("did you mean `{near}/`?")));
        }
    }
}

/// The folder a kind lives in.
pub(crate) fn plural(kind: Kind) -> &'static str {
    Kind::FOLDERS.iter().find(|(_, k)| *k == kind).map_or(".", |(folder, _)| folder)
}

fn link(path: &str) -> Finding {
    Finding::whole(
        path,
        "this is a link; definitions are read where they stand, and nothing outside of the project",
    )
    .hint("put the file itself here")
}

/// Reads one file: a regular one, of a size that a definition can have. What its path says is looked at before and
/// after it is opened, so that a link put there in between is not followed either.
pub(crate) fn text(dir: &Path, file: &str) -> Result<String, Finding> {
    let path = dir.join(file);
    let failed = |e: io::Error| {
        Finding::whole(file, format!("the file cannot be read: {e}")).hint("check its permissions")
    };
    let looked = std::fs::symlink_metadata(&path).map_err(failed)?;
    if looked.is_symlink() {
        return Err(link(file));
    }
    // A pipe or a device has no end, and opening it may wait for ever.
    let special = || Finding::whole(file, "this is not a regular file").hint("put a text file here");
    if !looked.is_file() {
        return Err(special());
    }
    let most = limits().definition_bytes;
    let too_large = |size: String| {
        let message = format!("the file has {size} bytes, a definition at most {most}");
        Finding::whole(file, message).hint(
            "data belongs into a source, not into the project folder; `limits: { definition_bytes: … }` allows more",
        )
    };
    if looked.len() > most {
        return Err(too_large(looked.len().to_string()));
    }
    let opened = std::fs::File::open(&path).map_err(failed)?;
    let meta = opened.metadata().map_err(failed)?;
    if !meta.is_file() || (meta.dev(), meta.ino()) != (looked.dev(), looked.ino()) {
        return Err(special());
    }
    let mut bytes = Vec::new();
    opened.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(too_large(format!("more than {most}")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&e.as_bytes()[..valid]).into_owned();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let found = Finding::whole(file, "the file is not written in UTF-8 from here on");
        Finding { line, column, ..found }.hint("save it as UTF-8 in your editor")
    })
}

/// Children in order of their names, links as links; hidden files and what editors leave behind are skipped.
fn children(dir: &Path) -> io::Result<Vec<(String, PathBuf, std::fs::Metadata)>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(['.', '#']) || name.ends_with('~') {
            continue;
        }
        // A file may vanish between listing and looking: the next look tells. A link is listed as itself.
        if let Ok(meta) = std::fs::symlink_metadata(entry.path()) {
            children.push((name, entry.path(), meta));
        }
    }
    children.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(children)
}

/// `[a-z][a-z0-9_]*`
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn suggestion(stem: &str) -> String {
    let plain: String = stem
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .collect();
    let plain = plain.trim_matches('_');
    if is_name(plain) { plain.to_owned() } else { format!("n_{plain}").trim_end_matches('_').to_owned() }
}
