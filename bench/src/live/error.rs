//! Why a load gives no result.

use crate::net::{Silence, Unreachable};

/// Why a load gives no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Nobody takes connections at the URL.
    #[error("{0}")]
    Unreachable(String),
    /// The server took the connection and then said nothing for a minute.
    #[error("{0}")]
    Silent(String),
    /// The server answered with an error, with something unexpected, or closed the connection.
    #[error("{0}")]
    Failed(String),
}

impl From<anyhow::Error> for LoadError {
    fn from(error: anyhow::Error) -> LoadError {
        let text = format!("{error:#}");
        if error.is::<Unreachable>() {
            LoadError::Unreachable(text)
        } else if error.is::<Silence>() {
            LoadError::Silent(text)
        } else {
            LoadError::Failed(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn silence_is_told_apart_whatever_was_being_done() {
        let silent: anyhow::Result<()> = Err(Silence.into());
        let error = silent.context("declaring the topic").unwrap_err();
        let told = LoadError::from(error);
        assert!(matches!(&told, LoadError::Silent(text) if text.starts_with("declaring")));
        assert!(matches!(
            LoadError::from(anyhow!("x")),
            LoadError::Failed(_)
        ));
    }
}
