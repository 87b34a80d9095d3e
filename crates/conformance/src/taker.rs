use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
};
use trunkline_model::{
    ConsumerHandle, ConsumerId, Consuming, Delivery, DeliverySink, DeliveryTag, Error, Wake,
};

#[derive(Debug, Default)]
struct Log {
    started: Option<Result<Consuming, Error>>,
    deliveries: VecDeque<Delivery>,
    ended: Option<Error>,
    last_tag: u64,
    broken: Option<&'static str>,
}

/// The sink of a [`Taker`]: writes down what comes, and what must not.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    log: Mutex<Log>,
    inside: Mutex<()>,
    wake: Wake,
}

impl Recorder {
    fn record(&self, what: impl FnOnce(&mut Log)) {
        let inside = self.inside.try_lock();
        let mut log = self.log();
        if matches!(inside, Err(TryLockError::WouldBlock)) {
            log.broken = Some("the sink was called by two threads at once");
        }
        if log.ended.is_some() {
            log.broken = Some("something came after the end");
        }
        what(&mut log);
        drop(log);
        self.wake.wake();
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log
            .lock()
            .expect("no code panics while it holds the log")
    }
}

impl DeliverySink for Recorder {
    fn started(&self, result: Result<Consuming, Error>) {
        self.record(|log| {
            if log.started.is_some() {
                log.broken = Some("the consumer started twice");
            }
            log.started = Some(result);
        });
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.record(|log| {
            if !matches!(log.started, Some(Ok(_))) {
                log.broken = Some("a delivery came before the consumer started");
            }
            for delivery in deliveries {
                if delivery.tag.0 <= log.last_tag {
                    log.broken = Some("tags do not increase");
                }
                log.last_tag = delivery.tag.0;
                log.deliveries.push_back(delivery);
            }
        });
    }

    fn ended(&self, reason: Error) {
        self.record(|log| log.ended = Some(reason));
    }
}

/// A consumer and what it was sent.
pub(crate) struct Taker {
    recorder: Arc<Recorder>,
    pub(crate) handle: Box<dyn ConsumerHandle>,
}

impl Taker {
    pub(crate) fn new(recorder: Arc<Recorder>, handle: Box<dyn ConsumerHandle>) -> Self {
        Self { recorder, handle }
    }

    pub(crate) fn id(&self) -> ConsumerId {
        self.handle.id()
    }

    /// How the consumer began.
    pub(crate) async fn started(&self) -> Result<Consuming, Error> {
        self.wait(|log| log.started.clone()).await
    }

    /// Why the engine ended it.
    pub(crate) async fn ended(&self) -> Error {
        self.wait(|log| log.ended.clone()).await
    }

    /// The next delivery, as soon as it is there; it stays in the window.
    pub(crate) async fn next_held(&self) -> Delivery {
        self.wait(|log| log.deliveries.pop_front()).await
    }

    /// The next delivery, as soon as it is there.
    pub(crate) async fn next(&self) -> Delivery {
        let delivery = self.next_held().await;
        self.handle.taken(delivery.weight());
        delivery
    }

    /// The next `n` deliveries.
    pub(crate) async fn take(&self, n: usize) -> Vec<Delivery> {
        let mut taken = Vec::with_capacity(n);
        while taken.len() < n {
            taken.push(self.next().await);
        }
        taken
    }

    /// The texts of the next `n` deliveries.
    pub(crate) async fn texts(&self, n: usize) -> Vec<String> {
        texts(&self.take(n).await)
    }

    /// Texts of what is there already.
    pub(crate) fn rest(&self) -> Vec<String> {
        let mut log = self.recorder.log();
        let rest: Vec<Delivery> = log.deliveries.drain(..).collect();
        texts(&rest)
    }

    async fn wait<T>(&self, mut look: impl FnMut(&mut Log) -> Option<T>) -> T {
        loop {
            let found = {
                let mut log = self.recorder.log();
                assert_eq!(log.broken, None, "a promise of DeliverySink");
                look(&mut log)
            };
            match found {
                Some(found) => return found,
                None => self.recorder.wake.woken().await,
            }
        }
    }
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.payload).into_owned()
}

pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}

pub(crate) fn tags(deliveries: &[Delivery]) -> Vec<DeliveryTag> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}
