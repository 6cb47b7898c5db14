//! What can go wrong, told apart by what the caller does next.

/// Why rules could not be evaluated or messages not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No alert has this id: it never existed or is long gone.
    #[error("no alert {0}; list the open ones with GET /api/alerts")]
    NoAlert(String),
    /// No message has this id.
    #[error("no delivery {0}; list them with `guanlan delivery list` or GET /api/deliveries")]
    NoDelivery(String),
    /// The site has no channel of this name.
    #[error("no channel {name} in guanlan.yaml{}", near.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    NoChannel { name: String, near: Option<String> },
    /// What was asked cannot be done; the text says why and what to do.
    #[error("{0}")]
    Invalid(String),
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
