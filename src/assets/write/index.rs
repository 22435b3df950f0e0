//! `bootkube.json`, the index at the root of a rendered tree. It marks the tree as written by
//! bootkube, and its digests show which files were edited.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Where the index is.
pub(super) const NAME: &str = "bootkube.json";
const FORMAT: u32 = 1;

/// The rendered files and the version that rendered them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    format: u32,
    version: String,
    /// Path to SHA-256, in hexadecimal.
    pub(super) files: BTreeMap<String, String>,
}

impl Index {
    /// The index of `files`.
    pub(super) fn new(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let files = files.iter().map(|(path, content)| (path.clone(), digest(content))).collect();
        Self { format: FORMAT, version: crate::VERSION.to_owned(), files }
    }

    /// Reads an index.
    ///
    /// # Errors
    /// If `bytes` are not an index; in words for a message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let index: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match index.format {
            FORMAT => Ok(index),
            newer => Err(format!("its format is {newer}, and this version knows {FORMAT} only")),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| unreachable!("strings and a number always become JSON: {error}"));
        text.push('\n');
        text.into_bytes()
    }
}

pub(super) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let files = [("tls/ca.key", "k"), ("auth/kubeconfig", "c"), ("manifests/a.yaml", "m")];
        Index::new(&files.map(|(path, content)| (path.to_owned(), content.into())).into()).to_bytes()
    }

    #[test]
    fn an_index_is_read_back() {
        let index = Index::parse(&sample()).unwrap();
        assert_eq!(index.to_bytes(), sample());
        assert_eq!(
            index.files["tls/ca.key"],
            "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"
        );
    }

    #[test]
    fn an_index_of_a_newer_format_is_refused() {
        let newer = String::from_utf8(sample()).unwrap().replace("\"format\": 1", "\"format\": 2");
        assert!(Index::parse(newer.as_bytes()).unwrap_err().contains("format is 2"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_the_index_parser_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), end in any::<prop::sample::Index>()) {
            let mut bytes = sample();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len()) + 1);
            if let Ok(index) = Index::parse(&bytes) {
                prop_assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
            }
        }
    }
}
