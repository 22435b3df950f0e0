use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::record::parse;
use super::*;

const APISERVER: &str = "/etc/kubernetes/manifests/bootstrap-apiserver.yaml";
const SECRETS: &str = "/etc/kubernetes/bootstrap-secrets";

fn run() -> Run {
    let text = |text: &str| text.to_owned();
    Run {
        schema: SCHEMA,
        command: Command::Start,
        bootkube: text("1.0.0"),
        host: text("n1"),
        boot: text("b"),
        assets: Some(digest(b"assets")),
    }
}

fn apiserver(content: &str) -> Thing {
    Thing {
        port: Some(6443),
        ..Thing::file(Path::new(APISERVER), Role::BootstrapApiserver, content.as_bytes())
    }
}

fn placed(thing: &Thing) -> Record {
    Record::Placed { path: thing.path.clone(), sha256: thing.sha256.clone() }
}

fn state_of(records: impl IntoIterator<Item = Record>) -> State {
    let lines: Vec<Line> =
        records.into_iter().map(|record| Line { at: "2026-01-01T00:00:00Z".into(), record }).collect();
    State::of(&lines)
}

/// A bootstrap, as far as the hand-over.
fn bootstrap() -> Vec<Record> {
    let keys = BTreeMap::from([
        ("server-ca.crt".to_owned(), b"ca".to_vec()),
        ("server.key".to_owned(), b"k".to_vec()),
    ]);
    let etcd = Thing::folder(Path::new("/etc/kubernetes/etcd"), Role::EtcdKeys, &keys);
    let secrets = Thing::folder(Path::new(SECRETS), Role::BootstrapSecrets, &keys);
    let local = Thing::file(&Path::new(SECRETS).join("kubeconfig-local"), Role::BootstrapSecrets, b"c");
    let phase = "place the bootstrap apiserver".to_owned();
    vec![
        Record::Begun(run()),
        Record::Placing(etcd.clone()),
        placed(&etcd),
        Record::PhaseStarted { phase: phase.clone() },
        Record::Placing(secrets.clone()),
        placed(&secrets),
        Record::Placing(apiserver("one")),
        placed(&apiserver("one")),
        Record::PhaseFinished { phase },
        Record::Placing(local.clone()),
        placed(&local),
        Record::Removing { path: APISERVER.into() },
        Record::Removed { path: APISERVER.into() },
        Record::HandedOver,
        Record::Removing { path: SECRETS.into() },
        Record::Removed { path: SECRETS.into() },
        Record::Ended { exit_code: 0 },
    ]
}

#[test]
fn a_journal_cut_off_at_any_byte_says_what_its_whole_lines_say_and_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut records = bootstrap().into_iter();
    let Some(Record::Begun(run)) = records.next() else { panic!("the first record begins a run") };
    let journal = Journal::begin(&path, &State::default(), run.clone()).unwrap();
    let mut states = vec![State::default(), journal.state()];
    for record in records {
        journal.record(record).unwrap();
        states.push(journal.state());
    }
    let bytes = fs::read(&path).unwrap();
    for length in 0..=bytes.len() {
        let whole = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        fs::write(&path, &bytes[..length]).unwrap();
        let state = read(&path).unwrap();
        assert_eq!(state, states[whole], "cut off after {length} bytes");
        let again = Journal::begin(&path, &state, run.clone()).unwrap();
        again.record(Record::PhaseStarted { phase: "verify".into() }).unwrap();
        assert_eq!(read(&path).unwrap(), again.state(), "gone on with after {length} bytes");
        assert_eq!(again.state().things, state.things);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn the_journal_is_private_and_holds_no_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::begin(&path, &State::default(), run()).unwrap();
    journal.record(Record::Placing(apiserver("s3cret"))).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("s3cret") && text.contains(&digest(b"s3cret")), "{text}");
}

#[test]
fn while_one_file_replaces_another_both_are_ours() {
    let (one, two) = (apiserver("one"), apiserver("two"));
    let mut records = vec![Record::Placing(one.clone()), placed(&one), Record::Placing(two.clone())];
    let both = state_of(records.clone());
    assert!(both.has_placed(&one.path, b"one") && both.has_placed(&one.path, b"two"));
    assert!(!both.has_placed(&one.path, b"three") && !both.has_placed(Path::new("/elsewhere"), b"one"));
    records.push(placed(&two));
    let after = state_of(records);
    assert!(!after.has_placed(&one.path, b"one") && after.has_placed(&one.path, b"two"));
}

/// Bootkube once recorded a static pod of `unpivot` as a bootstrap pod, which `reset` removes.
#[test]
fn a_static_pod_that_was_recorded_in_another_role_is_recorded_in_the_one_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::begin(&path, &state_of([Record::Known(apiserver("one"))]), run()).unwrap();
    journal.adopt(Thing { role: Role::ControlPlanePod, ..apiserver("one") }).unwrap();
    for state in [journal.state(), read(&path).unwrap()] {
        assert_eq!(state.things[Path::new(APISERVER)].role, Role::ControlPlanePod);
        assert!(state.has_placed(Path::new(APISERVER), b"one"));
    }
}

