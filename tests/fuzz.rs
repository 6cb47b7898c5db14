//! Requests that nobody meant, over every route of the API's own description, as each role: none cuts a
//! connection, none is a failure of the server, and it answers others all the while. Seeds are fixed.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Folder, Guanlan, Session};

/// Requests of each role; `make fuzz` goes on for as many seconds as it says.
const REQUESTS: usize = 150;

#[tokio::test]
async fn no_request_cuts_a_connection_or_fails_the_server() {
    let folder = Folder::new("fuzz");
    let place = folder.path().join("p");
    let guanlan = Guanlan::new(&place).limit("-n 256").limit("-v 8000000");
    guanlan.ok(&["init", place.to_str().unwrap()]);
    guanlan.ok(&["sync"]);
    let mut people = Vec::new();
    for role in ["executive", "analyst", "ops", "admin"] {
        let added = guanlan.json(&["user", "add", &format!("the_{role}"), "--role", role]);
        people.push((role, added["password"].as_str().unwrap().to_owned()));
    }
    let mut served = guanlan.serve().await;
    let seconds = std::env::var("GUANLAN_FUZZ_SECONDS").ok().and_then(|s| s.parse::<u64>().ok());
    for (seed, (role, password)) in people.iter().enumerate() {
        let session = served.sign_in(&format!("the_{role}"), password).await;
        let routes = routes(&session).await;
        let mut dice = StdRng::seed_from_u64(seed as u64 + 1);
        let (begun, mut done) = (Instant::now(), 0);
        while match seconds {
            Some(seconds) => begun.elapsed() < Duration::from_secs(seconds / 4),
            None => done < REQUESTS,
        } {
            let (method, path) = &routes[dice.random_range(0..routes.len())];
            let (path, body) = (filled(path, &mut dice), body(path, &mut dice));
            // Whoever signs out, or makes users and runs, is tested elsewhere.
            if (method == "delete" && path == "/api/session") || path.ends_with("/events") {
                continue;
            }
            done += 1;
            let what = format!("{role}: {method} {path} {}", shorten(&body.to_string()));
            let request = session
                .http
                .request(method.to_uppercase().parse().unwrap(), format!("{}{path}", session.base()))
                .header("cookie", &session.cookie)
                .header("x-csrf", &session.csrf)
                .timeout(Duration::from_secs(90));
            let request = if method == "get" { request } else { request.json(&body) };
            let answer = request.send().await.unwrap_or_else(|e| panic!("{what}: {e}"));
            let status = answer.status();
            let text = answer.bytes().await.unwrap_or_else(|e| panic!("{what}: cut in the answer: {e}"));
            let text = String::from_utf8_lossy(&text);
            assert!(status.as_u16() < 500 || status.as_u16() == 503, "{what}: {status} {}", shorten(&text));
        }
        assert!(served.healthy().await, "after {role}");
        assert!(served.runs());
    }
}

/// Method and path of every route.
async fn routes(session: &Session) -> Vec<(String, String)> {
    let description = session.get("/api/openapi.json").await;
    let paths = description["paths"].as_object().unwrap();
    let mut routes: Vec<_> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone()))
        })
        .collect();
    assert!(routes.len() > 30, "{} routes", routes.len());
    routes.sort();
    routes
}

/// A path whose parameters are something: often a real name, sometimes rubbish.
fn filled(path: &str, dice: &mut StdRng) -> String {
    let names = ["shop", "orders", "mart.orders", "raw.shop_orders", "overview", "region", "revenue", "x"];
    let rubbish =
        ["..%2f..%2fetc", "%00", "%ff", "a%20b", "'; drop table x--", "9223372036854775808", "%E5%BA%97"];
    path.split('/')
        .map(|part| match part.starts_with('{') {
            true if dice.random_bool(0.6) => names[dice.random_range(0..names.len())],
            true => rubbish[dice.random_range(0..rubbish.len())],
            false => part,
        })
        .collect::<Vec<_>>()
        .join("/")
        .replace("'; drop table x--", "%27%3Bdrop")
}

