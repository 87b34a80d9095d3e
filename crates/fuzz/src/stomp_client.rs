//! A client session whose user asks for anything, of a server that sends anything.

use crate::script::{Part, parts};
use crate::stomp_decoder::waiting_max;
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::time::Duration;
use trunkline_model::Timestamp;
use trunkline_stomp::{
    AckMode, Acked, ClientEffect, ClientSession, ClientSettings, Command, Decoder, FrameLimits,
    Headers, HeartBeat, Lost, MessageTag, Operation, OperationId,
};

/// Steps are `S` SEND, `s` SUBSCRIBE, `u` UNSUBSCRIBE, `A` and `N` ACK and NACK of a message, `i` ACK by id, `b`, `c` and `k`
/// BEGIN, COMMIT and ABORT, `D` DISCONNECT, `F` disconnect by force, `o` the connection is made, `e` it can't be,
/// `l` it is lost, `w` all is written, `t` tenths of seconds pass. Of an uneven number in front of everything
/// connections are made as soon as they are asked for.
///
/// # Panics
/// If it makes a difference how bytes are split, if a bound is not kept, if an operation is not told once what
/// became of it, or if the server could not read what is written.
pub fn stomp_client(input: &[u8]) {
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
    world.settle_down();
    for part in parts(input) {
        match part {
            Part::Bytes(bytes) => {
                for piece in bytes.chunks(piece_max.min(bytes.len())) {
                    world.input.extend_from_slice(piece);
                    world.session.receive(world.now, &mut world.input);
                }
            }
            Part::Step(letter, number) => world.step(letter, number),
        }
        world.settle_down();
    }
    world.session.force_disconnect();
    world.settle_down();
    assert_eq!(world.session.unfinished(), 0);
    world
}

/// Bounds that an input of some hundred bytes can meet.
fn settings() -> ClientSettings {
    let mut default_headers = Headers::new();
    default_headers.push("d", "a:b\\");
    ClientSettings {
        heart_beat: HeartBeat {
            sends_ms: 1_000,
            wants_ms: 1_000,
        },
        reconnect_interval: Some(Duration::from_millis(100)),
        default_headers,
        frame: FrameLimits {
            header_line_bytes_max: 64,
            headers_max: 8,
            headers_bytes_max: 256,
            body_bytes_max: 32,
            ..FrameLimits::default()
        },
        operations_max: 6,
        unwritten_bytes_max: 2_000,
        unacked_max: 3,
        ..ClientSettings::default()
    }
}

/// The shell, its user, and the server that reads.
struct World {
    session: ClientSession,
    settings: ClientSettings,
    now: Timestamp,
    opens: bool,
    input: BytesMut,
    decoder: Decoder,
    unread: BytesMut,
    written: Vec<u8>,
    effects: Vec<ClientEffect>,
    unfinished: BTreeSet<OperationId>,
    subscribed: BTreeSet<OperationId>,
    messages: Vec<MessageTag>,
    opening: bool,
    connected: bool,
    /// The server has read CONNECT.
    greeted: bool,
}

