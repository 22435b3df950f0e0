//! Pods that a copy may be made of, and the copies: of each workload the newest healthy pod that runs with the files its copy would get.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::observe::Seen;
use crate::agent::complaints::Complaints;
use crate::checkpoint::Id;
use crate::checkpoint::copy::{self, Copy, Note, Sources};
use crate::checkpoint::decide::Offer;
use crate::checkpoint::parent::{last_change, role, started_after, workload};
use crate::checkpoint::store::Store;
use crate::cluster::retry::describe;

/// How old what a pod refers to may be.
const REFRESH: Duration = Duration::from_secs(15);
/// For everything that one pod refers to.
const PATIENCE: Duration = Duration::from_secs(3);

/// A copy that may be kept.
pub struct Offered {
    /// For the state machine.
    pub offer: Offer,
    /// For the store.
    pub copy: Copy,
}

/// What pods refer to, by UID, read not long ago.
#[derive(Default)]
pub struct Offers {
    read: BTreeMap<String, Read>,
}

struct Read {
    sources: Sources,
    at: Instant,
    /// The containers that ran then: those that start later may have read something newer.
    running: BTreeMap<String, String>,
}

impl Offers {
    /// Every offer, while the API answers.
    pub async fn look(
        &mut self,
        client: &Client,
        seen: &Seen<'_>,
        store: &Store,
        complaints: &mut Complaints,
    ) -> BTreeMap<Id, Offered> {
        let mut offered = BTreeMap::new();
        if seen.told.node.is_none() {
            return offered;
        }
        let parents = seen.parents();
        self.read.retain(|uid, _| parents.iter().any(|pod| pod.uid().as_ref() == Some(uid)));
        for pod in parents {
            let (id, _) = workload(pod);
            match self.offer(client, pod, seen, store).await {
                Ok(None) => {}
                Ok(Some(offer)) => {
                    complaints.over(&id);
                    offered.insert(id, offer);
                }
                Err(why) => complaints.say(&id, why),
            }
        }
        offered
    }

    /// One pod: nothing while it is not healthy, or was started with other files than those of which a copy is kept; an error if it cannot be copied.
    async fn offer(
        &mut self,
        client: &Client,
        pod: &Pod,
        seen: &Seen<'_>,
        store: &Store,
    ) -> Result<Option<Offered>, String> {
        let (Some(local), Some(uid), Some(spec)) = (seen.healthy(pod), pod.uid(), &pod.spec) else {
            return Ok(None);
        };
        let is_valid = |read: &Read| read.at.elapsed() < REFRESH && read.running == local.running;
        if !self.read.get(&uid).is_some_and(is_valid) {
            let sources = read(client, pod).await?;
            self.read
                .insert(uid.clone(), Read { sources, at: Instant::now(), running: local.running.clone() });
        }
        let Some(Read { sources, .. }) = self.read.get(&uid) else { return Ok(None) };
        let secrets = sources.secrets.values().filter_map(|secret| last_change(&secret.metadata));
        let maps = sources.config_maps.values().filter_map(|map| last_change(&map.metadata));
        let (id, _) = workload(pod);
        let is_proof = started_after(pod, secrets.chain(maps).max());
        // As with recovered Secrets under a pod that has run on. A copy that has proved nothing yet beats none.
        if !is_proof && !seen.has_none(&id) {
            return Ok(None);
        }
        let role = role(&id, spec, seen.own);
        let files = store.files(&id);
        let copy = copy::make(pod, &id, role, sources, &files.to_string_lossy());
        let copy = copy.map_err(|unfit| unfit.to_string())?;
        Ok(Some(Offered { offer: Offer { uid, revision: copy.revision.clone() }, copy }))
    }
}

/// What a person should know of a copy that was kept.
pub fn tell_notes(copy: &Copy) {
    for note in &copy.notes {
        match note {
            Note::SecretInEnvironment { secret, container } => tracing::warn!(
                workload = %copy.id, secret, container,
                "a Secret's value stands in the environment of the copy: mount the Secret instead"
            ),
            Note::NoToken => tracing::debug!(workload = %copy.id, "the copy has no service account token"),
            Note::NoPullSecrets => {
                tracing::info!(workload = %copy.id, "the copy has no image pull secrets: its image must stay on this machine");
            }
            Note::UnknownReader { volume } => {
                tracing::info!(workload = %copy.id, volume, "nobody knows which user reads these files of the copy");
            }
        }
    }
}

async fn read(client: &Client, pod: &Pod) -> Result<Sources, String> {
    let needs = copy::needs(pod);
    let namespace = pod.namespace().unwrap_or_default();
    let read = async {
        let (secrets, config_maps) = futures::try_join!(
            objects::<Secret>(client, &namespace, "Secret", needs.secrets.iter()),
            objects::<ConfigMap>(client, &namespace, "ConfigMap", needs.config_maps.iter()),
        )?;
        Ok(Sources { secrets, config_maps })
    };
    let late =
        |_| format!("what pod {} refers to is not told within {} s", pod.name_any(), PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, read).await.map_err(late)?
}

/// The objects of one kind that are there.
async fn objects<K>(
    client: &Client,
    namespace: &str,
    kind: &str,
    names: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, K>, String>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let one = async |name: &String| match api.get_opt(name).await {
        Ok(object) => Ok(object.map(|object| (name.clone(), object))),
        Err(error) => Err(format!("{kind} {namespace}/{name} cannot be read: {}", describe(&error))),
    };
    let found = try_join_all(names.map(one)).await?;
    Ok(found.into_iter().flatten().collect())
}
