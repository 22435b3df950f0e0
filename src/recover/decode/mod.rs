//! Decodes objects from etcd into the JSON that the API would return.
//!
//! An apiserver stores its built-in types as protocol buffers, in an envelope that names version
//! and kind, and custom resources as JSON. Protocol buffers are read with a table of field numbers
//! and JSON names (`fields.txt`), which `tests/lab/kubernetes/v1.36/fields` makes from Kubernetes'
//! own types. That is a tenth of the code of generated types. A test compares every object of a
//! real etcd with the API's own JSON.
//!
//! Only the kinds of a control plane are known. A field of a newer Kubernetes is left out and
//! reported.

mod error;
mod table;
mod value;
mod wire;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub use error::Error;
use table::Table;
use wire::Fields;

/// Every stored value that is not JSON begins with this.
const MAGIC: &[u8] = b"k8s\0";
/// Groups whose older versions had the same fields under the same numbers.
const GROUPS: [&str; 5] = ["", "apps", "extensions", "policy", "rbac.authorization.k8s.io"];

/// An object, and the fields that were left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub object: Value,
    /// Fields of a newer Kubernetes, as `Message.NUMBER`.
    pub unknown: BTreeSet<String>,
}

/// Decodes a value of etcd, which must not be encrypted any more.
///
/// # Errors
/// If it is damaged, or of a kind that is not known here.
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
