//! `POST /rpc`: one object or batch, and its answer.

use super::{
    problem::{problem, problem_with},
    upgrade::Peer,
};
use crate::{
    dispatch::{Connection, Frame},
    outbox::Outbox,
    shared::Shared,
};
use axum::{
    body::Body,
    extract::{Extension, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::{sync::Arc, time::Duration};
use trunkline_model::Protocol;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers when everything in the body is answered. If the client goes away before, its calls
/// are cancelled like those of a session.
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    if !is_json(request.headers()) {
        let detail = "content-type must be application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return problem_with(status, detail, header::ACCEPT, "application/json");
    }
    let limit = shared.config.limits.message_bytes();
    let body = Limited::new(request.into_body(), limit).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {limit} bytes");
            return problem(StatusCode::PAYLOAD_TOO_LARGE, &detail);
        }
        Ok(Err(_)) => return problem(StatusCode::BAD_REQUEST, "the body could not be read"),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let caller = shared.caller(Protocol::Http, peer.address);
    let mut connection = Connection::new(shared, caller);
    let mut out = Outbox::bare();
    connection.receive(Frame::Body(&body), &mut out);
    loop {
        connection.collect(&mut out);
        if connection.is_idle() {
            break;
        }
        connection.wake().woken().await;
    }
    match out.into_bytes() {
        answer if answer.is_empty() => StatusCode::NO_CONTENT.into_response(),
        answer => {
            let mut response = Response::new(Body::from(answer));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
