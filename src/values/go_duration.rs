//! Durations as Go reads them (`time.ParseDuration`), in which the flags of components are written.

/// Units with their seconds, each in front of those that it begins with.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// The seconds of `1h30m`, `1.5h` or `0`; `None` if Go does not take the text.
pub fn seconds(text: &str) -> Option<f64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let (mut sum, mut rest) = part(rest)?;
    while !rest.is_empty() {
        let (more, behind) = part(rest)?;
        (sum, rest) = (sum + more, behind);
    }
    Some(sign * sum)
}

/// The first number with its unit, in seconds, and what stands behind it.
fn part(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    let (unit, worth) = UNITS.iter().find(|(unit, _)| text[end..].starts_with(unit))?;
    Some((number * worth, &text[end + unit.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, want) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("0m0s", 0.0),
            ("0s", 0.0),
            ("1h0m0s", 3600.0),
            ("1.5h", 5400.0),
            (".5s", 0.5),
            ("5.s", 5.0),
            ("+3m", 180.0),
            ("-1h", -3600.0),
            ("1h15m30.918s", 4530.918),
            ("1s500ms", 1.5),
            ("20us", 20e-6),
            ("20µs", 20e-6),
            ("20μs", 20e-6),
            ("7ns", 7e-9),
            ("2m3ms", 120.003),
        ] {
            let read = seconds(text).expect(text);
            assert!((read - want).abs() < 1e-9, "{text}: {read}");
        }
    }

    #[test]
    fn what_go_does_not_take_is_no_duration() {
        for text in [
            "", "3", "-", "+", "s", ".", ".s", "-.s", "+.s", "1d", "20sec", "5 s", " 5s", "5s ", "1h 2m",
            "1.2.3s", "1e3s", "1H", "--1s", "1w", "1day", "inf", "NaNs", "5min",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
