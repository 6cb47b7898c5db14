//! The HTTP door: every route with its permission (`routes`), one file a station, one map from
//! errors to answers (`error`, `refusals`), the embedded web app (`web`).

mod access;
mod alerts;
mod auth;
mod channels;
mod connections;
mod dashboards;
mod deliveries;
mod error;
mod health;
mod host;
mod listener;
mod live;
mod metrics;
mod models;
mod openapi;
mod paced;
mod panics;
mod peer;
mod project;
mod quarantine;
mod refusals;
mod routes;
mod rules;
mod sources;
mod sql;
mod tables;
mod tls;
mod turns;
mod web;

use std::sync::Arc;

use ::access::Permission as Need;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::compression::CompressionLayer;

pub use error::Refusal;
pub use listener::serve;
pub use peer::{Network, Peer};
pub use routes::{Caller, Route};
pub use tls::TlsSpec;

use crate::platform::Platform;
use routes::Routes;

/// What handlers share.
pub type App = Arc<Platform>;

/// The largest request body: definitions and SQL are text, nothing is uploaded.
const BODY_BYTES: usize = 1 << 20;

/// Every route, in the order of the line.
pub fn routes(app: App) -> (Router<App>, Vec<Route>) {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const DELETE: Method = Method::DELETE;
    Routes::new(app)
        .open(GET, "/health", "whether the server works", health::health)
        .watch(Need::ReadSystem, "/metrics", "Prometheus metrics", health::metrics)
        .need(Need::ReadSystem, GET, "/api/status", "what is wrong, by name", health::status)
        .open(GET, "/api/openapi.json", "this description", openapi::description)
        .open(POST, "/api/session", "sign in", auth::login)
        .open(DELETE, "/api/session", "sign out", auth::logout)
        .need(Need::ReadDashboards, GET, "/api/session", "who the caller is", auth::session)
        .need(Need::ReadDashboards, GET, "/api/events", "changes as server-sent events", live::events)
        .need(Need::ReadSources, GET, "/api/sources", "sources with their state", sources::list)
        .need(Need::ManageSources, POST, "/api/sources/{name}/sync", "sync a source now", sources::sync)
        .need(Need::ReadSources, GET, "/api/sources/{name}/runs", "latest runs of a source", sources::runs)
        .need(Need::ReadSources, GET, "/api/quarantine", "rows that did not fit, counted", quarantine::list)
        .need(Need::ReadSources, GET, "/api/quarantine/{table}", "rows that did not fit", quarantine::rows)
        .need(
            Need::ManageSources,
            POST,
            "/api/quarantine/{table}/release",
            "clean them again",
            quarantine::retry,
        )
        .need(
            Need::ManageSources,
            POST,
            "/api/quarantine/{table}/retry",
            "read or clean them again",
            quarantine::retry,
        )
        .need(
            Need::ManageSources,
            POST,
            "/api/quarantine/{table}/discard",
            "remove them",
            quarantine::discard,
        )
        .need(
            Need::ManageSources,
            POST,
            "/api/sources/{name}/test",
            "whether a source answers",
            sources::test,
        )
        .need(
            Need::ManageSources,
            POST,
            "/api/sources/{name}/{stream}/preview",
            "how a stream would be read",
            sources::preview,
        )
        .need(
            Need::ManageSources,
            POST,
            "/api/sources/{name}/{stream}/reset",
            "read a stream again from its start",
            sources::reset,
        )
        .need(Need::ReadTables, GET, "/api/models", "models: what is due and what it costs", models::list)
        .need(Need::ManageSources, POST, "/api/models/{name}/build", "build a model now", models::build)
        .need(Need::ReadTables, GET, "/api/tables", "the catalogue", tables::list)
        .need(Need::ReadTables, GET, "/api/tables/{name}", "one table, with a sample", tables::one)
        .need(Need::RunSql, POST, "/api/sql", "run SQL, first rows", sql::page)
        .need(Need::RunSql, POST, "/api/sql/stream", "run SQL, Arrow stream", sql::arrow_stream)
        .need(Need::RunSql, POST, "/api/sql/csv", "run SQL, CSV file", sql::csv)
        .need(Need::RunSql, GET, "/api/sql/history", "the caller's latest queries", sql::history)
        .need(Need::RunSql, DELETE, "/api/sql/{id}", "cancel a query", sql::cancel)
        .need(Need::ReadMetrics, GET, "/api/metrics", "all metrics", metrics::list)
        .need(Need::ReadMetrics, POST, "/api/metrics/query", "ask a metric", metrics::query)
        .need(
            Need::ReadMetrics,
            GET,
            "/api/dimensions/{dimension}/values",
            "values to filter by",
            metrics::values,
        )
        .need(Need::ReadDashboards, GET, "/api/dashboards", "the caller's dashboards", dashboards::list)
        .need(Need::ReadDashboards, GET, "/api/dashboards/{name}", "one dashboard's layout", dashboards::one)
        .need(Need::ReadDashboards, POST, "/api/dashboards/{name}/data", "the tiles' data", dashboards::data)
        .need(Need::ReadRules, GET, "/api/rules", "rules with their state", rules::list)
        .need(Need::ReadRules, GET, "/api/rules/{name}", "one rule", rules::one)
        .need(Need::ReadAlerts, GET, "/api/alerts", "alerts", alerts::list)
        .need(Need::ReadAlerts, GET, "/api/alerts/{id}", "one alert with its evidence", alerts::one)
        .need(Need::ActOnAlerts, POST, "/api/alerts/{id}/ack", "acknowledge an alert", alerts::ack)
        .need(Need::ActOnAlerts, GET, "/api/deliveries", "messages to receivers", deliveries::list)
        .need(Need::ActOnAlerts, GET, "/api/deliveries/{id}", "a message's attempts", deliveries::attempts)
        .need(Need::ActOnAlerts, POST, "/api/deliveries/{id}/resend", "send it again", deliveries::resend)
        .need(Need::ActOnAlerts, GET, "/api/channels", "whom rules can tell", channels::list)
        .need(Need::ManageSources, POST, "/api/channels/{name}/test", "send a test message", channels::test)
        .need(Need::ManageSources, POST, "/api/channels/{name}/reopen", "open it again", channels::reopen)
        .need(Need::ReadStatus, GET, "/api/project", "problems of the project folder", project::state)
        .need(Need::ManageAccess, GET, "/api/access/users", "users", access::users)
        .need(Need::ManageAccess, POST, "/api/access/users", "add a user", access::add)
        .need(Need::ReadAccess, GET, "/api/access/audit", "who did what", access::audit)
        .finish()
}

