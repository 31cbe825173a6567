//! The outcome as JUnit XML, which every CI reads.

use std::fmt::Write as _;

use super::Counts;
use crate::check::Ended;
use crate::suite::Made;

/// The outcome as JUnit XML.
pub(crate) fn junit(made: &[Made]) -> String {
    let Counts {
        failed, skipped, ..
    } = Counts::of(made);
    let took: f64 = made.iter().map(|made| made.took.as_secs_f64()).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"wharf-conformance\" tests=\"{}\" failures=\"{failed}\" \
         errors=\"0\" skipped=\"{skipped}\" time=\"{took:.3}\">",
        made.len()
    );
    for made in made {
        let (family, name) = (escape(made.family), escape(made.name));
        let seconds = made.took.as_secs_f64();
        let _ = write!(
            text,
            "  <testcase classname=\"{family}\" name=\"{name}\" time=\"{seconds:.3}\""
        );
        let _ = match &made.outcome {
            Ok(()) => writeln!(text, "/>"),
            Err(Ended::Failed(reason)) => {
                writeln!(
                    text,
                    "><failure message=\"{}\"/></testcase>",
                    escape(reason)
                )
            }
            Err(Ended::Skipped(reason)) => {
                writeln!(
                    text,
                    "><skipped message=\"{}\"/></testcase>",
                    escape(reason)
                )
            }
        };
    }
    text.push_str("</testsuite>\n");
    text
}

/// A text as the value of an attribute. XML has no way to write most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn texts_are_escaped_and_counts_stand_in_front() {
        let text = junit(&examples());
        assert!(text.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""));
        assert!(
            text.contains("<failure message=\"GET /v2/&lt;x&gt;: 500 &amp; &quot;more&quot;\"/>")
        );
        assert_eq!(escape("a\u{1b}b"), "a\u{fffd}b");
    }
}
