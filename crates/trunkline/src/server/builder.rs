use super::{Server, StartError};
use crate::{Config, ConfigError};
use std::path::Path;
use trunkline_gateway::{GatewayLimits, StompListen};
use trunkline_model::{TopicName, TopicSettings};
use trunkline_rpc::Handler;

/// How a [`Server`] is made: from [`Server::builder`].
#[derive(Debug)]
#[must_use = "nothing is served before `start`"]
pub struct ServerBuilder {
    config: Config,
    handlers: Vec<Handler>,
    /// The first thing that was wrong.
    wrong: Option<ConfigError>,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        let mut config = Config::default();
        // A program that asks for a server doesn't ask for a second port.
        config.stomp.listen = StompListen::Off;
        Self {
            config,
            handlers: Vec::new(),
            wrong: None,
        }
    }

    /// Starts from a whole configuration; what was said before is forgotten.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Keeps everything in memory: gone with the server.
    pub fn memory(mut self) -> Self {
        "memory:".clone_into(&mut self.config.engine.url);
        self
    }

    /// Keeps topics in this directory, which is made if it isn't there.
    pub fn store(mut self, directory: impl AsRef<Path>) -> Self {
        match directory.as_ref().to_str() {
            Some(directory) => self.config.engine.url = format!("embedded:{directory}"),
            None => self.mistake("engine.url", "the path of the store is not UTF-8"),
        }
        self
    }

    /// Keeps topics and channels on this Redis or Valkey, such as `redis://127.0.0.1:6379`, with all
    /// other servers that do.
    pub fn redis(mut self, url: &str) -> Self {
        url.clone_into(&mut self.config.engine.url);
        self
    }

    /// Listens on this address, such as `127.0.0.1:7400`; port 0 takes a free one.
    pub fn listen(mut self, address: &str) -> Self {
        match address.parse() {
            Ok(address) => self.config.http.listen = address,
            Err(_) => self.mistake(
                "http.listen",
                &format!("{address:?} is not an address; write it like 127.0.0.1:7400"),
            ),
        }
        self
    }

    /// Speaks STOMP on this address too, such as `127.0.0.1:61613`; port 0 takes a free one. Without
    /// this it is spoken over WebSocket only.
    pub fn stomp(mut self, address: &str) -> Self {
        match address.parse() {
            Ok(listen) => self.config.stomp.listen = listen,
            Err(error) => self.mistake("stomp.listen", &format!("{address:?} is {error}")),
        }
        self
    }

    /// Allows addresses that others can reach, although nobody has to log in.
    pub fn insecure(mut self) -> Self {
        self.config.http.insecure = true;
        self
    }

    /// Makes a topic at the start; one that is there with other options is an error.
    pub fn topic(mut self, name: &str, settings: TopicSettings) -> Self {
        match TopicName::new(name) {
            Ok(name) => {
                self.config.topics.declare.insert(name, settings);
            }
            Err(error) => self.mistake("topics.declare", &error.to_string()),
        }
        self
    }

    /// Only topics that are declared can be published to and consumed.
    pub fn declared_topics_only(mut self) -> Self {
        self.config.topics.auto_create = false;
        self
    }

    /// Bounds of a connection and of the server.
    pub fn limits(mut self, limits: GatewayLimits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Serves a handler in Rust, in this process.
    pub fn handler(mut self, handler: Handler) -> Self {
        self.handlers.push(handler);
        self
    }

    /// Takes the addresses, opens the store, makes topics and handlers. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong and what to do.
    pub async fn start(self) -> Result<Server, StartError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong.into());
        }
        let mut server = Server::start(&self.config).await?;
        for handler in self.handlers {
            server.handle(handler)?;
        }
        Ok(server)
    }

    fn mistake(&mut self, key: &str, reason: &str) {
        self.wrong.get_or_insert_with(|| ConfigError::Meaning {
            key: key.to_owned(),
            reason: reason.to_owned(),
        });
    }
}
