//! A good machine is changed in one respect, and exactly one check must fail and name the cause.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::causes_tests::*;
use super::checks::CHECKS;
use super::facts::{ApiListener, DataFolder, Distrust, Etcd, Manifest, Registry};
use super::*;
use crate::host::systemd::{Service, Standing};
use crate::kubelet::{Health, Runtime};

/// The outcome of every check but those of certificates, on a good machine changed by `change`.
pub(super) fn outcomes(change: impl FnOnce(&mut Facts)) -> Vec<(&'static str, Outcome)> {
    let (layout, options) = (layout(), options());
    let subject = Subject::new(&layout, &options).unwrap();
    let mut facts = good();
    change(&mut facts);
    let records = CHECKS
        .iter()
        .filter(|record| !record.name.starts_with("certificate") && record.name != "server-names");
    records.map(|record| (record.name, (record.decide)(&subject, &facts))).collect()
}

/// The message of the one check that fails.
fn failure(change: impl FnOnce(&mut Facts)) -> String {
    let mut failed = outcomes(change).into_iter().filter_map(|(name, outcome)| match outcome {
        Outcome::Fail(problems) => Some((name, problems)),
        _ => None,
    });
    let (name, problems) = failed.next().expect("something fails");
    assert_eq!(failed.map(|(name, _)| name).collect::<Vec<_>>(), [] as [&str; 0], "beside {name}");
    let said = problems.iter().map(|Problem { what, why, cure }| format!("{what}; {why}; {cure}"));
    format!("{name}: {}", said.collect::<Vec<_>>().join("\n"))
}

fn unknown(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    let outcomes = outcomes(change);
    assert!(!outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Fail(_))), "{outcomes:#?}");
    let unknown = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)));
    unknown.map(|(name, _)| *name).collect()
}

#[test]
fn a_good_machine_passes_every_check() {
    assert_eq!(unknown(|_| {}), [] as [&str; 0]);
}

#[test]
fn each_cause_has_a_message_of_its_own_and_no_other() {
    let messages: Vec<String> = CAUSES.iter().map(|(change, _)| failure(change)).collect();
    for (i, message) in messages.iter().enumerate() {
        let words = CAUSES.iter().map(|(_, words)| *words);
        let matching: Vec<usize> = words
            .enumerate()
            .filter(|(_, words)| message.starts_with(words))
            .map(|(cause, _)| cause)
            .collect();
        assert_eq!(matching, [i], "{message}");
    }
}

#[test]
fn what_a_container_cannot_see_is_unknown() {
    let container = |facts: &mut Facts| {
        facts.kubelet = None;
        facts.runtime = Runtime::Unseen("no socket".into());
        facts.api_host = Err("no such name".into());
        facts.etcd_data = DataFolder::Unseen;
        facts.volumes[1].room = Err("there is no /var/lib/etcd here".into());
    };
    let expected = [
        "space",
        "swap",
        "kubelet-static-pods",
        "kubelet-certificates",
        "kubelet-settings",
        "kubelet-credentials",
        "container-runtime",
        "images",
        "api-address",
        "etcd-data",
    ];
    assert_eq!(unknown(container), expected);
}

#[test]
fn a_kubelet_elsewhere_and_images_that_may_come_are_unknown() {
    assert_eq!(unknown(|facts| facts.health = Health::Off), ["kubelet"]);
    assert_eq!(unknown(|facts| facts.etcd.clear()), ["etcd"]);
    assert_eq!(
        unknown(|facts| facts.health = Health::Silent("refused".into())),
        ["kubelet"],
        "10250 is listened on"
    );
    assert_eq!(unknown(|facts| missing(facts, Registry::Reached)), ["images"]);
    assert_eq!(unknown(|facts| missing(facts, Registry::Detour("no route".into()))), ["images"]);
}

