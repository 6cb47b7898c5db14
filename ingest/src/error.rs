//! What can go wrong, told apart by what the caller does next.

use std::time::Duration;

/// Why a source, one of its streams or one of its files could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// Trying again later may help: the host is down, the API is busy, a lock is held.
    #[error("{message}")]
    Later {
        /// How long the other side asked to wait.
        after: Option<Duration>,
        /// What happened, where, and what to do.
        message: String,
    },
    /// Trying again without a change cannot help: wrong credentials, missing table, damaged file.
    #[error("{message}")]
    Never {
        /// What happened, where, and what to do.
        message: String,
    },
}

impl SourceError {
    /// An error that only a change can fix.
    pub(crate) fn never(message: impl Into<String>) -> Self {
        SourceError::Never { message: message.into() }
    }

    /// An error that time may fix.
    pub(crate) fn later(message: impl Into<String>) -> Self {
        SourceError::Later { after: None, message: message.into() }
    }

    /// The same error with `what: ` in front, to name the file or table.
    pub(crate) fn about(self, what: &str) -> Self {
        match self {
            SourceError::Later { after, message } => {
                SourceError::Later { after, message: format!("{what}: {message}") }
            }
            SourceError::Never { message } => SourceError::Never { message: format!("{what}: {message}") },
        }
    }
}

/// Why a sync as a whole could not run. Troubles of one stream are in its report instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The definition names no such stream.
    #[error("source `{source_name}` has no stream `{stream}`; it has {known}")]
    NoStream {
        /// The source.
        source_name: String,
        /// The stream that was asked for.
        stream: String,
        /// The streams that exist, for the message.
        known: String,
    },
    /// The source cannot be reached or read.
    #[error(transparent)]
    Source(SourceError),
    /// The metadata database failed.
    #[error("metadata database: {0}; check that the disk is writable and has room")]
    Metadata(#[from] sqlx::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The warehouse failed before any row was read.
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}
