use super::{Config, ConfigError, EngineUrl, VERSION};
use std::time::Duration;

/// What the journal takes as the size of a segment.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 256 << 10..=1 << 30;
const SEGMENT_STEP: u64 = 4096;
/// Shortest time after which the deliveries of a process on a shared engine are given to others.
const LEASE_MIN: Duration = Duration::from_secs(1);

impl Config {
    /// Checks what no single key can tell.
    ///
    /// # Errors
    /// [`ConfigError::Meaning`] names the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: String| {
            Err(ConfigError::Meaning {
                key: key.to_owned(),
                reason,
            })
        };
        if self.version != VERSION {
            let version = self.version;
            return wrong(
                "version",
                format!("{version} is not a version that this trunkline reads; it reads {VERSION}"),
            );
        }
        let engine = match self.engine.url.parse::<EngineUrl>() {
            Ok(engine) => engine,
            Err(reason) => return wrong("engine.url", reason),
        };
        if self.engine.lease.0 < LEASE_MIN {
            let reason =
                "shorter than a second; a process would lose its deliveries in every pause";
            return wrong("engine.lease", reason.to_owned());
        }
        let segment = self.engine.segment_bytes;
        if !SEGMENT_BYTES.contains(&segment.0) || !segment.0.is_multiple_of(SEGMENT_STEP) {
            return wrong(
                "engine.segment_bytes",
                format!(
                    "{} bytes; it must be 256KiB to 1GiB, a multiple of 4KiB",
                    segment.0
                ),
            );
        }
        let redis = matches!(engine, EngineUrl::Redis(_));
        if let Err((key, reason)) = self.calls.check(redis) {
            return wrong(&format!("calls.{key}"), reason);
        }
        if let Err((key, reason)) = self.stomp.check() {
            return wrong(&format!("stomp.{key}"), reason);
        }
        // The library writes no log of its own; only the program does.
        #[cfg(feature = "cli")]
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return wrong("log.filter", error.to_string());
        }
        if let Err(reason) = self.topics.defaults.resolve() {
            return wrong("topics.defaults", reason);
        }
        for (name, settings) in &self.topics.declare {
            let key = || format!("topics.declare.{}", name.as_str());
            if name.is_reserved() {
                let reason = "names that begin with `_` are Trunkline's own".to_owned();
                return wrong(&key(), reason);
            }
            if let Err(reason) = settings.resolve() {
                return wrong(&key(), reason);
            }
        }
        Ok(())
    }
}

#[cfg(feature = "cli")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_YAML;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    #[test]
    fn the_printed_default_is_the_default() {
        let printed: Config = serde_saphyr::from_str(DEFAULT_YAML).unwrap();
        assert_eq!(printed, Config::default());
        assert_eq!(printed.check(), Ok(()));
    }

    #[test]
    fn the_printed_default_shows_every_key() {
        let printed: Value = serde_saphyr::from_str(DEFAULT_YAML).unwrap();
        let shown = |section: &Value| -> BTreeSet<String> {
            section.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(shown(&printed), known(|probe| probe));
        for section in [
            "engine", "http", "stomp", "limits", "topics", "calls", "log",
        ] {
            let known = known(|probe| json!({section: probe}));
            assert_eq!(shown(&printed[section]), known, "{section}");
        }
        let known_tls = known(|probe| json!({"stomp": {"tls": probe}}));
        assert_eq!(shown(&printed["stomp"]["tls"]), known_tls);
        for wire in ["consumer_groups", "rpcprocessor"] {
            let known = known(|probe| json!({"calls": {"wires": {wire: probe}}}));
            assert_eq!(shown(&printed["calls"]["wires"][wire]), known, "{wire}");
        }
    }

    /// The keys of a section: serde names them all when it meets an unknown one.
    fn known(place: impl Fn(Value) -> Value) -> BTreeSet<String> {
        let probe = place(json!({"?": 0}));
        let error = Config::deserialize(&probe).unwrap_err().to_string();
        error
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn nonsense_is_told_with_its_key() {
        for (yaml, says) in [
            (
                "version: 2",
                "version: 2 is not a version that this trunkline reads; it reads 1",
            ),
            (
                "engine: {url: 'pigeons:a'}",
                "engine.url: \"pigeons:a\" is no engine; \
                 write embedded:PATH (as in embedded:./data), memory: or redis://HOST:PORT",
            ),
            (
                "engine: {lease: 10ms}",
                "engine.lease: shorter than a second; a process would lose its deliveries in every pause",
            ),
            (
                "calls: {categories: {old: {wire: rpcprocessor}}}",
                "calls.wires.rpcprocessor.url: missing: category old uses this wire, and engine.url is no \
                 Redis; write redis://HOST:PORT",
            ),
            (
                "calls: {categories: {old: {wire: pigeons}}}",
                "calls.categories.old.wire: \"pigeons\" is no wire; write native, consumer-groups or \
                 rpcprocessor",
            ),
            (
                "engine: {segment_bytes: 10}",
                "engine.segment_bytes: 10 bytes; it must be 256KiB to 1GiB, a multiple of 4KiB",
            ),
            (
                "stomp: {tls: {certificate: server.pem}}",
                "stomp.tls.key: missing; TLS needs certificate and key, as PEM files",
            ),
            (
                "stomp: {max_headers: 1000}",
                "stomp.max_headers: 1000; it must be 1 to 128",
            ),
            (
                "log: {filter: a=b=c}",
                "log.filter: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \
                 \"info\", \"debug\", \"trace\", or a number 0-5",
            ),
            (
                "topics: {declare: {a: {priorities: 0}}}",
                "topics.declare.a: priorities is 0; it must be 1 to 256",
            ),
            (
                "topics: {declare: {_a: {}}}",
                "topics.declare._a: names that begin with `_` are Trunkline's own",
            ),
        ] {
            let config: Config = serde_saphyr::from_str(yaml).unwrap();
            assert_eq!(config.check().unwrap_err().to_string(), says);
        }
    }
}
