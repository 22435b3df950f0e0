//! What etcd answers about its health, and what its alarms mean.

use std::fmt;

use url::Url;

use crate::cluster::connect::Readyz;
use crate::cluster::kubeconfig::Access;
use crate::cluster::probe;
use crate::error::chain;
use crate::host::plain;
use crate::patience::{ACCEPT, Pace};

/// The pace of etcd, which may be on another machine.
static PACE: Pace = Pace::new(ACCEPT, ACCEPT);
const PATH: &str = "/health";
/// In the answer of a healthy etcd: `{"health":"true",…}`.
const WELL: &str = "\"health\":\"true\"";
/// What the TLS library says of a server's certificate.
const DISTRUST: [(&str, Distrust); 6] = [
    ("UnknownIssuer", Distrust::Authority),
    ("BadSignature", Distrust::Authority),
    ("not valid for name", Distrust::Name),
    ("NotValidForName", Distrust::Name),
    ("expired", Distrust::Expired),
    ("not valid yet", Distrust::NotYetValid),
];

/// The answer of one of etcd's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Etcd {
    Healthy,
    Sick(String),
    Unreachable(String),
    /// Its certificate does not verify.
    Untrusted(Distrust),
    /// It refuses our client certificate.
    RefusesUs(String),
    /// It cannot be asked, and why.
    Unaskable(String),
}

/// Why a server's certificate does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    Authority,
    Name,
    Expired,
    NotYetValid,
    Other,
}

impl Etcd {
    /// Whether this stays so however long one waits.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::RefusesUs(_) | Self::Unaskable(_))
    }

    /// The alarm that it has raised.
    pub fn alarm(&self) -> Option<Alarm> {
        let Self::Sick(why) = self else { return None };
        [Alarm::NoSpace, Alarm::Corrupt].into_iter().find(|alarm| why.contains(&format!("ALARM {alarm}")))
    }
}

/// Asks the server at `url`; over TLS with the credentials of `access`.
pub async fn health(url: &Url, access: impl FnOnce() -> Result<Access, String>) -> Etcd {
    if url.scheme() == "http" {
        let address =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(2379));
        return match plain::get(&address, PATH).await {
            Ok((200, body)) if body.contains(WELL) => Etcd::Healthy,
            Ok((_, body)) => Etcd::Sick(body.trim().to_owned()),
            Err(error) => Etcd::Unreachable(error.to_string()),
        };
    }
    let access = match access() {
        Ok(access) => access,
        Err(missing) => return Etcd::Unaskable(missing),
    };
    match probe::ask_at_pace(&PACE, &access, None, PATH).await {
        Ok(Readyz::Ready) => Etcd::Healthy,
        Ok(Readyz::NotReady { status, lines }) => Etcd::Sick(format!("{status} {}", lines.join("; "))),
        Ok(Readyz::Silent(late)) => Etcd::Unreachable(late.to_string()),
        Ok(Readyz::Unreachable(why)) => classify(&why),
        Err(error) => Etcd::Unaskable(chain(&error)),
    }
}

fn classify(why: &str) -> Etcd {
    let ours = why.contains("invalid peer certificate");
    match DISTRUST.iter().find(|(words, _)| why.contains(words)) {
        Some((_, distrust)) if ours => Etcd::Untrusted(*distrust),
        None if ours => Etcd::Untrusted(Distrust::Other),
        _ if why.contains("fatal alert") => Etcd::RefusesUs(why.to_owned()),
        _ => Etcd::Unreachable(why.to_owned()),
    }
}

/// A state that etcd keeps until an administrator ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Its database has reached its quota. Raised for all members, and kept after there is room again.
    NoSpace,
    /// The data of a member differs.
    Corrupt,
}

/// As etcd names it.
impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
        })
    }
}

impl Alarm {
    /// What is wrong, why, and what to do.
    pub fn sentences(self, url: &str) -> [String; 3] {
        match self {
            Self::NoSpace => [
                format!("etcd at {url} takes no writes: it has raised the alarm NOSPACE"),
                "its database has reached its quota (--quota-backend-bytes, 2 GiB by default)".to_owned(),
                "with etcdctl: compact the history, run defrag on every member, then alarm disarm; if the data itself is that large, \
                 raise the quota first"
                    .to_owned(),
            ],
            Self::Corrupt => [
                format!("etcd at {url} has raised the alarm CORRUPT"),
                "the data of a member differs from that of the others, or its file is damaged".to_owned(),
                "let etcdctl alarm list name the member, replace it by one with empty data (etcdctl member remove, member add), \
                 then run etcdctl alarm disarm"
                    .to_owned(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_tls_library_are_told_apart() {
        let peer = |words: &str| classify(&format!("invalid peer certificate: {words}"));
        assert_eq!(peer("UnknownIssuer"), Etcd::Untrusted(Distrust::Authority));
        assert_eq!(peer("certificate not valid for name \"a\""), Etcd::Untrusted(Distrust::Name));
        assert_eq!(peer("certificate expired: verification time"), Etcd::Untrusted(Distrust::Expired));
        assert_eq!(peer("something new"), Etcd::Untrusted(Distrust::Other));
        assert!(matches!(classify("received fatal alert: BadCertificate"), Etcd::RefusesUs(_)));
        assert!(matches!(classify("tcp connect error: Connection refused"), Etcd::Unreachable(_)));
    }

    #[test]
    fn an_alarm_is_read_from_the_answer() {
        let of = |why: &str| Etcd::Sick(why.to_owned()).alarm();
        assert_eq!(of("503 {\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}"), Some(Alarm::NoSpace));
        assert_eq!(of("503 {\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}"), Some(Alarm::Corrupt));
        assert_eq!(of("503 {\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}"), None);
    }
}
