//! Resolves scalars, by the rules of go.yaml.in/yaml/v2 (YAML 1.1 with Go's integer syntax), then
//! that of JSON.
//!
//! As in that library, base-60 numbers are not supported and timestamps stay text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granit_parser::{ScalarStyle, Tag};
use serde_json::Value;

const NAMESPACE: &str = "tag:yaml.org,2002:";
/// Two to the 63rd: the first float beyond `i64`.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// A resolved scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
}

/// Resolves `text`. An error says what is wrong with it.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, String> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => implicit(text),
            _ => Scalar::Text(text.to_owned()),
        });
    };
    let fail = |name: &str| Err(format!("`{text}` cannot be read as !!{name}"));
    match (tag.suffix_in_namespace(NAMESPACE).as_deref(), implicit(text)) {
        (Some("int"), found @ (Scalar::Int(_) | Scalar::Uint(_))) => Ok(found),
        (Some("float"), found @ Scalar::Float(_)) => Ok(found),
        (Some("float"), Scalar::Int(int)) => Ok(Scalar::Float(int as f64)),
        (Some("bool"), found @ Scalar::Bool(_)) => Ok(found),
        (Some("null"), Scalar::Null) => Ok(Scalar::Null),
        (Some("binary"), _) => binary(text).map(Scalar::Text),
        (Some(name @ ("int" | "float" | "bool" | "null")), _) => fail(name),
        _ => Ok(Scalar::Text(text.to_owned())),
    }
}

fn binary(text: &str) -> Result<String, String> {
    let bytes = BASE64.decode(text).map_err(|error| format!("!!binary is not base64: {error}"))?;
    String::from_utf8(bytes)
        .map_err(|_| "!!binary holds bytes that are not text, which JSON cannot hold".to_owned())
}

/// What an unquoted, untagged scalar means.
pub(super) fn implicit(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or_else(|| Scalar::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Scalar> {
    match text.as_bytes().first()? {
        b'.' if separates_digits(text) => float(&text.replace('_', "")),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| float(&plain)).or_else(|| signed_binary(&plain))
        }
        _ => None,
    }
}

/// Whether every underscore stands between two digits. Go demands it only of floats that begin with
/// a dot.
fn separates_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    (0..bytes.len()).all(|i| bytes[i] != b'_' || (i > 0 && is_digit(i - 1) && is_digit(i + 1)))
}

/// Go's integer literals: `0x`, `0o`, `0b`, and a leading `0` for octal.
fn integer(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if text.starts_with('-') {
        return 0i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    match i64::try_from(magnitude) {
        Ok(int) => Some(Scalar::Int(int)),
        Err(_) => (!text.starts_with('+')).then_some(Scalar::Uint(magnitude)),
    }
}

/// `0b-101`: an oddity of the Go library.
fn signed_binary(text: &str) -> Option<Scalar> {
    i64::from_str_radix(text.strip_prefix("0b")?, 2).ok().map(Scalar::Int)
}

/// Decimal floats; what is too large for one is text.
fn float(text: &str) -> Option<Scalar> {
    let decimal = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    let float: f64 = text.bytes().all(decimal).then(|| text.parse().ok())??;
    float.is_finite().then_some(Scalar::Float(float))
}

impl Scalar {
    /// As JSON. Whole floats are integers there, since `1e3` is written `1000` by Go.
    pub(super) fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => bool.into(),
            Self::Int(int) => int.into(),
            Self::Uint(uint) => uint.into(),
            Self::Float(float) if !float.is_finite() => {
                return Err("JSON has no infinity and no NaN".to_owned());
            }
            Self::Float(float) if float.fract() == 0.0 && (-I64_END..I64_END).contains(&float) => {
                (float as i64).into()
            }
            Self::Float(float) => float.into(),
            Self::Text(text) => text.into(),
        })
    }

    /// As a key of a JSON object.
    pub(super) fn into_key(self) -> Result<String, String> {
        Ok(match self {
            Self::Null => return Err("null cannot be a key".to_owned()),
            Self::Bool(bool) => bool.to_string(),
            Self::Int(int) => int.to_string(),
            Self::Uint(_) => return Err("this number is too large to be a key".to_owned()),
            Self::Float(float) => float_key(float),
            Self::Text(text) => text,
        })
    }
}

/// Go's `strconv.FormatFloat(float, 'g', -1, 32)`, with YAML's names for what is not finite.
fn float_key(float: f64) -> String {
    let short = float as f32;
    match short {
        _ if short.is_nan() => return ".nan".to_owned(),
        f32::INFINITY => return ".inf".to_owned(),
        f32::NEG_INFINITY => return "-.inf".to_owned(),
        _ => {}
    }
    let scientific = format!("{short:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return short.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_to_kubectl() {
        let table = [
            ("0400", Scalar::Int(256)),
            ("0o400", Scalar::Int(256)),
            ("0x1f", Scalar::Int(31)),
            ("1_000", Scalar::Int(1000)),
            ("08", Scalar::Float(8.0)),
            ("1e3", Scalar::Float(1000.0)),
            (".5", Scalar::Float(0.5)),
            ("18446744073709551615", Scalar::Uint(u64::MAX)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("on", Scalar::Bool(true)),
            ("y", Scalar::Bool(true)),
            ("NO", Scalar::Bool(false)),
            ("~", Scalar::Null),
            ("12:30:00", Scalar::Text("12:30:00".into())),
            ("2001-12-14", Scalar::Text("2001-12-14".into())),
            ("1e400", Scalar::Text("1e400".into())),
            ("=", Scalar::Text("=".into())),
            ("yEs", Scalar::Text("yEs".into())),
        ];
        for (text, expected) in table {
            assert_eq!(implicit(text), expected, "{text}");
        }
    }

    #[test]
    fn keys_are_written_as_go_writes_them() {
        let table = [
            ("0x10", "16"),
            ("on", "true"),
            ("1.20", "1.2"),
            ("1e3", "1000"),
            ("1e6", "1e+06"),
            ("v1", "v1"),
        ];
        for (text, expected) in table {
            assert_eq!(implicit(text).into_key().as_deref(), Ok(expected), "{text}");
        }
    }
}
