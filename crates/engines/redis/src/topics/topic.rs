//! A topic in use: what waits for it, and the task that asks.
//!
//! One request is under way at a time. What comes meanwhile goes into the next one, in order, and
//! so do the consumers who have room: who is alone waits for nobody, and many share a trip.

use super::consumers::{Attaching, Taking};
use super::job::{Job, Order, Outgoing, Then, Trouble};
use super::script::{Answer, Done, Refusal, Reply, Request, Step};
use super::sweep;
use super::{FOREVER, Topics};
use crate::deployment::Failure;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use trunkline_model::{Backoff, Error, ErrorCode, TopicName, refusal};

/// Most steps of clients in a request.
const STEPS_MAX: usize = 512;
/// Most bytes of the same, but for one that is larger.
const BYTES_MAX: u64 = 1 << 20;
/// Most sources of consumers of which a request takes.
const TAKES_MAX: usize = 64;
/// A topic of which nobody wants anything for so long is let go of.
const IDLE: Duration = Duration::from_secs(10);
/// Longest wait for something that is due.
const DUE_MAX: Duration = Duration::from_secs(3_600);
/// While an answer doesn't come, it is looked so often for what can't wait for it.
const LOOK: Duration = Duration::from_millis(100);
/// Waits between tries.
const AGAIN: Backoff = Backoff {
    min: Duration::from_millis(20),
    max: Duration::from_secs(1),
};

/// What waits for a topic.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Consumers here may have room.
    thirsty: bool,
    /// Something may have happened in the topic.
    woken: bool,
    /// It is let go of: whoever finds it makes it anew.
    gone: bool,
    /// Dead letters are being carried away.
    burying: bool,
    /// A request is under way.
    asking: bool,
}

