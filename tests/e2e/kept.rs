//! What the agent keeps beyond the control plane's pods: its own certificate, and pods of other
//! namespaces.

use std::time::Duration;

use bootkube::pki::examine;
use lab::cluster::ASSETS;
use time::OffsetDateTime;

use crate::checks::eventually;
use crate::client::client;
use crate::world::World;

/// How long the agent's first certificate is valid: longer than `start` takes, and shorter than the
/// rest of the test.
const LEFT: Duration = Duration::from_secs(75);
const AGENT: &str = "bootkube-agent";

/// Gives the rendered agent a certificate that expires in [`LEFT`]: in its last third, in which the
/// agent issues itself another, and not in its last tenth, in which `render` would. Returns when.
pub fn end_soon(world: &World) -> OffsetDateTime {
    let read =
        |name: &str| String::from_utf8(world.n1().read(&format!("{ASSETS}/tls/{name}")).unwrap()).unwrap();
    let now = OffsetDateTime::now_utc();
    let end = now + LEFT;
    let life = (now - 4 * LEFT, end);
    let (certificate, key) = client(AGENT, (&read("ca.crt"), &read("ca.key")), life);
    for (name, pem) in [("agent.crt", certificate), ("agent.key", key)] {
        world.n1().write(&format!("{ASSETS}/tls/{name}"), pem.as_bytes(), 0o600).unwrap();
    }
    let said = world.cluster.render().unwrap();
    assert!(!said.contains("agent.crt: renewed"), "{said}");
    end
}

/// The rendered certificate has expired, the agent uses one that it issued, and `status` reports
/// both.
pub fn has_another_certificate(world: &World, end: OffsetDateTime) {
    let left = end - OffsetDateTime::now_utc();
    std::thread::sleep(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(2));
    let rendered = world.n1().read(&format!("{ASSETS}/tls/agent.crt")).unwrap();
    assert!(examine(&rendered).unwrap()[0].not_after() < OffsetDateTime::now_utc());
    eventually(30, || {
        let said = identity(world);
        said.contains("issued by the agent itself").then_some(()).ok_or(said)
    });
    eventually(60, || {
        let kubeconfig = format!("{ASSETS}/auth/kubeconfig");
        let status = world.n1().exec(&["bootkube", "status", "--kubeconfig", &kubeconfig]).unwrap();
        let status = String::from_utf8(status.stdout).unwrap(); // other findings after a power cut do not matter here
        let of_agent: Vec<&str> = status.lines().filter(|line| line.starts_with(AGENT)).collect();
        let sources = ["Secret pod-checkpointer", "by the agent itself"];
        let is_of =
            |(line, source): (&&str, &str)| line.contains(source) && line.contains("renewed automatically");
        let are_told = of_agent.len() == 2 && of_agent.iter().zip(sources).all(is_of);
        are_told.then_some(()).ok_or(status)
    });
}

/// The condition of the agent's pod about its certificate.
pub fn identity(world: &World) -> String {
    let path = "{.items[*].status.conditions[?(@.type==\"bootkube.dev/identity\")].message}";
    let words = ["-n", "kube-system", "get", "pods", "-l", "k8s-app=pod-checkpointer", "-o"];
    world.kubectl(&[&words[..], &[&format!("jsonpath={path}")]].concat())
}

/// A workload of another namespace that asks for a copy, and needs a Secret.
pub const PROD: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: Secret
metadata: {name: word, namespace: prod}
stringData: {word: "xyzzy-plugh-plover"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {checkpointer.alpha.coreos.com/checkpoint: "true"}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 0}
      tolerations: [{operator: Exists}]
      volumes: [{name: word, secret: {secretName: word}}]
      containers:
        - name: web
          image: docker.io/library/busybox:1.36
          command: [/bin/sh, -c, "cat /word/word && exec sleep 1000000"]
          volumeMounts: [{name: word, mountPath: /word}]
"#;

/// A pod of another namespace is not kept while the agent may not read its Secret, and the agent's
/// pod says how to allow that. Then it is kept, and its copy goes with its Deployment.
pub fn keeps_other_namespaces(world: &World) {
    world.apply(PROD);
    let mut allow = String::new();
    eventually(60, || {
        let said = world.kubectl(&[
            "-n",
            "kube-system",
            "get",
            "pods",
            "-l",
            "k8s-app=pod-checkpointer",
            "-o",
            "jsonpath={.items[*].status.conditions[?(@.type==\"bootkube.dev/kept\")].message}",
        ]);
        let (_, commands) = said
            .split_once("prod/web: ")
            .and_then(|(_, why)| why.split_once("allow it: "))
            .ok_or(said.as_str())?;
        allow = commands.to_owned();
        Ok(())
    });
    assert!(!copies(world).contains("prod/web"));
    world.shell(&allow);
    eventually(30, || copies(world).contains("prod/web").then_some(()).ok_or_else(|| copies(world)));
    let files = "/etc/kubernetes/checkpoint-secrets/prod/web/*/word/word";
    assert_eq!(world.shell(&format!("stat -Lc '%a %U' {files}")), "600 root\n");
    world.kubectl(&["-n", "prod", "delete", "deployment", "web"]);
    eventually(120, || {
        let left = world.shell(
            "find /etc/kubernetes/inactive-manifests /etc/kubernetes/checkpoint-secrets -path '*prod*'",
        );
        left.is_empty().then_some(()).ok_or(left)
    });
}

fn copies(world: &World) -> String {
    world.n1().run(&["bootkube", "checkpoint", "list"]).unwrap()
}
