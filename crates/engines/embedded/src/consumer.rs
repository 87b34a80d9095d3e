use crate::log::Needs;
use std::{collections::VecDeque, sync::Arc};
use trunkline_journal::{Place, Watermarks};
use trunkline_model::{Delivery, DeliveryOutbox, DeliveryTag, Error, StoredMessage, Timestamp};
use trunkline_queue::Deliver;

/// Most bodies that one trip to the disk fetches for a consumer.
const READ_RUN_MAX: usize = 64;

/// Where the body of a delivery is.
#[derive(Debug)]
pub(crate) enum Body {
    /// In the journal; its segment is kept.
    At(Place),
    /// Here.
    Held(StoredMessage),
    /// It can't be read.
    Broken(Error),
}

/// A delivery that was decided and has not left.
#[derive(Debug)]
pub(crate) struct Pending {
    deliver: Deliver,
    needs: Needs,
    pub(crate) body: Body,
}

/// Why a consumer's deliveries stop here.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nothing is left, or a trip to the disk is under way.
    Nothing,
    /// The front one is not durable yet.
    Durability,
    /// The front one, and so many behind it, must be read from the disk.
    Read(Vec<Place>),
    /// The front one can't be read.
    Broken(Error),
}

/// A consumer: its sink, and what was decided for it, in that order.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) outbox: Arc<DeliveryOutbox>,
    pub(crate) pending: VecDeque<Pending>,
    /// A trip to the disk is under way.
    pub(crate) reading: bool,
    /// It is among those to be looked at when the journal has come further.
    pub(crate) listed: bool,
    /// What deliveries took of the window that never left, since they were replaced, expired or
    /// timed out while they waited for the disk; in bytes.
    pub(crate) over: u64,
}

impl Consumer {
    pub(crate) fn new(outbox: Arc<DeliveryOutbox>) -> Self {
        Self {
            outbox,
            pending: VecDeque::new(),
            reading: false,
            listed: false,
            over: 0,
        }
    }

    pub(crate) fn add(&mut self, deliver: Deliver, needs: Needs, body: Body) {
        self.pending.push_back(Pending {
            deliver,
            needs,
            body,
        });
    }

    /// Takes what can leave, in order, into `ready`. `fetch` gets a body from memory, if it
    /// is there. What doesn't stand any more, or is over by now, doesn't leave: it is counted
    /// in [`Consumer::over`].
    pub(crate) fn take_ready(
        &mut self,
        marks: Watermarks,
        now: Timestamp,
        stands: impl Fn(DeliveryTag) -> bool,
        mut fetch: impl FnMut(Place) -> Option<Body>,
        ready: &mut Vec<Delivery>,
    ) -> Stop {
        if self.reading {
            return Stop::Nothing;
        }
        while let Some(front) = self.pending.front_mut() {
            if !front.needs.met(marks) {
                return Stop::Durability;
            }
            if let Body::At(place) = front.body {
                match fetch(place) {
                    Some(body) => front.body = body,
                    None => return Stop::Read(self.cold_run(marks)),
                }
            }
            let Some(front) = self.pending.pop_front() else {
                break;
            };
            match front.body {
                Body::Held(message)
                    if message.expires_at.is_some_and(|at| at < now)
                        || !stands(front.deliver.tag) =>
                {
                    self.over += Delivery::weight_of(message.payload.len() as u64);
                }
                Body::Held(message) => ready.push(delivery(front.deliver, message)),
                Body::Broken(error) => return Stop::Broken(error),
                Body::At(_) => debug_assert!(false, "it was fetched"),
            }
        }
        Stop::Nothing
    }

    /// The places of the front deliveries that can leave once they are read.
    fn cold_run(&self, marks: Watermarks) -> Vec<Place> {
        let place = |pending: &Pending| match pending.body {
            Body::At(place) if pending.needs.met(marks) => Some(place),
            _ => None,
        };
        self.pending
            .iter()
            .map_while(place)
            .take(READ_RUN_MAX)
            .collect()
    }

    /// The places that are kept for it.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.pending
            .iter()
            .filter_map(|pending| match pending.body {
                Body::At(place) => Some(place),
                _ => None,
            })
    }
}

fn delivery(deliver: Deliver, message: StoredMessage) -> Delivery {
    Delivery {
        tag: deliver.tag,
        id: deliver.id,
        topic: deliver.topic,
        attempt: deliver.attempt,
        message,
    }
}
