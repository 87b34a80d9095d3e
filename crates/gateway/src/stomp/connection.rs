use super::{
    channels::Channels,
    consumers::Consumers,
    failure,
    gathered::Gathered,
    inbox::Event,
    jobs::{Ended, Job, Jobs, UNAWAITED},
    temp::TempQueues,
};
use crate::shared::{Phase, Shared};
use bytes::BytesMut;
use compact_str::CompactString;
use hashbrown::HashSet;
use std::{collections::VecDeque, hash::BuildHasher, sync::Arc};
use trunkline_auth::{Action, Login, Resource};
use trunkline_model::{
    Caller, Completed, Completion, CompletionQueue, Error, Mailbox, Outcome, Protocol, Timestamp,
    TopicName, Wake,
};
use trunkline_stomp::{
    CloseReason, ConnectRequest, Effect, Failure, ServerSession, ServerSettings, SessionName, Token,
};

/// Output beyond which nothing more is turned into frames until it was taken, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// What a frame came to at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is done.
    Done,
    /// Something else will complete it.
    Later,
}

/// One STOMP client: its session, what it consumes and listens to, and what it waits for.
/// Dropping it takes everything back: deliveries return.
///
/// Whoever drives it hands in what was read, calls [`collect`](Self::collect) when woken and after
/// it has handed in something, and writes what there is to [take](Self::take_output). As long as
/// much of that is unwritten it doesn't collect.
pub(crate) struct StompConnection {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Arc<Caller>,
    pub(super) wake: Wake,
    pub(super) completions: Arc<CompletionQueue>,
    pub(super) inbox: Arc<Mailbox<Event>>,
    pub(super) session: ServerSession,
    /// Names the session; in nobody else's reach.
    pub(super) name: CompactString,
    /// Prefix of the names of durable subscriptions.
    pub(super) client_id: Option<CompactString>,
    pub(super) gathered: Gathered,
    pub(super) jobs: Jobs,
    pub(super) consumers: Consumers,
    pub(super) channels: Channels,
    pub(super) temp: TempQueues,
    /// Topics whose subscription `queue` is there, as far as this connection knows.
    pub(super) queues: HashSet<TopicName>,
    /// Taken from the completion queue and the inbox, not yet acted on.
    completed: VecDeque<Completed>,
    events: VecDeque<Event>,
    taken_completions: Vec<Completed>,
    taken_events: Vec<Event>,
    /// Acknowledgements of what is no longer held that are in the counter.
    acks_not_held: u64,
    /// A frame was refused: what was read behind it is not done.
    refused: bool,
    closing: Option<CloseReason>,
}

impl StompConnection {
    /// A connection that has just been made.
    pub(crate) fn new(
        shared: Arc<Shared>,
        caller: Arc<Caller>,
        settings: ServerSettings,
        now: Timestamp,
    ) -> Self {
        let wake = Wake::new();
        let answer_bytes_max = shared.config.limits.answer_bytes_max.0;
        Self {
            completions: CompletionQueue::bounded(wake.clone(), answer_bytes_max),
            inbox: Arc::new(Mailbox::new(wake.clone())),
            session: ServerSession::new(settings, now),
            name: session_name(&caller),
            client_id: None,
            gathered: Gathered::default(),
            jobs: Jobs::default(),
            consumers: Consumers::default(),
            channels: Channels::default(),
            temp: TempQueues::default(),
            queues: HashSet::new(),
            completed: VecDeque::new(),
            events: VecDeque::new(),
            taken_completions: Vec::new(),
            taken_events: Vec::new(),
            acks_not_held: 0,
            refused: false,
            closing: None,
            shared,
            caller,
            wake,
        }
    }

    /// What wakes whoever drives this connection: [`collect`](Self::collect) has something to do.
    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Acts on the frames in what was read. What is left in `input` is the beginning of one, or
    /// has to wait until [`wants_input`](Self::wants_input): hand it in again then.
    pub(crate) fn receive(&mut self, input: &mut BytesMut) {
        let now = self.now();
        self.session.receive(now, input);
        while self.act(now) {
            // What follows CONNECT can be read now.
            self.session.receive(now, input);
        }
        self.submit_gathered();
        let not_held = self.session.acks_not_held();
        if not_held > self.acks_not_held {
            let counter = &self.shared.counters.stomp_acks_not_held;
            counter.add(not_held - self.acks_not_held);
            self.acks_not_held = not_held;
        }
    }

