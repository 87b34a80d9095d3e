use super::{RunningServer, Server, ServerBuilder, StartError, Stopped};
use crate::{Client, ConnectError};

/// A server for tests: on a free port, with everything in memory, gone when it is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trunkline::TestServer;
///
/// let server = TestServer::start().await?;
/// let client = server.client().await?;
/// client.publish("orders", "a book").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestServer {
    running: RunningServer,
}

impl TestServer {
    /// Starts one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: there is no free port, say.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(Server::builder()).await
    }

    /// Starts one with handlers, topics or limits of yours; where it listens and keeps its data is
    /// not asked.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong.
    pub async fn start_with(builder: ServerBuilder) -> Result<Self, StartError> {
        let server = builder.memory().listen("127.0.0.1:0").start().await?;
        Ok(Self {
            running: server.spawn(),
        })
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        self.running.url().to_owned()
    }

    /// Where STOMP clients find it, if its builder named an address for them.
    pub fn stomp_address(&self) -> Option<std::net::SocketAddr> {
        self.running.stomp_address()
    }

    /// A new client of it.
    ///
    /// # Errors
    /// [`ConnectError`] if the server is gone.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        Client::connect(self.running.url()).await
    }

    /// Drains and ends; how that went.
    pub async fn stop(self) -> Stopped {
        self.running.stop().await
    }
}
