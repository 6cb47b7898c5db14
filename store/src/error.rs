//! One error for the room; variants by what the caller does next.

use std::path::PathBuf;

use crate::Timestamp;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the folder: stop, name it.
    #[error("{} is in use by {what} (process {pid}, since {since}). Stop it first, or use another project folder.", dir.display())]
    Held { dir: PathBuf, pid: u32, what: String, since: Timestamp },
    /// A definition, reference or setting is wrong: the user must change it.
    #[error("{0}")]
    Invalid(String),
    /// The disk said no: the user must make room, mount or grant.
    #[error("cannot {doing} {}: {source}. {}", path.display(), advice(source))]
    Disk { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// The object store said no.
    #[error("object store: cannot {doing}: {source}")]
    Objects { doing: String, source: object_store::Error },
    /// The metadata database said no; `doing` names the operation.
    #[error("metadata database: cannot {doing}: {source}")]
    Database { doing: &'static str, source: sqlx::Error },
    /// The database was written by a newer program: do not touch it.
    #[error(
        "metadata database: room {room} is at step {found}, this program knows {known}. Use the newer program, or restore a backup."
    )]
    Newer { room: String, found: i64, known: i64 },
    /// A stored record cannot be read back: a bug or a damaged database.
    #[error("metadata database: {what} is damaged: {why}. Run `guanlan check`, or restore a backup.")]
    Damaged { what: String, why: String },
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        Error::Database { doing: "run a statement", source }
    }
}

/// What to do about an I/O error, in one sentence.
pub(crate) fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match error.kind() {
        PermissionDenied => {
            "Give the user that runs guanlan write access to it, or choose another path in guanlan.yaml."
        }
        ReadOnlyFilesystem => {
            "The file system is mounted read-only: remount it writable, or choose another path in guanlan.yaml."
        }
        StorageFull | QuotaExceeded => "The disk is full: free space; nothing that was acknowledged is lost.",
        NotFound => "Check that the path exists and is spelled correctly.",
        NotADirectory | AlreadyExists => {
            "A file is in the way: move it, or choose another path in guanlan.yaml."
        }
        _ => "Check the disk and try again.",
    }
}

pub(crate) trait Doing<T> {
    /// Names the database operation that failed.
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| Error::Database { doing, source })
    }
}
