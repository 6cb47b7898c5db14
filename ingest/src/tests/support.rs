//! A warehouse in a temporary folder, and servers started for one test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use access::Principal;
use access::outbound::{Outbound, OutboundSpec};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use store::{Metadata, Objects, SharedClock, StoreSpec, SystemClock};
use warehouse::{Settings, Warehouse};

use crate::source::{Pull, Source};
use crate::sources::Parts;
use crate::spec::{DatabaseSpec, SourceSpec, StreamSpec};
use crate::sync::{Ingest, Quiet, StreamReport, SyncReport};

/// Removed when dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("guanlan-ingest-{}", store::new_id(&SystemClock)));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct House {
    pub(crate) folder: Folder,
    pub(crate) warehouse: Warehouse,
    pub(crate) ingest: Ingest,
    pub(crate) db: Metadata,
}

pub(crate) fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// What a source is built from, with loopback allowed.
pub(crate) fn parts(folder: &Folder) -> Parts {
    let spec = OutboundSpec { allow: vec!["127.0.0.1".into()], ..OutboundSpec::default() };
    Parts {
        outbound: Arc::new(Outbound::new(spec).unwrap()),
        clock: clock(),
        base: folder.0.as_path().into(),
        zone: chrono_tz::Asia::Shanghai,
    }
}

/// A database whose connection is left to the defaults.
pub(crate) fn database() -> DatabaseSpec {
    serde_json::from_value(serde_json::json!({"url": "env:NOT_ASKED"})).unwrap()
}

/// Every portion that a stream sends from its start.
pub(crate) async fn pulls(source: &dyn Source, stream: &StreamSpec) -> Vec<Pull> {
    let pulls = source.read(stream, None).await.unwrap();
    futures::StreamExt::collect::<Vec<_>>(pulls).await.into_iter().map(Result::unwrap).collect()
}

/// The cells that a stream could not keep, as column, count, how and first place.
pub(crate) async fn changed(source: &dyn Source, stream: &StreamSpec) -> Vec<(String, u64, String, String)> {
    let all = pulls(source, stream).await.into_iter().flat_map(|p| p.changed);
    all.map(|c| (c.column, c.count, c.how, c.first)).collect()
}

impl House {
    pub(crate) async fn new() -> Self {
        let folder = Folder::new();
        House::at(folder, Metadata::memory().await.unwrap()).await
    }

    /// A new process over what is on disk.
    pub(crate) async fn at(folder: Folder, db: Metadata) -> Self {
        let objects = Objects::open(&StoreSpec::Local { path: "data".into() }, &folder.0).unwrap();
        let settings = Settings::new(chrono_tz::Asia::Shanghai, chrono::Weekday::Mon, 1);
        let warehouse = Warehouse::open(objects, db.clone(), clock(), settings).await.unwrap();
        let outbound = Arc::new(
            Outbound::new(OutboundSpec { allow: vec!["127.0.0.1".into()], ..OutboundSpec::default() })
                .unwrap(),
        );
        let ingest = Ingest::new(warehouse.clone(), outbound, db.clone(), clock(), &folder.0).await.unwrap();
        House { folder, warehouse, ingest, db }
    }

    pub(crate) async fn sync(&self, spec: &SourceSpec) -> SyncReport {
        self.ingest.sync("s", spec, None, &Quiet).await.unwrap()
    }

    /// Syncs a source that has one stream.
    pub(crate) async fn sync_one(&self, spec: &SourceSpec) -> StreamReport {
        let mut report = self.sync(spec).await;
        assert_eq!(report.streams.len(), 1);
        report.streams.remove(0)
    }

    /// Rows of a query as text; NULL is `∅`.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        let answer = self
            .warehouse
            .session(&Principal::system())
            .sql(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        let (batches, _) = answer.collect(100_000).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let options = FormatOptions::new().with_null("∅");
        let mut rows = Vec::new();
        for batch in &batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
                .collect();
            rows.extend(
                (0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()),
            );
        }
        rows
    }

    pub(crate) async fn one(&self, sql: &str) -> String {
        self.sql(sql).await.remove(0).remove(0)
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.one(&format!("select count(*) from {table}")).await.parse().unwrap()
    }
}

