//! JSON-RPC as the generator speaks it (PROTOCOL.md §1): templates out, a scan for ids and tags
//! in.

mod client;
mod draws;
mod offered;
mod request;
mod requester;
pub(crate) mod scan;
mod stamp;

pub(crate) use client::{request, string_member};
pub(crate) use draws::Draws;
pub(crate) use offered::require;
pub(crate) use request::{id_of_slot, slot_of_id};
pub(crate) use requester::Requester;
pub(crate) use stamp::{STAMP_DIGITS, Stamps, digits as stamp_digits, stamped, stamps};

/// Bytes of a payload, the size that message brokers are usually compared with.
pub(crate) const PAYLOAD_BYTES: usize = 256;

/// The payload of every message and call: a JSON string of [`PAYLOAD_BYTES`] ASCII characters,
/// with its quotes.
pub(crate) fn payload() -> String {
    payload_of(PAYLOAD_BYTES)
}

/// The same, of `bytes` characters.
pub(crate) fn payload_of(bytes: usize) -> String {
    format!("\"{}\"", filler(bytes))
}

/// `bytes` characters that JSON doesn't escape.
pub(crate) fn filler(bytes: usize) -> String {
    ('a'..='z').cycle().take(bytes).collect()
}
