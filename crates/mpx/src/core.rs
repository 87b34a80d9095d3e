//! What a connection means: bytes in, events and bytes out. Pure.

use crate::book::{Book, Change, Confirmed};
use crate::cluster::{concerns_slot, moved_slot};
use crate::pulse::{Pulse, Silence};
use crate::resp::{DecodeError, Decoder, Value, command_of, write_command};
use crate::{Kind, LinkError};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::Timestamp;

/// What happened, and whom it concerns. `L` is how a subscription is reached.
#[derive(Clone, Debug)]
pub(crate) enum Happening<L> {
    /// Messages may come.
    Active {
        to: Arc<[L]>,
        name: Bytes,
        /// For how long nobody heard it, if it was heard before.
        gap: Option<Duration>,
    },
    /// A message, under the name that was asked for.
    Message {
        to: Arc<[L]>,
        channel: Bytes,
        payload: Bytes,
    },
    /// The server took a name away; it is asked for again.
    Withdrawn { to: Arc<[L]>, name: Bytes },
    /// The server refused a name; it is asked for again on the next connection.
    Refused {
        to: Arc<[L]>,
        name: Bytes,
        reason: Bytes,
    },
    /// The connection is gone.
    Lost { to: Arc<[L]>, error: Arc<LinkError> },
}

/// A multiplexer's rules: the book, and the connection as far as bytes and times go.
#[derive(Debug)]
pub(crate) struct Core<L> {
    pub(crate) book: Book<L>,
    decoder: Decoder,
    pulse: Pulse,
    ping_timeout: Duration,
    value_bytes_max: usize,
    /// Names of one turn of commands.
    pipelining: usize,
}

impl<L: Clone> Core<L> {
    pub(crate) fn new(ping_timeout: Duration, pipelining: usize, value_bytes_max: usize) -> Self {
        Self {
            book: Book::new(),
            decoder: Decoder::new(value_bytes_max),
            pulse: Pulse::new(ping_timeout, Timestamp::ZERO),
            ping_timeout,
            value_bytes_max,
            pipelining: pipelining.max(1),
        }
    }

    /// A connection is there: asks for all that is wanted.
    pub(crate) fn connect(&mut self, now: Timestamp, out: &mut BytesMut) {
        self.decoder = Decoder::new(self.value_bytes_max);
        self.pulse = Pulse::new(self.ping_timeout, now);
        write(&self.book.connect(), out);
    }

    /// The connection is gone.
    pub(crate) fn disconnect(&mut self, now: Timestamp) {
        self.book.disconnect(now);
    }

    /// Takes what was read, as far as it is complete.
    ///
    /// # Errors
    /// What came is not what a Redis server says to a subscriber.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        input: &mut BytesMut,
        happenings: &mut Vec<Happening<L>>,
    ) -> Result<(), LinkError> {
        self.late_activations(happenings);
        if !input.is_empty() {
            self.pulse.received(now);
        }
        while let Some(value) = self.decoder.decode(input)? {
            self.take(now, value, happenings)?;
        }
        Ok(())
    }

    /// Tells of names that were active when somebody asked for them, then writes what the server
    /// has to be told, one turn of it.
    pub(crate) fn flush(&mut self, out: &mut BytesMut, happenings: &mut Vec<Happening<L>>) {
        self.late_activations(happenings);
        write(&self.book.changes(self.pipelining), out);
    }

    /// When [`Core::on_time`] has to be called, at the latest.
    pub(crate) const fn due(&self) -> Timestamp {
        self.pulse.due()
    }

    /// Looks whether the server is still there.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn on_time(&mut self, now: Timestamp, out: &mut BytesMut) -> Result<(), LinkError> {
        match self.pulse.look(now) {
            Silence::Short => Ok(()),
            Silence::Ask => {
                write_command(out, &[b"PING"]);
                Ok(())
            }
            Silence::Dead => Err(LinkError::PingTimeout),
        }
    }

    /// Tells of names that were active when somebody asked for them.
    pub(crate) fn late_activations(&mut self, happenings: &mut Vec<Happening<L>>) {
        for (listener, _, name) in self.book.take_activations() {
            happenings.push(Happening::Active {
                to: Arc::from([listener]),
                name,
                gap: None,
            });
        }
    }

    fn take(
        &mut self,
        now: Timestamp,
        value: Value,
        happenings: &mut Vec<Happening<L>>,
    ) -> Result<(), LinkError> {
        match value {
            Value::Array(items) | Value::Push(items) => self.take_push(now, &items, happenings),
            Value::Error(reason) => self.take_refusal(now, &reason, happenings),
            // The answer to a PING before anything is subscribed, or in RESP3.
            _ => Ok(()),
        }
    }

    fn take_push(
        &mut self,
        now: Timestamp,
        items: &[Value],
        happenings: &mut Vec<Happening<L>>,
    ) -> Result<(), LinkError> {
        let word = |at: usize| items.get(at).and_then(Value::bytes);
        let kind = word(0).map_or(&b""[..], |kind| kind);
        let message = match (kind, items.len()) {
            (b"message", 3) => Some((Kind::Channel, 1, 1, 2)),
            (b"smessage", 3) => Some((Kind::Shard, 1, 1, 2)),
            (b"pmessage", 4) => Some((Kind::Pattern, 1, 2, 3)),
            _ => None,
        };
        if let Some((kind, name, channel, payload)) = message {
            let (Some(name), Some(channel), Some(payload)) =
                (word(name), word(channel), word(payload))
            else {
                return Err(LinkError::Protocol("a message has no name or payload"));
            };
            if let Some(to) = self.book.listeners(kind, name) {
                happenings.push(Happening::Message {
                    to,
                    channel: channel.clone(),
                    payload: payload.clone(),
                });
            }
            return Ok(());
        }
        let (kind, subscribe) = match kind {
            b"subscribe" => (Kind::Channel, true),
            b"unsubscribe" => (Kind::Channel, false),
            b"psubscribe" => (Kind::Pattern, true),
            b"punsubscribe" => (Kind::Pattern, false),
            b"ssubscribe" => (Kind::Shard, true),
            b"sunsubscribe" => (Kind::Shard, false),
            // An answer to PING, and what later versions may push.
            _ => return Ok(()),
        };
        let Some(name) = word(1) else {
            return Err(LinkError::Protocol("a confirmation has no name"));
        };
        let name = name.clone();
        match self.book.confirm(now, kind, subscribe, &name) {
            Some(Confirmed::Active(to, since)) => happenings.push(Happening::Active {
                to,
                name,
                gap: since.map(|since| now.since(since)),
            }),
            Some(Confirmed::Withdrawn(to)) => {
                happenings.push(Happening::Withdrawn { to, name });
            }
            Some(Confirmed::Quiet) => {}
            None => return Err(LinkError::Protocol("a name was confirmed unasked")),
        }
        Ok(())
    }

    fn take_refusal(
        &mut self,
        now: Timestamp,
        reason: &Bytes,
        happenings: &mut Vec<Happening<L>>,
    ) -> Result<(), LinkError> {
        // A slot has moved while names in it were given up: that they are, and not this, was the answer to it.
        if moved_slot(reason).is_some_and(|slot| !self.book.awaits_slot(slot)) {
            return Ok(());
        }
        let all = concerns_slot(reason);
        let Some((_, names)) = self.book.refuse(now, all) else {
            return Err(LinkError::server(reason));
        };
        for (name, to) in names {
            happenings.push(Happening::Refused {
                to,
                name,
                reason: reason.clone(),
            });
        }
        Ok(())
    }
}

