//! The body of a call, read within bounds: how long it may be, and how many values it may have.
//!
//! A value costs many times its text in memory, and anybody may send a body before it is known
//! whether it makes sense. No operation takes more than a few hundred values.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A layer part of 20 MiB is 28 MB of base64; a manifest of 4 MiB grows when it is escaped.
const LONGEST: usize = 32 << 20;
/// What all other operations take: texts of policies are the longest.
const LONGEST_WITHOUT_CONTENT: usize = 1 << 20;
/// How many values a body may have, with those inside of others.
const MOST_VALUES: usize = 10_000;

/// How many bytes the body of an operation may have.
pub(super) fn longest(operation: &str) -> usize {
    match operation {
        "UploadLayerPart" | "PutImage" => LONGEST,
        _ => LONGEST_WITHOUT_CONTENT,
    }
}

/// Reads a body.
pub(super) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let left = Cell::new(MOST_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Bounded(&left).deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A value, while there are some left.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        let left = left.ok_or_else(|| D::Error::custom("there are too many values"))?;
        self.0.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            values.insert(name, members.next_value_seed(self)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_read_as_it_stands() {
        let text = r#"{"a": [1, -2, 1.5, true, null, "b"], "c": {"d": {}}}"#;
        let value = parse(text.as_bytes()).expect("it is JSON");
        assert_eq!(
            value,
            json!({"a": [1, -2, 1.5, true, null, "b"], "c": {"d": {}}})
        );
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"").is_err());
    }

    #[test]
    fn a_body_of_too_many_values_is_refused() {
        let of = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(parse(of(MOST_VALUES - 1).as_bytes()).is_ok());
        let error = parse(of(MOST_VALUES).as_bytes()).expect_err("one too many");
        assert!(error.to_string().starts_with("there are too many values"));
        let nested = "[".repeat(1 << 20);
        assert!(parse(nested.as_bytes()).is_err());
    }
}
