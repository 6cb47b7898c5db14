//! What can go wrong with a whole page. What goes wrong with one tile stays inside that tile.

/// A page that cannot be answered at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader asked for something that cannot be: show the message, let them ask again.
    #[error("{message}")]
    Ask {
        /// What is wrong and what would be right.
        message: String,
    },
    /// The dashboard is not for this reader.
    #[error(
        "you may not open this dashboard: it is for {roles}; ask an administrator for one of these roles"
    )]
    NotPermitted {
        /// Roles that may open it.
        roles: String,
    },
    /// The catalogue cannot be read: try again later.
    #[error("the tables of this dashboard cannot be listed: {0}")]
    Catalogue(String),
}
