use compact_str::CompactString;

/// Names a session in CONNECTED and in the ids of deliveries: 1 to 40 ASCII letters, digits,
/// `.`, `_` and `-`, because clients are known that neither escape nor unescape. It has to be
/// another one for each connection, also after a restart, lest an old id acknowledge a new
/// delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(CompactString);

/// The text is not the name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session's name is 1 to 40 ASCII letters, digits, '.', '_' and '-'")]
pub struct SessionNameError;

impl SessionName {
    /// Checks and takes a text.
    ///
    /// # Errors
    /// [`SessionNameError`] says what it has to be.
    pub fn new(text: &str) -> Result<Self, SessionNameError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=40).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(SessionNameError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escapes() {
        for (text, fits) in [
            ("s-1.x_Y", true),
            ("", false),
            ("a:b", false),
            ("a\\", false),
        ] {
            assert_eq!(SessionName::new(text).is_ok(), fits, "{text}");
        }
        assert!(SessionName::new(&"s".repeat(41)).is_err());
    }
}
