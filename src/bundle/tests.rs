use serde_json::Value;

use super::*;
use crate::config::{Flags, resolve};
use crate::yaml;

fn resolved(fields: &str) -> ClusterConfig {
    let text = format!("apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n{fields}\n");
    resolve(Flags::default(), Some(("test.yaml", &text))).unwrap().0
}

fn file(config: &ClusterConfig, path: &str) -> String {
    let files = render(config, &config.nodes[0], "kubeconfig".into(), b"ca");
    files.into_iter().find(|(found, _)| found == path).unwrap().1
}

/// The first document between the lines `begin` and `end` of the README.
fn of_readme(begin: &str, end: &str) -> String {
    let readme = include_str!("../../README.md");
    let block = readme.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line).to_owned() + "\n").collect()
}

#[test]
fn kubelets_configuration_is_that_of_the_readme_with_the_resolvers_of_the_machine() {
    let config =
        resolved("etcd: {mode: staticPod}\nnodes: [{name: n1, role: controller, addresses: [192.0.2.10]}]");
    let text = file(&config, "files/var/lib/kubelet/config.yaml");
    let mut value: Value = yaml::parse(&text, "").unwrap().remove(0);
    let resolvers = value.as_object_mut().unwrap().remove("resolvConf").unwrap();
    assert!(
        file(&config, "files/etc/systemd/system/kubelet.service.d/90-bootkube.conf")
            .contains(&format!("ln -sfn /etc/resolv.conf {}", resolvers.as_str().unwrap()))
    );
    let readme = of_readme("config.yaml <<'EOF'\n", "   EOF\n");
    assert_eq!(value, yaml::parse(&readme, "").unwrap().remove(0));
}

#[test]
fn kubelets_command_is_that_of_the_readme_with_the_flags_of_the_machine() {
    let config = resolved(
        "etcd: {mode: staticPod}\nnodes:\n- {name: n1, role: controller, addresses: ['fd00::1', 192.0.2.1], labels: [a=b, c]}",
    );
    let text = file(&config, "files/etc/systemd/system/kubelet.service.d/90-bootkube.conf");
    let words = |text: &str| -> Vec<String> {
        let command = text.split_once("ExecStart=\nExecStart=").unwrap().1.replace("\\\n", " ");
        command.split_whitespace().map(str::to_owned).collect()
    };
    let mut command = words(&text);
    let own = ["--hostname-override=n1", "--node-ip=fd00::1,192.0.2.1", "--node-labels=a=b,c="];
    assert!(own.iter().all(|flag| command.iter().any(|word| word == flag)), "{command:?}");
    command.retain(|word| !own.contains(&word.as_str()));
    assert_eq!(command, words(&of_readme("90-bootkube.conf <<'EOF'\n", "   EOF\n")));
}

#[test]
fn a_machine_without_addresses_and_labels_has_no_flags_of_them() {
    let config = resolved(
        "etcd: {mode: staticPod}\nnodes:\n- {name: w, role: worker}\n- {name: c, role: controller, addresses: [192.0.2.1]}",
    );
    let text = file(&config, "files/etc/systemd/system/kubelet.service.d/90-bootkube.conf");
    assert!(!text.contains("--node-ip") && !text.contains("--node-labels") && !text.contains('@'), "{text}");
    let value = file(&config, "files/var/lib/kubelet/config.yaml");
    assert!(!value.contains("registerWithTaints"), "{value}");
}
