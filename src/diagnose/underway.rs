//! What the command that waits is itself about to do. A cause that it removes by itself is not in
//! the way. Plain data: `decide` says what follows.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::apply::Item;
use crate::cluster::crd;

/// With this role a ClusterRoleBinding lets the controller manager approve requests of kubelets.
pub const APPROVES: &str = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
/// A pod network writes its configuration to this folder of the machine.
const NETWORKS: &str = "/etc/cni";
/// A kubelet that was restarted is up again within this time, on a slow machine too.
const RESTART: Duration = Duration::from_secs(30);

/// What the command is about to do, and what keeps it from that.
#[derive(Clone, Default)]
pub struct Underway {
    /// The objects of the assets.
    pub objects: Vec<Brought>,
    /// Whether the node of this machine is still to get its labels and its taint.
    pub marks_node: bool,
    /// The restart of kubelet, if the command restarts it.
    pub restart: Restart,
    /// Objects that the API does not accept yet.
    pub refused: Vec<Refusal>,
}

/// An object of the assets, as far as a cause may depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// `Kind namespace/name`, by which events name it.
    pub label: String,
    /// Whether it has been applied, or refused for good.
    pub is_done: bool,
    kind: String,
    namespace: Option<String>,
    name: String,
    means: Means,
}

/// What an object does for others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Means {
    /// It lets the controller manager approve requests of kubelets.
    Approval,
    /// It brings the network of pods.
    Network,
    /// It defines this group and kind.
    Definition(String, String),
    /// Nothing but itself.
    Itself,
}

/// How far the restart of kubelet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// The command has not restarted it.
    #[default]
    No,
    /// The restart has begun.
    Begun,
    /// It was done so long ago.
    Done(Duration),
}

/// An object that the API does not accept yet.
#[derive(Clone)]
pub struct Refusal {
    /// The object.
    pub item: Item,
    /// What the API said last.
    pub why: String,
    /// Since the first refusal.
    pub lasted: Duration,
}

impl Brought {
    /// An object that has not been applied yet.
    pub fn of(item: &Item) -> Self {
        let text = |pointer| item.value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let kind = text("/kind").unwrap_or_default();
        Self {
            label: item.label(),
            is_done: false,
            means: means(&kind, &item.value),
            kind,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// The same object, done or not.
    pub fn with(&self, is_done: bool) -> Self {
        Self { is_done, ..self.clone() }
    }

    /// Whether `message`, about something in `namespace`, names this object.
    fn is_named_in(&self, namespace: &str, message: &str) -> bool {
        let is_near = self.namespace.as_deref().is_none_or(|own| own == namespace);
        let kinds = message.to_ascii_lowercase().replace(' ', "");
        let is_part = |character: char| character.is_ascii_alphanumeric() || "-.".contains(character);
        let mut words = message.split(|character| !is_part(character));
        is_near && kinds.contains(&self.kind.to_ascii_lowercase()) && words.any(|word| word == self.name)
    }
}

fn means(kind: &str, value: &Value) -> Means {
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "ClusterRoleBinding" if text("/roleRef/name") == APPROVES => Means::Approval,
        "DaemonSet" if mounts_networks(value) => Means::Network,
        crd::KIND => Means::Definition(text("/spec/group").into(), text("/spec/names/kind").into()),
        _ => Means::Itself,
    }
}

fn mounts_networks(daemon_set: &Value) -> bool {
    let volumes = daemon_set["spec"]["template"]["spec"]["volumes"].as_array();
    let mut paths = volumes.into_iter().flatten().filter_map(|volume| volume["hostPath"]["path"].as_str());
    paths.any(|path| path.starts_with(NETWORKS))
}

impl Underway {
    /// Whether kubelet may be away because the command restarts it.
    pub fn restarts_kubelet(&self) -> bool {
        match self.restart {
            Restart::No => false,
            Restart::Begun => true,
            Restart::Done(since) => since < RESTART,
        }
    }

    /// Whether `message`, about something in `namespace`, names an object that is still to come.
    pub fn brings_what_is_named(&self, namespace: &str, message: &str) -> bool {
        self.to_come().any(|object| object.is_named_in(namespace, message))
    }

    /// The same for an object that was refused: the message also names the object itself, which is
    /// still to come.
    pub fn brings_what_it_lacks(&self, label: &str, namespace: &str, message: &str) -> bool {
        self.to_come().any(|object| object.label != label && object.is_named_in(namespace, message))
    }

