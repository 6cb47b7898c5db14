//! What was served last, kept beside the metadata so that a restart over a mistake has a last good version too.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Project;
use super::files::Place;
use super::graph::Items;
use super::item::Item;

fn path(dir: &Path) -> PathBuf {
    dir.join(".guanlan/served.json")
}

/// Keeps the served texts. A kill leaves the old ones or the new ones.
///
/// # Errors
/// The folder cannot be written.
pub fn remember(project: &Project) -> io::Result<()> {
    let path = path(&project.dir);
    let text = serde_json::to_string(&project.files)?;
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, &path)
}

/// The definitions that were served last; those that this program no longer understands are left out.
pub(super) fn recall(dir: &Path) -> Items {
    let Ok(text) = std::fs::read_to_string(path(dir)) else { return Items::new() };
    let files: BTreeMap<String, Arc<str>> = serde_json::from_str(&text).unwrap_or_default();
    let item = |(file, text): (String, Arc<str>)| {
        let place = Place::of(&file)?;
        let item = Item::read(&place, &file, text).ok()?;
        Some((place, Arc::new(item)))
    };
    files.into_iter().filter_map(item).collect()
}
