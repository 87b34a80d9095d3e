//! The table of `testdata/frames.txt`, and what a table can't hold.

use trunkline_jsonrpc::{Answer, Incoming, Item, Limits, Outcome, ParseError, parse};

/// Small bounds, so that the table can show what lies beyond them.
const LIMITS: Limits = Limits {
    max_batch: 8,
    max_depth: 4,
    max_id_bytes: 40,
};

fn describe(frame: &[u8], limits: &Limits) -> Vec<String> {
    match parse(frame, limits) {
        Ok(Incoming::Single(item)) => vec![describe_item(&item)],
        Ok(Incoming::Batch(items)) => std::iter::once("batch".to_owned())
            .chain(items.iter().map(describe_item))
            .collect(),
        Err(error) => vec![format!("refused {}: {error}", error.code())],
    }
}

fn describe_item(item: &Item<'_>) -> String {
    match item {
        Item::Request(request) => format!(
            "request {} {} {}",
            request.id.map_or("-", |id| id.as_json()),
            request.method,
            request.params.map_or("-", |params| params.get()),
        ),
        Item::Answer(Answer { id, outcome }) => {
            let id = id.as_json();
            match outcome {
                Outcome::Result(result) => format!("result {id} {}", result.get()),
                Outcome::Error(error) => format!("error {id} {}", error.get()),
                Outcome::Malformed(reason) => format!("malformed {id}: {reason}"),
            }
        }
        Item::Invalid { id, reason } => {
            format!("invalid {} {}: {reason}", id.as_json(), reason.code())
        }
    }
}

#[test]
fn every_frame_of_the_table_is_read_as_it_says() {
    let table = include_str!("../testdata/frames.txt");
    let mut cases = 0;
    for case in table.split("\n-- ").skip(1) {
        let name = case.lines().next().unwrap_or_default();
        let frame = case.lines().find_map(|line| line.strip_prefix("> "));
        let frame = frame.unwrap_or_else(|| panic!("{name}: no frame"));
        let expected: Vec<&str> = case.lines().filter_map(|l| l.strip_prefix("< ")).collect();
        assert_eq!(describe(frame.as_bytes(), &LIMITS), expected, "{name}");
        cases += 1;
    }
    assert!(cases > 50, "the table was cut short: {cases} cases");
}

#[test]
fn an_id_beyond_its_bound_is_not_kept() {
    let frame = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#,
        "x".repeat(39)
    );
    assert_eq!(
        describe(frame.as_bytes(), &LIMITS),
        ["invalid null -32600: member \"id\" is longer than 40 bytes"]
    );
}

#[test]
fn meta_is_handed_over() {
    let frame = br#"{"jsonrpc":"2.0","id":1,"method":"m","meta":{"attempt": 2}}"#;
    let Ok(Incoming::Single(Item::Request(request))) = parse(frame, &LIMITS) else {
        panic!("a request");
    };
    assert_eq!(
        request.meta.map(|meta| meta.get()),
        Some(r#"{"attempt": 2}"#)
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let frame = b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}";
    assert_eq!(parse(frame, &LIMITS).err(), Some(ParseError::NotUtf8));
}

#[test]
fn a_hundred_thousand_brackets_are_refused_on_a_small_stack() {
    let open = 100_000;
    let frames = [
        "[".repeat(open),
        "{\"a\":".repeat(open),
        format!("{}{}", "[".repeat(open), "]".repeat(open)),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}{}}}"#,
            "[".repeat(open),
            "]".repeat(open)
        ),
    ];
    let small = std::thread::Builder::new().stack_size(64 * 1024);
    #[expect(
        clippy::disallowed_methods,
        reason = "only a thread has a stack of chosen size"
    )]
    let thread = small.spawn(move || {
        for frame in frames {
            assert_eq!(
                parse(frame.as_bytes(), &Limits::default()).err(),
                Some(ParseError::TooDeep { max: 128 })
            );
        }
    });
    thread.expect("a thread").join().expect("no overflow");
}

#[test]
fn params_at_the_bound_are_within_what_serde_json_reads() {
    let nested = format!("{}{}", "[".repeat(127), "]".repeat(127));
    let frame = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{nested}}}"#);
    let Ok(Incoming::Single(Item::Request(request))) = parse(frame.as_bytes(), &Limits::default())
    else {
        panic!("a request");
    };
    let params = request.params.expect("params").get();
    serde_json::from_str::<serde_json::Value>(params).expect("readable");
}