    /// Whether the binding that lets requests of kubelets be approved is still to come.
    pub fn brings_approval(&self) -> bool {
        self.to_come().any(|object| object.means == Means::Approval)
    }

    /// Whether the definition of this group and kind is still to come.
    pub fn brings_definition(&self, group: &str, kind: &str) -> bool {
        let is_it = |means: &Means| match means {
            Means::Definition(own, defined) => own == group && defined == kind,
            Means::Approval | Means::Network | Means::Itself => false,
        };
        self.to_come().any(|object| is_it(&object.means))
    }

    /// The DaemonSet of the assets that brings the network of pods, applied or not.
    pub fn network(&self) -> Option<&str> {
        let mut all = self.objects.iter();
        all.find(|object| object.means == Means::Network).map(|object| object.label.as_str())
    }

    /// Whether the assets have this Service, applied or not.
    pub fn has_service(&self, namespace: &str, name: &str) -> bool {
        let is_it = |object: &Brought| object.kind == "Service" && object.name == name;
        self.objects
            .iter()
            .any(|object| is_it(object) && object.namespace.as_deref().unwrap_or("default") == namespace)
    }

    fn to_come(&self) -> impl Iterator<Item = &Brought> {
        self.objects.iter().filter(|object| !object.is_done)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn brings(value: Value) -> Underway {
        let brought = Brought::of(&Item { file: "f".into(), value });
        Underway { objects: vec![brought], ..Underway::default() }
    }

    #[test]
    fn a_message_names_an_object_by_kind_name_and_namespace() {
        let mut underway =
            brings(json!({"kind": "Secret", "metadata": {"name": "web-tls", "namespace": "shop"}}));
        let mount = "MountVolume.SetUp failed for volume \"v\" : secret \"web-tls\" not found";
        assert!(underway.brings_what_is_named("shop", mount));
        assert!(!underway.brings_what_is_named("kube-system", mount), "another namespace");
        assert!(!underway.brings_what_is_named("shop", "configmap \"web-tls\" not found"), "another kind");
        assert!(!underway.brings_what_is_named("shop", "secret \"web-tls-2\" not found"), "another name");
        underway.objects[0].is_done = true;
        assert!(!underway.brings_what_is_named("shop", mount), "it has been applied");
        let account =
            brings(json!({"kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "shop"}}));
        let said = "pods \"web-\" is forbidden: error looking up service account shop/web: \
                    serviceaccount \"web\" not found";
        assert!(account.brings_what_is_named("shop", said));
        let class = brings(json!({"kind": "PriorityClass", "metadata": {"name": "high"}}));
        assert!(class.brings_what_is_named("shop", "no PriorityClass with name high was found"));
    }

    #[test]
    fn what_an_object_does_for_others_is_read_from_its_manifest() {
        let binding =
            json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": {"name": APPROVES}});
        assert!(brings(binding).brings_approval());
        let volumes = json!([{"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}}]);
        let flannel = json!({"kind": "DaemonSet", "metadata": {"name": "flannel", "namespace": "kube-system"},
            "spec": {"template": {"spec": {"volumes": volumes}}}});
        assert_eq!(brings(flannel).network(), Some("DaemonSet kube-system/flannel"));
        let names = json!({"kind": "Toy", "plural": "toys"});
        let definition = json!({"kind": crd::KIND, "metadata": {"name": "toys.example.test"},
            "spec": {"group": "example.test", "names": names}});
        assert!(brings(definition.clone()).brings_definition("example.test", "Toy"));
        assert!(!brings(definition).brings_definition("example.test", "Game"));
        let service = brings(json!({"kind": "Service", "metadata": {"name": "hook", "namespace": "policy"}}));
        assert!(service.has_service("policy", "hook") && !service.has_service("default", "hook"));
    }

    #[test]
    fn kubelet_may_be_away_during_its_restart_and_shortly_after() {
        let underway = |restart| Underway { restart, ..Underway::default() };
        assert!(!underway(Restart::No).restarts_kubelet());
        assert!(underway(Restart::Begun).restarts_kubelet());
        assert!(underway(Restart::Done(Duration::from_secs(5))).restarts_kubelet());
        assert!(!underway(Restart::Done(Duration::from_secs(60))).restarts_kubelet());
    }
}
