//! The `error` member of an answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::present;

/// An error object (JSON-RPC 2.0 §5.1).
#[derive(Debug, Deserialize)]
pub struct ErrorObject<'a> {
    /// What a program decides by.
    pub code: i64,
    /// For people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Whatever else a program needs; any JSON.
    #[serde(default, borrow, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
}

/// The `error` member isn't an error object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an error object of JSON-RPC 2.0 (an integer \"code\" and a string \"message\")")]
pub struct ErrorObjectError;

impl<'a> ErrorObject<'a> {
    /// Reads the `error` member of an answer.
    ///
    /// # Errors
    /// It isn't an object with an integer `code` and a string `message`.
    pub fn parse(error: &'a RawValue) -> Result<Self, ErrorObjectError> {
        if !error.get().starts_with('{') {
            return Err(ErrorObjectError);
        }
        serde_json::from_str(error.get()).map_err(|_| ErrorObjectError)
    }
}
