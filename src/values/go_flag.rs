//! Values of flags as Go's flag libraries read them, by the name that these have for the type
//! (`strconv`, `flag`, `spf13/pflag`, `k8s.io/component-base/cli/flag`).

use std::net::{IpAddr, SocketAddr};

use super::{go_duration, quantity};

/// What a flag of type `kind` takes, if it does not take `text`.
pub fn refused(kind: &str, text: &str) -> Option<&'static str> {
    let (takes, description): (bool, &'static str) = match kind {
        "bool" => (boolean(text).is_some(), "true or false, in quotes"),
        "int" | "int64" => (whole(text, i64::MIN.into(), i64::MAX.into()), "a whole number, in quotes"),
        "int32" => (whole(text, i32::MIN.into(), i32::MAX.into()), "a whole number, in quotes"),
        "uint" | "uint64" => (whole(text, 0, u64::MAX.into()), "a whole number, 0 or more, in quotes"),
        "uint32" => (whole(text, 0, u32::MAX.into()), "a whole number, 0 or more, in quotes"),
        "Level" => (
            text.parse::<u32>().is_ok_and(|level| level <= i32::MAX.unsigned_abs()),
            "a whole number, 0 or more, in quotes",
        ),
        "int32Slice" => (
            text.split(',').all(|item| item.trim().parse::<i32>().is_ok()),
            "whole numbers, with commas between",
        ),
        "float32" | "float64" => (text.parse::<f64>().is_ok(), "a number, in quotes"),
        "duration" => (
            go_duration::seconds(text).is_some(),
            "a duration such as 1h30m or 30s, in hours, minutes and seconds",
        ),
        "ip" => (is_address(text), "an IP address"),
        "ipport" => (
            text.is_empty() || text.parse::<SocketAddr>().is_ok() || is_address(text),
            "an address, with or without port",
        ),
        "quantity" => (quantity::parse(text).is_some(), "a quantity such as 512Ki"),
        "mapStringBool" | "colonSeparatedMultimapStringString" | "featureGate" => (
            pairs(text, |value| boolean(value).is_some()),
            "names with true or false, such as Name=true,Other=false",
        ),
        // `ConfigurationMap` of `--runtime-config`: a name alone is on.
        "mapStringString" => (
            text.split(',').all(|item| match item.split_once('=') {
                Some((_, value)) => value.trim().is_empty() || boolean(value.trim()).is_some(),
                None => true,
            }),
            "names, each with =true or =false, with commas between",
        ),
        // With one `=` the whole text is one pair, commas and all.
        "stringToString" => (text.contains('='), "pairs such as name=value, with commas between"),
        "pattern=N,..." => {
            (pairs(text, |level| level.parse::<i32>().is_ok()), "pairs such as file=4, with commas between")
        }
        "namedCertKey" => (is_key_pair(text), "the paths of a certificate and its key, with a comma between"),
        _ => (true, ""),
    };
    (!takes).then_some(description)
}

/// `strconv.ParseBool`.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `strconv.ParseInt` with base 0: `10`, `0x1f`, `0o17`, `017`, `0b11`, `1_000`.
fn whole(text: &str, least: i128, most: i128) -> bool {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    if least >= 0 && digits.len() < text.len() {
        return false; // ParseUint takes no sign
    }
    let lower = digits.to_ascii_lowercase();
    let (base, bare) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let spaced = bare.split('_').all(|group| !group.is_empty()) || (base != 10 && bare.starts_with('_'));
    let number = i128::from_str_radix(&bare.replace('_', ""), base);
    spaced
        && !bare.starts_with(['-', '+'])
        && number.is_ok_and(|number| (least..=most).contains(&(sign * number)))
}

/// `net.ParseIP`, with nothing for no address.
fn is_address(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.parse::<IpAddr>().is_ok()
}

fn pairs(text: &str, takes: impl Fn(&str) -> bool) -> bool {
    let mut items = text.split(',').filter(|item| !item.is_empty());
    items.all(|item| {
        item.split_once('=').is_some_and(|(name, value)| !name.trim().is_empty() && takes(value.trim()))
    })
}

fn is_key_pair(text: &str) -> bool {
    let (files, names) = text.split_once(':').map_or((text, "name"), |(files, names)| (files, names.trim()));
    let files: Vec<&str> = files.split(',').map(str::trim).collect();
    files.len() == 2 && files.iter().all(|file| !file.is_empty()) && !names.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(refused(kind, text), None, "{kind} {text}");
        }
        for text in bad {
            assert!(refused(kind, text).is_some(), "{kind} {text}");
        }
    }

    #[test]
    fn values_are_read_as_go_reads_them() {
        check("bool", &["true", "T", "0", "False"], &["yes", "on", "", "tRUE", " true"]);
        check(
            "int",
            &["0", "-1", "+7", "0x1F", "017", "1_000", "0_7"],
            &["", "8GB", "abc", "1.5", "08", "1__0", "_1", "1e3"],
        );
        check("int32", &["2147483647"], &["2147483648"]);
        check("uint", &["0", "18446744073709551615"], &["-1", "+1", "18446744073709551616"]);
        check("uint32", &["4294967295"], &["4294967296"]);
        check("Level", &["0", "4"], &["high", "-1", "0x4", ""]);
        check("float64", &["0.5", "1e-3", "2"], &["half", ""]);
        check("duration", &["1h", "0"], &["1day", "5"]);
        check("ip", &["192.0.2.1", "fd00::1", ""], &["192.0.2", "host"]);
        check("quantity", &["0", "512Ki"], &["512K B"]);
        check("mapStringBool", &["A=true,B=false", "", "A=t,"], &["A", "A=yes", "=true"]);
        check("mapStringString", &["apps/v1=false", "apps/v1", "a/v1,b/v1=true"], &["apps/v1=maybe"]);
        check("stringToString", &["metric1,label1=a,b", "a=b,c=d"], &["a"]);
        check("pattern=N,...", &["a=1,b=2"], &["a", "a=b"]);
        check("namedCertKey", &["/a,/b", "/a,/b:x.example"], &["/a", "/a,/b,/c", "/a,/b:", "/a,"]);
        check("string", &["", "anything"], &[]);
    }
}
