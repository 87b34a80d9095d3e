use super::EngineUrl;
use crate::unique_name;
use compact_str::CompactString;
use serde::Deserialize;
use std::collections::BTreeMap;
use trunkline_engine_redis::{
    ConsumerGroupsOptions, MethodTaken, QueueMode, RedisUrl, RpcProcessorOptions,
};
use trunkline_model::Span;

/// The name of the wire of streams with consumer groups.
pub(crate) const CONSUMER_GROUPS: &str = "consumer-groups";
/// The name of rpcprocessor's wire.
pub(crate) const RPCPROCESSOR: &str = "rpcprocessor";

/// The wires of others that categories of calls can use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WiresSection {
    /// Redis streams with consumer groups: the wire `consumer-groups`.
    pub consumer_groups: ConsumerGroupsSection,
    /// Redis lists: the wire `rpcprocessor`.
    pub rpcprocessor: RpcProcessorSection,
}

/// The wire `consumer-groups`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerGroupsSection {
    /// Where the streams are; the Redis of the engine if empty.
    pub url: String,
    /// Each category has a stream of its own name; otherwise all are in `general`.
    pub separate_categories: bool,
    /// Requests that a stream keeps, about; older ones are trimmed, read or not.
    pub stream_length_max: u64,
    /// The consumer group: that of all workers of a stream.
    pub group: String,
    /// The first part of consumers' names, `HOST-INDEX`; one that nobody else has if empty. A name that
    /// is given again gives up at once what an earlier process of that name left.
    pub host: String,
    /// The second part.
    pub index: u32,
    /// Longest wait of one read for calls.
    pub block: Span,
    /// After how long without an answer a call is taken over from its worker; longer than any
    /// time-out.
    pub claim_after: Span,
    /// After how long without a read a consumer without calls is removed from the group.
    pub forget_after: Span,
}

/// The wire `rpcprocessor`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RpcProcessorSection {
    /// Where the lists are; the Redis of the engine if empty.
    pub url: String,
    /// Which methods the handler of a queue answers; it reads ids there.
    pub handlers: BTreeMap<CompactString, Vec<CompactString>>,
    /// Methods whose requests wait in a list of their own name.
    pub by_method: Vec<CompactString>,
    /// How workers of this server read their queues.
    pub mode: ListMode,
    /// Before every key.
    pub key_prefix: String,
    /// Most completed calls whose requests and responses are kept.
    pub kept_calls: u32,
    /// How long they are kept.
    pub kept_for: Span,
    /// How long an answer that nobody has taken is kept.
    pub answers_for: Span,
    /// How long a call may run that a worker of this server has taken from another process: this wire names
    /// no deadline.
    pub call_timeout: Span,
    /// Where workers of this server note what they run, to run it again after a crash: nowhere if
    /// empty.
    pub processing: String,
}

/// How queues of lists are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListMode {
    /// Ids, from the queue of the handler.
    #[default]
    ByHandler,
    /// Requests, from a queue for each method.
    ByMethod,
}

impl From<ListMode> for QueueMode {
    fn from(mode: ListMode) -> Self {
        match mode {
            ListMode::ByHandler => Self::ByHandler,
            ListMode::ByMethod => Self::ByMethod,
        }
    }
}

impl Default for ConsumerGroupsSection {
    fn default() -> Self {
        let options = ConsumerGroupsOptions::default();
        Self {
            url: String::new(),
            separate_categories: options.separate_categories,
            stream_length_max: options.stream_length_max,
            group: options.group,
            host: String::new(),
            index: options.index,
            block: Span(options.block),
            claim_after: Span(options.claim_after),
            forget_after: Span(options.forget_after),
        }
    }
}

impl Default for RpcProcessorSection {
    fn default() -> Self {
        let options = RpcProcessorOptions::default();
        Self {
            url: String::new(),
            handlers: BTreeMap::new(),
            by_method: Vec::new(),
            mode: ListMode::default(),
            key_prefix: options.key_prefix,
            kept_calls: options.kept_calls,
            kept_for: Span(options.kept_for),
            answers_for: Span(options.answers_for),
            call_timeout: Span(options.call_timeout),
            processing: String::new(),
        }
    }
}

impl WiresSection {
    /// # Errors
    /// The key below `calls`, and what is wrong.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let groups = &self.consumer_groups;
        for (section, url) in [
            ("consumer_groups", &groups.url),
            ("rpcprocessor", &self.rpcprocessor.url),
        ] {
            if !url.is_empty() {
                redis_url(url).map_err(|reason| (format!("wires.{section}.url"), reason))?;
            }
        }
        for (key, span) in [("block", groups.block), ("claim_after", groups.claim_after)] {
            if span.0.is_zero() {
                let reason = "0; it must be longer".to_owned();
                return Err((format!("wires.consumer_groups.{key}"), reason));
            }
        }
        if self.rpcprocessor.call_timeout.0.is_zero() {
            let reason = "0; it must be longer".to_owned();
            return Err(("wires.rpcprocessor.call_timeout".to_owned(), reason));
        }
        if groups.group.is_empty() {
            let reason = "empty; all workers of a stream name the same group".to_owned();
            return Err(("wires.consumer_groups.group".to_owned(), reason));
        }
        let taken = |taken: MethodTaken| ("wires.rpcprocessor".to_owned(), taken.to_string());
        self.rpcprocessor.options().map_err(taken)?;
        Ok(())
    }
}

