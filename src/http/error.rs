//! The only map from errors to HTTP: problem+json with a stable `code`, what happened, and what to
//! do next. The code is what the UI translates; the detail is for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request is not answered.
#[derive(Debug, Clone, Serialize)]
pub struct Refusal {
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    pub code: &'static str,
    pub title: &'static str,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<store::Timestamp>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u16(status.as_u16())
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl ToString) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.to_string(),
            hint: None,
            query_id: None,
            line: None,
            column: None,
            until: None,
        }
    }

    pub fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed_out", "Not signed in", "sign in to go on")
    }

    pub fn forbidden(detail: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not permitted", detail)
    }

    pub fn not_found(detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "Not understood", detail)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// When to come again: the moment that is known, else soon where the server is only busy.
    fn retry_after(&self) -> Option<HeaderValue> {
        match (self.until, self.status) {
            (Some(until), _) => {
                let whole = until + chrono::TimeDelta::milliseconds(999);
                HeaderValue::from_str(&whole.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
            }
            (None, StatusCode::TOO_MANY_REQUESTS) => Some(HeaderValue::from_static("1")),
            _ => None,
        }
    }

    /// A failure of ours: logged whole here, once, and told to the caller without its inside.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(error = %error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something failed here",
            "the server's log has the cause",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(moment) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, moment);
        }
        response
    }
}
