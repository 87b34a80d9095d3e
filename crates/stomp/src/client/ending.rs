//! How connections end.

use super::{ClientEffect, ClientError, ClientSession, ErrorCode, Link, OperationId};
use crate::Frame;
use compact_str::CompactString;
use trunkline_model::Timestamp;

impl ClientSession {
    /// The connection is lost: tells it, then what went with it. `close` if the socket is still
    /// there.
    pub(super) fn lose(&mut self, _now: Timestamp, error: ClientError, close: bool) {
        let was_connected = self.is_connected();
        let subscriptions = self.reset();
        if close {
            self.effects.push_back(ClientEffect::Close);
        }
        self.effects.push_back(ClientEffect::Error(error.clone()));
        for (key, operation) in subscriptions {
            let text = format!("Subscription \"{key}\" lost: {}", error.message);
            self.effects.push_back(ClientEffect::SubscriptionLost {
                subscription: OperationId(operation),
                error: error.because(text),
            });
        }
        self.fail_all(&error);
        if was_connected {
            self.effects.push_back(ClientEffect::Disconnected);
        }
    }

    /// The client closes: subscriptions go without a word, operations only if there are any.
    pub(super) fn close(&mut self, text: &str) {
        let was_connected = self.is_connected();
        if self.link != Link::None && !matches!(self.link, Link::Waiting(_)) {
            self.effects.push_back(ClientEffect::Close);
        }
        self.reset();
        if was_connected {
            self.effects.push_back(ClientEffect::Disconnected);
        }
        self.fail_unfinished(text);
    }

    /// The RECEIPT of DISCONNECT.
    pub(super) fn disconnected(&mut self, operation: u64, receipt: Frame) {
        self.reset();
        self.effects.push_back(ClientEffect::Close);
        self.effects.push_back(ClientEffect::Disconnected);
        self.done(operation, Some(receipt));
        self.fail_unfinished("Connection closed by client prematurely.");
    }

    fn fail_unfinished(&mut self, text: &str) {
        if self.operations.is_empty() {
            return;
        }
        let error = ClientError::new(ErrorCode::ClosedByClient, text);
        self.effects.push_back(ClientEffect::Error(error.clone()));
        self.fail_all(&error);
    }

    /// In the order in which they were asked.
    fn fail_all(&mut self, error: &ClientError) {
        for (id, unfinished) in std::mem::take(&mut self.operations) {
            let command = unfinished.command;
            let text = format!("Operation \"{command}\" aborted: {}", error.message);
            self.effects.push_back(ClientEffect::Failed {
                operation: OperationId(id),
                error: error.because(text),
            });
        }
    }

    /// Forgets the connection; returns the active subscriptions.
    fn reset(&mut self) -> Vec<(CompactString, u64)> {
        self.link = Link::None;
        self.version = None;
        self.session = CompactString::default();
        self.left = 0;
        self.messages_before = self.messages;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.receipts.clear();
        self.unwritten.clear();
        self.taken.clear();
        self.taken_bytes = 0;
        self.out.clear();
        self.subscriptions.end()
    }
}