impl ConsumerGroupsSection {
    pub(crate) fn options(&self) -> ConsumerGroupsOptions {
        let host = match self.host.as_str() {
            "" => format!("trunkline-{}", unique_name()),
            host => host.to_owned(),
        };
        ConsumerGroupsOptions {
            separate_categories: self.separate_categories,
            stream_length_max: self.stream_length_max,
            group: self.group.clone(),
            host,
            index: self.index,
            block: self.block.0,
            claim_after: self.claim_after.0,
            forget_after: self.forget_after.0,
            ..ConsumerGroupsOptions::default()
        }
    }
}

impl RpcProcessorSection {
    /// # Errors
    /// A method is named twice.
    pub(crate) fn options(&self) -> Result<RpcProcessorOptions, MethodTaken> {
        let mut options = RpcProcessorOptions::default();
        options.key_prefix.clone_from(&self.key_prefix);
        options.kept_calls = self.kept_calls;
        options.kept_for = self.kept_for.0;
        options.answers_for = self.answers_for.0;
        options.call_timeout = self.call_timeout.0;
        options.serve_mode = self.mode.into();
        options.processing = Some(self.processing.clone()).filter(|name| !name.is_empty());
        for (queue, methods) in &self.handlers {
            options.handler(queue, methods.iter().map(CompactString::as_str))?;
        }
        for method in &self.by_method {
            options.method(method)?;
        }
        Ok(options)
    }

    /// The methods that can be asked for.
    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        let all = self.handlers.values().flatten().chain(&self.by_method);
        all.map(CompactString::as_str)
    }
}

/// The Redis of a wire.
///
/// # Errors
/// For people.
pub(crate) fn redis_url(text: &str) -> Result<RedisUrl, String> {
    match text.parse()? {
        EngineUrl::Redis(url) => Ok(*url),
        EngineUrl::Embedded(_) => Err(format!("{text:?} is no Redis; write redis://HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn options_are_those_of_the_section() {
        let section: WiresSection = from_value(json!({
            "consumer_groups": {"group": "g", "host": "h", "index": 3, "claim_after": "1m"},
            "rpcprocessor": {"mode": "by-method", "processing": "p", "kept_for": "1h",
                "call_timeout": "5m"},
        }))
        .unwrap();
        assert_eq!(section.check(), Ok(()));
        let groups = section.consumer_groups.options();
        assert_eq!((&*groups.group, &*groups.host, groups.index), ("g", "h", 3));
        assert_eq!(groups.claim_after.as_secs(), 60);
        let lists = section.rpcprocessor.options().unwrap();
        assert_eq!(lists.serve_mode, QueueMode::ByMethod);
        assert_eq!(lists.processing.as_deref(), Some("p"));
        assert_eq!(lists.call_timeout.as_secs(), 300);
        let nameless = ConsumerGroupsSection::default();
        assert_ne!(nameless.options().host, nameless.options().host);
        assert_eq!(
            RpcProcessorSection::default().options().unwrap().processing,
            None
        );
    }

    #[test]
    fn nonsense_is_told_with_its_key() {
        for (wires, key, says) in [
            (
                json!({"consumer_groups": {"url": "embedded:x"}}),
                "wires.consumer_groups.url",
                "is no Redis",
            ),
            (
                json!({"rpcprocessor": {"url": "http://me:secret@x"}}),
                "wires.rpcprocessor.url",
                "\"http\" is no engine",
            ),
            (
                json!({"consumer_groups": {"group": ""}}),
                "wires.consumer_groups.group",
                "empty",
            ),
            (
                json!({"consumer_groups": {"block": 0}}),
                "wires.consumer_groups.block",
                "must be longer",
            ),
            (
                json!({"rpcprocessor": {"call_timeout": "0s"}}),
                "wires.rpcprocessor.call_timeout",
                "must be longer",
            ),
            (
                json!({"rpcprocessor": {"handlers": {"a": ["m"], "b": ["m"]}}}),
                "wires.rpcprocessor",
                "m is offered by the handler of a already",
            ),
        ] {
            let section: WiresSection = from_value(wires).unwrap();
            let (told, reason) = section.check().unwrap_err();
            assert_eq!(told, key);
            assert!(reason.contains(says), "{reason}");
        }
    }
}
