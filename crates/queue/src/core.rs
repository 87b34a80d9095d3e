use crate::{BodyRef, Cost, Effects, PutHandle, Record, ReplayError};
use trunkline_model::{
    Admin, Batch, ConsumeSpec, ConsumerId, Consuming, Error, MessageId, Outcome, PeekFrom, Receipt,
    Timestamp, TopicInfo, TopicName, TopicSettings,
};

/// How topics come to be.
#[derive(Clone, Debug, PartialEq)]
pub struct CoreConfig {
    /// Whether publishing to or consuming from a topic that is not there makes it.
    pub auto_create: bool,
    /// Options of topics made that way. The configuration has checked that they resolve.
    pub defaults: TopicSettings,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            auto_create: true,
            defaults: TopicSettings::default(),
        }
    }
}

/// A message that was looked at: the engine reads its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Its identity.
    pub id: MessageId,
    /// Where its body is.
    pub body: BodyRef,
}

/// All topics of a store.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
}

#[allow(missing_docs, unused_variables, clippy::missing_errors_doc)]
impl Core {
    pub fn new(config: CoreConfig) -> Self {
        Self { config }
    }
    pub fn check(&self, now: Timestamp, batch: &Batch) -> Result<Cost, Error> {
        Err(Error::internal())
    }
    pub fn apply(&mut self, now: Timestamp, batch: Batch, out: &mut Effects) -> Receipt {
        Receipt::default()
    }
    pub fn check_admin(&self, now: Timestamp, command: &Admin) -> Result<Cost, Error> {
        Err(Error::internal())
    }
    pub fn manage(&mut self, now: Timestamp, command: Admin, out: &mut Effects) -> Outcome {
        Outcome::Removed { messages: 0 }
    }
    pub fn info(&self, topic: &str) -> Result<TopicInfo, Error> {
        Err(Error::not_found("topic", topic))
    }
    pub fn list(&self, after: Option<&TopicName>, limit: usize) -> Vec<TopicInfo> {
        Vec::new()
    }
    pub fn peek(
        &self,
        now: Timestamp,
        topic: &str,
        subscription: Option<&str>,
        limit: usize,
        from: PeekFrom,
    ) -> Result<Vec<Peeked>, Error> {
        Ok(Vec::new())
    }
    pub fn check_attach(&self, now: Timestamp, spec: &ConsumeSpec) -> Result<Cost, Error> {
        Err(Error::internal())
    }
    pub fn attach(
        &mut self,
        now: Timestamp,
        consumer: ConsumerId,
        spec: ConsumeSpec,
        out: &mut Effects,
    ) -> Consuming {
        Consuming::default()
    }
    pub fn start(&mut self, consumer: ConsumerId) {}
    pub fn credit(&mut self, consumer: ConsumerId, credit: u32) {}
    pub fn taken(&mut self, consumer: ConsumerId, bytes: u64) {}
    pub fn detach(&mut self, now: Timestamp, consumer: ConsumerId, out: &mut Effects) -> u64 {
        0
    }
    pub fn set_body(&mut self, put: PutHandle, body: BodyRef) {}
    pub fn pump(&mut self, now: Timestamp, out: &mut Effects) {}
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
    pub fn tick(&mut self, now: Timestamp, out: &mut Effects) {}
    pub fn replay(&mut self, record: Record<'_>, body: BodyRef) -> Result<(), ReplayError> {
        Ok(())
    }
    pub fn recovered(&mut self, now: Timestamp, out: &mut Effects) {}
    /// After recovery: every live body with its payload bytes, for the engine's count of live puts a segment.
    pub fn bodies(&self, visit: &mut dyn FnMut(BodyRef, u32)) {}
    pub fn definitions(&self, out: &mut Effects) {}
    pub fn waiting_units(&self) -> u64 {
        0
    }
}
