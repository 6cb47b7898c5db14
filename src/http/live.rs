//! Server-sent events: one stream a browser, with ids for resuming and a heartbeat every 15 s.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use tokio_stream::wrappers::BroadcastStream;

use super::{App, Caller};
use crate::events::Event;

/// `GET /api/events`. A viewer too slow for the bounded queue is told to `resync` instead of being
/// fed old changes one by one.
pub async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let (missed, receiver) = app.hub.since(last);
    let first: Vec<Item> = match missed {
        Some(events) => events.into_iter().map(Item::Change).collect(),
        None => vec![Item::Resync],
    };
    let live = BroadcastStream::new(receiver).map(|next| next.map_or(Item::Resync, Item::Change));
    let stopping = app.stopping.clone();
    let sessions = app.clone();
    let all = stream::iter(first)
        .chain(live)
        .filter(move |item| std::future::ready(item.permitted(&caller)))
        .map(|item| Ok::<_, Infallible>(item.into_sse()))
        .take_until(async move {
            // A stream must not outlive the server's wish to stop.
            stopping.cancelled().await;
            drop(sessions);
        });
    ([("x-accel-buffering", "no")], sse(all)).into_response()
}

fn sse(events: impl Stream<Item = Result<Sse, Infallible>> + Send + 'static) -> impl IntoResponse {
    axum::response::Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("beat"))
}

enum Item {
    Change(Arc<Event>),
    Resync,
}

impl Item {
    fn permitted(&self, caller: &Caller) -> bool {
        match self {
            Item::Change(event) => event.permitted(&caller.who),
            Item::Resync => true,
        }
    }

    fn into_sse(self) -> Sse {
        match self {
            Item::Change(event) => {
                Sse::default().id(event.id.to_string()).event(event.kind).data(event.data.to_string())
            }
            Item::Resync => Sse::default().event("resync").data("{}"),
        }
    }
}
