//! The one place where errors become what an ERROR frame says.

use std::fmt::Display;
use trunkline_model::{Error, ErrorCode};
use trunkline_stomp::Failure;

/// The number of an error, as everywhere on the wire.
pub(super) const CODE: &str = "trunkline-code";
/// What a program needs besides the number, as JSON.
const DATA: &str = "trunkline-data";

/// An error of the engine, of calls or of access.
pub(super) fn of(error: &Error) -> Failure {
    let failure = with_code(error.message(), error.code());
    match error.data() {
        Some(data) => failure.with(DATA, data.to_string()),
        None => failure,
    }
}

/// A header that can't be taken as it is.
pub(super) fn invalid(problem: impl Display) -> Failure {
    with_code(&problem.to_string(), ErrorCode::InvalidParams)
}

/// Something that nobody can do for the client.
pub(super) fn unsupported(text: &str) -> Failure {
    with_code(text, ErrorCode::Unsupported)
}

fn with_code(text: &str, code: ErrorCode) -> Failure {
    Failure::new(text).with(CODE, code.number().to_string())
}