fn write(changes: &[Change], out: &mut BytesMut) {
    for change in changes {
        let names = change.names.iter().map(|name| &name[..]);
        command_of(out, change.kind.verb(change.subscribe), names);
    }
}

impl From<DecodeError> for LinkError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot_of;

    /// A connection on which shard channels of one slot were asked for and confirmed.
    fn core(names: &[&'static str]) -> (Core<()>, crate::book::SubscriptionId) {
        let mut core = Core::new(Duration::from_secs(30), 100, 1 << 20);
        let id = core.book.open(());
        core.connect(Timestamp::ZERO, &mut BytesMut::new());
        for name in names {
            core.book
                .add(id, Kind::Shard, Bytes::from_static(name.as_bytes()));
        }
        core.flush(&mut BytesMut::new(), &mut Vec::new());
        (core, id)
    }

    fn hear(core: &mut Core<()>, text: &str) -> Result<usize, LinkError> {
        let mut happenings = Vec::new();
        let mut input = BytesMut::from(text.as_bytes());
        core.receive(Timestamp::ZERO, &mut input, &mut happenings)?;
        Ok(happenings.len())
    }

    fn push(verb: &str, name: &str) -> String {
        let (verbs, names) = (verb.len(), name.len());
        format!("*3\r\n${verbs}\r\n{verb}\r\n${names}\r\n{name}\r\n:0\r\n")
    }

    /// A slot moved while a name in it was given up: what the server said unasked was taken for its answer, and the answer
    /// itself then ended the connection.
    #[test]
    fn a_slot_that_moves_while_a_name_is_given_up_ends_nothing() {
        let (mut core, id) = core(&["news"]);
        assert_eq!(hear(&mut core, &push("ssubscribe", "news")).unwrap(), 1);
        core.book
            .remove(id, Kind::Shard, &Bytes::from_static(b"news"));
        core.flush(&mut BytesMut::new(), &mut Vec::new());
        let slot = slot_of(b"news");
        let moved = format!("-MOVED {slot} 127.0.0.1:7000\r\n");
        let both = push("sunsubscribe", "news") + &moved;
        assert_eq!(hear(&mut core, &both).unwrap(), 0);
        // And what was asked for since is not meant by it.
        core.book.add(id, Kind::Shard, Bytes::from_static(b"other"));
        core.flush(&mut BytesMut::new(), &mut Vec::new());
        assert_eq!(hear(&mut core, &moved).unwrap(), 0);
        assert_eq!(hear(&mut core, &push("ssubscribe", "other")).unwrap(), 1);
        hear(&mut core, "-ERR unasked\r\n").expect_err("nothing was to be answered");
    }

    #[test]
    fn a_slot_that_is_elsewhere_refuses_all_names_of_a_command_at_once() {
        let (mut core, _) = core(&["{a}1", "{a}2", "{a}3"]);
        let moved = format!("-MOVED {} 127.0.0.1:7000\r\n", slot_of(b"a"));
        assert_eq!(hear(&mut core, &moved).unwrap(), 3);
        let mut out = BytesMut::new();
        core.flush(&mut out, &mut Vec::new());
        assert!(out.is_empty(), "{out:?}");
    }
}
