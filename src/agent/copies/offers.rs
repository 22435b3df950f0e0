//! Pods that a copy may be made of, and the copies: of each workload the newest healthy pod that
//! runs with the files its copy would get.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};

use super::observe::{Seen, SeenPod};
use super::runtime::Local;
use crate::agent::complaints::Complaints;
use crate::checkpoint::Id;
use crate::checkpoint::copy::{self, Copy, Note, Sources};
use crate::checkpoint::observed::Offer;
use crate::checkpoint::parent::{last_change, started_after, workload};
use crate::checkpoint::store::Store;
use crate::cluster::objects::Kind;
use crate::cluster::retry::describe;
use crate::patience::{ANSWER, Late, within};

/// Secrets and ConfigMaps that were read longer ago are read again.
const REFRESH: Duration = Duration::from_secs(15);

/// A copy that may be kept.
pub struct Offered {
    /// For the state machine.
    pub offer: Offer,
    /// For the store.
    pub copy: Copy,
}

/// What pods refer to, by the UID of the pod, as it was read not long ago.
pub struct Offers {
    /// The user that reads them; `None` for kubelet's, which needs no Role.
    user: Option<String>,
    read: BTreeMap<String, Read>,
}

struct Read {
    sources: Sources,
    at: Instant,
    /// The containers that ran then: those that start later may have read something newer.
    running: BTreeMap<String, String>,
}

impl Offers {
    /// None yet. `user` is the user that reads.
    pub fn new(user: Option<String>) -> Self {
        Self { user, read: BTreeMap::new() }
    }

    /// Every offer, while the API answers.
    pub async fn look(
        &mut self,
        client: &Client,
        seen: &Seen<'_>,
        store: &Store,
        complaints: &mut Complaints,
    ) -> BTreeMap<Id, Offered> {
        let mut offered = BTreeMap::new();
        if !seen.has_api() {
            return offered;
        }
        self.read.retain(|uid, _| seen.parents().any(|parent| parent.pod.uid().as_ref() == Some(uid)));
        let mut unread = self.refresh(client, seen).await;
        for parent in seen.parents() {
            let offer = match parent.pod.uid().and_then(|uid| unread.remove(&uid)) {
                Some(why) => Err(why),
                None => self.offer(parent, seen, store),
            };
            match offer {
                Ok(None) => {}
                Ok(Some(offer)) => {
                    complaints.over(&parent.id);
                    offered.insert(parent.id.clone(), offer);
                }
                Err(why) => complaints.say(&parent.id, why),
            }
        }
        offered
    }

    /// Reads what healthy pods refer to, unless that was done not long ago. Returns why it could not
    /// be read, by the UID of the pod.
    ///
    /// All are read at once. One after the other they would keep the agent from everything else for
    /// [`ANSWER`] each, where the API does not answer.
    async fn refresh(&mut self, client: &Client, seen: &Seen<'_>) -> BTreeMap<String, String> {
        let healthy = seen.parents().filter_map(|seen| Some((seen.pod, seen.pod.uid()?, seen.healthy?)));
        let due: Vec<_> = healthy.filter(|(_, uid, local)| !self.is_read(uid, local)).collect();
        let answers = join_all(due.iter().map(|(pod, ..)| read(client, pod))).await;
        let mut unread = BTreeMap::new();
        for ((pod, uid, local), answer) in due.into_iter().zip(answers) {
            match answer {
                Ok(sources) => {
                    let (at, running) = (Instant::now(), local.running.clone());
                    self.read.insert(uid, Read { sources, at, running });
                }
                Err(why) => drop(unread.insert(uid, why.tell(pod, self.user.as_deref()))),
            }
        }
        unread
    }

    fn is_read(&self, uid: &str, local: &Local) -> bool {
        let is_valid = |read: &Read| read.at.elapsed() < REFRESH && read.running == local.running;
        self.read.get(uid).is_some_and(is_valid)
    }

    /// One pod: nothing while it is not healthy, or was started with other files than those of
    /// which a copy is kept; an error if it cannot be copied.
    fn offer(&self, parent: &SeenPod<'_>, seen: &Seen<'_>, store: &Store) -> Result<Option<Offered>, String> {
        let SeenPod { pod, id, role, healthy, .. } = parent;
        let (Some(_), Some(uid)) = (healthy, pod.uid()) else {
            return Ok(None);
        };
        let Some(Read { sources, .. }) = self.read.get(&uid) else { return Ok(None) };
        let secrets = sources.secrets.values().filter_map(|secret| last_change(&secret.metadata));
        let maps = sources.config_maps.values().filter_map(|map| last_change(&map.metadata));
        let is_proof = started_after(pod, secrets.chain(maps).max());
        // As with recovered Secrets under a pod that has run on. A copy that has proved nothing yet
        // beats none.
        if !is_proof && !seen.has_none(id) {
            return Ok(None);
        }
        let files = store.files(id);
        let copy = copy::make(pod, id, *role, sources, &files.to_string_lossy());
        let copy = copy.map_err(|unfit| unfit.to_string())?;
        Ok(Some(Offered { offer: Offer { uid, revision: copy.revision.clone() }, copy }))
    }
}

