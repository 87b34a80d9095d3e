//! The script that is a topic: all that happens to one happens in it, a request at a time. What it can
//! be asked and answers is in [`ops`]; its source is in `lua`, where `base.lua` and `state.lua` come first
//! and `main.lua` runs a request. `docs/redis.md` tells of the keys.

mod decode;
mod encode;
mod ops;
mod pack;
#[cfg(test)]
mod tests;

pub(crate) use ops::*;

use redis::{Cmd, Value};
use trunkline_model::{Timestamp, TopicName};

/// Several files, so that each is about one thing; Redis gets one text. Most are the branches of one function, which
/// runs those that a request needs.
const SOURCE: &str = concat!(
    include_str!("lua/base.lua"),
    include_str!("lua/state.lua"),
    include_str!("lua/places.lua"),
    "function fill(into)\nif into == G then\n",
    include_str!("lua/groups.lua"),
    "elseif into == M then\n",
    include_str!("lua/messages.lua"),
    "elseif into == P then\n",
    include_str!("lua/publish.lua"),
    "elseif into == J then\n",
    include_str!("lua/batch.lua"),
    "elseif into == W then\n",
    include_str!("lua/waking.lua"),
    "elseif into == H then\n",
    include_str!("lua/take.lua"),
    "elseif into == L then\n",
    include_str!("lua/leaving.lua"),
    "elseif into == R then\n",
    include_str!("lua/room.lua"),
    "elseif into == C then\n",
    include_str!("lua/consumers.lua"),
    "elseif into == D then\n",
    include_str!("lua/due.lua"),
    "elseif into == A then\n",
    include_str!("lua/define.lua"),
    "elseif into == V then\n",
    include_str!("lua/look.lua"),
    "end\nend\n",
    include_str!("lua/main.lua"),
);

/// The script's answer can't be read: it is of another version of Trunkline, or no answer of it at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script of topics gave an answer that this version of Trunkline can't read")
    }
}

/// Makes commands of requests, and answers of what Redis says.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    prefix: String,
    hash: String,
    /// The time, instead of the server's: for tests.
    clock: Option<Timestamp>,
}

impl Script {
    /// For topics whose keys begin with a prefix, which has no braces.
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            hash: redis::Script::new(SOURCE).get_hash().to_owned(),
            clock: None,
        }
    }

    /// The key that names the node of a cluster on which a topic is.
    pub(crate) fn key(&self, topic: &TopicName) -> Vec<u8> {
        format!("{}:{{{topic}}}:def", self.prefix).into_bytes()
    }

    /// The channel on which a process hears the name of a topic where it should ask again.
    pub(crate) fn wake_channel(&self, process: &str) -> String {
        format!("{}{process}", self.wake())
    }

    fn wake(&self) -> String {
        format!("{}:wake:", self.prefix)
    }

    /// Asks, if Redis knows the script; else it answers `NOSCRIPT` and does nothing.
    pub(crate) fn call(&self, request: &Request<'_>) -> Cmd {
        self.command("EVALSHA", &self.hash, request)
    }

    /// Asks, and says the script.
    pub(crate) fn send(&self, request: &Request<'_>) -> Cmd {
        self.command("EVAL", SOURCE, request)
    }

    fn command(&self, name: &str, script: &str, request: &Request<'_>) -> Cmd {
        let (packed, bodies) = encode::request(request, &self.wake(), self.clock);
        let mut command = redis::cmd(name);
        command.arg(script).arg(1).arg(self.key(request.topic));
        command.arg(packed);
        for body in &bodies {
            command.arg(&body[..]);
        }
        command
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn answer(&self, value: Value) -> Result<Answer, Unreadable> {
        decode::answer(value).ok_or(Unreadable)
    }
}
