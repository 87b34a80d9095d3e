//! `GET /rpc` and `GET /stomp`: from HTTP to a session over WebSocket (RFC 6455 §4.2).

use super::problem::{problem, problem_with};
use crate::{
    session::{self, Wire},
    shared::{Phase, Shared},
    stomp::{self, StompWebSocket},
};
use axum::{
    body::Body,
    extract::{Extension, Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use trunkline_jsonrpc::write_base64;
use trunkline_stomp::Version;

/// RFC 6455 §1.3: proves that the server meant to speak WebSocket.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a connection carries to its handlers; held until the connection's session has ended.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Dropped last of all: tells the gateway that this connection is over.
    pub(crate) alive: super::connection::Alive,
}

/// JSON-RPC.
pub(crate) async fn rpc(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let address = peer.address;
    let refusal = "GET /rpc is a WebSocket; for single requests POST to it";
    switch(
        &shared.clone(),
        peer,
        request,
        refusal,
        async move |stream, already_read| {
            let bound = shared.config.limits.outgoing_bytes();
            let wire = Wire::new(stream, already_read, bound);
            session::run(shared, wire, address).await;
        },
    )
}

/// STOMP.
pub(crate) async fn stomp(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let address = peer.address;
    let refusal = "GET /stomp is a WebSocket for STOMP";
    let chosen = match stomp::choose(tokens(request.headers(), header::SEC_WEBSOCKET_PROTOCOL)) {
        Ok(chosen) => chosen,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let best = chosen.map_or(Version::V1_2, |(_, version)| version);
    let mut response = switch(
        &shared.clone(),
        peer,
        request,
        refusal,
        async move |stream, read| {
            let frame = shared.config.stomp.frame_limits();
            let socket = StompWebSocket::new(stream, read, &frame);
            stomp::serve(shared, socket, address, best).await;
        },
    );
    if let Some((protocol, _)) = chosen
        && response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        let value = HeaderValue::from_static(protocol);
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    response
}

/// Answers the handshake and starts the session, in a task of its own.
fn switch<F, R>(
    shared: &Shared,
    peer: Peer,
    mut request: Request,
    refusal: &'static str,
    serve: F,
) -> Response
where
    F: FnOnce(TcpStream, Bytes) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let accept = match accept_key(request.headers(), refusal) {
        Ok(accept) => accept,
        Err(refusal) => return *refusal,
    };
    if shared.phase() != Phase::Serving {
        let detail = "the server is shutting down; connect again later";
        return problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return problem(StatusCode::BAD_REQUEST, "this request can't be upgraded");
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await
            && let Some((stream, already_read)) = into_stream(upgraded)
        {
            serve(stream, already_read).await;
        }
        drop(peer.alive);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The socket itself, so that a session is not behind two layers of indirection.
fn into_stream(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Some((parts.io.into_inner(), parts.read_buf)),
        Err(_) => {
            tracing::error!("an upgraded connection is not the TCP stream it was");
            None
        }
    }
}

fn accept_key(headers: &HeaderMap, refusal: &'static str) -> Result<HeaderValue, Box<Response>> {
    if !has_token(headers, header::UPGRADE, "websocket")
        || !has_token(headers, header::CONNECTION, "upgrade")
    {
        return Err(Box::new(problem_with(
            StatusCode::UPGRADE_REQUIRED,
            refusal,
            header::UPGRADE,
            "websocket",
        )));
    }
    if !has_token(headers, header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Box::new(problem_with(
            StatusCode::UPGRADE_REQUIRED,
            "only version 13 of the WebSocket protocol is spoken here",
            header::SEC_WEBSOCKET_VERSION,
            "13",
        )));
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24)
        .ok_or_else(|| {
            let detail = "Sec-WebSocket-Key must be 16 bytes in base64";
            Box::new(problem(StatusCode::BAD_REQUEST, detail))
        })?;
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(GUID.as_bytes());
    let mut accept = Vec::with_capacity(28);
    write_base64(&mut accept, &sha1.digest().bytes());
    Ok(HeaderValue::from_bytes(&accept).expect("base64 is a header value"))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|part| part.eq_ignore_ascii_case(token))
}

/// What a header lists.
fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::UPGRADE, "WebSocket"),
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let accept = accept_key(&headers, "").map_err(|r| r.status());
        let expected = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept, Ok(expected));
        headers.remove(header::UPGRADE);
        let refused = accept_key(&headers, "").map_err(|r| r.status());
        assert_eq!(refused, Err(StatusCode::UPGRADE_REQUIRED));
    }
}
