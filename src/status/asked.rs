//! What programs of this machine use, asked as they ask it: the API at the address of its Service,
//! cluster DNS, and the etcd of this machine's apiserver.
//!
//! All of that may be dead while the API answers and every pod is Ready. From a machine that is none
//! of the cluster's it cannot be seen.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::api::GetParams;
use kube::{Client, ResourceExt as _};
use url::Url;

use super::dns;
use super::here::Here;
use super::inventory::Inventory;
use crate::NAMESPACE;
use crate::assets::command::flag;
use crate::assets::corefile::zones;
use crate::cluster::connect::{READY, Readyz};
use crate::cluster::kubeconfig::{Access, Identity};
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::pods::is_ready_pod;
use crate::cluster::probe;
use crate::cluster::retry::within;
use crate::diagnose::Blocker;
use crate::etcd::{self, Etcd};
use crate::finding::without_passwords;
use crate::patience::{self, Patience};

const SERVICE_ADDRESS: &str = "service-address";
const DNS: &str = "dns";
const ETCD: &str = "etcd";
/// With this the TLS library begins its message about a certificate that does not verify.
const DISTRUST: &str = "invalid peer certificate";

/// A question, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name, stable for programs.
    pub name: &'static str,
    /// The address that was asked; empty if none was.
    pub at: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is right.
    Pass(String),
    /// It is not, or there is none.
    Fail(Blocker),
    /// It was not asked, and why.
    Skip(String),
}

impl Asked {
    fn of(name: &'static str, at: impl Into<String>, outcome: Outcome) -> Self {
        Self { name, at: at.into(), outcome }
    }

    fn skip(name: &'static str, why: impl Into<String>) -> Self {
        Self::of(name, "", Outcome::Skip(why.into()))
    }

    /// What is wrong.
    pub fn problem(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Fail(Blocker { what, why, cure }) => Some(format!("{what} ({why}): {cure}")),
            Outcome::Pass(_) | Outcome::Skip(_) => None,
        }
    }
}

/// Who asks.
pub(super) struct Asker<'a> {
    pub access: &'a Access,
    pub client: &'a Client,
    pub inventory: &'a Inventory,
    pub here: &'a Here,
    /// How long each answer may take.
    pub patience: Duration,
}

/// Why nothing is asked.
pub(super) fn none(why: &str) -> Vec<Asked> {
    [ETCD, SERVICE_ADDRESS, DNS].map(|name| Asked::skip(name, why)).into()
}

/// What Linux says before kube-proxy's rules see a packet: the machine has no route of that family.
const NO_ROUTE: [&str; 2] = ["Network is unreachable", "Address family not supported"];

fn no_route(why: &str) -> String {
    format!("this machine has no route of that family, and pods may have one: {why}")
}