/// The whole door, ready to serve.
pub fn router(app: App) -> Router {
    let config = app.project().project.config.clone();
    let (places, _) = listener::places(&config.limits);
    let turns = turns::Turns::new(places / 2, config.limits.streams_per_user);
    let names = host::Names::of(config.public_url.as_deref());
    let trusted: Arc<[Network]> = config.trusted_proxies.clone().into();
    let (routes, _) = routes(app.clone());
    routes
        .fallback(web::page)
        .layer(middleware::from_fn_with_state(names, host::known))
        .layer(middleware::from_fn_with_state(app.clock.clone(), panics::answered))
        .layer(Extension(turns))
        .layer(middleware::from_fn_with_state(Secure(config.encrypted()), headers))
        .layer(middleware::from_fn_with_state(trusted, peer::note))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(CompressionLayer::new())
        .with_state(app)
}

/// Readers come over https by configuration, whatever the last hop to us is.
#[derive(Debug, Clone, Copy)]
struct Secure(bool);

/// What the framework itself refuses (a body that is no JSON, a wrong method) is told like all refusals.
async fn in_one_form(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    if kind.is_some_and(|kind| kind.contains("json")) {
        return response;
    }
    let status = response.status();
    let text = axum::body::to_bytes(response.into_body(), BODY_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let detail = if text.is_empty() {
        status.canonical_reason().unwrap_or("refused").to_owned()
    } else {
        text.into_owned()
    };
    Refusal::new(status, "bad_request", "Not understood", detail).into_response()
}

/// Headers every answer carries.
async fn headers(State(Secure(https)): State<Secure>, request: Request, next: Next) -> Response {
    let https = https || request.extensions().get::<Peer>().is_some_and(|peer| peer.secure);
    let api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    if api && response.status().is_client_error() {
        response = in_one_form(response).await;
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
