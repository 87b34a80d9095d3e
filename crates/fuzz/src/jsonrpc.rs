//! Frames of JSON-RPC.

use serde_json::value::RawValue;
use trunkline_jsonrpc::{
    ErrorObject, Incoming, Item, Limits, Outcome, ParseError, PayloadMembers, Request, Scanner,
    encode_request, parse, parse_text, write_payload,
};

/// # Panics
/// If the two readers disagree, if a limit is not kept, or if a request or a payload is not read as it is written.
pub fn jsonrpc(input: &[u8]) {
    let limits = Limits {
        max_batch: 4,
        max_depth: 8,
        max_id_bytes: 16,
    };
    for limits in [limits, Limits::default()] {
        let read = parse(input, &limits);
        if let Ok(text) = str::from_utf8(input) {
            assert_eq!(describe(&read), describe(&parse_text(text, &limits)));
            in_odd_spelling(text, &read, &limits);
            scanned(text, &limits);
        } else {
            assert!(matches!(read, Err(ParseError::NotUtf8)));
        }
        match &read {
            Ok(Incoming::Single(item)) => look_at(item, &limits),
            Ok(Incoming::Batch(items)) => {
                assert!((1..=limits.max_batch).contains(&items.len()));
                items.iter().for_each(|item| look_at(item, &limits));
            }
            Err(_) => {}
        }
    }
}

/// What was read, but for the words of errors, which say where in the text they are.
fn describe(read: &Result<Incoming<'_>, ParseError>) -> String {
    match read {
        Ok(incoming) => format!("{incoming:?}"),
        Err(error) => format!("{:?}", std::mem::discriminant(error)),
    }
}

/// A member whose name has an escape leaves the frame to the other reader, which has to say the same.
fn in_odd_spelling(text: &str, read: &Result<Incoming<'_>, ParseError>, limits: &Limits) {
    let Some(members) = text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .strip_prefix('{')
    else {
        return;
    };
    let members = members.trim_start_matches([' ', '\t', '\n', '\r']);
    let comma = if members.starts_with('}') { "" } else { "," };
    let odd = format!("{{\"\\u0061\":0{comma}{members}");
    assert_eq!(describe(&parse_text(&odd, limits)), describe(read), "{odd}");
}

/// What the scanner passes over as a value is one.
fn scanned(text: &str, limits: &Limits) {
    let mut scanner = Scanner::new(text);
    if let Some(value) = scanner.value(limits.max_depth)
        && scanner.end().is_some()
    {
        let value_read: &RawValue = serde_json::from_str(value).expect("JSON");
        assert_eq!(value_read.get(), value);
    }
}

fn look_at(item: &Item<'_>, limits: &Limits) {
    match item {
        Item::Request(request) => written_again(request, limits),
        Item::Answer(answer) => {
            assert!(answer.id.as_json().len() <= limits.max_id_bytes);
            if let Outcome::Error(raw) = answer.outcome {
                let _ = ErrorObject::parse(raw);
            }
        }
        Item::Invalid { id, reason } => {
            assert!(id.as_json().len() <= limits.max_id_bytes);
            assert!(!reason.to_string().is_empty());
        }
    }
}

fn written_again(request: &Request<'_>, limits: &Limits) {
    if let Some(params) = request.params {
        payload(params);
    }
    let Some(id) = request.id else {
        return;
    };
    assert!(id.as_json().len() <= limits.max_id_bytes);
    let mut frame = Vec::new();
    let params = request.params.map(|raw| raw.get().as_bytes());
    let meta = request.meta.map(|raw| raw.get().as_bytes());
    encode_request(&mut frame, id, &request.method, params, meta);
    let again = parse(&frame, limits);
    let Ok(Incoming::Single(Item::Request(again))) = again else {
        panic!("{request:?} was read as {again:?}");
    };
    assert_eq!(again.id, request.id);
    assert_eq!(again.method, request.method);
    assert_eq!(
        again.params.map(RawValue::get),
        request.params.map(RawValue::get)
    );
    assert_eq!(
        again.meta.map(RawValue::get),
        request.meta.map(RawValue::get)
    );
}

/// A payload that can be read is written such that it is read again.
fn payload(params: &RawValue) {
    let read = |text: &str| {
        let members: PayloadMembers<'_> = serde_json::from_str(text).ok()?;
        let payload = members.read().ok()?;
        Some((payload.bytes.to_vec(), payload.content_type.to_string()))
    };
    let Some((bytes, content_type)) = read(params.get()) else {
        return;
    };
    let mut object = b"{".to_vec();
    write_payload(&mut object, &bytes, &content_type);
    object.push(b'}');
    let text = String::from_utf8(object).expect("JSON is UTF-8");
    assert_eq!(read(&text), Some((bytes, content_type)), "{text}");
}
