//! Which files have landed: 10 bytes a file, so that ten thousand files are a 200 KB cursor.
//!
//! A cursor is `{"files": "<hex>", "contents": "<hex>", "columns": "<names>", "pruned": bool, "absent": n}`;
//! per file 5 bytes of the path's hash and 5 of its identity's (size, times of modification and change, etag),
//! and as many of the path's and the content's; the columns that all files have had; how many files were said
//! to be gone. What a pull carries is a patch to it: one file landed.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::content::Contents;
use super::known::Known;
use super::list::Entry;
use crate::source::Cursor;

const HASH: usize = 5;
const HEX: usize = HASH * 4;
/// Vanished files are forgotten only when the state is large.
const KEEP: usize = 50_000;

pub(super) type Hash = [u8; HASH];

/// What is known about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Landed as it is.
    Same,
    /// Never landed.
    New,
    /// Landed in another state, or perhaps: what landed must be replaced.
    Maybe,
}

/// Files that have landed.
pub(super) struct Landed {
    files: HashMap<Hash, Hash>,
    /// Content of each path.
    contents: HashMap<Hash, Hash>,
    columns: String,
    /// Files that landed and were said to be no longer there.
    absent: u64,
    /// Some files were forgotten, so an unknown one may have landed.
    pruned: bool,
}

pub(super) fn short_hash(bytes: &[u8]) -> Hash {
    let digest = Sha256::digest(bytes);
    [digest[0], digest[1], digest[2], digest[3], digest[4]]
}

fn identity(entry: &Entry) -> Hash {
    match entry.changed {
        0 => short_hash(format!("{}|{}", entry.size, entry.modified).as_bytes()),
        at => short_hash(format!("{}|{}|{at}", entry.size, entry.modified).as_bytes()),
    }
}

/// The hash that stands for a file's name.
pub(super) fn path_hash(entry: &Entry) -> Hash {
    short_hash(entry.name.as_bytes())
}

/// The patch that says what a file holds.
pub(super) fn content_patch(entry: &Entry, content: Hash) -> String {
    hex(&[path_hash(entry), content].concat())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &[u8]) -> Option<Hash> {
    let mut out = [0; HASH];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// The patch that says: this file has landed, so many are no longer there, and these are forgotten.
pub(super) fn patch(entry: &Entry, absent: u64, gone: Option<String>) -> Cursor {
    let file = hex(&[path_hash(entry), identity(entry)].concat());
    match gone {
        None => json!({"file": file, "absent": absent}),
        Some(gone) => json!({"file": file, "absent": 0, "gone": gone}),
    }
}

/// Pairs of hashes of a cursor.
fn hashes(text: &str) -> HashMap<Hash, Hash> {
    text.as_bytes()
        .chunks_exact(HEX)
        .filter_map(|f| Some((unhex(&f[..HASH * 2])?, unhex(&f[HASH * 2..])?)))
        .collect()
}

fn joined(pairs: &HashMap<Hash, Hash>) -> String {
    let mut pairs: Vec<String> = pairs.iter().map(|(path, of)| hex(path) + &hex(of)).collect();
    pairs.sort_unstable();
    pairs.concat()
}

impl Landed {
    pub(super) fn read(cursor: Option<&Cursor>) -> Self {
        let text = |key: &str| cursor.and_then(|c| c.get(key)).and_then(Value::as_str).unwrap_or_default();
        // A cursor whose list was lost with the metadata database: every file may have landed.
        let lost = cursor.is_some_and(|c| c.get("files").and_then(Value::as_str).is_none());
        let pruned = lost || cursor.and_then(|c| c.get("pruned")).and_then(Value::as_bool).unwrap_or(false);
        Landed {
            files: hashes(text("files")),
            contents: hashes(text("contents")),
            columns: text("columns").to_owned(),
            absent: cursor.and_then(|c| c.get("absent")).and_then(Value::as_u64).unwrap_or(0),
            pruned,
        }
    }

    /// The columns that files of this stream have had.
    pub(super) fn known(&self, loose: bool) -> Known {
        Known::read(Some(&self.columns), loose)
    }

    /// What the files that landed hold, and the names of those that are listed.
    pub(super) fn contents(&self, listed: &[Entry]) -> Contents {
        let mut paths = HashMap::<Hash, Vec<Hash>>::new();
        for (path, content) in &self.contents {
            paths.entry(*content).or_default().push(*path);
        }
        Contents::new(paths, listed.iter().map(|e| (path_hash(e), e.name.clone())).collect())
    }

    /// Files that landed and are not listed; the second says that there are more than was said before.
    pub(super) fn absent(&self, listed: &[Entry]) -> (u64, bool) {
        let present: HashSet<Hash> = listed.iter().map(path_hash).collect();
        let count = self.files.keys().filter(|path| !present.contains(*path)).count() as u64;
        (count, count > self.absent)
    }

    pub(super) fn look(&self, entry: &Entry) -> Seen {
        match self.files.get(&path_hash(entry)) {
            Some(before) if *before == identity(entry) => Seen::Same,
            Some(_) => Seen::Maybe,
            None if self.pruned => Seen::Maybe,
            None => Seen::New,
        }
    }

    /// Whether every file that ever landed is among these.
    pub(super) fn all_among(&self, listed: &[Entry]) -> bool {
        let present: HashSet<Hash> = listed.iter().map(|e| short_hash(e.name.as_bytes())).collect();
        !self.pruned && self.files.keys().all(|file| present.contains(file))
    }

    /// The cursor under which these files (all of them for `None`) have landed in another state.
    pub(super) fn unlike(mut self, names: Option<&BTreeSet<String>>) -> Cursor {
        let other: Option<HashSet<Hash>> =
            names.map(|n| n.iter().map(|n| short_hash(n.as_bytes())).collect());
        for (file, identity) in &mut self.files {
            if other.as_ref().is_none_or(|other| other.contains(file)) {
                *identity = [0; HASH];
            }
        }
        if other.is_none() {
            // Another definition reads them: the columns that the old one found say nothing of a file any more.
            self.columns.clear();
        }
        self.cursor()
    }

    /// Path hashes to forget, when the state has grown large with files that are gone.
    pub(super) fn gone(&self, listed: &[Entry]) -> Option<String> {
        if self.files.len() < KEEP || self.files.len() < listed.len() * 2 {
            return None;
        }
        let present: HashSet<Hash> = listed.iter().map(path_hash).collect();
        Some(self.files.keys().filter(|f| !present.contains(*f)).map(|f| hex(f)).collect())
    }

    /// The cursor with a patch applied.
    pub(super) fn with(mut self, patch: &Cursor) -> Cursor {
        let text =
            |key: &str| patch.get(key).and_then(Value::as_str).unwrap_or_default().as_bytes().to_owned();
        for gone in text("gone").chunks_exact(HASH * 2).filter_map(unhex) {
            self.files.remove(&gone);
            self.contents.remove(&gone);
            self.pruned = true;
        }
        for (key, pairs) in [("file", &mut self.files), ("content", &mut self.contents)] {
            pairs.extend(hashes(patch.get(key).and_then(Value::as_str).unwrap_or_default()));
        }
        if let Some(more) = patch.get("columns").and_then(Value::as_str) {
            self.columns = Known::join(&self.columns, more);
        }
        if let Some(absent) = patch.get("absent").and_then(Value::as_u64) {
            self.absent = absent;
        }
        self.cursor()
    }

    fn cursor(&self) -> Cursor {
        json!({
            "files": joined(&self.files),
            "contents": joined(&self.contents),
            "columns": self.columns,
            "pruned": self.pruned,
            "absent": self.absent,
        })
    }
}
