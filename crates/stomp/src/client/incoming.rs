//! Frames of the server.

use super::subscriptions::Route;
use super::{BEAT_MARGIN, ClientEffect, ClientError, ClientSession, ErrorCode, Link, OperationId};
use crate::excerpt::excerpt;
use crate::pulse::Pulse;
use crate::{Command, Frame, HeartBeat, Version};
use compact_str::CompactString;
use trunkline_model::Timestamp;

impl ClientSession {
    /// Does what a frame says; an error is the loss of the connection.
    pub(super) fn take(&mut self, now: Timestamp, frame: Frame) -> Result<(), ClientError> {
        match frame.command {
            Command::Connected if self.link == Link::Greeting => self.connected(now, &frame),
            Command::Error => self.error(frame),
            Command::Message if self.link != Link::Greeting => self.message(frame),
            Command::Receipt if self.link != Link::Greeting => self.receipted(frame),
            command => Err(unexpected(format!("Unexpected {command} received."))),
        }
    }

    fn connected(&mut self, now: Timestamp, frame: &Frame) -> Result<(), ClientError> {
        let name = frame.get("version").unwrap_or("1.0");
        let version = Version::parse(name).filter(|it| self.settings.versions.contains(it));
        let version = version.ok_or_else(|| {
            let name = excerpt(name);
            unexpected(format!(
                "The server chose version {name}, which was not offered."
            ))
        })?;
        let theirs = HeartBeat::parse(frame.get("heart-beat").unwrap_or("0,0"));
        let theirs = theirs.map_err(|error| unexpected(format!("CONNECTED: {error}")))?;
        let agreed = self.settings.heart_beat.agree(theirs);
        self.pulse = Pulse::new(now, agreed, BEAT_MARGIN, BEAT_MARGIN);
        let session = CompactString::new(frame.get("session").unwrap_or_default());
        self.ready(now, version, session);
        Ok(())
    }

    fn message(&mut self, frame: Frame) -> Result<(), ClientError> {
        let version = self.version.unwrap_or(Version::V1_0);
        match self.subscriptions.route(&frame) {
            Route::To(subscription) => {
                self.messages += 1;
                let max = self.settings.unacked_max;
                let (tag, forgot) = subscription.take(self.messages, &frame, version, max);
                self.forgotten_messages += u64::from(forgot);
                self.effects.push_back(ClientEffect::Message {
                    subscription: OperationId(tag.subscription),
                    tag,
                    frame,
                });
                Ok(())
            }
            Route::Late => {
                self.late_messages += 1;
                Ok(())
            }
            Route::Nowhere => {
                let key = frame.get("subscription");
                let key = excerpt(key.or_else(|| frame.get("destination")).unwrap_or_default());
                Err(unexpected(format!(
                    "Message of unknown subscription {key} received."
                )))
            }
        }
    }

    fn receipted(&mut self, frame: Frame) -> Result<(), ClientError> {
        let id = frame.get("receipt-id").unwrap_or_default();
        let Some(operation) = self.receipts.remove(id) else {
            let id = excerpt(id);
            return Err(unexpected(format!("Unknown receipt {id} received.")));
        };
        let Some(unfinished) = self.operations.get(&operation) else {
            return Ok(());
        };
        match unfinished.command {
            Command::Subscribe => self.subscriptions.activate(&unfinished.key),
            Command::Unsubscribe => {
                if let Some(ended) = self.subscriptions.remove(&unfinished.key) {
                    self.effects.push_back(ClientEffect::Unsubscribed {
                        subscription: OperationId(ended),
                    });
                }
            }
            Command::Disconnect => {
                self.disconnected(operation, frame);
                return Ok(());
            }
            _ => {}
        }
        self.done(operation, Some(frame));
        Ok(())
    }

    /// An ERROR that names an operation fails that one only. The server will close.
    fn error(&mut self, frame: Frame) -> Result<(), ClientError> {
        let named = frame
            .get("receipt-id")
            .and_then(|id| self.receipts.remove(id));
        let error = ClientError::of_frame(frame);
        let Some(operation) = named else {
            return Err(error);
        };
        if let Some(unfinished) = self.operations.get(&operation)
            && unfinished.command == Command::Subscribe
        {
            self.subscriptions.remove(&unfinished.key);
        }
        self.failed(operation, error);
        Ok(())
    }
}

fn unexpected(text: String) -> ClientError {
    ClientError::new(ErrorCode::UnexpectedData, text)
}
