//! A temporary file on local disk: what is larger than memory and must be read twice.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use store::{Clock, new_id};

use crate::error::SourceError;

/// Removed when dropped; what a killed process left is removed at the next start.
pub(crate) struct Spool {
    path: PathBuf,
}

fn folder(base: &Path) -> PathBuf {
    base.join(".guanlan").join("spool")
}

impl Spool {
    /// Creates an empty file below the project folder.
    ///
    /// # Errors
    /// The disk is full or read-only.
    pub(crate) fn create(base: &Path, clock: &dyn Clock) -> Result<(Spool, File), SourceError> {
        let folder = folder(base);
        let path = folder.join(new_id(clock));
        let file = std::fs::create_dir_all(&folder).and_then(|()| File::create_new(&path));
        file.map(|f| (Spool { path }, f)).map_err(|e| failed(&folder, &e))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a killed process left. Call before anything is read.
    pub(crate) fn sweep(base: &Path) {
        let Ok(entries) = std::fs::read_dir(folder(base)) else { return };
        for entry in entries.flatten() {
            if let Err(e) = std::fs::remove_file(entry.path()) {
                tracing::warn!(file.path = %entry.path().display(), error = %e, "a leftover temporary file cannot be removed");
            }
        }
    }
}

/// The disk refused.
pub(crate) fn failed(place: &Path, e: &io::Error) -> SourceError {
    SourceError::later(format!(
        "cannot write temporary files to {}: {e}; make room, or grant the guanlan user write access",
        place.display()
    ))
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_file(&self.path) {
            tracing::warn!(file.path = %self.path.display(), error = %e, "a temporary file cannot be removed");
        }
    }
}
