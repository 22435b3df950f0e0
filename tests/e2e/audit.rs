//! Which users and programs wrote to the cluster, by the apiservers' audit log.

use std::collections::BTreeMap;

use serde_json::Value;

/// Users of the rendered kubeconfigs and of Kubernetes itself.
const SYSTEM: [&str; 4] =
    ["system:apiserver", "system:kube-controller-manager", "system:kube-proxy", "system:kube-scheduler"];
/// Programs that use the administrator's kubeconfig: bootkube, and the bootstrap pods, which have
/// no identity of their own.
const ADMINISTRATORS: [&str; 3] = ["bootkube/", "kube-controller-manager/", "kube-scheduler/"];

/// Requests that changed something, counted by user and program. Refused requests do not count,
/// such as those of a kubelet whose token does not exist yet.
pub fn writers(log: &str) -> BTreeMap<(String, String), usize> {
    let mut writers = BTreeMap::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["responseStatus"]["code"].as_u64().is_some_and(|code| code >= 400) {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        *writers.entry((text(&event["user"]["username"]), text(&event["userAgent"]))).or_default() += 1;
    }
    writers
}

/// Whether this is bootkube, a kubelet or a rendered identity.
pub fn is_expected(user: &str, agent: &str) -> bool {
    match user {
        "kubernetes-admin" => ADMINISTRATORS.iter().any(|program| agent.starts_with(program)),
        user if user.starts_with("system:bootstrap:") || user.starts_with("system:node:") => {
            agent.starts_with("kubelet/")
        }
        "bootkube-agent" => agent.starts_with("bootkube/"),
        user => SYSTEM.contains(&user) || user.starts_with("system:serviceaccount:kube-system:"),
    }
}
