//! The channel on which this process hears that something waits for it.

use super::Topics;
use std::sync::{Arc, Weak};
use trunkline_model::TopicName;
use trunkline_mpx::{ChannelSubscription, Event, Multiplexer};

/// Listens on the process' own channel: the name of a topic says that there is something for one of its
/// consumers here. What was said while nobody heard is made up for by asking everywhere.
pub(crate) fn listen(topics: &Arc<Topics>, multiplexer: &Multiplexer) -> ChannelSubscription {
    let channel = topics.script.wake_channel(&topics.process);
    let heard = Arc::downgrade(topics);
    let subscription = multiplexer.channels(move |event| hear(&heard, &event));
    // Names of channels are far shorter than the multiplexer's bound, and it is open.
    let _ = subscription.add([channel]);
    subscription
}

fn hear(topics: &Weak<Topics>, event: &Event) {
    let Some(topics) = topics.upgrade() else {
        return;
    };
    match event {
        Event::Message { payload, .. } => {
            let name = std::str::from_utf8(payload).ok();
            if let Some(name) = name.and_then(|name| TopicName::new(name).ok()) {
                topics.woken(&name);
            }
        }
        Event::Active { .. } => topics.all_woken(),
        Event::Refused { reason, .. } => {
            let text = format!(
                "Redis refuses the channel on which this process is woken ({reason}): messages come late; give its user the right with ACL SETUSER"
            );
            topics.condition.warn("wake", Some(text));
        }
        _ => {}
    }
}
