//! The one place where errors become their JSON-RPC form.

use bytes::BufMut;
use trunkline_jsonrpc::{Id, ParamsError, encode_error};
use trunkline_model::{Error, ErrorCode};

/// Appends the answer that carries `error`.
pub(crate) fn write<B: BufMut>(out: &mut B, id: Id<'_>, error: &Error) {
    let data = error.data().map(ToString::to_string);
    encode_error(
        out,
        id,
        error.code().number(),
        error.message(),
        data.as_deref().map(str::as_bytes),
    );
}

/// Appends the error object alone.
pub(crate) fn write_object<B: BufMut>(out: &mut B, error: &Error) {
    out.put_slice(b"{\"code\":");
    out.put_slice(error.code().number().to_string().as_bytes());
    out.put_slice(b",\"message\":");
    trunkline_jsonrpc::write_string(out, error.message());
    if let Some(data) = error.data() {
        out.put_slice(b",\"data\":");
        out.put_slice(data.to_string().as_bytes());
    }
    out.put_u8(b'}');
}

/// Params that don't fit.
pub(crate) fn params(error: ParamsError) -> Error {
    let text = error.to_string();
    let result = Error::invalid_params(text).with("path", error.path);
    match error.nearest {
        Some(nearest) => result.with("nearest", nearest),
        None => result,
    }
}

/// Params that don't fit at `path`, for what a type alone can't check.
pub(crate) fn param(path: &str, problem: impl Into<String>) -> Error {
    params(ParamsError::new(path, problem))
}

/// A bound of the connection is reached.
pub(crate) fn limit(what: &str, limit: usize) -> Error {
    let text = format!("this connection already has {limit} {what}, the most it may have");
    Error::new(ErrorCode::Overloaded, text).with("limit", limit)
}
