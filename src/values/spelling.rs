//! Names and addresses that are nearly right: which character is wrong, and the text without it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use url::Host;

use super::mistakes::Fault;

/// Characters of a label (RFC 1035, section 2.3.4).
const LONGEST: usize = 63;
/// A text is corrected in at most so many steps.
const STEPS: usize = 8;

/// A fault of `problem` and, if the text is nearly a host, the character and the corrected text.
/// `wrap` puts the corrected host back into what the user wrote; `rule` is the cure otherwise.
pub fn host_fault(text: &str, problem: &str, rule: &str, wrap: impl Fn(&str) -> String) -> Fault {
    if is_several(text) {
        return Fault { problem: SEVERAL.into(), cure: "write each as an item of its own".into() };
    }
    if text.contains('$') {
        let cure = "variables are not replaced here: write the value itself";
        return Fault { problem: format!("{problem}: it has `$`"), cure: cure.into() };
    }
    if let Some(label) =
        text.split('.').find(|label| label.len() > LONGEST && is_dns_label(&label[..LONGEST]))
    {
        let problem = format!("{problem}: one of its labels has {} characters", label.len());
        return Fault { problem, cure: format!("write at most {LONGEST} between two dots") };
    }
    let Some((why, _)) = first_wrong(text) else {
        return Fault { problem: problem.into(), cure: rule.into() };
    };
    let cure = corrected(text).map_or(rule.into(), |host| format!("write {}", wrap(&host)));
    Fault { problem: format!("{problem}: it {why}"), cure }
}

/// The problem of a text that [`is_several`].
pub const SEVERAL: &str = "is several names";

/// Whether commas or spaces stand between hosts.
pub fn is_several(text: &str) -> bool {
    let hosts: Vec<&str> =
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|host| !host.is_empty()).collect();
    hosts.len() > 1 && hosts.iter().all(|host| corrected(host).is_some())
}

/// The host that was meant.
pub fn corrected(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for _ in 0..STEPS {
        if is_good(&text) {
            return Some(text);
        }
        text = first_wrong(&text)?.1;
    }
    None
}

fn is_good(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_host_name(text.strip_prefix("*.").unwrap_or(text))
}

/// A DNS-1123 label.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels joined by dots.
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// A DNS name that cannot be taken for an address: `10.0.0.256` is a typing error, not a host.
pub fn is_host_name(text: &str) -> bool {
    is_dns_name(text) && matches!(Host::parse(text), Ok(Host::Domain(name)) if name == text)
}

/// What is wrong first, and the text without it.
fn first_wrong(text: &str) -> Option<(String, String)> {
    around(text).or_else(|| address(text)).or_else(|| dots(text)).or_else(|| letters(text))
}

/// What stands around a host: spaces, a scheme, brackets, a port, a prefix length.
fn around(text: &str) -> Option<(String, String)> {
    let (start, end) = (text.trim_start(), text.trim_end());
    if start.len() < text.len() {
        return Some(("begins with a space".into(), start.into()));
    }
    if end.len() < text.len() {
        return Some(("ends with a space".into(), end.into()));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return Some((
            format!("has a scheme ({scheme}://)"),
            rest.split('/').next().unwrap_or_default().into(),
        ));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(("has brackets, which an address has only in a URL".into(), inner.into()));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((format!("has a port (:{})", socket.port()), socket.ip().to_string()));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => {
            Some((format!("has a port (:{port})"), host.into()))
        }
        _ => text.split_once('/').map(|(host, rest)| (format!("has a `/` (/{rest})"), host.into())),
    }
}

/// Numbers that programs read differently.
fn address(text: &str) -> Option<(String, String)> {
    let numbers: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    if numbers.len() != 4 || !numbers.iter().all(is_number) {
        return None;
    }
    let zero = numbers.iter().find(|number| number.len() > 1 && number.starts_with('0'))?;
    let plain = |number: &&str| match number.trim_start_matches('0') {
        "" => "0".to_owned(),
        number => number.to_owned(),
    };
    let why = format!("has a number with a leading zero ({zero}), which some programs read as octal");
    Some((why, numbers.iter().map(plain).collect::<Vec<_>>().join(".")))
}

fn dots(text: &str) -> Option<(String, String)> {
    if let Some(rest) = text.strip_suffix('.') {
        return Some(("ends in a dot".into(), rest.into()));
    }
    if let Some(rest) = text.strip_prefix('.') {
        return Some(("begins with a dot".into(), rest.into()));
    }
    text.contains("..").then(|| ("has two dots in a row".into(), text.replace("..", ".")))
}

