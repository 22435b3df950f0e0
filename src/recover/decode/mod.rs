//! Objects as an apiserver keeps them in etcd, to the JSON that the rest of bootkube works with.
//!
//! Types of Kubernetes are kept as protocol buffers in an envelope that names version and kind, custom resources as JSON. The former are read
//! by a table of field numbers and JSON names (`fields.txt`), made from Kubernetes' own types by `tests/lab/kubernetes/v1.36/fields`: a
//! tenth of the code that generated types would be, and a test holds every object of a real etcd against what the API says of it.
//!
//! Only the kinds that a control plane is made of are known. A field that is not in the table, of a newer Kubernetes, is left out and told.

mod table;
mod value;
mod wire;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use table::Table;
use wire::Fields;

/// What values begin with that are no JSON.
const MAGIC: &[u8] = b"k8s\0";
/// Groups of which older versions had the same fields under the same numbers.
const GROUPS: [&str; 5] = ["", "apps", "extensions", "policy", "rbac.authorization.k8s.io"];

/// Why a value cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither JSON nor an envelope.
    #[error("it is neither JSON nor a protocol buffer of Kubernetes")]
    Unknown,
    /// JSON, but broken.
    #[error("it is broken JSON: {0}")]
    Json(String),
    /// Of a kind that no table describes.
    #[error("its kind {kind} of {api_version} is not known here")]
    Kind {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// A protocol buffer, but broken.
    #[error("it is a broken protocol buffer: {0}")]
    Malformed(&'static str),
}

/// An object, and what could not be read of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub object: Value,
    /// Fields of a newer Kubernetes, as `Message.NUMBER`.
    pub unknown: BTreeSet<String>,
}

/// Reads a value of etcd.
pub fn decode(bytes: &[u8]) -> Result<Decoded, Error> {
    match bytes.strip_prefix(MAGIC) {
        Some(envelope) => enveloped(envelope),
        None if bytes.first() == Some(&b'{') => {
            let object = serde_json::from_slice(bytes).map_err(|error| Error::Json(error.to_string()))?;
            Ok(Decoded { object, unknown: BTreeSet::new() })
        }
        None => Err(Error::Unknown),
    }
}

/// `runtime.Unknown`: 1 is apiVersion (1) and kind (2), 2 the object.
fn enveloped(bytes: &[u8]) -> Result<Decoded, Error> {
    let envelope = Fields::parse(bytes)?;
    let meta = Fields::parse(envelope.bytes(1)?.unwrap_or_default())?;
    let text = |number| {
        Ok::<_, Error>(String::from_utf8_lossy(meta.bytes(number)?.unwrap_or_default()).into_owned())
    };
    let (api_version, kind) = (text(1)?, text(2)?);
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let table = Table::get();
    let found = table.kinds.get(&kind).filter(|_| GROUPS.contains(&group));
    let Some(known) = found else { return Err(Error::Kind { api_version, kind }) };
    let mut reader = value::Reader { table, unknown: BTreeSet::new() };
    let fields = reader.message(&known.message, envelope.bytes(2)?.unwrap_or_default())?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), known.api_version.as_str().into());
    object.insert("kind".to_owned(), kind.into());
    object.extend(fields);
    Ok(Decoded { object: object.into(), unknown: reader.unknown })
}

#[cfg(test)]
mod tests;
