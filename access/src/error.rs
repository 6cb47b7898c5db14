//! One error for the room; variants by what the caller does next.

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller must give something else.
    #[error("{0}")]
    Invalid(String),
    /// There is no such user.
    #[error("there is no user \"{0}\": list them with `guanlan user list`")]
    UnknownUser(String),
    /// Too much at once; the same request succeeds a moment later.
    #[error("too many logins at once: try again in a few seconds")]
    Busy,
    /// A stored record cannot be read back.
    #[error("metadata database: {what} is damaged: {why}. Restore a backup.")]
    Damaged { what: String, why: String },
    #[error(transparent)]
    Store(#[from] store::Error),
}

pub(crate) trait Doing<T> {
    /// Names the database operation that failed.
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| Error::Store(store::Error::Database { doing, source }))
    }
}
