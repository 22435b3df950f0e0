//! What both old trees consist of: files by path, and the pods of a control plane as they were
//! then, with the images and flags of today. Their apiservers know no shared port.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::config::defaults::KUBERNETES_VERSION;
use bootkube::yaml;
use lab::Machine;
use lab::cluster::ASSETS;
use lab::quirks::kube_proxy_args;
use serde_json::{Value, json};

use super::pki::Files;

/// Folder in pods with their secrets.
const SECRETS: &str = "/etc/kubernetes/secrets";
/// User of the self-hosted control plane.
const NOBODY: i64 = 65534;

/// Flags of the self-hosted scheduler.
pub const SCHEDULER: [&str; 2] = ["--authentication-skip-lookup=true", "--leader-elect=true"];

/// An asset directory: path to content.
#[derive(Default)]
pub struct Tree(pub BTreeMap<String, Vec<u8>>);

impl Tree {
    /// A file of one document.
    pub fn put(&mut self, path: &str, value: &Value) {
        self.put_all(path, std::slice::from_ref(value));
    }

    /// A file of several documents, with an empty one at its end, as templates leave it.
    pub fn put_all(&mut self, path: &str, values: &[Value]) {
        let documents: Vec<String> = values.iter().map(yaml::write).collect();
        let end = if values.len() > 1 { "---\n# nothing more\n" } else { "" };
        self.0.insert(path.to_owned(), format!("{}{end}", documents.join("---\n")).into_bytes());
    }

    /// Every file of `tls/`.
    pub fn put_secrets(&mut self, files: &Files) {
        self.0.extend(files.iter().map(|(path, content)| (format!("tls/{path}"), content.clone())));
    }

    /// The three bootstrap pods.
    pub fn put_bootstrap(&mut self, etcd: &str) {
        let host = [
            ("secrets", "/etc/kubernetes/bootstrap-secrets"),
            ("ssl-certs-host", "/usr/share/ca-certificates"),
        ];
        let volumes = host.map(|(name, path)| json!({"name": name, "hostPath": {"path": path}}));
        let kubeconfig = format!("--kubeconfig={SECRETS}/kubeconfig");
        for (file, name, command) in [
            ("apiserver", "kube-apiserver", apiserver(etcd, &[])),
            ("controller-manager", "kube-controller-manager", manager(&[&kubeconfig])),
            ("scheduler", "kube-scheduler", vec![kubeconfig.clone(), "--leader-elect=true".to_owned()]),
        ] {
            let spec =
                json!({"containers": [container(name, &command)], "hostNetwork": true, "volumes": volumes});
            let metadata = json!({"name": format!("bootstrap-{name}"), "namespace": "kube-system"});
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            self.put(&format!("bootstrap-manifests/bootstrap-{file}.yaml"), &pod);
        }
    }

    /// Writes it to the lab's folder of assets.
    pub fn write(&self, machine: &Machine) {
        for (path, content) in &self.0 {
            let path = format!("{ASSETS}/{path}");
            let folder = path.rsplit_once('/').unwrap().0;
            std::fs::create_dir_all(machine.path(folder)).unwrap();
            machine.write(&path, content, 0o600).unwrap();
        }
    }
}

/// Flags of an apiserver whose etcd is at `etcd`.
pub fn apiserver(etcd: &str, more: &[&str]) -> Vec<String> {
    let secret = |flag: &str, file: &str| format!("--{flag}={SECRETS}/{file}");
    let mut flags = vec![
        "--advertise-address=$(POD_IP)".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--bind-address=0.0.0.0".to_owned(),
        secret("client-ca-file", "ca.crt"),
        "--enable-bootstrap-token-auth=true".to_owned(),
        secret("etcd-cafile", "etcd-client-ca.crt"),
        secret("etcd-certfile", "etcd-client.crt"),
        secret("etcd-keyfile", "etcd-client.key"),
        format!("--etcd-servers={etcd}"),
        secret("kubelet-client-certificate", "apiserver.crt"),
        secret("kubelet-client-key", "apiserver.key"),
        "--secure-port=6443".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        secret("service-account-key-file", "service-account.pub"),
        secret("service-account-signing-key-file", "service-account.key"),
        "--service-cluster-ip-range=10.3.0.0/24".to_owned(),
        secret("tls-cert-file", "apiserver.crt"),
        secret("tls-private-key-file", "apiserver.key"),
    ];
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    flags
}