/// Logs what an administrator should know of a copy that was kept.
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
                tracing::info!(workload = %copy.id, volume, "it is unknown which user reads these files of the copy");
            }
        }
    }
}

/// Why an object is not read.
struct Unread {
    why: String,
    is_forbidden: bool,
}

impl Unread {
    /// In words, with the cure where the API's administrator has one.
    fn tell(self, pod: &Pod, user: Option<&str>) -> String {
        match user.filter(|_| self.is_forbidden) {
            Some(user) => format!("{}; allow it: {}", self.why, grant(pod, user)),
            None => self.why,
        }
    }
}

/// The commands that let `user` read what `pod` refers to, and nothing else.
fn grant(pod: &Pod, user: &str) -> String {
    let (Id { namespace, name }, _) = workload(pod);
    let copy::Needs { secrets, config_maps } = copy::needs(pod);
    let grant = |kind: &str, names: &BTreeSet<String>| {
        let role = format!("checkpoint-{name}-{kind}");
        let names: String = names.iter().map(|name| format!(" --resource-name={name}")).collect();
        format!(
            "kubectl -n {namespace} create role {role} --verb=get --resource={kind}{names} && \
             kubectl -n {namespace} create rolebinding {role} --role={role} --user={user}"
        )
    };
    let kinds = [("secrets", &secrets), ("configmaps", &config_maps)];
    let grants = kinds.into_iter().filter(|(_, names)| !names.is_empty());
    grants.map(|(kind, names)| grant(kind, names)).collect::<Vec<_>>().join(" && ")
}

async fn read(client: &Client, pod: &Pod) -> Result<Sources, Unread> {
    let needs = copy::needs(pod);
    let namespace = pod.namespace().unwrap_or_default();
    let read = async {
        let (secrets, config_maps) = futures::try_join!(
            objects::<Secret>(client, &namespace, "Secret", needs.secrets.iter()),
            objects::<ConfigMap>(client, &namespace, "ConfigMap", needs.config_maps.iter()),
        )?;
        Ok(Sources { secrets, config_maps })
    };
    let late = |late: Late| Unread {
        why: format!("what pod {} refers to could not be read: {late}", pod.name_any()),
        is_forbidden: false,
    };
    within(ANSWER, read).await.map_err(late)?
}

/// The objects of one kind that are there.
async fn objects<K>(
    client: &Client,
    namespace: &str,
    kind: &str,
    names: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, K>, Unread>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    // With managed fields, which hold when an object was changed last.
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let one = async |name: &String| match api.get_opt(name).await {
        Ok(object) => Ok(object.map(|object| (name.clone(), object))),
        Err(error) => Err(Unread {
            why: format!("{kind} {namespace}/{name} cannot be read: {}", describe(&error)),
            is_forbidden: matches!(&error, kube::Error::Api(status) if status.code == 403),
        }),
    };
    let found = try_join_all(names.map(one)).await?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_whose_files_may_not_be_read_is_told_with_the_commands_that_allow_just_that() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "db-0", "namespace": "prod"},
            "spec": {"containers": [], "volumes": [
                {"name": "a", "secret": {"secretName": "keys"}}, {"name": "b", "secret": {"secretName": "more"}},
                {"name": "c", "configMap": {"name": "settings"}},
            ]},
        }))
        .unwrap();
        let forbidden = || Unread { why: "no".into(), is_forbidden: true };
        assert_eq!(
            forbidden().tell(&pod, Some("bootkube-agent")),
            "no; allow it: kubectl -n prod create role checkpoint-db-0-secrets --verb=get --resource=secrets \
             --resource-name=keys --resource-name=more && kubectl -n prod create rolebinding checkpoint-db-0-secrets \
             --role=checkpoint-db-0-secrets --user=bootkube-agent && kubectl -n prod create role \
             checkpoint-db-0-configmaps --verb=get --resource=configmaps --resource-name=settings && kubectl -n prod \
             create rolebinding checkpoint-db-0-configmaps --role=checkpoint-db-0-configmaps --user=bootkube-agent"
        );
        assert_eq!(forbidden().tell(&pod, None), "no");
        assert_eq!(Unread { why: "late".into(), is_forbidden: false }.tell(&pod, Some("a")), "late");
    }
}
