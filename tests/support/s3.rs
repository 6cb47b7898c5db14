//! An S3-compatible server over HTTP. moto honours `If-None-Match: *` on signed PUTs, which is what
//! makes a Delta commit atomic (checked with its own client before it was chosen).

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Server, free_port, wait_for};

pub struct S3 {
    pub endpoint: String,
    pub bucket: &'static str,
    _server: Server,
}

impl S3 {
    /// Starts the server with one empty bucket; `None` where moto is not installed.
    pub async fn start() -> Option<Self> {
        let cache = std::env::var_os("GUANLAN_CACHE").map(PathBuf::from).or_else(|| {
            let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let base = base.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache")));
            base.map(|b| b.join("guanlan"))
        })?;
        let bin = cache.join("venv/bin");
        if !bin.join("moto_server").exists() {
            eprintln!("skipped: moto is not installed; run tests/prepare.sh test");
            return None;
        }
        let port = free_port();
        let server = Command::new(bin.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let server = Server(server);
        let endpoint = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::new();
        wait_for("the S3 server answering", Duration::from_secs(30), || async {
            http.put(format!("{endpoint}/lake")).send().await.is_ok_and(|r| r.status().is_success())
        })
        .await;
        Some(Self { endpoint, bucket: "lake", _server: server })
    }
}
