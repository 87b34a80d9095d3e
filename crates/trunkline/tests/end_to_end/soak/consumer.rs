//! Consumers of all sorts: prompt ones, picky ones, slow ones, and such as leave without a word.

use super::{
    dice::Dice,
    ledger::{Arrived, Breach, Session},
    world::{World, unless_ended},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{future::Future, pin::Pin, sync::Arc};
use trunkline::{Connection, Push, Pushes, RequestError, Target};

/// A place to consume from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) topic: usize,
    pub(crate) subscription: &'static str,
}

/// What a consumer does with what it gets.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// Acks each push at once.
    Prompt,
    /// Acks most, returns some, gives few up, and keeps the others for a while.
    Picky,
    /// Keeps until it has half of its credit, and acks some of that in any order.
    Slow,
}

/// What becomes of a delivery that is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Acked,
    GivenUp,
    Returned,
}

/// Numbers on their way to be settled for good, and the answer to come.
type Settling = Pin<Box<dyn Future<Output = (Vec<u64>, Fate, Answer)> + Send>>;
type Answer = Result<Box<RawValue>, RequestError>;

/// Takes until the server is gone; leaves now and then, with everything that is unacked.
pub(crate) async fn consume(
    world: Arc<World>,
    target: Target,
    place: Place,
    mut dice: Dice,
) -> Result<(), Breach> {
    while let Ok((client, pushes)) = Connection::connect(&target).await {
        let (pushes_max, credit) = (dice.between(2, 60), dice.between(1, 150));
        let consumer = open(&client, &world, place, credit).await?;
        let Some(consumer) = consumer else { break };
        let mut guest = Guest {
            world: &world,
            place,
            client,
            consumer,
            credit: credit as usize,
            style: match dice.between(0, 2) {
                0 => Style::Prompt,
                1 => Style::Picky,
                _ => Style::Slow,
            },
            session: Session::new(),
            held: Vec::new(),
            settling: FuturesUnordered::new(),
        };
        if !guest.stay(pushes, pushes_max, &mut dice).await? {
            break;
        }
        let mut ledger = world.ledger(place.topic);
        ledger.leaving(place.subscription, &guest.session);
    }
    Ok(())
}

async fn open(
    client: &Connection,
    world: &World,
    place: Place,
    credit: u64,
) -> Result<Option<String>, Breach> {
    let topic = world.ledger(place.topic).kind.topic;
    let consume = json!({"topic": topic, "subscription": place.subscription, "credit": credit});
    let answer: Option<Value> = unless_ended(client.ask("rpc.topic.consume", &consume).await)?;
    Ok(answer.and_then(|answer| Some(answer["consumer"].as_str()?.to_owned())))
}

/// One consumer on one connection.
struct Guest<'a> {
    world: &'a World,
    place: Place,
    client: Connection,
    consumer: String,
    credit: usize,
    style: Style,
    session: Session,
    /// Tags and numbers that are neither acked nor returned.
    held: Vec<(u64, u64)>,
    settling: FuturesUnordered<Settling>,
}

