//! Names of the native wire's queues and channels.

use compact_str::{CompactString, format_compact};
use trunkline_model::{ChannelName, TopicName, limits};

const QUEUE_PREFIX: &str = "_call.";
/// Whoever announces a handler says so here.
pub(crate) const ANNOUNCE: &str = "_announce";
/// Whoever wants everybody to announce asks here.
pub(crate) const ASK: &str = "_announce.ask";
/// Calls that were given up before anybody had taken them.
pub(crate) const CANCELLED: &str = "_call.cancelled";
/// The one subscription of a method's queue.
pub(crate) const WORKERS: &str = "workers";

/// The queue in which calls of a method wait; `None` if the method's name is empty or too
/// long for one. Everything that a topic name must not hold is percent-encoded.
pub(crate) fn queue_of(method: &str) -> Option<TopicName> {
    if method.is_empty() || method.len() > limits::NAME_BYTES_MAX {
        return None;
    }
    let mut name = CompactString::const_new(QUEUE_PREFIX);
    for character in method.chars() {
        let plain = !character.is_control() && !" /{}*?[]\\%".contains(character);
        if plain {
            name.push(character);
        } else {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                name.push_str(&format_compact!("%{byte:02X}"));
            }
        }
    }
    TopicName::new(name).ok()
}

/// The channel on which a process hears of its calls.
pub(crate) fn reply_channel(process: &str) -> Option<ChannelName> {
    ChannelName::new(format_compact!("_reply.{process}")).ok()
}

/// The channel on which a process hears what became of calls that it runs.
pub(crate) fn control_channel(process: &str) -> Option<ChannelName> {
    ChannelName::new(format_compact!("_control.{process}")).ok()
}

/// A channel of a fixed name.
pub(crate) fn channel(name: &'static str) -> ChannelName {
    ChannelName::new(name).expect("the fixed names are short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_become_topic_names() {
        for (method, queue) in [
            ("add", "_call.add"),
            ("math.add-1", "_call.math.add-1"),
            ("größe", "_call.größe"),
            ("a b/c%", "_call.a%20b%2Fc%25"),
            ("\u{85}", "_call.%C2%85"),
        ] {
            assert_eq!(queue_of(method).unwrap().as_str(), queue, "{method}");
        }
    }

    #[test]
    fn methods_without_a_queue() {
        assert_eq!(queue_of(""), None);
        assert_eq!(queue_of(&"x".repeat(195)), None);
        assert_eq!(queue_of(&"/".repeat(70)), None);
        assert!(queue_of(&"x".repeat(194)).is_some());
    }
}
