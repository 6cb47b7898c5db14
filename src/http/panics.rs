//! A panic while a request is answered becomes an answer with an id that the log knows.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
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
    let mut refusal = Refusal::internal(format!("panic {id}: {why}"));
    refusal.detail = format!("the server's log has the cause under {id}");
    refusal
}
