//! Who may do what, asked of a real apiserver that runs with rendered flags, certificates and RBAC.
//!
//! Every credential is taken from the file that its owner gets, with the URL in it, so that kubeconfigs are tested too.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::assets::{load, order};
use bootkube::cluster::apply::{ApplyOptions, Item, Observer, Outcome, apply_all};
use bootkube::cluster::connect::connect;
use bootkube::cluster::kubeconfig::{self, Access, Identity};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use support::{object, shared};
use tokio::sync::OnceCell;

/// Everything that was rendered, in stages.
fn rendered() -> Vec<Vec<Item>> {
    let stages = order::order(load::load(&shared().assets).unwrap().objects);
    let item = |object: bootkube::assets::object::Object| Item { file: object.file, value: object.value };
    stages.into_iter().map(|(_, objects)| objects.into_iter().map(item).collect()).collect()
}

async fn apply() -> Vec<Outcome> {
    let outcome = |item: &Item, outcome: &Outcome, _: Duration| {
        if let Outcome::Failed { .. } | Outcome::Configured = outcome {
            println!("{}: {outcome:?}", item.label());
        }
    };
    let listener = Observer { outcome: &outcome, waiting: &|_, _| {} };
    let outcomes = apply_all(&shared().client(), &rendered(), &ApplyOptions::default(), listener).await;
    outcomes.into_iter().flatten().collect()
}

/// Has the rendered objects applied, once.
async fn applied() {
    static APPLIED: OnceCell<()> = OnceCell::const_new();
    let first = async || {
        let outcomes = apply().await;
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Created), "{outcomes:?}");
    };
    APPLIED.get_or_init(first).await;
}

/// Holder of a credential that was rendered.
#[derive(Clone, Copy, Debug)]
enum Who {
    Admin,
    ControllerManager,
    Scheduler,
    Proxy,
    Agent,
    Apiserver,
    Kubelet,
}

impl Who {
    fn access(self) -> Access {
        let assets = &shared().assets;
        match self {
            Self::Admin => kubeconfig::read(&assets.join("auth/kubeconfig")).unwrap(),
            Self::Kubelet => kubeconfig::read(&assets.join("auth/kubeconfig-kubelet")).unwrap(),
            Self::ControllerManager => of_secret(assets, "kube-controller-manager"),
            Self::Scheduler => of_secret(assets, "kube-scheduler"),
            Self::Proxy => of_secret(assets, "kube-proxy"),
            Self::Agent => of_secret(assets, "pod-checkpointer"),
            Self::Apiserver => {
                Access { identity: certificate("apiserver-kubelet-client"), ..Self::Admin.access() }
            }
        }
    }

    async fn can(self, verb: &str, what: &str) -> bool {
        let review: SelfSubjectAccessReview =
            serde_json::from_value(json!({"spec": {"resourceAttributes": attributes(verb, what)}})).unwrap();
        let reviews: Api<SelfSubjectAccessReview> = Api::all(connect(&self.access(), None).unwrap());
        let review = reviews.create(&PostParams::default(), &review).await;
        review.unwrap_or_else(|error| panic!("{self:?}: {error}")).status.unwrap().allowed
    }
}

/// The kubeconfig in a component's Secret.
fn of_secret(assets: &Path, component: &str) -> Access {
    let file = assets.join(format!("manifests/{component}-secret.yaml"));
    let text = STANDARD.decode(object(&file)["data"]["kubeconfig"].as_str().unwrap()).unwrap();
    kubeconfig::parse(&text, &file).unwrap()
}

fn certificate(name: &str) -> Identity {
    let read = |ending: &str| std::fs::read(shared().assets.join(format!("tls/{name}.{ending}"))).unwrap();
    Identity::Certificate { certificate: read("crt"), key: read("key") }
}

/// `[NAMESPACE:]RESOURCE[.GROUP][/SUBRESOURCE][=NAME]`; without a namespace, in all of them.
fn attributes(verb: &str, what: &str) -> serde_json::Value {
    let (namespace, what) = what.split_once(':').unwrap_or(("", what));
    let (what, name) = what.split_once('=').unwrap_or((what, ""));
    let (what, subresource) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    json!({"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name,
        "namespace": namespace})
}

const CSR: &str = "certificatesigningrequests.certificates.k8s.io";
const CSR_NODE_CLIENT: &str = "certificatesigningrequests.certificates.k8s.io/nodeclient";
const CSR_SELF_NODE_CLIENT: &str = "certificatesigningrequests.certificates.k8s.io/selfnodeclient";
const CSR_APPROVAL: &str = "certificatesigningrequests.certificates.k8s.io/approval";
const ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const SLICES: &str = "endpointslices.discovery.k8s.io";