/// A body near what a route takes, with something odd in it.
fn body(path: &str, dice: &mut StdRng) -> Value {
    let odd = odd(dice, 0);
    match path {
        _ if dice.random_bool(0.2) => odd,
        p if p.starts_with("/api/sql") => json!({"sql": sql(dice)}),
        "/api/metrics/query" => {
            let mut ask = json!({"metric": "revenue", "range": range(dice), "by": ["region"],
                "filters": [{"dimension": "region", "values": ["x"]}], "compare": "previous", "grain": "day"});
            let keys = ["metric", "range", "by", "filters", "compare", "grain", "limit", "order"];
            ask[keys[dice.random_range(0..keys.len())]] = odd;
            ask
        }
        p if p.ends_with("/data") => json!({"range": range(dice), "filters": odd}),
        "/api/session" => json!({"user": odd, "password": "x"}),
        _ => json!({"note": odd}),
    }
}

fn range(dice: &mut StdRng) -> Value {
    let ranges = [
        "7d",
        "30d",
        "12M",
        "0d",
        "99999999d",
        "-262143-01-01..+262142-12-31",
        "2024-01-01..2023-01-01",
        "2024-02-30..2024-03-01",
        "this_month",
        "",
        "1e9y",
        "9223372036854775807d",
        "2024-01-01..9999-12-31",
    ];
    ranges[dice.random_range(0..ranges.len())].into()
}

fn sql(dice: &mut StdRng) -> String {
    let many = dice.random_range(1..5_000);
    let edges = ["8210266876799999999", "-9223372036854775808", "0", "253402300800000000"];
    let edge = edges[dice.random_range(0..edges.len())];
    match dice.random_range(0..12) {
        0 => format!("select {}", vec!["1"; many].join("+")),
        1 => format!("select 1 where {}", vec!["1=1"; many].join(" or ")),
        2 => format!("select {}1{}", "(".repeat(many), ")".repeat(many)),
        3 => format!("select local_date(arrow_cast({edge}, 'Timestamp(Microsecond, None)'))"),
        4 => format!("select date_trunc('month', arrow_cast({edge}, 'Timestamp(Microsecond, None)'))"),
        5 => "select count(*) from generate_series(1,9000) a cross join generate_series(1,900) b where a.value + b.value < 4".into(),
        6 => format!("select sum(length(repeat('a', {many}000000))) from generate_series(1, 3)"),
        7 => format!("select {} from mart.orders", vec!["region"; many.min(300)].join(", ")),
        8 => format!("select * from mart.orders where region in ({})", vec!["'x'"; many].join(",")),
        9 => format!("select interval '{many} years' * {many}, date '9999-12-31' + interval '{many} days'"),
        10 => "select '\u{0}\u{fffd}', $1, ?, :x".into(),
        _ => format!("select {}1", "not ".repeat(many)),
    }
}

/// Any JSON.
fn odd(dice: &mut StdRng, depth: usize) -> Value {
    match dice.random_range(0..9) {
        0 => Value::Null,
        1 => json!(dice.random_bool(0.5)),
        2 => json!([i64::MAX, i64::MIN, 0, -1][dice.random_range(0..4)]),
        3 => json!([1e308, -0.0, 0.1][dice.random_range(0..3)]),
        4 => json!("x".repeat(dice.random_range(0..70_000))),
        5 => json!(["\u{0}", "店", "\u{202e}", "../../etc/passwd", "{{x}}", "%s"][dice.random_range(0..6)]),
        6 if depth < 3 => (0..dice.random_range(0..40)).map(|_| odd(dice, depth + 1)).collect(),
        7 if depth < 3 => json!({"dimension": odd(dice, depth + 1), "values": odd(dice, depth + 1)}),
        _ => json!(vec![json!({"dimension": "region", "values": ["x"]}); dice.random_range(0..3_000)]),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(300).collect()
}
