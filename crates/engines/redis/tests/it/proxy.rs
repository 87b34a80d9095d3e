//! A way to Redis on which answers can be held up.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes everything on, but answers over connections on which a certain word was sent only while it is let.
pub(crate) struct Proxy {
    address: SocketAddr,
    holding: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Holds up what comes back after `word`, which is some command.
    pub(crate) async fn holding(server: SocketAddr, word: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let holding = Arc::new(watch::Sender::new(true));
        let held = holding.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let said = Arc::new(watch::Sender::new(false));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(ask(from_client, to_server, word, said.clone()));
                tokio::spawn(answer(from_server, to_client, said, held.subscribe()));
            }
        });
        Self { address, holding }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Lets everything pass from now on.
    pub(crate) fn let_pass(&self) {
        self.holding.send_replace(false);
    }
}

async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    word: &str,
    said: Arc<watch::Sender<bool>>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        // Before it is passed on, so that its answer finds it said.
        if String::from_utf8_lossy(&bytes[..read]).contains(word) {
            said.send_replace(true);
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    said: Arc<watch::Sender<bool>>,
    mut holding: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if *said.borrow() && holding.wait_for(|holding| !holding).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
