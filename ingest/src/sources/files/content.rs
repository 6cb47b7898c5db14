//! Which files hold the same bytes: a second download doubles its rows, which somebody should know.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::state::Hash;

/// Files up to this size are hashed whole; of larger ones evenly spread blocks and the size.
const WHOLE: u64 = 8 << 20;
const BLOCKS: u64 = 64;
const BLOCK: u64 = 64 << 10;

/// A hash of a file's content.
pub(super) fn hash(path: &Path) -> io::Result<Hash> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut digest = Sha256::new();
    digest.update(size.to_le_bytes());
    let mut block = Vec::with_capacity(BLOCK as usize);
    let mut feed = |part: &mut dyn Read| -> io::Result<()> {
        block.clear();
        part.read_to_end(&mut block)?;
        digest.update(&block);
        Ok(())
    };
    if size <= WHOLE {
        feed(&mut file.take(WHOLE))?;
    } else {
        for n in 0..BLOCKS {
            file.seek(SeekFrom::Start((size - BLOCK) / (BLOCKS - 1) * n))?;
            feed(&mut (&mut file).take(BLOCK))?;
        }
    }
    let digest = digest.finalize();
    Ok(std::array::from_fn(|i| digest[i]))
}

/// Contents of the files that have landed, shared by the readers of a stream.
#[derive(Clone)]
pub(super) struct Contents(Arc<Mutex<Landed>>);

struct Landed {
    /// By content: the paths' hashes.
    paths: HashMap<Hash, Vec<Hash>>,
    /// Names of the files that are there, by their hash.
    names: HashMap<Hash, String>,
}

impl Contents {
    pub(super) fn new(paths: HashMap<Hash, Vec<Hash>>, names: HashMap<Hash, String>) -> Self {
        Contents(Arc::new(Mutex::new(Landed { paths, names })))
    }

    /// Notes a file; answers what to say when another one has the same content.
    pub(super) fn note(&self, name: &str, path: Hash, content: Hash) -> Option<String> {
        let mut landed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = landed.paths.entry(content).or_default();
        let twin = others.iter().find(|other| **other != path).copied();
        if !others.contains(&path) {
            others.push(path);
        }
        let twin = twin?;
        let whose = match landed.names.get(&twin) {
            Some(other) => format!("`{other}`"),
            None => "a file that landed earlier and is no longer there".to_owned(),
        };
        Some(format!(
            "file `{name}` has the same content as {whose}: its rows are in the table twice; delete one of the files and reset the stream when that is not meant"
        ))
    }
}
