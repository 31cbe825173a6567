//! Whether all readers of a manifest see the same document.
//!
//! `serde` passes over members that nobody asked for without a look at what stands in them, but other
//! readers look. So the whole document is walked: its texts are Unicode and its numbers fit, in no
//! object a member stands twice, and no member has a name that a reader which doesn't care about upper
//! and lower case, such as Go's, takes for one of the specification's.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The members that the specification gives a document, a descriptor and its platform.
const DOCUMENT: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "blobs",
    "manifests",
    "fsLayers",
    "subject",
    "annotations",
];
const DESCRIPTOR: &[&str] = &[
    "mediaType",
    "artifactType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "platform",
];
const PLATFORM: &[&str] = &["architecture", "os", "os.version", "os.features", "variant"];
/// How many members an object has at most; no client writes as many.
const MOST_MEMBERS: usize = 10_000;

/// Walks a document.
///
/// # Errors
///
/// With the first thing that readers could understand differently.
pub(super) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let text = std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    Place::Document.deserialize(&mut reader)?;
    reader.end()
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The manifest.
    Document,
    /// A descriptor, or a list of them.
    Descriptor,
    /// What an image runs on.
    Platform,
    /// Something whose members have no fixed names.
    Free,
}

impl Place {
    /// The members whose names nothing else may look like.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Document => DOCUMENT,
            Self::Descriptor => DESCRIPTOR,
            Self::Platform => PLATFORM,
            Self::Free => &[],
        }
    }

    /// What the value of a member is.
    fn below(self, member: &str) -> Self {
        match (self, member) {
            (Self::Document, "config" | "layers" | "blobs" | "manifests" | "subject") => {
                Self::Descriptor
            }
            (Self::Descriptor, "platform") => Self::Platform,
            _ => Self::Free,
        }
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Place {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a manifest")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(Name(name)) = members.next_key()? {
            let looks_like = |known: &&&str| **known != name && is_same_folded(known, &name);
            if let Some(known) = self.names().iter().find(looks_like) {
                let message = format_args!("{name:?} could be taken for {known:?}");
                return Err(A::Error::custom(message));
            }
            members.next_value_seed(self.below(&name))?;
            if seen.len() == MOST_MEMBERS {
                let message = format_args!("an object has at most {MOST_MEMBERS} members");
                return Err(A::Error::custom(message));
            }
            if let Some(name) = seen.replace(name) {
                return Err(A::Error::custom(format_args!("duplicate member {name:?}")));
            }
        }
        Ok(())
    }
}

/// Whether two names are the same for a reader that doesn't care about case. Of what isn't ASCII two
/// letters fold to some that are (Unicode, `CaseFolding.txt`).
fn is_same_folded(known: &str, name: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    known.chars().map(fold).eq(name.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let outcome = check(text.as_bytes());
        outcome.map_or_else(|error| error.to_string(), |()| "sound".to_owned())
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
                told(text).contains("duplicate member"),
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
            assert!(
                told(text).contains("could be taken for"),
                "{text}: {}",
                told(text)
            );
        }
    }

    #[test]
    fn names_of_ones_own_are_free() {
        for text in [
            r#"{"annotations": {"Size": "1", "size": "2", "Config": ""}}"#,
            r#"{"extension": {"Digest": 1, "digest": 2}, "layer": 1, "layerss": 2, "": 3}"#,
            r#"{"schemaVersion": 2, "layers": [{"data": "", "size": 1.5e3}, null, true]}"#,
        ] {
            assert_eq!(told(text), "sound", "{text}");
        }
    }

    #[test]
    fn an_object_of_countless_members_is_no_manifests() {
        let members: Vec<_> = (0..=MOST_MEMBERS).map(|n| format!("\"{n}\": 0")).collect();
        let text = format!("{{{}}}", members.join(","));
        assert!(told(&text).contains("an object has at most"));
    }
}
