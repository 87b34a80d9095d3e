//! What a load makes on a server, it removes.

use anyhow::Result;
use serde_json::json;

use super::LoadPlan;
use crate::rpc;
use crate::ws::WebSocket;

/// Something that couldn't be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// The topic's name.
    pub topic: String,
    /// Why it is still there, or may be.
    pub why: String,
}

/// The topic of a load.
pub(super) struct Topic {
    pub(super) name: String,
    /// Whether the server was asked to make it.
    asked_for: bool,
}

/// The code of "no such topic".
const UNKNOWN: &str = "-32009";

impl Topic {
    pub(super) fn new(plan: &LoadPlan) -> Topic {
        Topic {
            name: format!("bench.{}", plan.name),
            asked_for: false,
        }
    }

    /// Makes it, with a subscription of this name if there is one.
    pub(super) fn make(
        &mut self,
        socket: &mut WebSocket,
        subscription: Option<&str>,
    ) -> Result<()> {
        self.asked_for = true;
        let topic = &self.name;
        rpc::request(socket, "rpc.topic.declare", &json!({"topic": topic}))?;
        if let Some(subscription) = subscription {
            let params = json!({"topic": topic, "subscription": subscription});
            rpc::request(socket, "rpc.topic.subscribe", &params)?;
        }
        Ok(())
    }

    /// Deletes it, on a connection of its own: that of the load may have failed.
    pub(super) fn remove(self, plan: &LoadPlan) -> Option<Leftover> {
        if !self.asked_for {
            return None;
        }
        let params = json!({"topic": self.name});
        let deleted = plan
            .connect()
            .and_then(|mut socket| rpc::request(&mut socket, "rpc.topic.delete", &params));
        let why = format!("{:#}", deleted.err()?);
        (!why.contains(UNKNOWN)).then_some(Leftover {
            topic: self.name,
            why,
        })
    }
}
