//! A server session between a client that sends anything and an engine that answers anyhow.

use crate::script::{Part, parts};
use crate::stomp_decoder::waiting_max;
use bytes::BytesMut;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trunkline_model::Timestamp;
use trunkline_stomp::{
    AckMode, Command, Decoder, Delivery, Effect, Failure, FrameLimits, Headers, ServerSession,
    ServerSettings, SessionName, Settle, Step, SubscriptionNumber, Token,
};

/// Steps are `a` accept, `r` refuse, `c` and `f` complete or fail one of the commands at work, `C` complete all, `d` and
/// `n` deliver to a subscription with and without an ACK to wait for, `i` and `I` begin and end a subscription that nobody
/// asked for, `p` nothing is read, `z` memory is given up, `t` tenths of seconds pass, `x` end the session.
/// An uneven number in front of everything accepts each CONNECT at once.
///
/// # Panics
/// If it makes a difference how bytes are split, if a bound is not kept, if RECEIPTs don't come in the order of the frames, or
/// if effects or frames come that a shell or a client could not make sense of.
pub fn stomp_server(input: &[u8]) {
    let [how, input @ ..] = input else {
        return;
    };
    let whole = play(*how, input, usize::MAX);
    let bytewise = play(*how, input, 1);
    assert_eq!(whole.effects, bytewise.effects, "effects by bytes");
    assert_eq!(whole.written, bytewise.written, "output by bytes");
}

fn play(how: u8, input: &[u8], piece_max: usize) -> World {
    let mut world = World::new(how & 1 == 1);
    for part in parts(input) {
        match part {
            Part::Bytes(bytes) => {
                for piece in bytes.chunks(piece_max.min(bytes.len())) {
                    world.input.extend_from_slice(piece);
                    world.go_on();
                }
            }
            Part::Step(letter, number) => world.step(letter, number),
        }
        world.settle_down();
    }
    let asked = asked(input, &world.session);
    assert!(
        asked.starts_with(&world.receipts),
        "{:?} of {asked:?}",
        world.receipts
    );
    world
}

/// The receipts that a client asks for, in the order of its frames, up to what is no frame.
fn asked(input: &[u8], session: &ServerSession) -> Vec<String> {
    let mut decoder = Decoder::new(settings().frame);
    let mut bytes = BytesMut::new();
    for part in parts(input) {
        if let Part::Bytes(piece) = part {
            bytes.extend_from_slice(piece);
        }
    }
    let mut asked = Vec::new();
    // The first is CONNECT, and gets none.
    if !matches!(decoder.decode(&mut bytes), Ok(Some(_))) {
        return asked;
    }
    if let Some(version) = session.version() {
        decoder.set_version(version);
    }
    while let Ok(Some(frame)) = decoder.decode(&mut bytes) {
        asked.extend(frame.get("receipt").map(plain));
    }
    asked
}

/// An id without what some versions can't say.
fn plain(id: &str) -> String {
    id.replace('\r', " ").trim_start_matches(' ').to_owned()
}

/// Bounds that an input of some hundred bytes can meet.
fn settings() -> ServerSettings {
    ServerSettings {
        frame: FrameLimits {
            header_line_bytes_max: 64,
            headers_max: 8,
            headers_bytes_max: 256,
            body_bytes_max: 32,
            ..FrameLimits::default()
        },
        name_bytes_max: 8,
        subscriptions_max: 3,
        transactions_max: 2,
        transaction_frames_max: 4,
        transactions_bytes_max: 512,
        pending_max: 6,
        pending_bytes_max: 40,
        ..ServerSettings::default()
    }
}

/// A subscription as the engine sees it.
#[derive(Debug)]
struct Known {
    ack: AckMode,
    started: bool,
    last_tag: u64,
    /// What was covered, in mode `client`: nothing may be twice.
    covered: BTreeSet<u64>,
}

/// The shell, the engine and the reader of what is written.
struct World {
    session: ServerSession,
    settings: ServerSettings,
    now: Timestamp,
    accepts: bool,
    input: BytesMut,
    decoder: Decoder,
    unread: BytesMut,
    written: Vec<u8>,
    /// The ids of the RECEIPTs.
    receipts: Vec<String>,
    effects: Vec<Effect>,
    pending: Vec<Token>,
    tokens: BTreeSet<Token>,
    subscriptions: BTreeMap<SubscriptionNumber, Known>,
    /// Those that nobody asked for.
    implied: BTreeSet<SubscriptionNumber>,
    /// SUBSCRIBEs at work.
    subscribing: BTreeMap<Token, SubscriptionNumber>,
    connected: bool,
    over: bool,
}

