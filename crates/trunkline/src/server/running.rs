use super::{Server, Stopped};
use std::net::SocketAddr;
use tokio::{sync::oneshot, task::JoinHandle};

/// A server that serves in a task of its own: from [`Server::spawn`]. Dropping it has it drain and
/// end in the background.
#[derive(Debug)]
pub struct RunningServer {
    url: String,
    address: SocketAddr,
    stomp: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Stopped>,
}

impl RunningServer {
    pub(super) fn of(server: Server) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self {
            url: server.url(),
            address: server.address(),
            stomp: server.stomp_address(),
            stop,
            task: tokio::spawn(server.run(async move {
                // A sender that is dropped says the same.
                let _ = stopped.await;
            })),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for STOMP, if it does.
    pub fn stomp_address(&self) -> Option<SocketAddr> {
        self.stomp
    }

    /// The URL for clients on this machine.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drains and ends; how that went. Running calls finish, what was taken becomes durable.
    ///
    /// # Panics
    /// If the server did.
    pub async fn stop(self) -> Stopped {
        drop(self.stop);
        match self.task.await {
            Ok(stopped) => stopped,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
