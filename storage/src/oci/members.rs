//! Whether all readers of a document see the same members.
//!
//! JSON doesn't say what an object means in which a member stands twice, so one reader takes the first
//! and another the last. Go's `encoding/json`, which most clients are built on, takes `Layers` for
//! `layers` besides. A document that plays with either is one thing to this registry, with its links
//! and its collection, and another to who runs it.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The members of manifests and of descriptors that clients read.
const KNOWN: [&str; 20] = [
    "annotations",
    "architecture",
    "artifactType",
    "blobs",
    "config",
    "data",
    "digest",
    "fsLayers",
    "layers",
    "manifests",
    "mediaType",
    "os",
    "os.features",
    "os.version",
    "platform",
    "schemaVersion",
    "size",
    "subject",
    "urls",
    "variant",
];

/// More members than any object of a manifest has; they are kept while it is read.
const MOST_MEMBERS: usize = 10_000;

/// Checks a document.
///
/// # Errors
///
/// When it is no JSON, a member stands twice in an object, or one is like a known one but for the
/// case of its letters.
pub(super) fn are_read_in_one_way(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Value { are_known: true }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// A value of a document.
#[derive(Clone, Copy)]
struct Value {
    /// Whether it lies where members have a meaning: not in annotations, nor in an extension.
    are_known: bool,
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let known = self.are_known.then(|| known(&name)).flatten();
            if let Some(known) = known
                && known != name
            {
                return Err(A::Error::custom(format_args!(
                    "member {name:?} is read as {known} by some"
                )));
            }
            let are_known = known.is_some_and(|name| name != "annotations");
            members.next_value_seed(Value { are_known })?;
            if seen.len() == MOST_MEMBERS {
                return Err(A::Error::custom("an object has too many members"));
            }
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!(
                    "member {name:?} stands twice"
                )));
            }
        }
        Ok(())
    }
}

/// The known member that a name is one of, if case doesn't count.
fn known(name: &str) -> Option<&'static str> {
    let is_like = |known: &&&str| {
        let mut letters = known.chars();
        let mut others = name.chars().map(folded);
        // All known ones are of ASCII, in which nothing but these two folds.
        letters
            .by_ref()
            .all(|letter| others.next() == Some(letter.to_ascii_lowercase()))
            && others.next().is_none()
    };
    KNOWN.iter().find(is_like).copied()
}

/// A letter in lower case, with the two beyond ASCII that are taken for letters in it.
const fn folded(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let outcome = are_read_in_one_way(text.as_bytes());
        outcome.map_or_else(|error| error.to_string(), |()| "one".to_owned())
    }

    #[test]
    fn a_member_stands_once_however_it_is_written_and_wherever() {
        for text in [
            r#"{"layers": [], "layers": []}"#,
            r#"{"layers": [], "l\u0061yers": []}"#,
            r#"{"annotations": {"a": "1", "\u0061": "2"}}"#,
            r#"{"layers": [{"digest": 1, "digest": 2}]}"#,
            r#"{"x": [[{"y": {"a": 1, "a": 1}}]]}"#,
        ] {
            assert!(
                told(text).contains("stands twice"),
                "{text}: {}",
                told(text)
            );
        }
    }

    #[test]
    fn a_member_that_is_like_a_known_one_is_that_one_to_some() {
        for text in [
            r#"{"Layers": []}"#,
            r#"{"layers": [], "LAYERS": []}"#,
            "{\"layer\u{17f}\": []}",
            r#"{"mediatype": ""}"#,
            r#"{"layers": [{"Digest": ""}]}"#,
            r#"{"manifests": [{"platform": {"OS": ""}}]}"#,
        ] {
            assert!(told(text).contains("is read as"), "{text}: {}", told(text));
        }
    }

    #[test]
    fn names_of_ones_own_are_free() {
        for text in [
            r#"{"annotations": {"Size": "1", "size": "2", "Config": ""}}"#,
            r#"{"extension": {"Digest": 1, "digest": 2}, "layer": 1, "layerss": 2, "": 3}"#,
            r#"{"schemaVersion": 2, "layers": [{"data": "", "size": 1.5e3}, null, true]}"#,
        ] {
            assert_eq!(told(text), "one", "{text}");
        }
    }

    #[test]
    fn an_object_of_countless_members_is_no_manifests() {
        let members: Vec<_> = (0..=MOST_MEMBERS).map(|n| format!("\"{n}\": 0")).collect();
        let text = format!("{{{}}}", members.join(","));
        assert!(told(&text).contains("too many members"));
    }
}
