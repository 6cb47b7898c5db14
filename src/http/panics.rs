//! A panic while a request is answered becomes an answer with an id that the log knows.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use store::{SharedClock, new_id};

use super::Refusal;

/// Answers for a handler that panicked. What it held is dropped; what handlers share is whole after each step.
pub async fn answered(State(clock): State<SharedClock>, request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => told(panic.as_ref(), &new_id(&*clock)).into_response(),
    }
}

fn told(panic: &(dyn Any + Send), id: &str) -> Refusal {
    let why = panic.downcast_ref::<String>().map(String::as_str);
    let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    if why.contains("mmap failed") {
        let detail = "the server has no memory left for the request; ask again in a moment";
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "memory", "No memory left", detail);
    }
    let mut refusal = Refusal::internal(format!("panic {id}: {why}"));
    refusal.detail = format!("the server's log has the cause under {id}");
    refusal
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use axum::{Router, middleware};
    use store::ManualClock;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_with_an_id_and_not_with_its_words() {
        let clock: SharedClock = Arc::new(ManualClock::new("2026-03-02T01:00:00Z".parse().unwrap(), 7));
        async fn fails() -> &'static str {
            panic!("a secret of {}", "the program")
        }
        let app = Router::new().route("/", get(fails)).layer(middleware::from_fn_with_state(clock, answered));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("the server's log has the cause under") && !text.contains("secret"), "{text}");
    }
}
