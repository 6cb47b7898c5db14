//! The simulated company behind `guanlan demo`: source systems full of realistic, partly messy data
//! that keep working while someone watches, with planted trouble and a file that says where.
//!
//! It never knows Guanlan: it writes an OA database (SQLite), a folder of CSV and XLSX exports and a
//! ticket system with a REST interface, exactly as foreign systems would, and the demo's project
//! folder as a user would.
//!
//! Everything follows from the seed. A generator plans one day (or hour) of one subject as a pure
//! function; what a source shows at some moment is the plan cut off there. So the same seed gives the
//! same bytes, however time was cut into steps and however often the process was killed.
//!
//! Reading order: `dice` and `time`, `names` and `company`, `planted`, one generator a subject,
//! `drops`, `oa` and `table`, `world`, `api`, `project`.

mod access;
mod api;
mod approvals;
mod attendance;
mod company;
mod dice;
mod drops;
mod history;
mod ledger;
mod names;
mod oa;
mod orders;
mod planted;
mod project;
mod settings;
mod table;
mod tickets;
mod time;
mod world;

use std::path::{Path, PathBuf};

pub use api::api;
pub use planted::{Entry, GroundTruth, Note};
pub use project::{ProjectOptions, project};
pub use settings::Settings;
pub use world::World;

/// Folder of the company's systems below the demo folder.
pub const COMPANY: &str = "company";
/// Folder of the Guanlan project below the demo folder.
pub const PROJECT: &str = "project";

/// Variants by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Choose other settings.
    #[error("the simulated company cannot be made: {0}")]
    Settings(String),
    /// Resume it, or choose another folder.
    #[error("{} already holds a simulated company: resume it, or remove the folder and try again", .0.display())]
    Exists(PathBuf),
    /// Make a new company.
    #[error("{} is damaged ({reason}): remove the demo folder and start the demo again", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// Look at the disk: space, rights.
    #[error("cannot {action} {}: {source}; check that the folder exists, is writable and has space", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "a database of the simulated company refuses ({0}); if another demo runs on this folder, stop it, else remove the demo folder and start again"
    )]
    Database(#[from] sqlx::Error),
    #[error("the budget workbook cannot be written: {0}")]
    Workbook(#[from] rust_xlsxwriter::XlsxError),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}
