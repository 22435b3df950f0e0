//! Reads single values: each function takes a text and returns its value, or what is wrong with it
//! and what to write instead.
//!
//! `resolve` checks how values fit together.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::mistakes::{Checked, fault};
use super::spelling::{self, is_dns_label, is_dns_name, is_host_name};

const DAY: u64 = 24 * 60 * 60;
/// Longer than this, dates in certificates stop being portable.
const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);

/// An enum with a name for every variant.
pub trait Named: Copy + Sized + 'static {
    /// Every variant with its name, the default first.
    const WORDS: &'static [(&'static str, Self)];

    /// The variant called `word`.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, variant)| *variant)
    }

    /// Every name, for messages.
    fn words() -> String {
        Self::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
    }
}

/// The name of a variant of `T`.
pub fn word<T: Named>(text: &str) -> Checked<T> {
    match T::from_word(text) {
        Some(variant) => Ok(variant),
        None => fault("is not known", format!("use one of {}", T::words())),
    }
}

/// `24h`, `365d`, `24h0m0s`, `1day 12h`.
pub fn duration(text: &str) -> Checked<Duration> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => fault("is zero", "write a duration such as 24h"),
        Ok(duration) if duration > LONGEST => fault("is more than 100 years", "write at most 100y"),
        Ok(duration) => Ok(duration),
        Err(error) => fault(format!("is not a duration ({error})"), "write one such as 24h or 365d"),
    }
}

/// The text that [`duration`] reads back.
pub fn format_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    match seconds {
        _ if nanos > 0 => format!("{seconds}s {nanos}ns"),
        _ if seconds.is_multiple_of(DAY) && seconds > DAY => format!("{}d", seconds / DAY),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A DNS-1123 label: `kube-system`.
pub fn dns_label(text: &str) -> Checked<String> {
    if is_dns_label(text) {
        return Ok(text.into());
    }
    let cure = "use at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends";
    fault("is not a DNS label", cure)
}

/// A DNS-1123 subdomain: labels joined by dots, `cluster.local`.
pub fn dns_name(text: &str) -> Checked<String> {
    if is_dns_name(text) {
        return Ok(text.into());
    }
    let cure = "use lower-case letters, digits and dashes in labels of at most 63, joined by dots, at most 253 in all";
    if spelling::is_several(text) {
        return fault(spelling::SEVERAL, "write one of them");
    }
    Err(spelling::host_fault(text, "is not a DNS name", cure, str::to_owned))
}

/// The domain of Services; the API's name in it is part of a URL and of certificates.
pub fn cluster_domain(text: &str) -> Checked<String> {
    let domain = dns_name(text)?;
    match is_host_name(&format!("kubernetes.default.svc.{domain}")) {
        true => Ok(domain),
        false => fault(
            "cannot be a domain of host names",
            "choose a shorter one, or one that does not end in a number",
        ),
    }
}

/// A subject alternative name.
#[derive(Debug, PartialEq, Eq)]
pub enum AltName {
    Ip(IpAddr),
    Dns(String),
}

/// An address or a host name, which may start with `*.`.
pub fn alt_name(text: &str) -> Checked<AltName> {
    if let Ok(ip) = text.parse() {
        return Ok(AltName::Ip(ip));
    }
    let name = text.to_ascii_lowercase();
    match is_host_name(name.strip_prefix("*.").unwrap_or(&name)) {
        true => Ok(AltName::Dns(name)),
        false => Err(spelling::host_fault(
            &name,
            "is neither an IP address nor a host name",
            "write the bare address or name, without a port",
            str::to_owned,
        )),
    }
}

/// A CIDR, host bits and all.
pub fn cidr(text: &str) -> Checked<IpNet> {
    let address = text.split('/').next().unwrap_or_default();
    match text.parse() {
        Ok(_) if address.parse::<IpAddr>().is_err() => {
            let plain = spelling::corrected(address).unwrap_or_default();
            let cure = format!("write {}", text.replacen(address, &plain, 1));
            fault("has a number with a leading zero, which some programs read as octal", cure)
        }
        Ok(cidr) => Ok(cidr),
        Err(_) if text.parse::<IpAddr>().is_ok() => {
            fault("has no prefix length", format!("write {text}/16, or what fits"))
        }
        Err(_) => {
            let plain: String =
                text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '[' | ']')).collect();
            let cure = "write an address and a prefix length, such as 10.2.0.0/16";
            match plain.parse::<IpNet>() {
                Ok(_) => fault("is not a CIDR: it has a space or a bracket", format!("write {plain}")),
                Err(_) => fault("is not a CIDR", cure),
            }
        }
    }
}

/// An absolute path on a machine, without `.` and `..`.
pub fn absolute_path(text: &str) -> Checked<String> {
    let tidy = text.starts_with('/') && !text.split('/').any(|part| part == "." || part == "..");
    match tidy && !text.contains(':') && !text.contains(char::is_control) {
        true => Ok(text.into()),
        false => fault("is not an absolute path", "start it with `/` and use no `..` and no `:`"),
    }
}

