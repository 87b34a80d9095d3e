use super::core::Core;
use super::driver::{Shared, drive};
use super::inbox::Room;
use super::socket::Address;
use super::{Client, Event, Events, OnError, UsageError};
use crate::{ClientError, ClientSettings, Command, ErrorCode, FrameLimits, HeartBeat, Version};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Longest time that can be asked for, and one that never ends in practice.
const SECONDS_MAX: f64 = 1e9;

/// How a [`Client`] is made.
#[derive(Clone)]
#[must_use = "nothing is connected before `build` or `connect`"]
pub struct ClientBuilder {
    host: String,
    port: u16,
    settings: ClientSettings,
    room: Room,
    on_error: Option<OnError>,
    #[cfg(feature = "tls")]
    tls: Option<super::Tls>,
}

impl Default for ClientBuilder {
    /// Of `localhost`, port 61613.
    fn default() -> Self {
        Self::new(String::new(), 0)
    }
}

impl ClientBuilder {
    /// An empty host and port 0 are the defaults.
    pub(super) fn new(host: String, port: u16) -> Self {
        Self {
            host: match host.is_empty() {
                true => "localhost".into(),
                false => host,
            },
            port: match port {
                0 => 61613,
                port => port,
            },
            settings: ClientSettings::default(),
            room: Room {
                messages: 1_024,
                bytes: 64 << 20,
            },
            on_error: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// `login` and `passcode` of CONNECT; not sent by default.
    pub fn login(mut self, login: impl Into<String>, passcode: impl Into<String>) -> Self {
        self.settings.login = Some(login.into());
        self.settings.passcode = Some(passcode.into());
        self
    }

    /// `host` of CONNECT; not sent by default.
    pub fn vhost(mut self, name: impl Into<String>) -> Self {
        self.settings.virtual_host = Some(name.into());
        self
    }

    /// How often the client can send something, and how often it would like to get something, in
    /// milliseconds; 0 is not at all, which is the default for both.
    pub fn heartbeat(mut self, sends_ms: u64, wants_ms: u64) -> Self {
        self.settings.heart_beat = HeartBeat { sends_ms, wants_ms };
        self
    }

    /// Longest wait for a connection, and then as long again for CONNECTED. By default the
    /// system's own for the first, and any time for the second.
    pub fn connection_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.connection_timeout = timeout.into();
        self
    }

    /// How long after the first operation that finds no connection a new one is made; at once by
    /// default. It doesn't hold for the first connection.
    pub fn reconnect_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.reconnect_interval = interval.into();
        self
    }

