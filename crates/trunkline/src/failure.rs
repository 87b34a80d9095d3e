use serde_json::{Value, json};
use std::{fmt, io, process::ExitCode};
use trunkline::{ConfigError, ConnectError, RequestError, RpcError};
use trunkline_stomp::{ClientError, ErrorCode};

/// Why a command didn't do what it was asked for: an exit code and a text for people.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    /// The error object of an answer.
    answer: Option<RpcError>,
}

/// Characters of what a STOMP server says that are shown.
const ERROR_CHARS_MAX: usize = 2_000;

/// The exit codes of PROTOCOL §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Whoever read stdout doesn't read any more: they have what they wanted.
    Unread = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    TimedOut = 4,
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    pub(crate) fn timed_out(message: impl Into<String>) -> Self {
        Self::new(Exit::TimedOut, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            answer: None,
        }
    }

    /// Puts what was being done in front.
    pub(crate) fn while_doing(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Adds what else went wrong.
    pub(crate) fn followed_by(mut self, what: &str) -> Self {
        self.message = format!("{}; {what}", self.message);
        self
    }

    /// Tells it on stderr and ends.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if self.exit != Exit::Unread {
            if json {
                eprintln!("{}", json!({"error": self.object()}));
            } else {
                eprintln!("trunkline: {}", self.message);
                if let Some(data) = self.answer.as_ref().and_then(|answer| answer.data.as_ref()) {
                    eprint!("{}", details(data, &self.message));
                }
            }
        }
        ExitCode::from(self.exit as u8)
    }

    fn object(&self) -> Value {
        match &self.answer {
            Some(answer) => json!(answer),
            None => json!({"message": self.message, "exit": self.exit as u8}),
        }
    }
}

/// The data of an error, one member a line; texts that the message already has are left out.
fn details(data: &Value, message: &str) -> String {
    let Some(members) = data.as_object() else {
        return format!("  {data}\n");
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.trim_end().replace('\n', "\n    "),
        other => other.to_string(),
    };
    members
        .iter()
        .filter(|(_, value)| !value.as_str().is_some_and(|text| message.contains(text)))
        .map(|(name, value)| format!("  {name}: {}\n", text(value)))
        .collect()
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(Exit::Unreachable, error.to_string())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Answer(answer) => Self {
                exit: if answer.is_timeout() {
                    Exit::TimedOut
                } else {
                    Exit::Failed
                },
                message: answer.to_string(),
                answer: Some(answer),
            },
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error.code {
            ErrorCode::CantConnect => Self::unreachable(error.message),
            _ => Self::failed(text_of(&error)),
        }
    }
}

/// What a server says in full is the body of its ERROR.
pub(crate) fn text_of(error: &ClientError) -> String {
    let body = error.frame.as_ref().map(|frame| &frame.body[..]);
    let said = body.map(|body| String::from_utf8_lossy(body).trim().to_owned());
    match said {
        Some(said) if !said.is_empty() => crate::text::shortened(&said, ERROR_CHARS_MAX),
        _ => error.message.clone(),
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Unread, "nobody reads the output"),
            _ => Self::failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_one_a_line() {
        let data = json!({"stage": "running", "stderr": "a\nb\n"});
        assert_eq!(
            details(&data, "m"),
            "  stage: running\n  stderr: a\n    b\n"
        );
    }

    #[test]
    fn what_the_message_says_is_not_said_twice() {
        let data = json!({"topic": "t", "path": "", "limit": 7});
        assert_eq!(details(&data, "no topic t"), "  limit: 7\n");
    }

    #[test]
    fn a_timed_out_call_has_its_own_exit_code() {
        for (code, data, exit) in [
            (-32001, None, Exit::TimedOut),
            (-32000, Some(json!({"reason": "timeout"})), Exit::TimedOut),
            (-32000, Some(json!({"reason": "tired"})), Exit::Failed),
            (7, Some(json!({"reason": "timeout"})), Exit::Failed),
        ] {
            let answer = RpcError {
                code,
                message: "too late".to_owned(),
                data,
            };
            assert_eq!(Failure::from(RequestError::from(answer)).exit, exit);
        }
    }
}
