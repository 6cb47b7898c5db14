//! Server-sent events: one stream a browser, with ids for resuming and a heartbeat every 15 s. A stream lives as
//! long as the session that opened it, and tells what the reader may hear at that moment.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use access::Principal;
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use tokio_stream::wrappers::BroadcastStream;

use super::turns::Turns;
use super::{App, Caller};
use crate::events::Event;

/// How often a stream asks whether its session still stands, when this process has not heard that it ended:
/// the command line ends sessions too.
const LOOK: Duration = Duration::from_secs(2);

/// `GET /api/events`. A viewer too slow for the bounded queue is told to `resync` instead of being
/// fed old changes one by one.
pub async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(turns): Extension<Arc<Turns>>,
    headers: HeaderMap,
) -> Response {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let (missed, receiver) = app.hub.since(last);
    let first: Vec<Item> = match missed {
        Some(events) => events.into_iter().map(Item::Change).collect(),
        None => vec![Item::Resync],
    };
    let live = BroadcastStream::new(receiver).map(|next| next.map_or(Item::Resync, Item::Change));
    let turn = turns.stream(&caller.who.user);
    let reader = Arc::new(RwLock::new(caller.who.clone()));
    let hears = reader.clone();
    let all = stream::iter(first)
        .chain(live)
        .filter(move |item| {
            let who = hears.read().unwrap_or_else(PoisonError::into_inner);
            std::future::ready(item.permitted(&who))
        })
        .map(|item| Ok::<_, Infallible>(item.into_sse()))
        .take_until(async move {
            let crowded_out = turn.ended();
            tokio::select! {
                // A stream must not outlive the server's wish to stop, nor its session.
                () = app.stopping.cancelled() => {}
                () = crowded_out.cancelled() => {}
                () = session_end(&app, &caller.token, &reader) => {}
            }
            drop(turn);
        });
    // Where the stream ends, so does its connection: nothing else comes over it.
    ([("x-accel-buffering", "no"), ("connection", "close")], sse(all)).into_response()
}

/// Waits until the session has ended; meanwhile keeps who the reader is up to date.
async fn session_end(app: &App, token: &str, reader: &RwLock<Principal>) {
    let mut ended = app.sessions.ended();
    loop {
        tokio::select! {
            _ = ended.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        match app.sessions.look(token).await {
            Ok(Some(who)) => *reader.write().unwrap_or_else(PoisonError::into_inner) = who,
            // Who cannot be looked up is not told anything.
            Ok(None) | Err(_) => return,
        }
    }
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
    fn permitted(&self, who: &Principal) -> bool {
        match self {
            Item::Change(event) => event.permitted(who),
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
