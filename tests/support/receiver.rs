//! An HTTP receiver that refuses the first requests and then accepts, and keeps all it got.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: String,
    /// What we answered.
    pub status: u16,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// Checks the signature as the Standard Webhooks specification says, on our own.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let engine = base64::engine::general_purpose::STANDARD;
        let key = engine.decode(secret.trim_start_matches("whsec_")).expect("a base64 secret");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key length");
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        let expected = format!("v1,{}", engine.encode(mac.finalize().into_bytes()));
        self.signature.split(' ').any(|s| s == expected)
    }
}

#[derive(Clone)]
struct Shelf {
    kept: Arc<Mutex<Vec<Received>>>,
    refuse: usize,
}

pub struct Receiver {
    pub address: String,
    shelf: Shelf,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Answers 503 to the first `refuse` requests, then 200.
    pub async fn start(refuse: usize) -> Self {
        let shelf = Shelf { kept: Arc::default(), refuse };
        let app = Router::new().route("/hook", post(receive)).with_state(shelf.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self { address, shelf, task }
    }

    pub fn all(&self) -> Vec<Received> {
        self.shelf.kept.lock().expect("no panic while held").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(shelf): State<Shelf>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut kept = shelf.kept.lock().expect("no panic while held");
    let status = if kept.len() < shelf.refuse { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    kept.push(Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: status.as_u16(),
    });
    status
}
