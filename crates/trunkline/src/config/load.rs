use super::{Config, ConfigError, environment, explain::explain, file::File};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// Merges a file, if one is given, and the variables of the environment.
///
/// # Errors
/// [`ConfigError`] names file and line, or the variable.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut tree = Value::Object(Map::new());
    let mut config = Config::default();
    if let Some(path) = file {
        let file = File::read(path)?;
        tree = file.tree()?;
        config = Config::deserialize(&tree).map_err(|error| file.locate(&error))?;
    }
    let mut variables: Vec<_> = variables.into_iter().collect();
    variables.sort_unstable();
    for (variable, text) in variables {
        let Some(path) = environment::path(&variable) else {
            continue;
        };
        environment::put(&mut tree, &path, environment::value(&text));
        // One after the other, so that a mistake can be told with the name of its variable.
        config = Config::deserialize(&tree).map_err(|error| ConfigError::Environment {
            variable,
            reason: explain(&error.to_string()),
        })?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn with_file(name: &str, text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        load(Some(&path), variables).map_err(|error| {
            let text = error.to_string();
            text.replace(&format!("{}/", dir.path().display()), "")
        })
    }

    #[test]
    fn later_wins() {
        let yaml = "version: 1\nhttp:\n  listen: 127.0.0.1:1\n  insecure: true\nlimits:\n";
        let config = with_file("c.yaml", yaml, &[("TRUNKLINE_HTTP__LISTEN", "127.0.0.1:2")]);
        let config = config.unwrap();
        assert_eq!(config.http.listen.port(), 2);
        assert!(config.http.insecure);
    }

    #[test]
    fn yaml_and_toml_are_one_schema() {
        let yaml = "topics:\n  declare:\n    orders:\n      priorities: 3\n      ttl: 1h\n";
        let toml = "[topics.declare.orders]\npriorities = 3\nttl = \"1h\"\n";
        let yaml = with_file("c.yml", yaml, &[]).unwrap();
        assert_eq!(yaml, with_file("c.toml", toml, &[]).unwrap());
        assert_eq!(yaml.topics.declare.len(), 1);
        assert_eq!(with_file("c.yaml", "", &[]), Ok(Config::default()));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (name, text, says) in [
            (
                "c.yaml",
                "version: 1\nhttp:\n  listn: 127.0.0.1:1\n",
                "c.yaml:3: unknown key `listn`; did you mean `listen`?",
            ),
            (
                "c.yaml",
                "htpp: {}\n",
                "c.yaml:1: unknown key `htpp`; did you mean `http`?",
            ),
            (
                "c.toml",
                "[http]\n\nlistn = \"127.0.0.1:1\"\n",
                "c.toml:3: unknown key `listn`; did you mean `listen`?",
            ),
            (
                "c.yaml",
                "version: 1\nppmq:\n  listen: x\n",
                "c.yaml:2: section `ppmq` is not served by this version yet; remove it",
            ),
            (
                "c.yaml",
                "version: 1\nstomp:\n  listen: localhost\n",
                "c.yaml:3: not an address; write it as IP address and port, like 127.0.0.1:61613, or off",
            ),
            (
                "c.toml",
                "[stomp.tls]\ncert = \"a\"\n",
                "c.toml:2: unknown key `cert`; known are listen, certificate, key",
            ),
            (
                "c.toml",
                "[topics.defaults]\ndurability = \"comit\"\n",
                "c.toml:2: unknown value `comit`; did you mean `commit`?",
            ),
            (
                "c.yaml",
                "engine:\n  url: memory:\n",
                "c.yaml:2: a colon in a value; put the value in quotes, like \"memory:\"",
            ),
            (
                "c.yaml",
                "http:\n  listen: localhost:1\n",
                "c.yaml:2: not an address; write it as IP address and port, like 127.0.0.1:7400",
            ),
            (
                "c.yaml",
                "- a\n",
                "c.yaml: a configuration is a map of sections",
            ),
            (
                "c.json",
                "{}",
                "c.json: a configuration is .yaml, .yml or .toml",
            ),
        ] {
            assert_eq!(with_file(name, text, &[]).unwrap_err(), says);
        }
        let error = with_file("c.yaml", "topics:\n  defaults:\n    ttl: soon\n", &[]).unwrap_err();
        assert!(error.starts_with("c.yaml:3: "), "{error}");
        assert!(error.contains("\"soon\" is not a duration"), "{error}");
    }

    #[test]
    fn off_is_off_everywhere() {
        for (name, text) in [
            ("c.yaml", "stomp:\n  listen: off\n"),
            ("c.yaml", "stomp: {listen: \"off\"}\n"),
            ("c.toml", "[stomp]\nlisten = \"off\"\n"),
        ] {
            let config = with_file(name, text, &[]).unwrap();
            assert_eq!(config.stomp.listen.to_string(), "off", "{text}");
        }
        let config = with_file("c.yaml", "", &[("TRUNKLINE_STOMP__LISTEN", "off")]).unwrap();
        assert_eq!(config.stomp.listen.to_string(), "off");
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (variable, value, says) in [
            (
                "TRUNKLINE_HTTP__LISTN",
                "x",
                "unknown key `listn`; did you mean `listen`?",
            ),
            (
                "TRUNKLINE_HTTP__INSECURE",
                "perhaps",
                "invalid type: string \"perhaps\", expected a boolean",
            ),
            (
                "TRUNKLINE_AUTH__USERS",
                "x",
                "section `auth` is not served by this version yet; remove it",
            ),
        ] {
            let variables = [(variable.to_owned(), value.to_owned())];
            let error = load(None, variables).unwrap_err().to_string();
            assert_eq!(error, format!("environment variable {variable}: {says}"));
        }
    }
}
