//! Which pods of a workload a text names, by the DNS of a Service.
//!
//! A full name (`web-1.web`, `web.shop.svc`) is known wherever it is. The name of a Service alone is
//! also a word like any other. So it counts only where a host is expected: in a URL, before a port,
//! after a flag or variable for peers, after a program that looks names up.

use super::text::UNKNOWN;

/// Pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The one in which the text is.
    Itself,
    /// One of them, by its number.
    One(usize),
    /// All that the Service has, or a number that is not known.
    Any,
}

/// A Service, and a workload whose pods it has.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The name of the workload.
    pub workload: &'a str,
}

/// Programs that look names up.
const LOOKUPS: [&str; 6] = ["nslookup", "getent", "dig", "host", "drill", "ping"];
/// What is in the names of flags and variables for hosts.
const HOSTS: [&str; 20] = [
    "addr",
    "bootstrap",
    "cluster",
    "connect",
    "contact",
    "discover",
    "dns",
    "endpoint",
    "gossip",
    "host",
    "initial",
    "join",
    "member",
    "node",
    "peer",
    "quorum",
    "retry",
    "seed",
    "server",
    "url",
];
/// What is in the names of those by which a program says its own address.
const OWN: [&str; 6] = ["advertise", "bind", "external", "listen", "public", "self"];
/// What is in the names of those that take any word.
const WORDS: [&str; 5] = ["name", "token", "id", "label", "namespace"];

impl Service<'_> {
    /// What the words of a command line, or of a shell's text in one of them, name. Each with the
    /// word that names it.
    pub fn named_in(&self, words: &[String]) -> Vec<(Peer, String)> {
        let mut found = Vec::new();
        let (mut key, mut looks_up) = (String::new(), 0_u8);
        for word in words.iter().flat_map(|word| word.split(is_end)).filter(|word| !word.is_empty()) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.trim_start_matches('-').to_owned(), value),
                None if word.starts_with('-') => (String::new(), ""),
                None => (std::mem::take(&mut key), word),
            };
            if !is_own(&name) {
                found.extend(self.named_by(value, looks_up > 0 || is_for_hosts(&name)));
            }
            key = word.strip_prefix('-').filter(|_| !word.contains('=')).unwrap_or_default().to_owned();
            looks_up = if LOOKUPS.contains(&word) { 3 } else { looks_up.saturating_sub(1) };
        }
        found
    }

    /// What a variable names.
    pub fn named_by_variable(&self, name: &str, value: &str) -> Vec<(Peer, String)> {
        let words = value.split(is_end).filter(|_| !is_own(name));
        words.flat_map(|word| self.named_by(word, is_for_hosts(name))).collect()
    }

    /// What the text of a file names. It has no flags: only full names and those with a port count.
    pub fn named_in_file(&self, text: &str) -> Vec<(Peer, String)> {
        text.split(is_end).flat_map(|word| self.named_by(word, false)).collect()
    }

    fn named_by(&self, word: &str, is_host: bool) -> Vec<(Peer, String)> {
        let mut found = Vec::new();
        let mut at = 0;
        for part in word.split_inclusive(|c: char| !is_of_name(c)) {
            let token = part.trim_end_matches(|c: char| !is_of_name(c));
            let (before, after) = (&word[..at], &word[at + token.len()..]);
            at += part.len();
            let is_alone = is_host && (before.is_empty() || before.ends_with(','));
            let has_place = before.ends_with("//") || before.ends_with('@') || is_port(after);
            if let Some(peer) = self.named(token, (is_alone && !after.starts_with('/')) || has_place) {
                found.push((peer, token.to_owned()));
            }
        }
        found
    }

    /// `is_host` says whether a host is expected here.
    fn named(&self, token: &str, is_host: bool) -> Option<Peer> {
        let labels: Vec<&str> = token.trim_end_matches('.').split('.').collect();
        let at = labels.iter().position(|label| *label == self.name)?;
        let (before, after) = (&labels[..at], &labels[at + 1..]);
        let is_here = match after {
            [] => !before.is_empty() || is_host,
            [namespace] => self.is_namespace(namespace),
            [namespace, svc, ..] => self.is_namespace(namespace) && *svc == "svc",
        };
        match before {
            _ if !is_here => None,
            [] => Some(Peer::Any),
            [pod] => self.pod(pod),
            // A record of type SRV.
            [service, protocol] => {
                (service.starts_with('_') && protocol.starts_with('_')).then_some(Peer::Any)
            }
            _ => None,
        }
    }

    fn is_namespace(&self, label: &str) -> bool {
        label == self.namespace || label.contains(UNKNOWN)
    }

    fn pod(&self, label: &str) -> Option<Peer> {
        if label == UNKNOWN.to_string() {
            return Some(Peer::Itself);
        }
        let (workload, number) = label.rsplit_once('-')?;
        let is_it = workload == self.workload || workload.contains(UNKNOWN);
        match number.parse() {
            _ if !is_it => None,
            Ok(number) => Some(Peer::One(number)),
            Err(_) => number.contains(UNKNOWN).then_some(Peer::Any),
        }
    }
}

