use bytes::Bytes;

/// What a server sends, as far as a subscriber looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `+`, `$`, `=` and `(`: text or bytes.
    Bytes(Bytes),
    /// `-` and `!`.
    Error(Bytes),
    /// `:`.
    Integer(i64),
    /// `*`, `~` and, flattened, `%`.
    Array(Vec<Value>),
    /// `>`.
    Push(Vec<Value>),
    /// `_`, `$-1` and `*-1`; also what is only passed over: `,` and `#`.
    Nothing,
}

impl Value {
    /// The bytes, if it is some.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}
