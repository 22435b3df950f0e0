//! The plan: what is kept and what is made. Every finding is collected before a key is generated.

use time::OffsetDateTime;

use super::authority::{self, AuthorityStep};
use super::catalogue::{Role, Spec, catalogue};
use super::leaf::{self, LeafStep, Signer};
use super::note::Action;
use super::previous::{Previous, finding};
use super::service_account::{self, KeyPairStep};
use super::supplied::Supplied;
use super::supplied_etcd::EtcdClient;
use crate::config::ClusterConfig;
use crate::finding::{Finding, Findings};

/// The decisions about everything in the catalogue.
pub(super) struct Plan {
    pub(super) authorities: Vec<(Spec, AuthorityStep)>,
    pub(super) leaves: Vec<(Spec, LeafStep)>,
    pub(super) service_account: KeyPairStep,
    pub(super) etcd_client: Option<EtcdClient>,
}

impl Plan {
    pub(super) fn new(
        config: &ClusterConfig,
        supplied: Supplied,
        previous: &Previous,
        now: OffsetDateTime,
    ) -> Result<Self, Findings> {
        let Supplied { mut ca, etcd_client } = supplied;
        let mut findings = Vec::new();
        let (roots, signed): (Vec<Spec>, Vec<Spec>) =
            catalogue(config).into_iter().partition(|spec| matches!(spec.role, Role::Authority { .. }));
        let mut authorities = Vec::new();
        let mut leaves = Vec::new();
        for root in roots {
            let dependents: Vec<&Spec> = signed.iter().filter(|spec| is_signed_by(spec, &root)).collect();
            let ca = if root.name == "ca" { ca.take() } else { None };
            match authority::decide(&root, &dependents, ca, previous, now) {
                Ok(step) => {
                    let below = Below { root: &root, step: &step, config, previous, now };
                    leaves
                        .extend(dependents.into_iter().filter_map(|spec| below.decide(spec, &mut findings)));
                    authorities.push((root, step));
                }
                Err(more) => findings.extend(more),
            }
        }
        let service_account = service_account::decide(previous).map_err(|finding| findings.push(finding));
        match service_account {
            Ok(service_account) if findings.is_empty() => {
                Ok(Self { authorities, leaves, service_account, etcd_client })
            }
            _ => Err(Findings(findings)),
        }
    }

    /// How many keys have to be generated.
    pub(super) fn missing_keys(&self) -> usize {
        let authorities = self.authorities.iter().filter(|(_, step)| matches!(step, AuthorityStep::Make));
        let leaves = self.leaves.iter().filter(|(_, step)| matches!(step, LeafStep::Issue { key: None, .. }));
        let service_account = usize::from(matches!(self.service_account, KeyPairStep::Make));
        authorities.count() + leaves.count() + service_account
    }
}

fn is_signed_by(spec: &Spec, root: &Spec) -> bool {
    matches!(spec.role, Role::Leaf { signer, .. } if signer == root.name)
}

/// An authority, for the decisions about what it signs.
struct Below<'a> {
    root: &'a Spec,
    step: &'a AuthorityStep,
    config: &'a ClusterConfig,
    previous: &'a Previous,
    now: OffsetDateTime,
}

impl Below<'_> {
    fn decide(&self, spec: &Spec, findings: &mut Vec<Finding>) -> Option<(Spec, LeafStep)> {
        let signer = self.signer();
        match leaf::decide(spec, signer, self.previous, &self.config.certificates, self.now) {
            Ok(LeafStep::Issue { action, reason, .. }) if !signer.can_sign => {
                findings.push(self.unsignable(spec, action, &reason));
                None
            }
            Ok(step) => Some((spec.clone(), step)),
            Err(more) => {
                findings.extend(more);
                None
            }
        }
    }

    fn signer(&self) -> Signer<'_> {
        match self.step {
            AuthorityStep::Make => Signer { authority: None, can_sign: true },
            AuthorityStep::Use { authority, .. } => {
                Signer { authority: Some(&authority.certificate), can_sign: authority.key.is_some() }
            }
        }
    }

    fn unsignable(&self, spec: &Spec, action: Action, reason: &str) -> Finding {
        let key = self.root.key();
        let why = if action == Action::Created { "it is new" } else { reason };
        let problem = format!("must be issued ({why}), and tls/{key} is not there to sign it");
        let cure = format!("put tls/{key} back for this render{}", or_supply(self.root.name));
        finding(&spec.certificate(), problem, cure)
    }
}

/// An alternative cure for authorities that a user may supply.
fn or_supply(root: &str) -> &'static str {
    match root {
        "ca" => ", or give the CA with --ca-certificate-path and --ca-private-key-path",
        "etcd-ca" => {
            ", or give a client of that CA with --etcd-ca-path, --etcd-certificate-path and --etcd-private-key-path"
        }
        _ => "",
    }
}