#[test]
fn a_removed_folder_takes_its_files_along_and_the_ca_of_etcd_is_remembered() {
    let state = state_of(bootstrap());
    assert_eq!(state.things.keys().collect::<Vec<_>>(), [Path::new("/etc/kubernetes/etcd")]);
    assert_eq!(state.etcd_authority, Some(digest(b"ca")));
    assert!(state.handed_over);
    let last = state.last.unwrap();
    assert_eq!((last.phase.as_deref(), last.exit_code), (Some("place the bootstrap apiserver"), Some(0)));
}

#[test]
fn a_cluster_that_was_handed_over_stays_so_until_etcd_is_another_one() {
    let again = bootstrap().into_iter().chain([Record::Placing(apiserver("one"))]);
    assert!(state_of(again).handed_over);
    let keys = BTreeMap::from([("server-ca.crt".to_owned(), b"another".to_vec())]);
    let etcd = Thing::folder(Path::new("/etc/kubernetes/etcd"), Role::EtcdKeys, &keys);
    assert!(!state_of(bootstrap().into_iter().chain([Record::Placing(etcd)])).handed_over);
}

#[test]
fn a_journal_of_a_later_schema_is_refused_and_a_later_record_passed_over() {
    let path = Path::new("/etc/kubernetes/journal");
    let later = br#"{"at":"x","record":"begun","schema":2,"bootkube":"9.0.0","shape":"new"}"#;
    let error = parse(&[later, &b"\n"[..]].concat(), path).unwrap_err().to_string();
    assert!(error.contains("9.0.0") && error.contains("schema 2"), "{error}");
    let unknown = "{\"at\":\"x\",\"record\":\"checkpointed\",\"path\":\"/a\"}\n";
    assert_eq!(parse(unknown.as_bytes(), path).unwrap()[0].record, Record::Unknown);
}

#[test]
fn a_line_in_the_middle_that_says_nothing_is_named() {
    let error = parse(b"{}\n{}\n", Path::new("/j")).unwrap_err().to_string();
    assert!(error.starts_with("/j:1: "), "{error}");
}

#[test]
fn what_is_found_in_place_is_noted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::begin(&path, &State::default(), run()).unwrap();
    let lines = || fs::read_to_string(&path).unwrap().lines().count();
    journal.adopt(apiserver("one")).unwrap();
    assert_eq!(lines(), 2);
    journal.adopt(apiserver("one")).unwrap();
    assert_eq!(lines(), 2);
    journal.record(Record::Placing(apiserver("two"))).unwrap();
    journal.adopt(apiserver("two")).unwrap();
    assert!(!journal.state().has_placed(Path::new(APISERVER), b"one"));
}

/// Records about three paths and four contents.
fn any_record() -> impl Strategy<Value = Record> {
    let paths = ["/a/pod.yaml", "/a/keys", "/a/keys/one"];
    let roles = [
        Role::BootstrapPod,
        Role::BootstrapApiserver,
        Role::BootstrapSecrets,
        Role::StayingPod,
        Role::EtcdKeys,
    ];
    let path = prop::sample::select(paths.map(PathBuf::from).to_vec());
    let sha256 = prop::sample::select(vec![digest(b"1"), digest(b"2"), digest(b"3"), digest(b"4")]);
    let files = prop::sample::select(vec![
        BTreeMap::new(),
        BTreeMap::from([("server-ca.crt".to_owned(), digest(b"ca"))]),
    ]);
    let thing =
        (path.clone(), prop::sample::select(roles.to_vec()), sha256.clone(), any::<Option<u16>>(), files)
            .prop_map(|(path, role, sha256, port, files)| Thing {
                path,
                role,
                sha256,
                pod: None,
                port,
                files,
            });
    prop_oneof![
        thing.clone().prop_map(Record::Placing),
        thing.prop_map(Record::Known),
        (path.clone(), sha256.clone()).prop_map(|(path, sha256)| Record::Placed { path, sha256 }),
        path.prop_map(|path| Record::Removed { path }),
        Just(Record::HandedOver),
        sha256.prop_map(|sha256| Record::EtcdAuthority { sha256 }),
    ]
}

proptest! {
    #[test]
    fn what_is_carried_over_to_the_next_run_is_all_there_is(records in prop::collection::vec(any_record(), 0..40)) {
        let state = state_of(records);
        prop_assert_eq!(state_of(state.carried()), state);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse(&bytes, Path::new("/j")).ok();
    }

    #[test]
    fn a_line_is_read_as_it_was_written(record in any_record()) {
        let line = Line { at: "now".into(), record };
        let text = serde_json::to_string(&line).unwrap() + "\n";
        prop_assert_eq!(parse(text.as_bytes(), Path::new("/j")).unwrap(), vec![line]);
    }
}

#[test]
fn every_record_is_documented() {
    let documented = include_str!("../../docs/journal.md");
    let records = bootstrap().into_iter().chain([
        Record::Known(apiserver("one")),
        Record::PhaseFailed { phase: String::new() },
        Record::Interrupted { signal: String::new() },
        Record::EtcdAuthority { sha256: String::new() },
    ]);
    for record in records {
        let value = serde_json::to_value(record).unwrap();
        let name = format!("`{}`", value["record"].as_str().unwrap());
        assert!(documented.contains(&name), "{name}");
    }
}
