//! Accepts connections and answers their requests: bounded in number, in the time that a request may take to
//! come, and in the time that an answer may wait for its reader. One slow peer costs no one else anything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use store::Limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::connections::{Connections, Place};
use super::paced::Paced;
use super::peer::{Encrypted, Network};
use super::{BODY_BYTES, Refusal};

/// Connections at once when the system allows as many.
const MOST: usize = 4_096;
/// How much of a body that is too large is still taken off the line, in bytes.
const READ_ON_BYTES: usize = 64 << 20;
/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// How long an answer may wait for its reader to take more of it.
const STALLED: Duration = Duration::from_secs(60);
/// After the system refused a connection (no descriptors left), before the next is asked for.
const BREATH: Duration = Duration::from_millis(50);

/// Our own end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Local(pub SocketAddr);

/// What every connection needs.
struct Door {
    router: Router,
    tls: Option<TlsAcceptor>,
    connections: Arc<Connections>,
    patience: Duration,
    stopping: CancellationToken,
}

/// How many connections may be open: half of what the system lets this process open, and of these three
/// quarters from one address.
pub fn places(limits: &Limits) -> (usize, usize) {
    let all = (descriptors() / 2).clamp(8, MOST);
    (all, limits.connections_per_address.min(all * 3 / 4))
}

/// Files and sockets that the system lets this process open; the usual number where it does not say.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1_024)
}

/// Serves until `stopping`, then finishes the requests under way.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: &Limits,
    proxies: &[Network],
    stopping: CancellationToken,
) {
    let (all, per_address) = places(limits);
    let door = Arc::new(Door {
        router,
        tls,
        connections: Connections::new(all, per_address, proxies),
        patience: Duration::from_secs(limits.request_seconds.max(1)),
        stopping: stopping.clone(),
    });
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match door.connections.admit(peer.ip()) {
                Some(place) => drop(open.spawn(door.clone().connection(stream, peer, place))),
                None => tracing::debug!(%peer, "all places are taken; a connection was closed"),
            },
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    open.close();
    open.wait().await;
}

impl Door {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place) {
        let closed = place.closed();
        let local = stream.local_addr().ok();
        // Small answers leave at once.
        let _ = stream.set_nodelay(true);
        let work = async {
            match &self.tls {
                None => self.clone().requests(stream, peer, local, false, place).await,
                Some(tls) => match tokio::time::timeout(self.patience, tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.clone().requests(stream, peer, local, true, place).await,
                    Ok(Err(error)) => tracing::debug!(%peer, error = %error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
                },
            }
        };
        tokio::select! {
            () = work => {}
            () = closed.cancelled() => tracing::debug!(%peer, "a waiting connection made room for another"),
        }
    }

    async fn requests<S>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
        local: Option<SocketAddr>,
        encrypted: bool,
        place: Place,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = Arc::new(place);
        let door = self.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (door, place) = (door.clone(), place.clone());
            async move {
                let mut request = match door.whole(request).await {
                    Ok(request) => request,
                    Err(refusal) => return Ok::<_, Infallible>(refusal.into_response()),
                };
                let extensions = request.extensions_mut();
                extensions.insert(ConnectInfo(peer));
                extensions.extend(
                    local
                        .map(|l| {
                            let mut own = axum::http::Extensions::new();
                            own.insert(Local(l));
                            own
                        })
                        .unwrap_or_default(),
                );
                if encrypted {
                    extensions.insert(Encrypted);
                }
                let answering = place.answering();
                let response: Response =
                    door.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
                // The place is kept until the last byte of the answer has left.
                Ok(response.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        let _ = &answering;
                        frame
                    }))
                }))
            }
        });
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.patience)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(Paced::new(stream, STALLED)), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, error = %error, "a connection ended");
        }
    }

    /// A request with its body, once all of it has come.
    async fn whole(&self, request: Request<hyper::body::Incoming>) -> Result<Request, Refusal> {
        let (head, body) = request.into_parts();
        match tokio::time::timeout(self.patience, gathered(body)).await {
            Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body))),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "Too slow",
                format!("the body did not come within {} s", self.patience.as_secs()),
            )),
        }
    }
}

/// A body in one piece. One that is too large is read on, but not kept: a caller that is cut off while it sends
/// never sees the answer.
async fn gathered(mut body: hyper::body::Incoming) -> Result<Bytes, Refusal> {
    let (mut kept, mut size) = (BytesMut::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Refusal::bad_request(format!("the body did not come whole: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size <= BODY_BYTES {
            kept.extend_from_slice(&data);
        } else if size > READ_ON_BYTES {
            break;
        }
    }
    if size <= BODY_BYTES {
        return Ok(kept.freeze());
    }
    let most = format!("the body of a request may have {} KiB", BODY_BYTES >> 10);
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", most))
}
