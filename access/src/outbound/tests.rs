use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A loopback HTTP server that gives every request the same answer and counts and keeps what it saw.
struct Server {
    port: u16,
    hits: Arc<AtomicUsize>,
    seen: Arc<Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(answer: impl Into<Vec<u8>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hits, seen, answer) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())), answer.into());
    let task = tokio::spawn({
        let (hits, seen) = (hits.clone(), seen.clone());
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                hits.fetch_add(1, Ordering::SeqCst);
                let mut request = vec![0; 16 * 1024];
                let n = stream.read(&mut request).await.unwrap_or(0);
                *seen.lock().unwrap() = String::from_utf8_lossy(&request[..n]).into_owned();
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    Server { port, hits, seen, task }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\nX-Kind: test\r\n\r\n{body}",
        body.len()
    )
}

fn outbound(allow: &[String]) -> Outbound {
    let spec = OutboundSpec { allow: allow.to_vec(), timeout: Span(Duration::from_secs(5)), max_body: 1000 };
    Outbound::new(spec).unwrap()
}

#[tokio::test]
async fn an_allowed_address_is_called_with_its_headers_and_body() {
    let server = serve(ok("hello")).await;
    let out = outbound(&[format!("127.0.0.1:{}", server.port)]);
    let url = format!("http://127.0.0.1:{}/hook?token=hunter2", server.port);
    let request = Request::post(&url, "{}").header("X-Signature", "hunter2");
    let shown = format!("{request:?}");
    assert!(shown.contains("/hook") && !shown.contains("hunter2"), "{shown}");
    let reply = out.send(request).await.unwrap();
    assert_eq!((reply.status, &reply.body[..], reply.header("x-kind")), (200, &b"hello"[..], Some("test")));
    let seen = server.seen.lock().unwrap().clone();
    assert!(
        seen.starts_with("POST /hook?token=hunter2 HTTP/1.1\r\n") && seen.contains("x-signature: hunter2"),
        "{seen}"
    );
    assert!(seen.contains("user-agent: guanlan/"), "{seen}");
}

