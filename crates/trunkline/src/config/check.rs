use super::{Config, ConfigError, VERSION};

impl Config {
    /// Checks what no single key can tell.
    ///
    /// # Errors
    /// [`ConfigError::Meaning`] names the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: String| {
            Err(ConfigError::Meaning {
                key: key.to_owned(),
                reason,
            })
        };
        if self.version != VERSION {
            let version = self.version;
            return wrong(
                "version",
                format!("{version} is not a version that this trunkline reads; it reads {VERSION}"),
            );
        }
        if let Err(reason) = self.topics.defaults.resolve() {
            return wrong("topics.defaults", reason);
        }
        for (name, settings) in &self.topics.declare {
            let key = || format!("topics.declare.{}", name.as_str());
            if name.is_reserved() {
                let reason = "names that begin with `_` are Trunkline's own".to_owned();
                return wrong(&key(), reason);
            }
            if let Err(reason) = settings.resolve() {
                return wrong(&key(), reason);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_YAML;

    #[test]
    fn the_printed_default_is_the_default() {
        let printed: Config = serde_saphyr::from_str(DEFAULT_YAML).unwrap();
        assert_eq!(printed, Config::default());
        assert_eq!(printed.check(), Ok(()));
    }

    #[test]
    fn the_printed_default_shows_every_key() {
        let default = serde_json::to_value(Config::default()).unwrap();
        let printed: serde_json::Value = serde_saphyr::from_str(DEFAULT_YAML).unwrap();
        let mut missing = Vec::new();
        compare("", &default, &printed, &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    fn compare(at: &str, a: &serde_json::Value, b: &serde_json::Value, missing: &mut Vec<String>) {
        let Some(members) = a.as_object() else { return };
        for (key, value) in members {
            match b.get(key) {
                Some(other) => compare(&format!("{at}{key}."), value, other, missing),
                None => missing.push(format!("{at}{key}")),
            }
        }
    }

    #[test]
    fn nonsense_is_told_with_its_key() {
        for (yaml, says) in [
            (
                "version: 2",
                "version: 2 is not a version that this trunkline reads; it reads 1",
            ),
            (
                "topics: {declare: {a: {priorities: 0}}}",
                "topics.declare.a: priorities is 0; it must be 1 to 256",
            ),
            (
                "topics: {declare: {_a: {}}}",
                "topics.declare._a: names that begin with `_` are Trunkline's own",
            ),
        ] {
            let config: Config = serde_saphyr::from_str(yaml).unwrap();
            assert_eq!(config.check().unwrap_err().to_string(), says);
        }
    }
}
