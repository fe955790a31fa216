//! Kubernetes quantities for rates, amounts and tolerances, with a precision of thousandths. Pure.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// A Kubernetes quantity as the user wrote it: `50`, `0.5`, `500m`, `2Gi`.
///
/// The text is kept, never normalized, so GitOps tools see what they applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Quantity(pub String);

/// The text is not a Kubernetes quantity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a quantity such as 50, 0.5, 500m or 2Gi{hint}", hint = hint(.0))]
pub struct InvalidQuantity(String);

/// What to write instead of a unit that Kubernetes does not have.
fn hint(text: &str) -> String {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.').trim_end();
    if number.is_empty() || parse(number, 0).is_none() {
        return String::new();
    }
    let unit = text[number.len()..].trim().to_ascii_lowercase();
    let unit = match unit.trim_end_matches('b') {
        "k" => "k",
        "ki" => "Ki",
        "m" if unit != "m" => "M",
        "mi" => "Mi",
        "g" => "G",
        "gi" => "Gi",
        "t" => "T",
        "ti" => "Ti",
        "" | "%" | "/s" | "rps" | "core" | "cores" | "cpu" | "cpus" => "",
        _ => return String::new(),
    };
    let instead = format!("{number}{unit}");
    if instead == text { String::new() } else { format!(": write {instead}") }
}

