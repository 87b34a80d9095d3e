//! The engine is gone and comes back: what is certain shrinks to what is durable, and then grows
//! again by what is found.

use super::{
    Ledger,
    audit::Found,
    facts::{Defining, Moment, Owed, Stored},
};
use crate::rule::{Checked, hold};
use std::collections::{BTreeMap, BTreeSet};
use trunkline_model::TopicInfo;

/// How an engine ended, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// It was stopped.
    Stop,
    /// The process died.
    Process,
    /// The power went.
    Power,
}

impl Ledger {
    /// The engine is gone.
    pub(crate) fn crashed(&mut self, how: End) {
        let durable = match how {
            End::Power => self.synced,
            End::Process => self.synced.max(self.written),
            End::Stop => self.moment,
        };
        self.promises.clear();
        self.consumers.clear();
        self.given.clear();
        (self.is_calm, self.is_blurred) = (false, false);
        for sent in &mut self.messages {
            let is_in_memory = self
                .topics
                .get(&sent.topic)
                .is_some_and(|topic| topic.life == sent.life && topic.is_memory());
            match sent.stored {
                Stored::Taken | Stored::Yes | Stored::Unknown if is_in_memory => {
                    sent.stored = Stored::No;
                }
                Stored::Taken | Stored::Yes if sent.moment > durable => {
                    sent.stored = Stored::Unknown;
                }
                Stored::Taken => sent.stored = Stored::Yes,
                _ => {}
            }
        }
        let mut autos = BTreeSet::new();
        for (name, topic) in &mut self.topics {
            let is_memory = topic.is_memory();
            for (place, sub) in &mut topic.subs {
                if is_memory {
                    sub.standings.clear();
                }
                let is_auto = std::mem::take(&mut sub.is_auto);
                if is_auto && how != End::Stop {
                    autos.insert((*name, *place));
                }
                for (message, standing) in &mut sub.standings {
                    standing.crashed(durable);
                    let is_doubtful = self.messages[*message].stored == Stored::Unknown
                        || (is_auto && how != End::Stop);
                    standing.is_touched |= is_auto;
                    if standing.owed == Owed::Certainly && is_doubtful {
                        standing.owed = Owed::Perhaps;
                    }
                }
            }
        }
        self.letters_crashed(&autos);
        self.return_crashed();
    }

    /// An engine is there again. What it found is durable: it synced that before it opened.
    pub(crate) fn reopened(&mut self) {
        (self.synced, self.written) = (self.moment, self.moment);
    }

    /// Compares the definitions with what should be there, and learns what became of one that was
    /// under way.
    pub(crate) fn compare_definitions(
        &mut self,
        found: &BTreeMap<u8, (TopicInfo, Vec<u8>)>,
        graves: &BTreeSet<u8>,
    ) -> Checked {
        match self.defining.take() {
            Some((_, Defining::Grave(grave))) if graves.contains(&grave) => self.make_grave(grave),
            Some((moment, defining)) => self.resolve(&defining, moment, found),
            None => {}
        }
        let known: BTreeSet<u8> = self.graves().into_iter().collect();
        hold!(
            known == *graves,
            Definitions,
            "there are the topics {graves:?} for dead letters instead of {known:?}"
        );
        for (name, topic) in &mut self.topics {
            let Some((info, subs)) = found.get(name) else {
                hold!(false, Definitions, "t{name} is gone");
                return Ok(());
            };
            hold!(
                info.options == topic.options,
                Definitions,
                "t{name} has the options {:?} instead of {:?}",
                info.options,
                topic.options
            );
            let number = *topic.number.get_or_insert(info.number);
            hold!(
                number == info.number,
                Identity,
                "t{name} was topic {number} and is {}",
                info.number
            );
            let known: Vec<u8> = topic
                .subs
                .keys()
                .copied()
                .filter(|sub| *sub != super::facts::KEPT)
                .collect();
            hold!(
                known == *subs,
                Definitions,
                "t{name} has the subscriptions {subs:?} instead of {known:?}"
            );
        }
        for name in found.keys() {
            hold!(
                self.topics.contains_key(name),
                Definitions,
                "t{name} is there again"
            );
        }
        Ok(())
    }

    /// A command was under way at the crash: did it happen?
    fn resolve(
        &mut self,
        defining: &Defining,
        moment: Moment,
        found: &BTreeMap<u8, (TopicInfo, Vec<u8>)>,
    ) {
        let has_sub =
            |topic: &u8, sub: &u8| found.get(topic).is_some_and(|(_, subs)| subs.contains(sub));
        let happened = match defining {
            // It is no topic of this kind.
            Defining::Grave(_) => false,
            Defining::Topic(name, _) => found.contains_key(name),
            Defining::Alter(name, options) => found
                .get(name)
                .is_some_and(|(info, _)| info.options == **options),
            Defining::Delete(name) => !found.contains_key(name),
            Defining::Subscribe(topic, sub, _) => has_sub(topic, sub),
            Defining::Unsubscribe(topic, sub) => !has_sub(topic, sub),
            // Nobody can tell by the definitions; everything that waited may be gone.
            Defining::Purge(..) => true,
        };
        if happened {
            self.carry_out(defining, moment);
        }
        // What becomes of the messages of one that was made isn't certain: some may have come before it.
        if let (Defining::Subscribe(topic, sub, _), true) = (defining, happened)
            && let Some(sub) = self
                .topics
                .get_mut(topic)
                .and_then(|topic| topic.subs.get_mut(sub))
        {
            for standing in sub.standings.values_mut() {
                if !standing.is_gone() {
                    standing.doubt();
                }
            }
        }
    }

    /// A batch is there as a whole or not at all, judged by messages that nobody touched.
    pub(crate) fn compare_batches(&mut self, found: &Found) -> Checked {
        let tokens: BTreeMap<u64, usize> = found
            .present
            .iter()
            .map(|message| (self.messages[*message].token, *message))
            .collect();
        for message in &found.absent {
            if let Some(other) = tokens.get(&self.messages[*message].token) {
                hold!(
                    false,
                    Atomic,
                    "m{message} is not there, and m{other} of the same batch is"
                );
            }
            self.messages[*message].stored = Stored::No;
        }
        self.compare_pairs(found)
    }
}
