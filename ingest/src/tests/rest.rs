use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{House, spec};
use crate::spec::SourceSpec;

pub(super) type Answer = (u16, Vec<(&'static str, String)>, String);
pub(super) type Handler = Arc<dyn Fn(&str, &HashMap<String, String>, &str) -> Answer + Send + Sync>;

/// A small HTTP server; answers its port.
pub(super) async fn serve(handler: Handler) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut byte = [0u8; 1024];
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    match socket.read(&mut byte).await {
                        Ok(n) if n > 0 => head.extend_from_slice(&byte[..n]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let target = head.split(' ').nth(1).unwrap_or("/").to_owned();
                let url = url::Url::parse(&format!("http://x{target}")).unwrap();
                let query = url.query_pairs().into_owned().collect();
                let (status, headers, body) = handler(url.path(), &query, &head);
                let mut reply =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
                headers.iter().for_each(|(k, v)| reply.push_str(&format!("{k}: {v}\r\n")));
                let _ = socket.write_all(format!("{reply}\r\n{body}").as_bytes()).await;
            });
        }
    });
    port
}

/// A server that answers everything with the same bytes; answers its port.
pub(super) async fn serve_bytes(kind: &'static str, body: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0u8; 4096];
            let _ = socket.read(&mut head).await;
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = socket.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    port
}

fn source(house: &House, port: u16, page: Value, mode: Value) -> SourceSpec {
    house.folder.write("token", "t0ken\n");
    spec(json!({"kind": {"rest": {"url": format!("http://127.0.0.1:{port}/api"), "token": "file:token"}},
        "streams": {"t": {"path": "/tickets", "records": "items", "page": page, "mode": mode}}}))
}

/// Tickets with id, updated_at and a field that first shows on a late page, served page by page.
fn tickets(all: Arc<Mutex<Vec<Value>>>) -> Handler {
    let busy = Mutex::new(0);
    Arc::new(move |path, query, head| {
        if !head.to_lowercase().contains("authorization: bearer t0ken") {
            return (401, vec![], "{}".into());
        }
        assert_eq!(path, "/api/tickets");
        let mut busy = busy.lock().unwrap();
        *busy += 1;
        if *busy == 2 {
            return (429, vec![("retry-after", "0".into())], "slow down".into());
        }
        let after = query.get("updated_after").cloned().unwrap_or_default();
        let (page, size): (usize, usize) = (query["page"].parse().unwrap(), query["size"].parse().unwrap());
        let all = all.lock().unwrap();
        let rows: Vec<&Value> =
            all.iter().filter(|t| t["updated_at"].as_str().unwrap() >= after.as_str()).collect();
        let items: Vec<&Value> = rows.into_iter().skip((page - 1) * size).take(size).collect();
        (200, vec![], json!({"items": items}).to_string())
    })
}

fn ticket(i: usize, at: &str) -> Value {
    let mut ticket = json!({"id": i, "updated_at": at, "who": {"name": "王"}, "closed": null});
    if i == 25 {
        ticket["late"] = json!(true);
    }
    ticket
}

