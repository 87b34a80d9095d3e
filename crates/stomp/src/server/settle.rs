//! ACK and NACK.

use super::frames::{receipt, required};
use super::subscriptions::{AckName, Cover, Key, Named};
use super::{Effect, Refusal, ServerSession, Settle, Step, Tags, Verdict};
use crate::excerpt::excerpt;
use crate::{Command, Frame, NackOptions, Version};
use compact_str::CompactString;
use trunkline_model::Timestamp;

impl ServerSession {
    pub(super) fn settle(&mut self, now: Timestamp, frame: &Frame) -> Result<(), Refusal> {
        let name = self.ack_name(frame)?;
        let verdict = match frame.command {
            Command::Nack => NackOptions::parse(&frame.headers)?.into(),
            _ => Verdict::Ack,
        };
        let transaction = frame.get("transaction");
        if let Some(id) = transaction {
            self.transactions.check(id)?;
        }
        let (settle, lost) = self.cover(&name, verdict)?;
        if lost {
            self.acks_not_held += 1;
        }
        match (transaction, settle) {
            (Some(id), settle) => {
                if lost {
                    self.transactions.lose(id, name.id)?;
                }
                if let Some(settle) = settle {
                    self.transactions.add(id, Step::Settle(settle))?;
                }
                self.done(now, receipt(frame));
            }
            (None, Some(settle)) => {
                let token = self.pending(receipt(frame));
                self.effects.push_back(Effect::Settle { token, settle });
            }
            (None, None) => self.done(now, receipt(frame)),
        }
        Ok(())
    }

    fn ack_name<'a>(&self, frame: &'a Frame) -> Result<AckName<'a>, Refusal> {
        let command = frame.command;
        let version = self.version.unwrap_or(Version::V1_0);
        if command == Command::Nack && version == Version::V1_0 {
            return Err(Refusal::NotInVersion { command, version });
        }
        let (id, header, subscription) = match version {
            Version::V1_0 => ("message-id", "message-id", None),
            Version::V1_1 => {
                let subscription = required(frame, "subscription")?;
                ("message-id", "message-id", Some(subscription))
            }
            Version::V1_2 => ("id", "ack", None),
        };
        Ok(AckName {
            command,
            id: required(frame, id)?,
            subscription,
            header,
        })
    }

    /// What is to be settled, if anything, and whether the delivery that was named is no longer
    /// held.
    fn cover(
        &mut self,
        name: &AckName<'_>,
        verdict: Verdict,
    ) -> Result<(Option<Settle>, bool), Refusal> {
        let never = || Refusal::NeverIssued {
            command: name.command,
            id: excerpt(name.id),
            header: name.header,
        };
        let (number, subscription, tag) = match self.subscriptions.named(&self.name, name.id) {
            Named::Of(number, subscription, tag) => (number, subscription, tag),
            Named::Ended => return Ok((None, true)),
            Named::Unknown => return Err(never()),
        };
        if let (Some(id), Key::Id(own)) = (name.subscription, &subscription.key)
            && id != own
        {
            return Err(never());
        }
        let settle = |tags: Tags| {
            (!tags.is_empty()).then_some(Settle {
                subscription: number,
                tags,
                verdict,
            })
        };
        Ok(match subscription.cover(tag) {
            Cover::Held(tags) => (settle(tags), false),
            Cover::Earlier(tags) => (settle(tags), true),
            Cover::Nothing => (None, false),
        })
    }

    /// Deliveries of a transaction that came to nothing are outstanding again.
    pub(super) fn put_back(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::Settle(settle) = step
                && let Some(subscription) = self.subscriptions.get_mut(settle.subscription)
                && subscription.ack == super::AckMode::Client
            {
                subscription.outstanding.put_back(&settle.tags);
            }
        }
    }

    /// The first delivery of a transaction whose subscription has ended since it was acknowledged.
    pub(super) fn ended_since(&self, steps: &[Step]) -> Option<CompactString> {
        steps.iter().find_map(|step| match step {
            Step::Settle(settle) if !self.subscriptions.contains(settle.subscription) => {
                let tag = settle.tags.iter().next().unwrap_or_default();
                let number = settle.subscription;
                Some(super::subscriptions::delivery_id(&self.name, number, tag))
            }
            _ => None,
        })
    }
}
