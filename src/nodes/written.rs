//! A machine as it was written: every value is a text that knows its place.

use crate::values::fields::Fields;
use crate::values::mistakes::{Given, List};

/// An entry of the list. Nothing of it is interpreted.
#[derive(Debug, Default)]
pub struct Written {
    /// Where it is: `nodes[0]`, `line 3`.
    pub at: String,
    pub name: Option<Given<String>>,
    pub role: Option<Given<String>>,
    pub addresses: Vec<Given<String>>,
    pub pod_cidrs: Vec<Given<String>>,
    pub labels: Vec<Given<String>>,
    pub taints: Vec<Given<String>>,
}

impl Written {
    /// Reads an entry of the YAML list `nodes`.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        let items = |list: Option<List>| list.map(|list| list.value).unwrap_or_default();
        Self {
            at: fields.path().to_owned(),
            name: fields.string("name"),
            role: fields.string("role"),
            addresses: items(fields.strings("addresses")),
            pod_cidrs: items(fields.strings("podCIDRs")),
            labels: items(fields.strings("labels")),
            taints: items(fields.strings("taints")),
        }
    }
}
