//! Real parts for tests: the binary itself, PostgreSQL, MariaDB, an S3-compatible server, an HTTP
//! receiver. Each listens on loopback, in a folder of its own, and ends with its value.

#![allow(dead_code, reason = "each test uses some of the parts")]

mod binary;
mod mariadb;
mod postgres;
mod receiver;
mod s3;

pub use binary::{Guanlan, Served, Session};
pub use mariadb::MariaDb;
pub use postgres::Postgres;
pub use receiver::Receiver;
pub use s3::S3;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder that goes away with its value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("guanlan-{name}-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("folders");
        std::fs::write(path, content).expect("a file in a temporary folder");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child process that is killed with its value.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port nobody listens on at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Waits until `ready` says so; panics with `what` after `limit`.
pub async fn wait_for<F, Fut>(what: &str, limit: Duration, mut ready: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let tries = limit.as_millis() / 100;
    for _ in 0..tries {
        if ready().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not happen within {limit:?}");
}

/// The first of `programs` that exists; `None` with a printed reason otherwise.
pub fn program(programs: &[&str]) -> Option<PathBuf> {
    let found = programs.iter().find_map(|name| {
        let path = PathBuf::from(name);
        if path.is_absolute() {
            return path.exists().then_some(path);
        }
        std::env::var_os("PATH")
            .and_then(|all| std::env::split_paths(&all).map(|d| d.join(name)).find(|p| p.exists()))
    });
    if found.is_none() {
        eprintln!("skipped: none of {programs:?} is installed; run tests/prepare.sh test");
    }
    found
}

/// Runs a command as a user who is not root when we are root: database servers refuse root.
pub fn as_user(user: &str, program: &Path) -> Command {
    if nix_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn nix_root() -> bool {
    std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0).unwrap_or(false)
}

/// Real data beside the checkout; tests that need it are skipped with a reason where it is absent.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("GUANLAN_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}
