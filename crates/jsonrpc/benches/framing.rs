//! What reading and writing frames costs, in nanoseconds an operation:
//! `cargo bench -p trunkline-jsonrpc`.
//!
//! The least of many short rounds is shown, because on a shared machine everything else is
//! somebody else's work. The same frames go through `serde_json` next to it, as a measure of the
//! machine.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark is where the clock is read"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use trunkline_jsonrpc::{
    Integer, Limits, encode_request, encode_result, parse, parse_text, write_payload, write_string,
};

const ROUNDS: u32 = 400;
const ROUND: Duration = Duration::from_micros(500);

fn main() {
    let payload = "0123456789abcdef".repeat(16);
    let request =
        format!(r#"{{"jsonrpc":"2.0","id":123456,"method":"echo.text","params":["{payload}"]}}"#);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":123456,"result":"{payload}"}}"#);
    let publish = format!(
        r#"{{"jsonrpc":"2.0","id":123456,"method":"rpc.topic.publish","params":{{"topic":"bench","messages":[{{"payload_text":"{payload}"}}]}}}}"#
    );
    let tags: Vec<String> = (100_000..100_100).map(|tag| tag.to_string()).collect();
    let ack = format!(
        r#"{{"jsonrpc":"2.0","id":123456,"method":"rpc.topic.ack","params":{{"consumer":"c12","tags":[{}]}}}}"#,
        tags.join(",")
    );
    let limits = Limits::default();
    for (name, frame) in [
        ("request", &request),
        ("answer", &answer),
        ("publish", &publish),
        ("ack of 100 tags", &ack),
    ] {
        println!("{name}, {} bytes", frame.len());
        report("parse", || {
            drop(black_box(parse(black_box(frame.as_bytes()), &limits)));
        });
        report("parse_text", || {
            drop(black_box(parse_text(black_box(frame), &limits)));
        });
        report("serde_json, as one raw value", || {
            drop(black_box(serde_json::from_str::<&RawValue>(black_box(
                frame,
            ))));
        });
    }
    println!("writing");
    let id = Integer::from_unsigned(123_456);
    let (json, mut out) = (format!("\"{payload}\""), Vec::with_capacity(4_096));
    report("encode_request", || {
        out.clear();
        encode_request(&mut out, id.as_id(), "echo", Some(json.as_bytes()), None);
        black_box(&out);
    });
    report("encode_result", || {
        out.clear();
        encode_result(&mut out, id.as_id(), json.as_bytes());
        black_box(&out);
    });
    report("write_string", || {
        out.clear();
        write_string(&mut out, black_box(&payload));
        black_box(&out);
    });
    report("write_payload, text", || {
        out.clear();
        write_payload(&mut out, payload.as_bytes(), "text/plain;charset=utf-8");
        black_box(&out);
    });
    report("write_payload, JSON", || {
        out.clear();
        write_payload(&mut out, json.as_bytes(), "application/json");
        black_box(&out);
    });
}

fn report(name: &str, mut operation: impl FnMut()) {
    let mut least = f64::INFINITY;
    let mut count = 64u32;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..count {
            operation();
        }
        let took = start.elapsed();
        least = least.min(took.as_nanos() as f64 / f64::from(count));
        if took < ROUND {
            count *= 2;
        }
    }
    println!("  {name:<32} {least:8.1} ns");
}
