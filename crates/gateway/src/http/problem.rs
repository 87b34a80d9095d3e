//! Errors of the HTTP edge, as RFC 9457 wants them.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use trunkline_model::{Error, ErrorCode};

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// The number of the same error on `/rpc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
}

/// An `application/problem+json` answer; `detail` says what happened and what to do.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    coded_problem(status, detail, None)
}

/// The answer to a command that failed, with its code.
pub(crate) fn problem_of(error: &Error) -> Response {
    let status = match error.code() {
        ErrorCode::InvalidParams => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::Overloaded | ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::Unavailable | ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    coded_problem(status, error.message(), Some(error.code().number()))
}

fn coded_problem(status: StatusCode, detail: &str, code: Option<i32>) -> Response {
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        code,
    };
    let body = serde_json::to_vec(&problem).expect("a problem is JSON");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}

/// [`problem`] with one more header.
pub(crate) fn problem_with(
    status: StatusCode,
    detail: &str,
    name: HeaderName,
    value: &'static str,
) -> Response {
    let mut response = problem(status, detail);
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}
