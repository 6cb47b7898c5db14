//! Every route with its permission, in one list. A route cannot be added without saying who may use
//! it, and the list itself is what the API description and the permission tests read.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};

use access::{Permission, Principal};
use sha2::{Digest, Sha256};

use super::turns::Turns;
use super::{App, Refusal};

/// The session's cookie where there is no https.
pub const SESSION_COOKIE: &str = "guanlan_session";
/// The session's cookie over https: browsers take it from this host alone, and only encrypted.
pub const SECURE_COOKIE: &str = "__Host-guanlan_session";

/// The caller of a permitted request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub who: Principal,
    pub token: String,
}

/// What a route is, for the API description.
#[derive(Debug, Clone)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    /// `None`: open to anyone (health, login, the page itself).
    pub permission: Option<Permission>,
    pub summary: &'static str,
}

/// Collects routes; see [`super::routes`].
pub struct Routes {
    app: App,
    router: Router<App>,
    list: Vec<Route>,
}

impl Routes {
    pub fn new(app: App) -> Self {
        Self { app, router: Router::new(), list: Vec::new() }
    }

    /// A route open to anyone.
    pub fn open<H, T>(self, method: Method, path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let route = on(filter(&method), handler);
        self.add(Route { method, path, permission: None, summary }, route)
    }

    /// A route that needs a signed-in caller with `permission`.
    pub fn need<H, T>(
        self,
        permission: Permission,
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let gate = Gate { app: self.app.clone(), permission };
        let route = on(filter(&method), handler).layer(middleware::from_fn_with_state(gate, admit));
        self.add(Route { method, path, permission: Some(permission), summary }, route)
    }

    /// A route that needs a signed-in caller with `permission`, or the token of `monitoring.token`.
    pub fn watch<H, T>(
        self,
        permission: Permission,
        path: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let gate = Gate { app: self.app.clone(), permission };
        let route =
            on(filter(&Method::GET), handler).layer(middleware::from_fn_with_state(gate, admit_watcher));
        self.add(Route { method: Method::GET, path, permission: Some(permission), summary }, route)
    }

    pub fn finish(self) -> (Router<App>, Vec<Route>) {
        (self.router, self.list)
    }

    fn add(mut self, route: Route, handler: MethodRouter<App>) -> Self {
        self.router = self.router.route(route.path, handler);
        self.list.push(route);
        self
    }
}

fn filter(method: &Method) -> axum::routing::MethodFilter {
    method.clone().try_into().expect("routes use the common HTTP methods")
}

#[derive(Clone)]
struct Gate {
    app: App,
    permission: Permission,
}

/// Lets a program through that carries the monitoring token; everyone else like [`admit`]. A browser
/// that opens the address gets the app, whose page of metrics has the same one.
async fn admit_watcher(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        return super::web::page(State(gate.app), request.uri().clone()).await;
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let Some(given) = given.and_then(|v| v.strip_prefix("Bearer ")) else {
        return admit(State(gate), request, next).await;
    };
    let live = gate.app.project();
    let Some(token) = &live.project.config.monitoring.token else {
        return Refusal::signed_out().into_response();
    };
    match token.resolve(&gate.app.folder) {
        // Hashes of equal length are compared, so that the time tells nothing of the token.
        Ok(token) if Sha256::digest(&token) == Sha256::digest(given) => next.run(request).await,
        Ok(_) => Refusal::signed_out().into_response(),
        Err(error) => Refusal::internal(error).into_response(),
    }
}

/// Lets a request through when its session is valid, its principal holds the permission and, for
/// methods that change something, it carries the session's CSRF token.
async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    match caller(&gate, &method, headers).await {
        Ok(caller) => {
            let turns = request.extensions().get::<Arc<Turns>>().cloned();
            let turn = match turns.as_ref().map(|turns| turns.request(&caller.who.user)) {
                Some(None) => return crowded(&caller).into_response(),
                turn => turn.flatten(),
            };
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            drop(turn);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn crowded(caller: &Caller) -> Refusal {
    let detail = format!("{} has too many requests under way", caller.who.user);
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "crowded", "Too many requests", detail)
        .hint("wait for some of them to be answered, then go on")
}

async fn caller(gate: &Gate, method: &Method, headers: HeaderMap) -> Result<Caller, Refusal> {
    let token = session_token(&headers).ok_or_else(Refusal::signed_out)?;
    let who = gate.app.sessions.principal(&token).await?.ok_or_else(Refusal::signed_out)?;
    if !access::decide(&who, gate.permission) {
        return Err(Refusal::forbidden(format!("{} lacks the permission {:?}", who.user, gate.permission)));
    }
    if !method.is_safe() {
        let given = headers.get("x-csrf").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !gate.app.sessions.csrf_matches(&token, given) {
            return Err(Refusal::forbidden(
                "the X-CSRF header is missing or of another session",
            )
            .hint("send the `csrf` that signing in and GET /api/session answer with; in a browser, reload the page"));
        }
    }
    Ok(Caller { who, token })
}

/// The session's token, by whichever cookie carries it.
pub fn session_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, SECURE_COOKIE).or_else(|| cookie(headers, SESSION_COOKIE))
}

/// The value of a cookie of the request.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name && !value.is_empty()).then(|| value.to_owned())
        })
}
