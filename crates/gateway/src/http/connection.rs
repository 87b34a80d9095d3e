//! One TCP connection, from accept to end or upgrade.

use super::upgrade::Peer;
use crate::shared::{Phase, Shared};
use axum::{Router, extract::Extension};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::mpsc};

/// How long a client may take to send a request's head.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Held by everything that works for one connection; the gateway's drain waits for the last.
#[derive(Clone, Debug)]
pub(crate) struct Alive(Arc<Guard>);

#[derive(Debug)]
struct Guard {
    shared: Arc<Shared>,
    _open: mpsc::Sender<()>,
}

impl Alive {
    /// For a connection that has just been accepted, unless it is one too many.
    pub(crate) fn admit(shared: &Arc<Shared>, open: &mpsc::Sender<()>) -> Option<Self> {
        let counters = &shared.counters;
        if counters.connections.get() >= shared.config.limits.max_connections as u64 {
            counters.refused.add(1);
            return None;
        }
        counters.connections.add(1);
        counters.accepted.add(1);
        Some(Self(Arc::new(Guard {
            shared: shared.clone(),
            _open: open.clone(),
        })))
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.counters.connections.leave();
    }
}

/// Serves requests until the client goes, the connection becomes a WebSocket, or the gateway
/// closes; a request that is being answered then is finished.
pub(crate) async fn serve(stream: TcpStream, address: SocketAddr, router: Router, alive: Alive) {
    // Small frames must not wait for each other's acknowledgement.
    let _ = stream.set_nodelay(true);
    let peer = Peer {
        address,
        alive: alive.clone(),
    };
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let shared = alive.shared();
    loop {
        let changed = shared.phase_changed.notified();
        if shared.phase() == Phase::Closing {
            connection.as_mut().graceful_shutdown();
        }
        tokio::select! {
            // Errors are the client's: it went away or did not speak HTTP.
            _ = connection.as_mut() => return,
            () = changed => {}
        }
    }
}