#[test]
fn swap_is_no_obstacle_where_kubelet_takes_it() {
    let takes = |facts: &mut Facts| {
        on(facts, &["/dev/zram0"]);
        in_fstab(facts);
        facts.kubelet.as_mut().unwrap().config = configured(json!({"failSwapOn": false}));
    };
    assert_eq!(unknown(takes), [] as [&str; 0]);
    let by_flag = |facts: &mut Facts| {
        on(facts, &["/dev/sda2"]);
        let process = &mut facts.kubelet.as_mut().unwrap().process;
        process.words.push("--fail-swap-on=false".into());
    };
    assert_eq!(unknown(by_flag), [] as [&str; 0]);
    let unreadable = |facts: &mut Facts| {
        on(facts, &["/dev/sda2"]);
        facts.kubelet.as_mut().unwrap().config = Err("denied".into());
    };
    assert_eq!(unknown(unreadable), ["swap", "kubelet-certificates", "kubelet-settings"]);
}

#[test]
fn swap_is_judged_by_the_configuration_with_which_kubelet_will_start() {
    let swap = |at_rest: Option<Value>| {
        let change = |facts: &mut Facts| {
            gone(facts);
            on(facts, &["/dev/sda2"]);
            facts.at_rest = at_rest;
        };
        let mut outcomes = outcomes(change).into_iter();
        outcomes.find(|(name, _)| *name == "swap").unwrap().1
    };
    assert!(matches!(swap(Some(json!({"rotateCertificates": true}))), Outcome::Fail(_)));
    assert!(matches!(swap(Some(json!({"failSwapOn": false}))), Outcome::Pass(_)));
    assert!(matches!(swap(None), Outcome::Unknown(_)), "it is still to be written");
}

#[test]
fn a_runtime_that_systemd_knows_to_be_stopped_is_no_longer_unknown() {
    let stopped = |facts: &mut Facts| {
        facts.runtime = Runtime::Unseen("no socket".into());
        facts.services = vec![service("containerd", Standing::Stopped), service("crio", Standing::Missing)];
    };
    let said = failure(stopped);
    assert!(said.starts_with("container-runtime: the container runtime does not answer at /run/containerd/"));
    assert!(said.contains("containerd.service is stopped; start it (systemctl start containerd):"), "{said}");
    let unprivileged = |facts: &mut Facts| {
        facts.runtime = Runtime::Unseen("permission denied".into());
        facts.services = vec![service("containerd", Standing::Runs)];
    };
    assert_eq!(unknown(unprivileged), ["container-runtime", "images"]);
}

/// Docker brings containerd to machines on which kubelet uses CRI-O.
#[test]
fn the_runtime_that_kubelet_uses_is_named_and_no_other() {
    let services = || vec![service("containerd", Standing::Stopped), service("crio", Standing::Runs)];
    let silent = |facts: &mut Facts| {
        facts.runtime = Runtime::Silent { socket: "/run/crio/crio.sock".into(), why: "refused".into() };
        facts.services = services();
    };
    let said = failure(silent);
    assert!(said.contains("systemctl start crio") && !said.contains("containerd"), "{said}");
    let unready = |facts: &mut Facts| {
        let mut runtime = runtime(vec![ready("RuntimeReady", false)], &[IMAGE, PAUSE]);
        if let Runtime::Answers { version, .. } = &mut runtime {
            *version = "cri-o 1.36.0".into();
        }
        (facts.runtime, facts.services) = (runtime, services());
    };
    assert!(failure(unready).contains("journalctl -u crio"));
    let unseen = |facts: &mut Facts| {
        facts.runtime = Runtime::Unseen("no socket".into());
        let docker = Service { starts_at_boot: false, ..service("containerd", Standing::Stopped) };
        facts.services = vec![docker, service("crio", Standing::Stopped)];
    };
    assert!(failure(unseen).contains("crio.service is stopped"));
}

/// The names of the checks that pass with a warning; none may fail.
fn warned(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    let outcomes = outcomes(change);
    assert!(!outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Fail(_))), "{outcomes:#?}");
    let warned = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Warn(_)));
    warned.map(|(name, _)| *name).collect()
}