/// Flags of a controller manager.
pub fn manager(more: &[&str]) -> Vec<String> {
    let secret = |flag: &str, file: &str| format!("--{flag}={SECRETS}/{file}");
    let mut flags = vec![
        "--allocate-node-cidrs=true".to_owned(),
        "--authentication-skip-lookup=true".to_owned(),
        "--cluster-cidr=10.2.0.0/16".to_owned(),
        secret("cluster-signing-cert-file", "ca.crt"),
        secret("cluster-signing-key-file", "ca.key"),
        "--configure-cloud-routes=false".to_owned(),
        "--leader-elect=true".to_owned(),
        secret("root-ca-file", "ca.crt"),
        secret("service-account-private-key-file", "service-account.key"),
        "--service-cluster-ip-range=10.3.0.0/24".to_owned(),
    ];
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    flags
}

fn image(name: &str) -> String {
    format!("registry.k8s.io/{name}:{KUBERNETES_VERSION}")
}

fn container(name: &str, flags: &[String]) -> Value {
    let command: Vec<&str> = std::iter::once(name).chain(flags.iter().map(String::as_str)).collect();
    let mounts = [(SECRETS, "secrets"), ("/etc/ssl/certs", "ssl-certs-host")];
    let mounts = mounts.map(|(path, name)| json!({"mountPath": path, "name": name, "readOnly": true}));
    let env = ["POD_IP", "NODE_NAME"].into_iter().zip(["status.podIP", "spec.nodeName"]);
    let env: Vec<Value> = env
        .map(|(name, path)| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}))
        .collect();
    json!({"name": name, "image": image(name), "command": command, "env": env, "volumeMounts": mounts})
}

/// An object of kube-system.
pub fn object(version: &str, kind: &str, name: &str, rest: &Value) -> Value {
    let mut object =
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}});
    json_patch::merge(&mut object, rest);
    object
}

/// A service account.
pub fn service_account(name: &str) -> Value {
    object("v1", "ServiceAccount", name, &json!({}))
}

/// A ClusterRoleBinding of `role` to a service account; with a namespace, which it cannot have.
pub fn binding(name: &str, role: &str, account: &str) -> Value {
    let subject = json!({"kind": "ServiceAccount", "name": account, "namespace": "kube-system"});
    group_binding(name, role, &subject)
}

/// The same to any subject.
pub fn group_binding(name: &str, role: &str, subject: &Value) -> Value {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    object(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        name,
        &json!({"roleRef": role, "subjects": [subject]}),
    )
}

/// A group of users.
pub fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

/// A Secret of `tls/` files, and of `nulls` where a template had no value.
pub fn secret(name: &str, files: &Files, keys: &[&str], nulls: &[&str]) -> Value {
    let mut secret = object("v1", "Secret", name, &json!({"type": "Opaque"}));
    for key in keys {
        secret["data"][key] = json!(STANDARD.encode(&files[*key]));
    }
    for key in nulls {
        secret["data"][key] = Value::Null;
    }
    secret
}

/// The labels and the node selector of every control-plane pod.
fn template(name: &str, spec: &Value) -> Value {
    let tolerations = json!([
        {"key": "CriticalAddonsOnly", "operator": "Exists"},
        {"key": "node-role.kubernetes.io/master", "operator": "Exists", "effect": "NoSchedule"},
    ]);
    let mut whole = json!({
        "metadata": {
            "labels": {"tier": "control-plane", "k8s-app": name},
            "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"},
        },
        "spec": {"nodeSelector": {"node-role.kubernetes.io/master": ""}, "tolerations": tolerations},
    });
    json_patch::merge(&mut whole["spec"], spec);
    whole
}

