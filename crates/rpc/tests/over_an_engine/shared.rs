//! An engine that says that others use it too, as one behind which there are several processes
//! does: so that calls travel over it.

use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use trunkline_model::{
    Admin, Batch, Caller, Capabilities, ChannelMessage, Completion, ConsumeSpec, ConsumerHandle,
    DeliverySink, Engine, Health, ListenHandle, ListenPolicy, ListenerSink,
};

pub(crate) struct Shared {
    engine: Arc<dyn Engine>,
    capabilities: watch::Sender<Capabilities>,
}

impl Shared {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Arc<Self> {
        let claimed = Capabilities {
            shared: true,
            ..engine.capabilities().borrow().clone()
        };
        Arc::new(Self {
            engine,
            capabilities: watch::channel(claimed).0,
        })
    }
}

impl Engine for Shared {
    fn capabilities(&self) -> watch::Receiver<Capabilities> {
        self.capabilities.subscribe()
    }

    fn submit(&self, caller: &Caller, batch: Batch, completion: Completion) {
        self.engine.submit(caller, batch, completion);
    }

    fn admin(&self, caller: &Caller, command: Admin, completion: Completion) {
        self.engine.admin(caller, command, completion);
    }

    fn consume(
        &self,
        caller: &Caller,
        spec: ConsumeSpec,
        sink: Arc<dyn DeliverySink>,
    ) -> Box<dyn ConsumerHandle> {
        self.engine.consume(caller, spec, sink)
    }

    fn publish_channel(&self, caller: &Caller, message: ChannelMessage, completion: Completion) {
        self.engine.publish_channel(caller, message, completion);
    }

    fn listen(
        &self,
        caller: &Caller,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Box<dyn ListenHandle> {
        self.engine.listen(caller, sink, policy)
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.engine.health()
    }

    fn close(&self, deadline: Duration) {
        self.engine.close(deadline);
    }
}
