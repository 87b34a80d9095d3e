use crate::Command;

/// What a program asked for makes no sense, whatever the server says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// `heartbeat` is not two values.
    #[error("\"heartbeat\" must be specified as array reference")]
    HeartBeatNotAPair,
    /// A value of `heartbeat` is not a number of milliseconds.
    #[error("\"heartbeat\" values must be an integer numbers")]
    HeartBeatNotIntegers,
    /// A number of seconds was expected, with or without a fraction.
    #[error("\"{0}\" must be a positive number")]
    NotAPositiveNumber(&'static str),
    /// Headers by command are not a map.
    #[error("\"command_headers\" must be specified as hash reference")]
    CommandHeadersNotAMap,
    /// An ACK or NACK doesn't say of what.
    #[error("\"message\" parameter must be specified")]
    MessageMissing,
    /// A SUBSCRIBE without somebody who takes the messages.
    #[error("\"on_message\" callback must be specified")]
    OnMessageMissing,
    /// Clients open connections themselves, and what servers send they don't.
    #[error("{0} is not for users of a client to send")]
    NotAnOperation(Command),
    /// A cluster without nodes.
    #[error("Specified empty list of nodes")]
    NoNodes,
    /// A URL asks for TLS, and nothing says whose certificates are trusted.
    #[error("the URL begins with stomp+ssl://; say whose certificates are trusted")]
    NobodyTrusted,
    /// No option has this name.
    #[error(
        "there is no option \"{0}\"; those that can be given as text are host, port, login, passcode, vhost, heartbeat, connection_timeout, reconnect_interval, lazy, reconnect, wait_for_nodes, fail_back, publish_ids, probe_interval and attempts_max"
    )]
    UnknownOption(String),
    /// `port` is not a number from 1 to 65535.
    #[error("\"port\" must be a number from 1 to 65535")]
    NotAPort,
    /// A flag is neither on nor off.
    #[error("\"{0}\" must be 1, 0, true or false")]
    NotAFlag(&'static str),
}
