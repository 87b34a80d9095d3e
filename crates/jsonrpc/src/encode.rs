//! Requests and answers to bytes, straight into the caller's buffer.
//!
//! Everything given as bytes must be the text of one JSON value. It is copied as it is, which is
//! what keeps params and results unchanged on their way.

use bytes::BufMut;

use crate::{Id, Integer, write_string};

/// Appends a successful answer.
pub fn encode_result<B: BufMut>(out: &mut B, id: Id<'_>, result: &[u8]) {
    begin_with_id(out, id);
    out.put_slice(b",\"result\":");
    out.put_slice(result);
    out.put_u8(b'}');
}

/// Appends a failed answer. `data`, if given, is JSON text.
pub fn encode_error<B: BufMut>(
    out: &mut B,
    id: Id<'_>,
    code: impl Into<i64>,
    message: &str,
    data: Option<&[u8]>,
) {
    begin_with_id(out, id);
    out.put_slice(b",\"error\":{\"code\":");
    out.put_slice(Integer::from_signed(code.into()).as_bytes());
    out.put_slice(b",\"message\":");
    write_string(out, message);
    put_member(out, b",\"data\":", data);
    out.put_slice(b"}}");
}

/// Appends a failed answer whose error object is already JSON text: a handler's error reaches
/// the caller unchanged.
pub fn encode_error_object<B: BufMut>(out: &mut B, id: Id<'_>, error: &[u8]) {
    begin_with_id(out, id);
    out.put_slice(b",\"error\":");
    out.put_slice(error);
    out.put_u8(b'}');
}

/// Appends a request. `params` is an object or array; `meta` is Trunkline's own member for
/// workers that asked for it.
pub fn encode_request<B: BufMut>(
    out: &mut B,
    id: Id<'_>,
    method: &str,
    params: Option<&[u8]>,
    meta: Option<&[u8]>,
) {
    begin_with_id(out, id);
    put_call(out, method, params);
    put_member(out, b",\"meta\":", meta);
    out.put_u8(b'}');
}

/// Appends a notification: a request that is never answered.
pub fn encode_notification<B: BufMut>(out: &mut B, method: &str, params: Option<&[u8]>) {
    out.put_slice(b"{\"jsonrpc\":\"2.0\"");
    put_call(out, method, params);
    out.put_u8(b'}');
}

fn begin_with_id<B: BufMut>(out: &mut B, id: Id<'_>) {
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.put_slice(id.as_json().as_bytes());
}

fn put_call<B: BufMut>(out: &mut B, method: &str, params: Option<&[u8]>) {
    out.put_slice(b",\"method\":");
    write_string(out, method);
    put_member(out, b",\"params\":", params);
}

fn put_member<B: BufMut>(out: &mut B, name: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value {
        out.put_slice(name);
        out.put_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_bytes_of_every_kind_of_frame() {
        let id = Id::from_json("1e3").expect("an id");
        let cases = [
            (
                text(|out| encode_result(out, id, b"[ 1 ]")),
                r#"{"jsonrpc":"2.0","id":1e3,"result":[ 1 ]}"#,
            ),
            (
                text(|out| encode_error(out, Id::NULL, -32700, "not \"JSON\"", None)),
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not \"JSON\""}}"#,
            ),
            (
                text(|out| encode_error(out, id, 7, "m", Some(b"{}"))),
                r#"{"jsonrpc":"2.0","id":1e3,"error":{"code":7,"message":"m","data":{}}}"#,
            ),
            (
                text(|out| encode_error_object(out, id, b"{\"code\":1.0}")),
                r#"{"jsonrpc":"2.0","id":1e3,"error":{"code":1.0}}"#,
            ),
            (
                text(|out| encode_request(out, id, "m", None, None)),
                r#"{"jsonrpc":"2.0","id":1e3,"method":"m"}"#,
            ),
            (
                text(|out| encode_request(out, id, "m\n", Some(b"[1]"), Some(b"{\"attempt\":1}"))),
                r#"{"jsonrpc":"2.0","id":1e3,"method":"m\n","params":[1],"meta":{"attempt":1}}"#,
            ),
            (
                text(|out| encode_notification(out, "m", Some(b"{}"))),
                r#"{"jsonrpc":"2.0","method":"m","params":{}}"#,
            ),
        ];
        for (written, expected) in cases {
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn a_network_buffer_takes_the_same_bytes() {
        let mut out = bytes::BytesMut::new();
        encode_result(&mut out, Id::NULL, b"1");
        assert_eq!(&out[..], br#"{"jsonrpc":"2.0","id":null,"result":1}"#);
    }
}
