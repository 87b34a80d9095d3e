use bytes::Bytes;
use trunkline_model::StoredMessage;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The kind is not one of this version's.
    #[error(
        "record kind {0} is unknown to this version; use the version that wrote it or a later one"
    )]
    UnknownKind(u8),
    /// A field that must not be skipped is unknown.
    #[error(
        "a {record} record has the required field {field}, unknown to this version; use the version that wrote it or a later one"
    )]
    UnknownField {
        /// Kind of record.
        record: &'static str,
        /// Number of the field.
        field: u32,
    },
    /// A field is missing or doesn't hold what it must.
    #[error("a {record} record has no valid {field}")]
    Invalid {
        /// Kind of record.
        record: &'static str,
        /// Name of the field.
        field: &'static str,
    },
}

/// Why a record can't follow on those replayed before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Two live topics claim a name.
    #[error("topic {number} is defined as {name}, which is the name of topic {other}")]
    NameTaken {
        /// The later one's number.
        number: u32,
        /// The name.
        name: String,
        /// The earlier one's number.
        other: u32,
    },
}

/// A fact in the journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A topic is gone.
    Undefine {
        /// Its number.
        topic: u32,
        /// Keeps the lifetime until the kinds that borrow are here.
        rest: &'a [u8],
    },
}

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`] says what doesn't fit; nothing panics whatever the bytes are.
    pub fn decode(kind: u8, bytes: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let _ = bytes;
        Err(RecordError::UnknownKind(kind))
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// The message in a put record's bytes; its payload is a slice of them.
///
/// # Errors
/// [`RecordError`] says what doesn't fit.
pub fn decode_message(put_record: Bytes) -> Result<StoredMessage, RecordError> {
    let _ = put_record;
    Err(RecordError::UnknownKind(0))
}