pub(crate) fn spec(json: serde_json::Value) -> SourceSpec {
    let spec: SourceSpec = serde_json::from_value(json).unwrap();
    assert_eq!(spec.check().iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    spec
}

/// The real data for tests; `None` with a printed reason where it is absent.
pub(crate) fn shared_data(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("GUANLAN_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join(part);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there (set GUANLAN_SHARED_DATA)", path.display());
    None
}

/// A server process of one test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both servers end quickly on SIGINT; a SIGKILL follows.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Servers refuse to run as root: then they run as this user.
fn command(user: &str, program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    if !root {
        return Command::new(program);
    }
    // setpriv replaces itself by the server, so that the child's pid is the server's.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--init-groups"]).arg(program);
    command
}

fn own(user: &str, path: &Path) {
    let _ = Command::new("chown").arg("-R").arg(format!("{user}:")).arg(path).stderr(Stdio::null()).status();
}

fn find(pattern: &str, names: &[&str]) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> =
        std::fs::read_dir(pattern).into_iter().flatten().flatten().map(|e| e.path().join("bin")).collect();
    places.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    places.push("/usr/sbin".into());
    names.iter().flat_map(|n| places.iter().map(move |p| p.join(n))).find(|p| p.is_file())
}

fn wait_for(port: u16, child: &mut Child) -> bool {
    (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        assert!(matches!(child.try_wait(), Ok(None)), "the server ended while it started");
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
}

/// A PostgreSQL server with user `postgres`, password `se%cret`, SCRAM; `None` with a printed reason when not installed.
pub(crate) fn postgres() -> Option<Server> {
    let Some(initdb) = find("/usr/lib/postgresql", &["initdb"]) else {
        eprintln!("SKIPPED: PostgreSQL is not installed (apt-get install postgresql)");
        return None;
    };
    let folder = Folder::new();
    own("postgres", &folder.0);
    let data = folder.0.join("pg");
    let password = folder.0.join("password");
    std::fs::write(&password, "se%cret").unwrap();
    own("postgres", &folder.0);
    let made = command("postgres", &initdb)
        .current_dir(&folder.0)
        .arg("-D")
        .arg(&data)
        .args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--pwfile"])
        .arg(&password)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let mut child = command("postgres", &initdb.with_file_name("postgres"))
        .current_dir(&folder.0)
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-c", "fsync=off", "-k"])
        .arg(&folder.0)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(wait_for(port, &mut child));
    Some(Server { child, port, _folder: folder })
}

/// A MariaDB server with user `guanlan`, password `se%cret`, database `shop`; `None` with a printed reason when not installed.
pub(crate) fn mariadb() -> Option<Server> {
    let (Some(install), Some(daemon)) =
        (find("/nowhere", &["mariadb-install-db"]), find("/nowhere", &["mariadbd"]))
    else {
        eprintln!("SKIPPED: MariaDB is not installed (apt-get install mariadb-server)");
        return None;
    };
    let folder = Folder::new();
    let data = folder.0.join("my");
    std::fs::create_dir_all(&data).unwrap();
    let init = folder.0.join("init.sql");
    std::fs::write(&init, "CREATE DATABASE shop;\nCREATE USER guanlan@'127.0.0.1' IDENTIFIED BY 'se%cret';\nGRANT ALL ON shop.* TO guanlan@'127.0.0.1';\n").unwrap();
    own("mysql", &folder.0);
    let path = |name: &str| folder.0.join(name).display().to_string();
    let made = command("mysql", &install)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let mut child = command("mysql", &daemon)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", path("my.sock")))
        .arg(format!("--pid-file={}", path("my.pid")))
        .arg(format!("--init-file={}", init.display()))
        .args(["--skip-name-resolve", "--bind-address=127.0.0.1", &format!("--port={port}")])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(wait_for(port, &mut child));
    Some(Server { child, port, _folder: folder })
}