#[tokio::test]
async fn loopback_and_metadata_addresses_are_refused_in_every_spelling_before_any_connection() {
    let server = serve(ok("secret")).await;
    let port = server.port;
    let out = outbound(&[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "10.0.0.1",
        "192.168.0.1",
        "100.100.100.200",
        "１２７.0.0.1",
    ] {
        let answer = out.send(Request::get(format!("http://{host}:{port}/"))).await;
        match answer {
            Err(OutboundError::Refused(why)) => assert!(why.contains("outbound.allow"), "{host}: {why}"),
            other => panic!("{host}: {other:?}"),
        }
    }
    assert_eq!(server.hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_entry_opens_its_own_port_and_a_name_may_resolve_into_an_allowed_network() {
    let server = serve(ok("hello")).await;
    let url = format!("http://localhost:{}/", server.port);
    for entry in [
        format!("localhost:{}", server.port),
        "localhost".into(),
        "127.0.0.0/8".into(),
        format!("127.0.0.1:{}", server.port),
    ] {
        // Where localhost also means ::1, the network entries alone do not cover it.
        let reply = outbound(&[entry.clone(), "::1".into()]).send(Request::get(&url)).await;
        assert_eq!(reply.unwrap().body, "hello", "{entry}");
    }
    let other = outbound(&["localhost:1".into(), "127.0.0.1:1".into(), "10.0.0.0/8".into()])
        .send(Request::get(&url))
        .await;
    assert!(matches!(other, Err(OutboundError::Refused(_))), "{other:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_never_followed() {
    let inner = serve(ok("secret")).await;
    let location = format!("http://127.0.0.1:{}/", inner.port);
    let server = serve(format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let out = outbound(&["127.0.0.1".into()]);
    let reply = out.send(Request::get(format!("http://127.0.0.1:{}/", server.port))).await.unwrap();
    assert_eq!(reply.status, 302);
    let error = reply.success().unwrap_err();
    assert!(matches!(&error, OutboundError::Never(why) if why.contains("not followed")), "{error}");
    assert_eq!(inner.hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_cut_whether_its_length_is_told_or_not() {
    let long = "x".repeat(1001);
    let untold = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{long}");
    let fits = "x".repeat(1000);
    for (answer, cut) in [(ok(&long), true), (untold, true), (ok(&fits), false)] {
        let server = serve(answer).await;
        let out = outbound(&["127.0.0.1".into()]);
        let reply = out.send(Request::get(format!("http://127.0.0.1:{}/", server.port))).await;
        match reply {
            Err(OutboundError::Never(why)) => assert!(cut && why.contains("max_body"), "{why}"),
            Ok(reply) => assert!(!cut && reply.body.len() == 1000),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_absent_silent_or_overloaded_is_for_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    let spec = OutboundSpec {
        allow: vec!["127.0.0.1".into()],
        timeout: Span(Duration::from_millis(300)),
        max_body: 10,
    };
    let out = Outbound::new(spec).unwrap();
    let error =
        out.send(Request::get(format!("http://127.0.0.1:{silent}/?token=hunter2"))).await.unwrap_err();
    assert!(matches!(&error, OutboundError::Later { why, .. } if why.contains("300ms")), "{error}");
    drop(listener);
    let error =
        out.send(Request::get(format!("http://127.0.0.1:{silent}/?token=hunter2"))).await.unwrap_err();
    assert!(matches!(&error, OutboundError::Later { .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let server =
        serve("HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let reply = out.send(Request::get(format!("http://127.0.0.1:{}/", server.port))).await.unwrap();
    let error = reply.success().unwrap_err();
    assert!(
        matches!(error, OutboundError::Later { after: Some(after), .. } if after == Duration::from_secs(30))
    );
}

#[tokio::test]
async fn what_can_never_be_sent_says_why_without_repeating_secrets() {
    let out = outbound(&["127.0.0.1".into()]);
    for (request, part) in [
        (Request::get("ftp://127.0.0.1/"), "http or https"),
        (Request::get("file:///etc/passwd"), "http or https"),
        (Request::get("hunter2"), "not a URL"),
        (Request::get("http://user:hunter2@127.0.0.1/"), "secret reference"),
        (Request::get("http://127.0.0.1/").header("Host", "inner"), "set by Guanlan"),
        (Request::get("http://127.0.0.1/").header("X-A", "hunter2\r\nX-B: 1"), "not valid HTTP"),
    ] {
        match out.send(request).await {
            Err(OutboundError::Never(why)) => {
                assert!(why.contains(part) && !why.contains("hunter2"), "{why}")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn status_codes_say_whether_to_try_again() {
    let reply = |status| Reply { status, headers: vec![], body: Bytes::new() };
    assert!(reply(204).success().is_ok());
    for status in [408, 425, 429, 500, 502, 503] {
        assert!(matches!(reply(status).success(), Err(OutboundError::Later { .. })), "{status}");
    }
    for status in [301, 400, 401, 404, 410] {
        assert!(matches!(reply(status).success(), Err(OutboundError::Never(_))), "{status}");
    }
}

#[tokio::test]
async fn a_client_connects_to_the_checked_addresses_and_resolves_nothing_itself() {
    let server = serve(ok("hello")).await;
    let addresses = vec![SocketAddr::from(([127, 0, 0, 1], server.port))];
    let out = outbound(&[]);
    // The name exists nowhere, so only the pinned address can answer.
    let client = out.client(Destination { host: "guanlan.invalid".into(), addresses }).unwrap();
    let reply = client.get(format!("http://guanlan.invalid:{}/", server.port)).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    // A name that does exist, but was not checked, is not even looked up.
    let error = client.get(format!("http://localhost:{}/", server.port)).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(server.hits.load(Ordering::SeqCst), 1);
}
