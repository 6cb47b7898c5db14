//! Every way out passes the list of addresses that may be called: object stores and databases too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use access::outbound::{Outbound, OutboundSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{Folder, House, parts, spec};
use crate::sources::{Parts, open};
use crate::spec::SourceSpec;

/// A server that answers everything with this text and counts; answers its port.
async fn serve(answer: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = hits.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            let mut head = [0u8; 4096];
            let _ = socket.read(&mut head).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (port, hits)
}

fn bucket(folder: &Folder, endpoint: String) -> SourceSpec {
    folder.write("key", "k");
    spec(json!({"kind": {"files": {"path": "drops", "store": {"s3": {"bucket": "b", "endpoint": endpoint,
        "allow_http": true, "access_key": "file:key", "secret_key": "file:key"}}}},
        "streams": {"t": {"glob": "*.csv", "format": {"csv": {}}}}}))
}

fn with(folder: &Folder, allow: &[&str]) -> Parts {
    let allow = allow.iter().map(|a| (*a).to_owned()).collect();
    let outbound = Outbound::new(OutboundSpec { allow, ..OutboundSpec::default() }).unwrap();
    Parts { outbound: Arc::new(outbound), ..parts(folder) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_outside_the_list_is_not_called_and_redirects_are_not_followed() {
    let folder = Folder::new();
    let (inner, inner_hits) =
        serve("HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let spec = bucket(&folder, format!("http://{host}:{inner}"));
        let error = open(&spec, &with(&folder, &[])).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("outbound.allow"), "{host}: {error}");
    }
    let cloud = bucket(&folder, "http://169.254.169.254".into());
    let error = open(&cloud, &with(&folder, &["databases"])).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("outbound.allow"), "{error}");
    let (outer, outer_hits) = serve(format!(
        "HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:{inner}/b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
    .await;
    let house = House::new().await;
    let report = house.sync_one(&bucket(&house.folder, format!("http://127.0.0.1:{outer}"))).await;
    assert!(report.error.is_some(), "{report:?}");
    assert!(outer_hits.load(Ordering::SeqCst) > 0);
    assert_eq!(inner_hits.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_outside_the_list_is_not_called() {
    let folder = Folder::new();
    let (port, hits) = serve(String::new()).await;
    for kind in ["postgres", "mysql"] {
        folder.write("url", format!("{kind}://u:topsecret@127.0.0.1:{port}/db"));
        let spec = spec(json!({"kind": {kind: {"url": "file:url"}}, "streams": {"t": {"table": "t"}}}));
        let source = open(&spec, &with(&folder, &["127.0.0.1:1"])).await.unwrap();
        let error = source.streams().await.unwrap_err().to_string();
        assert!(error.contains("may not be called") && error.contains("outbound.allow"), "{error}");
        assert!(!error.contains("topsecret"), "{error}");
    }
    // A Unix socket leads to this machine too.
    for (kind, url) in [
        ("postgres", "postgres://u:topsecret@localhost/db?host=/var/run/postgresql"),
        ("mysql", "mysql://u:topsecret@localhost/db?socket=/run/mysqld/mysqld.sock"),
    ] {
        folder.write("url", url);
        let spec = spec(json!({"kind": {kind: {"url": "file:url"}}, "streams": {"t": {"table": "t"}}}));
        let source = open(&spec, &with(&folder, &["127.0.0.1:1"])).await.unwrap();
        let error = source.streams().await.unwrap_err().to_string();
        assert!(error.contains("may not be called") && !error.contains("topsecret"), "{error}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

/// A server that refuses TLS and asks for the password in clear; answers its port and what it was given.
async fn rogue() -> (u16, Arc<std::sync::Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let given = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = given.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut said = [0u8; 1000];
            let n = socket.read(&mut said).await.unwrap_or(0);
            if said[..n].starts_with(&[0, 0, 0, 8]) {
                let _ = socket.write_all(b"N").await;
                let _ = socket.read(&mut said).await;
            }
            let _ = socket.write_all(b"R\0\0\0\x08\0\0\0\x03").await;
            let n = socket.read(&mut said).await.unwrap_or(0);
            kept.lock().unwrap().extend_from_slice(&said[..n]);
        }
    });
    (port, given)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_clear_password_does_not_get_it() {
    let house = House::new().await;
    let (port, given) = rogue().await;
    let url = format!("postgres://u:topsecret@127.0.0.1:{port}/db");
    let sync = async |tls: Value, url: &str| {
        house.folder.write("url", url);
        let spec = spec(
            json!({"kind": {"postgres": {"url": "file:url", "tls": tls}}, "streams": {"t": {"table": "t"}}}),
        );
        house.sync_one(&spec).await.error.unwrap().to_string()
    };
    let error = sync(Value::Null, &url).await;
    assert!(error.contains("password in clear") && error.contains("`tls: off`"), "{error}");
    let error = sync(Value::Null, &format!("{url}?sslmode=prefer")).await;
    assert!(error.contains("password in clear"), "{error}");
    for (tls, url) in [
        (json!("verify"), url.clone()),
        (json!("unverified"), url.clone()),
        (Value::Null, format!("{url}?sslmode=require")),
    ] {
        let error = sync(tls.clone(), &url).await;
        assert!(error.contains("no verified TLS connection") && error.contains("tls:"), "{tls}: {error}");
    }
    assert!(given.lock().unwrap().is_empty(), "{:?}", given.lock().unwrap());
    // The definition may allow it.
    let _ = sync(json!("off"), &url).await;
    assert!(String::from_utf8_lossy(&given.lock().unwrap()).contains("topsecret"));
}

/// A MySQL server without TLS that asks for the password in clear: in its greeting, or whatever was agreed.
async fn rogue_mysql(way: &str) -> (u16, Arc<std::sync::Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let given = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = given.clone();
    let packet = |number: u8, body: &[u8]| [&[body.len() as u8, 0, 0, number], body].concat();
    // Protocol 4.1 with plugins, and nothing of TLS.
    let (low, high) = (0x8200u16.to_le_bytes(), 0x0008u16.to_le_bytes());
    let greeting = [
        b"\x0a8.0.0\0\x01\0\0\0abcdefgh\0".as_slice(),
        &low,
        b"\x2d\x02\0",
        &high,
        b"\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0",
        way.as_bytes(),
        b"\0",
    ]
    .concat();
    let (greeting, switch) = (packet(0, &greeting), packet(2, b"\xfemysql_clear_password\0"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut said = [0u8; 1000];
            let _ = socket.write_all(&greeting).await;
            for _ in 0..2 {
                let n = socket.read(&mut said).await.unwrap_or(0);
                kept.lock().unwrap().extend_from_slice(&said[..n]);
                let _ = socket.write_all(&switch).await;
            }
        }
    });
    (port, given)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_server_that_asks_for_a_clear_password_does_not_get_it() {
    let house = House::new().await;
    let tls_of = [Value::Null, json!("verify"), json!("unverified")];
    let ways = ["mysql_native_password", "mysql_clear_password"];
    for (way, tls) in ways.into_iter().flat_map(|way| tls_of.iter().map(move |tls| (way, tls))) {
        let (port, given) = rogue_mysql(way).await;
        house.folder.write("url", format!("mysql://u:topsecret@127.0.0.1:{port}/db"));
        let spec = spec(
            json!({"kind": {"mysql": {"url": "file:url", "tls": tls}}, "streams": {"t": {"table": "t"}}}),
        );
        let error = house.sync_one(&spec).await.error.unwrap().to_string();
        assert!(!error.contains("topsecret"), "{way} {tls}: {error}");
        let given = given.lock().unwrap();
        assert!(!String::from_utf8_lossy(&given).contains("topsecret"), "{way} {tls}: {given:?}");
        if way == "mysql_clear_password" && *tls == Value::Null {
            assert!(error.contains("password in clear") && error.contains("`tls: off`"), "{error}");
        }
    }
}
