//! Requests as the script reads them.

use super::ops::{Change, Hold, Incoming, Peek, Request, Settled, Step};
use super::pack::Writer;
use bytes::Bytes;
use std::time::Duration;
use trunkline_model::{
    Dedupe, DeliveryMode, Durability, Overflow, PeekFrom, StartFrom, SubscriptionSettings,
    Timestamp, TopicOptions, Unsubscribed, When,
};

/// A request in MessagePack, and the bodies of its messages in order. `clock` is the time, instead of the server's.
pub(crate) fn request(
    request: &Request<'_>,
    wake: &str,
    clock: Option<Timestamp>,
) -> (Vec<u8>, Vec<Bytes>) {
    let mut out = Encoder::default();
    out.writer.array(7);
    out.writer.text(request.process);
    out.writer.number(request.number);
    out.writer.truth(request.attached);
    out.writer.number(micros(request.lease));
    out.writer.array(request.steps.len());
    for step in request.steps {
        out.step(step);
    }
    out.writer.text(wake);
    out.writer.option(clock, time);
    (out.writer.done(), out.bodies)
}

#[derive(Default)]
struct Encoder {
    writer: Writer,
    bodies: Vec<Bytes>,
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Encoder {
    fn begin(&mut self, name: &str, fields: usize) -> &mut Writer {
        self.writer.array(fields + 1);
        self.writer.text(name);
        &mut self.writer
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Batch { strict, commands } => {
                let out = self.begin("batch", 2);
                out.truth(*strict);
                out.array(commands.len());
                for command in commands {
                    self.change(command);
                }
            }
            Step::Take {
                consumer,
                subscription,
                count,
                bytes,
                at_least_one,
                auto_ack,
            } => {
                let out = self.begin("take", 6);
                out.number(*consumer);
                out.text(subscription.as_str());
                out.number((*count).into());
                out.number(*bytes);
                out.truth(*at_least_one);
                out.truth(*auto_ack);
            }
            Step::Attach {
                consumer,
                subscription,
                create,
                from,
            } => {
                let out = self.begin("attach", 4);
                out.number(*consumer);
                out.text(subscription.as_str());
                start(out, *from);
                out.truth(*create);
            }
            Step::Detach { consumer } => self.begin("detach", 1).number(*consumer),
            Step::Leave => drop(self.begin("leave", 0)),
            Step::Define { .. }
            | Step::Alter { .. }
            | Step::AlterSubscription { .. }
            | Step::Subscribe { .. } => self.definition(step),
            Step::Delete => drop(self.begin("delete", 0)),
            Step::Unsubscribe {
                subscription,
                below,
            } => {
                let out = self.begin("unsubscribe", 2);
                out.text(subscription.as_str());
                out.option(*below, Writer::number);
            }
            Step::Purge {
                subscription,
                below,
            } => {
                let out = self.begin("purge", 2);
                out.option(subscription.as_ref(), |out, name| out.text(name.as_str()));
                out.option(*below, Writer::number);
            }
            Step::Inspect => drop(self.begin("inspect", 0)),
            Step::Peek(peek) => look(self.begin("peek", 9), peek),
            Step::TakeOutbox { limit } => self.begin("outbox", 1).number((*limit).into()),
            Step::SettleOutbox { entries } => settled(self.begin("settle", 1), entries),
            Step::Inter {
                message,
                publish_id,
            } => {
                self.begin("inter", 2);
                self.message(message);
                self.writer.text(publish_id);
            }
            Step::Restore {
                subscription,
                message,
                publish_id,
            } => {
                self.begin("restore", 3).text(subscription.as_str());
                self.message(message);
                self.writer.text(publish_id);
            }
            Step::Remove { number, sequences } => {
                let out = self.begin("remove", 2);
                out.number((*number).into());
                out.array(sequences.len());
                sequences.iter().for_each(|sequence| out.number(*sequence));
            }
        }
    }

