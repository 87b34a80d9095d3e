use compact_str::CompactString;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a queue carries its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueMode {
    /// Ids, whose requests are in the hash `rpcs.db`.
    #[default]
    ByHandler,
    /// The requests themselves: the queue has the method's name.
    ByMethod,
}

/// A list that a handler reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queue {
    ByHandler(CompactString),
    ByMethod(CompactString),
}

impl Queue {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::ByHandler(key) | Self::ByMethod(key) => key,
        }
    }

    pub(super) const fn mode(&self) -> QueueMode {
        match self {
            Self::ByHandler(_) => QueueMode::ByHandler,
            Self::ByMethod(_) => QueueMode::ByMethod,
        }
    }
}

/// A method is offered twice, or the same way of asking for it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodTaken {
    /// The method.
    pub method: String,
    /// The queue that has it.
    pub queue: String,
}

impl std::fmt::Display for MethodTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, queue } = self;
        write!(
            f,
            "the method {method} is offered by the handler of {queue} already"
        )
    }
}

impl std::error::Error for MethodTaken {}

/// How the wire is used.
#[derive(Clone, Debug)]
pub struct RpcProcessorOptions {
    routes: BTreeMap<CompactString, Queue>,
    /// Before every key; nothing unless told, as existing handlers have it.
    pub key_prefix: String,
    /// Most completed calls whose requests and responses are kept in the hash. 10,000.
    pub kept_calls: u32,
    /// Longest time that they are kept. 24 h.
    pub kept_for: Duration,
    /// How long an answer that nobody has taken is kept. 1 h.
    pub answers_for: Duration,
    /// How workers here read their queues.
    pub serve_mode: QueueMode,
    /// How long a call that a worker here has taken may run, as the wire names no deadline; those of this process have
    /// their own. 30 s.
    pub call_timeout: Duration,
    /// Workers here keep what they run in a list of their own, `QUEUE:processing:NAME`, and put back what
    /// it holds when one of the same name starts. Runs calls again that may have been run. Off
    /// unless named.
    pub processing: Option<String>,
}

impl Default for RpcProcessorOptions {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            key_prefix: String::new(),
            kept_calls: 10_000,
            kept_for: Duration::from_secs(24 * 3_600),
            answers_for: Duration::from_secs(3_600),
            serve_mode: QueueMode::default(),
            call_timeout: Duration::from_secs(30),
            processing: None,
        }
    }
}

impl RpcProcessorOptions {
    /// Existing handlers don't say what they offer, so that has to be said for them: the queue that a
    /// handler reads, by convention its name, and its methods.
    ///
    /// # Errors
    /// [`MethodTaken`], and none of them is offered.
    pub fn handler<'m>(
        &mut self,
        queue: &str,
        methods: impl IntoIterator<Item = &'m str>,
    ) -> Result<(), MethodTaken> {
        let queue = Queue::ByHandler(queue.into());
        let methods: Vec<_> = methods.into_iter().collect();
        for method in &methods {
            self.check(method)?;
        }
        for method in methods {
            self.routes.insert(method.into(), queue.clone());
        }
        Ok(())
    }

    /// A method whose requests wait in a list of its own name.
    ///
    /// # Errors
    /// [`MethodTaken`].
    pub fn method(&mut self, method: &str) -> Result<(), MethodTaken> {
        self.check(method)?;
        let queue = Queue::ByMethod(method.into());
        self.routes.insert(method.into(), queue);
        Ok(())
    }

    pub(super) fn route(&self, method: &str) -> Option<&Queue> {
        self.routes.get(method)
    }

    /// The keys of all lists that handlers read, once each.
    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        let all: BTreeSet<&str> = self.routes.values().map(Queue::key).collect();
        all.into_iter()
    }

    fn check(&self, method: &str) -> Result<(), MethodTaken> {
        match self.routes.get(method) {
            None => Ok(()),
            Some(queue) => Err(MethodTaken {
                method: method.to_owned(),
                queue: queue.key().to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_9_a_method_has_one_handler() {
        let mut options = RpcProcessorOptions::default();
        options.handler("H", ["echo", "sum"]).unwrap();
        let taken = options.handler("other", ["new", "echo"]).unwrap_err();
        assert_eq!(
            taken.to_string(),
            "the method echo is offered by the handler of H already"
        );
        assert_eq!(options.method("sum").unwrap_err().queue, "H");
        options.method("new").unwrap();
        assert_eq!(
            options.route("new").map(Queue::mode),
            Some(QueueMode::ByMethod)
        );
        assert_eq!(options.route("echo").map(Queue::key), Some("H"));
        assert_eq!(options.route("none"), None);
    }
}
