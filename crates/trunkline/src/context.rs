use crate::{args::Global, failure::Failure, output::Output};
use trunkline::{Connection, Pushes, Target};

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

    /// The server that `--url` names.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
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
