//! The HTTP edge: who gets in, health, single requests by `POST`, and the way to a session.

mod archive;
mod backup;
mod connection;
mod guard;
mod health;
mod post;
mod problem;
mod upgrade;

use crate::shared::Shared;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use http::StatusCode;
use std::sync::Arc;

pub use archive::{BackupFile, BackupManifest};
pub(crate) use connection::{Alive, HEAD_TIMEOUT, serve};
pub(crate) use health::healthz;
pub(crate) use problem::problem;

/// Everything that the listener serves (PROTOCOL.md §2).
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let rpc = get(upgrade::rpc)
        .post(post::post)
        .fallback(wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), guarded));
    let stomp = get(upgrade::stomp)
        .fallback(wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), guarded));
    let backup = get(backup::backup)
        .fallback(wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), guarded));
    Router::new()
        .route("/rpc", rpc)
        .route("/stomp", stomp)
        .route("/admin/v1/backup", backup)
        .route("/healthz", get(health::healthz).fallback(wrong_method))
        .route("/readyz", get(health::readyz).fallback(wrong_method))
        .fallback(unknown_path)
        .with_state(shared)
}

async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let config = &shared.config;
    match guard::check(request.headers(), &config.hosts, &config.origins) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            shared.counters.forbidden.add(1);
            problem(StatusCode::FORBIDDEN, &refusal.to_string())
        }
    }
}

async fn wrong_method(request: Request) -> Response {
    let (allow, detail) = match request.uri().path() {
        "/rpc" => ("GET, HEAD, POST", "/rpc takes GET (WebSocket) and POST"),
        _ => ("GET, HEAD", "only GET is served here"),
    };
    let status = StatusCode::METHOD_NOT_ALLOWED;
    problem::problem_with(status, detail, http::header::ALLOW, allow)
}

async fn unknown_path(request: Request) -> Response {
    let path = request.uri().path();
    let detail = format!("nothing is served at {path}; JSON-RPC is at /rpc, STOMP at /stomp");
    problem(StatusCode::NOT_FOUND, &detail)
}
