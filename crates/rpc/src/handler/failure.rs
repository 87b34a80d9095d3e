use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use trunkline_model::{CallOutcome, Error, ErrorCode};

/// How a method of a [`Handler`](crate::Handler) fails: the error object that its caller
/// gets, unchanged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Failure {
    /// An error with a code of the handler's own.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds data for programs.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    pub(crate) fn into_outcome(self) -> CallOutcome {
        match serde_json::to_vec(&self) {
            Ok(object) => CallOutcome::HandlerError(Bytes::from(object)),
            Err(_) => CallOutcome::Failed(Error::internal()),
        }
    }
}

impl From<String> for Failure {
    /// `-32000`: failed without a code of its own.
    fn from(message: String) -> Self {
        Self::new(ErrorCode::HandlerFailed.number(), message)
    }
}

impl From<&str> for Failure {
    /// `-32000`: failed without a code of its own.
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().number(),
            message: error.message().to_owned(),
            data: error.data().cloned(),
        }
    }
}
