use crate::{
    commands::again,
    failure::{self, Failure},
    signal::Stop,
};
use std::{fs, time::Duration};
use trunkline_stomp::{Client, ClientBuilder, ClientError, ErrorCode, StompUrl, Tls};

/// Where Linux keeps whom it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Both sides say something at least so often, if the server can.
const BEAT_MS: u64 = 10_000;
/// Longest wait for a connection, and for CONNECTED.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Servers, one of which is talked to.
pub(super) struct Servers {
    /// In the order of the URL.
    builders: Vec<ClientBuilder>,
}

impl Servers {
    /// Reads the options of the URL, and the files that they name.
    pub(super) fn new(url: &StompUrl) -> Result<Self, Failure> {
        let tls = Files::read(url)?;
        let builders = url.nodes.iter().map(|node| {
            let mut builder = Client::builder(node.host.clone(), node.port)
                .heartbeat(BEAT_MS, BEAT_MS)
                .connection_timeout(CONNECT_WITHIN)
                // Whoever waits for an operation is told.
                .on_error(|_| {});
            let own = [
                ("login", &node.login),
                ("passcode", &node.passcode),
                ("vhost", &node.virtual_host),
            ];
            let own = own.into_iter().filter_map(|(name, value)| {
                let value = value.as_deref()?;
                Some((name, value))
            });
            let options = url.options.iter().map(|(name, value)| (&**name, &**value));
            for (name, value) in own.chain(options.filter(|(name, _)| !Files::NAMES.contains(name)))
            {
                builder = builder
                    .set(name, value)
                    .map_err(|error| Failure::usage(format!("--url: {error}")))?;
            }
            Ok(match &tls {
                Some(tls) => builder.tls(tls.clone()),
                None => builder,
            })
        });
        Ok(Self {
            builders: builders.collect::<Result<_, Failure>>()?,
        })
    }

    /// Connects to the first one that is there.
    pub(super) async fn connect(&self) -> Result<Client, ClientError> {
        let mut tried = None;
        for builder in &self.builders {
            match builder.clone().connect().await {
                Err(error) if error.code != ErrorCode::Operation => tried = Some(error),
                // Another server would say the same about a login.
                connected => return connected,
            }
        }
        Err(tried.expect("a URL names at least one server"))
    }

    /// Tries until it works; `None` if somebody asked to stop.
    pub(super) async fn connect_again(&self, stop: &mut Stop) -> Option<Client> {
        for attempt in 0.. {
            if !again::wait(attempt, stop).await {
                return None;
            }
            tokio::select! {
                client = self.connect() => if let Ok(client) = client {
                    return Some(client);
                },
                () = stop.asked() => return None,
            }
        }
        None
    }
}

/// Why the first connection failed: not to be let in is as good as not to get there.
pub(super) fn unreachable(error: ClientError) -> Failure {
    Failure::unreachable(failure::text_of(&error))
}

/// The options that name files, and what goes with them.
struct Files;

impl Files {
    const NAMES: [&str; 4] = ["ca", "certificate", "key", "server_name"];

    fn read(url: &StompUrl) -> Result<Option<Tls>, Failure> {
        let option = |wanted: &str| {
            let found = url.options.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        if !url.tls {
            return match Self::NAMES.iter().find(|name| option(name).is_some()) {
                Some(name) => Err(Failure::usage(format!(
                    "--url: option {name} is for TLS; write stomp+ssl://"
                ))),
                None => Ok(None),
            };
        }
        let roots = read(option("ca").unwrap_or(SYSTEM_ROOTS), "ca")?;
        let tls = match (option("certificate"), option("key")) {
            (None, None) => Tls::with_roots_pem(&roots),
            (Some(chain), Some(key)) => {
                let (chain, key) = (read(chain, "certificate")?, read(key, "key")?);
                Tls::with_own_certificate_pem(&roots, &chain, &key)
            }
            _ => {
                return Err(Failure::usage(
                    "--url: options certificate and key go together",
                ));
            }
        };
        let tls = tls.and_then(|tls| match option("server_name") {
            Some(name) => tls.server_name(name),
            None => Ok(tls),
        });
        let tls = tls.map_err(|error| Failure::usage(format!("--url: {error}")))?;
        Ok(Some(tls))
    }
}

fn read(path: &str, option: &str) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(path);
    bytes.map_err(|error| {
        Failure::usage(format!(
            "--url: can't read {path}: {error}; name a file in PEM with option {option}"
        ))
    })
}