impl Quantity {
    /// The value in thousandths, rounded up as Kubernetes' `MilliValue` does. A value that exceeds 64 bits becomes the
    /// largest one.
    ///
    /// # Errors
    /// When the text is not a quantity.
    pub fn milli(&self) -> Result<i64, InvalidQuantity> {
        let milli = parse(&self.0, 3).ok_or_else(|| InvalidQuantity(self.0.clone()))?;
        Ok(i64::try_from(milli).unwrap_or(if milli < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The value in billionths, to which Kubernetes rounds up; `None` where the text is not a quantity. Two texts with
    /// the same value are equal.
    #[must_use]
    pub fn nano(&self) -> Option<i128> {
        parse(&self.0, 9)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The largest value: Kubernetes reduces any larger one to it.
const LARGEST: i128 = i64::MAX as i128;

/// Digits of a number that are read; further ones are rounded up. Multiplied by 1024^6 they fit an `i128`.
const MOST_DIGITS: usize = 20;

/// Suffixes with their power of 1024 and power of ten.
const SUFFIXES: [(&str, u32, i32); 16] = [
    ("", 0, 0),
    ("n", 0, -9),
    ("u", 0, -6),
    ("m", 0, -3),
    ("k", 0, 3),
    ("M", 0, 6),
    ("G", 0, 9),
    ("T", 0, 12),
    ("P", 0, 15),
    ("E", 0, 18),
    ("Ki", 1, 0),
    ("Mi", 2, 0),
    ("Gi", 3, 0),
    ("Ti", 4, 0),
    ("Pi", 5, 0),
    ("Ei", 6, 0),
];

/// The value times `10^decimals`, rounded up to a whole number.
fn parse(text: &str, decimals: u32) -> Option<i128> {
    // As Kubernetes does: a YAML block ends with a newline.
    let text = text.trim();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (factor, exponent) = scale(suffix)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let (read, rest) = digits.split_at(digits.len().min(MOST_DIGITS));
    let rounded_up = i128::from(rest.contains(|digit: char| digit != '0'));
    let mantissa = (read.parse::<i128>().ok()? + rounded_up) * factor;
    let exponent = i64::from(exponent) + i64::from(decimals) + i64::try_from(rest.len()).ok()?
        - i64::try_from(fraction.len()).ok()?;
    let power = u32::try_from(exponent.unsigned_abs()).ok().and_then(|power| 10_i128.checked_pow(power));
    let value = match power {
        Some(power) if exponent < 0 => (mantissa - 1) / power + 1,
        None if exponent < 0 => 1,
        power => power.and_then(|power| mantissa.checked_mul(power)).unwrap_or(i128::MAX),
    };
    Some(sign * value.min(LARGEST * 10_i128.pow(decimals)))
}

/// The factor and the power of ten of a suffix.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    if let Some((_, binary, decimal)) = SUFFIXES.iter().find(|(name, ..)| *name == suffix) {
        return Some((1024_i128.pow(*binary), *decimal));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((1, exponent))
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any other type is kept as its JSON, and refused later, where its path is known.
        Ok(match Value::deserialize(deserializer)? {
            Value::String(text) => Self(text),
            other => Self(other.to_string()),
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        number_or_text()
    }
}

/// A number or a string. An int-or-string accepts no decimal number. The operator checks the string, so the refusal is
/// a sentence.
pub(crate) fn number_or_text() -> Schema {
    json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "minimum": 0,
        "maxLength": 24,
    })
}

/// The same for values above 0.
pub(crate) fn above_zero(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "minimum": 0,
        "exclusiveMinimum": true,
        "maxLength": 24,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_taken_without_quotes() {
        for (written, text) in
            [(json!(50), "50"), (json!(0.5), "0.5"), (json!("500m"), "500m"), (json!(2.0), "2.0")]
        {
            assert_eq!(serde_json::from_value::<Quantity>(written).unwrap().0, text);
        }
        let other: Quantity = serde_json::from_value(json!({"a": [1]})).unwrap();
        assert!(other.milli().is_err());
    }

    #[test]
    fn one_value_has_many_texts() {
        let same =
            [["1", "1000m"], ["1.0", "1e0"], ["1Gi", "1024Mi"], ["1Gi", "1073741824"], ["0.5", "500m"]];
        for texts in same {
            let [one, other] = texts.map(|text| Quantity(text.into()).nano());
            assert!(one.is_some() && one == other, "{texts:?}");
        }
        assert_ne!(Quantity("1n".into()).nano(), Quantity("2n".into()).nano());
    }

    #[test]
    fn a_unit_that_kubernetes_does_not_have_is_refused_with_the_one_to_write() {
        for (text, instead) in [
            ("5/s", "5"),
            ("32MB", "32M"),
            ("32 MiB", "32Mi"),
            ("70%", "70"),
            ("2gb", "2G"),
            ("1.5 cores", "1.5"),
        ] {
            let words = format!("\"{text}\" is not a quantity such as 50, 0.5, 500m or 2Gi: write {instead}");
            assert_eq!(Quantity(text.into()).milli().unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn quantities_are_read_at_milli_precision() {
        let cases = [
            ("50", 50_000),
            ("0.5", 500),
            ("500m", 500),
            ("1.5", 1_500),
            ("2Gi", 2_147_483_648_000),
            ("1k", 1_000_000),
            ("1e3", 1_000_000),
            ("1u", 1),
            ("-3", -3_000),
            ("0.1m", 1),
            ("1.0005", 1_001),
            ("9e-99", 1),
            ("0e99", 0),
            ("00000000000000000000000000000000000000000000000000000000001", 1_000),
            ("1000000000000000000000n", 1_000_000_000_000_000),
        ];
        for (text, milli) in cases {
            assert_eq!(Quantity(text.into()).milli(), Ok(milli), "{text}");
        }
    }

    #[test]
    fn a_quantity_that_is_too_large_is_the_largest() {
        let largest = Quantity(i64::MAX.to_string()).nano();
        for text in ["1Ei", "9E", "9e99", "9e+99", "99999999999999999999999999999999999999999999999Ei"] {
            assert_eq!(Quantity(text.into()).milli(), Ok(i64::MAX), "{text}");
            assert_eq!(Quantity(format!("-{text}")).milli(), Ok(i64::MIN), "{text}");
            assert!(Quantity(text.into()).nano() <= largest, "{text}");
        }
        assert_eq!(Quantity("9e99".into()).nano(), largest);
        assert_eq!(Quantity("9223372036854775".into()).milli(), Ok(9_223_372_036_854_775_000));
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_words() {
        for text in ["", "abc", "1.2.3", "1Qi", "9e", "1e2.5", "."] {
            let message = Quantity(text.into()).milli().map_err(|error| error.to_string());
            assert_eq!(message, Err(format!("\"{text}\" is not a quantity such as 50, 0.5, 500m or 2Gi")));
        }
    }
}
