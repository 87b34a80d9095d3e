//! `GET /healthz` and `GET /readyz` (PROTOCOL.md §2).

use super::problem::problem;
use crate::{
    Dependency,
    shared::{Phase, Shared},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::json;
use std::sync::Arc;
use trunkline_model::Health;

/// Alive: the process answers.
pub(crate) async fn healthz() -> Response {
    status("alive")
}

/// Able to serve, if need be with a warning; or 503 with the reason.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let health = shared.services.engine.health().borrow().clone();
    let reason = match health {
        _ if shared.phase() != Phase::Serving => "the server is shutting down".to_owned(),
        Health::Ready => return ready(&shared, None),
        Health::Degraded(why) => return ready(&shared, Some(why)),
        Health::Starting(what) => format!("the engine is starting: {what}"),
        Health::ReadOnly(why) => format!("the engine takes no publishes: {why}"),
        Health::Failed(why) => format!("the engine has failed: {why}"),
        _ => "the engine is closed".to_owned(),
    };
    problem(StatusCode::SERVICE_UNAVAILABLE, &reason)
}

/// What warns is in one text, that of the engine first.
fn ready(shared: &Shared, warning: Option<String>) -> Response {
    let others = shared.services.dependencies.iter();
    let others = others.filter_map(Dependency::trouble);
    let warnings: Vec<String> = warning.into_iter().chain(others).collect();
    if warnings.is_empty() {
        return status("ready");
    }
    let warning = warnings.join("; ");
    ok(json!({"status": "ready", "warning": warning}).to_string())
}

fn status(word: &str) -> Response {
    ok(format!("{{\"status\":\"{word}\"}}"))
}

fn ok(json: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
