use proptest::prelude::*;

use super::*;

const PAGE: usize = 512;

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn header(id: u64, flags: u16, count: usize) -> Vec<u8> {
    let mut page = id.to_le_bytes().to_vec();
    page.extend(flags.to_le_bytes());
    page.extend(u16::try_from(count).unwrap().to_le_bytes());
    page.extend(0_u32.to_le_bytes());
    page
}

fn padded(mut page: Vec<u8>) -> Vec<u8> {
    assert!(page.len() <= PAGE);
    page.resize(PAGE, 0);
    page
}

fn meta(id: u64, root: u64, transaction: u64) -> Vec<u8> {
    let mut meta = Vec::new();
    for number in [0xED0C_DAED_u32, 2, PAGE as u32, 0] {
        meta.extend(number.to_le_bytes());
    }
    for number in [root, 0, 2, 6, transaction] {
        meta.extend(number.to_le_bytes());
    }
    let checksum = fnv(&meta);
    meta.extend(checksum.to_le_bytes());
    padded([header(id, 4, 0), meta].concat())
}

fn leaf(id: u64, elements: &[(u32, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (index, (flags, key, value)) in elements.iter().enumerate() {
        let position = (elements.len() - index) * 16 + data.len();
        for number in [*flags, position as u32, key.len() as u32, value.len() as u32] {
            heads.extend(number.to_le_bytes());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    padded([header(id, 2, elements.len()), heads, data].concat())
}

fn branch(id: u64, children: &[u64]) -> Vec<u8> {
    let elements = children.iter().flat_map(|child| [vec![0; 8], child.to_le_bytes().to_vec()].concat());
    padded([header(id, 1, children.len()), elements.collect()].concat())
}

fn change(revision: u64, key: &str, value: Option<&str>) -> (u32, Vec<u8>, Vec<u8>) {
    let mut at = revision.to_be_bytes().to_vec();
    at.push(b'_');
    at.extend([0; 8]);
    if value.is_none() {
        at.push(b't');
    }
    let change = KeyValue { key: key.into(), value: value.unwrap_or_default().into() };
    (0, at, change.encode_to_vec())
}

/// Two meta pages, the older one with another root; a bucket of two leaves below a branch.
fn database() -> Vec<u8> {
    let bucket = [4_u64.to_le_bytes(), 0_u64.to_le_bytes()].concat();
    let changes = [
        vec![change(2, "/registry/a", Some("1")), change(3, "/registry/b", Some("2"))],
        vec![
            change(4, "/registry/a", None),
            change(5, "/registry/b", Some("3")),
            change(6, "/other", Some("4")),
            change(7, "/registry/c", None),
        ],
    ];
    let pages = [
        meta(0, 99, 1),
        meta(1, 2, 2),
        leaf(2, &[(1, b"key".to_vec(), bucket)]),
        leaf(3, &changes[0]),
        branch(4, &[3, 5]),
        leaf(5, &changes[1]),
    ];
    pages.concat()
}

fn is_wanted(key: &[u8]) -> bool {
    key.starts_with(b"/registry/")
}

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.into(), value: value.into() }
}

#[test]
fn the_last_change_of_a_key_counts_and_what_was_deleted_is_kept_apart() {
    let snapshot = replay(&database(), is_wanted).unwrap();
    assert_eq!(snapshot.present, [entry("/registry/b", "3")]);
    assert_eq!(snapshot.deleted, [entry("/registry/a", "1")]);
    assert_eq!(snapshot.revision, 7);
}

#[test]
fn a_snapshot_is_verified_by_the_checksum_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.db");
    let database = database();
    std::fs::write(&path, &database).unwrap();
    assert!(!read(&path, is_wanted).unwrap().is_verified, "a database that was copied has none");
    let mut saved = [database.as_slice(), &Sha256::digest(&database)].concat();
    std::fs::write(&path, &saved).unwrap();
    assert!(read(&path, is_wanted).unwrap().is_verified);
    saved[PAGE * 3 + 200] ^= 1;
    std::fs::write(&path, &saved).unwrap();
    let error = read(&path, is_wanted).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }) && error.to_string().contains("snapshot.db"), "{error}");
}

#[test]
fn a_torn_file_says_which_page_is_missing() {
    let mut database = database();
    database.truncate(PAGE * 5);
    assert!(matches!(replay(&database, is_wanted).unwrap_err(), Problem::Torn(5)));
    database.truncate(40);
    assert!(matches!(replay(&database, is_wanted).unwrap_err(), Problem::NoDatabase));
}

#[test]
fn the_second_meta_page_is_enough() {
    let mut database = database();
    database[..PAGE].fill(0);
    assert_eq!(replay(&database, is_wanted).unwrap().revision, 7);
}

#[test]
fn pages_that_lead_in_a_circle_are_refused() {
    let mut database = database();
    database[PAGE * 4..PAGE * 5].copy_from_slice(&branch(4, &[3, 4]));
    assert!(matches!(replay(&database, is_wanted).unwrap_err(), Problem::Page { page: 4, .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_the_reader_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = database();
        for (at, byte) in edits {
            // Beyond the meta pages: those have checksums of their own.
            let at = PAGE * 2 + at.index(bytes.len() - PAGE * 2);
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(end.index(bytes.len()));
        }
        // Whatever comes of it, it comes as a value.
        replay(&bytes, is_wanted).ok();
    }
}
