//! Texts of others, as a terminal is shown them.

/// The text without what could break a line or tell a terminal to do something. Descriptions, answers
/// of webhooks and errors of other registries are a stranger's words.
pub(super) fn printable(text: &str) -> String {
    let shown = |letter: char| match letter.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => letter,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_but_text() {
        assert_eq!(
            printable("grün\t\u{1b}[2Jx\r\ny\u{9b}z"),
            "grün\u{fffd}\u{fffd}[2Jx\u{fffd}\u{fffd}y\u{fffd}z"
        );
    }
}
