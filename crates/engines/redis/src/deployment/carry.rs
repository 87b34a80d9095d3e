//! Commands on their way to the server that has their keys.

use super::failure::{Failure, Refusal};
use super::lane::delay;
use super::open::{Request, error_of};
use super::router::Router;
use super::url::{Host, RedisUrl, Wait};
use super::url_text::read_host;
use crate::connection::Commands;
use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerError, Value};
use std::time::Duration;
use tokio::time::Instant;

/// Carries the commands of one request, and says afterwards what became of them.
pub(super) struct Carrier<'d> {
    router: &'d Router,
    slot: u16,
    /// What has not been accepted until then isn't repeated.
    deadline: Instant,
    database: i64,
    wait: Option<Waiting>,
    /// How often something was repeated.
    rounds: u32,
    /// Who answered last.
    server: String,
    failure: Option<Failure>,
}

/// What is asked after a write, and what came of it.
struct Waiting {
    wait: Wait,
    time: Duration,
    command: Cmd,
    failure: Option<Failure>,
}

/// Where to go with a command that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Again {
    /// To the owner of the slot, as it is known now.
    Here,
    /// To this node, this once.
    Ask(Host),
}

impl<'d> Carrier<'d> {
    pub(super) fn new(
        router: &'d Router,
        url: &RedisUrl,
        slot: u16,
        wait: Option<(Wait, Duration)>,
    ) -> Self {
        Self {
            router,
            slot,
            deadline: Instant::now() + url.connect_timeout,
            database: i64::from(url.database),
            wait: wait.map(|(wait, time)| Waiting::new(wait, time)),
            rounds: 0,
            server: String::new(),
            failure: None,
        }
    }

    /// What became of it all.
    pub(super) fn finish<T>(self, done: RedisResult<T>) -> Result<T, Failure> {
        let waited = self.wait.and_then(|waiting| waiting.failure);
        match (done, self.failure, waited) {
            (Ok(_), _, Some(failure)) | (Err(_), Some(failure), _) => Err(failure),
            // Errors that the caller wants to see one by one are no failure.
            (Ok(done), _, None) => Ok(done),
            (Err(error), None, _) => Err(Failure::Answer {
                server: self.server,
                reason: error.to_string(),
            }),
        }
    }

    /// Carries commands, each for itself.
    pub(super) async fn carry_each(
        mut self,
        commands: Request<'_>,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.each(commands).await?;
        let told = answers.into_iter().map(|answer| match error_of(&answer) {
            Some(error) => Err(Failure::refused(&self.server, error, false)),
            None => Ok(answer),
        });
        Ok(told.collect())
    }

    /// Carries one command, whose answer stays as it came.
    pub(super) async fn carry_raw(mut self, command: &Commands) -> Result<Vec<u8>, Failure> {
        let mut answers = self.each(Request::Written(command, true)).await?;
        match (self.failure, answers.pop()) {
            (Some(failure), _) => Err(failure),
            (None, Some(Value::BulkString(bytes))) => Ok(bytes),
            (None, _) => Err(Failure::Answer {
                server: self.server,
                reason: "there is no answer".to_owned(),
            }),
        }
    }