impl World {
    fn new(opens: bool) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let settings = settings();
        Self {
            session: ClientSession::new(settings.clone(), now),
            settings,
            now,
            opens,
            input: BytesMut::new(),
            decoder: Decoder::new(FrameLimits::default()),
            unread: BytesMut::new(),
            written: Vec::new(),
            effects: Vec::new(),
            unfinished: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            messages: Vec::new(),
            opening: false,
            connected: false,
            greeted: false,
        }
    }

    fn execute(&mut self, operation: Operation) -> OperationId {
        let id = self.session.execute(self.now, operation);
        assert!(self.unfinished.insert(id), "{id:?} twice");
        id
    }

    fn step(&mut self, letter: u8, number: u8) {
        let nth = usize::from(number);
        let name = (number % 3).to_string();
        match letter {
            b'S' => {
                let send = Operation::send("/queue/a:b", &b"hello\0\n"[..nth % 8]);
                self.execute(match number {
                    0..100 => send.with("receipt", "auto"),
                    100..150 => send.with("transaction", &name).with("receipt", &name),
                    150..200 => send.with("a\r", "b"),
                    _ => send,
                });
            }
            b's' => {
                let modes = [AckMode::Auto, AckMode::Client, AckMode::ClientIndividual];
                let subscribe = Operation::subscribe("/queue/a", modes[nth / 3 % 3]);
                let id = self.execute(match number {
                    0..200 => subscribe.with("id", &name),
                    _ => subscribe,
                });
                self.subscribed.insert(id);
            }
            b'u' => {
                let unsubscribe = Operation::unsubscribe();
                self.execute(match number {
                    0..200 => unsubscribe.with("id", &name),
                    _ => unsubscribe.with("destination", "/queue/a"),
                });
            }
            b'A' | b'N' if !self.messages.is_empty() => {
                let tag = Acked::Tag(self.messages[nth % self.messages.len()]);
                let operation = match letter {
                    b'A' => Operation::ack(tag),
                    _ => Operation::nack(tag),
                };
                self.execute(match number {
                    0..128 => operation.with("receipt", "auto"),
                    _ => operation.with("transaction", &name),
                });
            }
            b'i' => {
                self.execute(Operation::ack(Acked::Id(name.as_str().into())));
            }
            b'b' => {
                self.execute(Operation::begin(&name));
            }
            b'c' => {
                self.execute(Operation::commit(&name).with("receipt", &name));
            }
            b'k' => {
                self.execute(Operation::abort(&name));
            }
            b'D' => {
                self.execute(Operation::disconnect());
            }
            b'F' => self.session.force_disconnect(),
            b'o' => self.open(),
            b'e' => self.session.open_failed(self.now, "nobody is there"),
            b'l' => self.session.lost(self.now, Lost::Closed),
            b'w' => self.session.written(),
            b't' => self.pass(Duration::from_millis(100 * u64::from(number))),
            _ => {}
        }
    }

    fn open(&mut self) {
        // A new connection begins with an empty input; a call that nobody asked for changes nothing.
        if std::mem::take(&mut self.opening) {
            self.input.clear();
        }
        self.session.opened(self.now);
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
        while let Some(effect) = self.session.next_effect() {
            self.take(&effect);
            self.effects.push(effect);
        }
        self.read();
        assert_eq!(self.session.unfinished(), self.unfinished.len());
        assert!(self.unfinished.len() <= self.settings.operations_max);
        let waiting = self.input.len();
        assert!(
            waiting <= waiting_max(&self.settings.frame),
            "{waiting} bytes"
        );
    }

    fn take(&mut self, effect: &ClientEffect) {
        match effect {
            ClientEffect::Open => {
                assert!(!self.connected);
                self.opening = true;
                if self.opens {
                    self.open();
                }
            }
            ClientEffect::Connected => {
                assert!(!std::mem::replace(&mut self.connected, true));
                self.decoder = Decoder::new(FrameLimits::default());
                self.unread.clear();
                self.greeted = false;
            }
            ClientEffect::Disconnected => {
                assert!(std::mem::replace(&mut self.connected, false));
                self.subscribed.retain(|id| self.unfinished.contains(id));
            }
            ClientEffect::Message {
                subscription, tag, ..
            } => {
                assert!(self.connected && self.subscribed.contains(subscription));
                self.messages.push(*tag);
            }
            ClientEffect::Done { operation, .. } => self.finish(*operation),
            ClientEffect::Failed { operation, error } => {
                assert!(!error.message.is_empty());
                self.finish(*operation);
            }
            ClientEffect::SubscriptionLost { subscription, .. } => {
                assert!(self.subscribed.contains(subscription), "{subscription:?}");
            }
            ClientEffect::Unsubscribed { subscription } => {
                assert!(self.subscribed.remove(subscription), "{subscription:?}");
            }
            ClientEffect::Ready { version, .. } => {
                assert!(self.settings.versions.contains(version));
                self.decoder.set_version(*version);
            }
            ClientEffect::Error(error) => assert_ne!(error.message, ""),
            ClientEffect::Close => self.opening = false,
        }
    }

    fn finish(&mut self, operation: OperationId) {
        assert!(
            self.unfinished.remove(&operation),
            "{operation:?} ends twice"
        );
    }

    /// Reads what is written as a server does.
    fn read(&mut self) {
        let output = self.session.take_output();
        self.written.extend_from_slice(&output);
        self.unread.extend_from_slice(&output);
        loop {
            let frame = match self.decoder.decode(&mut self.unread) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => panic!("the server can't read: {error}"),
            };
            let first = !std::mem::replace(&mut self.greeted, true);
            assert_eq!(frame.command == Command::Connect, first, "{frame:?}");
            assert!(frame.get("content-length").is_some());
            if matches!(frame.command, Command::Ack | Command::Nack) {
                let named = frame.get("id").or_else(|| frame.get("message-id"));
                assert!(named.is_some(), "{frame:?}");
            }
        }
        assert!(!self.decoder.is_within_frame(), "half a frame");
    }
}
