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
        "a {record} record has the required field {field}, unknown to this version; \
         use the version that wrote it or a later one"
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
    /// Two live subscriptions of a topic claim a name.
    #[error("subscription {number} of topic {topic} takes the name {name} of another one")]
    SubscriptionNameTaken {
        /// The topic.
        topic: u32,
        /// The later subscription's number.
        number: u32,
        /// The name.
        name: String,
    },
}