    /// Commands by themselves: each has its answer.
    async fn each(&mut self, request: Request<'_>) -> Result<Vec<Value>, Failure> {
        let mut answers = self.deliver(request, None).await?;
        loop {
            let again = self.next_round(&answers).await;
            let Some((places, ask)) = again else {
                return Ok(self.look(answers));
            };
            let sub = Picked::of(request, &places, ask.is_some());
            match self.deliver(sub.request(), ask.as_ref()).await {
                Ok(repeated) => {
                    // With ASKING before each.
                    let step = if ask.is_some() { 2 } else { 1 };
                    let repeated = repeated.into_iter().skip(step - 1).step_by(step);
                    for (place, answer) in places.into_iter().zip(repeated) {
                        answers[place] = answer;
                    }
                }
                // Some may be done: then the refusals say which are not.
                Err(Failure::NotSent { .. }) if answers.iter().any(|a| error_of(a).is_none()) => {
                    return Ok(self.look(answers));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Commands of a transaction: all are done, or none. The answer of `EXEC`, or why it was refused.
    async fn transaction(&mut self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let mut ask: Option<Host> = None;
        loop {
            let mut whole = redis::pipe();
            if ask.is_some() {
                whole.cmd("ASKING");
            }
            whole.cmd("MULTI");
            for command in commands.cmd_iter() {
                whole.add_command(command.clone());
            }
            whole.cmd("EXEC");
            let mut answers = self.deliver(Request::Many(&whole), ask.as_ref()).await?;
            let mut last = answers.pop().unwrap_or(Value::Nil);
            if error_of(&last).is_some() {
                // EXEC says only that there was an error before.
                let first = answers
                    .into_iter()
                    .find(|answer| error_of(answer).is_some());
                last = first.unwrap_or(last);
            }
            let answers = vec![last];
            match self.next_round(&answers).await {
                Some((_, next)) => ask = next,
                None => return Ok(self.look(answers)),
            }
        }
    }

    /// Sends commands to the server that has the slot, or to this one, until they are sent.
    async fn deliver(
        &mut self,
        request: Request<'_>,
        ask: Option<&Host>,
    ) -> Result<Vec<Value>, Failure> {
        loop {
            let failure = match self.send(request, ask).await {
                Ok(answers) => return Ok(answers),
                Err(failure) => failure,
            };
            self.router.doubt();
            let may_pass = matches!(
                failure,
                Failure::NotSent { .. }
                    | Failure::Refused {
                        refusal: Refusal::Loading,
                        ..
                    }
            );
            if !may_pass || ask.is_some() || !self.pause().await {
                return Err(failure);
            }
        }
    }

    async fn send(
        &mut self,
        request: Request<'_>,
        ask: Option<&Host>,
    ) -> Result<Vec<Value>, Failure> {
        let lane = match (ask, self.router) {
            (Some(host), Router::Cluster(cluster)) => cluster.lane_to(host),
            _ => self.router.lane(self.slot, self.deadline).await?,
        };
        let open = lane.open(self.deadline).await?;
        let wait = self.wait.as_ref();
        let wait = wait.map(|waiting| (&waiting.command, waiting.time));
        let (answers, waited) = match open.send(request, wait).await {
            Ok(answered) => answered,
            Err(failure) => {
                lane.give_up(&open);
                return Err(failure);
            }
        };
        self.server.clone_from(&open.server);
        if self.router.has_several() && answers.iter().any(is_read_only) {
            // The master is somebody else now.
            lane.give_up(&open);
            self.router.doubt();
        }
        if let (Some(waiting), Some(waited)) = (&mut self.wait, waited)
            && answers.iter().any(|answer| error_of(answer).is_none())
        {
            waiting.note(&self.server, &waited);
        }
        Ok(answers)
    }

    /// Which commands were refused as if they had not come, and the node to ask for them, if it isn't the owner of
    /// their slot; nothing if there are none or the time is over.
    async fn next_round(&mut self, answers: &[Value]) -> Option<(Vec<usize>, Option<Host>)> {
        let mut target = None;
        let mut places = Vec::new();
        for (place, answer) in answers.iter().enumerate() {
            let Some(again) = error_of(answer).and_then(|error| self.again(error)) else {
                continue;
            };
            // Those that go elsewhere come in a later round.
            if *target.get_or_insert_with(|| again.clone()) == again {
                places.push(place);
            }
        }
        let target = target?;
        if !self.pause().await {
            return None;
        }
        match target {
            Again::Ask(host) => Some((places, Some(host))),
            Again::Here => Some((places, None)),
        }
    }

    /// Where to go with a command after an error which says that it wasn't executed.
    fn again(&self, error: &ServerError) -> Option<Again> {
        let cluster = match self.router {
            Router::Cluster(cluster) => Some(cluster),
            Router::One(_) | Router::Master(_) => None,
        };
        match (error.code(), cluster) {
            ("MOVED", Some(cluster)) => {
                let owner = self.redirection(error)?;
                cluster.moved(self.slot, &owner);
                Some(Again::Here)
            }
            ("ASK", Some(_)) => self.redirection(error).map(Again::Ask),
            ("CLUSTERDOWN", Some(cluster)) => {
                cluster.doubt();
                Some(Again::Here)
            }
            ("READONLY", _) if self.router.has_several() => Some(Again::Here),
            ("TRYAGAIN" | "LOADING" | "MASTERDOWN" | "BUSY", _) => Some(Again::Here),
            _ => None,
        }
    }

    /// The node in `MOVED 1234 host:port`; without a host it is that of the server which said so.
    fn redirection(&self, error: &ServerError) -> Option<Host> {
        let (_, place) = error.details()?.split_once(' ')?;
        let (name, port) = place.rsplit_once(':')?;
        let name = match name {
            "" | "?" => read_host(&self.server, 0).ok()?.name,
            name => name.into(),
        };
        let port = port.parse().ok()?;
        Some(Host { name, port })
    }

    /// Waits before something is repeated, the longer the more often; false if there is no time left.
    async fn pause(&mut self) -> bool {
        self.rounds = self.rounds.saturating_add(1);
        let until = Instant::now() + delay(self.rounds);
        let in_time = until < self.deadline;
        if in_time {
            tokio::time::sleep_until(until).await;
        }
        in_time
    }

    /// Remembers the first error among the last answers.
    fn look(&mut self, answers: Vec<Value>) -> Vec<Value> {
        let all = || {
            answers.iter().flat_map(|answer| match answer {
                Value::Array(parts) if answers.len() == 1 => parts.as_slice(),
                answer => std::slice::from_ref(answer),
            })
        };
        if let Some(error) = all().find_map(error_of) {
            let partly = all().any(|answer| error_of(answer).is_none());
            self.failure = Some(Failure::refused(&self.server, error, partly));
        }
        answers
    }
}

impl ConnectionLike for Carrier<'_> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async {
            let answers = self.each(Request::One(command)).await;
            let answers = answers.map_err(|failure| self.fail(failure))?;
            Ok(answers.into_iter().next().unwrap_or(Value::Nil))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        _offset: usize,
        _count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async {
            if commands.is_empty() {
                return Ok(Vec::new());
            }
            let answers = if commands.is_transaction() {
                self.transaction(commands).await
            } else {
                self.each(Request::Many(commands)).await
            };
            answers.map_err(|failure| self.fail(failure))
        })
    }

    fn get_db(&self) -> i64 {
        self.database
    }
}

impl Carrier<'_> {
    /// Keeps what the client library has no words for.
    fn fail(&mut self, failure: Failure) -> RedisError {
        self.failure = Some(failure);
        RedisError::from((ErrorKind::Client, "see the failure"))
    }
}

