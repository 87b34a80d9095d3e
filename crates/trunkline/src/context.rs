use crate::{args::Global, failure::Failure, output::Output};
use trunkline::{Connection, Pushes, Target};
use trunkline_stomp::StompUrl;

/// What every command has at hand.
pub(crate) struct Context {
    global: Global,
    pub(crate) output: Output,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let output = Output { json: global.json };
        Self { global, output }
    }

    /// The STOMP servers that `--url` names; none if it names a Trunkline server.
    pub(crate) fn stomp(&self) -> Result<Option<StompUrl>, Failure> {
        if !self.is_stomp() {
            return Ok(None);
        }
        if self.global.token.is_some() {
            return Err(Failure::usage(
                "--token is for ws://; over STOMP write stomp://LOGIN:PASSCODE@HOST",
            ));
        }
        let url = self.global.url.parse();
        let url = url.map_err(|error| Failure::usage(format!("--url: {error}")))?;
        Ok(Some(url))
    }

    fn is_stomp(&self) -> bool {
        self.global.url.starts_with("stomp")
    }

    /// The server that `--url` names.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        if self.is_stomp() {
            // Not the URL itself: there may be a passcode in it.
            return Err(Failure::usage(
                "--url: over STOMP there are publish, consume and bench; for this command name a Trunkline server, like ws://127.0.0.1:7400",
            ));
        }
        let target: Target = self
            .global
            .url
            .parse()
            .map_err(|error| Failure::usage(format!("--url: {error}")))?;
        match &self.global.token {
            Some(token) => target
                .with_token(token)
                .map_err(|error| Failure::usage(format!("--token: {error}"))),
            None => Ok(target),
        }
    }

    /// The token that `--token` gives.
    pub(crate) fn token(&self) -> Option<&str> {
        self.global.token.as_deref()
    }

    /// Connects to it.
    pub(crate) async fn connect(&self) -> Result<(Connection, Pushes), Failure> {
        Ok(Connection::connect(&self.target()?).await?)
    }
}
