//! `guanlan init`: a small project that works at once and explains itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// File of the new project and its text.
const TEMPLATE: [(&str, &str); 10] = [
    ("guanlan.yaml", include_str!("template/guanlan.yaml")),
    (".gitignore", include_str!("template/gitignore")),
    ("drops/orders_2026_01.csv", include_str!("template/drops/orders_2026_01.csv")),
    ("sources/shop.yaml", include_str!("template/sources/shop.yaml")),
    ("cleans/orders.yaml", include_str!("template/cleans/orders.yaml")),
    ("models/orders.sql", include_str!("template/models/orders.sql")),
    ("metrics/revenue.yaml", include_str!("template/metrics/revenue.yaml")),
    ("metrics/orders.yaml", include_str!("template/metrics/orders.yaml")),
    ("dashboards/overview.yaml", include_str!("template/dashboards/overview.yaml")),
    ("rules/order_slump.yaml", include_str!("template/rules/order_slump.yaml")),
];

/// What stands in the template for the name of the site, inside double quotes.
const NAME: &str = "@NAME@";

/// Why no project was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is there already: choose another folder.
    #[error("{} is not empty (it holds `{found}`): choose a new folder, so that nothing of yours is overwritten", dir.display())]
    NotEmpty { dir: PathBuf, found: String },
    /// The path is a file: choose another folder.
    #[error("{} is a file, not a folder: choose another name", dir.display())]
    NotAFolder { dir: PathBuf },
    /// The name cannot be shown.
    #[error("the name of the project is empty: name the folder, as in `guanlan init mycompany`")]
    NoName,
    /// The disk refused.
    #[error("cannot write {}: {source}; check that the disk is writable and has space", path.display())]
    Disk { path: PathBuf, source: io::Error },
}

/// Writes a starter project named `name` into `dir`, which must be new or empty. Returns the files
/// written.
///
/// # Errors
/// The folder holds something, or the disk refuses.
pub fn init(dir: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::NoName);
    }
    must_be_empty(dir)?;
    let mut written = Vec::with_capacity(TEMPLATE.len());
    for (file, text) in TEMPLATE {
        let path = dir.join(file);
        let folder = path.parent().unwrap_or(dir);
        fs::create_dir_all(folder).map_err(|source| Error::Disk { path: folder.into(), source })?;
        let text = text.replace(NAME, &quoted(name));
        fs::write(&path, text).map_err(|source| Error::Disk { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}

fn must_be_empty(dir: &Path) -> Result<(), Error> {
    let mut entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::NotAFolder { dir: dir.into() });
        }
        Err(source) => return Err(Error::Disk { path: dir.into(), source }),
    };
    match entries.find_map(|entry| entry.ok().filter(|e| e.file_name() != ".git")) {
        Some(entry) => {
            Err(Error::NotEmpty { dir: dir.into(), found: entry.file_name().to_string_lossy().into_owned() })
        }
        None => Ok(()),
    }
}

/// The inside of a double-quoted YAML text.
fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
