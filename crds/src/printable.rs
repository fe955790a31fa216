//! Text of others, without characters that move a cursor, hide or reorder. Pure.

use std::borrow::Cow;

/// The text as one line: control characters, line ends included, and invisible or reordering characters are written as
/// `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(has_effect) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if has_effect(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (Cc), line and paragraph separators, and the format characters (Cf) that hide or reorder text.
#[must_use]
pub fn has_effect(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_an_effect_is_escaped_and_what_people_write_is_not() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{9b}K"), r"a\u{1b}[2Jb\u{d}\u{a}\u{9b}K");
        assert_eq!(printable("\u{202e}evil\u{200d}"), r"\u{202e}evil\u{200d}");
        let written = "Zürich 50 % → 80 ‰, 日本 🙂";
        assert!(matches!(printable(written), Cow::Borrowed(same) if same == written));
    }
}