/// A Kubernetes qualified name: `name` or `dns.prefix/name`.
pub fn qualified_name(text: &str) -> Checked<String> {
    let (prefix_ok, name) = match text.split_once('/') {
        Some((prefix, name)) => (is_dns_name(prefix), name),
        None => (true, text),
    };
    match prefix_ok && !name.is_empty() && is_label_value(name) {
        true => Ok(text.into()),
        false => {
            fault("is not a Kubernetes key", "write a name such as node-role.kubernetes.io/control-plane")
        }
    }
}

/// `key=value`, `key=` or `key`.
pub fn label(text: &str) -> Checked<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let key = qualified_name(key)?;
    match is_label_value(value) {
        true => Ok((key, value.into())),
        false => fault(
            "has a value that Kubernetes refuses in a label",
            "use at most 63 letters, digits, `-`, `_`, `.`",
        ),
    }
}

/// The key of a taint.
pub fn taint(text: &str) -> Checked<String> {
    if text.contains(['=', ':']) {
        return fault("is more than a key", "write the key alone; the taint has no value and is NoSchedule");
    }
    qualified_name(text)
}

fn is_label_value(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let edge = |c: Option<&u8>| c.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

/// Runtimes take a registry and a path of so many characters (distribution/reference,
/// `RepositoryNameTotalLengthMax`).
const LONGEST_NAME: usize = 255;

/// An image reference with its registry and a tag or digest.
pub fn image(text: &str) -> Checked<String> {
    let cure = "write registry/path:tag, such as registry.k8s.io/kube-proxy:v1.36.3";
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if let Some((scheme, bare)) = text.split_once("://") {
        return fault(format!("has a scheme ({scheme}://)"), format!("write {bare}"));
    }
    let Some((host, path)) = rest.split_once('/') else { return fault("names no registry", cure) };
    let (path, tag) = match path.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    registry(host, text)?;
    path.split('/').try_for_each(|part| path_part(part, text, cure))?;
    if host.len() + 1 + path.len() > LONGEST_NAME {
        return fault(format!("has a name of more than {LONGEST_NAME} characters"), cure);
    }
    match (tag, digest) {
        (None, None) => {
            fault("has neither tag nor digest, so the version that runs would be left to chance", cure)
        }
        _ if tag.is_some_and(|tag| !is_tag(tag)) => fault("has a tag that registries refuse", cure),
        _ if digest.is_some_and(|digest| !is_digest(digest)) => {
            fault("has a malformed digest", "write @sha256: and 64 hexadecimal digits, a to f in lower case")
        }
        _ => Ok(text.into()),
    }
}

/// A host with or without a port: what stands before the first `/` of `image`.
fn registry(host: &str, image: &str) -> Checked<()> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    if let Some(port) = port
        && port.parse::<u16>().is_err()
    {
        return fault(format!("has a registry whose port `{port}` is no number"), "write host:port/path:tag");
    }
    let bracketed = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    if bracketed.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()) {
        return Ok(());
    }
    let is_host = name.contains('.') || port.is_some() || name == "localhost";
    match is_host && is_dns_name(&name.to_ascii_lowercase()) {
        true => Ok(()),
        false => fault("names no registry", format!("write docker.io/{image} if that is what is meant")),
    }
}

/// A part of the path between two `/`.
fn path_part(part: &str, image: &str, rule: &str) -> Checked<()> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let wrong = part.chars().find(|c| !inner(*c));
    match wrong {
        Some(c) if c.is_ascii_uppercase() => {
            let lower = image.replacen(part, &part.to_ascii_lowercase(), 1);
            fault(
                format!("has the capital letter `{c}`, which paths of images cannot have"),
                format!("write {lower}"),
            )
        }
        Some(c) => fault(format!("has `{}` in its path", c.escape_debug()), rule),
        None if part.is_empty() => fault("has an empty part in its path", rule),
        None if !is_path_part(part) => fault(
            format!(
                "has the part `{part}`, which is no words of letters and digits joined by `.`, `_` or `-`"
            ),
            rule,
        ),
        None => Ok(()),
    }
}

/// Words of lower-case letters and digits. Between two stands one dot, one or two `_`, or dashes.
fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between = |text: &str| {
        matches!(text, "." | "_" | "__") || (!text.is_empty() && text.bytes().all(|c| c == b'-'))
    };
    part.starts_with(word)
        && part.ends_with(word)
        && part.split(word).filter(|text| !text.is_empty()).all(between)
}

fn is_tag(tag: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=128).contains(&tag.len()) && tag.bytes().all(inner) && !tag.starts_with(['-', '.'])
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
}

/// The one file of this kind that CoreDNS' pod has. Kubelet writes it.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A resolver for CoreDNS: an address, with or without a port, or its pod's resolv.conf.
pub fn upstream(text: &str) -> Checked<String> {
    let address = text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
    match address || text == RESOLV_CONF {
        true => Ok(text.into()),
        false if absolute_path(text).is_ok() => fault(
            "is a file that CoreDNS' pod does not have",
            "write /etc/resolv.conf, which kubelet makes from the file that its resolvConf names, or the addresses of \
             resolvers",
        ),
        false => {
            let meant = spelling::corrected(text).filter(|host| host.parse::<IpAddr>().is_ok());
            let nearly = meant.is_some() || spelling::is_several(text);
            let rule = "write 10.0.0.1, 10.0.0.1:53 or /etc/resolv.conf";
            match nearly {
                true => {
                    Err(spelling::host_fault(text, "is neither an address nor a path", rule, str::to_owned))
                }
                false => fault("is neither an address nor a path", rule),
            }
        }
    }
}

