//! URLs of the API and of etcd: what they may contain, and how they are written.
//!
//! The `url` crate repairs what browsers repair (backslashes, missing slashes, octal addresses). A
//! typing error in the address of a control plane must be reported instead, so the text is checked
//! before it is parsed.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::mistakes::{Checked, Given, Mistakes, fault};
use super::spelling::{self, is_dns_name};

/// `scheme://host:port`, with the port even if it is the default of the scheme.
pub fn endpoint(url: &Url) -> String {
    let (host, port) = (url.host_str().unwrap_or_default(), port(url));
    format!("{}://{host}:{port}", url.scheme())
}

/// The port of `url`, 443 where it names none.
pub fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(443)
}

/// A URL of the API: https, a host, perhaps a port.
pub fn api_server(text: &str) -> Checked<Url> {
    if text.starts_with("http://") {
        return fault("is plain http, which apiservers do not serve", "write https://");
    }
    base(text, &["https"], "https://host:6443")
}

/// A client URL of etcd: http or https, a host and a port.
pub fn etcd_server(text: &str) -> Checked<Url> {
    let url = base(text, &["http", "https"], "https://host:2379")?;
    let (_, authority) = text.split_once("://").unwrap_or_default();
    let host_and_port = authority.trim_end_matches('/');
    let named = host_and_port.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match named {
        true => Ok(url),
        false => fault("has no port", format!("write {}://{host_and_port}:2379", url.scheme())),
    }
}

/// Refuses a URL that was given before.
pub fn refuse_duplicates(urls: &[Given<Url>], mistakes: &mut Mistakes) {
    for (index, url) in urls.iter().enumerate() {
        if urls[..index].iter().any(|earlier| earlier.value == url.value) {
            mistakes.refuse(&url.at, &endpoint(&url.value), "is given twice", "remove one of them");
        }
    }
}

