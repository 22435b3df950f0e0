//! Probes etcd's servers as the apiserver will: at the same URLs, with the same certificates.

use futures::future::join_all;
use url::Url;

use super::facts::{Distrust, Etcd, Facts, Member};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::cluster::kubeconfig::{Access, Identity};
use crate::etcd::health;
use crate::finding::without_passwords;

/// Probes all members at once.
pub async fn probe_members(subject: &Subject<'_>) -> Vec<Member> {
    let asked = subject.etcd_servers().into_iter().map(async |server| match server {
        Ok(url) => Member {
            answer: health(&url, || access(subject, &url)).await,
            url: without_passwords(url.as_str().trim_end_matches('/')),
        },
        Err(text) => {
            Member { answer: Etcd::Unaskable("this is not a URL".into()), url: without_passwords(&text) }
        }
    });
    join_all(asked).await
}

/// The apiserver's credentials for etcd, from the files that its flags name.
fn access(subject: &Subject<'_>, url: &Url) -> Result<Access, String> {
    let file = |name: &str| {
        let path = subject.api_flag(name).ok_or_else(|| format!("the apiserver has no --{name}"))?;
        let found = subject.key_file(&path).map(|(_, content)| content.to_vec());
        found.ok_or_else(|| format!("{path} (--{name}) is not among the assets"))
    };
    let identity = Identity::Certificate { certificate: file("etcd-certfile")?, key: file("etcd-keyfile")? };
    let mut server = url.clone();
    server.set_path("/");
    Ok(Access { server, ca: file("etcd-cafile")?, tls_server_name: None, identity })
}

pub fn etcd(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let members = &facts.etcd;
    if members.is_empty() {
        return Outcome::Unknown("the apiserver's command line names no etcd (--etcd-servers)".into());
    }
    let healthy = members.iter().any(|member| member.answer == Etcd::Healthy);
    let is_to_come = subject.etcd_pod().is_some();
    if let (true, Some(member)) = (members.iter().all(is_unaskable), members.first()) {
        return Outcome::Unknown(format!("{} cannot be asked: {}", member.url, words(&member.answer)));
    }
    let problems =
        members.iter().filter_map(|member| problem(member, subject, healthy, is_to_come)).collect();
    let away: Vec<&str> = members
        .iter()
        .filter(|member| member.answer != Etcd::Healthy)
        .map(|member| member.url.as_str())
        .collect();
    let detail = match (away.is_empty(), is_to_come) {
        (true, _) => "it is healthy".to_owned(),
        (false, true) => "start places it as a static pod".to_owned(),
        (false, false) => format!("healthy, except {}", away.join(", ")),
    };
    Outcome::from_problems(problems, detail)
}

fn is_unaskable(member: &Member) -> bool {
    matches!(member.answer, Etcd::Unaskable(_))
}

/// Certificates must be right on every member. A member that is down is no failure while another is
/// healthy, nor is one that `start` is still to place.
fn problem(member: &Member, subject: &Subject<'_>, healthy: bool, is_to_come: bool) -> Option<Problem> {
    let url = &member.url;
    if let Some(alarm) = member.answer.alarm() {
        let [what, why, cure] = alarm.sentences(url);
        return Some(Problem { what, why, cure });
    }
    match &member.answer {
        Etcd::Healthy | Etcd::Unaskable(_) => None,
        Etcd::Untrusted(distrust) => Some(untrusted(url, *distrust, subject)),
        Etcd::RefusesUs(why) => Some(Problem::new(
            format!("etcd at {url} refuses our client certificate"),
            why,
            "render with the etcd CA, certificate and key that this etcd trusts (etcd.caFile, certificateFile, privateKeyFile)",
        )),
        Etcd::Sick(_) | Etcd::Unreachable(_) if healthy || is_to_come => None,
        Etcd::Sick(why) => Some(Problem::new(
            format!("etcd at {url} is not healthy"),
            format!("it answers {why}"),
            "look into its log; a member that waits for the others needs more than half of them",
        )),
        Etcd::Unreachable(why) => Some(Problem::new(
            format!("etcd at {url} does not answer"),
            why,
            "start it, or correct etcd.servers and render again",
        )),
    }
}

fn untrusted(url: &str, distrust: Distrust, subject: &Subject<'_>) -> Problem {
    let named = |flag: &str| subject.api_flag(flag).unwrap_or_default();
    let authority = named("etcd-cafile");
    let authority = subject.key_file(&authority).map_or(authority.clone(), |(file, _)| format!("tls/{file}"));
    match distrust {
        Distrust::Authority => Problem::new(
            format!("the certificate of etcd at {url} is not signed by the CA in {authority}"),
            "this is another etcd, or the assets are those of another cluster",
            "give etcd a certificate from the rendered tls/etcd/, or render with the CA of this etcd (etcd.caFile)",
        ),
        Distrust::Name => Problem::new(
            format!("the certificate of etcd at {url} does not name this address"),
            "the host of the URL is not among its subject alternative names",
            "give etcd a certificate with this address, or name it in etcd.servers as its certificate does",
        ),
        Distrust::Expired => Problem::new(
            format!("the certificate of etcd at {url} has expired"),
            "this machine's clock says so",
            "renew etcd's certificate, or correct the clock",
        ),
        Distrust::NotYetValid => Problem::new(
            format!("the certificate of etcd at {url} is not valid yet"),
            "this machine's clock says so",
            "correct the clock, or wait",
        ),
        Distrust::Other => Problem::new(
            format!("the certificate of etcd at {url} cannot be used"),
            "the TLS library refuses it",
            "show it with openssl s_client -connect HOST:PORT",
        ),
    }
}

fn words(answer: &Etcd) -> &str {
    match answer {
        Etcd::Sick(why) | Etcd::Unreachable(why) | Etcd::RefusesUs(why) | Etcd::Unaskable(why) => why,
        Etcd::Healthy | Etcd::Untrusted(_) => "",
    }
}
