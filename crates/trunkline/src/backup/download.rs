//! A backup, as it comes from a server.

use crate::{context::Context, failure::Failure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::{
    io::{self, Read},
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

const PATH: &str = "/admin/v1/backup";
/// Pieces that wait to be written.
const AHEAD: usize = 8;
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// Most bytes of a refusal that are read.
const PROBLEM_BYTES_MAX: usize = 64 << 10;
/// Port of a URL that names none.
const PORT: u16 = 80;

/// A backup that has begun.
pub(crate) struct Download {
    /// Size of the archive.
    pub(crate) bytes: u64,
    body: Incoming,
}

enum Piece {
    Bytes(Bytes),
    End,
    Failed(String),
}

impl Download {
    /// Asks the server that `--url` names.
    pub(crate) async fn start(context: &Context) -> Result<Self, Failure> {
        let target = context.target()?;
        let uri: Uri = target
            .to_string()
            .parse()
            .map_err(|error| Failure::usage(format!("--url: {error}")))?;
        let host = uri.host().unwrap_or_default();
        let address = (
            host.trim_matches(['[', ']']),
            uri.port_u16().unwrap_or(PORT),
        );
        let stream = match timeout(target.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let text = format!("can't connect to {target}: {error}");
                return Err(Failure::unreachable(text));
            }
            Err(_) => return Err(Failure::unreachable(format!("{target}: no answer"))),
        };
        let lost = |error: hyper::Error| Failure::failed(format!("lost the connection: {error}"));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // Its error is that of the body, or comes after its end.
        tokio::spawn(connection);
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(PATH)
            .header(header::HOST, authority);
        if let Some(token) = context.token() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Failure::usage(error.to_string()))?;
        let response = match timeout(SILENCE, sender.send_request(request)).await {
            Ok(response) => response.map_err(lost)?,
            Err(_) => return Err(Failure::timed_out(format!("no answer within {SILENCE:?}"))),
        };
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(refused(head.status, body).await);
        }
        let length = head.headers.get(header::CONTENT_LENGTH);
        let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let unsized_ = || Failure::failed("the server doesn't say how large the backup is");
        let bytes = bytes.ok_or_else(unsized_)?;
        Ok(Self { bytes, body })
    }

    /// Where the pieces go, and where they come out.
    pub(crate) fn pieces(self) -> (Feed, Pieces) {
        let (to, from) = mpsc::channel(AHEAD);
        let body = self.body;
        let pieces = Pieces {
            from,
            rest: Bytes::new(),
            ended: false,
        };
        (Feed { body, to }, pieces)
    }
}

/// Takes what comes from the server.
pub(crate) struct Feed {
    body: Incoming,
    to: mpsc::Sender<Piece>,
}

impl Feed {
    /// Until the end, or until nobody reads the pieces any more.
    pub(crate) async fn run(mut self) {
        loop {
            let piece = match timeout(SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => Piece::Bytes(frame.into_data().unwrap_or_default()),
                Ok(None) => Piece::End,
                Ok(Some(Err(error))) => Piece::Failed(format!("lost the connection: {error}")),
                Err(_) => Piece::Failed(format!("the server said nothing for {SILENCE:?}")),
            };
            let over = !matches!(piece, Piece::Bytes(_));
            if self.to.send(piece).await.is_err() || over {
                return;
            }
        }
    }
}

/// Reads the pieces, on a thread that may block.
pub(crate) struct Pieces {
    from: mpsc::Receiver<Piece>,
    rest: Bytes,
    /// Everything came.
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.from.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.rest = bytes,
                Some(Piece::End) => self.ended = true,
                Some(Piece::Failed(why)) => return Err(io::Error::other(why)),
                None if self.ended => return Ok(0),
                None => return Err(io::Error::other("interrupted")),
            }
        }
        let count = into.len().min(self.rest.len());
        into[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// What a refusal says.
async fn refused(status: StatusCode, body: Incoming) -> Failure {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        code: Option<i32>,
    }
    let body = timeout(SILENCE, Limited::new(body, PROBLEM_BYTES_MAX).collect()).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes());
    let problem = body.and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
    Failure::failed(match problem {
        Some(Problem {
            detail,
            code: Some(code),
        }) => format!("{detail} ({code})"),
        Some(Problem { detail, code: None }) => format!("{detail} ({status})"),
        None => format!("{PATH}: {status}; is this a server of Trunkline, and recent enough?"),
    })
}
