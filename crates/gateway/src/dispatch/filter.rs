//! Which messages are meant (PROTOCOL.md §1, `rpc.topic.peek` and `.redrive`), as clients write
//! it: members of the params, since params with unknown members are refused.

use super::{error, message::Time};
use compact_str::CompactString;
use serde::Deserialize;
use trunkline_jsonrpc::Text;
use trunkline_model::{Error, MessageFilter, MessageState};

/// A header that a message must have.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with \"name\" and, if wanted, \"value\""
)]
pub(crate) struct HeaderFilter {
    name: CompactString,
    /// Any value, if absent.
    value: Option<CompactString>,
}

/// The members of a filter as they were given.
#[derive(Debug, Default)]
pub(crate) struct FilterParams<'a> {
    pub(crate) key: Option<CompactString>,
    pub(crate) group: Option<CompactString>,
    pub(crate) header: Option<HeaderFilter>,
    pub(crate) since: Option<Time>,
    pub(crate) until: Option<Time>,
    pub(crate) id: Option<Text<'a>>,
    pub(crate) state: Option<MessageState>,
}

impl FilterParams<'_> {
    pub(crate) fn read(self) -> Result<MessageFilter, Error> {
        let id = self.id.map(|id| id.parse()).transpose();
        let (since, until) = (self.since.map(|time| time.0), self.until.map(|time| time.0));
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let text = format!("is {until}, not later than \"since\", {since}");
            return Err(error::param("/until", text));
        }
        Ok(MessageFilter {
            key: self.key,
            group: self.group,
            header: self.header.map(|header| (header.name, header.value)),
            since,
            until,
            id: id.map_err(|problem| error::param("/id", format!("{problem}")))?,
            state: self.state,
        })
    }
}
