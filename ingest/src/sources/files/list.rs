//! The files of a folder, oldest first.

use std::fs::Metadata;
use std::path::Path;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path as Key;

use super::Glob;
use crate::error::SourceError;

/// Files listed per stream; more belong in folders with a narrower glob.
const MOST_FILES: usize = 1_000_000;
const MOST_FOLDERS: usize = 64;
/// Links that are named.
const MOST_LINKS: usize = 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path below the source's folder, with `/`.
    pub(super) name: String,
    pub(super) size: u64,
    /// Nanoseconds on local disk; a hash of time and etag in a store.
    pub(super) modified: i128,
    /// When content or name last changed by the system's own clock, which no copy sets back, in nanoseconds; 0
    /// in a store.
    pub(super) changed: i128,
    /// Key in the object store; empty for local files.
    pub(super) key: Key,
}

/// What tells one state of a local file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: i128,
    changed: i128,
    inode: u64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Stamp { size: meta.len(), modified: modified(meta), changed: changed(meta).0, inode: changed(meta).1 }
    }

    pub(super) fn is_of(&self, entry: &Entry) -> bool {
        (self.size, self.modified, self.changed) == (entry.size, entry.modified, entry.changed)
    }
}

/// The state of a regular file that really lies below a folder: behind no link, in no other place.
///
/// # Errors
/// It is gone, or it is not such a file.
pub(super) fn stamp(folder: &Path, path: &Path) -> std::io::Result<Stamp> {
    let meta = std::fs::symlink_metadata(path)?;
    let inside = path.canonicalize()?.starts_with(folder.canonicalize()?);
    if !meta.is_file() || !inside {
        return Err(std::io::Error::other("it is no regular file below the source's folder"));
    }
    Ok(Stamp::of(&meta))
}

fn modified(of: &Metadata) -> i128 {
    let since = of.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |d| d.as_nanos() as i128)
}

/// Time of the last change and number of the file.
#[cfg(unix)]
fn changed(of: &Metadata) -> (i128, u64) {
    use std::os::unix::fs::MetadataExt;
    (i128::from(of.ctime()) * 1_000_000_000 + i128::from(of.ctime_nsec()), of.ino())
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> (i128, u64) {
    (0, 0)
}

/// Half-written or private files of editors and office programs.
fn is_private(name: &str) -> bool {
    name.starts_with('.')
        || name.starts_with("~$")
        || [".part", ".tmp", ".crdownload", ".filepart"].iter().any(|end| name.ends_with(end))
}

/// Files below a local folder, and the links among them, which are not followed: whoever may drop a file must
/// not choose what else is read.
pub(super) fn local(folder: &Path, glob: &Glob) -> Result<(Vec<Entry>, Vec<String>), SourceError> {
    let shown = folder.display();
    if !folder.is_dir() {
        return Err(SourceError::never(format!(
            "there is no folder {shown}; create it or correct `path` (relative to the project folder)"
        )));
    }
    let (mut found, mut links) = (Vec::new(), Vec::new());
    let mut waiting = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = waiting.pop() {
        let entries = std::fs::read_dir(&dir).map_err(|e| {
            SourceError::later(format!(
                "folder {} cannot be listed: {e}; grant the guanlan user read access",
                dir.display()
            ))
        })?;
        for entry in entries {
            let entry = entry
                .map_err(|e| SourceError::later(format!("folder {} cannot be listed: {e}", dir.display())))?;
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let name = format!("{prefix}{file_name}");
            let Ok(kind) = entry.file_type() else { continue };
            if is_private(&file_name) {
                continue;
            }
            if kind.is_symlink() {
                let folder = glob.deep && std::fs::metadata(entry.path()).is_ok_and(|m| m.is_dir());
                if (folder || glob.matches(&name)) && links.len() < MOST_LINKS {
                    links.push(name);
                }
            } else if kind.is_dir() {
                if glob.deep && depth < MOST_FOLDERS {
                    waiting.push((entry.path(), format!("{name}/"), depth + 1));
                }
            } else if glob.matches(&name)
                && let Ok(meta) = std::fs::symlink_metadata(entry.path())
                && meta.is_file()
            {
                found.push(Entry {
                    size: meta.len(),
                    modified: modified(&meta),
                    changed: changed(&meta).0,
                    key: Key::default(),
                    name,
                });
            }
            check_count(found.len(), &shown)?;
        }
    }
    links.sort();
    Ok((sorted(found), links))
}

fn check_count(count: usize, place: &dyn std::fmt::Display) -> Result<(), SourceError> {
    match count > MOST_FILES {
        true => Err(SourceError::never(format!(
            "{place} holds more than {MOST_FILES} files of this stream; narrow `glob`"
        ))),
        false => Ok(()),
    }
}

/// Objects below a folder of a store.
pub(super) async fn remote(
    store: &dyn ObjectStore,
    folder: &str,
    glob: &Glob,
) -> Result<Vec<Entry>, SourceError> {
    // Parsed, not converted: `Key::from` would look for 业务 under its percent-encoded name.
    let prefix = Key::parse(folder).map_err(|e| {
        SourceError::never(format!(
            "`path` is no folder of an object store: {e}; write names joined by single /"
        ))
    })?;
    let mut found = Vec::new();
    let mut objects = store.list((!folder.is_empty()).then_some(&prefix));
    while let Some(object) = objects.try_next().await.map_err(|e| listing_error(&e))? {
        let full = object.location.as_ref();
        let name = full.strip_prefix(prefix.as_ref()).unwrap_or(full).trim_start_matches('/').to_owned();
        let file_name = name.rsplit('/').next().unwrap_or_default();
        if name.is_empty() || is_private(file_name) || !glob.matches(&name) {
            continue;
        }
        let etag = object.e_tag.unwrap_or_default();
        let tag = super::state::short_hash(etag.as_bytes());
        let mut wide = [0u8; 16];
        wide[11..].copy_from_slice(&tag);
        let modified = i128::from(object.last_modified.timestamp_millis()) << 40 | i128::from_be_bytes(wide);
        found.push(Entry { name, size: object.size, modified, changed: 0, key: object.location });
        check_count(found.len(), &folder)?;
    }
    Ok(sorted(found))
}

fn listing_error(e: &object_store::Error) -> SourceError {
    match e {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            SourceError::never(
                "the object store refuses the listing: the keys are wrong or lack rights; correct access_key and secret_key",
            )
        }
        object_store::Error::NotFound { .. } => {
            SourceError::never("the object store has no such bucket or folder; correct `bucket` and `path`")
        }
        other => SourceError::later(format!("the object store cannot be listed: {other}")),
    }
}

/// Oldest first, so that a stream of drops lands in the order it arrived.
fn sorted(mut files: Vec<Entry>) -> Vec<Entry> {
    files.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
    files
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_folder_of_a_store_may_have_a_chinese_name() {
        let store = InMemory::new();
        store.put(&Key::parse("业务/日报/一月 (1).csv").unwrap(), "a".into()).await.unwrap();
        let glob = Glob::parse("*.csv").unwrap();
        let found = remote(&store, "业务/日报", &glob).await.unwrap();
        assert_eq!(found.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["一月 (1).csv"]);
        let error = remote(&store, "业务//日报", &glob).await.unwrap_err().to_string();
        assert!(error.contains("`path`"), "{error}");
    }
}