fn workload(kind: &str, name: &str, fields: &Value, spec: &Value) -> Value {
    let mut rest =
        json!({"spec": {"selector": {"matchLabels": {"k8s-app": name}}, "template": template(name, spec)}});
    json_patch::merge(&mut rest["spec"], fields);
    object("apps/v1", kind, name, &rest)
}

/// The self-hosted apiserver: one at a time, on the bootstrap apiserver's port.
pub fn apiserver_set(etcd: &str, account: Option<&str>, ports: &Value) -> Value {
    let mut container = container("kube-apiserver", &apiserver(etcd, &["--anonymous-auth=false"]));
    container["ports"] = ports.clone();
    let update = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}});
    let spec = json!({
        "containers": [container],
        "hostNetwork": true,
        "serviceAccountName": account,
        "securityContext": {"runAsNonRoot": true, "runAsUser": NOBODY},
        "volumes": secret_volumes("kube-apiserver"),
    });
    workload("DaemonSet", "kube-apiserver", &json!({"updateStrategy": update}), &spec)
}

fn secret_volumes(secret: &str) -> Value {
    json!([
        {"name": "secrets", "secret": {"secretName": secret}},
        {"name": "ssl-certs-host", "hostPath": {"path": "/usr/share/ca-certificates"}},
    ])
}

/// The self-hosted controller manager or scheduler, on the pod network and without a readiness
/// probe. Only the controller manager has secrets.
pub fn elected(name: &str, flags: &[String], port: u16, replicas: u32, account: Option<&str>) -> Value {
    let mut container = container(name, flags);
    let healthz = json!({"scheme": "HTTPS", "path": "/healthz", "port": port});
    container["livenessProbe"] = json!({"httpGet": healthz, "initialDelaySeconds": 15, "timeoutSeconds": 15});
    let term =
        json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"k8s-app": name}}});
    let preferred = json!([{"weight": 100, "podAffinityTerm": term}]);
    let mut volumes = secret_volumes(name);
    if name == "kube-scheduler" {
        (container["volumeMounts"], volumes) = (json!(null), json!(null));
    }
    let spec = json!({
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
        "containers": [container],
        "dnsPolicy": "Default",
        "serviceAccountName": account,
        "securityContext": {"runAsNonRoot": true, "runAsUser": NOBODY},
        "volumes": volumes,
    });
    workload("Deployment", name, &json!({"replicas": replicas}), &spec)
}

/// A disruption budget that leaves one pod of an elected component.
pub fn disruption(name: &str) -> Value {
    let selector = json!({"matchLabels": {"k8s-app": name}});
    object(
        "policy/v1",
        "PodDisruptionBudget",
        name,
        &json!({"spec": {"minAvailable": 1, "selector": selector}}),
    )
}