#[tokio::test(flavor = "multi_thread")]
async fn numbered_pages_land_once_with_retry_and_ties() {
    let all = Arc::new(Mutex::new((1..=25).map(|i| ticket(i, "2026-01-01T08:00:00Z")).collect::<Vec<_>>()));
    let house = House::new().await;
    let port = serve(tickets(all.clone())).await;
    let spec = source(
        &house,
        port,
        json!({"number": {"param": "page", "size_param": "size", "size": 10}}),
        json!({"incremental": {"cursor": "updated_at", "param": "updated_after"}}),
    );
    let report = house.sync_one(&spec).await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(report.rows, 25);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    all.lock().unwrap().extend([ticket(26, "2026-01-01T08:00:00Z"), ticket(27, "2026-01-02T08:00:00Z")]);
    assert_eq!(house.sync_one(&spec).await.rows, 2);
    assert_eq!(house.one("select count(distinct id) from raw.s_t").await, "27");
    assert_eq!(
        house.sql("select id, who_name, closed, late from raw.s_t where late = 'true'").await,
        [["25", "王", "∅", "true"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_sends_older_records_again_doubles_nothing() {
    for (values, more) in [
        (["2026-01-01T08:00:00Z", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"], "2026-01-01T09:30:00Z"),
        (["9", "10", "10"], "11"),
    ] {
        let all = Arc::new(Mutex::new(
            (1..).zip(values).map(|(i, at)| json!({"id": i, "at": at})).collect::<Vec<_>>(),
        ));
        let house = House::new().await;
        let sent = all.clone();
        // It ignores the parameter.
        let port = serve(Arc::new(move |_, _, _| {
            (200, vec![], json!({"items": *sent.lock().unwrap()}).to_string())
        }))
        .await;
        let mode = json!({"incremental": {"cursor": "at", "param": "since"}});
        let spec = source(&house, port, json!({"link": {}}), mode);
        assert_eq!(house.sync_one(&spec).await.rows, 3);
        assert_eq!(house.sync_one(&spec).await.rows, 0);
        all.lock().unwrap().push(json!({"id": 4, "at": more}));
        assert_eq!(house.sync_one(&spec).await.rows, 1);
        assert_eq!(house.sync_one(&spec).await.rows, 0);
        assert_eq!(house.count("raw.s_t").await, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_move_as_a_field_goes_all_land() {
    let at = |hour: u32| format!("2026-01-01T{hour:02}:00:00Z");
    let all = Arc::new(Mutex::new(
        (1..=3).map(|i| json!({"id": i, "x": "x", "at": at(i.min(2))})).collect::<Vec<_>>(),
    ));
    let house = House::new().await;
    let sent = all.clone();
    let port =
        serve(Arc::new(move |_, _, _| (200, vec![], json!({"items": *sent.lock().unwrap()}).to_string())))
            .await;
    let mode = json!({"incremental": {"cursor": "at", "param": "since"}});
    let spec = source(&house, port, json!({"link": {}}), mode);
    assert_eq!(house.sync_one(&spec).await.rows, 3);
    *all.lock().unwrap() = vec![
        json!({"id": 1, "at": at(1)}),
        json!({"id": 4, "at": at(2)}),
        json!({"id": 2, "at": at(5)}),
        json!({"id": 3, "at": at(5)}),
    ];
    assert_eq!(house.sync_one(&spec).await.rows, 3);
    assert_eq!(house.sync_one(&spec).await.rows, 0);
    assert_eq!(
        house.sql("select id from raw.s_t where x is null order by id").await.concat(),
        ["2", "3", "4"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_and_link_pages_reach_the_end_and_other_hosts_get_no_token() {
    let house = House::new().await;
    let port = serve(Arc::new(|_, query, _| {
        let n: usize = query.get("cursor").map_or(0, |c| c.parse().unwrap());
        let next = if n < 3 { json!((n + 1).to_string()) } else { Value::Null };
        (
            200,
            vec![("link", format!("<?cursor={}>; rel=\"next\"", n + 1)).clone()]
                .into_iter()
                .filter(|_| n < 3)
                .collect(),
            json!({"items": [{"id": n}], "next": next}).to_string(),
        )
    }))
    .await;
    let by_cursor =
        source(&house, port, json!({"cursor": {"param": "cursor", "next": "next"}}), json!({"full": {}}));
    assert_eq!(house.sync_one(&by_cursor).await.rows, 4);
    let by_link = source(&house, port, json!({"link": {}}), json!({"full": {}}));
    assert_eq!(house.sync_one(&by_link).await.rows, 4);
    assert_eq!(house.count("raw.s_t").await, 4);
    let port = serve(Arc::new(|_, _, _| {
        (
            200,
            vec![("link", "<http://evil.example/x>; rel=next".into())],
            json!({"items": [{"id": 1}]}).to_string(),
        )
    }))
    .await;
    let error = house
        .sync_one(&source(&house, port, json!({"link": {}}), json!({"full": {}})))
        .await
        .error
        .unwrap()
        .to_string();
    assert!(error.contains("another host") && error.contains("evil.example"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_paths_and_endless_pages_are_explained() {
    let house = House::new().await;
    let number = json!({"number": {"param": "page", "size": 1}});
    let cases: [(u16, String, &str); 5] = [
        (401, "{}".into(), "the token is wrong"),
        (404, "{}".into(), "correct `url` or `path`"),
        (200, "<html>".into(), "not JSON"),
        (200, r#"{"rows": []}"#.into(), "its fields are rows"),
        (200, r#"{"items": [{"id": 1}]}"#.into(), "repeats an earlier one"),
    ];
    for (status, body, expected) in cases {
        let port = serve(Arc::new(move |_, _, _| (status, vec![], body.clone()))).await;
        let error = house
            .sync_one(&source(&house, port, number.clone(), json!({"full": {}})))
            .await
            .error
            .unwrap_or_else(|| panic!("{expected}"))
            .to_string();
        assert!(error.contains(expected) && !error.contains("t0ken"), "{expected}: {error}");
    }
}