    /// A step that says what a topic or subscription is.
    fn definition(&mut self, step: &Step) {
        match step {
            Step::Define { number, options } => {
                let out = self.begin("define", 2);
                out.number((*number).into());
                topic_options(out, options);
            }
            Step::Alter {
                version,
                options,
                after,
            } => {
                let out = self.begin("alter", 3);
                out.number(*version);
                topic_options(out, options);
                out.option(*after, Writer::number);
            }
            Step::AlterSubscription {
                version,
                subscription,
                settings,
                after,
            } => {
                let out = self.begin("alter-sub", 4);
                out.number(*version);
                out.text(subscription.as_str());
                subscription_settings(out, settings);
                out.option(*after, Writer::number);
            }
            Step::Subscribe {
                subscription,
                from,
                settings,
                after,
            } => {
                let out = self.begin("subscribe", 4);
                out.text(subscription.as_str());
                start(out, *from);
                subscription_settings(out, settings);
                out.option(*after, Writer::number);
            }
            _ => {}
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Publish {
                if_subscribed,
                message,
            } => {
                self.begin("p", 2).truth(*if_subscribed);
                self.message(message);
            }
            Change::Ack { consumer, holds } => {
                let out = self.begin("a", 2);
                out.number(*consumer);
                held(out, holds);
            }
            Change::Nack {
                consumer,
                holds,
                requeue,
                delay,
            } => {
                let out = self.begin("n", 4);
                out.number(*consumer);
                held(out, holds);
                out.truth(*requeue);
                out.number(micros(*delay));
            }
            Change::Extend {
                consumer,
                holds,
                by,
            } => {
                let out = self.begin("e", 3);
                out.number(*consumer);
                held(out, holds);
                out.number(micros(*by));
            }
            Change::Late {
                subscription,
                count,
            } => {
                let out = self.begin("l", 2);
                out.number((*subscription).into());
                out.number(*count);
            }
        }
    }

    fn message(&mut self, message: &Incoming) {
        let out = &mut self.writer;
        out.array(11);
        for text in [&message.publish_id, &message.key, &message.group] {
            out.option(text.as_ref(), Writer::text);
        }
        out.option(message.priority, |out, priority| {
            out.number(priority.0.into())
        });
        out.option(message.jms_priority, |out, priority| {
            out.number(priority.number().into());
        });
        when(out, message.expires);
        when(out, message.deliver);
        out.number(message.payload_bytes.into());
        self.bodies.push(message.body.clone());
        // Behind the request itself, counted from 1.
        out.number(self.bodies.len() as u64 + 1);
    }
}

fn settled(out: &mut Writer, entries: &[Settled]) {
    out.array(2 * entries.len());
    for settled in entries {
        out.number(settled.entry);
        out.truth(settled.buried);
    }
}

fn when(out: &mut Writer, when: Option<When>) {
    let (kind, micros) = match when {
        None => (0, 0),
        Some(When::At(at)) => (1, at.as_micros()),
        Some(When::After(span)) => (2, micros(span)),
    };
    out.number(kind);
    out.number(micros);
}

fn held(out: &mut Writer, holds: &[Hold]) {
    out.array(3 * holds.len());
    for hold in holds {
        out.number(hold.subscription.into());
        out.number(hold.sequence);
        out.number(hold.ticket);
    }
}

fn start(out: &mut Writer, from: Option<StartFrom>) {
    out.option(from, |out, from| {
        out.text(match from {
            StartFrom::All => "all",
            StartFrom::New => "new",
        });
    });
}

