use super::wires::{CONSUMER_GROUPS, RPCPROCESSOR, WiresSection};
use compact_str::CompactString;
use serde::Deserialize;
use std::collections::BTreeMap;
use trunkline_model::{ByteSize, Span};
use trunkline_rpc::{CallsConfig, CategoryConfig};

/// How calls are run, and which ways they take.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallsSection {
    /// The class of calls whose handler names none, and of methods that nobody offers.
    pub default_category: CompactString,
    /// The classes by name; the default one need not be listed.
    pub categories: BTreeMap<CompactString, CategoryConfig>,
    /// The wires that categories can name besides `native`.
    pub wires: WiresSection,
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

impl Default for CallsSection {
    fn default() -> Self {
        let calls = CallsConfig::default();
        Self {
            default_category: calls.default_category,
            categories: calls.categories,
            wires: WiresSection::default(),
            announce_every: calls.announce_every,
            ask_wait: calls.ask_wait,
            idempotency_window: calls.idempotency_window,
            idempotency_entries: calls.idempotency_entries,
            idempotency_bytes: calls.idempotency_bytes,
        }
    }
}

impl CallsSection {
    /// The same as calls take it: the methods of `wires.rpcprocessor` are of the first category
    /// that uses it.
    pub(crate) fn config(&self) -> CallsConfig {
        let mut categories = self.categories.clone();
        let first = categories
            .values_mut()
            .find(|category| category.wire == RPCPROCESSOR);
        if let Some(category) = first {
            let named = self.wires.rpcprocessor.methods();
            category.methods.extend(named.map(exactly));
        }
        CallsConfig {
            default_category: self.default_category.clone(),
            categories,
            announce_every: self.announce_every,
            ask_wait: self.ask_wait,
            idempotency_window: self.idempotency_window,
            idempotency_entries: self.idempotency_entries,
            idempotency_bytes: self.idempotency_bytes,
        }
    }

    /// Checks what no single key can tell. `redis`: whether the engine is one.
    ///
    /// # Errors
    /// The key below `calls`, and what is wrong.
    pub(crate) fn check(&self, redis: bool) -> Result<(), (String, String)> {
        for (name, category) in &self.categories {
            if ![NATIVE, CONSUMER_GROUPS, RPCPROCESSOR].contains(&category.wire.as_str()) {
                let reason = format!(
                    "{:?} is no wire; write native, consumer-groups or rpcprocessor",
                    category.wire
                );
                return Err((format!("categories.{name}.wire"), reason));
            }
        }
        self.wires.check()?;
        for (wire, section, url) in [
            (
                CONSUMER_GROUPS,
                "consumer_groups",
                &self.wires.consumer_groups.url,
            ),
            (RPCPROCESSOR, "rpcprocessor", &self.wires.rpcprocessor.url),
        ] {
            let user = self.of_wire(wire).next();
            if let Some((category, _)) = user.filter(|_| url.is_empty() && !redis) {
                let reason = format!(
                    "missing: category {category} uses this wire, and engine.url is no Redis; \
                     write redis://HOST:PORT"
                );
                return Err((format!("wires.{section}.url"), reason));
            }
        }
        let claim_after = self.wires.consumer_groups.claim_after.0;
        for (name, category) in self.of_wire(CONSUMER_GROUPS) {
            let wait = category.wait(category.timeout.0);
            if wait >= claim_after {
                let reason = format!(
                    "{} s; calls of category {name} may take {} s, and would be taken from workers that \
                     still run them. It must be longer",
                    claim_after.as_secs_f64(),
                    wait.as_secs_f64()
                );
                return Err(("wires.consumer_groups.claim_after".to_owned(), reason));
            }
        }
        Ok(())
    }

    /// Whether a category uses another wire than the engine's own.
    pub(crate) fn uses_wires(&self) -> bool {
        self.categories.values().any(|c| c.wire != NATIVE)
    }

    /// The categories that use a wire, by name.
    pub(crate) fn of_wire(
        &self,
        wire: &str,
    ) -> impl Iterator<Item = (&CompactString, &CategoryConfig)> {
        let uses = move |(_, category): &(_, &CategoryConfig)| category.wire == wire;
        self.categories.iter().filter(uses)
    }
}

/// The wire over the engine.
const NATIVE: &str = "native";

/// The glob that matches this text alone.
fn exactly(text: &str) -> CompactString {
    let mut glob = CompactString::default();
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            glob.push('\\');
        }
        glob.push(character);
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};
    use trunkline_model::glob_match;

    fn section(value: Value) -> CallsSection {
        from_value(value).unwrap()
    }

    #[test]
    fn a_wire_needs_a_redis_and_says_which_key() {
        let uses = |wire: &str| section(json!({"categories": {"old": {"wire": wire}}}));
        assert_eq!(uses("native").check(false), Ok(()));
        assert_eq!(uses("consumer-groups").check(true), Ok(()));
        let (key, reason) = uses("consumer-groups").check(false).unwrap_err();
        assert_eq!(key, "wires.consumer_groups.url");
        assert!(reason.contains("category old uses this wire"), "{reason}");
        let (key, _) = uses("rpcprocessor").check(false).unwrap_err();
        assert_eq!(key, "wires.rpcprocessor.url");
        let (key, reason) = uses("pigeons").check(true).unwrap_err();
        assert_eq!(key, "categories.old.wire");
        assert!(reason.contains("consumer-groups"), "{reason}");
    }

    #[test]
    fn a_call_is_not_taken_over_while_it_may_run() {
        let of = |timeout: &str| {
            section(json!({"categories": {"old": {"wire": "consumer-groups", "timeout": timeout}}}))
        };
        assert_eq!(of("4m").check(true), Ok(()));
        let (key, reason) = of("5m").check(true).unwrap_err();
        assert_eq!(key, "wires.consumer_groups.claim_after");
        assert!(reason.contains("300 s; calls of category old"), "{reason}");
    }

    #[test]
    fn methods_of_lists_need_no_globs() {
        let calls = section(json!({
            "categories": {
                "a": {},
                "b": {"wire": "rpcprocessor", "methods": ["x*"]},
                "c": {"wire": "rpcprocessor"},
            },
            "wires": {"rpcprocessor": {"handlers": {"H": ["echo", "s*m"]}, "by_method": ["[odd]"]}},
        }));
        let config = calls.config();
        let globs = |name: &str| config.categories[name].methods.clone();
        assert_eq!(globs("b"), ["x*", "echo", "s\\*m", "\\[odd\\]"]);
        assert_eq!((globs("a").len(), globs("c").len()), (0, 0));
        let odd = |text: &str| glob_match(exactly("[odd]").as_bytes(), text.as_bytes());
        assert!(odd("[odd]") && !odd("o"));
    }
}
