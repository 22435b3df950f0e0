//! Subject alternative names, and the name constraints of an authority.

use x509_parser::extensions::{GeneralName, NameConstraints};

/// The names that Go interprets.
#[derive(Debug, Default)]
pub struct Names {
    dns: Vec<String>,
    emails: Vec<String>,
    uris: Vec<String>,
    ips: Vec<Vec<u8>>,
}

/// Name constraints, permitted and excluded.
#[derive(Debug, Default)]
pub struct Constraints {
    permitted: Subtrees,
    excluded: Subtrees,
}

/// Subtrees by the type of name.
#[derive(Debug, Default)]
struct Subtrees {
    dns: Vec<String>,
    emails: Vec<String>,
    uris: Vec<String>,
    /// Address and mask.
    ips: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Names {
    /// Reads the extension.
    ///
    /// # Errors
    /// If Go refuses one of the names.
    pub fn read(general: &[GeneralName<'_>]) -> Result<Self, String> {
        let mut names = Self::default();
        for name in general {
            match name {
                GeneralName::DNSName(name) => names.dns.push(ascii(name, "DNS name")?),
                GeneralName::RFC822Name(name) => names.emails.push(ascii(name, "email address")?),
                GeneralName::URI(name) => {
                    let uri = ascii(name, "URI")?;
                    if uri_host(&uri).is_some_and(|host| !is_domain(host, false)) {
                        return Err(format!("a malformed URI {uri:?} among its names"));
                    }
                    names.uris.push(uri);
                }
                GeneralName::IPAddress(octets) if matches!(octets.len(), 4 | 16) => {
                    names.ips.push(octets.to_vec());
                }
                GeneralName::IPAddress(octets) => {
                    return Err(format!("an address of {} bytes among its names", octets.len()));
                }
                GeneralName::Invalid(tag, _) if matches!(tag.0, 1 | 2 | 6) => {
                    return Err("a malformed text among its names".to_owned());
                }
                _ => {}
            }
        }
        Ok(names)
    }

    pub fn are_empty(&self) -> bool {
        let Self { dns, emails, uris, ips } = self;
        dns.is_empty() && emails.is_empty() && uris.is_empty() && ips.is_empty()
    }
}

impl Constraints {
    /// Reads the extension. Also whether it has constraints that Go does not interpret, such as
    /// those of directory names.
    ///
    /// # Errors
    /// If Go refuses one of them.
    pub fn read(extension: &NameConstraints<'_>) -> Result<(Self, bool), String> {
        let NameConstraints { permitted_subtrees, excluded_subtrees } = extension;
        if permitted_subtrees.is_none() && excluded_subtrees.is_none() {
            return Err("nameConstraints without any constraint".to_owned());
        }
        let (mut constraints, mut others) = (Self::default(), false);
        let both = [
            (permitted_subtrees, &mut constraints.permitted),
            (excluded_subtrees, &mut constraints.excluded),
        ];
        for (subtrees, into) in both {
            for subtree in subtrees.iter().flatten() {
                others |= !into.add(&subtree.base)?;
            }
        }
        Ok((constraints, others))
    }

    /// The names that these constraints do not let pass. Go also refuses what it cannot compare.
    pub fn refused(&self, names: &Names) -> Vec<String> {
        let Self { permitted, excluded } = self;
        let Names { dns, emails, uris, ips } = names;
        let passes = |list: fn(&Subtrees) -> usize, holds: &dyn Fn(&Subtrees, bool) -> bool| {
            (list(permitted) == 0 || holds(permitted, false)) && !holds(excluded, true)
        };
        let dns = dns.iter().filter(|name| {
            let holds = |trees: &Subtrees, ex| trees.dns.iter().any(|tree| covers(tree, name, ex));
            !(is_domain(name, false) && passes(|trees| trees.dns.len(), &holds))
        });
        let uris = uris.iter().filter(|uri| {
            let host = uri_host(uri).map(without_port).filter(|host| !is_address(host));
            !host.is_some_and(|host| {
                let holds = |trees: &Subtrees, ex| trees.uris.iter().any(|tree| covers(tree, host, ex));
                passes(|trees| trees.uris.len(), &holds)
            })
        });
        let emails = emails.iter().filter(|email| {
            let holds = |trees: &Subtrees, ex| trees.emails.iter().any(|tree| covers_email(tree, email, ex));
            !(mailbox(email).is_some() && passes(|trees| trees.emails.len(), &holds))
        });
        let texts = dns.chain(uris).chain(emails).cloned();
        let ips = ips.iter().filter(|ip| {
            let holds = |trees: &Subtrees, _| trees.ips.iter().any(|tree| is_within(ip, tree));
            !passes(|trees| trees.ips.len(), &holds)
        });
        texts.chain(ips.map(|ip| address(ip))).collect()
    }

    /// Whether a certificate for `host`, an address or a name, passes.
    pub fn allow(&self, host: &str) -> bool {
        let mut names = Names::default();
        match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(ip)) => names.ips.push(ip.octets().to_vec()),
            Ok(std::net::IpAddr::V6(ip)) => names.ips.push(ip.octets().to_vec()),
            Err(_) => names.dns.push(host.to_owned()),
        }
        self.refused(&names).is_empty()
    }
}

