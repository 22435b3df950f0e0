//! What each step does in the namespace of the trial.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Secret, Service};
use kube::api::{AttachParams, ListParams, LogParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::error::Error;
use super::http::{self, GREETING};
use super::objects::{self, NAME, PORT, Place};
use crate::cluster::node::addresses;
use crate::cluster::retry::poll;
use crate::cluster::wait::wait_for_workloads;
use crate::cluster::workload::{Kind, Need, ReadyPod, Wanted, is_ready};
use crate::patience::within;

/// A value that no default has.
const VALUE: &str = "kept by etcd";
/// The namespace of the trial.
pub(super) struct Here {
    limit: Duration,
    client: Client,
    namespace: String,
    pods: Api<Pod>,
}

impl Here {
    pub fn new(client: &Client, namespace: &str, limit: Duration) -> Self {
        Self {
            limit,
            client: client.clone(),
            namespace: namespace.to_owned(),
            pods: Api::namespaced(client.clone(), namespace),
        }
    }

    /// Makes an object. It is constant but for the image, and so it has the form of its kind.
    async fn make<K>(&self, object: Value) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize + DeserializeOwned,
        K: Clone + std::fmt::Debug,
    {
        let object = serde_json::from_value(object)
            .unwrap_or_else(|error| unreachable!("every object here has its kind's form: {error}"));
        let objects = Api::<K>::namespaced(self.client.clone(), &self.namespace);
        let made = objects.create(&PostParams::default(), &object).await;
        made.map_err(Error::api(format!("make {} {NAME}", K::kind(&()))))
    }

    pub async fn keeps_a_secret(&self) -> Result<((), String), Error> {
        self.make::<Secret>(objects::secret(VALUE)).await?;
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let read = secrets.get(NAME).await.map_err(Error::api("read the Secret again"))?;
        let value = read.data.and_then(|mut data| data.remove("value")).unwrap_or_default();
        is_equal("the Secret", &String::from_utf8_lossy(&value.0), VALUE)?;
        Ok(((), "written, and read as it was written".to_owned()))
    }

    pub async fn runs_a_deployment(&self, place: &Place) -> Result<(Vec<ReadyPod>, String), Error> {
        self.make::<Deployment>(objects::deployment(place)).await?;
        self.make::<Service>(objects::service()).await?;
        let wanted = Wanted {
            kind: Kind::Deployment,
            namespace: self.namespace.clone(),
            name: NAME.to_owned(),
            need: Need::All,
        };
        let mut last = String::new();
        let mut on_reason = |reason: &str| reason.clone_into(&mut last);
        let is_done = |seen: &_| is_ready(&wanted, seen);
        let pods = wait_for_workloads(&self.client, &self.namespace, is_done, &mut on_reason);
        let pods = within(self.shorter(), pods).await.map_err(|_| Error::Not(last))?;
        let mut nodes: Vec<&str> = pods.iter().map(|pod| &*pod.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let found = format!("{} pods of {} are Ready on {}", pods.len(), place.image, nodes.join(", "));
        Ok((pods, found))
    }

    pub async fn reads_logs(&self, pods: &[ReadyPod]) -> Result<((), String), Error> {
        for pod in pods {
            let log = self.pods.logs(&pod.name, &LogParams::default()).await;
            let log = log.map_err(Error::api(format!("read the log of pod {}", pod.name)))?;
            let first = log.lines().next().unwrap_or_default();
            is_equal(&format!("the log of pod {}", pod.name), first, &format!("{GREETING} {PORT}"))?;
        }
        Ok(((), "every pod's log has its first line".to_owned()))
    }

    pub async fn executes(&self, pods: &[ReadyPod]) -> Result<((), String), Error> {
        for pod in pods {
            let printed = self.execute(pod, &["/bootkube", "version"]).await?;
            if !printed.starts_with("Version: ") {
                let (what, wanted) = (format!("the output of {}", pod.name), "Version: …".to_owned());
                return Err(Error::Different { what, found: printed, wanted });
            }
        }
        Ok(((), "`bootkube version` ran in every pod".to_owned()))
    }

    /// Runs a command in a pod to its end; its standard output.
    async fn execute(&self, pod: &ReadyPod, command: &[&str]) -> Result<String, Error> {
        let act = format!("execute `{}` in pod {}", command.join(" "), pod.name);
        let streams = AttachParams::default().stdin(false).stdout(true).stderr(true);
        let process = self.pods.exec(&pod.name, command.iter().copied(), &streams).await;
        let mut process = process.map_err(Error::api(act.clone()))?;
        let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
        let (stdout, stderr) = futures::join!(read(stdout), read(stderr));
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let failed = |why| Error::Api { act: act.clone(), why };
        let status = status.ok_or_else(|| failed("the connection ended before the command".to_owned()))?;
        if status.status.as_deref() != Some("Success") {
            let message = status.message.unwrap_or_default();
            return Err(failed(format!("{} ({message})", stderr.trim())));
        }
        Ok(stdout)
    }

    pub async fn forwards_a_port(&self, pods: &[ReadyPod]) -> Result<((), String), Error> {
        for pod in pods {
            let to = format!("port {PORT} of pod {}", pod.name);
            let forwarder = self.pods.portforward(&pod.name, &[PORT]).await;
            let mut forwarder = forwarder.map_err(Error::api(format!("forward {to}")))?;
            let stream = forwarder.take_stream(PORT);
            let stream = stream.ok_or_else(|| Error::Not(format!("{to} has no stream")))?;
            is_equal(&to, &http::ask(stream, &to).await?, &pod.name)?;
        }
        Ok(((), "every pod answered through the apiserver".to_owned()))
    }

    pub async fn answers_on_every_node(&self, pods: &[ReadyPod]) -> Result<((), String), Error> {
        let services = Api::<Service>::namespaced(self.client.clone(), &self.namespace);
        let service = services.get(NAME).await.map_err(Error::api("read the Service"))?;
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let port = ports.first().and_then(|port| u16::try_from(port.node_port?).ok());
        let port = port.ok_or_else(|| Error::Not("the Service has no node port".to_owned()))?;
        let nodes = Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await;
        let nodes = nodes.map_err(Error::api("list the nodes"))?.items;
        let ready: Vec<(String, IpAddr)> = nodes
            .iter()
            .filter(is_ready_node)
            .filter_map(|node| Some((node.name_any(), addresses(node).next()?)))
            .collect();
        let asked = ready.iter().map(|(node, ip)| async move {
            let address = SocketAddr::new(*ip, port);
            let answer = self.until_it_answers(|| http::get(address)).await;
            let answer = answer.map_err(|error| format!("node {node}: {error}"))?;
            is_one_of(&answer, pods).map_err(|error| format!("node {node}: {error}"))
        });
        let errors: Vec<String> = join_all(asked).await.into_iter().filter_map(Result::err).collect();
        if !errors.is_empty() {
            return Err(Error::Not(errors.join("; ")));
        }
        let names: Vec<&str> = ready.iter().map(|(name, _)| &**name).collect();
        Ok(((), format!("port {port} answered on {}", names.join(", "))))
    }

    /// Asks until there is an answer: kube-proxy and CoreDNS learn of a Service a moment after the
    /// apiserver.
    async fn until_it_answers<F>(&self, mut ask: impl FnMut() -> F) -> Result<String, Error>
    where
        F: Future<Output = Result<String, Error>>,
    {
        let mut last = String::new();
        let attempt = || {
            let asked = ask();
            async { asked.await.map_err(|error| crate::error::chain(&error)) }
        };
        let answer = poll(AGAIN, attempt, |reason| reason.clone_into(&mut last));
        let answer = within(self.shorter(), answer).await;
        answer.map_err(|_| Error::Not(last))
    }

    /// A little less than a step has, so that the last reason is known when it ends.
    fn shorter(&self) -> Duration {
        self.limit.mul_f64(0.9)
    }

    pub async fn finds_a_service(&self, pods: &[ReadyPod]) -> Result<((), String), Error> {
        let url = format!("http://{NAME}:{PORT}/");
        for pod in pods {
            let fetch = ["/bootkube", "smoke-test", "fetch", &url];
            let answer = self.until_it_answers(|| self.execute(pod, &fetch)).await?;
            is_one_of(answer.trim(), pods)?;
        }
        Ok(((), format!("every pod reached {url} by the name of its Service")))
    }
}

/// How often a Service is asked again that does not answer yet.
const AGAIN: Duration = Duration::from_millis(200);

/// Everything that a process writes. A stream that breaks shows in the process's status.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream
        && let Err(error) = stream.read_to_end(&mut bytes).await
    {
        tracing::debug!("a stream ended early: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_equal(what: &str, found: &str, wanted: &str) -> Result<(), Error> {
    let different =
        || Error::Different { what: what.to_owned(), found: found.to_owned(), wanted: wanted.to_owned() };
    (found == wanted).then_some(()).ok_or_else(different)
}

fn is_one_of(answer: &str, pods: &[ReadyPod]) -> Result<(), Error> {
    match pods.iter().any(|pod| pod.name == answer) {
        true => Ok(()),
        false => Err(Error::Not(format!("{answer:?} answered, which is none of the pods"))),
    }
}

fn is_ready_node(node: &&Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