fn look(out: &mut Writer, peek: &Peek) {
    out.option(peek.subscription.as_ref(), |out, name| {
        out.text(name.as_str())
    });
    out.array(3);
    match peek.from {
        PeekFrom::Front => {
            out.text("front");
            out.none();
            out.none();
        }
        PeekFrom::Id(id) => {
            out.text("id");
            out.number(id.topic.into());
            out.number(id.sequence);
        }
        PeekFrom::After(cursor) => {
            out.text("after");
            out.number(cursor.state as u64);
            out.number(place(cursor.priority, cursor.position));
        }
    }
    out.option(peek.id, |out, id| {
        out.array(2);
        out.number(id.topic.into());
        out.number(id.sequence);
    });
    out.option(peek.since, time);
    out.option(peek.until, time);
    out.option(peek.state, |out, state| out.number(state as u64));
    out.number(peek.limit.into());
    out.number(peek.passed_max.into());
    out.number(peek.bytes_max);
}

/// Bits of a place that are the position.
const POSITION_BITS: u32 = 44;

/// A place as the script has it.
const fn place(priority: u8, position: u64) -> u64 {
    let last = (1 << POSITION_BITS) - 1;
    let position = if position < last { position } else { last };
    (priority as u64) << POSITION_BITS | position
}

/// Priority and position of a place.
pub(crate) fn placed(place: u64) -> (u8, u64) {
    let priority = u8::try_from(place >> POSITION_BITS).unwrap_or(u8::MAX);
    (priority, place & ((1 << POSITION_BITS) - 1))
}

fn time(out: &mut Writer, time: Timestamp) {
    out.number(time.as_micros());
}

fn topic_options(out: &mut Writer, options: &TopicOptions) {
    out.array(19);
    out.number(options.priorities.into());
    out.number(options.default_priority.0.into());
    out.number(match options.dedupe {
        Dedupe::Off => 0,
        Dedupe::Latest => 1,
        Dedupe::First => 2,
    });
    out.number(micros(options.dedupe_window.0));
    out.option(options.ttl, |out, ttl| out.number(micros(ttl.0)));
    out.number(micros(options.ack_timeout.0));
    out.number(options.max_attempts.into());
    out.option(options.dead_letter.as_ref(), |out, name| {
        out.text(name.as_str());
    });
    out.number(options.dead_letter_expired.into());
    out.option(options.retry, |out, retry| out.number(micros(retry.min.0)));
    out.option(options.retry, |out, retry| out.number(micros(retry.max.0)));
    out.option(options.max_messages, Writer::number);
    out.option(options.max_bytes, |out, max| out.number(max.0));
    out.number(overflow(options.overflow));
    out.number(match options.durability {
        Durability::Memory => 0,
        Durability::Interval => 1,
        Durability::Commit => 2,
    });
    out.number(delivery(options.delivery));
    out.number(match options.unsubscribed {
        Unsubscribed::Keep => 0,
        Unsubscribed::Drop => 1,
        Unsubscribed::Reject => 2,
    });
    out.number(micros(options.publish_id_window.0));
    out.number(options.transient.into());
}

fn overflow(overflow: Overflow) -> u64 {
    match overflow {
        Overflow::Reject => 0,
        Overflow::DropOldest => 1,
    }
}

fn delivery(mode: DeliveryMode) -> u64 {
    match mode {
        DeliveryMode::Stream => 0,
        DeliveryMode::Batch => 1,
    }
}

fn subscription_settings(out: &mut Writer, settings: &SubscriptionSettings) {
    out.array(10);
    out.option(settings.ack_timeout, |out, span| out.number(micros(span.0)));
    out.option(settings.max_attempts, |out, max| out.number(max.into()));
    out.option(settings.dead_letter.as_ref(), |out, name| {
        out.text(name.as_str());
    });
    out.option(settings.delivery, |out, mode| out.number(delivery(mode)));
    out.option(settings.dead_letter_expired, |out, on| {
        out.number(on.into())
    });
    out.option(settings.retry, |out, retry| out.number(micros(retry.min.0)));
    out.option(settings.retry, |out, retry| out.number(micros(retry.max.0)));
    out.option(settings.max_messages, Writer::number);
    out.option(settings.max_bytes, |out, max| out.number(max.0));
    out.option(settings.overflow, |out, how| out.number(overflow(how)));
}