impl Subtrees {
    /// Whether Go interprets constraints of this type.
    fn add(&mut self, base: &GeneralName<'_>) -> Result<bool, String> {
        let wrong = |what: &str| format!("a malformed name constraint ({what})");
        match base {
            GeneralName::DNSName(tree) if is_domain(tree, true) => self.dns.push((*tree).to_owned()),
            GeneralName::URI(tree) if is_domain(tree, true) && !is_address(tree) => {
                self.uris.push((*tree).to_owned());
            }
            GeneralName::RFC822Name(tree) if tree.is_ascii() => {
                let is_whole = tree.contains('@');
                if is_whole && mailbox(tree).is_none() || !is_whole && !is_domain(tree, true) {
                    return Err(wrong(tree));
                }
                self.emails.push((*tree).to_owned());
            }
            GeneralName::IPAddress(octets) if matches!(octets.len(), 8 | 32) => {
                let (ip, mask) = octets.split_at(octets.len() / 2);
                if !is_mask(mask) {
                    return Err(wrong("the mask has holes"));
                }
                self.ips.push((ip.to_vec(), mask.to_vec()));
            }
            GeneralName::IPAddress(octets) => return Err(wrong(&format!("{} bytes", octets.len()))),
            GeneralName::DNSName(tree) | GeneralName::URI(tree) | GeneralName::RFC822Name(tree) => {
                return Err(wrong(tree));
            }
            GeneralName::Invalid(tag, _) if matches!(tag.0, 1 | 2 | 6) => return Err(wrong("no ASCII")),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn ascii(text: &str, what: &str) -> Result<String, String> {
    if text.is_ascii() { Ok(text.to_owned()) } else { Err(format!("a {what} {text:?} that is not ASCII")) }
}

/// Go lets nearly everything pass for a domain: no empty label but a first one (of a constraint), no
/// blank, no dot at the end.
fn is_domain(text: &str, constraint: bool) -> bool {
    if text.is_empty() {
        return true;
    }
    let text = if constraint { text.strip_prefix('.').unwrap_or(text) } else { text };
    let mut labels = text.split('.');
    labels.all(|label| !label.is_empty()) && text.bytes().all(|c| (33..=126).contains(&c))
}

/// Whether the domain `tree` holds `name`. An excluded tree also holds an asterisk beside it.
fn covers(tree: &str, name: &str, excluded: bool) -> bool {
    let (tree, name) = (tree.to_ascii_lowercase(), name.to_ascii_lowercase());
    if tree.is_empty() || is_suffix(&tree, &name) {
        return true;
    }
    let parent = |name: &str| name.find('.').map(|dot| name[dot..].to_owned());
    excluded && name.starts_with('*') && parent(&tree).is_some() && parent(&tree) == parent(&name)
}

fn is_suffix(tree: &str, name: &str) -> bool {
    let before = name.strip_suffix(tree);
    before.is_some_and(|before| before.is_empty() || tree.starts_with('.') || before.ends_with('.'))
}

/// A constraint with @ is one mailbox.
fn covers_email(tree: &str, email: &str, excluded: bool) -> bool {
    let Some((local, domain)) = mailbox(email) else { return false };
    match mailbox(tree).filter(|_| tree.contains('@')) {
        Some((its, at)) => its == local && at.eq_ignore_ascii_case(domain),
        None => covers(tree, domain, excluded),
    }
}

/// Local part and domain.
fn mailbox(email: &str) -> Option<(&str, &str)> {
    let (local, domain) = email.rsplit_once('@')?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&c);
    let is_local = !local.is_empty()
        && local.bytes().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    (is_local && is_domain(domain, false)).then_some((local, domain))
}

/// Host and port of a URI that has some.
fn uri_host(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, _)) if !host.ends_with(']') => name,
        _ => host,
    }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()
}

/// Ones, then zeros.
fn is_mask(mask: &[u8]) -> bool {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let leading = mask
        .iter()
        .position(|byte| *byte != 0xff)
        .map_or(mask.len() as u32 * 8, |at| at as u32 * 8 + mask[at].leading_ones());
    ones == leading
}

fn is_within(ip: &[u8], (base, mask): &(Vec<u8>, Vec<u8>)) -> bool {
    ip.len() == base.len() && ip.iter().zip(base).zip(mask).all(|((a, b), mask)| a & mask == b & mask)
}

fn address(octets: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(octets).map(std::net::IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(octets).map(std::net::IpAddr::from));
    ip.map_or_else(|_| format!("{octets:?}"), |ip| ip.to_string())
}
