use axum::body::{Body, to_bytes};
use axum::http::Request;
use sqlx::ConnectOptions;
use tower::ServiceExt;

use super::*;

/// A desk with `versions` rows, two a ticket, one a second.
async fn desk(name: &str, versions: i64) -> (std::path::PathBuf, Router) {
    let dir = std::env::temp_dir().join(format!("guanlan-demo-desk-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join(PROJECT).join(".guanlan")).unwrap();
    std::fs::create_dir_all(dir.join(COMPANY)).unwrap();
    std::fs::write(dir.join(PROJECT).join(".guanlan/ticket.token"), "right").unwrap();
    let file = dir.join(COMPANY).join("tickets.db");
    let mut db = SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap();
    sqlx::query(tickets::SCHEMA).execute(&mut db).await.unwrap();
    for n in 0..versions {
        let at = format!("2026-11-24T09:{:02}:{:02}+08:00", n / 60, n % 60);
        sqlx::query("insert into tickets values (?, 't', 'c', 'high', 'new', '华东', 1, 1, null, ?, ?, null, null, null, ?)")
            .bind(n / 2)
            .bind(&at)
            .bind(&at)
            .bind(&at)
            .execute(&mut db)
            .await
            .unwrap();
    }
    let api = api(&dir).unwrap();
    (dir, api)
}

async fn get(api: &Router, path: &str, token: &str) -> (StatusCode, Value) {
    let request =
        Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
    let answer = api.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn pages_cover_every_version_once_in_order_of_change() {
    let (dir, api) = desk("pages", 25).await;
    let mut seen = Vec::new();
    for page in 1.. {
        let (status, body) = get(&api, &format!("/tickets?page={page}&size=10"), "right").await;
        assert_eq!(status, StatusCode::OK);
        seen.extend(
            body["items"].as_array().unwrap().iter().map(|i| i["updated_at"].as_str().unwrap().to_owned()),
        );
        if body["has_more"] == false {
            assert_eq!(page, 3);
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn only_what_changed_after_a_moment_is_listed() {
    let (dir, api) = desk("after", 10).await;
    let (_, body) = get(&api, "/tickets?updated_after=2026-11-24T09:00:06%2B08:00", "right").await;
    assert_eq!(body["items"].as_array().unwrap().len(), 3);
    assert_eq!(body["items"][0]["id"], 3);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let (dir, api) = desk("token", 1).await;
    let (status, body) = get(&api, "/tickets", "wrong").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body["error"].as_str().unwrap().contains("token"));
    std::fs::remove_dir_all(&dir).unwrap();
}
