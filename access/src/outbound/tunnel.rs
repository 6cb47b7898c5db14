//! A way to a database: a connection to an address that was checked, handed to a driver as a private socket.
//!
//! A driver that got the name would look it up again and connect to whatever it then means. TLS is agreed by
//! the driver with the server, through here. Until it is, what a PostgreSQL server says is read along, so that
//! a password is never sent in clear.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store::{SystemClock, new_id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use url::Host;

use super::{CONNECT, Outbound, OutboundError};

/// What is read along before TLS is agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nothing.
    Nothing,
    /// PostgreSQL's login: a password asked for in clear ends the connection.
    PostgresLogin,
    /// MySQL's greeting: a server without TLS that names the clear password as its way to sign in gets no answer, since
    /// drivers send the password with their first one.
    MysqlGreeting,
}

/// One connection on its way. The driver connects once to [`Tunnel::socket`]; dropping this before ends it.
#[derive(Debug)]
pub struct Tunnel {
    folder: PathBuf,
    port: u16,
    loopback: bool,
    refused: Arc<Mutex<Option<String>>>,
}

impl Tunnel {
    /// The folder of the socket, which is named as PostgreSQL names its own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    /// The server is this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Why the connection was ended from here.
    pub fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // The connection goes on without its name.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Outbound {
    /// Whether a database server of this machine may be reached, which a Unix socket does too.
    ///
    /// # Errors
    /// It is not allowed.
    pub async fn local(&self, port: u16) -> Result<(), OutboundError> {
        self.checked(&Host::Ipv4(Ipv4Addr::LOCALHOST), port, true).await.map(drop)
    }

    /// Connects to a database server by its name or address.
    ///
    /// # Errors
    /// The address is not allowed, or nobody answers there.
    pub async fn tunnel(&self, host: &str, port: u16) -> Result<Opened, OutboundError> {
        let host = match host.parse() {
            Ok(v6) => Host::Ipv6(v6),
            Err(_) => Host::parse(host)
                .map_err(|e| OutboundError::Never(format!("`{host}` is no host name or address: {e}")))?,
        };
        let destination = self.checked(&host, port, true).await?;
        let addresses = destination.addresses;
        let loopback = addresses.iter().all(|a| a.ip().to_canonical().is_loopback());
        let stream = connect(&addresses).await.map_err(|why| OutboundError::Later { after: None, why })?;
        Ok(Opened { stream, port, loopback })
    }
}

/// A connection that no driver uses yet.
#[derive(Debug)]
pub struct Opened {
    stream: TcpStream,
    port: u16,
    loopback: bool,
}

impl Opened {
    /// The server is this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Offers the connection to a driver.
    ///
    /// # Errors
    /// No socket can be made in the folder for temporary files.
    pub fn offer(self, watch: Watch) -> Result<Tunnel, OutboundError> {
        let Opened { stream, port, loopback } = self;
        let folder = std::env::temp_dir().join(format!("guanlan-{}", new_id(&SystemClock)));
        let failed = |e: std::io::Error| OutboundError::Later {
            after: None,
            why: format!(
                "a socket cannot be made in {}: {e}; grant write access, or set TMPDIR to a short path",
                folder.display()
            ),
        };
        private_folder(&folder).map_err(failed)?;
        let refused = Arc::new(Mutex::new(None));
        let tunnel = Tunnel { folder: folder.clone(), port, loopback, refused: refused.clone() };
        let listener = UnixListener::bind(tunnel.socket()).map_err(failed)?;
        tokio::spawn(async move {
            let Ok(Ok((driver, _))) = tokio::time::timeout(CONNECT, listener.accept()).await else { return };
            drop(listener);
            let _ = relay(driver, stream, watch, &refused).await;
        });
        Ok(tunnel)
    }
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut why = String::new();
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(e)) => why = e.to_string(),
            Err(_) => why = format!("no answer within {} s", CONNECT.as_secs()),
        }
    }
    Err(why)
}

