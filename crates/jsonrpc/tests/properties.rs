//! What holds for any input.

use proptest::prelude::*;
use serde_json::Value;
use trunkline_jsonrpc::{
    Id, Incoming, Item, Limits, Outcome, PayloadMembers, encode_error, encode_request,
    encode_result, parse, write_payload,
};

/// JSON values of a few levels, with strings of every kind of character.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no other numbers", |n| n.is_finite())
            .prop_map(|number| format!("{number:e}")),
        ".{0,40}".prop_map(|text| Value::from(text).to_string()),
        Just("null".to_owned()),
    ]
}

/// Text made of the pieces that frames are made of, so that much of it is nearly a frame.
fn nearly_a_frame() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"jsonrpc\":\"2.0\"",
        "\"id\":",
        "\"method\":",
        "\"params\":",
        "\"result\":",
        "\"error\":",
        "1",
        "-",
        "1e9",
        "null",
        "true",
        "\"m\"",
        "\\ud800",
        " ",
        "\n",
        "é",
        "\u{0}",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_request_reads_as_it_was_written(
        id in id(),
        method in any::<String>(),
        params in prop::collection::vec(json(), 0..4),
    ) {
        let params = Value::from(params).to_string();
        let id = Id::from_json(&id).expect("an id");
        let mut frame = Vec::new();
        encode_request(&mut frame, id, &method, Some(params.as_bytes()), None);
        let Ok(Incoming::Single(Item::Request(request))) = parse(&frame, &Limits::default()) else {
            return Err(TestCaseError::fail("not a request"));
        };
        prop_assert_eq!(request.id, Some(id));
        prop_assert_eq!(&*request.method, &*method);
        prop_assert_eq!(request.params.map(|raw| raw.get()), Some(&*params));
    }

    #[test]
    fn an_answer_reads_as_it_was_written(id in id(), value in json(), message in any::<String>()) {
        let id = Id::from_json(&id).expect("an id");
        let value = value.to_string();
        let mut frame = Vec::new();
        encode_result(&mut frame, id, value.as_bytes());
        let Ok(Incoming::Single(Item::Answer(answer))) = parse(&frame, &Limits::default()) else {
            return Err(TestCaseError::fail("not an answer"));
        };
        prop_assert_eq!(answer.id, id);
        prop_assert!(matches!(answer.outcome, Outcome::Result(raw) if raw.get() == value));

        let mut frame = Vec::new();
        encode_error(&mut frame, id, -32000, &message, Some(value.as_bytes()));
        let read: Value = serde_json::from_slice(&frame).expect("JSON");
        prop_assert_eq!(read["error"]["message"].as_str(), Some(&*message));
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn what_is_nearly_a_frame_is_json_exactly_if_serde_json_says_so(text in nearly_a_frame()) {
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        let read = parse(text.as_bytes(), &Limits::default());
        // Member names must be readable text, which `RawValue` doesn't look at.
        if !text.contains("\\ud800") {
            prop_assert_eq!(read.is_ok(), is_json, "{}", text);
        }
    }

    #[test]
    fn any_payload_of_any_type_comes_back(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            any::<String>().prop_map(String::into_bytes),
            json().prop_map(|value| value.to_string().into_bytes()),
        ],
        content_type in prop::sample::select(vec![
            "application/json", "text/plain;charset=utf-8", "text/html", "image/png",
            "application/octet-stream",
        ]),
    ) {
        let mut object = b"{".to_vec();
        write_payload(&mut object, &bytes, content_type);
        object.push(b'}');
        let members: PayloadMembers<'_> = serde_json::from_slice(&object).expect("members");
        let payload = members.read().expect("a payload");
        prop_assert_eq!(&*payload.bytes, &*bytes);
        prop_assert_eq!(&*payload.content_type, content_type);
    }
}