impl Waiting {
    fn new(wait: Wait, time: Duration) -> Self {
        // 0 would be for ever.
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command;
        match wait {
            Wait::Replicas(replicas) => {
                command = redis::cmd("WAIT");
                command.arg(replicas);
            }
            Wait::Disk { local, replicas } => {
                command = redis::cmd("WAITAOF");
                command.arg(local).arg(replicas);
            }
        }
        command.arg(ms);
        Self {
            wait,
            time,
            command,
            failure: None,
        }
    }

    /// Looks at how many have what was written before.
    fn note(&mut self, server: &str, answer: &Value) {
        if let Some(error) = error_of(answer) {
            self.failure = Some(Failure::unconfirmed(server, error));
            return;
        }
        let counts: Vec<u32> = match answer {
            Value::Array(_) => redis::from_redis_value_ref(answer).unwrap_or_default(),
            answer => redis::from_redis_value_ref(answer).into_iter().collect(),
        };
        let wanted = match self.wait {
            Wait::Replicas(replicas) => vec![replicas],
            Wait::Disk { local, replicas } => vec![local, replicas],
        };
        let enough = counts.iter().zip(&wanted).all(|(have, must)| have >= must);
        if counts.len() != wanted.len() || !enough {
            self.failure = Some(Failure::Replicas {
                server: server.to_owned(),
                have: counts
                    .iter()
                    .zip(&wanted)
                    .map(|(have, must)| have.min(must))
                    .sum(),
                wanted: wanted.iter().sum(),
                disk: matches!(self.wait, Wait::Disk { .. }),
                waited: self.time,
            });
        }
    }
}

fn is_read_only(answer: &Value) -> bool {
    error_of(answer).is_some_and(|error| error.code() == "READONLY")
}

/// Some commands of a request.
enum Picked {
    Many(Pipeline),
    Written(Commands, bool),
}

impl Picked {
    /// The commands at these places, each after `ASKING` if a node is asked that doesn't own their slot yet.
    fn of(request: Request<'_>, places: &[usize], asking: bool) -> Self {
        let commands: Vec<&Cmd> = match request {
            Request::One(command) => vec![command],
            Request::Many(commands) => commands.cmd_iter().collect(),
            Request::Written(commands, raw) => {
                return Self::Written(commands.pick(places, asking), raw);
            }
        };
        let mut picked = redis::pipe();
        for place in places {
            if asking {
                picked.cmd("ASKING");
            }
            picked.add_command(commands[*place].clone());
        }
        Self::Many(picked)
    }

    const fn request(&self) -> Request<'_> {
        match self {
            Self::Many(commands) => Request::Many(commands),
            Self::Written(commands, raw) => Request::Written(commands, *raw),
        }
    }
}