/// kube-proxy, by the names of its files.
pub fn proxy() -> [(&'static str, Value); 3] {
    [
        ("kube-proxy", proxy_set()),
        ("kube-proxy-sa", service_account("kube-proxy")),
        ("kube-proxy-role-binding", binding("kube-proxy", "system:node-proxier", "kube-proxy")),
    ]
}

/// It reads the kubeconfig of a ConfigMap. The lab's own flags come last.
fn proxy_set() -> Value {
    let mut flags = [
        "--cluster-cidr=10.2.0.0/16",
        "--hostname-override=$(NODE_NAME)",
        "--kubeconfig=/etc/kubernetes/kubeconfig",
        "--proxy-mode=nftables",
    ]
    .map(str::to_owned)
    .to_vec();
    flags.extend(kube_proxy_args().iter().map(|(flag, value)| format!("--{flag}={value}")));
    let mut container = container("kube-proxy", &flags);
    container["securityContext"] = json!({"privileged": true});
    container["volumeMounts"] = json!([
        {"mountPath": "/etc/kubernetes", "name": "kubeconfig", "readOnly": true},
        {"mountPath": "/lib/modules", "name": "lib-modules", "readOnly": true},
    ]);
    let spec = json!({
        "containers": [container],
        "hostNetwork": true,
        "nodeSelector": null,
        "serviceAccountName": "kube-proxy",
        "tolerations": [{"operator": "Exists"}],
        "volumes": [
            {"name": "kubeconfig", "configMap": {"name": "kubeconfig-in-cluster"}},
            {"name": "lib-modules", "hostPath": {"path": "/lib/modules"}},
        ],
    });
    workload("DaemonSet", "kube-proxy", &json!({}), &spec)
}

/// The ConfigMap of that kubeconfig: credentials from a pod's token, a context without a name.
pub fn kubeconfig_in_cluster(server: &str) -> Value {
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let kubeconfig = json!({
        "apiVersion": "v1",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority": format!("{account}/ca.crt")}}],
        "users": [{"name": "service-account", "user": {"tokenFile": format!("{account}/token")}}],
        "contexts": [{"context": {"cluster": "local", "user": "service-account"}}],
    });
    object(
        "v1",
        "ConfigMap",
        "kubeconfig-in-cluster",
        &json!({"data": {"kubeconfig": yaml::write(&kubeconfig)}}),
    )
}

/// A kubeconfig on disk. Without `context` that one has no name, and none is current.
pub fn kubeconfig(server: &str, files: &Files, user: &Value, context: Option<&str>) -> Value {
    let cluster = json!({"server": server, "certificate-authority-data": STANDARD.encode(&files["ca.crt"])});
    let mut whole = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"context": {"cluster": "local", "user": "user"}}],
    });
    if let Some(context) = context {
        whole["contexts"][0]["name"] = json!(context);
        whole["current-context"] = json!(context);
    }
    whole
}

/// A user by certificate.
pub fn by_certificate(files: &Files, name: &str) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(&files[&format!("{name}.crt")]),
        "client-key-data": STANDARD.encode(&files[&format!("{name}.key")]),
    })
}

/// CoreDNS: name of the file, and what it holds.
pub fn coredns() -> [(&'static str, Value); 6] {
    let corefile = ".:53 {\n    errors\n    health\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa\n    \
        forward . /etc/resolv.conf\n    cache 30\n    reload\n}\n";
    let verbs = json!(["list", "watch"]);
    let rules = json!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]);
    let protocols = ["UDP", "TCP"].into_iter().zip(["dns", "dns-tcp"]);
    let ports: Vec<Value> = protocols
        .clone()
        .map(|(protocol, name)| json!({"name": name, "protocol": protocol, "containerPort": 53}))
        .collect();
    let services: Vec<Value> =
        protocols.map(|(protocol, name)| json!({"name": name, "protocol": protocol, "port": 53})).collect();
    let container = json!({
        "name": "coredns",
        "image": "registry.k8s.io/coredns/coredns:v1.14.2",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": ports,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    });
    let config = json!([{"name": "config", "configMap": {"name": "coredns"}}]);
    let spec = json!({"containers": [container], "dnsPolicy": "Default", "serviceAccountName": "coredns", "volumes": config});
    [
        (
            "cluster-role",
            object("rbac.authorization.k8s.io/v1", "ClusterRole", "system:coredns", &json!({"rules": rules})),
        ),
        ("cluster-role-binding", binding("system:coredns", "system:coredns", "coredns")),
        ("config", object("v1", "ConfigMap", "coredns", &json!({"data": {"Corefile": corefile}}))),
        ("deployment", workload("Deployment", "coredns", &json!({"replicas": 1}), &spec)),
        (
            "service",
            object(
                "v1",
                "Service",
                "kube-dns",
                &json!({
                    "spec": {"selector": {"k8s-app": "coredns"}, "clusterIP": "10.3.0.10", "ports": services},
                }),
            ),
        ),
        ("service-account", service_account("coredns")),
    ]
}
