//! Check of what kubelet shows to the API, and by what it knows the API: of this cluster, and still valid.

use time::OffsetDateTime;
use url::Url;

use super::facts::Facts;
use super::kubelet::wanted::RESTART;
use super::outcome::{Outcome, Problem};
use super::subject::{KUBELET_KUBECONFIG, Subject};
use crate::assets::bootstrap_tokens::{Token, id_of, tokens};
use crate::cluster::connect::Readyz;
use crate::kubelet::{Kubeconfig, Kubelet};
use crate::pki::descent::{describe, is_signed_by};
use crate::pki::{examine, rfc3339};

/// Where kubelet keeps its certificates unless `--cert-dir` says otherwise.
const CERTIFICATES: &str = "/var/lib/kubelet/pki";

/// How a bootstrap token is made by hand.
const PAGE: &str = "https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/";
/// What the apiserver answers to a token that it does not know.
const UNAUTHORIZED: u16 = 401;

/// The check on one kubelet.
struct Look<'a> {
    subject: &'a Subject<'a>,
    facts: &'a Facts,
    kubelet: &'a Kubelet,
}

pub fn credentials(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let Some(kubelet) = &facts.kubelet else { return Outcome::Unknown(super::kubelet::UNSEEN.into()) };
    let look = Look { subject, facts, kubelet };
    match (own(kubelet, subject.options.now), &kubelet.bootstrap) {
        (Some(own), _) => look.of_own(own),
        (None, Some(Ok(bootstrap))) => look.of_bootstrap(bootstrap),
        (None, Some(Err(why))) => Outcome::Fail(vec![look.unreadable(why)]),
        (None, None) => match &kubelet.own {
            Some(Err(why)) => Outcome::Unknown(format!("kubelet's kubeconfig cannot be read: {why}")),
            Some(Ok(own)) => Outcome::Fail(vec![look.ended(own)]),
            None => Outcome::Fail(vec![look.without_kubeconfig()]),
        },
    }
}

/// The kubeconfig of its own that kubelet uses. One whose certificate has ended is replaced by way of the bootstrap
/// kubeconfig (`pkg/kubelet/certificate/bootstrap`).
fn own(kubelet: &Kubelet, now: OffsetDateTime) -> Option<&Kubeconfig> {
    let own = kubelet.own.as_ref()?.as_ref().ok()?;
    let is_valid = match &own.certificate {
        Some(certificate) => {
            examine(certificate).is_ok_and(|chain| chain.iter().all(|one| one.not_after() >= now))
        }
        None => kubelet.bootstrap.is_none() && own.has_credentials(),
    };
    is_valid.then_some(own)
}

/// A token that is not in the assets, but may be in the cluster: only its API can tell.
pub fn foreign_token(subject: &Subject<'_>, kubelet: &Kubelet) -> Option<String> {
    if own(kubelet, subject.options.now).is_some() {
        return None;
    }
    let token = kubelet.bootstrap.as_ref()?.as_ref().ok()?.token.clone()?;
    let is_known = tokens(&subject.layout.objects).iter().any(|known| known.text() == token);
    (!is_known).then_some(token)
}

