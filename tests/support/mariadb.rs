//! A MariaDB server of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, MySqlConnection};

use super::{Folder, as_user, free_port, program, wait_for};

pub struct MariaDb {
    pub url: String,
    server: std::process::Child,
    _folder: Folder,
}

impl MariaDb {
    /// Starts a server with the user `guanlan`; `None` where MariaDB is not installed.
    pub async fn start() -> Option<Self> {
        let install = program(&["mariadb-install-db", "/usr/bin/mariadb-install-db"])?;
        let daemon = program(&["mariadbd", "/usr/sbin/mariadbd"])?;
        let folder = Folder::new("maria");
        let _ = Command::new("chown").arg("mysql").arg(folder.path()).status();
        let data = folder.path().join("data");
        let made = as_user("mysql", &install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db starts");
        assert!(made.success(), "mariadb-install-db failed");
        folder.write(
            "init.sql",
            // The server reads one statement a line.
            "create database company;\ncreate user guanlan@'127.0.0.1' identified by 'secret-my';\n\
             grant all on company.* to guanlan@'127.0.0.1';\n",
        );
        let port = free_port();
        let server = as_user("mysql", &daemon)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.path().join("s").display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .arg(format!("--init-file={}", folder.path().join("init.sql").display()))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", &format!("--port={port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd starts");
        let url = format!("mysql://guanlan:secret-my@127.0.0.1:{port}/company");
        wait_for("MariaDB accepting connections", Duration::from_secs(30), || async {
            MySqlConnection::connect(&url).await.is_ok()
        })
        .await;
        Some(Self { url, server, _folder: folder })
    }

    /// Runs statements separated by `;`.
    pub async fn run(&self, sql: &str) {
        let mut db = MySqlConnection::connect(&self.url).await.expect("MariaDB is up");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut db)
            .await
            .expect("the test's own SQL");
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = Command::new("pkill").args(["-TERM", "-P", &self.server.id().to_string()]).status();
        let _ = Command::new("kill").arg(self.server.id().to_string()).status();
        let _ = self.server.wait();
    }
}