/// Types of HostPathVolumeSource. The empty type means no check.
const PATH_TYPES: [&str; 8] =
    ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// A type of HostPathVolumeSource.
pub fn host_path_type(text: &str) -> Checked<String> {
    match PATH_TYPES.contains(&text) {
        true => Ok(text.into()),
        false => fault("is not a type of host path", format!("use one of {}", PATH_TYPES[1..].join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_and_as_go_write_them() {
        let hours = |h: u64| Duration::from_secs(h * 3600);
        for (text, want) in [("365d", hours(8760)), ("8760h", hours(8760)), ("24h0m0s", hours(24))] {
            assert_eq!(duration(text), Ok(want), "{text}");
        }
        for text in ["", "0s", "24", "-1h", "forever", "1000y", "99999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_so_that_they_read_back() {
        for text in ["24h", "365d", "3650d", "90m", "45s", "36h"] {
            assert_eq!(format_duration(duration(text).unwrap()), text);
        }
        let odd = Duration::new(5, 7);
        assert_eq!(duration(&format_duration(odd)), Ok(odd));
    }

    #[test]
    fn images_name_registry_path_and_tag_or_digest() {
        let digest = format!("quay.io/a/b@sha256:{}", "0".repeat(64));
        let both = format!("quay.io/a/b:v1@sha256:{}", "a".repeat(64));
        for good in [
            "registry.k8s.io/etcd:3.6.8-0",
            "localhost:5000/x:1",
            "localhost/a/b_c:x",
            "quay.io/a--b__c/d.e:1",
            "[2001:db8::1]:5000/x:1",
            "[2001:db8::1]/x:1",
            &digest,
            &both,
        ] {
            assert!(image(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "etcd",
            "etcd:3",
            "flannel/flannel:v1",
            "quay.io/a",
            "quay.io/a b:1",
            "quay.io/A:1",
            "quay.io/:1",
            "quay.io/a:",
            "quay.io/a@sha256:12",
            &format!("quay.io/a@sha256:{}", "A".repeat(64)),
            &format!("quay.io/{}:1", "a".repeat(250)),
            "quay.io/a..b:1",
            "quay.io/a.-b:1",
            "quay.io/a___b:1",
            "https://quay.io/a:1",
        ] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_image_is_named() {
        for (text, problem, cure) in [
            (
                "registry.example.com:5000/Team/a:v1",
                "capital letter `T`",
                "registry.example.com:5000/team/a:v1",
            ),
            ("https://quay.io/a:1", "a scheme (https://)", "write quay.io/a:1"),
            ("quay.io:port/a:1", "port `port` is no number", "host:port"),
            ("quay.io/a//b:1", "an empty part", "write registry/path:tag"),
            ("quay.io/-a:1", "the part `-a`", "write registry/path:tag"),
            ("quay.io/a b:1", "has ` `", "write registry/path:tag"),
        ] {
            let fault = image(text).expect_err(text);
            assert!(fault.problem.contains(problem), "{text}: {}", fault.problem);
            assert!(fault.cure.contains(cure), "{text}: {}", fault.cure);
        }
    }

    #[test]
    fn addresses_of_ranges_have_no_leading_zeros() {
        let fault = cidr("010.244.0.0/16").unwrap_err();
        assert_eq!(fault.cure, "write 10.244.0.0/16");
        assert!(cidr("10.244.0.0/16").is_ok() && cidr("fd00:0010::/56").is_ok());
    }

    #[test]
    fn labels_follow_the_rules_of_kubernetes() {
        let plain = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(label("node.kubernetes.io/controller"), plain("node.kubernetes.io/controller", ""));
        assert_eq!(label("a.b/c=d"), plain("a.b/c", "d"));
        for bad in ["", "=x", "a/b/c", "a b", "-a", "A.b/c", "x=y=z", "x=-"] {
            assert!(label(bad).is_err(), "{bad}");
        }
        assert!(taint("a.b/c=:NoSchedule").is_err());
    }

    #[test]
    fn alternative_names_are_addresses_or_host_names() {
        assert_eq!(alt_name("::1"), Ok(AltName::Ip("::1".parse().unwrap())));
        assert_eq!(alt_name("*.Example.com"), Ok(AltName::Dns("*.example.com".into())));
        for bad in ["", "a:6443", "https://a", "a_b", "*", "10.0.0.256", "10.0.0"] {
            assert!(alt_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_absolute_and_have_no_dots() {
        assert!(absolute_path("/etc/ssl").is_ok());
        for bad in ["", "etc", "/a/../b", "/a:b", "/a\nb"] {
            assert!(absolute_path(bad).is_err(), "{bad}");
        }
    }
}
