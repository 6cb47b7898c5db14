//! What APIs answer: headers, encodings, digits, and the many ways to say that this was the last page.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::rest::{Handler, serve, serve_bytes};
use super::support::{House, spec};
use crate::StreamReport;

/// Six records.
fn rows() -> Vec<Value> {
    (1..=6).map(|i| json!({"id": i, "v": format!("r{i}")})).collect()
}

fn number(query: &HashMap<String, String>, name: &str, otherwise: usize) -> usize {
    query.get(name).and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

async fn land(house: &House, handler: Handler, records: Option<&str>, page: Value) -> StreamReport {
    let port = serve(handler).await;
    let mut stream = json!({"path": "/t", "page": page});
    if let Some(records) = records {
        stream["records"] = json!(records);
    }
    let spec = spec(
        json!({"kind": {"rest": {"url": format!("http://127.0.0.1:{port}")}}, "streams": {"t": stream}}),
    );
    house.sync_one(&spec).await
}

async fn lands_six(handler: Handler, records: Option<&str>, page: Value) {
    let house = House::new().await;
    let report = land(&house, handler, records, page.clone()).await;
    assert!(report.error.is_none(), "{page}: {report:?}");
    assert_eq!(report.rows, 6, "{page}: {report:?}");
    assert_eq!(house.one("select count(distinct id) from raw.s_t").await, "6", "{page}");
}

/// The records of a numbered page of three, and whether more follow.
fn cut(query: &HashMap<String, String>) -> (Vec<Value>, usize, bool) {
    let page = number(query, "page", 1);
    (rows().into_iter().skip((page - 1) * 3).take(3).collect(), page, page * 3 < 6)
}

#[tokio::test(flavor = "multi_thread")]
async fn link_headers_are_followed_however_they_are_written() {
    let lines = |query: &HashMap<String, String>, link: &dyn Fn(usize) -> Vec<String>| {
        let (items, page, more) = cut(query);
        let links = if more { link(page + 1) } else { vec!["</t?page=1>; rel=\"first\"".into()] };
        (200, links.into_iter().map(|l| ("Link", l)).collect(), Value::from(items).to_string())
    };
    let ways: [fn(usize) -> Vec<String>; 3] = [
        |n| vec!["</t?page=1>; rel=\"first\"".into(), format!("</t?page={n}>; rel=\"next\"")],
        |n| vec![format!("</t?page={n}>; rel=\"Next last\"")],
        |n| vec![format!("</t?page=1>; title=\"a, b\"; rel=prev, </t?page={n}>; REL=next")],
    ];
    for way in ways {
        lands_six(Arc::new(move |_, query, _| lines(query, &way)), None, json!({"link": {}})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_known_however_an_api_tells_it() {
    // The array is left out behind the end.
    lands_six(
        Arc::new(|_, query, _| {
            let (items, ..) = cut(query);
            let mut data = json!({"has_more": !items.is_empty()});
            if !items.is_empty() {
                data["items"] = items.into();
            }
            (200, vec![], json!({"code": 0, "data": data}).to_string())
        }),
        Some("$.data.items"),
        json!({"number": {"param": "page", "size_param": "size", "size": 3}}),
    )
    .await;
    // The last page repeats its cursor, with and without a word.
    for told in [true, false] {
        lands_six(
            Arc::new(move |_, query, _| {
                let at = number(query, "cursor", 0);
                let items: Vec<Value> = rows().into_iter().skip(at).take(3).collect();
                let mut answer = json!({"items": items, "next_cursor": (at + 3).min(6).to_string()});
                if told {
                    answer["has_more"] = json!(at + 3 < 6);
                }
                (200, vec![], answer.to_string())
            }),
            Some("items"),
            json!({"cursor": {"param": "cursor", "next": "next_cursor"}}),
        )
        .await;
    }
    // By offset.
    lands_six(
        Arc::new(|_, query, _| {
            let (at, most) = (number(query, "offset", 0), number(query, "limit", 2));
            let items: Vec<Value> = rows().into_iter().skip(at).take(most).collect();
            (200, vec![], json!({"total": 6, "items": items}).to_string())
        }),
        Some("items"),
        json!({"offset": {"param": "offset", "size_param": "limit", "size": 4}}),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_address_in_an_answer_is_followed_on_the_same_host() {
    let addresses: [fn(&str, usize) -> String; 2] =
        [|head, n| format!("http://{}/t?page={n}", host(head)), |_, n| format!("/t?page={n}")];
    for address in addresses {
        for page in [json!({"cursor": {"param": "page", "next": "next"}}), json!({"next": {"at": "next"}})] {
            lands_six(
                Arc::new(move |_, query, head| {
                    let (items, page, more) = cut(query);
                    let next = if more { json!(address(head, page + 1)) } else { Value::Null };
                    (200, vec![], json!({"count": 6, "next": next, "results": items}).to_string())
                }),
                Some("results"),
                page,
            )
            .await;
        }
    }
    let house = House::new().await;
    let elsewhere: Handler = Arc::new(|_, _, _| {
        (200, vec![], json!({"next": "https://evil.example/t?page=2", "results": [{"id": 1}]}).to_string())
    });
    let report = land(&house, elsewhere, Some("results"), json!({"next": {"at": "next"}})).await;
    let error = report.error.unwrap().to_string();
    assert!(error.contains("another host") && error.contains("evil.example"), "{error}");
}

fn host(head: &str) -> String {
    let line = head.lines().find(|l| l.to_lowercase().starts_with("host:")).unwrap();
    line[5..].trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_lost_are_never_silent() {
    let house = House::new().await;
    let by_cursor = json!({"cursor": {"param": "cursor", "next": "next_cursor"}});
    // A later page is refused with status 200.
    let refusing: Handler = Arc::new(|_, query, _| match query.contains_key("cursor") {
        true => (200, vec![], json!({"code": 99, "msg": "token expired"}).to_string()),
        false => (200, vec![], json!({"items": [{"id": 1}], "next_cursor": "a"}).to_string()),
    });
    let error = land(&house, refusing, Some("items"), by_cursor.clone()).await.error.unwrap().to_string();
    assert!(error.contains("refuses page 2") && error.contains("token expired"), "{error}");
    // More pages follow, but the cursor is elsewhere.
    let hidden: Handler = Arc::new(|_, _, _| {
        (200, vec![], json!({"items": [{"id": 1}], "has_more": true, "cursor": "a"}).to_string())
    });
    let error = land(&house, hidden, Some("items"), by_cursor).await.error.unwrap().to_string();
    assert!(error.contains("more pages follow") && error.contains("next_cursor"), "{error}");
    // One page of many.
    let one: Handler =
        Arc::new(|_, _, _| (200, vec![], json!({"items": [{"id": 1}], "total": 6}).to_string()));
    let report = land(&house, one, Some("items"), Value::Null).await;
    assert!(report.warnings.iter().any(|w| w.contains("6 records and sent 1")), "{report:?}");
    // The parameter counts records.
    let records: Handler = Arc::new(|_, query, _| {
        let items: Vec<Value> = rows().into_iter().skip(number(query, "from", 0)).take(3).collect();
        (200, vec![], Value::from(items).to_string())
    });
    let page = json!({"number": {"param": "from", "size_param": "size", "size": 3, "first": 0}});
    let error = land(&house, records, None, page).await.error.unwrap().to_string();
    assert!(error.contains("counts records, not pages"), "{error}");
    let said =
        serde_json::from_value::<crate::SourceSpec>(json!({"kind": {"rest": {"url": "http://h"}}, "streams":
        {"t": {"path": "/t", "page": {"number": {"param": "offset", "size_param": "limit"}}}}}))
        .unwrap()
        .check();
    assert!(said.iter().any(|p| p.to_string().contains("counts records, not pages")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_read_in_their_encoding_and_keep_their_digits() {
    let text = r#"[{"id":1,"部门":"财务部"}]"#;
    let gbk = encoding_rs::GBK.encode(text).0.into_owned();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    for (kind, body) in [
        ("application/json; charset=GBK", gbk.clone()),
        ("text/json;Charset=\"gb2312\"", gbk.clone()),
        ("application/json", marked),
        ("application/json", utf16),
    ] {
        let house = House::new().await;
        let port = serve_bytes(kind, body).await;
        let spec = spec(
            json!({"kind": {"rest": {"url": format!("http://127.0.0.1:{port}")}}, "streams": {"t": {"path": "/t"}}}),
        );
        let report = house.sync_one(&spec).await;
        assert!(report.error.is_none(), "{kind}: {report:?}");
        assert_eq!(house.sql("select id, \"部门\" from raw.s_t").await, [["1", "财务部"]], "{kind}");
    }
    let house = House::new().await;
    let port = serve_bytes("application/json", gbk).await;
    let url = format!("http://127.0.0.1:{port}");
    let silent = spec(json!({"kind": {"rest": {"url": url}}, "streams": {"t": {"path": "/t"}}}));
    let error = house.sync_one(&silent).await.error.unwrap().to_string();
    assert!(error.contains("names no charset") && error.contains("encoding: gb18030"), "{error}");
    let told =
        spec(json!({"kind": {"rest": {"url": url, "encoding": "gbk"}}, "streams": {"t": {"path": "/t"}}}));
    assert_eq!(house.sync_one(&told).await.rows, 1);

    let house = House::new().await;
    let digits = r#"[{"id": 123456789012345678901, "amount": 12345678901234567.89, "price": 1.10, "in": {"x": 2.50, "y": [1.0]}}, {"id": 2, "amount": NaN}, 7]"#;
    let port = serve_bytes("application/json", digits.into()).await;
    let spec = spec(
        json!({"kind": {"rest": {"url": format!("http://127.0.0.1:{port}")}}, "streams": {"t": {"path": "/t"}}}),
    );
    let report = house.sync_one(&spec).await;
    assert_eq!((report.error.is_none(), report.rows, report.rejected_rows), (true, 2, 1), "{report:?}");
    assert_eq!(
        house.sql("select id, amount, price, in_x, in_y from raw.s_t where price is not null").await,
        [["123456789012345678901", "12345678901234567.89", "1.10", "2.50", "[1.0]"]]
    );
    assert_eq!(house.sql("select reason, text from raw.s_t_rejected").await, [["not a JSON object", "7"]]);
}
