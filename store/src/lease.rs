//! One process per project folder. The operating system releases the lock when the owner dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Error, Result};

/// The folder is ours until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLease {
    file: File,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    what: String,
    since: Timestamp,
}

impl FolderLease {
    /// Locks `dir/.guanlan/lock` for `what` (for example "guanlan serve").
    ///
    /// # Errors
    /// [`Error::Held`] names the process that has it; [`Error::Disk`] when the folder cannot be written.
    pub fn acquire(dir: &Path, what: &str) -> Result<Self> {
        let folder = dir.join(".guanlan");
        let failed = |doing, path: &Path, source| Error::Disk { doing, path: path.to_owned(), source };
        std::fs::create_dir_all(&folder).map_err(|e| failed("create the folder", &folder, e))?;
        // It holds accounts and sessions; an older version may have made it for everyone to read. Another account's
        // folder stays as it is.
        let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700));
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed("open the lock", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(dir, &mut file)),
            Err(TryLockError::Error(e)) => return Err(failed("lock", &path, e)),
        }
        // Real time on purpose: the reader compares it with a process list, not with the demo's clock.
        let owner = Owner { pid: std::process::id(), what: what.into(), since: SystemClock.now() };
        let text = serde_json::to_string(&owner).expect("a plain struct always serializes");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| failed("write the lock", &path, e))?;
        Ok(Self { file, path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FolderLease {
    fn drop(&mut self) {
        // Closing the file releases it anyway; this only makes the moment certain.
        let _ = self.file.unlock();
    }
}

fn held(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let owner = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Owner>(&text).ok());
    // The owner may be between locking and writing its name.
    let owner = owner.unwrap_or(Owner { pid: 0, what: "another guanlan".into(), since: SystemClock.now() });
    Error::Held { dir: dir.into(), pid: owner.pid, what: owner.what, since: owner.since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_by_name_until_the_first_lets_go() {
        let dir = std::env::temp_dir().join(format!("guanlan-lease-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = FolderLease::acquire(&dir, "guanlan serve").unwrap();
        let error = FolderLease::acquire(&dir, "guanlan sync").unwrap_err();
        assert!(
            matches!(&error, Error::Held { pid, what, .. } if *pid == std::process::id() && what == "guanlan serve")
        );
        assert!(error.to_string().contains("Stop it first"));
        drop(first);
        FolderLease::acquire(&dir, "guanlan sync").unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}
