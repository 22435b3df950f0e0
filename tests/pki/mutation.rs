//! A damaged file never causes a panic.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bootkube::pki::{Bundle, NamedFile, Previous, Supplied, SuppliedFiles, check_supplied, issue};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::support::*;

static RENDERED: LazyLock<Bundle> = LazyLock::new(|| fresh(&config()));

/// A change of one file: of its text, or of the DER inside, where the parsers are.
#[derive(Clone, Debug)]
enum Change {
    Text(Vec<(usize, u8)>),
    Der(Vec<(usize, u8)>),
    Cut(usize),
    CutDer(usize),
    Random(Vec<u8>),
}

fn changes() -> impl Strategy<Value = Change> {
    let bytes = || prop::collection::vec((any::<usize>(), any::<u8>()), 1..6);
    prop_oneof![
        1 => bytes().prop_map(Change::Text),
        6 => bytes().prop_map(Change::Der),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => any::<usize>().prop_map(Change::CutDer),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Change::Random),
    ]
}

fn apply(file: &[u8], change: &Change) -> Vec<u8> {
    let poke = |bytes: &mut Vec<u8>, pokes: &[(usize, u8)]| {
        let length = bytes.len();
        pokes.iter().for_each(|(at, byte)| bytes[at % length] = *byte);
    };
    let der = |edit: &dyn Fn(&mut Vec<u8>)| {
        let block = pem::parse(file).unwrap();
        let mut content = block.contents().to_vec();
        edit(&mut content);
        pem::encode(&pem::Pem::new(block.tag(), content)).into_bytes()
    };
    let mut text = file.to_vec();
    match change {
        Change::Text(pokes) => poke(&mut text, pokes),
        Change::Der(pokes) => return der(&|content| poke(content, pokes)),
        Change::Cut(at) => text.truncate(at % file.len()),
        Change::CutDer(at) => return der(&|content| content.truncate(at % content.len())),
        Change::Random(bytes) => return bytes.clone(),
    }
    text
}

fn named(path: &str, files: &BTreeMap<String, Vec<u8>>) -> NamedFile {
    NamedFile { field: path.into(), path: path.into(), pem: files[path].clone() }
}

fn cases() -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as Box<_>);
    ProptestConfig { cases: 10_000, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn supplied_files_are_read_without_panic(certificate in changes(), key in changes(), both: bool) {
        let mut files = RENDERED.files.clone();
        for path in ["ca.crt", "etcd-client-ca.crt", "etcd-client.crt"] {
            files.insert(path.into(), apply(&files[path], &certificate));
        }
        for path in ["ca.key", "etcd-client.key"].into_iter().filter(|_| both) {
            files.insert(path.into(), apply(&files[path], &key));
        }
        let supplied = SuppliedFiles {
            ca: Some((named("ca.crt", &files), named("ca.key", &files))),
            etcd_client: Some((
                named("etcd-client-ca.crt", &files),
                named("etcd-client.crt", &files),
                named("etcd-client.key", &files),
            )),
            etcd_hosts: vec!["etcd1.demo.example".into()],
        };
        let result = check_supplied(&supplied, NOW).map(|supplied| issue(&config(), supplied, &Previous::default(), NOW));
        if let Ok(Err(error)) = result {
            prop_assert!(error.to_string().contains("tls/"), "{error}");
        }
    }

    #[test]
    fn an_earlier_render_is_read_without_panic(file in any::<prop::sample::Index>(), change in changes()) {
        let mut tree = previous(&RENDERED);
        let path = file.get(&tree.files.keys().cloned().collect::<Vec<_>>()).clone();
        tree.files.insert(path.clone(), apply(&tree.files[&path], &change));
        if let Err(error) = issue(&config(), Supplied::default(), &tree, NOW) {
            prop_assert!(error.to_string().contains("tls/"), "{error}");
        }
    }
}
