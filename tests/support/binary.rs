//! The real binary: run once, served, killed; and a signed-in HTTP session with it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{free_port, wait_for};

/// Runs `guanlan` on one project folder.
pub struct Guanlan<'a> {
    pub folder: &'a Path,
    pub env: Vec<(String, String)>,
    /// What `ulimit` is told before the binary starts, such as `-n 256`.
    pub limits: Vec<String>,
}

impl<'a> Guanlan<'a> {
    pub fn new(folder: &'a Path) -> Self {
        Self { folder, env: Vec::new(), limits: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Under a limit of the system, as `ulimit` takes it.
    pub fn limit(mut self, limit: &str) -> Self {
        self.limits.push(limit.into());
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match self.limits.is_empty() {
            true => Command::new(env!("CARGO_BIN_EXE_guanlan")),
            false => {
                let limits: String = self.limits.iter().map(|l| format!("ulimit {l} && ")).collect();
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{limits} exec \"$@\""), "sh", env!("CARGO_BIN_EXE_guanlan")]);
                shell
            }
        };
        command.args(args).arg("--project").arg(self.folder).envs(self.env.iter().cloned());
        command.env("RUST_LOG", "info").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// Runs and expects success; returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "guanlan {args:?} failed:\n{out}\n{err}");
        out.into_owned()
    }

    /// Runs and expects failure; returns (exit code, all it printed).
    pub fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args);
        let all =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success(), "guanlan {args:?} succeeded:\n{all}");
        (output.status.code().unwrap_or(-1), all)
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        let text = self.ok(&args);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}\n{text}"))
    }

    /// The rows of a query.
    pub fn sql(&self, sql: &str) -> Vec<Vec<Value>> {
        let answer = self.json(&["sql", sql, "--limit", "100000"]);
        serde_json::from_value(answer["rows"].clone()).expect("rows")
    }

    /// The one number a query answers.
    pub fn number(&self, sql: &str) -> f64 {
        let value = self.sql(sql)[0][0].clone();
        value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{sql}: {value}"))
    }

    /// Starts `guanlan serve` and waits until it answers.
    pub async fn serve(&self) -> Served {
        self.serve_as("http", &reqwest::Client::new()).await
    }

    /// The same over TLS, for a client that takes its certificate.
    pub async fn serve_tls(&self, http: &reqwest::Client) -> Served {
        self.serve_as("https", http).await
    }

    async fn serve_as(&self, scheme: &str, http: &reqwest::Client) -> Served {
        let address = format!("127.0.0.1:{}", free_port());
        let mut child = self
            .command(&["serve", "--listen", &address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(out) = child.stdout.take() {
            keep(out, log.clone());
        }
        if let Some(err) = child.stderr.take() {
            keep(err, log.clone());
        }
        let served = Served { base: format!("{scheme}://{address}"), child, log };
        wait_for("the server answering", Duration::from_secs(60), || async {
            http.get(format!("{}/health", served.base)).send().await.is_ok_and(|r| r.status().is_success())
        })
        .await;
        served
    }
}

fn keep(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut text = into.lock().expect("no panic while held");
            text.push_str(&line);
            text.push('\n');
        }
    });
}

/// A running server.
pub struct Served {
    pub base: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Served {
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic while held").clone()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        let _ = self.child.wait();
    }

    /// SIGTERM; returns whether it ended well.
    pub fn stop(mut self) -> bool {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        self.child.wait().is_ok_and(|s| s.success())
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.base.split_once("://").map_or(&self.base, |(_, address)| address)
    }

    /// Whether `/health` answers well within a second, on a connection of its own.
    pub async fn healthy(&self) -> bool {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(1));
        let http = http.build().expect("a client");
        http.get(format!("{}/health", self.base)).send().await.is_ok_and(|r| r.status().is_success())
    }

    pub async fn sign_in(&self, user: &str, password: &str) -> Session {
        let http = reqwest::Client::new();
        let answer = http
            .post(format!("{}/api/session", self.base))
            .json(&json!({"user": user, "password": password}))
            .send()
            .await
            .expect("the server answers");
        assert_eq!(answer.status(), 200, "{user} signs in");
        let cookie = answer.headers()["set-cookie"].to_str().expect("text");
        let cookie = cookie.split(';').next().expect("a cookie").to_owned();
        let body: Value = answer.json().await.expect("JSON");
        Session {
            base: self.base.clone(),
            http,
            cookie,
            csrf: body["csrf"].as_str().expect("csrf").to_owned(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// A signed-in user.
pub struct Session {
    base: String,
    pub http: reqwest::Client,
    pub cookie: String,
    pub csrf: String,
}

impl Session {
    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn try_get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        Self::answer(request).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.try_post(path, body).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {body}");
        body
    }

    pub async fn try_post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("cookie", &self.cookie)
            .header("x-csrf", &self.csrf)
            .json(&body);
        Self::answer(request).await
    }

    /// The raw text of a POST, for CSV.
    pub async fn post_text(&self, path: &str, body: Value) -> String {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("cookie", &self.cookie)
            .header("x-csrf", &self.csrf)
            .json(&body);
        request.send().await.expect("the server answers").text().await.expect("text")
    }

    async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
