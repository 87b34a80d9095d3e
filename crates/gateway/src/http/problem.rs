//! Errors of the HTTP edge, as RFC 9457 wants them.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// An `application/problem+json` answer; `detail` says what happened and what to do.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
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
