//! The document that `rpc.discover` answers with: OpenRPC 1.3, the parts Trunkline uses.
//!
//! Schemas are kept as the JSON text that a handler registered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The version of OpenRPC that the documents follow.
pub const OPENRPC_VERSION: &str = "1.3.2";

/// Members whose names start with `x-` (OpenRPC: specification extensions).
pub type Extensions = BTreeMap<String, Value>;

/// An OpenRPC document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Document {
    /// [`OPENRPC_VERSION`].
    pub openrpc: String,
    /// What is described.
    pub info: Info,
    /// Every method on offer.
    pub methods: Vec<Method>,
}

impl Document {
    /// A document of these methods, in the given order.
    #[must_use]
    pub fn new(info: Info, methods: Vec<Method>) -> Self {
        Self {
            openrpc: OPENRPC_VERSION.to_owned(),
            info,
            methods,
        }
    }
}

/// Title and version of what is described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The name of the application.
    pub title: String,
    /// The version of the application's interface, not of OpenRPC.
    pub version: String,
}

/// One method.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Method {
    /// The name it is called by.
    pub name: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How its params are laid out: by name, by position, or either.
    #[serde(
        default,
        rename = "paramStructure",
        skip_serializing_if = "Option::is_none"
    )]
    pub param_structure: Option<ParamStructure>,
    /// Its params; empty also where the handler told none.
    pub params: Vec<Content>,
    /// Its result; absent where the handler told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Content>,
    /// What it belongs to: Trunkline puts the handler here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Members that start with `x-`.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Method {
    /// A method about which only the name is known.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            param_structure: None,
            params: Vec::new(),
            result: None,
            tags: Vec::new(),
            extensions: Extensions::new(),
        }
    }
}

/// How params are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParamStructure {
    /// An object.
    ByName,
    /// An array.
    ByPosition,
    /// Either.
    Either,
}

/// A param or a result (OpenRPC: content descriptor).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Content {
    /// The param's name, or a word for the result.
    pub name: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether a call without it is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// A JSON Schema (draft 7 or later), as text.
    pub schema: Box<RawValue>,
}

impl Content {
    /// A param or result with its schema.
    pub fn new(name: impl Into<String>, schema: Box<RawValue>) -> Self {
        Self {
            name: name.into(),
            description: None,
            required: false,
            schema,
        }
    }
}

/// A word that groups methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The word.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_and_read() {
        let schema = r#"{"type":"integer", "minimum":1}"#;
        let mut method = Method::new("sum");
        method.params.push(Content::new(
            "a",
            RawValue::from_string(schema.to_owned()).expect("JSON"),
        ));
        method.tags.push(Tag {
            name: "math".to_owned(),
        });
        method
            .extensions
            .insert("x-idempotent".to_owned(), Value::Bool(true));
        let info = Info {
            title: "t".to_owned(),
            version: "1".to_owned(),
        };
        let document = Document::new(info, vec![method, Method::new("bare")]);

        let text = serde_json::to_string(&document).expect("serializable");
        let expected = concat!(
            r#"{"openrpc":"1.3.2","info":{"title":"t","version":"1"},"methods":["#,
            r#"{"name":"sum","params":[{"name":"a","schema":{"type":"integer", "minimum":1}}],"#,
            r#""tags":[{"name":"math"}],"x-idempotent":true},"#,
            r#"{"name":"bare","params":[]}]}"#
        );
        assert_eq!(text, expected);
        let back: Document = serde_json::from_str(&text).expect("readable");
        assert_eq!(
            serde_json::to_string(&back).expect("serializable"),
            expected
        );
    }
}