    /// Whether frames are taken now; else nothing should be read.
    pub(crate) fn wants_input(&self) -> bool {
        self.session.wants_input()
    }

    /// Turns what has come meanwhile into frames, up to a bound; there may be more.
    pub(crate) fn collect(&mut self) {
        let now = self.now();
        self.act(now);
        while !self.is_full()
            && let Some(completed) = self.next_completed()
        {
            self.complete(now, completed);
        }
        self.act(now);
        while !self.is_full()
            && let Some(event) = self.next_event()
        {
            self.event(now, event);
        }
        self.collect_heard(now);
        self.act(now);
        self.submit_gathered();
    }

    /// What is to be written: whole frames, in order.
    pub(crate) fn take_output(&mut self) -> BytesMut {
        self.session.take_output()
    }

    /// When to call [`on_time`](Self::on_time), unless something happens before.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.session.next_deadline()
    }

    /// Does what is due: heart-beats, and the end of who is silent; `reads` if he would have been
    /// heard.
    pub(crate) fn on_time(&mut self, reads: bool) {
        let now = self.now();
        if !reads {
            self.session.paused(now);
        }
        self.session.tick(now);
        self.act(now);
    }

    /// The server is about to stop. As long as it drains nothing new is taken, but what was
    /// delivered can be settled; then the session ends with an ERROR, once what was asked before
    /// is answered. Can be called again at any time.
    pub(crate) fn drain(&mut self) {
        if self.shared.phase() == Phase::Closing {
            let now = self.now();
            self.session.fail(now, failure::of(&Error::shutting_down()));
            self.act(now);
        }
    }

    /// Why the session has ended, if it has: what output there is, is still to be written.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.clone()
    }

    /// Whether every command is answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// Gives up memory of a burst that is over. What is held in the mailboxes comes out at the next
    /// turn, and goes the next time.
    pub(crate) fn rest(&mut self) {
        self.session.rest();
        self.taken_completions = Vec::new();
        self.taken_events = Vec::new();
        self.completed.shrink_to_fit();
        self.events.shrink_to_fit();
        self.gathered = Gathered::default();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.services.clock.now()
    }

    pub(super) fn is_full(&self) -> bool {
        self.session.output_bytes() >= OUTPUT_BYTES_MAX
    }

    /// Does what the session asks for; whether a CONNECT was accepted.
    fn act(&mut self, now: Timestamp) -> bool {
        let mut connected = false;
        while let Some(effect) = self.session.next_effect() {
            match effect {
                Effect::Close(reason) => self.close(reason),
                _ if self.refused => {}
                Effect::Connect(request) => connected |= self.connect(now, &request),
                Effect::Send { token, send } => {
                    let step = self.send(token, send);
                    self.answer(now, token, step);
                }
                Effect::Subscribe { token, subscribe } => {
                    let step = self.subscribe(token, *subscribe);
                    self.answer(now, token, step);
                }
                Effect::Start(number) => self.start(now, number),
                Effect::Unsubscribe {
                    token,
                    subscription,
                    headers,
                } => {
                    let step = self.unsubscribe(token, subscription, &headers);
                    self.answer(now, token, step);
                }
                Effect::Settle { token, settle } => {
                    let step = self.settle(token, &settle);
                    self.answer(now, token, Ok(step));
                }
                Effect::Commit { token, steps } => {
                    let step = self.commit(token, steps);
                    self.answer(now, token, step);
                }
            }
        }
        connected
    }

    fn connect(&mut self, now: Timestamp, request: &ConnectRequest) -> bool {
        let given = |text: &Option<CompactString>| text.clone().filter(|text| !text.is_empty());
        let (user, passcode) = (given(&request.login), given(&request.passcode));
        let login = Login {
            user: user.as_deref(),
            passcode: passcode.as_deref(),
            protocol: Protocol::Stomp,
        };
        let principal = self
            .take_no_new_work()
            .and_then(|()| self.shared.services.access.login(&login));
        let name = SessionName::new(&self.name).map_err(|_| Error::internal());
        match principal.and_then(|principal| Ok((principal, name?))) {
            Ok((principal, name)) => {
                Arc::make_mut(&mut self.caller).principal = principal;
                self.client_id = given(&request.client_id);
                self.session.accept(now, &name);
                true
            }
            Err(error) => {
                self.session.refuse(now, failure::of(&error));
                false
            }
        }
    }

    fn answer(&mut self, now: Timestamp, token: Token, step: Result<Step, Failure>) {
        match step {
            Ok(Step::Later) => {}
            Ok(Step::Done) => self.session.complete(now, token, Ok(())),
            Err(failure) => {
                self.refused = true;
                self.session.complete(now, token, Err(failure));
            }
        }
    }

    /// Lets go of everything: what was delivered and not settled returns.
    fn close(&mut self, reason: CloseReason) {
        self.submit_gathered();
        self.consumers = Consumers::default();
        self.channels = Channels::default();
        self.cancel_calls();
        self.jobs = Jobs::default();
        self.delete_temps();
        self.closing = Some(reason);
    }

    fn next_completed(&mut self) -> Option<Completed> {
        if self.completed.is_empty() {
            self.completions.drain_into(&mut self.taken_completions);
            self.completed.extend(self.taken_completions.drain(..));
        }
        self.completed.pop_front()
    }

    fn next_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.inbox.drain_into(&mut self.taken_events);
            self.events.extend(self.taken_events.drain(..));
        }
        self.events.pop_front()
    }

    fn complete(&mut self, now: Timestamp, completed: Completed) {
        let Completed { token, result } = completed;
        if matches!(result, Ok(Outcome::Progress(_))) {
            // STOMP has no way to say it.
            return;
        }
        match self.jobs.ended(token) {
            Some(Ended::Frame(token)) => {
                let result = result.map(|_| ()).map_err(|error| failure::of(&error));
                self.session.complete(now, token, result);
            }
            Some(Ended::Job(job)) => self.job_ended(now, job, result),
            Some(Ended::Unawaited) => self.failed(now, result),
            None => {}
        }
    }

    fn job_ended(&mut self, now: Timestamp, job: Job, result: Result<Outcome, Error>) {
        match job {
            Job::Queue(topic) => {
                if result.is_err() {
                    self.queues.remove(&topic);
                }
                self.failed(now, result);
            }
            Job::Commit(token, afterwards) => {
                if result.is_ok() {
                    self.go_on(afterwards);
                }
                let result = result.map(|_| ()).map_err(|error| failure::of(&error));
                self.session.complete(now, token, result);
            }
            Job::Call { reply, .. } => self.called(*reply, result),
        }
    }

    /// What nobody waits for ends the session, if it fails.
    fn failed(&mut self, now: Timestamp, result: Result<Outcome, Error>) {
        if let Err(error) = result {
            self.session.fail(now, failure::of(&error));
        }
    }

    /// The one place where a command is allowed or not.
    pub(super) fn allow(&self, action: Action, resource: Resource<'_>) -> Result<(), Failure> {
        let access = &self.shared.services.access;
        let decision = access.check(&self.caller, action, resource);
        decision.map_err(|error| failure::of(&error))
    }

    /// Refuses what would begin something, once the server drains. What settles or ends
    /// something goes on.
    pub(super) fn take_no_new_work(&self) -> Result<(), Error> {
        match self.shared.phase() {
            Phase::Serving => Ok(()),
            Phase::Draining | Phase::Closing => Err(Error::shutting_down()),
        }
    }

    /// Completes a frame.
    pub(super) fn completion(&self, token: Token) -> Completion {
        Completion::new(self.completions.clone(), token.0)
    }

    /// For what nobody waits for.
    pub(super) fn unless_failed(&self) -> Completion {
        Completion::on_error(self.completions.clone(), UNAWAITED)
    }

    /// For a part of something larger.
    pub(super) fn job(&mut self, job: Job) -> Completion {
        let token = self.jobs.insert(job);
        Completion::new(self.completions.clone(), token)
    }
}

impl Drop for StompConnection {
    fn drop(&mut self) {
        self.cancel_calls();
        self.delete_temps();
    }
}

/// The name of a session: another one for every connection, also after a restart, and not to be
/// guessed.
fn session_name(caller: &Caller) -> CompactString {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // Keyed at random.
    let mut rest = std::hash::RandomState::new().hash_one(caller.connection);
    let mut name = CompactString::default();
    while rest > 0 || name.is_empty() {
        name.push(char::from(DIGITS[(rest % 36) as usize]));
        rest /= 36;
    }
    name
}
