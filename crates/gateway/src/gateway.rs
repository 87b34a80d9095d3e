use crate::{
    BindError, Counters, Doorstep, GatewayConfig, Services, TlsError,
    bind::Listeners,
    http::{self, Alive},
    shared::{Phase, Shared},
};
use axum::Router;
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// What a connection beyond the bound is told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nconnection: close\r\nretry-after: 1\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"too many connections\"}";

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drained {
    /// Everything that ran was finished and every connection was closed.
    Cleanly,
    /// The time was over before; what was left was cut off.
    CutOff {
        /// Connections that were still open.
        connections: u64,
    },
}

/// The listeners and all their connections.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    listeners: Listeners,
}

impl Gateway {
    /// Listens on the configured addresses; nothing is accepted before [`Gateway::run`].
    ///
    /// # Errors
    /// [`BindError`] says why not, and what to do.
    pub async fn bind(config: GatewayConfig, services: Services) -> Result<Self, BindError> {
        let doorstep = Doorstep::bind(config).await?;
        Ok(doorstep.into_gateway(services))
    }

    pub(crate) fn over(shared: Arc<Shared>, listeners: Listeners) -> Self {
        Self { shared, listeners }
    }

    /// Where it listens for HTTP: with the port that was taken, if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners.http.address
    }

    /// Where it listens for STOMP, if it does.
    pub fn stomp_addr(&self) -> Option<SocketAddr> {
        self.listeners.stomp.plain_addr()
    }

    /// Where it listens for STOMP over TLS, if it does.
    pub fn stomp_tls_addr(&self) -> Option<SocketAddr> {
        self.listeners.stomp.tls_addr()
    }

    /// Reads certificate and key again, whenever it is called, for connections to come. `None` if
    /// nothing listens for TLS.
    pub fn tls_reload(&self) -> Option<impl Fn() -> Result<(), TlsError> + Send + use<>> {
        let identity = self.listeners.stomp.identity()?;
        Some(move || identity.reload())
    }

    /// What happens at the gateway; stays readable after its end.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// Serves until `shutdown` is ready, then drains: takes no new session and no new work (while
    /// `/readyz` says so), lets running and queued calls finish, then accepts nothing more,
    /// confirms what was published and closes all connections with 1001, over STOMP with an ERROR;
    /// all that within `drain_timeout`. The engine stays open.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let router = http::router(self.shared.clone());
        let (open, closed) = mpsc::channel(1);
        tokio::select! {
            () = shutdown => {}
            () = self.accept(&router, &open) => {}
        }
        let drain_timeout = self.shared.config.drain_timeout.0;
        let deadline = Instant::now() + drain_timeout;
        self.shared.enter(Phase::Draining);
        tokio::select! {
            // A part of the time is kept for closing, which needs the clients' cooperation.
            () = self.shared.services.calls.drain(drain_timeout * 3 / 4) => {}
            () = self.accept(&router, &open) => {}
        }
        drop((self.listeners, open));
        self.shared.enter(Phase::Closing);
        close(&self.shared, closed, deadline).await
    }

    /// Accepts on all listeners, for ever.
    async fn accept(&self, router: &Router, open: &mpsc::Sender<()>) {
        tokio::select! {
            () = accept_http(&self.listeners, &self.shared, router, open) => {}
            () = self.listeners.stomp.accept(&self.shared, open) => {}
        }
    }
}

async fn accept_http(
    listeners: &Listeners,
    shared: &Arc<Shared>,
    router: &Router,
    open: &mpsc::Sender<()>,
) {
    loop {
        match listeners.http.listener.accept().await {
            Ok((stream, address)) => match Alive::admit(shared, open) {
                Some(alive) => {
                    tokio::spawn(http::serve(stream, address, router.clone(), alive));
                }
                // The buffer of a fresh socket takes this; if not, the client sees the close alone.
                None => drop(stream.try_write(FULL)),
            },
            Err(error) => survive(&error).await,
        }
    }
}

/// A client that is gone already is no matter; without file descriptors there is nothing to do
/// but wait until some are closed.
pub(crate) async fn survive(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::warn!(%error, "can't accept connections; trying again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits for the last connection.
async fn close(shared: &Shared, mut closed: mpsc::Receiver<()>, deadline: Instant) -> Drained {
    match tokio::time::timeout_at(deadline, closed.recv()).await {
        Ok(_) => Drained::Cleanly,
        Err(_) => Drained::CutOff {
            connections: shared.counters.connections.get(),
        },
    }
}
