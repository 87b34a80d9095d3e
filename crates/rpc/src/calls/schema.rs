//! Params against a method's JSON Schema.

use bytes::Bytes;
use jsonschema::Validator;
use serde_json::{Value, json, value::RawValue};
use trunkline_model::Error;

/// A compiled schema of params.
#[derive(Debug)]
pub(crate) struct Schema {
    text: Box<RawValue>,
    validator: Validator,
}

impl Schema {
    /// Compiles a schema. References outside of it are not followed.
    ///
    /// # Errors
    /// `-32602` naming the place in the schema.
    pub(crate) fn compile(method: &str, text: &RawValue) -> Result<Self, Error> {
        let schema: Value = serde_json::from_str(text.get()).map_err(|error| {
            Error::invalid_params(format!("params_schema of {method}: {error}"))
        })?;
        let validator = jsonschema::validator_for(&schema).map_err(|error| {
            let path = error.instance_path().to_string();
            Error::invalid_params(format!(
                "params_schema of {method} is not a JSON Schema at {:?}: {}",
                path,
                error.masked()
            ))
            .with("path", path)
        })?;
        Ok(Self {
            text: text.to_owned(),
            validator,
        })
    }

    /// Whether it was compiled from this text.
    pub(crate) fn is(&self, text: &RawValue) -> bool {
        self.text.get() == text.get()
    }

    /// Checks params; absent ones fit where an empty object or an empty array does.
    ///
    /// # Errors
    /// `-32602` with the place in the params as a JSON Pointer in `data.path`. The message
    /// repeats nothing of the params.
    pub(crate) fn check(&self, params: Option<&Bytes>) -> Result<(), Error> {
        let value = match params {
            Some(params) => serde_json::from_slice(params)
                .map_err(|_| Error::invalid_params("params are not JSON"))?,
            None if self.validator.is_valid(&json!([])) => return Ok(()),
            None => json!({}),
        };
        self.validator.validate(&value).map_err(|error| {
            let path = error.instance_path().to_string();
            Error::invalid_params(format!(
                "params don't fit at {:?}: {}",
                path,
                error.masked()
            ))
            .with("path", path)
            .with("schema_path", error.schema_path().to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(schema: &Value) -> Result<Schema, Error> {
        let text = serde_json::value::to_raw_value(schema).unwrap();
        Schema::compile("add", &text)
    }

    #[test]
    fn says_where_params_do_not_fit() {
        let schema = json!({
            "type": "object",
            "properties": {"items": {"type": "array", "items": {"type": "number"}}},
            "required": ["items"]
        });
        let schema = compile(&schema).unwrap();
        for (params, path) in [
            (Some(r#"{"items": [1, 2]}"#), None),
            (Some(r#"{"items": [1, "secret"]}"#), Some("/items/1")),
            (Some(r#"{}"#), Some("")),
            (Some("[]"), Some("")),
            (None, Some("")),
        ] {
            let result = schema.check(params.map(Bytes::from).as_ref());
            let found = result.as_ref().err().map(|error| {
                assert!(!error.message().contains("secret"), "{error}");
                error.data().unwrap()["path"].as_str().unwrap()
            });
            assert_eq!(found, path, "{params:?}");
        }
    }

    #[test]
    fn absent_params_fit_where_empty_ones_do() {
        for schema in [
            json!({"type": "array"}),
            json!({"type": "object"}),
            json!(true),
        ] {
            assert!(compile(&schema).unwrap().check(None).is_ok(), "{schema}");
        }
        assert!(
            compile(&json!({"minItems": 1, "type": "array"}))
                .unwrap()
                .check(None)
                .is_err()
        );
    }

    #[test]
    fn says_what_is_wrong_with_a_schema() {
        let error = compile(&json!({"properties": {"a": {"type": "nonsense"}}})).unwrap_err();
        assert_eq!(error.data().unwrap()["path"], "/properties/a/type");
        assert!(compile(&json!({"$ref": "http://127.0.0.1:1/x.json"})).is_err());
    }
}
