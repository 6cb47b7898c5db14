//! Signing in and out. The session is an opaque random token in an HttpOnly cookie; methods that
//! change something also need the CSRF token that `GET /api/session` gives.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use access::{LoginError, Permission, Principal};

use super::routes::{SECURE_COOKIE, SESSION_COOKIE, session_token};
use super::{App, Caller, Peer, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    user: String,
    password: String,
}

/// `POST /api/session`.
pub async fn login(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<Response, Refusal> {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let (token, who) =
        app.sessions.login(&login.user, &login.password, &peer.ip, agent).await.map_err(refuse)?;
    let body = describe(&app, &Caller { who, token: token.clone() });
    let secure = secure(&app, &peer);
    Ok((set_cookie(&token, None, secure), Json(body)).into_response())
}

fn refuse(error: LoginError) -> Refusal {
    match error {
        LoginError::Wrong => Refusal::new(
            StatusCode::UNAUTHORIZED,
            "wrong_login",
            "Wrong user or password",
            "the user name or the password is wrong",
        ),
        LoginError::Locked { until } => {
            let mut refusal = Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "locked",
                "Too many failed logins",
                format!("try again after {until}"),
            );
            refusal.until = Some(until);
            refusal
        }
        LoginError::Failed(error) => error.into(),
    }
}

/// `GET /api/session`: who the caller is and what they may do.
pub async fn session(State(app): State<App>, Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(describe(&app, &caller))
}

/// `DELETE /api/session`: open to anyone, since ending a session that is not there harms nobody.
pub async fn logout(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if let Some(token) = session_token(&headers) {
        app.sessions.logout(&token).await?;
    }
    Ok((set_cookie("", Some(0), secure(&app, &peer)), StatusCode::NO_CONTENT).into_response())
}

/// Whether the reader's browser came over https.
fn secure(app: &App, peer: &Peer) -> bool {
    peer.secure || app.project().project.config.encrypted()
}

fn set_cookie(token: &str, max_age: Option<u64>, secure: bool) -> [(header::HeaderName, HeaderValue); 1] {
    let age = max_age.map(|s| format!("; Max-Age={s}")).unwrap_or_default();
    let (name, secure) = if secure { (SECURE_COOKIE, "; Secure") } else { (SESSION_COOKIE, "") };
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    [(header::SET_COOKIE, HeaderValue::from_str(&text).expect("tokens are URL-safe base64"))]
}

fn describe(app: &App, caller: &Caller) -> Value {
    let live = app.project();
    let site = &live.project.config.site;
    json!({
        "user": caller.who.user,
        "display": caller.who.display,
        "roles": caller.who.roles,
        "permissions": permissions(&caller.who),
        "locale": caller.who.locale,
        "csrf": app.sessions.csrf(&caller.token),
        "now": app.clock.now(),
        "site": {"name": site.name, "timezone": site.timezone, "locale": site.locale},
        "default_dashboard": app.dashboards_of(&caller.who).first().map(|(name, _)| name.clone()),
        "demo": app.demo_speed.map(|speed| json!({"speed": speed})),
    })
}

fn permissions(who: &Principal) -> Vec<Permission> {
    Permission::ALL.iter().copied().filter(|&p| access::decide(who, p)).collect()
}
