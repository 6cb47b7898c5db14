//! How an object store is reached: at addresses that a gate has checked, following no redirect and no proxy of
//! the environment.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};

/// Says which addresses a host may be called at.
#[async_trait]
pub trait Gate: Debug + Send + Sync {
    /// Every address of a host, all of them allowed; otherwise why not.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String>;
}

const CONNECT: Duration = Duration::from_secs(5);
/// One request with its answer's body.
const REQUEST: Duration = Duration::from_secs(30);
/// Clients kept, one for each host and its addresses.
const CLIENTS: usize = 16;
/// Where clouds tell the keys of a machine's role.
const ROLE_KEYS: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(169, 254, 170, 2)];

/// Makes the clients of one store.
#[derive(Debug)]
pub(super) struct Reach {
    /// Without a gate every address may be called: the administrator's own store.
    pub(super) gate: Option<Arc<dyn Gate>>,
    /// No keys were given, so the machine's role may be asked for some.
    pub(super) role: bool,
}

impl HttpConnector for Reach {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|v| v == "true");
        Ok(HttpClient::new(Caller {
            gate: self.gate.clone(),
            role: self.role,
            plain,
            clients: Mutex::new(HashMap::new()),
        }))
    }
}

type Destination = (String, Vec<SocketAddr>);

#[derive(Debug)]
struct Caller {
    gate: Option<Arc<dyn Gate>>,
    role: bool,
    plain: bool,
    clients: Mutex<HashMap<Destination, reqwest::Client>>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn refused(why: impl Into<String>) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Refused(why.into()))
}

#[async_trait]
impl HttpService for Caller {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = request.uri().port_u16().unwrap_or(if request.uri().scheme_str() == Some("http") {
            80
        } else {
            443
        });
        let role = |ip: IpAddr| self.role && port == 80 && ROLE_KEYS.iter().any(|k| ip == IpAddr::V4(*k));
        let addresses = match &self.gate {
            Some(gate) if !host.parse().is_ok_and(role) => {
                let gated = match host.parse::<std::net::Ipv6Addr>() {
                    Ok(_) => gate.addresses(&format!("[{host}]"), port).await,
                    Err(_) => gate.addresses(&host, port).await,
                };
                gated.map_err(refused)?
            }
            _ => Vec::new(),
        };
        self.client((host, addresses))?.call(request).await
    }
}

impl Caller {
    fn client(&self, destination: Destination) -> Result<reqwest::Client, HttpError> {
        let mut clients = self.clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(client) = clients.get(&destination) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!self.plain)
            .http1_only()
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            .user_agent(concat!("guanlan/", env!("CARGO_PKG_VERSION")));
        if !destination.1.is_empty() {
            builder = builder.resolve_to_addrs(&destination.0, &destination.1);
        }
        let client = builder
            .build()
            .map_err(|e| refused(format!("no HTTP client: {e}; check the system's certificates")))?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(destination, client.clone());
        Ok(client)
    }
}