impl Asker<'_> {
    /// The deepest first.
    pub async fn ask(&self) -> Vec<Asked> {
        if self.here.node.is_none() {
            const WHY: &str = "the Node of this machine is not registered";
            let services = [SERVICE_ADDRESS, DNS].map(|name| Asked::skip(name, WHY));
            return [self.etcd().await, services.into()].concat();
        }
        let (etcd, (api, dns)) = futures::join!(self.etcd(), self.services());
        [etcd, api, dns].concat()
    }

    async fn services(&self) -> (Vec<Asked>, Vec<Asked>) {
        let api = match self.get::<Service>("default", "kubernetes").await {
            Ok(Some(service)) => addresses(&service),
            Ok(None) => {
                return (vec![Asked::skip(SERVICE_ADDRESS, "the API has no Service")], self.dns(&[]).await);
            }
            Err(why) => return (vec![Asked::skip(SERVICE_ADDRESS, why)], self.dns(&[]).await),
        };
        let asked = api.iter().map(|address| self.service_address(*address));
        futures::join!(join_all(asked), self.dns(&api))
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, String>
    where
        K: Kind + kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    {
        within(self.patience, Objects::<K>::namespaced(self.client, namespace).get_opt(name)).await
    }

    /// The API as pods find it. An API that is not ready is a problem of its own.
    async fn service_address(&self, address: IpAddr) -> Asked {
        let at = SocketAddr::new(address, 443);
        let answer = probe::ask(self.access, Some(at), READY, Patience::of(self.patience)).await;
        let fail = |why: &str, cure| {
            let what = format!(
                "the API does not answer at the address of its Service, https://{at}, where pods ask it"
            );
            Outcome::Fail(Blocker::new(what, why, cure))
        };
        let outcome = match answer {
            Ok(Readyz::Ready | Readyz::NotReady { .. }) => Outcome::Pass("the API answers".to_owned()),
            Ok(Readyz::Unreachable(why)) if why.contains(DISTRUST) => fail(
                &why,
                format!(
                    "another server has this address (ip route get {address}): no network may overlap the Services' range"
                ),
            ),
            Ok(Readyz::Unreachable(why)) if NO_ROUTE.iter().any(|words| why.contains(words)) => {
                Outcome::Skip(no_route(&why))
            }
            Ok(Readyz::Unreachable(why)) => fail(&why, self.proxy_cure()),
            Ok(Readyz::Silent(late)) => fail(&late.to_string(), self.proxy_cure()),
            Err(error) => Outcome::Skip(error.to_string()),
        };
        Asked::of(SERVICE_ADDRESS, at.to_string(), outcome)
    }

    /// What makes the addresses of Services work again on this machine.
    fn proxy_cure(&self) -> String {
        let node = self.here.node.as_deref().unwrap_or_default();
        let is_here = |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
        let is_proxy = |pod: &&Pod| pod.labels().get("k8s-app").is_some_and(|app| app == "kube-proxy");
        let proxy = self.inventory.pods.iter().find(|pod| is_here(pod) && is_proxy(pod));
        match proxy.map(|pod| (pod.name_any(), is_ready_pod(pod))) {
            Some((name, Ok(()))) => format!(
                "make kube-proxy of this node write its rules anew: kubectl -n {NAMESPACE} delete pod {name}"
            ),
            Some((name, Err(_))) => {
                format!(
                    "see why kube-proxy of this node is not Ready: kubectl -n {NAMESPACE} describe pod {name}"
                )
            }
            None => format!(
                "see that kube-proxy, or what stands in for it, runs on this node: kubectl get pods -A --field-selector \
                 spec.nodeName={node}"
            ),
        }
    }

    /// Cluster DNS must know the API, at the first of the addresses `api`.
    async fn dns(&self, api: &[IpAddr]) -> Vec<Asked> {
        let found = futures::try_join!(
            self.get::<Service>(NAMESPACE, "kube-dns"),
            self.get::<ConfigMap>(NAMESPACE, "coredns")
        );
        let (service, map) = match found {
            Ok((Some(service), map)) => (service, map),
            Ok((None, _)) => {
                return vec![Asked::skip(DNS, format!("there is no Service {NAMESPACE}/kube-dns"))];
            }
            Err(why) => return vec![Asked::skip(DNS, why)],
        };
        let corefile = map.and_then(|map| map.data?.remove("Corefile")).unwrap_or_default();
        let (Some(zone), Some(api)) = (zones(&corefile).first().copied(), api.first()) else {
            return vec![Asked::skip(
                DNS,
                format!("ConfigMap {NAMESPACE}/coredns names no domain of Services"),
            )];
        };
        let name = format!("kubernetes.default.svc.{zone}");
        let asked = addresses(&service).into_iter().map(|address| self.name(address, &name, *api, &service));
        join_all(asked).await
    }

    async fn name(&self, server: IpAddr, name: &str, api: IpAddr, service: &Service) -> Asked {
        let at = SocketAddr::new(server, 53).to_string();
        let outcome = match self.knows(server, name, api).await {
            Ok(()) => Outcome::Pass(format!("{name} is {api}")),
            Err(why) if NO_ROUTE.iter().any(|words| why.contains(words)) => Outcome::Skip(no_route(&why)),
            Err(why) => Outcome::Fail(self.dead(&at, name, api, service, &why).await),
        };
        Asked::of(DNS, at, outcome)
    }

    async fn knows(&self, server: IpAddr, name: &str, api: IpAddr) -> Result<(), String> {
        let found = dns::ask(server, name, api, self.patience).await?;
        let other = || format!("it says that {name} is {found:?} instead of {api}");
        found.contains(&api).then_some(()).ok_or_else(other)
    }

    /// Why cluster DNS does not work: its pods, or the way to them.
    async fn dead(&self, at: &str, name: &str, api: IpAddr, service: &Service, why: &str) -> Blocker {
        let what = format!("cluster DNS does not answer at {at}, where pods ask it");
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
        let is_its = |pod: &&Pod| selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value));
        let pods = self.inventory.pods.iter().filter(is_its).filter(|pod| is_ready_pod(pod).is_ok());
        let ready: Vec<(String, IpAddr)> =
            pods.filter_map(|pod| Some((pod.name_any(), address(pod)?))).collect();
        let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let shown = format!("kubectl -n {NAMESPACE} get pods -o wide -l {}", selector.join(","));
        if ready.is_empty() {
            let why = format!("{why}; none of its pods is Ready");
            return Blocker::new(what, why, format!("see why its pods are not Ready: {shown}"));
        }
        let answers = join_all(ready.iter().map(|(_, address)| self.knows(*address, name, api))).await;
        let good = ready.iter().zip(&answers).find(|(_, answer)| answer.is_ok()).map(|((pod, _), _)| pod);
        match good {
            Some(pod) => {
                Blocker::new(what, format!("{why}; its pod {pod} itself answers"), self.proxy_cure())
            }
            None => Blocker::new(
                what,
                format!("{why}; nor do its pods, which are Ready"),
                format!(
                    "see whether this machine reaches their addresses, which the pod network carries: {shown}"
                ),
            ),
        }
    }

    /// The etcd of this machine's apiserver, which may have raised an alarm.
    async fn etcd(&self) -> Vec<Asked> {
        if !self.here.has_apiserver {
            return vec![Asked::skip(ETCD, "no apiserver runs on this machine")];
        }
        let (words, secret) = match futures::join!(self.apiserver(), self.credentials()) {
            (Ok(words), Ok(secret)) => (words, secret),
            (Err(why), _) | (_, Err(why)) => return vec![Asked::skip(ETCD, why)],
        };
        let servers = flag(words.iter().map(String::as_str), "etcd-servers").unwrap_or_default();
        let asked = servers.split(',').filter_map(|server| Url::parse(server).ok()).map(async |url| {
            let answer = etcd::health(&url, || access(&words, &secret, &url));
            let answer = patience::within(self.patience, answer).await;
            let at = without_passwords(url.as_str().trim_end_matches('/'));
            let outcome =
                answer.map_or_else(|late| Outcome::Skip(late.to_string()), |answer| judged(&at, &answer));
            Asked::of(ETCD, at, outcome)
        });
        join_all(asked).await
    }

    /// The command line of the self-hosted apiserver. The apiserver has it in memory, so this works
    /// while etcd answers nothing.
    async fn apiserver(&self) -> Result<Vec<String>, String> {
        let sets = Objects::<DaemonSet>::namespaced(self.client, NAMESPACE);
        let set = within(self.patience, sets.bare.get_with("kube-apiserver", &GetParams::any())).await?;
        let set: DaemonSet = set.typed().map_err(|error| error.to_string())?;
        let pod = set.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
        Ok(pod
            .containers
            .into_iter()
            .flat_map(|it| it.command.into_iter().chain(it.args).flatten())
            .collect())
    }

    async fn credentials(&self) -> Result<Secret, String> {
        let secrets = Objects::<Secret>::namespaced(self.client, NAMESPACE);
        let secret =
            within(self.patience, secrets.bare.get_with("kube-apiserver", &GetParams::any())).await?;
        secret.typed().map_err(|error| error.to_string())
    }
}

