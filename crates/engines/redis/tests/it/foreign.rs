//! Channels shared with a program that knows nothing of Trunkline.

use crate::python::{said, script};
use crate::resilience::lab::engine;
use crate::setup::{setup, soon};
use std::sync::Arc;
use tokio::sync::mpsc;
use trunkline_model::{
    Caller, ChannelMessage, Completion, Engine, ListenPolicy, ListenerEvent, ListenerSink,
};

struct Sink(mpsc::UnboundedSender<ListenerEvent>);

impl ListenerSink for Sink {
    fn event(&self, event: ListenerEvent) {
        // It fails when the test is over.
        let _ = self.0.send(event);
    }
}

#[tokio::test]
async fn a_program_in_python_shares_channels() {
    let Some(on) = setup().await else { return };
    let engine = engine(&on.server.url());
    let (sink, mut heard) = mpsc::unbounded_channel();
    let sink = Arc::new(Sink(sink));
    let listening = engine.listen(&Caller::system(), sink, ListenPolicy::default());
    listening.add(&["from-python".parse().expect("a name")], &[]);
    let active = soon(heard.recv()).await;
    assert!(matches!(active, Some(ListenerEvent::Active { .. })));
    let Some(script) = script(&on, "channels", 100) else {
        return;
    };
    let mut next = async || match soon(heard.recv()).await {
        Some(ListenerEvent::Message { message, .. }) => message,
        other => panic!("{other:?}"),
    };
    let send = |payload: String, content_type: &str| {
        let channel = "to-python".parse().expect("a name");
        let message = ChannelMessage::new(channel, payload.into(), content_type.into());
        engine.publish_channel(&Caller::system(), message, Completion::ignored());
    };
    let ready = next().await;
    assert_eq!(
        (&ready.payload[..], &*ready.content_type),
        (&b"ready"[..], "text/plain")
    );
    for n in 0..100 {
        send(format!("{{\"n\": {n}}}"), "application/json");
    }
    // A text that looks like JSON says that it is none.
    send("42".into(), "text/plain");
    send("end".into(), "text/plain");
    for n in 0..100 {
        let echo = next().await;
        assert_eq!(echo.payload, format!("{{\"n\": {n}}}"));
        assert_eq!(echo.content_type, "application/json");
    }
    let bytes = next().await;
    assert_eq!(
        (&bytes.payload[..], &*bytes.content_type),
        (&b"\xff\0"[..], "application/octet-stream")
    );
    let page = next().await;
    assert_eq!(
        (&page.payload[..], &*page.content_type),
        (&b"<p>"[..], "text/html")
    );
    assert_eq!(page.headers.get("a"), Some("1"));
    let expected = "100 plain, in envelopes [('text/plain', '42')]";
    assert_eq!(said(script).await, expected);
}
