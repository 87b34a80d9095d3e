//! JSON-RPC as the generator speaks it (PROTOCOL.md §1): templates out, a scan for ids and tags
//! in.

mod client;
mod request;
mod requester;
pub(crate) mod scan;

pub(crate) use client::{request, string_member};
#[cfg(feature = "peers")]
pub(crate) use request::{id_of_slot, slot_of_id};
pub(crate) use requester::Requester;

/// Bytes of a payload, the size that message brokers are usually compared with.
pub(crate) const PAYLOAD_BYTES: usize = 256;

/// The payload of every message and call: a JSON string of [`PAYLOAD_BYTES`] ASCII characters,
/// with its quotes.
pub(crate) fn payload() -> String {
    let mut text = String::with_capacity(PAYLOAD_BYTES + 2);
    text.push('"');
    text.extend(('a'..='z').cycle().take(PAYLOAD_BYTES));
    text.push('"');
    text
}
