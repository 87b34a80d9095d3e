use super::core::Core;
use super::driver::Shared;
use super::{
    ClientBuilder, Events, Message, Node, NodeInfo, OnError, OnNodeError, Outcome, Request,
    Subscribe, UsageError,
};
use crate::{Acked, Command, Operation, StompUrl};
use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A client of one STOMP server, or of a [cluster](Self::cluster). Cheap to clone; all clones share one connection.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use trunkline_stomp::{AckMode, Client};
///
/// let client = Client::builder("127.0.0.1", 61613)
///     .login("me", "secret")
///     .connect()
///     .await?;
/// let mut orders = client
///     .subscribe("/queue/orders")
///     .ack(AckMode::ClientIndividual)
///     .await?;
/// client.send("/queue/orders", "first").receipt("auto").await?;
/// while let Some(order) = orders.next().await {
///     let order = order?;
///     println!("{:?}", order.body());
///     client.ack(&order).await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Operations wait while there is no connection, and make the client connect. When the connection
/// is lost, everything unfinished fails and subscriptions are gone, each told its own way, and the
/// first error also to [`events`](Self::events); the next operation connects again.
///
/// A client of a cluster has one connection, too, to one of the servers. When that is lost, it goes
/// to the next: SEND and SUBSCRIBE are repeated there in the order in which they were asked, so
/// that subscriptions go on; ACK, NACK, UNSUBSCRIBE and DISCONNECT fail; a transaction fails whole.
/// See [`ClusterSession`](crate::ClusterSession) for the rules.
///
/// When the last clone, and the last subscription, is gone, the client sends what it was given,
/// says DISCONNECT and waits up to 5 s for the RECEIPT; what is unfinished then fails.
#[derive(Clone)]
pub struct Client {
    open: Arc<Open>,
}

/// Ends with the last handle.
struct Open {
    shared: Arc<Shared<Core>>,
    subscribed: AtomicU64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.with(Core::retire);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self
            .shared()
            .with(|core, _| format!("{:?}", core.session()));
        f.debug_tuple("Client").field(&session).finish()
    }
}

impl Client {
    /// A client of a server, to be given options.
    pub fn builder(host: impl Into<String>, port: u16) -> ClientBuilder {
        ClientBuilder::new(host.into(), port)
    }

    /// A client of several servers, to be given options: it uses one of them at a time, a random one
    /// first, then the next in the list whenever the connection is lost. It connects at its first
    /// operation.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use trunkline_stomp::Client;
    ///
    /// let client = Client::cluster([("10.0.0.1", 61613), ("10.0.0.2", 61613)])?
    ///     .login("me", "secret")
    ///     .wait_for_nodes(true)
    ///     .connect()
    ///     .await?;
    /// client.send("/queue/orders", "first").receipt("auto").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`UsageError::NoNodes`] if there is none.
    pub fn cluster(
        nodes: impl IntoIterator<Item = impl Into<Node>>,
    ) -> Result<ClientBuilder, UsageError> {
        ClientBuilder::of_nodes(nodes.into_iter().map(Into::into).collect())
    }

    /// A client of the server or the cluster that a URL names, with the options there, to be given
    /// further ones.
    ///
    /// # Errors
    /// [`UsageError`] if an option makes no sense, or if the URL asks for TLS: see
    /// `at_with_tls`.
    pub fn at(url: &StompUrl) -> Result<ClientBuilder, UsageError> {
        match url.tls {
            true => Err(UsageError::NobodyTrusted),
            false => ClientBuilder::of_url(url),
        }
    }

    /// Like [`at`](Self::at), through TLS if the URL says so.
    ///
    /// # Errors
    /// [`UsageError`] if an option makes no sense.
    #[cfg(feature = "tls")]
    pub fn at_with_tls(url: &StompUrl, tls: super::Tls) -> Result<ClientBuilder, UsageError> {
        let builder = ClientBuilder::of_url(url)?;
        Ok(match url.tls {
            true => builder.tls(tls),
            false => builder,
        })
    }

    pub(super) fn of(shared: Arc<Shared<Core>>) -> Self {
        Self {
            open: Arc::new(Open {
                shared,
                subscribed: AtomicU64::new(1),
            }),
        }
    }

    pub(super) fn shared(&self) -> &Shared<Core> {
        &self.open.shared
    }

    pub(super) fn subscription_id(&self) -> CompactString {
        let number = self.open.subscribed.fetch_add(1, Ordering::Relaxed);
        format_compact!("sub-{number}")
    }

    pub(super) fn start(&self, operation: Operation, watcher: Option<OnNodeError>) -> Outcome {
        self.shared()
            .with(|core, now| core.execute(now, operation, watcher))
    }

