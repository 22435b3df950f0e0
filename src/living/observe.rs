//! Looks which cluster runs on this machine. Nothing is judged here, and nothing is changed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::slice;

use super::ask::{LIMIT, ask};
use super::local_api::{probe_api_at, probe_local_api};
use super::pem;
use super::settled::Settled;
use crate::assets::command::{flag, runs};
use crate::cluster::connect::{self, Readyz};
use crate::cluster::kubeconfig::{Access, Identity};
use crate::error::chain;
use crate::host::programs::{self, Program};
use crate::host::rooted;

const APISERVER: &str = "kube-apiserver";
/// Where an apiserver without `--secure-port` listens.
const PORT: u16 = 6443;

/// What answers on the API's port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiListener {
    /// No process listens there.
    Nothing,
    /// An apiserver whose certificate is signed by this cluster's CA.
    Ours,
    /// Something else, with its answer.
    Other(String),
}

/// The cluster that runs on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Living {
    /// No apiserver is there.
    #[default]
    Nothing,
    /// An apiserver is there, and cannot be asked now.
    Unasked(String),
    /// What its API and its processes say.
    Known(Vec<Settled>),
    /// A cluster with another CA.
    Other(Other),
}

/// A cluster that is not that of the assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The process of its apiserver.
    pub pid: u32,
    /// Its CA, in words.
    pub authority: String,
}

/// What is looked for.
pub struct Wanted<'a> {
    /// The administrator's access, by the assets.
    pub access: &'a Access,
    /// The port of the apiserver, by the assets.
    pub port: u16,
    /// The certificate of the apiserver, if it is among the assets.
    pub certificate: Option<&'a [u8]>,
    /// A token of kubelet's that the assets do not have.
    pub token: Option<String>,
    /// Whether the cluster is asked what it keeps.
    pub asks_cluster: bool,
}

/// What was found.
pub struct Found {
    /// What answers on the port.
    pub api: ApiListener,
    /// What the API answers to the token, if it was asked.
    pub admission: Option<Readyz>,
    /// The cluster behind it.
    pub living: Living,
}

/// Looks at the apiservers of this machine.
pub async fn look(wanted: Wanted<'_>, processes: &[Program]) -> Found {
    let found = |api, living| Found { api, admission: None, living };
    let Wanted { access, port, certificate, token, asks_cluster } = wanted;
    let (endpoint, why) = match probe_local_api(access, port).await {
        None if asks_cluster => return found(ApiListener::Nothing, elsewhere(access, port, processes).await),
        None => return found(ApiListener::Nothing, Living::Nothing),
        Some((endpoint, Readyz::Ready)) => (endpoint, None),
        Some((_, Readyz::NotReady { .. })) => {
            return found(ApiListener::Ours, Living::Unasked("it is not ready".to_owned()));
        }
        Some((endpoint, Readyz::Silent(late))) => (endpoint, Some(late.to_string())),
        Some((endpoint, Readyz::Unreachable(why))) => (endpoint, Some(why)),
    };
    if let Some(why) = why {
        let other = certificate.and_then(|certificate| of_another_authority(processes, port, certificate));
        let living = other.map_or_else(|| Living::Unasked(why.clone()), Living::Other);
        return found(ApiListener::Other(why), living);
    }
    let admission = async {
        let access = Access { identity: Identity::Token(token?), ..access.clone() };
        probe_api_at(&access, endpoint).await
    };
    let living = async {
        match asks_cluster {
            true => known(access, endpoint, processes).await,
            false => Living::Unasked("it was asked before".to_owned()),
        }
    };
    let (admission, living) = futures::join!(admission, living);
    Found { api: ApiListener::Ours, admission, living }
}

/// What the API at `endpoint` says, and each apiserver and controller manager on this machine.
async fn known(access: &Access, endpoint: SocketAddr, processes: &[Program]) -> Living {
    let asked = async {
        let client = connect::connect(access, Some(endpoint)).map_err(|error| chain(&error))?;
        ask(&client).await.map_err(|error| chain(&error))
    };
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(settled)) => Living::Known([settled].into_iter().chain(of_processes(processes)).collect()),
        Ok(Err(why)) => Living::Unasked(why),
        Err(_) => Living::Unasked(format!("{endpoint} has not answered within {} s", LIMIT.as_secs())),
    }
}

/// What runs may differ from what the API has: a rollout that does not come to its end.
fn of_processes(processes: &[Program]) -> impl Iterator<Item = Settled> {
    let ours =
        processes.iter().filter(|process| is(process, APISERVER) || is(process, "kube-controller-manager"));
    ours.map(|process| {
        Settled::of_process(&format!("{} (process {})", process.name(), process.pid), &process.words)
    })
}

/// The cluster of these assets, if its apiserver listens on another port than theirs.
async fn elsewhere(access: &Access, port: u16, processes: &[Program]) -> Living {
    let apiservers = processes.iter().filter(|process| is(process, APISERVER));
    let mut ports = apiservers.filter_map(|process| listens_at(process).filter(|own| *own != port));
    let Some(other) = ports.next() else { return Living::Nothing };
    match probe_local_api(access, other).await {
        Some((endpoint, Readyz::Ready)) => known(access, endpoint, processes).await,
        Some((_, Readyz::Unreachable(_))) | None => Living::Nothing,
        Some(_) => Living::Unasked(format!("the apiserver on port {other} is not ready")),
    }
}

/// The port of an apiserver that listens.
fn listens_at(apiserver: &Program) -> Option<u16> {
    let port = flag_of(apiserver, "secure-port").map_or(Some(PORT), |text| text.parse().ok())?;
    let holders = programs::listening(slice::from_ref(apiserver), port).unwrap_or_default();
    (!holders.is_empty()).then_some(port)
}

/// The apiserver on `port` whose CA has not signed `certificate`, the apiserver's in the assets.
fn of_another_authority(processes: &[Program], port: u16, certificate: &[u8]) -> Option<Other> {
    let holders = programs::listening(processes, port).unwrap_or_default();
    let holder = holders.into_iter().find(|process| is(process, APISERVER))?;
    let file = flag_of(&holder, "client-ca-file")?;
    let authority = fs::read_to_string(rooted::path(&holder.root(), Path::new(&file))).ok()?;
    let is_other = pem::is_signed_by(&String::from_utf8_lossy(certificate), &authority) == Some(false);
    is_other.then(|| Other { pid: holder.pid, authority: pem::authority(&authority) })
}

fn is(process: &Program, program: &str) -> bool {
    runs(process.words.iter().map(String::as_str), program)
}

fn flag_of(process: &Program, name: &str) -> Option<String> {
    flag(process.words.iter().map(String::as_str), name)
}