/// What ends a word of a shell.
fn is_end(c: char) -> bool {
    c.is_whitespace() || "'\"`;|&()<>[]".contains(c)
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == UNKNOWN || "-._".contains(c)
}

fn is_port(after: &str) -> bool {
    after.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_own(name: &str) -> bool {
    let name = name.to_lowercase();
    OWN.iter().any(|part| name.contains(part))
}

fn is_for_hosts(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_any_word = name.split(['-', '_', '.']).any(|word| WORDS.contains(&word)) && !name.contains("dns");
    HOSTS.iter().any(|part| name.contains(part)) && !is_any_word
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAB: Service<'_> = Service { name: "hab", namespace: "shop", workload: "sup" };

    fn peers(words: &[&str]) -> Vec<Peer> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        HAB.named_in(&words).into_iter().map(|(peer, _)| peer).collect()
    }

    #[test]
    fn peers_are_known_by_their_names() {
        for (words, expected) in [
            (&["--peer", "hab"] as &[&str], vec![Peer::Any]),
            (&["--peer=hab:9638"], vec![Peer::Any]),
            (&["--join=a,hab"], vec![Peer::Any]),
            (&["start", "hab.shop.svc.cluster.local"], vec![Peer::Any]),
            (&["http://hab:9631/health"], vec![Peer::Any]),
            (&["--srv=_gossip._tcp.hab.shop.svc"], vec![Peer::Any]),
            (&["--peer", "sup-0.hab", "--peer", "sup-1.hab.shop"], vec![Peer::One(0), Peer::One(1)]),
            (
                &["a=https://sup-2.hab:2380,b=https://sup-1.hab.shop.svc:2380"],
                vec![Peer::One(2), Peer::One(1)],
            ),
            (&["sh", "-c", "until nslookup hab; do sleep 1; done"], vec![Peer::Any]),
            (&["sh", "-c", "getent hosts hab >/dev/null"], vec![Peer::Any]),
            (&["PEERS=\"$PEERS sup-*.hab\""], vec![Peer::Any]),
            (&["--node=*.hab:2380"], vec![Peer::Itself]),
            (&["--peer=hab.*.svc"], vec![Peer::Any]),
            (&["--peer=*-0.hab"], vec![Peer::One(0)]),
        ] {
            assert_eq!(peers(words), expected, "{words:?}");
        }
    }

    #[test]
    fn words_that_only_look_alike_name_nothing() {
        for words in [
            &["hab", "sup", "run"] as &[&str],
            &["/bin/hab", "--name=hab", "--cluster-name", "hab"],
            &["--peer=habitat", "--peer=hab.other.svc", "--peer=hab.example.com"],
            &["--peer=db-0.hab", "--peer", "sup-0.other"],
            &["--config=/etc/hab/hab.toml", "--user", "hab"],
            &["sh", "-c", "exec hab run --token hab"],
            &["--image=quay.io/hab/hab"],
            &["--external-url=http://hab.shop:9631", "--advertise", "sup-1.hab"],
        ] {
            assert_eq!(peers(words), [], "{words:?}");
        }
        assert_eq!(HAB.named_by_variable("SERVICE_NAME", "hab"), []);
        assert_eq!(HAB.named_by_variable("HAB_PEERS", "hab")[0].0, Peer::Any);
        assert_eq!(HAB.named_by_variable("X", "sup-1.hab, sup-2.hab").len(), 2);
        assert_eq!(
            HAB.named_in_file("peers: [sup-1.hab]\nname: hab\n"),
            [(Peer::One(1), "sup-1.hab".to_owned())]
        );
    }
}
