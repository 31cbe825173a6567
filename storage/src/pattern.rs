//! Texts with `*`, any characters, and `?`, any one character.

use std::fmt;

/// A text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of a text; every text is one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the pattern stands for `text`. Takes at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Goes on greedily, and comes back to the last star only, which is enough.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                read += 1;
            }
            Some(byte) if *byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_what_they_say() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*c", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("", "a", false),
            ("**", "a", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                want,
                "{pattern} {text}"
            );
        }
        let slow = Pattern::new("*a".repeat(500));
        assert!(!slow.matches(&"b".repeat(10_000)));
    }

    /// The definition, obvious and slow.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            ([b'?', rest @ ..], [_, left @ ..]) => model(rest, left),
            ([byte, rest @ ..], [found, left @ ..]) => byte == found && model(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let fast = Pattern::new(pattern.as_str()).matches(&text);
            prop_assert_eq!(fast, model(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
