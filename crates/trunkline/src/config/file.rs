//! A configuration file to a tree of values, and where in it an error is.

use super::{Config, ConfigError, explain::explain};
use serde_json::Value;
use std::{fs, path::Path};

/// What a file says, before it is merged with anything.
pub(super) struct File<'a> {
    path: &'a Path,
    format: Format,
    text: String,
}

#[derive(Clone, Copy)]
enum Format {
    Yaml,
    Toml,
}

impl<'a> File<'a> {
    pub(super) fn read(path: &'a Path) -> Result<Self, ConfigError> {
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => Format::Yaml,
            Some("toml") => Format::Toml,
            _ => {
                return Err(ConfigError::Format {
                    file: path.to_owned(),
                });
            }
        };
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            file: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { path, format, text })
    }

    /// The tree; a key without a value counts as absent.
    pub(super) fn tree(&self) -> Result<Value, ConfigError> {
        let mut tree = match self.format {
            Format::Yaml if self.text.trim().is_empty() => Value::Null,
            Format::Yaml => serde_saphyr::from_str(&self.text).map_err(|e| self.yaml_error(&e))?,
            Format::Toml => toml::from_str(&self.text).map_err(|e| self.toml_error(&e))?,
        };
        drop_nulls(&mut tree);
        match tree {
            Value::Null => Ok(Value::Object(serde_json::Map::new())),
            Value::Object(_) => Ok(tree),
            _ => Err(self.error(None, "a configuration is a map of sections".to_owned())),
        }
    }

    /// The same mistake that made `error`, found again in the text, where it has a line.
    pub(super) fn locate(&self, error: &serde_json::Error) -> ConfigError {
        let found = match self.format {
            Format::Yaml => serde_saphyr::from_str::<Config>(&self.text)
                .err()
                .map(|error| self.yaml_error(&error)),
            Format::Toml => toml::from_str::<Config>(&self.text)
                .err()
                .map(|error| self.toml_error(&error)),
        };
        found.unwrap_or_else(|| self.error(None, explain(&error.to_string())))
    }

    fn yaml_error(&self, error: &serde_saphyr::Error) -> ConfigError {
        let error = error.without_snippet();
        let line = error.location().map(|location| location.line());
        let reason = match error {
            serde_saphyr::Error::SerdeUnknownField {
                field, expected, ..
            } => unknown("field", field, expected),
            serde_saphyr::Error::SerdeUnknownVariant {
                variant, expected, ..
            } => unknown("variant", variant, expected),
            other => {
                let text = other.to_string();
                // The line is told once, in front.
                explain(text.split(" at line ").next().unwrap_or(&text))
            }
        };
        self.error(line, reason)
    }

    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let line = error.span().map(|span| {
            let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
            before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1
        });
        self.error(line, explain(error.message()))
    }

    fn error(&self, line: Option<u64>, reason: String) -> ConfigError {
        ConfigError::File {
            file: self.path.to_owned(),
            line,
            reason,
        }
    }
}

fn unknown(what: &str, found: &str, expected: &[&str]) -> String {
    let expected: Vec<_> = expected.iter().map(|name| format!("`{name}`")).collect();
    explain(&format!(
        "unknown {what} `{found}`, expected {}",
        expected.join(", ")
    ))
}

fn drop_nulls(tree: &mut Value) {
    if let Value::Object(members) = tree {
        members.retain(|_, value| !value.is_null());
        members.values_mut().for_each(drop_nulls);
    }
}