    /// Publishes a body.
    pub fn send(&self, destination: &str, body: impl Into<Bytes>) -> Request<'_> {
        Request::new(self, Operation::send(destination, body))
    }

    /// Begins a subscription.
    pub fn subscribe(&self, destination: &str) -> Subscribe<'_> {
        Subscribe::new(self, destination)
    }

    /// Ends the subscription of an `id`; its stream ends with the RECEIPT.
    pub fn unsubscribe(&self, id: &str) -> Request<'_> {
        Request::new(self, Operation::unsubscribe().with("id", id))
    }

    /// Acknowledges a message; in mode `client` all before it too. It fails with code 5, and
    /// nothing is sent, if the message can't be acknowledged: it was already, or its session or
    /// subscription is gone, or of mode `auto`.
    pub fn ack(&self, message: &Message) -> Request<'_> {
        Request::new(self, Operation::ack(Acked::Tag(message.tag())))
    }

    /// Refuses a message; in mode `client` all before it too. Fails like [`ack`](Self::ack).
    pub fn nack(&self, message: &Message) -> Request<'_> {
        Request::new(self, Operation::nack(Acked::Tag(message.tag())))
    }

    /// Like [`ack`](Self::ack), by the header `ack` of the message, or up to 1.1 its `message-id`.
    pub fn ack_id(&self, id: &str) -> Request<'_> {
        Request::new(self, Operation::ack(Acked::Id(id.into())))
    }

    /// Like [`nack`](Self::nack), by the same header.
    pub fn nack_id(&self, id: &str) -> Request<'_> {
        Request::new(self, Operation::nack(Acked::Id(id.into())))
    }

    /// Begins a transaction.
    pub fn begin(&self, transaction: &str) -> Request<'_> {
        Request::new(self, Operation::begin(transaction))
    }

    /// Applies a transaction.
    pub fn commit(&self, transaction: &str) -> Request<'_> {
        Request::new(self, Operation::commit(transaction))
    }

    /// Forgets a transaction.
    pub fn abort(&self, transaction: &str) -> Request<'_> {
        Request::new(self, Operation::abort(transaction))
    }

    /// Ends the connection once everything before is processed: done with the RECEIPT, or at once
    /// if there is no connection. What is asked in between fails with code 4; what is asked
    /// afterwards connects again.
    pub fn disconnect(&self) -> Request<'_> {
        Request::new(self, Operation::disconnect())
    }

    /// Closes the connection at once: what is unfinished fails with code 4, subscriptions end
    /// without a word. The next operation connects again.
    pub fn force_disconnect(&self) {
        self.shared().with(Core::force_disconnect);
    }

    /// Does an operation of any command but SUBSCRIBE, whose messages need somebody who takes
    /// them: see [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// [`UsageError`] if the operation makes no sense whatever the server says.
    pub fn execute(&self, operation: Operation) -> Result<Outcome, UsageError> {
        match operation.command() {
            Command::Subscribe => Err(UsageError::OnMessageMissing),
            Command::Ack | Command::Nack if !operation.names_message() => {
                Err(UsageError::MessageMissing)
            }
            command @ (Command::Connect | Command::Stomp) => {
                Err(UsageError::NotAnOperation(command))
            }
            command if command.is_of_server() => Err(UsageError::NotAnOperation(command)),
            _ => Ok(self.start(operation, None)),
        }
    }

    /// What happens beside operations. The first who asks gets what has happened since the
    /// client was made, later ones what happens from now on. Up to 256 events wait for each.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared().with(|core, _| core.events())
    }

    /// Sets the function for errors of the connection and of operations for which nobody waits;
    /// none restores the default: if nobody takes [`events`](Self::events) either, they are
    /// written to stderr.
    pub fn set_on_error(&self, on_error: Option<OnError>) {
        self.shared().with(|core, _| core.set_on_error(on_error));
    }

    /// Sets the function for errors of the nodes of a cluster: with the host and port of the node. It
    /// is called once for each connection that is lost or can't be made.
    pub fn set_on_node_error(&self, on_node_error: Option<OnNodeError>) {
        self.shared()
            .with(|core, _| core.set_on_node_error(on_node_error));
    }

    /// The servers, in their order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.shared().with(|core, _| core.nodes())
    }

    /// Whether the server has accepted the login.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared().with(|core, _| core.session().is_ready())
    }

    /// The host it connects to; of a cluster, the one that operations go to.
    #[must_use]
    pub fn host(&self) -> String {
        self.shared().with(|core, _| core.address().host.clone())
    }

    /// The port of the same.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared().with(|core, _| core.address().port)
    }

    /// See [`ClientBuilder::connection_timeout`].
    #[must_use]
    pub fn connection_timeout(&self) -> Option<Duration> {
        self.shared()
            .with(|core, _| core.session().settings().connection_timeout)
    }

    /// From the next connection on.
    pub fn set_connection_timeout(&self, timeout: Option<Duration>) {
        self.shared()
            .with(|core, _| core.session().set_connection_timeout(timeout));
    }

    /// See [`ClientBuilder::reconnect_interval`].
    #[must_use]
    pub fn reconnect_interval(&self) -> Option<Duration> {
        self.shared()
            .with(|core, _| core.session().settings().reconnect_interval)
    }

    /// From the next operation on that finds no connection.
    pub fn set_reconnect_interval(&self, interval: Option<Duration>) {
        self.shared()
            .with(|core, _| core.session().set_reconnect_interval(interval));
    }
}
