//! Which files have landed: 10 bytes a file, so that ten thousand files are a 200 KB cursor.
//!
//! A cursor is `{"files": "<hex>", "pruned": bool}`; per file 5 bytes of the path's hash and 5 of its
//! identity's (size, modification time, etag). What a pull carries is a patch to it: one file landed.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::list::Entry;
use crate::source::Cursor;

const HASH: usize = 5;
const HEX: usize = HASH * 4;
/// Vanished files are forgotten only when the state is large.
const KEEP: usize = 50_000;

type Hash = [u8; HASH];

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
    /// Some files were forgotten, so an unknown one may have landed.
    pruned: bool,
}

pub(super) fn short_hash(bytes: &[u8]) -> Hash {
    let digest = Sha256::digest(bytes);
    [digest[0], digest[1], digest[2], digest[3], digest[4]]
}

fn identity(entry: &Entry) -> Hash {
    short_hash(format!("{}|{}", entry.size, entry.modified).as_bytes())
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

/// The patch that says: this file has landed, and these are forgotten.
pub(super) fn patch(entry: &Entry, gone: Option<String>) -> Cursor {
    let file = hex(&[short_hash(entry.name.as_bytes()), identity(entry)].concat());
    match gone {
        None => json!({"file": file}),
        Some(gone) => json!({"file": file, "gone": gone}),
    }
}

impl Landed {
    pub(super) fn read(cursor: Option<&Cursor>) -> Self {
        let text = cursor.and_then(|c| c.get("files")).and_then(Value::as_str).unwrap_or_default();
        let files = text
            .as_bytes()
            .chunks_exact(HEX)
            .filter_map(|f| Some((unhex(&f[..HASH * 2])?, unhex(&f[HASH * 2..])?)))
            .collect();
        // A cursor whose list was lost with the metadata database: every file may have landed.
        let lost = cursor.is_some_and(|c| c.get("files").and_then(Value::as_str).is_none());
        let pruned = lost || cursor.and_then(|c| c.get("pruned")).and_then(Value::as_bool).unwrap_or(false);
        Landed { files, pruned }
    }

    pub(super) fn look(&self, entry: &Entry) -> Seen {
        match self.files.get(&short_hash(entry.name.as_bytes())) {
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
        let other: Option<HashSet<Hash>> = names.map(|n| n.iter().map(|n| short_hash(n.as_bytes())).collect());
        for (file, identity) in &mut self.files {
            if other.as_ref().is_none_or(|other| other.contains(file)) {
                *identity = [0; HASH];
            }
        }
        self.cursor()
    }

    /// Path hashes to forget, when the state has grown large with files that are gone.
    pub(super) fn gone(&self, listed: &[Entry]) -> Option<String> {
        if self.files.len() < KEEP || self.files.len() < listed.len() * 2 {
            return None;
        }
        let present: HashSet<Hash> = listed.iter().map(|e| short_hash(e.name.as_bytes())).collect();
        Some(self.files.keys().filter(|f| !present.contains(*f)).map(|f| hex(f)).collect())
    }

    /// The cursor with a patch applied.
    pub(super) fn with(mut self, patch: &Cursor) -> Cursor {
        let text =
            |key: &str| patch.get(key).and_then(Value::as_str).unwrap_or_default().as_bytes().to_owned();
        for gone in text("gone").chunks_exact(HASH * 2).filter_map(unhex) {
            self.files.remove(&gone);
            self.pruned = true;
        }
        for file in text("file").chunks_exact(HEX) {
            if let (Some(path), Some(identity)) = (unhex(&file[..HASH * 2]), unhex(&file[HASH * 2..])) {
                self.files.insert(path, identity);
            }
        }
        self.cursor()
    }

    fn cursor(&self) -> Cursor {
        let mut files: Vec<String> = self.files.iter().map(|(p, i)| hex(p) + &hex(i)).collect();
        files.sort_unstable();
        json!({"files": files.concat(), "pruned": self.pruned})
    }
}
