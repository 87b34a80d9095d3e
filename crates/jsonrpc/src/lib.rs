//! JSON-RPC 2.0 as Trunkline speaks it: frames to requests and answers, and back to bytes.
//!
//! The crate borrows from the frame it reads and writes into the buffer it is given. Ids, params,
//! results and JSON payloads pass as the text that came in, byte for byte.
//!
//! **Invariant**: knows no socket, no clock, no topic and no method name; never builds a
//! `serde_json::Value` of what passes through; never recurses on input, and refuses nesting,
//! batches and ids beyond [`Limits`] before anyone else sees them.
//!
//! Start at [`parse`], which makes an [`Incoming`] of a frame, with a [`Scanner`] unless the frame
//! is odd; then [`encode_result`] and its neighbours, which make frames. [`parse_params`] reads the
//! params of a method, [`PayloadMembers`] and [`write_payload`] are the payload rule, [`openrpc`] is
//! the document of `rpc.discover`.
//!
//! ```
//! use trunkline_jsonrpc::{Incoming, Item, Limits, encode_result, parse};
//!
//! let frame = br#"{"jsonrpc": "2.0", "id": 1e3, "method": "echo", "params": [1.0, "a"]}"#;
//! let Incoming::Single(Item::Request(request)) = parse(frame, &Limits::default())? else {
//!     unreachable!("the frame is one request");
//! };
//! let (id, params) = (request.id.expect("it has one"), request.params.expect("it has some"));
//! let mut answer = Vec::new();
//! encode_result(&mut answer, id, params.get().as_bytes());
//! assert_eq!(answer, br#"{"jsonrpc":"2.0","id":1e3,"result":[1.0, "a"]}"#);
//! # Ok::<(), trunkline_jsonrpc::ParseError>(())
//! ```

mod base64;
mod batch;
mod classify;
mod depth;
mod encode;
mod envelope;
mod error;
mod error_object;
mod id;
mod incoming;
mod integer;
mod limits;
mod nearest;
pub mod openrpc;
mod params;
mod parse;
mod payload;
mod payload_write;
mod pointer;
mod raw;
mod scan;
mod string;
mod text;
mod words;

pub use base64::{Base64Error, decode_base64, write_base64};
pub use batch::BatchAnswer;
pub use encode::{
    encode_error, encode_error_object, encode_notification, encode_request, encode_result,
};
pub use error::{InvalidReason, ParseError, code};
pub use error_object::{ErrorObject, ErrorObjectError};
pub use id::{Id, OwnedId};
pub use incoming::{Answer, Incoming, Item, Outcome, Request};
pub use integer::Integer;
pub use limits::Limits;
pub use nearest::nearest;
pub use params::{ParamsError, parse_params};
pub use parse::{parse, parse_text};
pub use payload::{JSON, OCTETS, Payload, PayloadError, PayloadMembers, TEXT};
pub use payload_write::write_payload;
pub use scan::Scanner;
pub use string::write_string;
pub use text::{Text, present};
