//! The embedded web app. Every path that is not an API route is the app's own and answers with its
//! page; a file at the root or under assets/ is there or is not.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;

use super::App;

#[derive(rust_embed::Embed)]
#[folder = "dashboards/web/dist"]
struct Assets;

/// Serves an asset or the page. Asset names carry a hash of their content, so they never change;
/// the page is asked for anew each time.
pub async fn page(State(app): State<App>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return super::Refusal::not_found(format!("no route {}", uri.path())).into_response();
    }
    if let Some(file) = Assets::get(path).filter(|_| path != "index.html") {
        let cache =
            if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        return (
            [(header::CONTENT_TYPE, content_type(path)), (header::CACHE_CONTROL, cache)],
            Body::from(file.data.into_owned()),
        )
            .into_response();
    }
    // A table's page is /tables/mart.orders: only what looks like a file at the root or an asset is one.
    if path.starts_with("assets/") || (path.contains('.') && !path.contains('/')) {
        return StatusCode::NOT_FOUND.into_response();
    }
    index(&app)
}

fn index(app: &App) -> Response {
    let Some(file) = Assets::get("index.html") else { return StatusCode::NOT_FOUND.into_response() };
    let mut random = [0u8; 16];
    app.clock.fill(&mut random);
    let nonce = base64::engine::general_purpose::STANDARD_NO_PAD.encode(random);
    let html = String::from_utf8_lossy(&file.data).replace("__CSP_NONCE__", &nonce);
    let policy = format!(
        "default-src 'self'; style-src 'self' 'nonce-{nonce}'; script-src 'self'; img-src 'self' data:; \
         connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let mut response = ([(header::CACHE_CONTROL, "no-cache")], axum::response::Html(html)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "map") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
