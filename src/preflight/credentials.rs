//! Check of what kubelet shows to the API, and by what it knows the API: of this cluster, and still valid.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::authority::{describe, is_signed_by};
use super::facts::Facts;
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::NAMESPACE;
use crate::assets::object::Object;
use crate::cluster::connect::Readyz;
use crate::kubelet::{Kubeconfig, Kubelet};
use crate::pki::{examine, rfc3339};

/// Type of the Secret of a bootstrap token.
const TOKEN: &str = "bootstrap.kubernetes.io/token";
/// Where kubelet keeps its certificates unless `--cert-dir` says otherwise.
const CERTIFICATES: &str = "/var/lib/kubelet/pki";

/// A bootstrap token of the assets.
struct Token {
    id: String,
    secret: String,
    expires: Option<OffsetDateTime>,
    file: String,
}

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
    let is_known = tokens(subject).iter().any(|known| format!("{}.{}", known.id, known.secret) == token);
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
        let more = next.iter().flat_map(Outcome::problems).cloned();
        let problems: Vec<Problem> = problem.into_iter().chain(more).collect();
        match problems.is_empty() {
            true => Outcome::from_warnings(self.other_server(own), "it has joined this cluster"),
            false => Outcome::Fail(problems),
        }
    }

    fn of_bootstrap(&self, bootstrap: &Kubeconfig) -> Outcome {
        let problem = self
            .authority(bootstrap)
            .or_else(|| self.token(bootstrap))
            .or_else(|| self.unnamed_server(bootstrap));
        match problem {
            Some(problem) => Outcome::Fail(vec![problem]),
            None => Outcome::from_warnings(self.other_server(bootstrap), "it can join this cluster"),
        }
    }

    /// The CA by which kubelet verifies the API.
    fn authority(&self, kubeconfig: &Kubeconfig) -> Option<Problem> {
        let (file, served) = self.file_of("tls-cert-file")?;
        let authority = kubeconfig.authority.as_ref()?;
        let ours = describe(&self.subject.access.ca);
        (is_signed_by(served, authority) == Some(false)).then(|| {
            let theirs = describe(authority);
            self.of_another_cluster(
                kubeconfig,
                format!("its CA is {theirs}, and tls/{file} is signed by {ours}"),
            )
        })
    }

    fn token(&self, bootstrap: &Kubeconfig) -> Option<Problem> {
        let (token, known) = (bootstrap.token.as_deref()?, tokens(self.subject));
        let (id, secret) = token.split_once('.').unwrap_or((token, ""));
        let ours = known.iter().find(|known| known.id == id).or(known.first())?;
        let now = self.subject.options.now;
        match () {
            () if ours.id == id && ours.secret == secret => {
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
                        "run bootkube render again, which makes a new one; then {}",
                        self.install(&bootstrap.file)
                    ),
                ))
            }
            () if self.facts.admission == Some(Readyz::Ready) => None,
            () => {
                let which =
                    if ours.id == id { "another secret".to_owned() } else { format!("ID {}", ours.id) };
                Some(self.of_another_cluster(
                    bootstrap,
                    format!("its token has ID {id}, and that of {} has {which}", ours.file),
                ))
            }
        }
    }

    /// A host for which the apiserver has no certificate.
    fn unnamed_server(&self, kubeconfig: &Kubeconfig) -> Option<Problem> {
        let (file, served) = self.file_of("tls-cert-file")?;
        let url = Url::parse(&kubeconfig.server).ok()?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let certificate = examine(served).ok()?.into_iter().next()?;
        (!certificate.is_for(host)).then(|| {
            self.of_another_cluster(
                kubeconfig,
                format!(
                    "its server is {}, and tls/{file} is for {}",
                    kubeconfig.server,
                    certificate.hosts().join(", ")
                ),
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

    /// What puts a kubeconfig of this cluster in the place of another one.
    fn replace(&self, kubeconfig: &Kubeconfig) -> String {
        let is_bootstrap = |bootstrap: &Result<Kubeconfig, String>| {
            bootstrap.as_ref().is_ok_and(|own| own.file == kubeconfig.file)
        };
        match &self.kubelet.bootstrap {
            None => self.give(),
            Some(bootstrap) if is_bootstrap(bootstrap) => self.install(&kubeconfig.file),
            Some(_) => {
                let folder = self.kubelet.flag("cert-dir").unwrap_or_else(|| CERTIFICATES.to_owned());
                format!(
                    "run rm {} {folder}/kubelet-client-*, and systemctl restart kubelet: it joins again by its bootstrap kubeconfig",
                    kubeconfig.file
                )
            }
        }
    }

    fn install(&self, file: &str) -> String {
        format!("run install -m 600 {} {file}, and systemctl restart kubelet", self.rendered())
    }

    fn give(&self) -> String {
        format!("start kubelet with --kubeconfig, and with {} as --bootstrap-kubeconfig", self.rendered())
    }

    fn rendered(&self) -> String {
        self.subject.options.asset_dir.join("auth/kubeconfig-kubelet").display().to_string()
    }

    /// The file that a flag of the apiserver names, with its content.
    fn file_of(&self, flag: &str) -> Option<(&str, &[u8])> {
        self.subject.key_file(&self.subject.api_flag(flag)?)
    }
}

fn tokens(subject: &Subject<'_>) -> Vec<Token> {
    let is_token = |object: &&Object| object.value["type"] == TOKEN && object.namespace() == Some(NAMESPACE);
    subject.layout.objects.iter().filter(is_token).filter_map(token).collect()
}

fn token(object: &Object) -> Option<Token> {
    let text = |key: &str| {
        let plain = object.value["stringData"][key].as_str().map(str::to_owned);
        plain.or_else(|| decoded(&object.value["data"][key]))
    };
    let expires = text("expiration").and_then(|expires| OffsetDateTime::parse(&expires, &Rfc3339).ok());
    Some(Token { id: text("token-id")?, secret: text("token-secret")?, expires, file: object.file.clone() })
}

fn decoded(data: &Value) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}