/// That a member is away is no problem of this machine while the API, which needs etcd, answers.
fn judged(url: &str, answer: &Etcd) -> Outcome {
    if let Some(alarm) = answer.alarm() {
        let [what, why, cure] = alarm.sentences(url);
        return Outcome::Fail(Blocker { what, why, cure });
    }
    match answer {
        Etcd::Healthy => Outcome::Pass("it is healthy".to_owned()),
        Etcd::Sick(why) | Etcd::Unreachable(why) | Etcd::RefusesUs(why) | Etcd::Unaskable(why) => {
            Outcome::Skip(format!("it does not answer: {why}"))
        }
        Etcd::Untrusted(_) => Outcome::Skip("its certificate does not verify here".to_owned()),
    }
}

/// The apiserver's credentials for etcd: the flags name files, which the Secret has by their names.
fn access(words: &[String], secret: &Secret, url: &Url) -> Result<Access, String> {
    let file = |name: &str| {
        let path =
            flag(words.iter().map(String::as_str), name).ok_or(format!("the apiserver has no --{name}"))?;
        let key = path.rsplit('/').next().unwrap_or_default();
        let content = secret.data.as_ref().and_then(|data| data.get(key));
        content.map(|content| content.0.clone()).ok_or(format!("Secret kube-apiserver has no {key}"))
    };
    let identity = Identity::Certificate { certificate: file("etcd-certfile")?, key: file("etcd-keyfile")? };
    let mut server = url.clone();
    server.set_path("/");
    Ok(Access { server, ca: file("etcd-cafile")?, tls_server_name: None, identity })
}

fn addresses(service: &Service) -> Vec<IpAddr> {
    let spec = service.spec.iter();
    spec.flat_map(|spec| spec.cluster_ips.iter().flatten()).filter_map(|ip| ip.parse().ok()).collect()
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}
