//! A PostgreSQL server of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::{Folder, as_user, free_port, program, wait_for};

pub struct Postgres {
    pub url: String,
    server: std::process::Child,
    _folder: Folder,
}

impl Postgres {
    /// Starts a server with the password `secret-pg`; `None` where PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        let newest = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
            versions.flatten().map(|v| v.path().join("bin")).filter(|b| b.join("postgres").exists()).max()
        });
        let Some(bin) = newest else {
            eprintln!("skipped: PostgreSQL is not installed; run tests/prepare.sh test");
            return None;
        };
        program(&["runuser"])?;
        let folder = Folder::new("pg");
        let _ = Command::new("chown").arg("postgres").arg(folder.path()).status();
        folder.write("password", "secret-pg\n");
        let data = folder.path().join("data");
        let made = as_user("postgres", &bin.join("initdb"))
            .args(["-U", "guanlan", "-A", "scram-sha-256", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"])
            .arg(format!("--pwfile={}", folder.path().join("password").display()))
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .expect("initdb starts");
        assert!(made.success(), "initdb failed");
        let port = free_port();
        let server = as_user("postgres", &bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off", "-c"])
            .arg(format!("unix_socket_directories={}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres starts");
        let url = format!("postgres://guanlan:secret-pg@127.0.0.1:{port}/postgres");
        wait_for("PostgreSQL accepting connections", Duration::from_secs(30), || async {
            PgConnection::connect(&url).await.is_ok()
        })
        .await;
        Some(Self { url, server, _folder: folder })
    }

    /// Runs statements separated by `;`.
    pub async fn run(&self, sql: &str) {
        let mut db = PgConnection::connect(&self.url).await.expect("PostgreSQL is up");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut db)
            .await
            .expect("the test's own SQL");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // `runuser` passes the signal on; SIGINT is PostgreSQL's fast shutdown.
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let _ = Command::new("pkill").args(["-INT", "-P", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}
