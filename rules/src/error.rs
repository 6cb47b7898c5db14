//! What can go wrong, told apart by what the caller does next.

/// Why rules could not be evaluated or messages not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No alert has this id: it never existed or is long gone.
    #[error("no alert {0}; list the open ones with GET /api/alerts")]
    NoAlert(String),
    /// The metadata database said no: nothing was changed, try again.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The warehouse could not answer.
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
