use super::{
    Client, ConnectError, Target,
    connection::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX, Open},
    handle::Core,
    shared::Shared,
    supervise::{Policy, RECONNECT, first, supervise},
};
use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::sync::watch;
use trunkline_model::Backoff;

/// A publish may be sent again so long after it was first sent: well inside the two minutes for
/// which a topic remembers its id.
const PUBLISH_RETRY_FOR: Duration = Duration::from_secs(90);
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Longer than a server's own pings are apart.
const SILENCE_MAX: Duration = Duration::from_secs(35);

/// How a [`Client`] is made, where the defaults don't fit.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = trunkline::TestServer::start().await?;
/// use std::time::Duration;
/// use trunkline::Client;
///
/// # let url = server.url();
/// let client = Client::builder(&url)
///     .token("secret")
///     .give_up_after(Duration::from_secs(300))
///     .in_flight(1_000)
///     .connect()
///     .await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    url: String,
    token: Option<String>,
    connect_timeout: Option<Duration>,
    policy: Policy,
    in_flight: usize,
    in_flight_bytes: usize,
    publish_retry_for: Duration,
    close_within: Duration,
}

impl Client {
    /// Connects to the server at a URL like `ws://127.0.0.1:7400`.
    ///
    /// # Errors
    /// [`ConnectError`] says where to and why not. Only connections after the first one are tried
    /// again, unless [`ClientBuilder::wait_for_server`] is said.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A client with other than the default options.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            token: None,
            connect_timeout: None,
            policy: Policy {
                backoff: RECONNECT,
                reconnect: true,
                give_up_after: None,
                wait_for_server: false,
                silence_max: SILENCE_MAX,
            },
            in_flight: IN_FLIGHT_MAX,
            in_flight_bytes: IN_FLIGHT_BYTES_MAX,
            publish_retry_for: PUBLISH_RETRY_FOR,
            close_within: CLOSE_WITHIN,
        }
    }
}

impl ClientBuilder {
    /// Presents a token as `Authorization: Bearer`.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Longest wait for one connection, its handshake included; 10 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// The waits between attempts: each uniformly between nothing and a bound that doubles from
    /// `min` to `max`; [`RECONNECT`] by default.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Longest time without a connection; then the client is closed. By default it never gives up.
    pub fn give_up_after(mut self, span: Duration) -> Self {
        self.policy.give_up_after = Some(span);
        self
    }

    /// The client is closed when its connection is lost.
    pub fn no_reconnect(mut self) -> Self {
        self.policy.reconnect = false;
        self
    }

    /// The first connection, too, is tried until a server is there.
    pub fn wait_for_server(mut self) -> Self {
        self.policy.wait_for_server = true;
        self
    }

    /// A connection from which nothing came for so long is asked for a sign of life, and given up
    /// after as long again; 35 s by default.
    pub fn silence(mut self, span: Duration) -> Self {
        self.policy.silence_max = span;
        self
    }

    /// Most requests without an answer, publishes without a confirmation among them; whoever starts
    /// one more waits. 4,096 by default.
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.in_flight = requests;
        self
    }

    /// Most bytes of such requests; whoever starts one more waits. 64 MiB by default.
    pub fn in_flight_bytes(mut self, bytes: usize) -> Self {
        self.in_flight_bytes = bytes;
        self
    }

    /// How long after it was first sent an unconfirmed publish may be sent again; then it fails.
    /// Must be shorter than the topic's `publish_id_window`, or it could be stored twice. 90 s by
    /// default.
    pub fn publish_retry_for(mut self, span: Duration) -> Self {
        self.publish_retry_for = span;
        self
    }

    /// Longest wait of [`Client::close`] for requests without an answer; 5 s by default.
    pub fn close_within(mut self, span: Duration) -> Self {
        self.close_within = span;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`] says where to and why not.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let mut target: Target = self.url.parse()?;
        if let Some(token) = &self.token {
            target = target.with_token(token)?;
        }
        if let Some(timeout) = self.connect_timeout {
            target.connect_timeout = timeout;
        }
        let shared = Arc::new(Shared::new(self.in_flight, self.in_flight_bytes));
        let socket = first(&target, &self.policy, &shared).await?;
        let (running, finished) = watch::channel(());
        let supervised = Arc::clone(&shared);
        let policy = self.policy;
        tokio::spawn(async move {
            supervise(socket, target, policy, supervised).await;
            drop(running);
        });
        Ok(Client::of(Core {
            open: Open(shared),
            run: crate::unique_name(),
            published: AtomicU64::new(1),
            publish_retry_for: self.publish_retry_for,
            close_within: self.close_within,
            finished,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the token.
        f.debug_struct("ClientBuilder")
            .field("url", &self.url)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