/// Characters that no host name has.
fn letters(text: &str) -> Option<(String, String)> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    let Some(wrong) = host.chars().find(|c| !good(*c)) else { return hyphens(text) };
    let shown: String = wrong.escape_debug().collect();
    let without = text.replace(wrong, "");
    Some(match wrong {
        c if c.is_ascii_uppercase() => (format!("has the capital letter `{c}`"), text.to_ascii_lowercase()),
        c if c.is_whitespace() => ("has a space".into(), without),
        '@' => ("has `@`, which no host has".into(), text.rsplit('@').next().unwrap_or_default().into()),
        '_' => ("has `_`, which host names cannot have".into(), text.replace('_', "-")),
        '*' => ("has `*` elsewhere than in front of the first dot".into(), text.replace('*', "")),
        '%' => (
            "has a zone (%), which is a name on one machine only".into(),
            text.split('%').next().unwrap_or_default().into(),
        ),
        c if !c.is_ascii() => match Host::parse(text) {
            Ok(Host::Domain(name)) => {
                (format!("has `{shown}`, which certificates have in another form"), name)
            }
            _ => (format!("has `{shown}`"), without),
        },
        _ => (format!("has `{shown}`"), without),
    })
}

/// Labels begin and end with a letter or digit.
fn hyphens(text: &str) -> Option<(String, String)> {
    let is_name = !text.is_empty() && !is_dns_name(text) && !text.contains(':');
    let trimmed: Vec<&str> = text.split('.').map(|label| label.trim_matches('-')).collect();
    let trimmed = trimmed.join(".");
    (is_name && trimmed != text).then(|| ("has a label that begins or ends with `-`".into(), trimmed))
}

/// An IPv6 address without its brackets, in front of a port or alone: the authority with them.
pub fn bracketed(authority: &str, port: &str) -> Option<String> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    match authority.rsplit_once(':') {
        Some((host, port)) if is_v6(host) && port.parse::<u16>().is_ok_and(|port| port > 1000) => {
            Some(format!("[{host}]:{port}"))
        }
        _ if is_v6(authority) => Some(format!("[{authority}]:{port}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_character_is_named_and_the_text_corrected() {
        for (text, why, host) in [
            ("api.example.com.", "ends in a dot", "api.example.com"),
            ("_kube.example.com", "has `_`", "kube.example.com"),
            ("node_1", "has `_`", "node-1"),
            ("Node_1", "capital letter `N`", "node-1"),
            ("[fd00::1]", "brackets", "fd00::1"),
            ("[fd00::1]:6443", "a port (:6443)", "fd00::1"),
            ("10.0.0.1/24", "has a `/` (/24)", "10.0.0.1"),
            ("fd00::1%eth0", "a zone", "fd00::1"),
            ("bücher.example", "has `ü`", "xn--bcher-kva.example"),
            ("10.0.0.01", "leading zero (01)", "10.0.0.1"),
            ("192.0.2.10:6443", "a port (:6443)", "192.0.2.10"),
            ("api:6443", "a port (:6443)", "api"),
            ("https://x", "a scheme (https://)", "x"),
            (" api ", "begins with a space", "api"),
            ("a ", "ends with a space", "a"),
            ("root@api.example", "has `@`", "api.example"),
            ("root:x@y@api.example:6443", "has `@`", "api.example"),
            ("api\u{200b}.example", "has `\\u{200b}`", "api.example"),
            ("api..example", "two dots", "api.example"),
            (".example", "begins with a dot", "example"),
            ("-api.example-", "begins or ends with `-`", "api.example"),
            ("api,", "has `,`", "api"),
        ] {
            let fault = host_fault(text, "p", "r", str::to_owned);
            assert!(fault.problem.contains(why), "{text}: {}", fault.problem);
            assert_eq!(fault.cure, format!("write {host}"), "{text}");
        }
    }

    #[test]
    fn several_hosts_are_not_joined() {
        for text in ["a b", "a,b", "a, b", "10.0.0.1,10.0.0.2", "a:6443 b:6443", "https://a:1,https://b:1"] {
            let fault = host_fault(text, "p", "r", str::to_owned);
            assert_eq!(
                (fault.problem.as_str(), fault.cure.as_str()),
                (SEVERAL, "write each as an item of its own"),
                "{text}"
            );
        }
        for text in ["a", "a,", ",a", " a ", "https://a :6443", "a,*"] {
            assert!(!is_several(text), "{text}");
        }
    }

    #[test]
    fn variables_and_long_labels_have_cures_of_their_own() {
        let long = format!("{}.example", "a".repeat(64));
        for (text, why, cure) in [
            ("$CLUSTER_DOMAIN", "has `$`", "write the value itself"),
            ("${API}.example", "has `$`", "write the value itself"),
            (&*long, "has 64 characters", "at most 63"),
        ] {
            let fault = host_fault(text, "p", "r", str::to_owned);
            assert!(fault.problem.contains(why) && fault.cure.contains(cure), "{text}: {fault:?}");
        }
    }

    #[test]
    fn what_is_no_host_at_all_gets_the_rule() {
        for text in ["", "*", "1234", "10.0.0.256"] {
            assert_eq!(host_fault(text, "p", "r", str::to_owned).cure, "r", "{text}");
        }
    }
}