#[test]
fn what_the_next_boot_undoes_is_a_warning() {
    let forgotten = |facts: &mut Facts| {
        let setting = facts.kernel.settings.get_mut("net.ipv4.ip_forward").unwrap();
        setting.at_boot = Some(None);
        facts.services = vec![
            Service { starts_at_boot: false, ..service("kubelet", Standing::Runs) },
            Service { starts_at_boot: false, ..service("containerd", Standing::Runs) },
        ];
    };
    assert_eq!(warned(forgotten), ["kubelet", "container-runtime", "forwarding"]);
    let out_of_sight = |facts: &mut Facts| {
        facts.kernel.settings.values_mut().for_each(|setting| setting.at_boot = None);
    };
    assert_eq!(warned(out_of_sight), [] as [&str; 0]);
}

#[test]
fn a_user_who_may_not_read_the_assets_is_told_of_root_and_of_nothing_else() {
    let checks = without_assets();
    assert_eq!(Failed::among(&checks).unwrap_err().names(), ["root"]);
    assert!(checks[1..].iter().all(|check| matches!(check.outcome, Outcome::Unknown(_))));
}

#[test]
fn what_this_cluster_left_itself_is_not_in_the_way() {
    let nothing: [&str; 0] = [];
    let rerun = |facts: &mut Facts| {
        let apiserver = &layout().bootstrap_manifests[0];
        let path = PathBuf::from("/etc/kubernetes/manifests/bootstrap-apiserver.yaml");
        facts.manifests = Ok(vec![Manifest { path, content: apiserver.bytes.clone() }]);
        facts.etcd_data = DataFolder::Used { is_of_this_cluster: false };
        taken(facts, 10359, &["kube-scheduler", "--changed-since"]);
    };
    assert_eq!(unknown(rerun), nothing);
    assert_eq!(
        unknown(|facts| (facts.api = ApiListener::Ours, taken(facts, 6443, &["kube-apiserver"])).1),
        nothing
    );
    assert_eq!(
        unknown(|facts| (facts.api = ApiListener::Ours, copied(facts)).1),
        nothing,
        "a copy of this cluster's"
    );
    let own = ["kube-scheduler", "--bind-address=127.0.0.1", "--v=2", "--secure-port=10359"];
    assert_eq!(unknown(|facts| taken(facts, 10359, &own)), nothing, "it has the rendered flags");
    let unseen = |facts: &mut Facts| (facts.api = ApiListener::Ours, taken(facts, 10359, &[])).1;
    assert_eq!(unknown(unseen), nothing, "no holder can be seen, and the machine is ours");
}

#[test]
fn a_file_that_an_earlier_run_placed_is_not_foreign() {
    let (layout, mut options) = (layout(), options());
    let path = PathBuf::from("/etc/kubernetes/manifests/bootstrap-apiserver.yaml");
    let mut facts = good();
    facts.manifests = Ok(vec![Manifest { path: path.clone(), content: b"of an earlier render".to_vec() }]);
    let decide =
        |options: &CheckOptions| leftovers::static_pods(&Subject::new(&layout, options).unwrap(), &facts);
    assert!(matches!(decide(&options), Outcome::Fail(_)));
    options.placed.insert(path);
    assert!(matches!(decide(&options), Outcome::Pass(_)));
}

#[test]
fn services_that_may_be_starting_are_waited_for_and_wrong_certificates_are_not() {
    let (layout, options) = (layout(), options());
    let subject = Subject::new(&layout, &options).unwrap();
    let waits_for = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        let checks = decide(&subject, &facts);
        checks
            .iter()
            .filter(|check| still_starting(check, &facts).is_some())
            .map(|check| check.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(waits_for(&silent), ["kubelet"]);
    assert_eq!(waits_for(&|facts| facts.runtime = mute()), ["container-runtime"]);
    assert_eq!(
        waits_for(&|facts| etcd_answers(facts, Etcd::Untrusted(Distrust::Authority))),
        [] as [&str; 0]
    );
    assert_eq!(waits_for(&deadlocked), [] as [&str; 0]);
    assert_eq!(waits_for(&|facts| facts.is_root = false), [] as [&str; 0]);
}
