//! Random configurations: what `config validate` accepts passes every check on a machine that was
//! set up for it as the documents say.

#[path = "../../tests/support/component_flags.rs"]
mod component_flags;
#[path = "../../tests/support/configurations.rs"]
mod configurations;
#[path = "../../tests/support/random.rs"]
mod random;

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::causes_tests::*;
use super::facts::{Etcd, Facts, Member};
use super::*;
use crate::assets::load;
use crate::config::{self, ClusterConfig, Flags};
use crate::kubelet::Kubeconfig;
use crate::pki::Bundle;
use crate::{pki, render, yaml};

/// Configurations of a quick run. In `make test` there are as many as the apiserver gets.
const CASES: u64 = 100;
const MORE: &str = "BOOTKUBE_CASES";

#[test]
fn a_machine_that_is_set_up_for_an_accepted_configuration_passes_every_check() {
    let seed = random::seed();
    let cases: u64 = std::env::var(MORE).map_or(CASES, |text| text.parse().unwrap());
    let half = |first: u64| (first..cases).step_by(2).filter(|index| passes(seed, *index)).count();
    let passed = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + other.join().unwrap()
    });
    println!("BOOTKUBE_SEED={seed}: {passed} of {cases} are accepted");
    assert!(passed as u64 > cases / 3, "BOOTKUBE_SEED={seed}: only {passed} are accepted");
}

/// Whether the configuration is accepted.
fn passes(seed: u64, index: u64) -> bool {
    let text = yaml::write(&configurations::Generator::new(seed, index).configuration().fields);
    let Ok((config, _)) = config::resolve(Flags::default(), Some(("cluster.yaml", &text))) else {
        return false;
    };
    let (bundle, _) = pki::validate(&config, NOW).unwrap();
    let Ok(assets) = render::render(&config, &bundle) else { return false };
    let folder = TempDir::new().unwrap();
    for (path, content) in &assets.files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let layout = load::load(folder.path()).unwrap();
    let options = CheckOptions { asset_dir: folder.path().into(), ..options() };
    let subject = Subject::new(&layout, &options).unwrap();
    for check in decide(&subject, &facts(&subject, &config, &bundle)) {
        let has_passed = matches!(check.outcome, Outcome::Pass(_) | Outcome::Warn(_));
        assert!(has_passed, "BOOTKUBE_SEED={seed}, {index}: {}: {:?}\n{text}", check.name, check.outcome);
    }
    true
}

/// A machine as the README sets it up.
fn facts(subject: &Subject<'_>, config: &ClusterConfig, bundle: &Bundle) -> Facts {
    let mut facts = good();
    let kubelet = facts.kubelet.as_mut().unwrap();
    let ca = bundle.get("ca.crt").to_vec();
    kubelet.config = configured(json!({
        "clusterDNS": [config.dns_service_ips()[0].to_string()],
        "clusterDomain": config.cluster_domain,
        "cgroupDriver": "systemd",
        "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/ca.crt"}},
    }));
    kubelet.authority = Some(Ok(ca.clone()));
    let token = &bundle.bootstrap_token;
    kubelet.bootstrap = Some(Ok(Kubeconfig {
        server: config::endpoint(&config.api_servers[0]),
        authority: Some(ca),
        token: Some(format!("{}.{}", token.id, token.secret)),
        ..joining()
    }));
    let images: Vec<String> = subject.images().into_iter().map(|image| image.reference).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).chain([PAUSE]).collect();
    facts.runtime = runtime(vec![ready("RuntimeReady", true), ready("NetworkReady", false)], &images);
    let answer = match config.etcd {
        config::Etcd::StaticPod => Etcd::Unreachable("refused".into()),
        config::Etcd::External { .. } => Etcd::Healthy,
    };
    let member =
        |url: Result<url::Url, String>| Member { url: url.unwrap().to_string(), answer: answer.clone() };
    facts.etcd = subject.etcd_servers().into_iter().map(member).collect();
    facts
}
