//! Quantities as Kubernetes reads them (`resource.ParseQuantity`): `500m`, `1Gi`, `1e3`.

/// Suffixes with their factors.
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The number that a quantity stands for; `None` if Kubernetes does not take the text.
pub fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = text.split_at(text.len() - unsigned.len() + digits);
    let number: f64 = number.parse().ok()?;
    let factor = SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, factor)| *factor);
    Some(number * factor.or_else(|| exponent(suffix))?)
}

/// `e3` and `E-3`.
fn exponent(suffix: &str) -> Option<f64> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(10f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for (text, want) in [
            ("0", 0.0),
            ("1Gi", 1_073_741_824.0),
            ("150m", 0.15),
            ("1.5", 1.5),
            (".5", 0.5),
            ("+2k", 2000.0),
            ("-1", -1.0),
            ("1e3", 1000.0),
            ("1E3", 1000.0),
            ("1E", 1e18),
        ] {
            let read = parse(text).expect(text);
            assert!((read - want).abs() <= want.abs() * 1e-9, "{text}: {read}");
        }
        for text in ["", "1X", "Gi", "1 Gi", "1GiB", "1K", "one", "1.2.3", "e3", "--1", "1e", "1ei"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