impl World {
    fn new(accepts: bool) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let settings = settings();
        Self {
            session: ServerSession::new(settings.clone(), now),
            settings,
            now,
            accepts,
            input: BytesMut::new(),
            decoder: Decoder::new(FrameLimits::default()),
            unread: BytesMut::new(),
            written: Vec::new(),
            receipts: Vec::new(),
            effects: Vec::new(),
            pending: Vec::new(),
            tokens: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            implied: BTreeSet::new(),
            subscribing: BTreeMap::new(),
            connected: false,
            over: false,
        }
    }

    fn go_on(&mut self) {
        self.session.receive(self.now, &mut self.input);
    }

    fn step(&mut self, letter: u8, number: u8) {
        let nth = usize::from(number);
        match letter {
            b'a' => self.accept(),
            b'r' => self.session.refuse(self.now, Failure::new("no")),
            b'c' | b'f' if !self.pending.is_empty() => {
                let token = self.pending.remove(nth % self.pending.len());
                self.complete(token, letter == b'f');
            }
            b'C' => {
                for token in std::mem::take(&mut self.pending) {
                    self.complete(token, false);
                }
            }
            b'd' => self.deliver(nth, true),
            b'n' => self.deliver(nth, false),
            b'i' => self.imply(nth),
            b'I' => {
                let number = SubscriptionNumber(u64::from(number));
                if self.implied.remove(&number) {
                    self.session.close_subscription(number);
                    self.subscriptions.remove(&number);
                }
            }
            b'p' => self.session.paused(self.now),
            b'z' => self.session.rest(),
            b't' => self.pass(Duration::from_millis(100 * u64::from(number))),
            b'x' => self.session.fail(self.now, Failure::new("the end")),
            _ => {}
        }
        self.go_on();
    }

    fn accept(&mut self) {
        let name = SessionName::new("s1").expect("a name");
        self.session.accept(self.now, &name);
        self.go_on();
    }

    fn imply(&mut self, nth: usize) {
        let id = ["1", "/temp-queue/a", "/temp-queue/b"][nth % 3];
        let Some(number) = self.session.open_subscription(id) else {
            return;
        };
        let known = Known {
            ack: AckMode::Auto,
            started: true,
            last_tag: 0,
            covered: BTreeSet::new(),
        };
        let before = self.subscriptions.insert(number, known);
        assert!(before.is_none() && self.implied.insert(number), "{number}");
    }

    fn complete(&mut self, token: Token, fails: bool) {
        let failure = || Err(Failure::new("not: now\nor ever"));
        let result = if fails { failure() } else { Ok(()) };
        if let Some(number) = self.subscribing.remove(&token)
            && fails
        {
            self.subscriptions.remove(&number);
        }
        self.session.complete(self.now, token, result);
    }

    fn deliver(&mut self, nth: usize, settles: bool) {
        let numbers: Vec<_> = self.subscriptions.keys().copied().collect();
        // One that has ended, or never was, is refused.
        let number = numbers.get(nth % 4).copied();
        let number = number.unwrap_or(SubscriptionNumber(nth as u64));
        let tag = self
            .subscriptions
            .get(&number)
            .map_or(1, |it| it.last_tag + 1);
        let mut headers = Headers::new();
        headers.push("a:b\n", "\rc\\\0");
        headers.push("message-id", "forged");
        let delivery = Delivery {
            tag: settles.then_some(tag),
            message_id: "3-1542",
            destination: "/queue/a",
            attempt: 1 + nth as u32 / 128,
            content_type: "",
            added: &Headers::new(),
            headers: &headers,
            body: &b"hello\0\n"[..nth % 8],
        };
        let delivered = self.session.deliver(self.now, number, &delivery);
        if delivered.is_ok() {
            let known = self.subscriptions.get_mut(&number).expect("it is known");
            assert!(known.started, "a delivery before the start");
            known.last_tag = tag;
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.session.tick(self.now);
            let next = self.session.next_deadline();
            assert!(next.is_none_or(|next| next > at), "it is due for ever");
        }
        self.now = until;
    }

    /// Does what the session asks for, and looks at what it says.
    fn settle_down(&mut self) {
        loop {
            self.read();
            let Some(effect) = self.session.next_effect() else {
                break;
            };
            assert!(!self.over, "{effect:?} after the end");
            self.take(&effect);
            self.effects.push(effect);
        }
        let settings = &self.settings;
        assert!(self.pending.len() <= settings.pending_max);
        assert!(self.subscriptions.len() <= settings.subscriptions_max);
        if self.session.wants_input() {
            let waiting = self.input.len();
            assert!(waiting <= waiting_max(&settings.frame), "{waiting} bytes");
        }
        if self.over {
            assert!(self.session.is_closed() && !self.session.wants_input());
            assert_eq!(self.session.next_deadline(), None);
            assert!(self.input.is_empty());
        }
    }

    fn take(&mut self, effect: &Effect) {
        match effect {
            Effect::Connect(_) => {
                assert!(!self.connected && self.tokens.is_empty());
                if self.accepts {
                    self.accept();
                }
            }
            Effect::Send { token, .. } => self.pend(*token),
            Effect::Subscribe { token, subscribe } => {
                self.pend(*token);
                let number = subscribe.subscription;
                let known = Known {
                    ack: subscribe.ack,
                    started: false,
                    last_tag: 0,
                    covered: BTreeSet::new(),
                };
                assert!(
                    self.subscriptions.insert(number, known).is_none(),
                    "{number}"
                );
                self.subscribing.insert(*token, number);
            }
            Effect::Start(number) => {
                // It may have been unsubscribed from meanwhile.
                if let Some(known) = self.subscriptions.get_mut(number) {
                    assert!(!known.started, "{number} starts twice");
                    known.started = true;
                }
                let at_work = self.subscribing.values().any(|it| it == number);
                assert!(!at_work, "{number} starts before it is made");
            }
            Effect::Unsubscribe {
                token,
                subscription,
                ..
            } => {
                self.pend(*token);
                if let Some(number) = subscription {
                    self.implied.remove(number);
                    let known = self.subscriptions.remove(number);
                    assert!(known.is_some(), "{number} ends twice");
                }
            }
            Effect::Settle { token, settle } => {
                self.pend(*token);
                self.cover(settle);
            }
            Effect::Commit { token, steps } => {
                self.pend(*token);
                assert!(!steps.is_empty() && steps.len() <= self.settings.transaction_frames_max);
                for step in steps {
                    if let Step::Settle(settle) = step {
                        self.cover(settle);
                    }
                }
            }
            Effect::Close(_) => self.over = true,
        }
    }

    fn pend(&mut self, token: Token) {
        assert!(self.tokens.insert(token), "{token:?} twice");
        self.pending.push(token);
    }

    fn cover(&mut self, settle: &Settle) {
        assert!(!settle.tags.is_empty());
        let Some(known) = self.subscriptions.get_mut(&settle.subscription) else {
            panic!("{settle:?} of a subscription that is not there");
        };
        let mut before = 0;
        for tag in settle.tags.iter() {
            assert!(before < tag && tag <= known.last_tag, "{settle:?}");
            before = tag;
            if known.ack == AckMode::Client {
                assert!(known.covered.insert(tag), "{settle:?} covers again");
            }
        }
        assert_ne!(known.ack, AckMode::Auto, "{settle:?}");
        let all: Vec<u64> = settle.tags.iter().collect();
        assert_eq!(settle.tags.count(), all.len() as u64);
        let latest: Vec<u64> = settle.tags.highest(2).collect();
        assert_eq!(latest, all[all.len().saturating_sub(2)..]);
    }

    /// Reads what is written as a client does.
    fn read(&mut self) {
        let output = self.session.take_output();
        self.written.extend_from_slice(&output);
        self.unread.extend_from_slice(&output);
        loop {
            if let Some(version) = self.session.version() {
                self.decoder.set_version(version);
            }
            let frame = match self.decoder.decode(&mut self.unread) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => panic!("the client can't read: {error}"),
            };
            match frame.command {
                Command::Connected => {
                    assert!(!std::mem::replace(&mut self.connected, true));
                }
                Command::Receipt => {
                    let id = frame
                        .get("receipt-id")
                        .expect("a RECEIPT names what it is for");
                    assert!(self.connected);
                    self.receipts.push(plain(id));
                }
                Command::Message => {
                    assert!(self.connected);
                    for name in ["message-id", "destination", "redelivered"] {
                        assert!(frame.get(name).is_some(), "{frame:?}");
                    }
                    assert_ne!(frame.get("message-id"), Some("forged"));
                }
                Command::Error => {
                    assert!(frame.get("message").is_some());
                    assert!(self.session.is_closed() && self.unread.is_empty());
                }
                other => panic!("{other} from a server"),
            }
        }
        assert!(!self.decoder.is_within_frame(), "half a frame");
    }
}