/// Who, the verbs, on what, whether.
const CAN_I: &[(Who, &str, &str, bool)] = &[
    (Who::Admin, "*", "*.*", true),
    (Who::Admin, "get list create delete", "kube-system:secrets", true),
    (Who::Admin, "escalate bind", ROLES, true),
    (Who::ControllerManager, "list watch", "pods", true),
    (Who::ControllerManager, "list watch", "deployments.apps", true),
    (Who::ControllerManager, "get create update delete", "kube-system:secrets", true),
    (Who::ControllerManager, "create", "kube-system:serviceaccounts/token", true),
    (
        Who::ControllerManager,
        "get update",
        "kube-system:leases.coordination.k8s.io=kube-controller-manager",
        true,
    ),
    (Who::ControllerManager, "get", "kube-system:configmaps=extension-apiserver-authentication", true),
    // Controllers run under service accounts of their own; their manager itself cannot do their work.
    (Who::ControllerManager, "create delete", "kube-system:pods", false),
    (Who::ControllerManager, "update delete", "nodes", false),
    (Who::ControllerManager, "create update escalate bind", ROLES, false),
    (Who::ControllerManager, "update", CSR_APPROVAL, false),
    (Who::ControllerManager, "update delete", "kube-node-lease:leases.coordination.k8s.io=n1", false),
    (Who::Scheduler, "create", "default:bindings", true),
    (Who::Scheduler, "create", "default:pods/binding", true),
    (Who::Scheduler, "get list watch delete", "pods", true),
    (Who::Scheduler, "get list watch", "nodes", true),
    (Who::Scheduler, "update patch", "default:pods/status", true),
    (Who::Scheduler, "get update", "kube-system:leases.coordination.k8s.io=kube-scheduler", true),
    (Who::Scheduler, "get list watch", "kube-system:secrets", false),
    (Who::Scheduler, "create update", "default:pods", false),
    (Who::Scheduler, "update patch", "nodes", false),
    (Who::Scheduler, "update delete", "kube-node-lease:leases.coordination.k8s.io=n1", false),
    (Who::Proxy, "list watch", "services", true),
    (Who::Proxy, "list watch", SLICES, true),
    (Who::Proxy, "get list watch", "nodes", true),
    (Who::Proxy, "create patch", "default:events", true),
    (Who::Proxy, "get list watch", "kube-system:secrets", false),
    (Who::Proxy, "list", "pods", false),
    (Who::Proxy, "update patch", "nodes", false),
    (Who::Proxy, "create update", "default:services", false),
    (Who::Agent, "get list watch", "kube-system:pods", true),
    (Who::Agent, "patch", "kube-system:pods/status", true),
    (Who::Agent, "get update", "kube-system:leases.coordination.k8s.io=kube-scheduler", true),
    (Who::Agent, "list watch", "kube-system:daemonsets.apps", true),
    (Who::Agent, "list watch", "kube-system:deployments.apps", true),
    (Who::Agent, "get", "kube-system:secrets=kube-apiserver", true),
    (Who::Agent, "get", "kube-system:secrets=pod-checkpointer", true),
    (Who::Agent, "get", "kube-system:configmaps", true),
    (Who::Agent, "get", "nodes=n1", true),
    (Who::Agent, "patch delete create", "kube-system:pods", false),
    (Who::Agent, "get list watch", "kube-system:secrets", false),
    (Who::Agent, "get", "kube-system:secrets=bootstrap-token-abcdef", false),
    (Who::Agent, "update patch delete create", "kube-system:secrets=kube-apiserver", false),
    (Who::Agent, "list watch create update", "kube-system:configmaps", false),
    (Who::Agent, "update patch delete", "kube-system:daemonsets.apps=kube-apiserver", false),
    (Who::Agent, "get", "default:configmaps", false),
    (Who::Agent, "list patch update", "nodes", false),
    // The agent may read which pods of its machine ask for a copy, and their owners. A Role of
    // their namespace must allow what they refer to.
    (Who::Agent, "get list watch", "default:pods", true),
    (Who::Agent, "get", "default:daemonsets.apps=a", true),
    (Who::Agent, "get", "default:deployments.apps=a", true),
    (Who::Agent, "list watch", "default:daemonsets.apps", false),
    (Who::Agent, "patch", "default:pods/status", false),
    (Who::Agent, "get", "default:secrets=a", false),
    (Who::Agent, "update", "kube-system:leases.coordination.k8s.io=other", false),
    (Who::Apiserver, "create get", "nodes/proxy", true),
    (Who::Apiserver, "get", "nodes/log", true),
    (Who::Apiserver, "get", "nodes/stats", true),
    (Who::Apiserver, "get", "nodes/metrics", true),
    (Who::Apiserver, "get list", "kube-system:secrets", false),
    (Who::Apiserver, "list create", "default:pods", false),
    (Who::Apiserver, "update delete", "nodes", false),
    (Who::Apiserver, "create update", ROLES, false),
    (Who::Kubelet, "create get list watch", CSR, true),
    (Who::Kubelet, "create", CSR_NODE_CLIENT, true),
    (Who::Kubelet, "create", CSR_SELF_NODE_CLIENT, false),
    (Who::Kubelet, "update", CSR_APPROVAL, false),
    (Who::Kubelet, "approve", "signers.certificates.k8s.io=kubernetes.io/kube-apiserver-client", false),
    (Who::Kubelet, "get list", "pods", false),
    (Who::Kubelet, "get list", "kube-system:secrets", false),
    (Who::Kubelet, "create get list", "nodes", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_identity_may_do_its_work_and_nothing_else() {
    applied().await;
    let mut wrong = Vec::new();
    for (who, verbs, what, expected) in CAN_I {
        for verb in verbs.split(' ') {
            if who.can(verb, what).await != *expected {
                wrong.push(format!("{who:?} {verb} {what}: expected {expected}"));
            }
        }
    }
    let questions: usize = CAN_I.iter().map(|(_, verbs, ..)| verbs.split(' ').count()).sum();
    println!("{questions} questions, {} wrong answers", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_token_is_of_the_group_that_joins_and_of_no_other() {
    applied().await;
    let client = connect(&Who::Kubelet.access(), None).unwrap();
    let reviews: Api<k8s_openapi::api::authentication::v1::SelfSubjectReview> = Api::all(client);
    let user = reviews.create(&PostParams::default(), &Default::default()).await.unwrap();
    let mut groups = user.status.unwrap().user_info.unwrap().groups.unwrap();
    groups.sort();
    assert_eq!(groups, ["system:authenticated", "system:bootstrappers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_is_accepted_whole_and_applying_it_again_changes_nothing() {
    applied().await;
    let again = apply().await;
    println!("{} objects", again.len());
    assert!(again.iter().all(|outcome| *outcome == Outcome::Unchanged), "{again:?}");
}

/// Status of `path` as curl gets it; `000` where no answer came.
fn status(path: &str, arguments: &[&str]) -> String {
    let tls = shared().assets.join("tls");
    let url = format!("https://{}{path}", shared().endpoint);
    let mut curl = Command::new("curl");
    curl.args([
        "-sS",
        "--max-time",
        "10",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--cacert",
        "ca.crt",
        &url,
    ]);
    let output = curl.args(arguments).current_dir(tls).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const ADMIN: [&str; 4] = ["--cert", "admin.crt", "--key", "admin.key"];
const FRONT_PROXY: [&str; 4] = ["--cert", "front-proxy-client.crt", "--key", "front-proxy-client.key"];
const SCHEDULER: [&str; 4] = ["--cert", "scheduler.crt", "--key", "scheduler.key"];

#[test]
fn without_credentials_only_health_can_be_asked() {
    for path in ["/readyz", "/livez", "/healthz"] {
        assert_eq!(status(path, &[]), "200", "{path}");
    }
    for path in ["/version", "/metrics", "/api", "/apis", "/openapi/v2", "/readyz/ping", "/debug/pprof/"] {
        assert_eq!(status(path, &[]), "401", "{path}");
    }
    assert_eq!(status("/version", &ADMIN), "200");
    assert_eq!(status("/version", &["-H", "Authorization: Bearer abcdef.0123456789abcdef"]), "401");
}

#[test]
fn nothing_is_profiled_even_for_the_administrator() {
    for path in ["/debug/pprof/", "/debug/pprof/profile", "/debug/flags/v"] {
        assert_eq!(status(path, &ADMIN), "404", "{path}");
    }
}

#[test]
fn the_front_proxy_speaks_for_others_and_never_for_itself() {
    let claim = ["-H", "X-Remote-User: somebody", "-H", "X-Remote-Group: system:masters"];
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    assert_eq!(status("/version", &FRONT_PROXY), "401");
    assert_eq!(status(secrets, &[&FRONT_PROXY[..], &claim].concat()), "200");
    assert_eq!(status(secrets, &[&SCHEDULER[..], &claim].concat()), "403");
    assert_eq!(status(secrets, &claim), "401");
}

#[test]
fn etcd_takes_its_own_client_and_no_client_of_kubernetes() {
    let url = format!("https://{}/version", shared().etcd);
    let ask = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "10", "--cacert", "etcd-ca.crt", &url]).args(arguments);
        let output = curl.current_dir(shared().assets.join("tls")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("etcdserver")
    };
    assert!(ask(&["--cert", "etcd-client.crt", "--key", "etcd-client.key"]));
    assert!(!ask(&ADMIN));
    assert!(!ask(&[]));
}

/// Whether openssl gets through a handshake of that version, and what it said.
fn handshake(version: &str) -> (bool, String) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "s_client",
        "-connect",
        &shared().endpoint.to_string(),
        "-cipher",
        "ALL:@SECLEVEL=0",
        version,
    ]);
    let output = openssl.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn tls_before_1_2_is_refused_by_the_apiserver() {
    for version in ["-tls1_2", "-tls1_3"] {
        let (through, said) = handshake(version);
        assert!(through, "{version}\n{said}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let (through, said) = handshake(version);
        assert!(!through && said.contains("alert protocol version"), "{version}\n{said}");
    }
}
