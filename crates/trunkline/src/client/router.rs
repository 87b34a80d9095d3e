//! Where pushes go.

use super::{
    Push, consume::ConsumerSeat, listen::ListenerSeat, loss::Loss, shared::Shared,
    worker::WorkerSeat,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};
use trunkline_jsonrpc::{Id, Request, Text, present};

/// Takes what the server sends of its own accord.
#[derive(Debug)]
pub(super) enum Inbound {
    /// To whoever takes pushes as they are; reading waits until there is room.
    Raw(tokio::sync::mpsc::Sender<Push>),
    /// To the consumer, listener or worker that it is for; reading never waits.
    Routed(Router),
}

/// The seats of one connection, by what the server calls them. Belongs to whoever reads the
/// connection, and is filled from the answers that are read, so a push never comes too early.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) connection: u64,
    shared: Arc<Shared>,
    consumers: HashMap<Box<str>, Weak<ConsumerSeat>>,
    workers: Vec<(Box<str>, Weak<WorkerSeat>)>,
    listeners: Vec<Weak<ListenerSeat>>,
}

#[derive(Deserialize)]
struct Ended<'a> {
    #[serde(default, borrow)]
    consumer: Option<Text<'a>>,
    #[serde(default, borrow)]
    worker: Option<Text<'a>>,
    error: super::RpcError,
}

#[derive(Deserialize)]
struct OfCall<'a> {
    #[serde(borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

impl Router {
    pub(super) fn new(shared: Arc<Shared>, connection: u64) -> Self {
        Self {
            connection,
            shared,
            consumers: HashMap::new(),
            workers: Vec::new(),
            listeners: Vec::new(),
        }
    }

    pub(super) fn add_consumer(&mut self, id: Box<str>, seat: &Arc<ConsumerSeat>) {
        self.consumers.retain(|_, seat| seat.strong_count() > 0);
        self.consumers.insert(id, Arc::downgrade(seat));
    }

    pub(super) fn add_worker(&mut self, id: Box<str>, seat: &Arc<WorkerSeat>) {
        self.workers.retain(|(_, seat)| seat.strong_count() > 0);
        self.workers.push((id, Arc::downgrade(seat)));
    }

    pub(super) fn add_listener(&mut self, seat: &Arc<ListenerSeat>) {
        self.listeners.retain(|seat| seat.strong_count() > 0);
        self.listeners.push(Arc::downgrade(seat));
    }

    /// Hands a push on. One that nobody wants any more is passed over.
    pub(super) fn route(&mut self, request: &Request<'_>) -> Result<(), Loss> {
        let params = request.params.map_or("null", RawValue::get);
        let unreadable = |error: serde_json::Error| {
            Loss::of(format!(
                "the server's {} can't be read: {error}",
                request.method
            ))
        };
        if let Some(id) = request.id {
            self.call(id, request);
            return Ok(());
        }
        match &*request.method {
            "rpc.topic.deliver" => self.deliver(params).map_err(unreadable)?,
            "rpc.channel.message" => {
                let message = super::listen::Message::read(params).map_err(unreadable)?;
                self.each_listener(|seat| seat.heard(&message));
            }
            "rpc.channel.status" => {
                let status = super::listen::Status::read(params).map_err(unreadable)?;
                self.each_listener(|seat| seat.told(&status));
            }
            "rpc.progress" => {
                let told: OfCall<'_> = serde_json::from_str(params).map_err(unreadable)?;
                if let (Some(id), Some(value)) = (number(told.id), told.value)
                    && let Some(queue) = self.shared.progress_of(id)
                {
                    queue.push(value.to_owned());
                }
            }
            "rpc.cancel" => {
                let cancel: OfCall<'_> = serde_json::from_str(params).map_err(unreadable)?;
                if let Some(id) = cancel.id {
                    let workers = self.workers.iter().filter_map(|(_, seat)| seat.upgrade());
                    workers.for_each(|seat| seat.cancelled(self.connection, id.get()));
                }
            }
            "rpc.topic.ended" | "rpc.worker.ended" => {
                let ended: Ended<'_> = serde_json::from_str(params).map_err(unreadable)?;
                self.ended(ended);
            }
            // Something of a later version.
            _ => {}
        }
        Ok(())
    }

    fn deliver(&mut self, params: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Deliver<'a> {
            #[serde(borrow)]
            consumer: Text<'a>,
            #[serde(borrow)]
            deliveries: &'a RawValue,
        }
        let deliver: Deliver<'_> = serde_json::from_str(params)?;
        let seat = self.consumers.get(&*deliver.consumer);
        // One that was cancelled is not there; the server takes its deliveries back.
        if let Some(seat) = seat.and_then(Weak::upgrade) {
            seat.deliver(self.connection, deliver.deliveries.get());
        }
        Ok(())
    }

    fn call(&self, id: Id<'_>, request: &Request<'_>) {
        let worker = self
            .workers
            .iter()
            .filter_map(|(_, seat)| seat.upgrade())
            .find(|seat| seat.offers(&request.method));
        match worker {
            Some(seat) => seat.run(self.connection, id, request),
            None => super::worker::refuse(&self.shared, self.connection, id, &request.method),
        }
    }

    fn ended(&mut self, ended: Ended<'_>) {
        if let Some(name) = ended.consumer
            && let Some(seat) = self.consumers.remove(&*name)
            && let Some(seat) = seat.upgrade()
        {
            seat.ended(ended.error);
        } else if let Some(name) = ended.worker
            && let Some(at) = self.workers.iter().position(|(id, _)| **id == *name)
            && let Some(seat) = self.workers.swap_remove(at).1.upgrade()
        {
            seat.ended_by(ended.error);
        }
    }

    fn each_listener(&mut self, mut tell: impl FnMut(&ListenerSeat)) {
        self.listeners.retain(|seat| match seat.upgrade() {
            Some(seat) => {
                tell(&seat);
                true
            }
            None => false,
        });
    }
}

fn number(id: Option<&RawValue>) -> Option<u64> {
    Id::from_json(id?.get())?.as_u64()
}
