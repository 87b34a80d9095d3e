//! CONNECT and its answer.

use super::frames::required;
use super::{ConnectRequest, Effect, Failure, Phase, Refusal, ServerSession, SessionName};
use crate::pulse::Pulse;
use crate::{Command, Frame, HeartBeat, Version, Writer};
use compact_str::CompactString;
use trunkline_model::Timestamp;

/// Beats go out after half the agreed time, so that one that is late is still in time.
const SEND_PART: u32 = 2;
/// Silence of this many agreed times is too long.
const SILENCE_TIMES: u32 = 2;

impl ServerSession {
    pub(super) fn connect(&mut self, frame: &Frame) -> Result<(), Refusal> {
        if !matches!(frame.command, Command::Connect | Command::Stomp) {
            return Err(Refusal::NotConnected(frame.command));
        }
        let ours = &self.settings.versions;
        let version = Version::highest_common(frame.get("accept-version"), ours)
            .ok_or_else(|| Refusal::Version(Version::list(ours)))?;
        // Clients of 1.0 pad the values.
        let value = |name| {
            frame.get(name).map(|value| match version {
                Version::V1_0 => value.trim_start_matches(' '),
                Version::V1_1 | Version::V1_2 => value,
            })
        };
        if self.settings.require_host && version > Version::V1_0 {
            required(frame, "host")?;
        }
        if let Some(text) = value("heart-beat") {
            self.client_beat = HeartBeat::parse(text)?;
        }
        let text = |name| value(name).map(CompactString::new);
        let request = ConnectRequest {
            version,
            login: text("login"),
            passcode: text("passcode"),
            host: text("host"),
            client_id: text("client-id"),
        };
        self.version = Some(version);
        self.decoder.set_version(version);
        self.phase = Phase::Asked;
        self.effects.push_back(Effect::Connect(Box::new(request)));
        Ok(())
    }

    /// Answers [`Effect::Connect`] with CONNECTED. What the client sent meanwhile can be
    /// [received](Self::receive) now. Without such an effect before it changes nothing.
    pub fn accept(&mut self, now: Timestamp, name: &SessionName) {
        let (Phase::Asked, Some(version)) = (self.phase, self.version) else {
            return;
        };
        self.phase = Phase::Open;
        self.name = name.as_str().into();
        let ours = self.settings.heart_beat;
        let answer = ours.answer(self.client_beat);
        let agreed = ours.agree(self.client_beat);
        self.pulse = Pulse::new(now, agreed, SEND_PART, SILENCE_TIMES);
        let mut frame = Writer::begin(&mut self.out, Command::Connected, Some(version));
        frame.header("version", version.as_str());
        frame.header("session", name.as_str());
        frame.header("server", &self.settings.server);
        frame.header("heart-beat", &answer.to_string());
        frame.end();
    }

    /// Answers [`Effect::Connect`] with an ERROR: the session ends.
    pub fn refuse(&mut self, now: Timestamp, failure: Failure) {
        if self.phase == Phase::Asked {
            self.end(now, None, failure);
        }
    }
}
