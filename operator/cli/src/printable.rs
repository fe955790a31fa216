//! Text of others on a terminal: characters that move the cursor, color, hide or reorder are escaped. Pure.
//!
//! Every cell, word and line of the text output passes here, and so does JSON.

use scalableapp_crds::has_effect;

/// The text as one line without effects: control characters, line ends included, and invisible or reordering characters
/// are written as `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> String {
    scalableapp_crds::printable(text).into_owned()
}

/// JSON of the same meaning without effects: characters with one are written as `\u009b`.
#[must_use]
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Line ends are those between the fields: in strings they are escaped already.
        if character == '\n' || !has_effect(character) {
            shown.push(character);
        } else {
            character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown += &format!("\\u{unit:04x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_effects_and_means_the_same() {
        let value = serde_json::json!({"reason": "a\u{9b}2J\u{202e}b\n\u{e0001} ü"});
        let shown = json(&value.to_string());
        assert!(shown.contains(r"a\u009b2J\u202eb\n\udb40\udc01 ü"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    #[test]
    fn what_has_an_effect_is_escaped_and_what_people_write_is_not() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{9b}K"), r"a\u{1b}[2Jb\u{d}\u{a}\u{9b}K");
        assert_eq!(printable("\u{202e}evil\u{2066}\u{200d}"), r"\u{202e}evil\u{2066}\u{200d}");
        let written = "Zürich 50 % → 80 ‰, 日本 🙂";
        assert_eq!(printable(written), written);
    }
}