    /// Connects at the first operation instead of at once.
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.settings.lazy = lazy;
        self
    }

    /// The versions on offer; all by default.
    pub fn versions(mut self, versions: &[Version]) -> Self {
        self.settings.versions = versions.into();
        self
    }

    /// A header of all operations that don't have it. CONNECT doesn't get it.
    pub fn default_header(mut self, name: &str, value: &str) -> Self {
        self.settings.default_headers.push(name, value);
        self
    }

    /// A header of the operations of a command that don't have it; it goes before the defaults.
    pub fn command_header(mut self, command: Command, name: &str, value: &str) -> Self {
        let headers = self.settings.command_headers.entry(command);
        headers.or_default().push(name, value);
        self
    }

    /// Headers of operations by the names of commands, in any case.
    ///
    /// # Errors
    /// [`UsageError::CommandHeadersNotAMap`] if there is no command of that name.
    pub fn command_headers<'a>(
        mut self,
        headers: impl IntoIterator<Item = (&'a str, &'a [(&'a str, &'a str)])>,
    ) -> Result<Self, UsageError> {
        for (command, headers) in headers {
            let name = command.to_ascii_uppercase();
            let command = Command::parse(name.as_bytes());
            let command = command.ok_or(UsageError::CommandHeadersNotAMap)?;
            for (name, value) in headers {
                self = self.command_header(command, name, value);
            }
        }
        Ok(self)
    }

    /// What one frame of the server may take.
    pub fn frame_limits(mut self, limits: FrameLimits) -> Self {
        self.settings.frame = limits;
        self
    }

    /// Most operations that are not finished, and most bytes of those that are not written; beyond,
    /// they fail at once with code 5. 100,000 and 64 MiB by default.
    pub fn operations_max(mut self, operations: usize, unwritten_bytes: usize) -> Self {
        self.settings.operations_max = operations;
        self.settings.unwritten_bytes_max = unwritten_bytes;
        self
    }

    /// Most messages of a subscription, and most bytes of them, that wait to be taken; then
    /// nothing more is read from the connection until half of that is free. One read may go
    /// beyond. At least one message; 1,024 and 64 MiB by default: a Trunkline server sends at
    /// most 1,000 that are not acknowledged.
    pub fn subscription_room(mut self, messages: usize, bytes: usize) -> Self {
        self.room = Room {
            messages: messages.max(1),
            bytes: bytes.max(1),
        };
        self
    }

    /// A function for errors of the connection, and of operations for which nobody waits. By
    /// default they are written to stderr, if nobody takes [`Client::events`].
    pub fn on_error(mut self, on_error: impl Fn(&ClientError) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(on_error));
        self
    }

    /// Connects through TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: super::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// An option as it stands in a URL or a file, by the names that clients of this family use:
    /// `host`, `port`, `login`, `passcode`, `vhost`, `heartbeat` (two numbers of milliseconds
    /// with a comma between), `connection_timeout` and `reconnect_interval` (seconds, with or
    /// without a fraction), `lazy` (`1`, `0`, `true`, `false`).
    ///
    /// # Errors
    /// [`UsageError`] if the value makes no sense, or there is no such option.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self, UsageError> {
        match name {
            "host" => self.host = value.into(),
            "port" => {
                let port: Option<u16> = value.parse().ok();
                self.port = port.filter(|port| *port > 0).ok_or(UsageError::NotAPort)?;
            }
            "login" => self.settings.login = Some(value.into()),
            "passcode" => self.settings.passcode = Some(value.into()),
            "vhost" => self.settings.virtual_host = Some(value.into()),
            "heartbeat" => {
                if value.split(',').count() != 2 {
                    return Err(UsageError::HeartBeatNotAPair);
                }
                let beat = HeartBeat::parse(value);
                self.settings.heart_beat = beat.map_err(|_| UsageError::HeartBeatNotIntegers)?;
            }
            "connection_timeout" => {
                self.settings.connection_timeout = Some(seconds("connection_timeout", value)?);
            }
            "reconnect_interval" => {
                self.settings.reconnect_interval = Some(seconds("reconnect_interval", value)?);
            }
            "lazy" => {
                self.settings.lazy = match value {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(UsageError::NotAFlag),
                }
            }
            "command_headers" => return Err(UsageError::CommandHeadersNotAMap),
            _ => return Err(UsageError::UnknownOption(name.into())),
        }
        Ok(self)
    }

    /// The client, which connects by itself now, or if it is lazy at its first operation.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn build(self) -> Client {
        self.begin().0
    }

    /// The client, once the server has accepted the login. It connects at once, lazy or not.
    ///
    /// # Errors
    /// [`ClientError`] if no connection can be made, or the server refuses the login.
    pub async fn connect(mut self) -> Result<Client, ClientError> {
        self.settings.lazy = false;
        let (client, mut events) = self.begin();
        while let Some(event) = events.next().await {
            match event {
                Event::Ready { .. } => return Ok(client),
                Event::Error(error) => return Err(error),
                _ => {}
            }
        }
        let text = "The client ended before it was connected.";
        Err(ClientError::new(ErrorCode::ClosedByClient, text))
    }

    /// The client, and all its events from the first one on.
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell around the session is a task"
    )]
    fn begin(self) -> (Client, Events) {
        let mut settings = self.settings;
        settings.peer = format!("{}:{}", self.host, self.port);
        let address = Address {
            host: self.host,
            port: self.port,
            #[cfg(feature = "tls")]
            tls: self.tls,
            timeout: None,
        };
        let changed = Arc::new(Notify::new());
        let core = Core::new(
            settings,
            address,
            self.room,
            self.on_error,
            Arc::clone(&changed),
        );
        let events = core.listen();
        let shared = Shared::new(core, changed);
        tokio::spawn(drive(Arc::clone(&shared)));
        (Client::of(shared), events)
    }
}

/// A number of seconds; larger ones than make sense are as good as for ever.
fn seconds(name: &'static str, value: &str) -> Result<Duration, UsageError> {
    let number: Option<f64> = value.parse().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    let number = number.ok_or(UsageError::NotAPositiveNumber(name))?;
    Ok(Duration::from_secs_f64(number.min(SECONDS_MAX)))
}

/// The passcode is not shown.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("settings", &self.settings)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}
