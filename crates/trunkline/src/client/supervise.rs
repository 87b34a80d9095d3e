//! The life of a client: connections, one after the other.

use super::{
    ConnectError, State, Target,
    loss::Loss,
    router::{Inbound, Router},
    shared::Shared,
    socket::{self, Socket},
};
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_websockets::Message;
use trunkline_jsonrpc::{Incoming, Item, Outcome, OwnedId, encode_request, parse_text};
use trunkline_model::{Backoff, ErrorCode};

/// The version of the protocol that is spoken here.
const PROTOCOL: u64 = 1;

/// The waits between attempts to reach a server that went away.
pub const RECONNECT: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(2),
};

/// How a client comes back.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) backoff: Backoff,
    /// Whether it comes back at all.
    pub(super) reconnect: bool,
    /// How long it tries; `None`: for ever.
    pub(super) give_up_after: Option<Duration>,
    /// The first connection may take as long as any other.
    pub(super) wait_for_server: bool,
    /// A connection that is silent for so long is asked whether it is alive.
    pub(super) silence_max: Duration,
}

/// The first connection.
pub(super) async fn first(
    target: &Target,
    policy: &Policy,
    shared: &Shared,
) -> Result<Socket, ConnectError> {
    let begin = Instant::now();
    for attempt in 0.. {
        let error = match establish(target, shared).await {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        let late = policy
            .give_up_after
            .is_some_and(|limit| begin.elapsed() >= limit);
        if !policy.wait_for_server || !error.is_temporary() || late {
            return Err(error);
        }
        sleep(policy.backoff.delay(attempt, crate::random_number())).await;
    }
    unreachable!("attempts never end")
}

/// Keeps a client connected until it is closed, or can't be.
pub(super) async fn supervise(
    mut socket: Socket,
    target: Target,
    policy: Policy,
    shared: Arc<Shared>,
) {
    // Attempts go on counting while connections don't last: a server that takes connections
    // and drops them is not asked at once again and again.
    let mut attempt = 0;
    loop {
        let Some(connection) = shared.up() else {
            return;
        };
        let begin = Instant::now();
        let router = Router::new(Arc::clone(&shared), connection);
        let inbound = Inbound::Routed(router);
        let loss = socket::run(socket, &shared, inbound, Some(policy.silence_max)).await;
        shared.down(&loss);
        // When this side closes, the other side's goodbye may be heard first.
        if shared.loss().is_some() {
            return;
        }
        if !policy.reconnect {
            return shared.over(loss);
        }
        if begin.elapsed() >= policy.backoff.max {
            attempt = 0;
        }
        let again = tokio::select! {
            biased;
            _ = shared.ended() => return,
            again = again(&target, &policy, &shared, loss, &mut attempt) => again,
        };
        match again {
            Ok(next) => socket = next,
            Err(loss) => return shared.over(loss),
        }
    }
}

/// Tries until it works. What can't become better by waiting ends it.
async fn again(
    target: &Target,
    policy: &Policy,
    shared: &Shared,
    loss: Loss,
    attempt: &mut u32,
) -> Result<Socket, Loss> {
    let begin = Instant::now();
    let mut reason = Arc::clone(&loss.reason);
    loop {
        let next_in = policy.backoff.delay(*attempt, crate::random_number());
        *attempt = attempt.saturating_add(1);
        shared.tell_state(State::Reconnecting {
            attempt: *attempt,
            next_in,
            reason,
        });
        sleep(next_in).await;
        shared.expire(Instant::now(), &loss);
        let error = match establish(target, shared).await {
            Ok(socket) => {
                shared.expire(Instant::now(), &loss);
                return Ok(socket);
            }
            Err(error) => error,
        };
        if !error.is_temporary() {
            return Err(Loss::of(error.to_string()));
        }
        if let Some(limit) = policy.give_up_after
            && begin.elapsed() >= limit
        {
            return Err(Loss::of(format!("gave up after {limit:?}: {error}")));
        }
        reason = error.to_string().into();
    }
}

/// Connects, and asks whether the other side speaks the same protocol.
async fn establish(target: &Target, shared: &Shared) -> Result<Socket, ConnectError> {
    let mut socket = socket::connect(target).await?;
    match timeout(target.connect_timeout, greet(&mut socket, target)).await {
        Ok(greeted) => shared.limit_frames(greeted?),
        Err(_) => {
            return Err(ConnectError::TimedOut {
                url: target.to_string(),
                seconds: target.connect_timeout.as_secs(),
            });
        }
    }
    Ok(socket)
}

#[derive(Deserialize)]
struct Info {
    protocol: u64,
    #[serde(default)]
    limits: Limits,
}

#[derive(Default, Deserialize)]
struct Limits {
    max_message_bytes: Option<usize>,
}

/// Asks for `rpc.info`; the largest frame that the server takes.
async fn greet(socket: &mut Socket, target: &Target) -> Result<usize, ConnectError> {
    let url = || target.to_string();
    let unreachable = |reason: String| ConnectError::Unreachable { url: url(), reason };
    let stranger = |reason: String| ConnectError::NotATrunkline { url: url(), reason };
    let mut frame = BytesMut::with_capacity(64);
    encode_request(&mut frame, OwnedId::from(0).as_id(), "rpc.info", None, None);
    let sent = socket.send(Message::text(frame)).await;
    sent.map_err(|error| unreachable(error.to_string()))?;
    let message = loop {
        match socket.next().await {
            Some(Ok(message)) if message.is_text() || message.is_close() => break message,
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(unreachable(error.to_string())),
            None => return Err(unreachable("it closed the connection".to_owned())),
        }
    };
    if let Some((code, reason)) = message.as_close() {
        let loss = Loss::closed(u16::from(code), reason);
        return Err(unreachable(loss.reason.to_string()));
    }
    let text = message.as_text().unwrap_or_default();
    let Ok(Incoming::Single(Item::Answer(answer))) =
        parse_text(text, &trunkline_jsonrpc::Limits::default())
    else {
        return Err(stranger(
            "its first words are no JSON-RPC answer".to_owned(),
        ));
    };
    let result = match answer.outcome {
        Outcome::Result(result) => result,
        Outcome::Error(error) => return Err(refused(target, error.get())),
        ref malformed => return Err(stranger(format!("{malformed:?}"))),
    };
    let info: Info =
        serde_json::from_str(result.get()).map_err(|error| stranger(error.to_string()))?;
    match info.protocol {
        PROTOCOL => Ok(info.limits.max_message_bytes.unwrap_or(usize::MAX)),
        spoken => Err(ConnectError::Protocol {
            url: url(),
            spoken,
            wanted: PROTOCOL,
        }),
    }
}

fn refused(target: &Target, error: &str) -> ConnectError {
    let url = target.to_string();
    let error: Result<super::RpcError, _> = serde_json::from_str(error);
    match error {
        Ok(error) => match error.known_code() {
            Some(ErrorCode::Unauthenticated) => ConnectError::NotAllowed { url, status: 401 },
            Some(ErrorCode::Forbidden) => ConnectError::NotAllowed { url, status: 403 },
            Some(ErrorCode::ShuttingDown | ErrorCode::Unavailable | ErrorCode::Overloaded) => {
                ConnectError::NotReady { url }
            }
            _ => ConnectError::NotATrunkline {
                url,
                reason: error.to_string(),
            },
        },
        Err(error) => ConnectError::NotATrunkline {
            url,
            reason: error.to_string(),
        },
    }
}
