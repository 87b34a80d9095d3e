//! The errors of calls, in one place.

use trunkline_model::{Error, ErrorCode};

/// `-32002`.
pub(crate) fn worker_lost() -> Error {
    Error::new(
        ErrorCode::WorkerLost,
        "the worker was lost while it ran this call, and the method may not be repeated",
    )
}

/// `-32004`.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorCode::Cancelled, "the call was cancelled")
}

/// `-32601`.
pub(crate) fn no_handler(method: &str) -> Error {
    let shown: String = method.chars().take(100).collect();
    Error::new(
        ErrorCode::MethodNotFound,
        format!("no handler offers the method {shown:?}"),
    )
    .with("method", shown)
}

/// `-32003`.
pub(crate) fn overloaded(category: &str, limit: u32) -> Error {
    Error::new(
        ErrorCode::Overloaded,
        format!("too many calls of category {category} are waiting for a worker; try again later"),
    )
    .with("category", category)
    .with("limit", limit)
}
