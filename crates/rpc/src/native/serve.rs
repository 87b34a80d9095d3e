//! Serving: workers come, answer and are lost.

use super::{
    Native,
    ask::workers,
    envelope::Reply,
    worker::{Mouth, Offered, Worker},
};
use crate::{errors::worker_lost, lock::lock};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::sync::{Arc, atomic::Ordering};
use trunkline_model::{
    Batch, CallOutcome, CallSink, Command, Completion, ConsumeSpec, DeliveryTag, DispatchId, Error,
    Source, StartFrom, TopicName, WorkerHandle, WorkerSpec, limits,
};

impl Native {
    pub(super) fn take_calls(
        &self,
        spec: &WorkerSpec,
        sink: Arc<dyn CallSink>,
    ) -> Box<dyn WorkerHandle> {
        let native = self
            .me
            .upgrade()
            .expect("whoever calls a method of it holds it");
        let number = self.last_worker.fetch_add(1, Ordering::Relaxed) + 1;
        let concurrency = spec.concurrency.clamp(1, limits::CREDIT_MAX);
        let methods = match self.queues_for(spec) {
            Ok(methods) => methods,
            Err(error) => {
                sink.ended(error);
                HashMap::new()
            }
        };
        let worker = Arc::new(Worker::new(
            number,
            self.me.clone(),
            sink,
            methods,
            spec.category.clone(),
        ));
        lock(&self.running).open(number, concurrency);
        lock(&self.workers).insert(number, worker.clone());
        self.consume(&worker, 0);
        Box::new(Handle { native, worker })
    }

    /// Takes calls through a consumer of this round.
    fn consume(&self, worker: &Arc<Worker>, round: u32) {
        let sources: Vec<Source> = worker.queues().map(|(topic, _)| source(topic)).collect();
        if sources.is_empty() {
            return;
        }
        let consume = ConsumeSpec {
            sources,
            credit: lock(&self.running).allowed(worker.number),
            // The concurrency is the bound.
            window_bytes: u64::MAX,
            auto_ack: false,
        };
        let mouth = Mouth {
            worker: worker.clone(),
            round,
        };
        let consumer = self.engine.consume(&self.system, consume, Arc::new(mouth));
        worker.started_as(self, round, consumer);
    }

    /// The same for a worker whose last consumer has ended: its queues may not be there any more.
    pub(super) fn take_through(&self, worker: &Arc<Worker>, round: u32) {
        let gone = !lock(&self.workers).contains_key(&worker.number);
        if gone || self.closed.load(Ordering::Relaxed) {
            return;
        }
        lock(&self.queues).doubt();
        for (topic, method) in worker.queues() {
            self.define(topic, method);
        }
        self.consume(worker, round);
    }

    /// Takes calls again for the workers that have waited for this.
    pub(super) fn take_again(&self) {
        let workers: Vec<Arc<Worker>> = lock(&self.workers).values().cloned().collect();
        for worker in workers {
            if let Some(round) = worker.waiting_round() {
                self.take_through(&worker, round);
            }
        }
    }

    fn queues_for(&self, spec: &WorkerSpec) -> Result<HashMap<TopicName, Offered>, Error> {
        let mut methods = HashMap::new();
        for method in &spec.methods {
            let queue = {
                let mut queues = lock(&self.queues);
                let queue = queues.use_for(&method.name)?;
                queues.worker_came(&method.name);
                queue
            };
            if queue.define {
                self.define(&queue.topic, &method.name);
            }
            let offered = Offered {
                name: method.name.clone(),
                idempotent: method.idempotent,
            };
            methods.insert(queue.topic, offered);
        }
        Ok(methods)
    }

    /// A call was answered: the answer first, then the ack, so that it is not lost between.
    pub(super) fn finish(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool {
        let finished = lock(&self.running).finish(dispatch.0);
        let Some((finished, credit)) = finished else {
            return false;
        };
        let waited = !finished.cancelled && self.reply(&finished.asked, Reply::Answer(outcome));
        let worker = lock(&self.workers).get(&finished.worker).cloned();
        if let Some(worker) = worker {
            worker.set_credit(self, credit);
            worker.ack(self, finished.round, SmallVec::from_iter([finished.tag]));
        }
        waited
    }

    /// A worker is gone: what may be repeated goes back to its queue, for the others the
    /// asker gets an error.
    fn lose(&self, worker: &Worker) {
        let lost = lock(&self.running).close(worker.number);
        lock(&self.workers).remove(&worker.number);
        worker.set_credit(self, Some(0));
        let consumer = worker.consumer();
        let round = consumer.as_ref().map_or(0, |(round, _)| *round);
        let now = self.clock.now();
        let (mut settled, mut returned) = (SmallVec::new(), SmallVec::<[DeliveryTag; 4]>::new());
        for dispatch in lost {
            let again = dispatch.idempotent && !dispatch.cancelled && now <= dispatch.deadline;
            if again {
                self.reply(&dispatch.asked, Reply::Returned);
                if dispatch.round == round {
                    returned.push(dispatch.tag);
                }
                continue;
            }
            if !dispatch.cancelled {
                let outcome = CallOutcome::Failed(worker_lost());
                self.reply(&dispatch.asked, Reply::Answer(outcome));
            }
            if dispatch.round == round {
                settled.push(dispatch.tag);
            }
        }
        worker.ack(self, round, settled);
        if let Some((_, consumer)) = consumer {
            if !returned.is_empty() {
                let nack = Command::Nack {
                    consumer: consumer.id(),
                    tags: returned,
                    requeue: true,
                    delay: std::time::Duration::ZERO,
                };
                self.engine
                    .submit(&self.system, Batch::of(nack), Completion::ignored());
            }
            consumer.cancel();
        }
        let mut queues = lock(&self.queues);
        for method in worker.methods() {
            queues.worker_left(method);
        }
    }
}

fn source(topic: &TopicName) -> Source {
    Source {
        topic: topic.clone(),
        subscription: workers(),
        from: Some(StartFrom::All),
    }
}

struct Handle {
    native: Arc<Native>,
    worker: Arc<Worker>,
}

impl WorkerHandle for Handle {
    fn drain(&self) {
        lock(&self.native.running).drain(self.worker.number);
        self.worker.set_credit(&self.native, Some(0));
    }

    fn running(&self) -> u32 {
        lock(&self.native.running).count(self.worker.number)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.native.lose(&self.worker);
    }
}
