use super::{Backlog, Item, List, Reason, Record};
use std::fmt;

/// Most items that one line shows.
const ITEMS_SHOWN: usize = 20;

struct Short<'a, I>(List<'a, I>, fn(&mut fmt::Formatter<'_>, I) -> fmt::Result);

impl<'a, I: Item<'a>> fmt::Display for Short<'a, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().take(ITEMS_SHOWN).enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            self.1(f, item)?;
        }
        match self.0.iter().count() {
            0 => f.write_str("nothing"),
            count if count > ITEMS_SHOWN => write!(f, ",… ({count})"),
            _ => Ok(()),
        }
    }
}

const fn plain<'a, I: Item<'a> + fmt::Display>(list: List<'a, I>) -> Short<'a, I> {
    Short(list, |f, item| write!(f, "{item}"))
}

impl Record<'_> {
    /// One line for people, as in `ack 3-15,16 in subscription 1`.
    pub fn describe(&self) -> String {
        match self {
            Self::Define(define) => format!(
                "define topic {} as {}, next sequence {}",
                define.topic, define.name, define.next_sequence
            ),
            Self::Undefine { topic } => format!("undefine topic {topic}"),
            Self::Subscribe(subscribe) => format!(
                "subscribe {} as subscription {} of topic {}{}",
                subscribe.name,
                subscribe.subscription,
                subscribe.topic,
                match subscribe.backlog {
                    Backlog::Untouched => "",
                    Backlog::Taken => ", with what is stored",
                    Backlog::Released => ", releasing what was kept",
                }
            ),
            Self::Unsubscribe {
                topic,
                subscription,
            } => format!("unsubscribe subscription {subscription} of topic {topic}"),
            Self::Advance {
                topic,
                next_sequence,
            } => format!("advance topic {topic} to sequence {next_sequence}"),
            Self::Count { next_topic } => format!("count topics up to {next_topic}"),
            Self::Remember(remember) => format!(
                "remember {} publish ids of topic {}",
                remember.ids.iter().count(),
                remember.topic
            ),
            Self::RememberKeys(remember) => format!(
                "remember {} keys of topic {}",
                remember.ids.iter().count(),
                remember.topic
            ),
            Self::Put(put) => describe_put(put),
            Self::Deliver(delivered) => format!(
                "deliver {}-{} in subscription {} at {}",
                delivered.topic,
                Short(delivered.messages, |f, item| {
                    write!(f, "{}", item.sequence)?;
                    match item.attempt {
                        1 => Ok(()),
                        attempt => write!(f, "(attempt {attempt})"),
                    }
                }),
                delivered.subscription,
                delivered.at
            ),
            Self::Ack(settled) => format!(
                "ack {}-{} in subscription {}",
                settled.topic,
                plain(settled.messages),
                settled.subscription
            ),
            Self::Return(returned) => format!(
                "return {}-{} in subscription {}{}{}",
                returned.topic,
                plain(returned.messages),
                returned.subscription,
                returned
                    .until
                    .map_or(String::new(), |until| format!(" until {until}")),
                returned
                    .failed_at
                    .map_or(String::new(), |at| format!(", failed at {at}"))
            ),
            Self::Settle(settled, reason) => format!(
                "settle {}-{} in subscription {}: {}",
                settled.topic,
                plain(settled.messages),
                settled.subscription,
                reason.text()
            ),
            Self::Drop(dropped) => format!(
                "drop {}-{}: {}",
                dropped.topic,
                plain(dropped.messages),
                dropped.reason.text()
            ),
            Self::Purge(purged) => format!(
                "purge subscription {} of topic {} but for {}",
                purged.subscription,
                purged.topic,
                plain(purged.except)
            ),
            Self::Leave(left) => format!(
                "leave {}-{} in subscription {} at {}: {}",
                left.topic,
                Short(left.messages, |f, item| {
                    write!(f, "{}(attempts {})", item.sequence, item.attempt)
                }),
                left.subscription,
                left.at,
                left.reason.text()
            ),
            Self::Bury(settled) => format!(
                "bury {}-{} of subscription {}",
                settled.topic,
                plain(settled.messages),
                settled.subscription
            ),
        }
    }
}

fn describe_put(put: &super::Put<'_>) -> String {
    let mut line = format!(
        "put {}-{} of {} bytes at priority {} for ",
        put.topic, put.sequence, put.payload_bytes, put.priority.0
    );
    let usual = Short(put.subscriptions, |f, run| match run.count {
        1 => write!(f, "{}", run.first),
        count => write!(f, "{}–{}", run.first, run.first + (count - 1)),
    });
    let elsewhere = Short(put.placements, |f, place| {
        let (number, lane, position) = (place.subscription, place.lane, place.position);
        write!(f, "{number} (priority {lane}, position {position})")
    });
    line += &match (put.subscriptions.is_empty(), put.placements.is_empty()) {
        (_, true) => usual.to_string(),
        (true, false) => elsewhere.to_string(),
        (false, false) => format!("{usual},{elsewhere}"),
    };
    if let Some(key) = put.key {
        line += &format!(", key {key:?}");
    }
    if let Some(group) = put.group {
        line += &format!(", group {group:?}");
    }
    if let Some(sequence) = put.replaces {
        line += &format!(", replaces {sequence}");
    }
    if let Some(at) = put.expires_at {
        line += &format!(", expires {at}");
    }
    if let Some(at) = put.deliver_at {
        line += &format!(", not before {at}");
    }
    if put.copy {
        line += ", a copy";
    }
    line
}

impl Reason {
    const fn text(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Rejected => "given up by a consumer",
            Self::Exhausted => "delivered as often as it may be",
            Self::Redriven => "driven back",
            Self::Overflow => "made room for another",
        }
    }
}
