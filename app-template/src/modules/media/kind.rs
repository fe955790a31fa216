//! The kinds of picture that are taken, and how each begins. Pure.

/// A kind of picture.
pub(super) struct Kind {
    pub(super) content_type: &'static str,
    /// Whether these bytes may be one: what is said to be a picture and is none would be served to others as said.
    pub(super) is_begun_by: fn(&[u8]) -> bool,
}

/// No SVG: a browser would run the scripts in it. The signatures are those of the formats' standards.
pub(super) const KINDS: [Kind; 4] = [
    Kind { content_type: "image/png", is_begun_by: |bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n") },
    Kind { content_type: "image/jpeg", is_begun_by: |bytes| bytes.starts_with(b"\xff\xd8\xff") },
    Kind {
        content_type: "image/webp",
        is_begun_by: |bytes| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
    },
    Kind {
        content_type: "image/avif",
        is_begun_by: |bytes| matches!(bytes.get(4..12), Some(b"ftypavif" | b"ftypavis")),
    },
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds_of(bytes: &[u8]) -> Vec<&'static str> {
        KINDS.iter().filter(|kind| (kind.is_begun_by)(bytes)).map(|kind| kind.content_type).collect()
    }

    #[test]
    fn each_kind_is_known_by_its_first_bytes() {
        assert_eq!(kinds_of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), ["image/png"]);
        assert_eq!(kinds_of(b"\xff\xd8\xff\xe0\0\x10JFIF"), ["image/jpeg"]);
        assert_eq!(kinds_of(b"RIFF\x24\0\0\0WEBPVP8 "), ["image/webp"]);
        assert_eq!(kinds_of(b"\0\0\0\x20ftypavif\0\0\0\0"), ["image/avif"]);
        for other in
            [&b""[..], b"RIFF", b"RIFF\x24\0\0\0WAVEfmt ", b"<svg/>", b"\0\0\0\x20ftypmp42", b"GIF89a"]
        {
            assert!(kinds_of(other).is_empty(), "{}", other.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_of_one_kind_at_most(bytes: Vec<u8>, begin in 0..4_usize) {
            let begins = [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"RIFF____WEBP", b"____ftypavif"];
            prop_assert!(kinds_of(&bytes).len() <= 1);
            prop_assert_eq!(kinds_of(&[begins[begin], &bytes].concat()), [KINDS[begin].content_type]);
        }
    }
}
