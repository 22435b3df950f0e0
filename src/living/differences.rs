//! What the assets of a cluster have otherwise than the cluster itself, of what it keeps for life.
//! Pure.

use std::fmt;

use super::field::Field;
use super::fields::{FIELDS, Record, is_derived, shown};
use super::settled::Settled;
use crate::finding::without_passwords_in_prose;

/// Where an etcd is that bootkube runs. One that a user runs may be there, too.
const LOCAL_ETCD: &str = "https://127.0.0.1:2379";

/// A value that a running cluster cannot change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, as the user writes it.
    pub name: &'static str,
    /// The value that the cluster has.
    pub old: String,
    /// Where that was read.
    pub old_from: String,
    /// The value of the assets.
    pub new: String,
    /// The file that has it.
    pub new_from: String,
    /// What a running cluster would suffer.
    pub suffers: &'static str,
    /// What to do.
    pub cure: String,
}

/// Every field in which `assets` exclude what a cluster has. Of the cluster there may be several
/// sources, such as its API and a process: assets that agree with one of them bring back what that
/// one has, and are no difference.
pub fn differences(cluster: &[Settled], assets: &Settled) -> Vec<Difference> {
    let of = |field: Field| FIELDS.iter().find(|record| record.field == field);
    let follows_another = |record: &Record, source: &Settled| {
        let is_derived = |settled: &Settled| is_derived(record.field, settled);
        let is_followed = |field| of(field).is_some_and(|of| (of.clashes)(source, assets));
        is_derived(source) && is_derived(assets) && record.follows.is_some_and(is_followed)
    };
    let fields = FIELDS.iter().filter_map(|record| {
        let sources = || cluster.iter().filter(|source| source.get(record.field).is_some());
        let source = sources().next()?;
        let is_excluded = sources().all(|source| (record.clashes)(source, assets));
        (is_excluded && !follows_another(record, source)).then(|| difference(record, source, assets))
    });
    fields.collect()
}

fn difference(record: &Record, cluster: &Settled, assets: &Settled) -> Difference {
    let side = |settled: &Settled| {
        let from = settled.get(record.field).map_or("the assets", |held| held.from.as_str());
        (shown(record.field, settled).unwrap_or_else(|| "not set".to_owned()), from.to_owned())
    };
    let ((old, old_from), (new, new_from)) = (side(cluster), side(assets));
    Difference {
        name: record.name,
        cure: format!("{}, or {}", kept(record, cluster), record.otherwise),
        suffers: record.suffers,
        old,
        old_from,
        new,
        new_from,
    }
}

/// How the value of the cluster gets into the assets.
fn kept(record: &Record, cluster: &Settled) -> String {
    let values = cluster.values(record.field).join(",");
    let flag = record.flag.map(|flag| format!(" ({flag})")).unwrap_or_default();
    match record.field {
        Field::Authority => {
            "start with the assets of this cluster, or render again with --reuse-from their directory"
                .to_owned()
        }
        Field::ServiceAccountKey => {
            "put the key of the cluster, which Secret kube-system/kube-apiserver has, into \
             tls/service-account.key and render again"
                .to_owned()
        }
        Field::Etcd if values == LOCAL_ETCD => {
            format!(
                "render again with etcd.mode: staticPod, or {values} as etcd.servers{flag}, as the cluster has it"
            )
        }
        _ => format!("render again with {values} as {}{flag}", record.name),
    }
}

/// For a render: the cluster may run, or not.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, old, old_from: _, new, new_from, suffers, cure } = self;
        let line = format!("{name}: {old} before, {new} now ({new_from}): {suffers}; {cure}");
        f.write_str(&without_passwords_in_prose(&line))
    }
}
