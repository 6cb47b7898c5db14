use std::time::Duration;

use store::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

use super::*;

fn outbound(allow: &[&str]) -> Outbound {
    let allow = allow.iter().map(|a| (*a).to_owned()).collect();
    Outbound::new(OutboundSpec { allow, timeout: Span(Duration::from_secs(5)), max_body: 1000 }).unwrap()
}

/// A PostgreSQL server that refuses TLS, then asks in this way; answers its port and what it was given.
async fn server(asks: u32) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut said = [0; 1024];
        socket.read_exact(&mut said[..8]).await.unwrap();
        socket.write_all(b"N").await.unwrap();
        let _ = socket.read(&mut said).await;
        // Cut in the middle of the message, as networks do.
        let message = [b"R\0\0\0\x08".as_slice(), &asks.to_be_bytes()].concat();
        socket.write_all(&message[..6]).await.unwrap();
        socket.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket.write_all(&message[6..]).await.unwrap();
        let n = socket.read(&mut said).await.unwrap_or(0);
        said[..n].to_vec()
    });
    (port, task)
}

/// A driver that gives its password whatever it is asked for.
async fn log_in(tunnel: &Tunnel) {
    let mut socket = UnixStream::connect(tunnel.socket()).await.unwrap();
    socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'N');
    socket.write_all(b"\0\0\0\x0a\0\x03\0\0ab").await.unwrap();
    let mut asked = [0; 9];
    if socket.read_exact(&mut asked).await.is_ok() {
        socket.write_all(b"p\0\0\0\x0bsecret\0").await.unwrap();
    }
    let _ = socket.read(&mut asked).await;
}

#[tokio::test]
async fn a_password_asked_for_in_clear_is_never_sent() {
    for (asks, watch, given) in
        [(3, Watch::PostgresLogin, false), (10, Watch::PostgresLogin, true), (3, Watch::Nothing, true)]
    {
        let (port, task) = server(asks).await;
        let tunnel = outbound(&["databases"]).tunnel("127.0.0.1", port).await.unwrap().offer(watch).unwrap();
        log_in(&tunnel).await;
        let got = task.await.unwrap();
        assert_eq!(!got.is_empty(), given, "{asks}: {got:?}");
        assert_eq!(tunnel.refused().is_some_and(|why| why.contains("password in clear")), !given);
    }
}

#[tokio::test]
async fn a_database_is_called_only_where_the_list_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let entry = format!("127.0.0.1:{port}");
    for allow in [&["databases"][..], &["127.0.0.1"], &[&entry], &["localhost"]] {
        let opened = outbound(allow)
            .tunnel(if allow == ["localhost"] { "localhost" } else { "127.0.0.1" }, port)
            .await;
        assert!(opened.is_ok_and(|o| o.is_loopback()), "{allow:?}");
    }
    for allow in [&[][..], &["127.0.0.1:1"], &["10.0.0.0/8"]] {
        let error = outbound(allow).tunnel("127.0.0.1", port).await.unwrap_err();
        assert!(matches!(&error, OutboundError::Refused(why) if why.contains("outbound.allow")), "{error}");
    }
    // Databases stand inside the company, a cloud's metadata does not.
    for host in ["169.254.169.254", "100.100.100.200", "0.0.0.0"] {
        let error = outbound(&["databases"]).tunnel(host, port).await.unwrap_err();
        assert!(matches!(error, OutboundError::Refused(_)), "{host}: {error}");
    }
    // The entry for databases opens nothing else.
    let answer = outbound(&["databases"]).send(Request::get(format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(answer, Err(OutboundError::Refused(_))), "{answer:?}");
    assert_eq!(OutboundSpec::default().allow, ["databases"]);
}

#[tokio::test]
async fn a_socket_is_private_and_goes_with_its_tunnel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let opened = outbound(&["databases"]).tunnel("127.0.0.1", port).await.unwrap();
    let tunnel = opened.offer(Watch::Nothing).unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(tunnel.folder()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let folder = tunnel.folder().to_owned();
    drop(tunnel);
    assert!(!folder.exists());
}