impl Look<'_> {
    fn of_own(&self, own: &Kubeconfig) -> Outcome {
        let client = own.certificate.as_ref().and_then(|certificate| {
            let (by, authority) = self.file_of("client-ca-file")?;
            (is_signed_by(certificate, authority) == Some(false)).then(|| {
                let signer = format!("tls/{by}, {}", describe(authority));
                self.of_another_cluster(own, format!("its client certificate is not signed by {signer}"))
            })
        });
        let problem = self.authority(own).or(client).or_else(|| self.unnamed_server(own));
        let bootstrap = self.kubelet.bootstrap.iter().flatten().next().filter(|_| problem.is_some());
        let next = bootstrap.map(|bootstrap| self.of_bootstrap(bootstrap));
        let more = next.iter().flat_map(|next| next.problems().iter().chain(next.warnings())).cloned();
        let problems: Vec<Problem> = problem.into_iter().chain(more).collect();
        match problems.is_empty() {
            true => Outcome::from_warnings(self.other_server(own), "it has joined this cluster"),
            false => Outcome::Fail(problems),
        }
    }

    fn of_bootstrap(&self, bootstrap: &Kubeconfig) -> Outcome {
        match self.authority(bootstrap).or_else(|| self.unnamed_server(bootstrap)) {
            Some(problem) => Outcome::Fail(vec![problem]),
            None => self.token(bootstrap).unwrap_or_else(|| {
                Outcome::from_warnings(self.other_server(bootstrap), "it can join this cluster")
            }),
        }
    }

    /// The CA by which kubelet verifies the API.
    fn authority(&self, kubeconfig: &Kubeconfig) -> Option<Problem> {
        let (file, served) = self.file_of("tls-cert-file")?;
        let authority = kubeconfig.authority.as_ref().filter(|_| !kubeconfig.skips_verification)?;
        let ours = describe(&self.subject.access.ca);
        (is_signed_by(served, authority) == Some(false)).then(|| {
            let theirs = describe(authority);
            self.of_another_cluster(
                kubeconfig,
                format!("its CA is {theirs}, and tls/{file} is signed by {ours}"),
            )
        })
    }

    /// What is wrong with the token. One that is not in the assets may still be in the cluster: a warning, unless the
    /// API has refused it.
    fn token(&self, bootstrap: &Kubeconfig) -> Option<Outcome> {
        let (token, known) = (bootstrap.token.as_deref()?, tokens(&self.subject.layout.objects));
        if let Some(same) = known.iter().find(|known| known.text() == token) {
            return Some(Outcome::Fail(vec![self.ended_token(bootstrap, same)?]));
        }
        let ours = known.iter().find(|known| id_of(token) == Some(&known.id));
        let why = match (&self.facts.admission, ours) {
            (Some(Readyz::Ready), _) => return None,
            (Some(Readyz::NotReady { status: UNAUTHORIZED, .. }), _) => {
                format!("the API answers {UNAUTHORIZED} to {}", shown(token))
            }
            (_, Some(ours)) => {
                format!("its token has ID {}, and that of {} has another secret", ours.id, ours.file)
            }
            (_, None) => {
                let unknown = self.unknown_token(bootstrap, token, known.first()?);
                let more = self.other_server(bootstrap);
                return Some(Outcome::Warn([unknown].into_iter().chain(more).collect()));
            }
        };
        Some(Outcome::Fail(vec![self.of_another_cluster(bootstrap, why)]))
    }

    fn ended_token(&self, bootstrap: &Kubeconfig, ours: &Token) -> Option<Problem> {
        let now = self.subject.options.now;
        let ended = ours.expires.filter(|expires| *expires <= now)?;
        Some(Problem::new(
            format!("the bootstrap token of kubelet ended at {}", rfc3339(ended)),
            format!(
                "{} has it from {}, and this machine's clock says {}",
                bootstrap.file,
                ours.file,
                rfc3339(now)
            ),
            format!(
                "run bootkube render again, which makes a new one; then {}, and {RESTART}",
                self.put_rendered(&bootstrap.file)
            ),
        ))
    }

    fn unknown_token(&self, bootstrap: &Kubeconfig, token: &str, ours: &Token) -> Problem {
        let place = match id_of(token) {
            Some(_) => "is in the cluster",
            None => "is one that the apiserver knows (--token-auth-file)",
        };
        Problem::new(
            "kubelet may not be able to join: its token is not in the assets",
            format!("{} has {}, and {} has ID {}", bootstrap.file, shown(token), ours.file, ours.id),
            format!("make sure that it {place}; else {}", self.install(&bootstrap.file)),
        )
    }

    /// A host for which the apiserver has no certificate. Behind a balancer a kubeconfig may name the host that the
    /// certificate is for.
    fn unnamed_server(&self, kubeconfig: &Kubeconfig) -> Option<Problem> {
        let (file, served) = self.file_of("tls-cert-file")?;
        let url = Url::parse(&kubeconfig.server).ok()?;
        let (host, field, value) = match &kubeconfig.server_name {
            Some(name) => (name.as_str(), "tls-server-name", name),
            None => (url.host_str()?, "server", &kubeconfig.server),
        };
        let certificate = examine(served).ok()?.into_iter().next()?;
        let is_right = certificate.is_for(host.trim_start_matches('[').trim_end_matches(']'));
        (!is_right && !kubeconfig.skips_verification).then(|| {
            let hosts = certificate.hosts().join(", ");
            self.of_another_cluster(
                kubeconfig,
                format!("its {field} is {value}, and tls/{file} is for {hosts}"),
            )
        })
    }

    /// Another address of the API is none of kubelet's mistakes if it leads there.
    fn other_server(&self, kubeconfig: &Kubeconfig) -> Vec<Problem> {
        let ours = &self.subject.access.server;
        let is_same = Url::parse(&kubeconfig.server).is_ok_and(|server| server == *ours);
        let warning = (!is_same).then(|| {
            let ours = ours.as_str().trim_end_matches('/');
            Problem::new(
                format!("kubelet looks for the API at {}, and not at {ours}", kubeconfig.server),
                format!("{} says so, and auth/kubeconfig names the other", kubeconfig.file),
                format!(
                    "make sure that it reaches this machine's apiserver; else {}",
                    self.replace(kubeconfig)
                ),
            )
        });
        warning.into_iter().collect()
    }

    fn of_another_cluster(&self, kubeconfig: &Kubeconfig, why: String) -> Problem {
        let what =
            format!("kubelet cannot join by {}, which is of another cluster or render", kubeconfig.file);
        Problem::new(what, why, self.replace(kubeconfig))
    }

    fn ended(&self, own: &Kubeconfig) -> Problem {
        let chain = own.certificate.as_ref().and_then(|certificate| examine(certificate).ok());
        let ended = chain.iter().flatten().map(crate::pki::Examined::not_after).min();
        let why = match ended {
            Some(ended) => format!("its client certificate ended at {}", rfc3339(ended)),
            None => "it holds no client certificate and no token".to_owned(),
        };
        let what = format!("kubelet cannot show who it is by {}, and has no bootstrap kubeconfig", own.file);
        Problem::new(what, why, self.give())
    }

    fn without_kubeconfig(&self) -> Problem {
        Problem::new(
            "kubelet joins no cluster",
            "its command line has no --kubeconfig with a file and no --bootstrap-kubeconfig",
            self.give(),
        )
    }

    fn unreadable(&self, why: &str) -> Problem {
        let file = self.kubelet.flag("bootstrap-kubeconfig").unwrap_or_default();
        Problem::new(
            format!("kubelet's bootstrap kubeconfig {file} cannot be used"),
            why,
            self.install(&file),
        )
    }

    /// What puts a kubeconfig of this cluster in the place of another one. kubelet's own is only given up where
    /// another one lets kubelet start: they may be its only credentials.
    fn replace(&self, kubeconfig: &Kubeconfig) -> String {
        match &self.kubelet.bootstrap {
            None => self.give(),
            Some(Ok(bootstrap)) if bootstrap.file == kubeconfig.file => self.install(&kubeconfig.file),
            Some(Ok(_)) => format!("run {}", self.join_again(kubeconfig)),
            Some(Err(_)) => {
                let file = self.kubelet.flag("bootstrap-kubeconfig").unwrap_or_default();
                format!("first {}; then run {}", self.put(&file), self.join_again(kubeconfig))
            }
        }
    }

    fn join_again(&self, own: &Kubeconfig) -> String {
        let folder = self.kubelet.flag("cert-dir").unwrap_or_else(|| CERTIFICATES.to_owned());
        format!(
            "mv -n {} {folder}/kubelet-client-* /root/, and {RESTART}: it joins again by its bootstrap kubeconfig",
            own.file
        )
    }

    fn install(&self, file: &str) -> String {
        format!("{}, and {RESTART}", self.put(file))
    }

    /// Puts a kubeconfig by which kubelet joins this cluster into `file`. A folder that `recover` made has none.
    fn put(&self, file: &str) -> String {
        match self.facts.has_kubelet_kubeconfig {
            true => self.put_rendered(file),
            false => format!(
                "once the API runs, make a bootstrap token ({PAGE}), and write it with the server and the CA of {} to {file}",
                self.in_assets("auth/kubeconfig")
            ),
        }
    }

    fn put_rendered(&self, file: &str) -> String {
        format!("run install -m 600 {} {file}", self.in_assets(KUBELET_KUBECONFIG))
    }

    fn give(&self) -> String {
        const START: &str = "start kubelet with --kubeconfig, and with";
        match self.facts.has_kubelet_kubeconfig {
            true => format!("{START} {} as --bootstrap-kubeconfig", self.in_assets(KUBELET_KUBECONFIG)),
            false => format!("{}; {START} it as --bootstrap-kubeconfig", self.put("a file")),
        }
    }

    fn in_assets(&self, path: &str) -> String {
        self.subject.options.asset_dir.join(path).display().to_string()
    }

    /// The file that a flag of the apiserver names, with its content.
    fn file_of(&self, flag: &str) -> Option<(&str, &[u8])> {
        self.subject.key_file(&self.subject.api_flag(flag)?)
    }
}

/// A token as a message may show it: only the ID of a bootstrap token is no secret.
fn shown(token: &str) -> String {
    match id_of(token) {
        Some(id) => format!("a bootstrap token with ID {id}"),
        None => "a token that is no bootstrap token".to_owned(),
    }
}