impl Guest<'_> {
    /// Takes so many pushes; whether the server is there afterwards.
    async fn stay(
        &mut self,
        mut pushes: Pushes,
        pushes_max: u64,
        dice: &mut Dice,
    ) -> Result<bool, Breach> {
        let mut taken = 0;
        while taken < pushes_max {
            tokio::select! {
                push = pushes.next() => {
                    let Some(push) = push else {
                        while let Some((numbers, fate, answer)) = self.settling.next().await {
                            self.settled(&numbers, fate, answer)?;
                        }
                        return Ok(false);
                    };
                    self.held.extend(take(self.world, self.place, &mut self.session, &push)?);
                    self.act(dice).await?;
                    taken += 1;
                }
                Some((numbers, fate, answer)) = self.settling.next() => {
                    self.settled(&numbers, fate, answer)?;
                }
            }
        }
        Ok(true)
    }

    /// Does with what it holds what its style wants.
    async fn act(&mut self, dice: &mut Dice) -> Result<(), Breach> {
        let held = std::mem::take(&mut self.held);
        let full = held.len() >= self.credit;
        let mut acked = Vec::new();
        for (tag, number) in held {
            match self.style {
                _ if full => acked.push((tag, number)),
                Style::Prompt => acked.push((tag, number)),
                Style::Picky => match dice.between(0, 199) {
                    0..=1 => self.give_up(tag, number).await?,
                    2..=30 => self.give_back(tag, number).await?,
                    31..=60 => self.held.push((tag, number)),
                    _ => acked.push((tag, number)),
                },
                Style::Slow => self.held.push((tag, number)),
            }
        }
        if self.held.len() > self.credit / 2 {
            for _ in 0..self.held.len() / 2 {
                let any = dice.between(0, self.held.len() as u64 - 1) as usize;
                acked.push(self.held.swap_remove(any));
            }
        }
        self.ack(&acked).await
    }

    async fn ack(&mut self, acked: &[(u64, u64)]) -> Result<(), Breach> {
        // Where a message may be replaced, the ack of one must not hide in that of others.
        let together = match self.world.ledger(self.place.topic).kind.keys {
            0 => acked.len().max(1),
            _ => 1,
        };
        for acked in acked.chunks(together) {
            let (tags, numbers): (Vec<u64>, _) = acked.iter().copied().unzip();
            let ack = json!({"consumer": self.consumer, "tags": tags});
            self.settle("rpc.topic.ack", ack, numbers, Fate::Acked)
                .await?;
        }
        Ok(())
    }

    async fn give_up(&mut self, tag: u64, number: u64) -> Result<(), Breach> {
        let nack = json!({"consumer": self.consumer, "tags": [tag], "requeue": false});
        let fate = Fate::GivenUp;
        self.settle("rpc.topic.nack", nack, vec![number], fate)
            .await
    }

    async fn give_back(&mut self, tag: u64, number: u64) -> Result<(), Breach> {
        let nack = json!({"consumer": self.consumer, "tags": [tag]});
        let fate = Fate::Returned;
        self.settle("rpc.topic.nack", nack, vec![number], fate)
            .await
    }

    async fn settle(
        &mut self,
        method: &str,
        params: Value,
        numbers: Vec<u64>,
        fate: Fate,
    ) -> Result<(), Breach> {
        let Place {
            topic,
            subscription,
        } = self.place;
        match fate {
            Fate::Returned => self.world.ledger(topic).returning(subscription, &numbers),
            _ => self.world.ledger(topic).settling(subscription, &numbers),
        }
        if let Some(pending) = unless_ended(self.client.start(method, &params).await)? {
            let answer = async move { (numbers, fate, pending.await) };
            self.settling.push(Box::pin(answer));
        }
        Ok(())
    }

    /// Only a replaced message may be gone before its ack comes.
    fn settled(&mut self, numbers: &[u64], fate: Fate, answer: Answer) -> Result<(), Breach> {
        let Some(answer) = unless_ended(answer)? else {
            return Ok(());
        };
        settled(self.world, self.place, numbers, fate, &answer)
    }
}

/// Notes the deliveries of a push; their tags and numbers.
pub(crate) fn take(
    world: &World,
    place: Place,
    session: &mut Session,
    push: &Push,
) -> Result<Vec<(u64, u64)>, Breach> {
    #[derive(Deserialize)]
    struct Deliver {
        deliveries: Vec<Delivery>,
    }
    let Deliver { deliveries } = push.read().map_err(|error| format!("{push:?}: {error}"))?;
    let mut taken = Vec::new();
    for delivery in deliveries {
        let tag = delivery.tag;
        taken.push((tag, note(world, place, session, delivery)?));
    }
    world.count(taken.len() as u64);
    Ok(taken)
}

/// A delivery, as it is on the wire.
#[derive(Deserialize)]
pub(crate) struct Delivery {
    tag: u64,
    id: String,
    payload_text: String,
    priority: u8,
    key: Option<String>,
    group: Option<String>,
    attempt: u32,
}

/// Notes one delivery; its number.
pub(crate) fn note(
    world: &World,
    place: Place,
    session: &mut Session,
    delivery: Delivery,
) -> Result<u64, Breach> {
    let id = delivery.id.parse();
    let arrived = Arrived {
        id: id.map_err(|error| format!("{}: {error:?}", delivery.id))?,
        payload: delivery.payload_text,
        priority: delivery.priority,
        key: delivery.key,
        group: delivery.group,
        attempt: delivery.attempt,
    };
    let mut ledger = world.ledger(place.topic);
    ledger.delivered(place.subscription, session, &arrived)
}

/// Notes the answer to an ack or a nack.
pub(crate) fn settled(
    world: &World,
    place: Place,
    numbers: &[u64],
    fate: Fate,
    answer: &RawValue,
) -> Result<(), Breach> {
    #[derive(Deserialize)]
    struct Settled {
        #[serde(alias = "nacked")]
        acked: u64,
    }
    let Settled { acked } =
        serde_json::from_str(answer.get()).map_err(|error| format!("{answer}: {error}"))?;
    let mut ledger = world.ledger(place.topic);
    if acked == numbers.len() as u64 {
        match fate {
            Fate::Acked => ledger.settled(place.subscription, numbers),
            Fate::GivenUp => ledger.given_up(place.subscription, numbers),
            Fate::Returned => {}
        }
    } else if ledger.kind.keys == 0 {
        return Err(format!(
            "{numbers:?} were held, and {acked} of them settled"
        ));
    }
    drop(ledger);
    world.count(numbers.len() as u64);
    Ok(())
}
