//! A publisher with many requests in flight, who sends again what was not confirmed.

use super::{
    dice::Dice,
    ledger::{Breach, Sent},
    world::{World, unless_ended},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{collections::VecDeque, sync::Arc};
use trunkline::{Connection, MessageId, Pending, RequestError, Target};

/// Publishes in flight.
const WINDOW: usize = 16;
/// Messages of a publish.
const BATCH_MAX: u64 = 20;

/// A publisher, as it outlives servers and connections.
pub(crate) struct Publisher {
    topic: usize,
    dice: Dice,
    /// What was sent, or is about to be, and is not confirmed; in order.
    open: VecDeque<Vec<Sent>>,
    /// The sequence that was confirmed last.
    last: u64,
    /// Publishes that were sent a second time.
    pub(crate) again: u64,
}

impl Publisher {
    pub(crate) fn new(topic: usize, dice: Dice) -> Self {
        Self {
            topic,
            dice,
            open: VecDeque::new(),
            last: 0,
            again: 0,
        }
    }

    /// The server was started again: what is gone from memory is not published a second time.
    pub(crate) fn restarted(&mut self, world: &World) {
        if world.ledger(self.topic).kind.forgets() {
            self.open.clear();
        }
    }

    /// Publishes until the server is gone; leaves a connection now and then, with everything
    /// that is in flight.
    pub(crate) async fn run(mut self, world: Arc<World>, target: Target) -> Result<Self, Breach> {
        while let Ok((client, _pushes)) = Connection::connect(&target).await {
            self.again += self.open.len() as u64;
            let publishes = self.dice.between(20, 300);
            let mut flying = VecDeque::new();
            let there = self.session(&world, &client, publishes, &mut flying);
            if !there.await? {
                while self.settle(&world, &mut flying).await? {}
                break;
            }
        }
        Ok(self)
    }

    /// Makes so many publishes; false once the server is gone.
    async fn session(
        &mut self,
        world: &World,
        client: &Connection,
        publishes: u64,
        flying: &mut VecDeque<Pending>,
    ) -> Result<bool, Breach> {
        for _ in 0..publishes {
            if flying.len() == self.open.len() {
                let batch = self.batch(world);
                self.open.push_back(batch);
            }
            let params = self.params(world, &self.open[flying.len()]);
            match unless_ended(client.start("rpc.topic.publish", &params).await)? {
                Some(pending) => flying.push_back(pending),
                None => return Ok(false),
            }
            while flying.len() >= WINDOW {
                if !self.settle(world, flying).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn batch(&mut self, world: &World) -> Vec<Sent> {
        let mut ledger = world.ledger(self.topic);
        let messages = self.dice.between(1, BATCH_MAX);
        let mut send = |_| ledger.send(self.dice.between(0, u64::MAX - 1));
        (0..messages).map(&mut send).collect()
    }

    fn params(&self, world: &World, batch: &[Sent]) -> Value {
        let topic = world.ledger(self.topic).kind.topic;
        let message = |sent: &Sent| {
            let mut message = json!({
                "payload_text": sent.payload(),
                "priority": sent.priority,
                "publish_id": format!("{topic}-{}", sent.number),
            });
            if let Some(key) = &sent.key {
                message["key"] = json!(key);
            }
            if let Some(group) = &sent.group {
                message["group"] = json!(group);
            }
            if sent.delay_ms > 0 {
                message["delay_ms"] = json!(sent.delay_ms);
            }
            message
        };
        let messages: Vec<_> = batch.iter().map(message).collect();
        json!({"topic": topic, "messages": messages})
    }

    /// Waits for the oldest answer; false if there is none any more, or it says that the server
    /// goes away.
    async fn settle(
        &mut self,
        world: &World,
        flying: &mut VecDeque<Pending>,
    ) -> Result<bool, Breach> {
        #[derive(Deserialize)]
        struct Published {
            ids: Vec<String>,
        }
        let Some(pending) = flying.pop_front() else {
            return Ok(false);
        };
        let answer: Result<Box<RawValue>, RequestError> = pending.await;
        let Some(answer) = unless_ended(answer)? else {
            return Ok(false);
        };
        let Published { ids } = serde_json::from_str(answer.get())
            .map_err(|error| format!("{}: {error}", answer.get()))?;
        let batch = self.open.pop_front().unwrap_or_default();
        if ids.len() != batch.len() {
            return Err(format!("{} ids for {} messages", ids.len(), batch.len()));
        }
        for (sent, id) in batch.iter().zip(&ids) {
            let id: MessageId = id.parse().map_err(|error| format!("{id}: {error:?}"))?;
            world.ledger(self.topic).confirmed(sent.number, id)?;
            if id.sequence <= self.last {
                let (number, last) = (sent.number, self.last);
                return Err(format!(
                    "{number} ({id}): stored before {last}, which was published earlier"
                ));
            }
            self.last = id.sequence;
        }
        world.count(ids.len() as u64);
        Ok(true)
    }
}
