//! What trying again can't help.

use futures_util::{SinkExt, StreamExt};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_websockets::{Message, ServerBuilder};
use trunkline::{Client, ConnectError, State, TestServer};

#[tokio::test]
async fn a_url_that_is_none_or_leads_elsewhere() {
    let server = TestServer::start().await.unwrap();
    let elsewhere = server.url().replace("/rpc", "/other");
    for (url, says) in [
        ("http://127.0.0.1:1", "http:// is not spoken here"),
        ("127.0.0.1", "is not a URL"),
        (&*elsewhere, "not a WebSocket"),
    ] {
        let client = Client::builder(url).wait_for_server();
        let error = client.connect().await.unwrap_err();
        assert!(!error.is_temporary(), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A server that answers the handshake of a WebSocket with an HTTP status.
#[tokio::test]
async fn a_server_that_lets_nobody_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let client = Client::builder(&url).token("wrong").wait_for_server();
    let error = client.connect().await.unwrap_err();
    assert!(
        matches!(error, ConnectError::NotAllowed { status: 401, .. }),
        "{error}"
    );
}

/// A server that speaks version 1 at first, and version 2 on every later connection.
async fn updated_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let spoken = Arc::new(AtomicU64::new(1));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let protocol = spoken.swap(2, Ordering::SeqCst);
            let (_, mut socket) = ServerBuilder::new().accept(stream).await.unwrap();
            socket.next().await.unwrap().unwrap();
            let info = format!(r#"{{"jsonrpc":"2.0","id":0,"result":{{"protocol":{protocol}}}}}"#);
            socket.send(Message::text(info)).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_server_of_another_protocol_ends_the_client() {
    let url = updated_server().await;
    let client = Client::connect(&url).await.unwrap();
    // The first connection ends at once; the next server speaks otherwise.
    let mut state = client.state();
    let closed = state.wait_for(State::is_closed).await.unwrap().clone();
    assert!(closed.to_string().contains("speaks version 2"), "{closed}");
    let error = Client::connect(&url).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Protocol { spoken: 2, .. }),
        "{error}"
    );
}
