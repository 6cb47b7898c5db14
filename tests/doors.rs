//! The HTTP door against those who send little, slowly, by another name, or after their session ended.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Folder, Guanlan, Served, free_port, wait_for};

const SITE: &str = "site: { name: Test, timezone: Asia/Shanghai, locale: en }\n";

fn project() -> Folder {
    let folder = Folder::new("doors");
    folder.write("guanlan.yaml", SITE);
    folder
}

fn user(guanlan: &Guanlan, name: &str, role: &str) -> String {
    let added = guanlan.json(&["user", "add", name, "--role", role]);
    added["password"].as_str().unwrap().to_owned()
}

fn open(served: &Served, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// The status line of an answer to a raw request.
fn status(served: &Served, request: &str) -> u16 {
    let mut stream = open(served, request);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = [0u8; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

/// Opens many connections that never finish, and expects visitors to be answered all the while.
async fn besieged(unfinished: &str) {
    let folder = project();
    let guanlan = Guanlan::new(folder.path()).limit("-n 256");
    let served = guanlan.serve().await;
    let mut held = Vec::new();
    for n in 0..230 {
        held.push(open(&served, unfinished));
        if n % 46 == 45 {
            assert!(served.healthy().await, "a visitor after {n} unfinished requests");
        }
    }
    // They drip on, and still everyone else is answered.
    for _ in 0..3 {
        for stream in &mut held {
            let _ = stream.write_all(b"b");
        }
        assert!(served.healthy().await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn requests_that_never_end_keep_nobody_out() {
    besieged("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ").await;
    besieged("POST /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{").await;
    besieged("").await;
}

#[tokio::test]
async fn a_request_must_come_within_its_time() {
    let folder = project();
    folder.write("guanlan.yaml", format!("{SITE}limits: {{ request_seconds: 1 }}\n"));
    let served = Guanlan::new(folder.path()).serve().await;
    for unfinished in
        ["GET /hea", "POST /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"]
    {
        let mut stream = open(&served, unfinished);
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn only_own_names_are_answered() {
    let folder = project();
    folder.write("guanlan.yaml", format!("{SITE}public_url: https://guanlan.example.com\n"));
    let served = Guanlan::new(folder.path()).serve().await;
    let get = |hosts: &str| status(&served, &format!("GET /health HTTP/1.1\r\n{hosts}\r\n"));
    for host in [served.address(), "localhost", "guanlan.example.com", "GUANLAN.example.com:443"] {
        assert_eq!(get(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    for hosts in ["Host: evil.example.com\r\n", "", "Host: localhost\r\nHost: localhost\r\n", "Host: \r\n"] {
        assert_eq!(get(hosts), 400, "{hosts:?}");
    }
    assert_eq!(
        status(&served, "GET http://evil.example.com/health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        400
    );
}

#[tokio::test]
async fn an_event_stream_ends_with_its_session() {
    let folder = project();
    let guanlan = Guanlan::new(folder.path());
    let mut password = user(&guanlan, "li", "executive");
    let served = guanlan.serve().await;
    for end in ["sign out", "new password", "disable"] {
        let session = served.sign_in("li", &password).await;
        let mut stream = open(
            &served,
            &format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", session.cookie),
        );
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head = [0u8; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK", "{end}");
        match end {
            "sign out" => {
                let request = session.http.delete(format!("{}/api/session", served.base));
                assert_eq!(request.header("cookie", &session.cookie).send().await.unwrap().status(), 204);
            }
            "new password" => {
                let given = guanlan.json(&["user", "password", "li"]);
                password = given["password"].as_str().expect("a password").to_owned();
            }
            _ => drop(guanlan.ok(&["user", "disable", "li"])),
        }
        let begun = Instant::now();
        let mut rest = Vec::new();
        stream
            .read_to_end(&mut rest)
            .unwrap_or_else(|e| panic!("{end}: open after {:?}: {e}", begun.elapsed()));
        assert!(rest.ends_with(b"0\r\n\r\n"), "{end}: ended in order");
    }
}

#[tokio::test]
async fn a_guesser_is_slowed_and_the_right_person_waits_seconds() {
    let folder = project();
    folder.write("guanlan.yaml", format!("{SITE}trusted_proxies: [127.0.0.1]\n"));
    let guanlan = Guanlan::new(folder.path());
    let password = user(&guanlan, "ana", "analyst");
    let served = guanlan.serve().await;
    let http = reqwest::Client::new();
    let login = |password: &str, from: &str| {
        let request = http.post(format!("{}/api/session", served.base)).header("x-forwarded-for", from);
        let request = request.json(&json!({"user": "ana", "password": password}));
        async move {
            let answer = request.send().await.unwrap();
            // Who must wait is told until when.
            assert_eq!(answer.status() == 429, answer.headers().contains_key("retry-after"));
            answer.status().as_u16()
        }
    };
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(login("wrong password", "198.51.100.7").await);
    }
    assert_eq!(seen[..5], [401; 5]);
    assert!(seen[5..].contains(&429), "{seen:?}");
    assert_eq!(login(&password, "198.51.100.8").await, 200, "another address behind the same proxy");
    let rows = guanlan.sql("select distinct ip from system.audit where action = 'login' order by 1");
    assert_eq!(rows, [[json!("198.51.100.7")], [json!("198.51.100.8")]]);
}

#[test]
fn the_network_is_not_listened_at_in_the_clear() {
    let folder = project();
    let listen = format!("0.0.0.0:{}", free_port());
    let (code, all) = Guanlan::new(folder.path()).fails(&["serve", "--listen", &listen]);
    assert!(code == 2 && all.contains("tls:") && all.contains("insecure: true"), "{code}: {all}");
    folder.write("guanlan.yaml", format!("{SITE}listen: 0.0.0.0:8080\n"));
    let (code, all) = Guanlan::new(folder.path()).fails(&["check"]);
    assert!(code == 2 && all.contains("guanlan.yaml:2:"), "{code}: {all}");
}

#[tokio::test]
async fn with_a_certificate_everything_is_encrypted_and_cookies_say_so() {
    let folder = project();
    let make = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.pem"])
        .current_dir(folder.path())
        .output()
        .expect("openssl is installed");
    assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
    folder.write("guanlan.yaml", format!("{SITE}tls: {{ certificate: server.pem, key: server.key }}\n"));
    let guanlan = Guanlan::new(folder.path());
    let password = user(&guanlan, "li", "executive");
    let http = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    let served = guanlan.serve_tls(&http).await;
    let answer = http
        .post(format!("{}/api/session", served.base))
        .json(&json!({"user": "li", "password": password}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-guanlan_session=") && cookie.contains("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let who = http.get(format!("{}/api/session", served.base)).header("cookie", cookie).send().await.unwrap();
    assert_eq!(who.status(), 200);
    let clear = reqwest::get(format!("http://{}/health", served.address())).await;
    assert!(clear.is_err(), "no answer in the clear");
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let folder = Folder::new("private");
    let place = folder.path().join("p");
    let guanlan = Guanlan::new(&place);
    guanlan.ok(&["init", place.to_str().unwrap()]);
    guanlan.ok(&["sync"]);
    // As an older version left it.
    let own = place.join(".guanlan");
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(guanlan.serve().await);
    assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let mut looked = 0;
    private(&place, &mut looked);
    assert!(looked > 20, "{looked} files");
}

fn private(path: &Path, looked: &mut usize) {
    for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", entry.path().display());
        *looked += 1;
        if entry.path().is_dir() {
            private(&entry.path(), looked);
        }
    }
}

#[tokio::test]
async fn health_tells_of_sources_that_fail_without_their_names() {
    let folder = project();
    folder.write(
        "sources/gone.yaml",
        "title: Gone\nkind: { sqlite: { path: nowhere.db } }\nevery: 1s\nstreams:\n  rows: { table: rows, mode: { full: {} } }\n",
    );
    let guanlan = Guanlan::new(folder.path());
    let password = user(&guanlan, "boss", "admin");
    let (code, _) = guanlan.fails(&["sync"]);
    assert_eq!(code, 1);
    let served = guanlan.serve().await;
    let health = reqwest::get(format!("{}/health", served.base)).await.unwrap();
    assert_eq!(health.status(), 200, "it answers, so it lives");
    let text = health.text().await.unwrap();
    let health: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&health["status"], &health["reasons"]["source.failing"]), (&json!("degraded"), &json!(1)));
    assert!(!text.contains("gone"), "{text}");
    let status = served.sign_in("boss", &password).await.get("/api/status").await;
    assert_eq!(status["sources"][0]["source"], "gone", "{status}");
}

/// A proxy of the environment would call whatever it likes, past every check of addresses.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let folder = project();
    let ((api, called), (proxy, proxied)) = (counting(), counting());
    let base = format!("http://127.0.0.1:{api}");
    folder.write("guanlan.yaml", format!("{SITE}outbound: {{ allow: ['127.0.0.1:{api}'] }}\n"));
    folder.write("key", "k");
    folder.write(
        "sources/api.yaml",
        format!("title: A\nkind: {{ rest: {{ url: '{base}' }} }}\nstreams:\n  rows: {{ path: /rows }}\n"),
    );
    folder.write("sources/bucket.yaml", format!(
        "title: B\nkind: {{ files: {{ path: drops, store: {{ s3: {{ bucket: b, endpoint: '{base}', allow_http: true, \
         access_key: 'file:key', secret_key: 'file:key' }} }} }} }}\nstreams:\n  rows: {{ glob: '*.csv', format: {{ csv: {{}} }} }}\n"
    ));
    let proxy = format!("http://127.0.0.1:{proxy}");
    let mut guanlan = Guanlan::new(folder.path());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        guanlan = guanlan.env(name, &proxy);
    }
    for source in ["api", "bucket"] {
        let before = called.load(Ordering::SeqCst);
        let _ = guanlan.run(&["sync", source]);
        assert!(called.load(Ordering::SeqCst) > before, "{source} was called");
    }
    assert_eq!(proxied.load(Ordering::SeqCst), 0);
}

/// A server that answers everybody with an empty list: its port, and how often it was called.
fn counting() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, calls) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0u8; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]");
        }
    });
    (port, calls)
}

/// Deadlines hold inside a batch, and health, beside it, is answered.
#[tokio::test]
async fn slow_statements_end_at_their_deadline_and_with_the_server() {
    let folder = project();
    folder.write("guanlan.yaml", format!("{SITE}query: {{ timeout: 3s }}\n"));
    let guanlan = Guanlan::new(folder.path());
    let password = user(&guanlan, "ana", "analyst");
    let served = guanlan.serve().await;
    let ana = served.sign_in("ana", &password).await;
    let slow = [
        "select count(working_hours(timestamp '1900-01-01', timestamp '2000-01-01' + \
         arrow_cast(value, 'Duration(Second)'))) from generate_series(1, 2000000)",
        "select count(*) from generate_series(1, 200000) a join generate_series(1, 200000) b on a.value % 7 = b.value % 7",
    ];
    let ask = || futures::future::join_all(slow.map(|sql| ana.try_post("/api/sql", json!({"sql": sql}))));
    let watch = async {
        loop {
            assert!(served.healthy().await, "health within a second");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let begun = Instant::now();
    tokio::select! {
        answers = ask() => assert!(answers.iter().any(|(status, _)| *status == 504), "{answers:?}"),
        () = watch => {}
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let asked = tokio::time::timeout(Duration::from_millis(500), ask());
    assert!(asked.await.is_err(), "they still run");
    let begun = Instant::now();
    served.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "a stop waits for no batch: {:?}", begun.elapsed());
}

/// Statements whose memory nobody accounts for, each of which once ended the process under these limits.
#[tokio::test]
async fn memory_that_a_query_cannot_have_ends_the_query() {
    let folder = project();
    let guanlan = Guanlan::new(folder.path()).limit("-v 2621440").limit("-n 256");
    let password = user(&guanlan, "ana", "analyst");
    let mut served = guanlan.serve().await;
    let ana = served.sign_in("ana", &password).await;
    let series = "generate_series(1, 8192)";
    let big = "(select arrow_cast(repeat('x', 1000000 + value), 'LargeUtf8') t from generate_series(1, 2))";
    let tall = "case when value > 1 then repeat('x', 200000) else repeat('y', 200000) end";
    for sql in [
        format!("select max(a.t || b.value) from (select repeat('x', 200000 + value) t from generate_series(1, 2)) a, {series} b"),
        format!("select max(a.t) from {big} a, {series} b"),
        format!("select max(t) from (select t, unnest(range(0, 10000)) u from {big})"),
        "select array_repeat(arrow_cast(repeat('x', 1000000 + value), 'LargeBinary'), 10000) from generate_series(1, 1)".into(),
        format!("select count(*) from {series} where length({tall}) > 5"),
        format!("select value from {series} order by {tall} limit 1"),
        "select array_replace_all(array_resize(make_array(''), 30000, ''), '', repeat('x', 100000))".into(),
        "select max(length(array_to_string(array_resize(make_array(nullif('a', 'a')), 100000 + value), ',', repeat('x', 100000)))) from generate_series(1, 2)".into(),
        format!("select max(length(m)) from (select max(t) over (order by v) m from (select value v, case when value = 1 then repeat('x', 1000000 + value) else 'a' end t from {series}))"),
        format!("select a.t, b.value from (select arrow_cast(repeat('x', 1000000 + value), 'Dictionary(Int32, Utf8)') t from generate_series(1, 1)) a, {series} b"),
        "select max(s) from (select sum(value) over () s from generate_series(1, 100000000))".into(),
    ] {
        let (status, said) = ana.try_post("/api/sql", json!({"sql": sql, "limit": 100})).await;
        assert!((200..500).contains(&status), "{sql}: {status} {said}");
        assert!(served.runs(), "{sql}: {}", served.log());
        assert!(served.healthy().await, "{sql}");
        let ana = &ana;
        wait_for("memory for others", Duration::from_secs(20), || async move {
            ana.try_post("/api/sql", json!({"sql": "select 1"})).await.0 == 200
        })
        .await;
    }
    assert!(served.stop(), "it ends well");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_told_before_anything_is_served() {
    let folder = project();
    folder.write("guanlan.yaml", format!("{SITE}tls: {{ certificate: nope.pem, key: nope.key }}\n"));
    let guanlan = Guanlan::new(folder.path());
    let (code, said) = guanlan.fails(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && said.contains("tls.certificate") && said.contains("nope.pem"), "{code}: {said}");
    assert!(!said.contains("panic") && !said.contains("serves"), "{said}");
    let said = guanlan.ok(&["check"]);
    assert!(said.contains("warning: tls.certificate") && said.contains("nope.pem"), "{said}");
}

#[tokio::test]
async fn health_tells_of_models_and_definitions_that_are_not_in_force() {
    let folder = project();
    folder.write("sources/x.yaml", "title: X\nkind: { files: { path: drops } }\nstreams:\n  o: { glob: '*.csv', format: { csv: { delimiter: ',' } } }\n");
    folder.write("drops/a.csv", "id,n\n1,10\n2,20\n");
    folder.write("models/bad.sql", "---\ntitle: B\nrefresh: { full: {} }\n---\nselect 1 / (cast(id as bigint) - cast(id as bigint)) as q from raw.x_o\n");
    folder.write(
        "cleans/o.yaml",
        "title: C\nfrom: raw.x_o\nkey: [id]\ncolumns:\n  id: { type: int }\n  m: { type: int }\n",
    );
    let guanlan = Guanlan::new(folder.path());
    let _ = guanlan.run(&["sync"]);
    folder.write("metrics/broken.yaml", "title: M\ntabel: raw.x_o\n");
    let password = user(&guanlan, "root", "admin");
    let served = guanlan.serve().await;
    let root = served.sign_in("root", &password).await;
    let health = root.get("/health").await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(health["reasons"]["model.failing"], 1, "{health}");
    assert_eq!(health["reasons"]["clean.failing"], 1, "{health}");
    assert!(health["reasons"]["definition.broken"].as_u64() >= Some(1), "{health}");
    let models = root.get("/api/models").await;
    assert!(models[0]["failed"]["message"].as_str().is_some_and(|m| m.contains("ivide by zero")), "{models}");
}
