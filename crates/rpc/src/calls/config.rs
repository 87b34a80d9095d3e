use crate::calls::{outstanding::Bounds, wires::WireNumber};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, convert::Infallible, time::Duration};
use trunkline_model::{ByteSize, Span, glob_match};

/// The wire of a category that names none: calls over the engine.
pub(crate) const NATIVE: &str = "native";

/// How calls are run: the section `calls` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallsConfig {
    /// The class of calls whose handler names none, and of methods that nobody offers.
    pub default_category: CompactString,
    /// The classes by name; the default one need not be listed.
    pub categories: BTreeMap<CompactString, CategoryConfig>,
    /// How often handlers are announced; one that was not announced for three times as
    /// long is forgotten.
    pub announce_every: Span,
    /// How long, from the start, calls of methods that nobody offers wait for
    /// announcements instead of failing at once.
    pub ask_wait: Span,
    /// How long the answer of a call with an `idempotency_key` is remembered.
    pub idempotency_window: Span,
    /// Most answers remembered; beyond, the oldest is forgotten.
    pub idempotency_entries: usize,
    /// Most bytes of params and answers remembered; beyond, the oldest is forgotten.
    pub idempotency_bytes: ByteSize,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            default_category: CompactString::const_new("general"),
            categories: BTreeMap::new(),
            announce_every: Span(Duration::from_secs(5)),
            ask_wait: Span(Duration::from_secs(1)),
            idempotency_window: Span(Duration::from_secs(120)),
            idempotency_entries: 100_000,
            idempotency_bytes: ByteSize(64 << 20),
        }
    }
}

/// A class of calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CategoryConfig {
    /// How long a call may take if it doesn't say so itself; the worker sees the deadline.
    pub timeout: Span,
    /// The asker waits longer than the deadline by this part of the time-out, in percent.
    pub extension_percent: u32,
    /// And by this.
    pub extension_offset: Span,
    /// Most calls of this gateway that wait for a worker; beyond, calls fail with -32003.
    pub max_waiting: u32,
    /// Most bytes of their params; beyond, calls fail with -32003. One call is always allowed.
    pub max_waiting_bytes: ByteSize,
    /// How its calls travel: `native`, or a wire that [`Calls::start_with`](crate::Calls::start_with)
    /// is given. On another than the native one nobody says what he offers: calls never fail at once, and those
    /// that wait for a worker are all that have no answer.
    pub wire: CompactString,
    /// Which methods are of this class although nobody announces them: Redis globs, of which the
    /// whole name must match one. The first category by name that has one counts, then the default
    /// one. The category of a method that is announced is that of its handler.
    pub methods: Vec<CompactString>,
}

impl Default for CategoryConfig {
    fn default() -> Self {
        Self {
            timeout: Span(Duration::from_secs(30)),
            extension_percent: 0,
            extension_offset: Span::default(),
            max_waiting: 10_000,
            max_waiting_bytes: ByteSize(256 << 20),
            wire: CompactString::const_new(NATIVE),
            methods: Vec::new(),
        }
    }
}

impl CategoryConfig {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            calls_max: self.max_waiting,
            bytes_max: self.max_waiting_bytes.0,
        }
    }

    /// How long the asker waits for a call with this time-out.
    pub fn wait(&self, timeout: Duration) -> Duration {
        let extension = timeout.saturating_mul(self.extension_percent) / 100;
        timeout
            .saturating_add(extension)
            .saturating_add(self.extension_offset.0)
    }
}

/// The classes, numbered.
#[derive(Debug)]
pub(crate) struct Categories {
    all: Vec<Category>,
    default: usize,
}

#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) name: CompactString,
    pub(crate) config: CategoryConfig,
    /// Its wire.
    pub(crate) wire: WireNumber,
}

impl Category {
    /// Its wire, as announcements name it.
    pub(crate) fn wire_name(&self) -> Option<&CompactString> {
        (self.wire != WireNumber::NATIVE).then_some(&self.config.wire)
    }
}

impl Categories {
    /// With the number of each category's wire.
    pub(crate) fn new<E>(
        config: &CallsConfig,
        wire: impl Fn(&CompactString, &CategoryConfig) -> Result<WireNumber, E>,
    ) -> Result<Self, E> {
        let mut named = config.categories.clone();
        named.entry(config.default_category.clone()).or_default();
        let numbered = |(name, config)| {
            let wire = wire(&name, &config)?;
            Ok(Category { name, config, wire })
        };
        let all: Vec<Category> = named.into_iter().map(numbered).collect::<Result<_, E>>()?;
        let default = all
            .iter()
            .position(|category| category.name == config.default_category)
            .expect("inserted above");
        Ok(Self { all, default })
    }

    /// All of them on the native wire.
    pub(crate) fn native(config: &CallsConfig) -> Self {
        let native =
            |_: &CompactString, _: &CategoryConfig| Ok::<_, Infallible>(WireNumber::NATIVE);
        match Self::new(config, native) {
            Ok(categories) => categories,
            Err(never) => match never {},
        }
    }

    /// The number of a class.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|category| category.name == name)
    }

    /// The number of the class of what names none.
    pub(crate) fn default(&self) -> usize {
        self.default
    }

    /// The class of a method that nobody announces.
    pub(crate) fn of_unannounced(&self, method: &str) -> usize {
        let matches = |glob: &CompactString| glob_match(glob.as_bytes(), method.as_bytes());
        let of = |category: &Category| category.config.methods.iter().any(matches);
        self.all.iter().position(of).unwrap_or(self.default)
    }

    /// The class with a number that this gave out.
    pub(crate) fn get(&self, number: usize) -> &Category {
        &self.all[number]
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Their names, for people.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.all.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asker_waits_longer_than_the_deadline() {
        let category = CategoryConfig {
            extension_percent: 25,
            extension_offset: Span(Duration::from_secs(10)),
            ..CategoryConfig::default()
        };
        let secs = Duration::from_secs;
        assert_eq!(category.wait(secs(4)), secs(15));
        assert_eq!(CategoryConfig::default().wait(secs(4)), secs(4));
        assert_eq!(category.wait(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn unknown_keys_are_errors_and_defaults_fill_up() {
        let config: CallsConfig = serde_json::from_str(
            r#"{"categories": {"slow": {"timeout": "5m", "max_waiting": 10}}}"#,
        )
        .unwrap();
        let categories = Categories::native(&config);
        assert_eq!(categories.names(), "general, slow");
        let slow = categories.get(categories.number("slow").unwrap());
        assert_eq!(slow.config.timeout.0, Duration::from_secs(300));
        assert_eq!(categories.get(categories.default()).name, "general");
        assert!(serde_json::from_str::<CallsConfig>(r#"{"category": {}}"#).is_err());
    }

    #[test]
    fn methods_that_nobody_announces_have_a_category() {
        let config: CallsConfig = serde_json::from_str(
            r#"{"categories": {
                "b": {"methods": ["mt5_*", "trade"]},
                "a": {"methods": ["mt5_new*"]},
                "c": {"methods": ["*price?"]}
            }}"#,
        )
        .unwrap();
        let categories = Categories::native(&config);
        for (method, category) in [
            ("mt5_new_account", "a"),
            ("mt5_password", "b"),
            ("trade", "b"),
            ("trades", "general"),
            ("the_price1", "c"),
            ("", "general"),
        ] {
            let number = categories.of_unannounced(method);
            assert_eq!(categories.get(number).name, category, "{method}");
        }
    }
}
