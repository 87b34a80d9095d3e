use std::str::FromStr;
use trunkline_engine_embedded::Location;
use trunkline_engine_redis::RedisUrl;

/// What `engine.url` names.
#[derive(Clone, Debug)]
pub(crate) enum EngineUrl {
    /// A store of this process, or none.
    Embedded(Location),
    /// A Redis or Valkey that others use, too.
    Redis(Box<RedisUrl>),
}

impl EngineUrl {
    /// The URL for people: without credentials.
    pub(crate) fn shown(text: &str) -> String {
        match text.parse() {
            Ok(Self::Redis(url)) => url.to_string(),
            _ => text.to_owned(),
        }
    }
}

impl FromStr for EngineUrl {
    /// For people; without the credentials that a URL may have.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split(':').next().unwrap_or_default();
        if scheme.starts_with("redis") {
            let url: RedisUrl = text.parse().map_err(|error| format!("{error}"))?;
            return Ok(Self::Redis(Box::new(url)));
        }
        let location = text.parse().map_err(|_| {
            let typed = if text.contains('@') { scheme } else { text };
            format!(
                "{typed:?} is no engine; write embedded:PATH (as in embedded:./data), memory: or \
                 redis://HOST:PORT"
            )
        })?;
        Ok(Self::Embedded(location))
    }
}
