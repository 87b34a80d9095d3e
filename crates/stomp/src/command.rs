use std::fmt;

/// The command of a frame, a client's or a server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// Opens a session.
    Connect,
    /// The same under the name that 1.1 brought.
    Stomp,
    /// Publishes.
    Send,
    /// Begins a subscription.
    Subscribe,
    /// Ends a subscription.
    Unsubscribe,
    /// Acknowledges.
    Ack,
    /// Refuses (1.1 and later).
    Nack,
    /// Begins a transaction.
    Begin,
    /// Applies a transaction.
    Commit,
    /// Forgets a transaction.
    Abort,
    /// Ends the session.
    Disconnect,
    /// The server's answer to CONNECT.
    Connected,
    /// A message for a subscription.
    Message,
    /// The frame with this receipt was processed.
    Receipt,
    /// Something is wrong; the server closes after it.
    Error,
}

/// Longest name of a command, in bytes.
pub(crate) const COMMAND_BYTES_MAX: usize = "UNSUBSCRIBE".len();

impl Command {
    /// All commands.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Stomp,
        Self::Send,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Ack,
        Self::Nack,
        Self::Begin,
        Self::Commit,
        Self::Abort,
        Self::Disconnect,
        Self::Connected,
        Self::Message,
        Self::Receipt,
        Self::Error,
    ];

    /// As it is written in a frame.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
            Self::Connected => "CONNECTED",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    /// The command of that name; upper case counts.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        // The two that make up nearly all of a busy connection go first.
        match name {
            b"SEND" => Some(Self::Send),
            b"ACK" => Some(Self::Ack),
            _ => Self::ALL
                .into_iter()
                .find(|command| command.as_str().as_bytes() == name),
        }
    }

    /// Whether only servers send it.
    #[must_use]
    pub const fn is_of_server(self) -> bool {
        matches!(
            self,
            Self::Connected | Self::Message | Self::Receipt | Self::Error
        )
    }

    /// Whether its frame may have a body (STOMP 1.2, "Frames").
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether its headers are written without escapes in every version.
    #[must_use]
    pub const fn is_never_escaped(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for command in Command::ALL {
            assert_eq!(Command::parse(command.as_str().as_bytes()), Some(command));
            assert!(command.as_str().len() <= COMMAND_BYTES_MAX);
        }
        for odd in [&b"send"[..], b"", b"SEND ", b"MESSAGES"] {
            assert_eq!(Command::parse(odd), None);
        }
    }
}
