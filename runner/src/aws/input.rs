//! Members of an input, with the error that a missing or wrong one has.

use serde_json::{Map, Value};

use super::Error;

/// The input of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    value: Value,
    /// The name of the service's error for what isn't understood.
    fault: &'static str,
}

impl Input {
    pub(crate) fn new(value: Value, fault: &'static str) -> Self {
        Self { value, fault }
    }

    /// The whole of it.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// A text that has to be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Error> {
        let text = self.value[name].as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong(format!("{name} is missing")))
    }

    /// A text that may be there.
    pub(crate) fn maybe(&self, name: &str) -> Option<&str> {
        self.value[name].as_str().filter(|text| !text.is_empty())
    }

    /// A whole number that may be there.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.value[name].as_u64()
    }

    /// Texts; none where there is no list.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        texts(&self.value[name])
    }

    /// A list; empty where there is none.
    pub(crate) fn list(&self, name: &str) -> Vec<Value> {
        self.value[name].as_array().cloned().unwrap_or_default()
    }

    /// An object; empty where there is none.
    pub(crate) fn object(&self, name: &str) -> Map<String, Value> {
        self.value[name].as_object().cloned().unwrap_or_default()
    }

    /// The error of this service for what isn't understood.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Error {
        Error::new(self.fault, message)
    }
}

/// The texts in a list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = list.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