fn base(text: &str, schemes: &[&str], example: &str) -> Checked<Url> {
    let cure = || format!("write {example}");
    if text.is_empty() {
        return fault("is empty", cure());
    }
    if text.trim() != text {
        let side = if text.starts_with(char::is_whitespace) { "begins" } else { "ends" };
        return fault(format!("{side} with a space"), format!("write {}", text.trim()));
    }
    if spelling::is_several(text) {
        return fault(spelling::SEVERAL, "write each as an item of its own");
    }
    if text.contains('$') {
        return fault("has `$`", "variables are not replaced here: write the URL itself");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return fault("has no scheme", cure()) };
    let scheme = &*scheme.to_ascii_lowercase();
    if !schemes.contains(&scheme) {
        return fault("has an unsupported scheme", cure());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        let (what, plain) =
            (if text.contains('\\') { "backslash" } else { "space" }, text.replace(wrong, ""));
        return fault(format!("contains a {what}"), format!("write {plain}"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') {
        return fault("has no host", cure());
    }
    written(scheme, authority, example)?;
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return fault(format!("is not a URL ({error})"), cure()),
    };
    bare(&url)?;
    host(&url, authority)?;
    Ok(url)
}

/// What the `url` crate refuses without a reason that helps, or repairs in silence.
fn written(scheme: &str, authority: &str, example: &str) -> Checked<()> {
    let port = example.rsplit(':').next().unwrap_or_default();
    if let Some(bracketed) = spelling::bracketed(authority, port) {
        let cure = format!("write {scheme}://{bracketed}");
        return fault("has an IPv6 address without brackets, so its port cannot be told", cure);
    }
    if let Some(host) = authority.strip_suffix(':') {
        return fault("ends in `:` without a port", format!("write {scheme}://{host}:{port}"));
    }
    match authority.contains('%') {
        true => fault(
            "has a zone or an escape (%), which no other machine reads the same way",
            "write the plain address or name by which other machines reach it",
        ),
        false => Ok(()),
    }
}

/// Nothing but scheme, host and port.
fn bare(url: &Url) -> Checked<()> {
    let bare = |url: &Url| match url.host_str() {
        Some(_) => format!("write {}", endpoint(url)),
        None => "write scheme, host and port only".into(),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return fault("contains a user", bare(url));
    }
    if url.path() != "/" {
        return fault("has a path", bare(url));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return fault("has a query", bare(url));
    }
    match url.port() {
        Some(0) => fault("has port 0, which no client can reach", "write the port of the listener"),
        _ => Ok(()),
    }
}

/// A host that clients can reach, and that parsing does not change.
fn host(url: &Url, authority: &str) -> Checked<()> {
    let unreachable =
        || fault("is an address to listen on, which no client can reach", "write the machine's address");
    match url.host() {
        Some(Host::Ipv4(Ipv4Addr::UNSPECIFIED)) => unreachable(),
        Some(Host::Ipv6(Ipv6Addr::UNSPECIFIED)) => unreachable(),
        Some(Host::Ipv4(ip)) if !authority.starts_with(&ip.to_string()) => misread(url, authority, ip),
        Some(Host::Domain(name)) if name.starts_with("*.") => fault(
            "is a wildcard, which only a certificate can have",
            "write the name by which machines reach the API, and the wildcard into apiServerAltNames",
        ),
        Some(Host::Domain(name)) if !is_dns_name(name) => {
            let rest = url.port().map_or(String::new(), |port| format!(":{port}"));
            Err(spelling::host_fault(
                name,
                "has a host that is not a DNS name",
                "use letters, digits, dashes and dots",
                |host| format!("{}://{host}{rest}", url.scheme()),
            ))
        }
        None => fault("has no host", "write one"),
        Some(_) => Ok(()),
    }
}

/// An address that programs read differently: `url` reads 010 as 8.
fn misread(url: &Url, authority: &str, ip: Ipv4Addr) -> Checked<()> {
    let written = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let decimal = spelling::corrected(written).and_then(|host| host.parse::<Ipv4Addr>().ok());
    match decimal {
        Some(decimal) => fault(
            format!("has a number with a leading zero, so that some programs read it as {ip}"),
            format!("write {}://{decimal}:{}", url.scheme(), port(url)),
        ),
        None => fault(format!("would be read as {ip}"), format!("write {ip} if that is meant")),
    }
}

/// The issuer of service accounts' tokens: a URL at which workloads can look its keys up.
pub fn issuer(text: &str) -> Checked<String> {
    let good = Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https"
            && url.host().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let tidy = text.starts_with("https://") && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    match good && tidy {
        true => Ok(text.into()),
        false => fault(
            "is not an https URL without query",
            "write one such as https://kubernetes.default.svc.cluster.local",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_api_are_https_host_and_port() {
        for (text, written) in [
            ("https://127.0.0.1:6443", "https://127.0.0.1:6443"),
            ("https://127.0.0.1:6443/", "https://127.0.0.1:6443"),
            ("https://Api.example.com", "https://api.example.com:443"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
            ("HTTPS://api.example.com", "https://api.example.com:443"),
        ] {
            assert_eq!(api_server(text).map(|url| endpoint(&url)).as_deref(), Ok(written));
        }
    }

    #[test]
    fn every_other_url_of_the_api_is_refused_for_its_own_reason() {
        for (text, problem) in [
            ("", "empty"),
            ("127.0.0.1:6443", "no scheme"),
            ("http://a:6443", "plain http"),
            ("ftp://a", "unsupported scheme"),
            ("https://", "no host"),
            ("https://:6443", "no host"),
            ("https:///a", "no host"),
            ("https://a:99999", "not a URL"),
            ("https://a:0", "port 0"),
            ("https://a/api", "a path"),
            ("https://a?x=1", "a query"),
            ("https://a#x", "a query"),
            ("https://me:secret@a", "a user"),
            ("https://a\\b", "backslash"),
            ("https://0.0.0.0:6443", "listen on"),
            ("https://[::]:6443", "listen on"),
            ("https://010.0.0.1", "read it as 8.0.0.1"),
            ("https://10.1", "would be read as 10.0.0.1"),
            ("https://*.example.com", "a wildcard"),
            ("https://$API:6443", "has `$`"),
            ("https://a_b", "not a DNS name"),
            ("https://a:6443,https://b:6443", "several"),
            ("https://a https://b", "several"),
            ("https://a :6443", "contains a space"),
        ] {
            let fault = api_server(text).expect_err(text);
            assert!(fault.problem.contains(problem), "{text}: {}", fault.problem);
        }
    }

    #[test]
    fn urls_of_etcd_need_a_port() {
        assert!(etcd_server("http://127.0.0.1:2379").is_ok());
        assert!(etcd_server("https://etcd.example.com:443").is_ok());
        assert!(etcd_server("https://[fd00::1]:2379").is_ok());
        for text in ["https://etcd.example.com", "https://[fd00::1]"] {
            assert!(etcd_server(text).expect_err(text).problem.contains("no port"), "{text}");
        }
    }
}