/// A topic in use.
pub(super) struct Topic {
    pub(super) name: TopicName,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

impl Topic {
    pub(super) fn new(name: TopicName) -> Self {
        Self {
            name,
            waiting: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Adds a step; gives it back if the topic was let go of.
    pub(super) fn push(&self, job: Job) -> Result<(), Box<Job>> {
        let mut waiting = self.waiting();
        if waiting.gone {
            return Err(Box::new(job));
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// A consumer may have room, or, if `woken`, something may have come.
    pub(super) fn nudge(&self, woken: bool) {
        let mut waiting = self.waiting();
        waiting.thirsty = true;
        waiting.woken |= woken;
        drop(waiting);
        self.changed.notify_one();
    }

    /// Whether this call is the one that has to carry dead letters away.
    pub(super) fn begin_burying(&self) -> bool {
        !mem::replace(&mut self.waiting().burying, true)
    }

    pub(super) fn end_burying(&self) {
        self.waiting().burying = false;
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.waiting();
        waiting.jobs.is_empty()
            && !waiting.asking
            && !waiting.thirsty
            && !waiting.woken
            && !waiting.burying
    }

    /// Takes what waits: nothing will be asked any more.
    pub(super) fn abandon(&self) -> Vec<Job> {
        let mut waiting = self.waiting();
        waiting.gone = true;
        waiting.jobs.drain(..).collect()
    }

    /// When the first of what waits can't wait any longer.
    fn late(&self) -> Option<Instant> {
        let waiting = self.waiting();
        waiting.jobs.iter().map(|job| job.order.deadline).min()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .expect("no code panics while it holds a topic")
    }
}

/// A request that is put together.
struct Round {
    steps: Vec<Step>,
    /// Of the first steps, in order.
    orders: Vec<Order>,
    /// Of the other ones.
    takings: Vec<Taking>,
}

/// The task of a topic.
pub(super) struct Actor {
    topics: Arc<Topics>,
    topic: Arc<Topic>,
    /// When something happens in the topic by itself.
    due: Option<Instant>,
    /// When the last request ended.
    asked: Instant,
    /// When the last one ended that was about something.
    used: Instant,
    /// Tries that have failed in a row.
    failures: u32,
    /// What was said last, if there was no answer since.
    trouble: Option<String>,
    /// The topic knows nothing of this process: it never did, or was told that this process goes.
    left: bool,
}

impl Actor {
    pub(super) fn new(topics: Arc<Topics>, topic: Arc<Topic>) -> Self {
        let now = Instant::now();
        Self {
            topics,
            topic,
            due: None,
            asked: now,
            used: now,
            failures: 0,
            trouble: None,
            left: true,
        }
    }

    /// Asks until nobody wants anything any more.
    pub(super) async fn run(mut self) {
        loop {
            self.give_up_late();
            self.find_out().await;
            if let Some(round) = self.round() {
                self.topic.waiting().asking = true;
                self.ask(round).await;
                self.topic.waiting().asking = false;
                continue;
            }
            if self.ends() {
                break;
            }
            if self.topics.is_closing() && !mem::replace(&mut self.left, true) {
                self.leave().await;
                continue;
            }
            let until = self.next_turn();
            tokio::select! {
                () = self.topic.changed.notified() => {}
                () = sleep_until(until) => {}
            }
        }
        self.topics.let_go(&self.topic);
    }

    /// When there is something to do though nothing comes.
    fn next_turn(&self) -> Instant {
        let now = Instant::now();
        let mut until = now + IDLE;
        if self.topics.consumers().has_any(&self.topic.name) {
            until = until.min(self.asked + self.topics.lease / 3);
        }
        if let Some(due) = self.due {
            until = until.min(due);
        }
        self.topic.late().map_or(until, |late| until.min(late))
    }

    /// Whether the topic can be let go of; then nothing can be left in it any more.
    fn ends(&self) -> bool {
        let closing = self.topics.is_closing() && self.left;
        let idle = self.used.elapsed() >= IDLE
            && self
                .due
                .is_none_or(|due| due > Instant::now() + sweep::EVERY)
            && !self.topics.consumers().has_any(&self.topic.name);
        let mut waiting = self.topic.waiting();
        waiting.gone = (closing || idle) && waiting.jobs.is_empty() && !waiting.burying;
        waiting.gone
    }

    /// What waited for too long is answered.
    fn give_up_late(&self) {
        let now = Instant::now();
        let mut waiting = self.topic.waiting();
        if waiting.jobs.iter().all(|job| job.order.deadline > now) {
            return;
        }
        let (late, jobs) = mem::take(&mut waiting.jobs)
            .into_iter()
            .partition::<VecDeque<Job>, _>(|job| job.order.deadline <= now);
        waiting.jobs = jobs;
        drop(waiting);
        let mut out = Outgoing::default();
        for job in late {
            let error = self.topics.too_late(self.trouble.as_deref(), false);
            self.end(job.order.then, Err(Trouble::Failed(error)), &mut out);
        }
        out.hand_over(&self.topics);
    }

    /// The first step may have to wait until something is known.
    async fn find_out(&self) {
        loop {
            let first = self.topic.waiting().jobs.front_mut().and_then(|job| {
                let check = job.order.check.take()?;
                Some((check, job.order.deadline))
            });
            let Some((check, deadline)) = first else {
                return;
            };
            let checked = tokio::time::timeout_at(deadline, check).await;
            let checked = checked
                .unwrap_or_else(|_| Err(self.topics.too_late(self.trouble.as_deref(), false)));
            if let Err(error) = checked
                && let Some(job) = self.pop()
            {
                let mut out = Outgoing::default();
                self.end(job.order.then, Err(Trouble::Failed(error)), &mut out);
                out.hand_over(&self.topics);
            }
        }
    }

    fn pop(&self) -> Option<Job> {
        self.topic.waiting().jobs.pop_front()
    }

    /// What is to be asked now; nothing if nothing calls for it.
    fn round(&self) -> Option<Round> {
        let now = Instant::now();
        let mut round = Round {
            steps: Vec::new(),
            orders: Vec::new(),
            takings: Vec::new(),
        };
        // Before what waits: what a step settles makes room with the request that has the step, not with an earlier one.
        let mut consumers = self.topics.consumers();
        let mut waiting = self.topic.waiting();
        let (thirsty, woken) = (
            mem::take(&mut waiting.thirsty),
            mem::take(&mut waiting.woken),
        );
        let mut bytes = 0;
        while let Some(job) = waiting.jobs.front() {
            let fits = bytes == 0 || bytes + job.order.bytes <= BYTES_MAX;
            if round.steps.len() == STEPS_MAX || !fits || job.order.check.is_some() {
                break;
            }
            let Some(job) = waiting.jobs.pop_front() else {
                break;
            };
            bytes += job.order.bytes.max(1);
            round.steps.push(job.step);
            round.orders.push(job.order);
            if matches!(round.steps.last(), Some(Step::Delete)) {
                break;
            }
        }
        drop(waiting);
        let name = &self.topic.name;
        let due = self.due.is_some_and(|due| due <= now);
        let renew = consumers.has_any(name) && self.asked + self.topics.lease / 3 <= now;
        let happens = woken || due || !round.steps.is_empty();
        // Whoever renews looks, too: who isn't heard when he wakes us is waited for no longer than that.
        if happens || renew {
            consumers.refill(name);
        }
        let deletes = matches!(round.steps.last(), Some(Step::Delete));
        if (happens || thirsty || renew) && !deletes && !self.topics.is_closing() {
            round.takings = consumers.takes(name, TAKES_MAX);
        }
        drop(consumers);
        if round.takings.len() == TAKES_MAX {
            // Others have their turn with the next request.
            self.topic.waiting().thirsty = true;
        }
        let takes = round.takings.iter().map(|taking| Step::Take {
            consumer: taking.consumer.0,
            subscription: taking.subscription.clone(),
            count: taking.count,
            bytes: taking.bytes,
            at_least_one: taking.at_least_one,
            auto_ack: taking.auto_ack,
        });
        let steps: Vec<Step> = takes.collect();
        round.steps.extend(steps);
        (happens || renew || !round.steps.is_empty()).then_some(round)
    }

    /// Asks until there is an answer, or until it is certain that nothing was done.
    async fn ask(&mut self, mut round: Round) {
        let mut steps = round.steps.iter();
        self.left &= !steps.any(|step| matches!(step, Step::Attach { .. }));
        let number = self.topics.next_number();
        let (mut unsure, mut confirmed) = (false, true);
        loop {
            let asked = self.ask_once(&mut round, number, confirmed).await;
            match asked {
                Ok(answer) => {
                    self.failures = 0;
                    self.trouble = None;
                    self.topics.condition.answered();
                    return self.answered(round, answer).await;
                }
                Err(failure) if confirmed && failure.is_done() => {
                    // It is done here. Those who rely on it are told, and the topic goes on.
                    self.tell_unconfirmed(&mut round, &failure);
                    (unsure, confirmed) = (true, false);
                }
                Err(failure) => {
                    self.trouble = Some(failure.to_string());
                    let undone = failure.is_undone();
                    if self.topics.is_final(&failure) && !unsure {
                        self.refuse(round, &failure);
                        return self.wait().await;
                    }
                    self.topics.condition.failed(&failure);
                    if undone && !unsure {
                        self.give_back(round);
                        return self.wait().await;
                    }
                    unsure |= !undone;
                    self.wait().await;
                    self.give_up_late();
                    if self.topics.is_closed() {
                        return self.refuse(round, &failure);
                    }
                }
            }
        }
    }

    /// One try. Whoever can't wait any longer is told meanwhile.
    async fn ask_once(
        &self,
        round: &mut Round,
        number: u64,
        confirmed: bool,
    ) -> Result<Answer, Failure> {
        let Round { steps, orders, .. } = round;
        let attached = self.topics.consumers().is_attached(&self.topic.name);
        let request = Request {
            topic: &self.topic.name,
            process: &self.topics.process,
            number,
            attached,
            lease: self.topics.lease,
            steps,
        };
        let mut asking = pin!(self.topics.ask(&request, confirmed));
        loop {
            let late = orders.iter().filter(|order| !order.told);
            let late = late.map(|order| order.deadline).min();
            let late = late.into_iter().chain(self.topic.late()).min();
            // What comes meanwhile has a deadline, too.
            let look = Instant::now() + LOOK;
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                () = self.topics.closed() => {
                    return Err(Failure::Unanswered {
                        server: self.topics.server(),
                        reason: "the engine was closed before".into(),
                    });
                }
                () = sleep_until(late.map_or(look, |late| look.min(late))) => {}
            }
            self.give_up_late();
            let mut out = Outgoing::default();
            let now = Instant::now();
            let late = orders.iter_mut().filter(|order| !order.told);
            for order in late.filter(|order| order.deadline <= now) {
                // It may be done whenever the server answers again.
                let error = self.topics.too_late(self.trouble.as_deref(), true);
                order.told = true;
                order
                    .then
                    .give_up(&self.topics, &self.topic.name, error, &mut out);
            }
            out.hand_over(&self.topics);
        }
    }

    /// Too few replicas have what was done, or the server doesn't say how many.
    fn tell_unconfirmed(&self, round: &mut Round, failure: &Failure) {
        let mut out = Outgoing::default();
        let steps = round.steps.iter().zip(&mut round.orders);
        let relied_on = steps.filter(|(step, order)| !order.told && super::asking::changes(step));
        for (_, order) in relied_on {
            let error = self.topics.refused(failure).with("executed", "unconfirmed");
            order.told = true;
            order
                .then
                .give_up(&self.topics, &self.topic.name, error, &mut out);
        }
        out.hand_over(&self.topics);
    }

    /// Waits before the next try, longer each time; steps that can't wait are told meanwhile.
    async fn wait(&mut self) {
        let random = RandomState::new().hash_one(self.failures);
        let pause = AGAIN.bound(self.failures) / 2 + AGAIN.delay(self.failures, random) / 2;
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(pause).await;
    }

    /// Nothing was done: what was asked waits again, in its place.
    fn give_back(&self, round: Round) {
        let mut consumers = self.topics.consumers();
        consumers.give_back(&round.takings);
        drop(consumers);
        let mut waiting = self.topic.waiting();
        let jobs = round.steps.into_iter().zip(round.orders);
        for (step, order) in jobs.rev() {
            waiting.jobs.push_front(Job { step, order });
        }
        waiting.thirsty = true;
        waiting.woken = true;
    }

    /// The server will never do it.
    fn refuse(&self, round: Round, failure: &Failure) {
        tracing::error!(topic = %self.topic.name, %failure, "a request was refused");
        // A script may have been refused in the middle.
        let executed = if failure.is_undone() { "no" } else { "unknown" };
        let error = self.topics.refused(failure).with("executed", executed);
        self.fail(round, &error);
    }

    fn fail(&self, round: Round, error: &Error) {
        self.topics.consumers().give_back(&round.takings);
        let mut out = Outgoing::default();
        for order in round.orders {
            self.end(order.then, Err(Trouble::Failed(error.clone())), &mut out);
        }
        out.hand_over(&self.topics);
    }

    async fn answered(&mut self, round: Round, answer: Answer) {
        self.asked = Instant::now();
        if !round.steps.is_empty() {
            self.used = self.asked;
        }
        match answer {
            Answer::Reply(reply) => self.done(round, reply),
            Answer::Missing => self.missing(round).await,
            Answer::Stale => {
                let error = self.topics.unknown("a later request was run before");
                self.fail(round, &error);
            }
            Answer::Format(format) => {
                let error = self.topics.foreign(&self.topic.name, format);
                self.fail(round, &error);
                self.wait().await;
            }
        }
    }

    fn done(&mut self, round: Round, reply: Reply) {
        let name = &self.topic.name;
        self.due = reply.next_due.map(|due| {
            let wait = due.since(reply.now) + Duration::from_millis(1);
            Instant::now() + wait.min(DUE_MAX)
        });
        let mut out = Outgoing::default();
        for ended in &reply.ended {
            let id = trunkline_model::ConsumerId(ended.consumer);
            let found = self
                .topics
                .consumers()
                .subscription(name, id, ended.subscription);
            if let Some(subscription) = found {
                let gone = refusal::no_subscription(name, &subscription);
                self.topics.end_consumer(id, gone, &mut out);
            }
        }
        let again = {
            let mut consumers = self.topics.consumers();
            for forgotten in &reply.forgotten {
                let consumer = trunkline_model::ConsumerId(forgotten.consumer);
                consumers.forgotten(name, consumer, forgotten.hold);
            }
            match reply.lease_lost {
                true => consumers.lost(name),
                false => Vec::new(),
            }
        };
        if !reply.forgotten.is_empty() {
            self.topic.nudge(false);
        }
        if !again.is_empty() {
            tracing::warn!(topic = %name, "the lease was lost: what was delivered returns");
        }
        self.attach_again(again);
        let mut results = reply.steps.into_iter();
        for (order, result) in round.orders.into_iter().zip(results.by_ref()) {
            let ended = result.map_err(Trouble::Refused);
            let told = ended.map(|done| super::job::Told {
                number: reply.number,
                done,
            });
            self.end(order.then, told, &mut out);
        }
        for (taking, result) in round.takings.iter().zip(results) {
            self.taken(taking, reply.number, result, &mut out);
        }
        if reply.outbox && self.topic.begin_burying() {
            self.topics.bury(self.topic.clone());
        }
        out.hand_over(&self.topics);
    }

    fn taken(
        &self,
        taking: &Taking,
        number: u32,
        result: Result<Done, Refusal>,
        out: &mut Outgoing,
    ) {
        let (topics, name) = (&self.topics, &self.topic.name);
        match result {
            Ok(Done::Taken { deliveries, more }) => {
                topics.deliver(name, taking, number, deliveries, more, out);
            }
            Ok(_) => topics.consumers().give_back(std::slice::from_ref(taking)),
            Err(Refusal::NoConsumer) => {
                let again = topics.consumers().detached(taking.consumer, taking.source);
                self.attach_again(again.into_iter().collect());
            }
            Err(refused) => {
                let subscription = Some(taking.subscription.as_str());
                let error = super::refused::error(name, subscription, &refused);
                topics.end_consumer(taking.consumer, error, out);
            }
        }
    }

    fn attach_again(&self, again: Vec<Attaching>) {
        for attaching in again {
            let mut job = self.topics.attach_job(attaching, None, false);
            // However long that takes: the consumer goes on.
            job.order.deadline = Instant::now() + FOREVER;
            // It is not let go of while its task runs.
            drop(self.topic.push(job));
        }
    }

    /// The topic isn't there: whoever took from it ends, and who may make it does.
    async fn missing(&mut self, round: Round) {
        let name = self.topic.name.clone();
        self.due = None;
        self.topics.consumers().give_back(&round.takings);
        let mut out = Outgoing::default();
        self.topics
            .end_attached(&name, &refusal::no_topic(&name), &mut out);
        let mut jobs: VecDeque<Job> = round
            .steps
            .into_iter()
            .zip(round.orders)
            .map(|(step, order)| Job { step, order })
            .collect();
        while let Some(job) = jobs.pop_front() {
            let makes = match &job.step {
                Step::Define { .. } => true,
                _ => job.order.makes && self.topics.makes(&name),
            };
            if makes {
                jobs.push_front(job);
                break;
            }
            self.end(job.order.then, Err(Trouble::Missing), &mut out);
        }
        out.hand_over(&self.topics);
        if jobs.is_empty() {
            return;
        }
        if self.may_make(&name, &mut jobs).await {
            match self.topics.number_for(&name).await {
                Ok(number) => self.topics.define_first(number, &mut jobs),
                Err(failure) => {
                    self.topics.condition.failed(&failure);
                    self.wait().await;
                }
            }
        }
        let mut waiting = self.topic.waiting();
        for job in jobs.into_iter().rev() {
            waiting.jobs.push_front(job);
        }
    }

    /// Whether the first of these may make the topic. What may not is answered, what can't be known waits.
    async fn may_make(&mut self, name: &TopicName, jobs: &mut VecDeque<Job>) -> bool {
        let is_defined = |job: &Job| matches!(job.step, Step::Define { .. });
        if jobs.front().is_none_or(is_defined) {
            return true;
        }
        let Err(error) = self.topics.check_defaults(name).await else {
            return true;
        };
        if error.code() == ErrorCode::Unavailable {
            self.wait().await;
        } else if let Some(job) = jobs.pop_front() {
            let mut out = Outgoing::default();
            self.end(job.order.then, Err(Trouble::Failed(error)), &mut out);
            out.hand_over(&self.topics);
        }
        false
    }

    /// Says that this process goes: what its consumers had returns at once. Dead letters that come of that are
    /// still carried away.
    async fn leave(&mut self) {
        let job = self.topics.job(Step::Leave, false, Then::Nothing);
        let round = Round {
            steps: vec![job.step],
            orders: vec![job.order],
            takings: Vec::new(),
        };
        self.topic.waiting().asking = true;
        self.ask(round).await;
        self.topic.waiting().asking = false;
    }

    fn end(&self, then: Then, ended: super::job::Ended, out: &mut Outgoing) {
        then.end(&self.topics, &self.topic.name, ended, out);
    }
}
