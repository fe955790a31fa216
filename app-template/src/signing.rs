//! Signatures over what leaves the process and comes back: HMAC-SHA256 with a shared key. No I/O.

use std::str::FromStr;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

const SHORTEST: usize = 32;

/// A key that is known to whoever has to sign or verify, and to nobody else.
#[derive(Clone)]
pub(crate) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The signature in hexadecimal digits.
    pub(crate) fn sign(&self, text: &str) -> String {
        hex::encode(self.0.clone().chain_update(text).finalize().into_bytes())
    }

    /// Compares in constant time.
    pub(crate) fn verifies(&self, text: &str, signature: &str) -> bool {
        let mac = self.0.clone().chain_update(text);
        hex::decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
    }
}

impl FromStr for SigningKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() < SHORTEST {
            return Err(format!(
                "give a random text of at least {SHORTEST} characters, the same to every pod"
            ));
        }
        Hmac::new_from_slice(text.as_bytes()).map(Self).map_err(|error| error.to_string())
    }
}

/// Keys between which one is changed without a gap: the first signs, and each verifies.
#[derive(Debug, Clone)]
pub(crate) struct SigningKeys(Arc<[SigningKey]>);

impl SigningKeys {
    /// The signature by the first key, in hexadecimal digits.
    pub(crate) fn sign(&self, text: &str) -> String {
        // There is a first one.
        self.0.first().map(|key| key.sign(text)).unwrap_or_default()
    }

    /// Whether the signature is one of these keys'.
    pub(crate) fn verifies(&self, text: &str, signature: &str) -> bool {
        self.0.iter().any(|key| key.verifies(text, signature))
    }
}

impl FromStr for SigningKeys {
    type Err = String;

    /// Separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|key| key.trim().parse()).collect::<Result<_, _>>().map(Self).map_err(|error| {
            if text.contains(',') { format!("of several keys, separated by commas: {error}") } else { error }
        })
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_verifies_by_its_signature_only(text in "\\PC{0,40}", other in "\\PC{0,40}", forged in "\\PC*|[0-9a-fA-F]{0,80}") {
            let key: SigningKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
            let signature = key.sign(&text);
            prop_assert!(key.verifies(&text, &signature));
            prop_assert_eq!(key.verifies(&other, &signature), text == other);
            prop_assert_eq!(key.verifies(&text, &forged), forged.eq_ignore_ascii_case(&signature));
        }

        #[test]
        fn any_text_is_a_key_or_refused_in_words_that_do_not_show_it(text in "[A-Z]{0,60}|.*") {
            match text.parse::<SigningKey>() {
                Ok(key) => {
                    let shown = format!("{key:?}");
                    prop_assert!(text.len() >= SHORTEST && !shown.contains(&text));
                }
                Err(reason) => prop_assert!(text.len() < SHORTEST && reason.contains("at least 32")),
            }
        }
    }

    #[test]
    fn a_signature_holds_for_its_key_and_its_text_only() {
        let key: SigningKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let other: SigningKey = "0123456789abcdef0123456789abcdeF".parse().unwrap();
        let signature = key.sign("text");
        assert!(key.verifies("text", &signature));
        assert!(!key.verifies("texts", &signature));
        assert!(!key.verifies("text", &signature[2..]));
        assert!(!key.verifies("text", "no digits"));
        assert!(!other.verifies("text", &signature));
    }

    #[test]
    fn of_several_keys_the_first_signs_and_each_verifies() {
        let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        let read = |text: &str| text.parse::<SigningKeys>().unwrap();
        let (before, during, after) = (read(old), read(&format!("{new}, {old}")), read(new));
        assert_eq!(during.sign("text"), after.sign("text"));
        assert!(during.verifies("text", &before.sign("text")), "what was signed before");
        assert!(during.verifies("text", &after.sign("text")));
        assert!(!after.verifies("text", &before.sign("text")), "the old key is gone");
        for bad in [format!("{new},"), format!("{new},short"), String::new()] {
            assert!(bad.parse::<SigningKeys>().unwrap_err().contains("at least 32 characters"), "{bad}");
        }
    }

    #[test]
    fn a_short_key_is_refused_in_words() {
        assert!("short".parse::<SigningKey>().unwrap_err().contains("at least 32 characters"));
    }
}
