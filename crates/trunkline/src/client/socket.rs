//! The WebSocket below a client: one task writes, one reads, and they end together.

use super::{
    ConnectError, Push, Target,
    connection::OUTGOING_MAX,
    waiting::{Loss, Shared},
};
use bytes::BytesMut;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::header::AUTHORIZATION;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use trunkline_jsonrpc::{Id, Incoming, Item, Request, parse_text};

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

/// Starts the tasks: frames go out, answers and pushes come in, until either side ends.
pub(super) fn drive(
    socket: Socket,
    frames: mpsc::Receiver<BytesMut>,
    pushes: mpsc::Sender<Push>,
    shared: Arc<Shared>,
) {
    let (sink, stream) = socket.split();
    let writer = tokio::spawn(write(sink, frames));
    let heard = Arc::clone(&shared);
    let reader = tokio::spawn(async move {
        let loss = read(stream, &heard, &pushes).await;
        // Before the pushes end: whoever sees that asks why.
        heard.lose(loss.clone());
        loss
    });
    tokio::spawn(end_together(writer, reader, shared));
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

/// Writes frames; those that wait together leave in one write.
async fn write(mut sink: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<BytesMut>) -> Loss {
    let mut ready = Vec::new();
    while frames.recv_many(&mut ready, OUTGOING_MAX).await > 0 {
        for frame in ready.drain(..) {
            if let Err(error) = sink.feed(Message::text(frame)).await {
                return Loss::of(error.to_string());
            }
        }
        if let Err(error) = sink.flush().await {
            return Loss::of(error.to_string());
        }
    }
    // Every client is gone: a clean goodbye, if the other side still listens.
    let _ = sink.close().await;
    Loss::of("the connection was closed")
}

async fn read(
    mut stream: SplitStream<Socket>,
    shared: &Shared,
    pushes: &mpsc::Sender<Push>,
) -> Loss {
    loop {
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Loss::of(error.to_string()),
            None => return Loss::of("the server closed the connection"),
        };
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
                Item::Answer(answer) => shared.settle(&answer),
                // Nobody takes pushes any more: they are meant for nobody then.
                Item::Request(request) => drop(pushes.send(push(request)).await),
                _ => {}
            }
        }
    }
}

fn push(request: Request<'_>) -> Push {
    Push {
        id: request.id.map(Id::to_owned_id),
        method: request.method.into_owned(),
        params: request.params.map(ToOwned::to_owned),
        meta: request.meta.map(ToOwned::to_owned),
    }
}

/// Neither half outlives the other, and every request in flight hears about the end.
async fn end_together(
    mut writer: JoinHandle<Loss>,
    mut reader: JoinHandle<Loss>,
    shared: Arc<Shared>,
) {
    let reason = tokio::select! {
        reason = &mut reader => reason,
        // What the server said last explains a failed write better than the write does.
        written = &mut writer => timeout(GOODBYE, &mut reader).await.unwrap_or(written),
    };
    shared.lose(reason.unwrap_or_else(|error| Loss::of(error.to_string())));
    reader.abort();
    writer.abort();
}
