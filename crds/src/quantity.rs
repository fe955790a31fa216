//! Kubernetes quantities for rates, amounts and tolerances, read at milli precision. Pure.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// A Kubernetes quantity as the user wrote it: `50`, `0.5`, `500m`, `2Gi`.
///
/// The text is kept, never normalised, so that GitOps tools see what they applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Quantity(pub String);

/// The text is not a Kubernetes quantity, or does not fit a 64-bit count of thousandths.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a quantity such as 50, 0.5, 500m or 2Gi{hint}", hint = hint(.0))]
pub struct InvalidQuantity(String);

/// What to write instead of a unit that Kubernetes does not have.
fn hint(text: &str) -> String {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.').trim_end();
    if number.is_empty() || parse(number, 1000).is_none() {
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
    /// The value in thousandths, rounded up as Kubernetes' `MilliValue` does.
    ///
    /// # Errors
    /// When the text is not a quantity or its value passes what a 64-bit count of thousandths can hold.
    pub fn milli(&self) -> Result<i64, InvalidQuantity> {
        let milli = parse(&self.0, 1000).and_then(|milli| i64::try_from(milli).ok());
        milli.ok_or_else(|| InvalidQuantity(self.0.clone()))
    }

    /// The value in billionths, to which Kubernetes rounds up; nothing where the text is not a quantity. Two texts of one
    /// value mean the same.
    #[must_use]
    pub fn nano(&self) -> Option<i128> {
        parse(&self.0, 1_000_000_000)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Scale of a suffix as `base` to the power of `exponent`, in the order in which suffixes must be tried.
const SUFFIXES: [(&str, i128, u32); 12] = [
    ("Ki", 1024, 1),
    ("Mi", 1024, 2),
    ("Gi", 1024, 3),
    ("Ti", 1024, 4),
    ("Pi", 1024, 5),
    ("Ei", 1024, 6),
    ("k", 1000, 1),
    ("M", 1000, 2),
    ("G", 1000, 3),
    ("T", 1000, 4),
    ("P", 1000, 5),
    ("E", 1000, 6),
];

/// The value in parts of which `per_one` are one, rounded up.
fn parse(text: &str, per_one: i128) -> Option<i128> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 19 || fraction.len() > 15 {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (numerator, mut denominator) = scale(suffix)?;
    denominator = denominator.checked_mul(10_i128.checked_pow(fraction.len().try_into().ok()?)?)?;
    let scaled = mantissa.checked_mul(numerator)?.checked_mul(per_one)?;
    let rounded_up = scaled.checked_add(denominator - 1)? / denominator;
    Some(rounded_up * sign)
}

/// Numerator and denominator of a suffix; `m`, `u` and `n` divide.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    match suffix {
        "" => return Some((1, 1)),
        "m" => return Some((1, 1_000)),
        "u" => return Some((1, 1_000_000)),
        "n" => return Some((1, 1_000_000_000)),
        _ => {}
    }
    if let Some((_, base, exponent)) = SUFFIXES.iter().find(|(name, _, _)| *name == suffix) {
        return Some((base.checked_pow(*exponent)?, 1));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is neither a number nor a text is kept as its JSON, to be refused in words where its path is known.
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

/// A number or a text. An int-or-string would take no decimal number; what a text says is checked by the operator, which
/// answers in words.
pub(crate) fn number_or_text() -> Schema {
    json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "minimum": 0,
        "maxLength": 24,
    })
}

/// The same for what must be above 0.
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
        ];
        for (text, milli) in cases {
            assert_eq!(Quantity(text.into()).milli(), Ok(milli), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_words() {
        for text in ["", "abc", "1.2.3", "1Qi", "9E", "."] {
            let message = Quantity(text.into()).milli().map_err(|error| error.to_string());
            assert_eq!(message, Err(format!("\"{text}\" is not a quantity such as 50, 0.5, 500m or 2Gi")));
        }
    }
}
