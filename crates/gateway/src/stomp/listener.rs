//! Who gets to speak STOMP over TCP and TLS.

use super::{StompConfig, shell};
use crate::{
    bind::Bound, doorstep::WAITING_MAX, gateway::survive, http::Alive, shared::Shared,
    tls::Identity,
};
use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use std::{
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use trunkline_model::ErrorCode;
use trunkline_stomp::{Command, Version, Writer};

/// A client without heart-beats that vanished, by a cut cable say, is noticed after some minutes.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(20));

/// The addresses at which STOMP is spoken.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) plain: Option<Bound>,
    pub(crate) tls: Option<(Bound, Arc<Identity>)>,
}

impl Listeners {
    pub(crate) fn plain_addr(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(|bound| bound.address)
    }

    pub(crate) fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|(bound, _)| bound.address)
    }

    pub(crate) fn identity(&self) -> Option<Arc<Identity>> {
        self.tls.as_ref().map(|(_, identity)| identity.clone())
    }

    /// Serves everybody who comes, for ever.
    pub(crate) async fn accept(&self, shared: &Arc<Shared>, open: &mpsc::Sender<()>) {
        let plain = each(self.plain.as_ref(), |stream, peer| {
            let Some(alive) = Alive::admit(shared, open) else {
                // The buffer of a fresh socket takes this; if not, the client sees the close alone.
                let _ = stream.try_write(&error("too many connections; try again later"));
                return;
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                shell::serve(shared, stream, peer, Version::V1_2).await;
                drop(alive);
            });
        });
        let (bound, identity) = (self.tls.as_ref().map(|(bound, _)| bound), self.identity());
        let tls = each(bound, |stream, peer| {
            // One too many sees the close alone: a handshake to say more is what there is no room for.
            let (Some(identity), Some(alive)) = (&identity, Alive::admit(shared, open)) else {
                return;
            };
            let (shared, acceptor) = (shared.clone(), identity.acceptor());
            tokio::spawn(async move {
                match handshake(acceptor, stream, &shared.config.stomp).await {
                    Ok(stream) => shell::serve(shared, stream, peer, Version::V1_2).await,
                    Err(reason) => {
                        shared.counters.tls_failures.add(1);
                        tracing::debug!(%peer, reason, "no TLS");
                    }
                }
                drop(alive);
            });
        });
        tokio::join!(plain, tls);
    }

    /// Tells everybody who comes that nothing can be served yet.
    pub(crate) async fn turn_away(&self, reason: &str, config: &StompConfig) -> Infallible {
        let room = Arc::new(Semaphore::new(WAITING_MAX));
        let says = error(&format!("{reason}; connect again in a moment")).freeze();
        let plain = each(self.plain.as_ref(), |stream, _| {
            if let Ok(place) = room.clone().try_acquire_owned() {
                let says = says.clone();
                tokio::spawn(async move {
                    shell::part(stream, &says).await;
                    drop(place);
                });
            }
        });
        let (bound, identity) = (self.tls.as_ref().map(|(bound, _)| bound), self.identity());
        let tls = each(bound, |stream, _| {
            let (Some(identity), Ok(place)) = (&identity, room.clone().try_acquire_owned()) else {
                return;
            };
            let (says, acceptor) = (says.clone(), identity.acceptor());
            let config = config.clone();
            tokio::spawn(async move {
                if let Ok(stream) = handshake(acceptor, stream, &config).await {
                    shell::part(stream, &says).await;
                }
                drop(place);
            });
        });
        tokio::select! {
            never = plain => never,
            never = tls => never,
        }
    }
}

/// Hands on every connection that comes, without delay between small frames.
async fn each(bound: Option<&Bound>, mut take: impl FnMut(TcpStream, SocketAddr)) -> Infallible {
    let Some(bound) = bound else {
        return pending().await;
    };
    loop {
        match bound.listener.accept().await {
            Ok((stream, peer)) => {
                // Both fail only on a socket that is gone already.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE);
                take(stream, peer);
            }
            Err(error) => survive(&error).await,
        }
    }
}

fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    config: &StompConfig,
) -> impl Future<Output = Result<tokio_rustls::server::TlsStream<TcpStream>, String>> + use<> {
    let within = config.connect_timeout.0;
    async move {
        match timeout(within, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no handshake within {within:?}")),
        }
    }
}

/// An ERROR for somebody who has no session.
fn error(text: &str) -> BytesMut {
    let mut out = BytesMut::new();
    let mut frame = Writer::begin(&mut out, Command::Error, None);
    frame.header("message", text.split("; ").next().unwrap_or_default());
    let code = ErrorCode::Unavailable.number().to_string();
    frame.header(super::failure::CODE, &code);
    frame.header("content-type", "text/plain");
    frame.body(text.as_bytes());
    out
}
