//! A client that writes its frames by hand, and the shell around the session.
#![allow(dead_code, reason = "not every test binary uses everything")]

use bytes::BytesMut;
use std::time::Duration;
use trunkline_model::Timestamp;
use trunkline_stomp::{
    CloseReason, Delivery, Effect, Failure, Headers, NotDelivered, ServerSession, ServerSettings,
    SessionName, SubscriptionNumber, Token, Version,
};

/// A server session, driven frame by frame. Times are milliseconds.
pub(crate) struct Peer {
    pub(crate) session: ServerSession,
    pub(crate) now: Timestamp,
    input: BytesMut,
}

/// A message with an empty rest.
pub(crate) fn message(tag: u64) -> Delivery<'static> {
    static NONE: Headers = Headers::new();
    Delivery {
        tag: Some(tag),
        message_id: "3-1542",
        destination: "/queue/a",
        attempt: 1,
        content_type: "",
        added: &NONE,
        headers: &NONE,
        body: b"hello",
    }
}

impl Peer {
    pub(crate) fn new(settings: ServerSettings) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        Self {
            session: ServerSession::new(settings, now),
            now,
            input: BytesMut::new(),
        }
    }

    /// A session of a version, open.
    pub(crate) fn open(version: Version) -> Self {
        Self::open_with(version, ServerSettings::default())
    }

    pub(crate) fn open_with(version: Version, settings: ServerSettings) -> Self {
        let mut peer = Self::new(settings);
        peer.send(&format!("CONNECT\naccept-version:{version}\n\n\0"));
        assert!(matches!(peer.effects()[..], [Effect::Connect(_)]));
        peer.accept();
        assert!(peer.out().starts_with("CONNECTED\n"));
        peer
    }

    pub(crate) fn accept(&mut self) {
        let name = SessionName::new("s1").unwrap();
        self.session.accept(self.now, &name);
        self.go_on();
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.send_bytes(bytes.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.go_on();
    }

    /// Hands in again what was left.
    pub(crate) fn go_on(&mut self) {
        self.session.receive(self.now, &mut self.input);
    }

    pub(crate) fn out(&mut self) -> String {
        String::from_utf8(self.session.take_output().to_vec()).unwrap()
    }

    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.session.next_effect()).collect()
    }

    pub(crate) fn complete(&mut self, token: Token) {
        self.session.complete(self.now, token, Ok(()));
        self.go_on();
    }

    pub(crate) fn complete_with(&mut self, token: Token, failure: &str) {
        let failure = Err(Failure::new(failure));
        self.session.complete(self.now, token, failure);
        self.go_on();
    }

    /// Completes whatever has a token.
    pub(crate) fn complete_all(&mut self) -> Vec<Effect> {
        let effects = self.effects();
        for effect in &effects {
            if let Some(token) = token(effect) {
                self.complete(token);
            }
        }
        effects
    }

    /// Subscribes and starts; the frame's other headers follow with their line ends.
    pub(crate) fn subscribe(&mut self, id: &str, headers: &str) -> SubscriptionNumber {
        self.send(&format!(
            "SUBSCRIBE\nid:{id}\ndestination:/queue/a\n{headers}\n\0"
        ));
        self.complete_all();
        let started = self.effects();
        match started[..] {
            [Effect::Start(number)] => number,
            _ => panic!("{started:?}"),
        }
    }

    pub(crate) fn deliver(
        &mut self,
        number: SubscriptionNumber,
        tag: u64,
    ) -> Result<(), NotDelivered> {
        self.session.deliver(self.now, number, &message(tag))
    }

    /// Time passes; what is due is done when it is due.
    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.session.tick(self.now);
        }
        self.now = until;
    }
}

pub(crate) fn token(effect: &Effect) -> Option<Token> {
    match effect {
        Effect::Send { token, .. }
        | Effect::Subscribe { token, .. }
        | Effect::Unsubscribe { token, .. }
        | Effect::Settle { token, .. }
        | Effect::Commit { token, .. } => Some(*token),
        _ => None,
    }
}

/// An ERROR frame as the server writes it; the message is the text up to a semicolon.
pub(crate) fn error(text: &str, receipt: Option<&str>) -> String {
    let summary = text.split("; ").next().unwrap();
    let receipt = receipt.map_or(String::new(), |id| format!("receipt-id:{id}\n"));
    let length = text.len();
    format!(
        "ERROR\nmessage:{summary}\n{receipt}content-type:text/plain\ncontent-length:{length}\n\n{text}\0"
    )
}

pub(crate) fn receipts(ids: &[&str]) -> String {
    let frames = ids
        .iter()
        .map(|id| format!("RECEIPT\nreceipt-id:{id}\n\n\0"));
    frames.collect()
}

/// Once everything is completed, the session has ended with this ERROR after what else was written.
pub(crate) fn assert_ended(peer: &mut Peer, before: &str, text: &str, receipt: Option<&str>) {
    let mut effects = peer.complete_all();
    effects.extend(peer.effects());
    assert_eq!(peer.out(), format!("{before}{}", error(text, receipt)));
    let closed = Effect::Close(CloseReason::Error(text.to_owned()));
    assert_eq!(effects.last(), Some(&closed));
    peer.send("SEND\ndestination:/queue/a\nreceipt:late\n\n\0");
    assert_eq!(peer.out(), "");
    assert_eq!(peer.effects(), []);
    assert_eq!(peer.session.next_deadline(), None);
}
