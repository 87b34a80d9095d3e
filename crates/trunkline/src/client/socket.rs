//! The WebSocket below a client: frames go out, answers and pushes come in, until either ends.

use super::{
    ConnectError, Push, RequestError, RpcError, Target,
    loss::Loss,
    requests::{Answered, Slot},
    router::Inbound,
    shared::{Next, Shared},
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::header::AUTHORIZATION;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use trunkline_jsonrpc::{Answer, Incoming, Item, Outcome, parse_text};
use trunkline_model::ErrorCode;

/// Largest frame taken from a server: a 16 MiB payload as base64, with room to spare.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Longest wait for the other side's last words once nothing can be written any more.
const GOODBYE: Duration = Duration::from_secs(1);

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, within the target's time.
pub(super) async fn connect(target: &Target) -> Result<Socket, ConnectError> {
    let url = target.to_string();
    match timeout(target.connect_timeout, open(target)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => Err(connect_error(url, error)),
        Err(_) => {
            let seconds = target.connect_timeout.as_secs();
            Err(ConnectError::TimedOut { url, seconds })
        }
    }
}

async fn open(target: &Target) -> Result<Socket, tokio_websockets::Error> {
    let mut builder = ClientBuilder::from_uri(target.uri().clone())
        .limits(Limits::default().max_payload_len(Some(FRAME_BYTES_MAX)));
    if let Some(authorization) = target.authorization() {
        builder = builder.add_header(AUTHORIZATION, authorization.clone())?;
    }
    let (socket, _) = builder.connect().await?;
    let MaybeTlsStream::Plain(stream) = socket.get_ref();
    stream.set_nodelay(true)?;
    Ok(socket)
}

fn connect_error(url: String, error: tokio_websockets::Error) -> ConnectError {
    use tokio_websockets::{Error, upgrade};
    match error {
        Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(503)) => {
            ConnectError::NotReady { url }
        }
        Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status @ (401 | 403))) => {
            ConnectError::NotAllowed { url, status }
        }
        Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) => {
            ConnectError::NotAWebSocket { url, status }
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            ConnectError::Unreachable {
                url,
                reason: "nothing listens there; start a server with `trunkline serve`".to_owned(),
            }
        }
        other => ConnectError::Unreachable {
            url,
            reason: other.to_string(),
        },
    }
}

/// Lives as long as the connection; why it ended. A connection that is silent for twice
/// `silence_max`, although it was asked to say something, is taken for dead.
pub(super) async fn run(
    socket: Socket,
    shared: &Shared,
    inbound: Inbound,
    silence_max: Option<Duration>,
) -> Loss {
    let (sink, stream) = socket.split();
    let heard = AtomicBool::new(true);
    let reader = read(stream, shared, inbound, &heard);
    tokio::pin!(reader);
    tokio::select! {
        loss = &mut reader => loss,
        // What the server said last explains a failed write better than the write does.
        loss = write(sink, shared) => match loss.is_wanted() {
            true => loss,
            false => timeout(GOODBYE, reader).await.unwrap_or(loss),
        },
        loss = silence(shared, &heard, silence_max) => loss,
    }
}

/// Writes frames; those that wait together leave in one write.
async fn write(mut sink: SplitSink<Socket, Message>, shared: &Shared) -> Loss {
    let mut ready: Vec<Bytes> = Vec::new();
    loop {
        let ping = match shared.next(&mut ready).await {
            Next::Write { ping } => ping,
            Next::Close => break,
        };
        let frames = ready.drain(..).map(Message::text);
        let frames = frames.chain(ping.then(|| Message::ping(Bytes::new())));
        for frame in frames {
            if let Err(error) = sink.feed(frame).await {
                return Loss::of(error.to_string());
            }
        }
        if let Err(error) = sink.flush().await {
            return Loss::of(error.to_string());
        }
    }
    // A clean goodbye, if the other side still listens.
    let _ = timeout(GOODBYE, sink.close()).await;
    Loss::wanted()
}

async fn read(
    mut stream: SplitStream<Socket>,
    shared: &Shared,
    mut inbound: Inbound,
    heard: &AtomicBool,
) -> Loss {
    loop {
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Loss::of(error.to_string()),
            None => return Loss::of("the server closed the connection"),
        };
        heard.store(true, Relaxed);
        if let Some((code, reason)) = message.as_close() {
            return Loss::closed(u16::from(code), reason);
        }
        let Some(text) = message.as_text() else {
            continue;
        };
        let items = match parse_text(text, &trunkline_jsonrpc::Limits::default()) {
            Ok(Incoming::Single(item)) => vec![item],
            Ok(Incoming::Batch(items)) => items,
            Err(error) => {
                return Loss::of(format!("the server sent what is not JSON-RPC: {error}"));
            }
        };
        for item in items {
            match item {
                Item::Answer(answer) => settle(&answer, shared, &mut inbound),
                Item::Request(request) => match &mut inbound {
                    // Nobody takes pushes any more: they are meant for nobody then.
                    Inbound::Raw(pushes) => drop(pushes.send(Push::of(request)).await),
                    Inbound::Routed(router) => {
                        if let Err(loss) = router.route(&request) {
                            return loss;
                        }
                    }
                },
                _ => {}
            }
        }
    }
}

/// Hands an answer to whoever waits for it; one that nobody waits for is passed over.
fn settle(answer: &Answer<'_>, shared: &Shared, inbound: &mut Inbound) {
    let Some(id) = answer.id.as_u64() else { return };
    let outcome = outcome(answer);
    let refused_for_now = matches!(
        &outcome,
        Err(error) if error.code() == Some(ErrorCode::ShuttingDown)
    );
    match (shared.settle(id, refused_for_now), inbound) {
        // Whoever asked may have lost interest.
        (Some(Slot::Caller(slot)), _) => drop(slot.send(outcome)),
        (Some(Slot::Seat(seat)), Inbound::Routed(router)) => {
            seat.opened(router.connection, outcome, router);
        }
        _ => {}
    }
}

fn outcome(answer: &Answer<'_>) -> Answered {
    match answer.outcome {
        Outcome::Result(result) => Ok(result.to_owned()),
        Outcome::Error(error) => Err(match serde_json::from_str::<RpcError>(error.get()) {
            Ok(error) => RequestError::Answer(error),
            Err(error) => RequestError::unreadable(error),
        }),
        ref malformed => Err(RequestError::unreadable(format_args!("{malformed:?}"))),
    }
}

/// Notices a connection that is dead without saying so.
async fn silence(shared: &Shared, heard: &AtomicBool, silence_max: Option<Duration>) -> Loss {
    let Some(silence_max) = silence_max else {
        return std::future::pending().await;
    };
    let mut asked = false;
    loop {
        sleep(silence_max).await;
        if heard.swap(false, Relaxed) {
            asked = false;
        } else if asked {
            return Loss::of(format!("nothing was heard for {:?}", 2 * silence_max));
        } else {
            shared.ping();
            asked = true;
        }
    }
}
