use crate::deployment::multiplexer_options;
use compact_str::CompactString;
use std::time::Duration;
use trunkline_mpx::MultiplexerOptions;

/// The stream of calls that have none of their own.
const GENERAL: &str = "general";

/// How the wire is used.
#[derive(Clone, Debug)]
pub struct ConsumerGroupsOptions {
    /// Each category has a stream of its own name; otherwise all are in `general`, the default.
    pub separate_categories: bool,
    /// Requests that a stream keeps, about: older ones are trimmed, read or not. 100,000.
    pub stream_length_max: u64,
    /// The consumer group: all workers of a stream have the same. `processors`.
    pub group: String,
    /// The machine, in names of consumers (`HOST-INDEX`) and connections.
    pub host: String,
    /// Tells processes of one machine apart in names of consumers, which are given anew at a start:
    /// what an earlier one left is acknowledged then and not run again. Workers of one process count on
    /// from it.
    pub index: u32,
    /// Longest wait of one read for calls; up to 300 ms more at random. 2.5 s.
    pub block: Duration,
    /// After how long without an answer a call is taken over from its worker: longer than any time-out.
    /// It is run again only if its method is idempotent and its deadline holds. 5 min.
    pub claim_after: Duration,
    /// After how long without a read a consumer without calls is removed from the group. 1 h.
    pub forget_after: Duration,
    /// How the connection for replies behaves: [`multiplexer_options`](crate::multiplexer_options).
    pub multiplexer: MultiplexerOptions,
}

impl Default for ConsumerGroupsOptions {
    fn default() -> Self {
        Self {
            separate_categories: false,
            stream_length_max: 100_000,
            group: "processors".to_owned(),
            host: "localhost".to_owned(),
            index: 0,
            block: Duration::from_millis(2_500),
            claim_after: Duration::from_secs(300),
            forget_after: Duration::from_secs(3_600),
            multiplexer: multiplexer_options(),
        }
    }
}

impl ConsumerGroupsOptions {
    /// The stream of a category.
    pub(super) fn stream_of(&self, category: &str) -> CompactString {
        if self.separate_categories && !category.is_empty() {
            CompactString::from(category)
        } else {
            CompactString::const_new(GENERAL)
        }
    }
}
