//! What processes tell each other about calls, as bytes.
//!
//! An envelope is a kind byte, a number (little-endian `u64`) and a body that is passed on
//! without being looked at. Kinds that a process does not know are skipped, so that newer
//! processes can say more.

use bytes::{BufMut, Bytes, BytesMut};
use compact_str::CompactString;
use trunkline_model::{CallOutcome, Error, ErrorCode};

const HEAD: usize = 9;

/// What the side that runs a call tells the side that asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// A worker has it; where to send a cancellation.
    Taken(Taker),
    /// Its worker was lost, and it waits again.
    Returned,
    /// Nobody waited for it, and it left its queue without being run.
    Skipped,
    /// The worker got on with it.
    Progress(Bytes),
    /// It has ended.
    Answer(CallOutcome),
}

/// Who runs a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taker {
    /// The process.
    pub process: CompactString,
    /// The dispatch there.
    pub dispatch: u64,
}

const TAKEN: u8 = 1;
const PROGRESS: u8 = 2;
const RESULT: u8 = 3;
const HANDLER_ERROR: u8 = 4;
const FAILED: u8 = 5;
const RETURNED: u8 = 6;
const SKIPPED: u8 = 7;

impl Reply {
    /// As bytes, for a call.
    pub(crate) fn encode(&self, call: u64) -> Bytes {
        match self {
            Self::Taken(taker) => {
                let mut body = Vec::with_capacity(8 + taker.process.len());
                body.put_u64_le(taker.dispatch);
                body.extend_from_slice(taker.process.as_bytes());
                pack(TAKEN, call, &body)
            }
            Self::Returned => pack(RETURNED, call, b""),
            Self::Skipped => pack(SKIPPED, call, b""),
            Self::Progress(value) => pack(PROGRESS, call, value),
            Self::Answer(CallOutcome::Result(value)) => pack(RESULT, call, value),
            Self::Answer(CallOutcome::HandlerError(error)) => pack(HANDLER_ERROR, call, error),
            Self::Answer(CallOutcome::Failed(error)) => pack(FAILED, call, &error_bytes(error)),
        }
    }

    /// The call and what is said about it; `None` if this is not an envelope or of a kind
    /// that is not known here.
    pub(crate) fn decode(bytes: &Bytes) -> Option<(u64, Self)> {
        let (kind, call, body) = unpack(bytes)?;
        let reply = match kind {
            TAKEN => {
                let (dispatch, process) = body.split_first_chunk::<8>()?;
                Self::Taken(Taker {
                    dispatch: u64::from_le_bytes(*dispatch),
                    process: CompactString::from_utf8(process).ok()?,
                })
            }
            RETURNED => Self::Returned,
            SKIPPED => Self::Skipped,
            PROGRESS => Self::Progress(body),
            RESULT => Self::Answer(CallOutcome::Result(body)),
            HANDLER_ERROR => Self::Answer(CallOutcome::HandlerError(body)),
            FAILED => Self::Answer(CallOutcome::Failed(error_from(&body)?)),
            _ => return None,
        };
        Some((call, reply))
    }
}

/// A call that was given up while it waited: its asker and its number there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// The asking process.
    pub process: CompactString,
    /// The call there.
    pub call: u64,
}

impl Asked {
    /// Whether the asking process is this one.
    pub(crate) fn is_by(&self, process: &CompactString) -> bool {
        self.process == *process
    }

    /// As bytes.
    pub(crate) fn encode(&self) -> Bytes {
        pack(CANCEL, self.call, self.process.as_bytes())
    }

    /// From bytes.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let (CANCEL, call, process) = unpack(bytes)? else {
            return None;
        };
        let process = CompactString::from_utf8(process).ok()?;
        Some(Self { process, call })
    }
}

const CANCEL: u8 = 1;

/// "Nobody waits any more for what you run under this dispatch", as bytes.
pub(crate) fn encode_cancel(dispatch: u64) -> Bytes {
    pack(CANCEL, dispatch, b"")
}

/// The dispatch that nobody waits for any more.
pub(crate) fn decode_cancel(bytes: &Bytes) -> Option<u64> {
    unpack(bytes).and_then(|(kind, dispatch, _)| (kind == CANCEL).then_some(dispatch))
}

fn pack(kind: u8, number: u64, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + body.len());
    bytes.put_u8(kind);
    bytes.put_u64_le(number);
    bytes.put_slice(body);
    bytes.freeze()
}

fn unpack(bytes: &Bytes) -> Option<(u8, u64, Bytes)> {
    let (head, _) = bytes.split_first_chunk::<HEAD>()?;
    let [kind, number @ ..] = *head;
    Some((kind, u64::from_le_bytes(number), bytes.slice(HEAD..)))
}

/// An error as its JSON-RPC object.
fn error_bytes(error: &Error) -> Vec<u8> {
    let mut object = serde_json::json!({
        "code": error.code().number(),
        "message": error.message(),
    });
    if let Some(data) = error.data() {
        object["data"] = data.clone();
    }
    object.to_string().into_bytes()
}

fn error_from(bytes: &[u8]) -> Option<Error> {
    #[derive(serde::Deserialize)]
    struct Object {
        code: i32,
        message: String,
        data: Option<serde_json::Map<String, serde_json::Value>>,
    }
    let object: Object = serde_json::from_slice(bytes).ok()?;
    let code = ErrorCode::from_number(object.code).unwrap_or(ErrorCode::Internal);
    let error = Error::new(code, object.message);
    let members = object.data.into_iter().flatten();
    Some(members.fold(error, |error, (name, value)| error.with(&name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies() -> Vec<Reply> {
        let lost = Error::new(ErrorCode::WorkerLost, "gone").with("attempt", 2);
        vec![
            Reply::Taken(Taker {
                process: "there".into(),
                dispatch: 7,
            }),
            Reply::Returned,
            Reply::Skipped,
            Reply::Progress("50".into()),
            Reply::Answer(CallOutcome::Result("{\"a\" : 1}".into())),
            Reply::Answer(CallOutcome::HandlerError("{}".into())),
            Reply::Answer(CallOutcome::Failed(lost)),
            Reply::Answer(CallOutcome::Failed(Error::internal())),
        ]
    }

    #[test]
    fn replies_round_trip() {
        for reply in replies() {
            assert_eq!(Reply::decode(&reply.encode(42)), Some((42, reply)));
        }
    }

    #[test]
    fn cancellations_round_trip() {
        let asked = Asked {
            process: "here".into(),
            call: u64::MAX,
        };
        assert_eq!(Asked::decode(&asked.encode()), Some(asked));
        assert_eq!(decode_cancel(&encode_cancel(9)), Some(9));
    }

    #[test]
    fn what_is_not_an_envelope_is_skipped() {
        for bytes in [
            &b""[..],
            b"\x03",
            b"\xff12345678",
            b"\x0112345678",
            b"\x0512345678{",
        ] {
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(Reply::decode(&bytes), None, "{bytes:?}");
        }
        assert_eq!(Asked::decode(&"x".into()), None);
        assert_eq!(decode_cancel(&"x".into()), None);
    }
}