/// Passes bytes on both ways; says why when it ends the connection itself, before the driver sees its end.
async fn relay(
    mut driver: UnixStream,
    mut server: TcpStream,
    watch: Watch,
    refused: &Mutex<Option<String>>,
) -> std::io::Result<()> {
    let why = match watch {
        Watch::Nothing => None,
        Watch::PostgresLogin => watched(&mut driver, &mut server).await?,
        Watch::MysqlGreeting => greeted(&mut driver, &mut server).await?,
    };
    if let Some(why) = why {
        *refused.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(why);
        return Ok(());
    }
    tokio::io::copy_bidirectional_with_sizes(&mut driver, &mut server, 64 << 10, 256 << 10).await?;
    Ok(())
}

const IN_CLEAR: &str = "it asks for the password in clear over a connection without TLS, and did not get it";

/// Passes on the first packet of a MySQL server, unless it asks for the password in clear.
async fn greeted(driver: &mut UnixStream, server: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = [0; 4];
    server.read_exact(&mut head).await?;
    let mut greeting = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
    if greeting.len() > LONGEST {
        return Ok(Some("it does not speak MySQL's protocol".into()));
    }
    server.read_exact(&mut greeting).await?;
    if asks_in_clear(&greeting) {
        return Ok(Some(IN_CLEAR.into()));
    }
    driver.write_all(&head).await?;
    driver.write_all(&greeting).await?;
    Ok(None)
}

/// Protocol 10: version and a zero, 4 bytes of thread, 8 of challenge and a zero, capabilities, character set, status,
/// more capabilities, length of the challenge, 10 bytes of nothing, the rest of the challenge, the way to sign in.
fn asks_in_clear(greeting: &[u8]) -> bool {
    const TLS: u8 = 0x08;
    let named = || -> Option<bool> {
        let version = greeting.iter().position(|byte| *byte == 0)?;
        let fixed = greeting.get(version + 1..)?;
        let encrypted = fixed.get(14)? & TLS != 0;
        let challenge = usize::from(*fixed.get(20)?).saturating_sub(8).max(13);
        let way = fixed.get(31 + challenge..)?;
        let way = way.split(|byte| *byte == 0).next()?;
        Some(!encrypted && way == b"mysql_clear_password")
    };
    greeting.first() == Some(&10) && named().unwrap_or(false)
}

/// SSLRequest of PostgreSQL's protocol: length 8, code 80877103.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Authentication messages: done, and the password in clear.
const LOGGED_IN: [u8; 4] = [0, 0, 0, 0];
const CLEAR_PASSWORD: [u8; 4] = [0, 0, 0, 3];
/// Longest message before the login is done.
const LONGEST: usize = 1 << 20;

/// Reads a login along until TLS is agreed or it is done.
async fn watched(driver: &mut UnixStream, server: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut first = [0; 8];
    driver.read_exact(&mut first).await?;
    server.write_all(&first).await?;
    if first == TLS_REQUEST {
        let answer = server.read_u8().await?;
        driver.write_u8(answer).await?;
        if answer != b'N' {
            return Ok(None);
        }
    }
    let (mut said, mut chunk) = (Vec::new(), vec![0; 16 << 10]);
    let (mut from_driver, mut to_driver) = driver.split();
    let (mut from_server, mut to_server) = server.split();
    let mut asked = vec![0; 16 << 10];
    loop {
        tokio::select! {
            read = from_driver.read(&mut asked) => match read? {
                0 => return Ok(None),
                n => to_server.write_all(&asked[..n]).await?,
            },
            read = from_server.read(&mut chunk) => match read? {
                0 => return Ok(None),
                n => {
                    said.extend_from_slice(&chunk[..n]);
                    // Whole messages only: one byte of kind, then the length that counts itself.
                    while let Some(length) = said.get(1..5).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize + 1) {
                        if length > LONGEST {
                            return Ok(Some("it does not speak PostgreSQL's protocol".into()));
                        }
                        if said.len() < length {
                            break;
                        }
                        let login = (said[0] == b'R').then(|| said.get(5..9)).flatten();
                        if login == Some(&CLEAR_PASSWORD) {
                            return Ok(Some(IN_CLEAR.into()));
                        }
                        let done = login == Some(&LOGGED_IN);
                        to_driver.write_all(&said[..length]).await?;
                        said.drain(..length);
                        if done {
                            to_driver.write_all(&said).await?;
                            return Ok(None);
                        }
                    }
                }
            },
        }
    }
}
