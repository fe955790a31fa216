//! Kubernetes quantities for rates, amounts and tolerances, read at milli precision. Pure.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt};

/// A Kubernetes quantity as the user wrote it: `50`, `"0.5"`, `500m`, `2Gi`.
///
/// The text is kept, never normalised, so that GitOps tools see what they applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Quantity(pub String);

/// The text is not a Kubernetes quantity, or does not fit a 64-bit count of thousandths.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a quantity such as 50, 0.5, 500m or 2Gi")]
pub struct InvalidQuantity(String);

impl Quantity {
    /// The value in thousandths, rounded up as Kubernetes' `MilliValue` does.
    ///
    /// # Errors
    /// When the text is not a quantity or its value passes what a 64-bit count of thousandths can hold.
    pub fn milli(&self) -> Result<i64, InvalidQuantity> {
        parse_milli(&self.0).ok_or_else(|| InvalidQuantity(self.0.clone()))
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

fn parse_milli(text: &str) -> Option<i64> {
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
    let scaled = mantissa.checked_mul(numerator)?.checked_mul(1000)?;
    let rounded_up = scaled.checked_add(denominator - 1)? / denominator;
    i64::try_from(rounded_up).ok().map(|value| value * sign)
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
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrString {
            Int(i64),
            String(String),
        }
        Ok(match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(value) => Self(value.to_string()),
            IntOrString::String(value) => Self(value),
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
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maxLength": 24,
            "pattern": "^\\+?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
