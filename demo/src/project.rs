//! The demo's project folder, as a user would have written it, and its secrets.

use std::path::Path;

use base64::Engine;
use rust_embed::RustEmbed;

use crate::{Error, PROJECT};

#[derive(RustEmbed)]
#[folder = "project/"]
struct Files;

const SITE: &str = "guanlan.yaml";

/// What differs from one demo to the next.
pub struct ProjectOptions {
    /// Address Guanlan listens on, such as `127.0.0.1:8080`.
    pub listen: String,
    /// Port of the webhook receiver on 127.0.0.1.
    pub webhook: u16,
    /// Port of the ticket system on 127.0.0.1.
    pub tickets: u16,
    /// Fresh random bytes for the secrets.
    pub random: [u8; 64],
}

/// Writes `<dir>/project`. Files that are there already stay as they are, so that edits survive; the
/// secrets below `.guanlan/` get mode 600.
pub fn project(dir: &Path, options: &ProjectOptions) -> Result<(), Error> {
    let folder = dir.join(PROJECT);
    let names: Vec<_> = Files::iter().filter(|name| name != SITE).collect();
    // The site comes last and says that the folder is whole: what someone deletes later stays deleted.
    for name in names.iter().map(|name| &**name).chain([SITE]).filter(|_| !folder.join(SITE).exists()) {
        if let Some(file) = Files::get(name) {
            let text = String::from_utf8_lossy(&file.data).into_owned();
            save(&folder.join(name), &fitted(&text, options), false)?;
        }
    }
    let (token, key) = options.random.split_at(32);
    let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key));
    save(&folder.join(".guanlan/ticket.token"), &token, true)?;
    save(&folder.join(".guanlan/webhook.secret"), &key, true)
}

/// The embedded files carry working default addresses; here the real ones take their place.
fn fitted(text: &str, options: &ProjectOptions) -> String {
    // Each default first becomes a mark no file holds, so that a real port is never replaced again.
    text.replace("127.0.0.1:8080", "\u{1}")
        .replace("127.0.0.1:9400", "\u{2}")
        .replace("127.0.0.1:9401", "\u{3}")
        .replace('\u{1}', &options.listen)
        .replace('\u{2}', &format!("127.0.0.1:{}", options.webhook))
        .replace('\u{3}', &format!("127.0.0.1:{}", options.tickets))
}

fn save(path: &Path, text: &str, secret: bool) -> Result<(), Error> {
    use std::io::Write;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Error::file("create", parent, e))?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    match options.open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|e| Error::file("write", path, e)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::file("create", path, error)),
    }
}

#[cfg(test)]
mod tests;
