//! The kinds of picture that are taken, and what their headers say. Pure.

/// The most pixels of a picture: whoever shows it unpacks four bytes for each.
const MOST_PIXELS: usize = 50_000_000;
/// The longest side of a picture, in pixels.
const LONGEST_SIDE: usize = 16_384;

/// A kind of picture.
pub(super) struct Kind {
    pub(super) content_type: &'static str,
    is_begun_by: fn(&[u8]) -> bool,
}

/// No SVG: a browser would run the scripts in it. The signatures are those of the formats' standards.
pub(super) const KINDS: [Kind; 4] = [
    Kind { content_type: "image/png", is_begun_by: |bytes| bytes.starts_with(PNG) },
    Kind { content_type: "image/jpeg", is_begun_by: |bytes| bytes.starts_with(b"\xff\xd8\xff") },
    Kind {
        content_type: "image/webp",
        is_begun_by: |bytes| bytes.starts_with(b"RIFF") && bytes.get(8..15) == Some(b"WEBPVP8"),
    },
    Kind {
        content_type: "image/avif",
        is_begun_by: |bytes| matches!(bytes.get(4..12), Some(b"ftypavif" | b"ftypavis")),
    },
];

/// The signature, and the chunk that has to be the first one.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

impl Kind {
    /// Whether the header of these bytes is one of this kind, of a size that can be shown.
    ///
    /// # Errors
    /// A sentence for whoever sent them.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let Self { content_type, is_begun_by } = self;
        let size = is_begun_by(bytes).then(|| imagesize::blob_size(bytes).ok()).flatten();
        let Some(size) = size.filter(|size| size.width > 0 && size.height > 0) else {
            return Err(format!(
                "The body is no picture of the type {content_type}; send the picture's bytes, and nothing around them."
            ));
        };
        let pixels = size.width.saturating_mul(size.height);
        if pixels > MOST_PIXELS || size.width.max(size.height) > LONGEST_SIDE {
            return Err(format!(
                "The picture has {} by {} pixels; send one of at most {MOST_PIXELS} pixels, and {LONGEST_SIDE} on a side.",
                size.width, size.height
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(content_type: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.content_type == content_type).unwrap()
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        [PNG, &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat()
    }

    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let [height, width] = [height, width].map(u16::to_be_bytes);
        [
            &b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08"[..],
            &height,
            &width,
            &[3; 9],
        ]
        .concat()
    }

    fn webp(width: u32, height: u32) -> Vec<u8> {
        let sides = (width - 1) | (height - 1) << 14;
        [b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f", &sides.to_le_bytes()[..], &[0]].concat()
    }

    fn avif(width: u32, height: u32) -> Vec<u8> {
        fn part(name: &[u8], content: &[u8]) -> Vec<u8> {
            [&u32::try_from(content.len() + 8).unwrap().to_be_bytes(), name, content].concat()
        }
        let sides = [[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat();
        let properties = part(b"iprp", &part(b"ipco", &part(b"ispe", &sides)));
        [part(b"ftyp", b"avif\0\0\0\0avifmif1"), part(b"meta", &[&[0; 4], &properties[..]].concat())].concat()
    }

    #[test]
    fn a_picture_of_each_kind_is_taken_up_to_its_largest_size() {
        for (content_type, small, wide, long) in [
            ("image/png", png(800, 600), png(60_000, 60_000), png(16_385, 1)),
            ("image/jpeg", jpeg(800, 600), jpeg(60_000, 60_000), jpeg(1, 16_385)),
            // It can be no longer than that.
            ("image/webp", webp(800, 600), webp(16_384, 16_384), webp(16_384, 3_052)),
            ("image/avif", avif(800, 600), avif(60_000, 60_000), avif(16_385, 1)),
        ] {
            assert_eq!(kind(content_type).check(&small), Ok(()), "{content_type}");
            for too_large in [wide, long] {
                let refused = kind(content_type).check(&too_large).unwrap_err();
                assert!(refused.contains("send one of at most"), "{content_type}: {refused}");
            }
        }
    }

    #[test]
    fn the_first_bytes_of_a_picture_make_none() {
        for (content_type, bytes) in [
            ("image/png", &b"\x89PNG\r\n\x1a\n<script>alert(1)</script><p>and more</p>"[..]),
            ("image/png", PNG),
            ("image/jpeg", b"\xff\xd8\xff<script>alert(1)</script>"),
            ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
            ("image/webp", b"RIFF\x24\0\0\0WEBP<script>alert(1)</script>"),
            ("image/webp", b"RIFF\x24\0\0\0WAVEfmt "),
            ("image/avif", b"\0\0\0\x20ftypavif\0\0\0\0<script>alert(1)</script>"),
            ("image/avif", b"\0\0\0\x20ftypmp42"),
            ("image/png", b""),
        ] {
            let refused = kind(content_type).check(bytes).unwrap_err();
            assert!(refused.contains("is no picture of the type"), "{}", bytes.escape_ascii());
        }
        assert!(kind("image/png").check(&png(0, 5)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_of_one_kind_at_most(bytes: Vec<u8>, begin in 0..4_usize) {
            let begins = [png(1, 1), jpeg(1, 1), webp(1, 1), avif(1, 1)];
            let taken = |bytes: &[u8]| KINDS.iter().filter(|kind| kind.check(bytes).is_ok()).count();
            prop_assert!(taken(&bytes) <= 1);
            prop_assert_eq!(taken(&[&begins[begin], &bytes[..]].concat()), 1);
        }
    }
}
