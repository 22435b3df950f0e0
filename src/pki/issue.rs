//! Carries out the plan: generates keys on all processors, then makes authorities, then signs
//! leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::authority::AuthorityStep;
use super::catalogue::{Role, Spec};
use super::error::Error;
use super::key::PrivateKey;
use super::leaf::{LeafStep, OldKey};
use super::note::{Action, Note};
use super::plan::Plan;
use super::previous::Previous;
use super::problem::rfc3339;
use super::refused::Refused;
use super::service_account::{self, KeyPairStep};
use super::sign;
use super::signer::{Authority, Source};
use super::supplied::Supplied;
use super::supplied_etcd::EtcdClient;
use super::{BootstrapToken, Bundle};
use crate::config::{ClusterConfig, Node, defaults};

/// Makes the secrets of the cluster. Secrets in `previous` that are still valid are kept.
///
/// # Errors
/// If a file that was supplied or rendered before cannot be used, with every such finding; and if a
/// library fails.
pub fn issue(
    config: &ClusterConfig,
    supplied: Supplied,
    previous: &Previous,
    now: OffsetDateTime,
) -> Result<(Bundle, Vec<Note>), Error> {
    let plan = Plan::new(config, supplied, previous, now).map_err(Error::Findings)?;
    let algorithm = config.certificates.key_algorithm;
    let keys = PrivateKey::generate_many(plan.missing_keys(), algorithm).map_err(Error::Generate)?;
    let (files, notes, refused) = (BTreeMap::new(), Vec::new(), Refused::default());
    let mut work = Issuance { config, previous, now, keys, files, notes, refused };
    let Plan { authorities, leaves, service_account, etcd_client } = plan;
    let authorities = authorities.into_iter().map(|(spec, step)| {
        let authority = work.authority(&spec, step)?;
        Ok((spec.name, authority))
    });
    let authorities = authorities.collect::<Result<BTreeMap<_, _>, Error>>()?;
    for (spec, step) in leaves {
        work.leaf(&spec, step, &authorities)?;
    }
    work.refused.check().map_err(Error::Findings)?;
    work.service_account(service_account)?;
    work.etcd_client(etcd_client);
    let bootstrap_token = work.shared_token()?;
    let node_tokens = work.node_tokens()?;
    Ok((Bundle { files: work.files, bootstrap_token, node_tokens }, work.notes))
}

/// The issuing that is under way.
struct Issuance<'a> {
    config: &'a ClusterConfig,
    previous: &'a Previous,
    now: OffsetDateTime,
    /// Keys that were generated in advance.
    keys: Vec<PrivateKey>,
    files: BTreeMap<String, Vec<u8>>,
    notes: Vec<Note>,
    refused: Refused,
}

impl Issuance<'_> {
    fn new_key(&mut self) -> Result<PrivateKey, Error> {
        let algorithm = self.config.certificates.key_algorithm;
        self.keys.pop().map_or_else(|| PrivateKey::generate(algorithm), Ok).map_err(Error::Generate)
    }

    fn note(&mut self, path: impl Into<String>, action: Action, reason: impl Into<String>) {
        self.notes.push(Note { path: path.into(), action, reason: reason.into() });
    }

    fn authority(&mut self, spec: &Spec, step: AuthorityStep) -> Result<Authority, Error> {
        let (authority, action, reason) = match step {
            AuthorityStep::Make => (self.make_authority(spec)?, Action::Created, String::new()),
            AuthorityStep::Use { authority, action, reason } => (*authority, action, reason),
        };
        self.note(spec.certificate(), action, reason);
        self.files.insert(spec.certificate(), authority.certificate_pem.clone());
        if let Some(pem) = &authority.key_pem {
            self.files.insert(spec.key(), pem.clone());
        }
        if let Role::Authority { copies } = spec.role {
            copies.iter().for_each(|path| self.copy(path, spec, &authority.certificate_pem));
        }
        Ok(authority)
    }

    fn copy(&mut self, path: &str, spec: &Spec, pem: &[u8]) {
        if self.previous.files.get(path).is_some_and(|old| old != pem) {
            self.note(path, Action::Renewed, format!("it was no copy of {}", spec.certificate()));
        }
        self.files.insert(path.to_owned(), pem.to_vec());
    }

    fn make_authority(&mut self, spec: &Spec) -> Result<Authority, Error> {
        let key = self.new_key()?;
        let certificate = sign::authority(spec, &key, self.now, self.config.certificates.ca_validity)?;
        let (certificate_pem, key_pem) = (certificate.pem(), Some(key.pem.clone()));
        let source = Source::tls(&spec.certificate());
        Ok(Authority { certificate, certificate_pem, key: Some(key), key_pem, source })
    }

    fn leaf(
        &mut self,
        spec: &Spec,
        step: LeafStep,
        authorities: &BTreeMap<&'static str, Authority>,
    ) -> Result<(), Error> {
        match step {
            LeafStep::Keep { reason } => {
                self.keep(&spec.certificate());
                self.keep(&spec.key());
                self.note(spec.certificate(), Action::Kept, reason);
            }
            LeafStep::Issue { key, action, reason } => {
                let OldKey { key, pem } = match key {
                    Some(old) => old,
                    None => self.new_key().map(|key| OldKey { pem: key.pem.clone(), key })?,
                };
                let certificate = self.sign(spec, &key, authorities)?;
                self.files.insert(spec.certificate(), certificate);
                self.files.insert(spec.key(), pem);
                self.note(spec.certificate(), action, reason);
            }
        }
        Ok(())
    }

    fn sign(
        &mut self,
        spec: &Spec,
        key: &PrivateKey,
        authorities: &BTreeMap<&'static str, Authority>,
    ) -> Result<Vec<u8>, Error> {
        let unsignable = || Error::Unsignable { path: spec.certificate() };
        let Role::Leaf { signer, usages, alt_names } = &spec.role else { return Err(unsignable()) };
        let authority = authorities.get(signer).ok_or_else(unsignable)?;
        let authority_key = authority.key.as_ref().ok_or_else(unsignable)?;
        let leaf = sign::Leaf { spec, usages, alt_names, key };
        let validity = self.config.certificates.validity;
        let signed = sign::leaf(&leaf, &authority.certificate, authority_key, self.now, validity)?;
        self.refused.look_at(&signed, spec, usages, authority, self.now);
        Ok(signed.pem())
    }

    fn service_account(&mut self, step: KeyPairStep) -> Result<(), Error> {
        match step {
            KeyPairStep::Make => {
                let key = self.new_key()?;
                self.files.insert(service_account::PUBLIC.to_owned(), service_account::public_pem(&key));
                self.files.insert(service_account::KEY.to_owned(), key.pem);
                self.note(service_account::KEY, Action::Created, "");
            }
            KeyPairStep::Keep { public } => {
                self.keep(service_account::KEY);
                match public {
                    Some(pem) => drop(self.files.insert(service_account::PUBLIC.to_owned(), pem)),
                    None => self.keep(service_account::PUBLIC),
                }
                self.note(service_account::KEY, Action::Kept, "always");
            }
        }
        Ok(())
    }

    fn etcd_client(&mut self, client: Option<EtcdClient>) {
        let Some(EtcdClient { ca, certificate, key }) = client else { return };
        let files = [("etcd-client-ca.crt", ca), ("etcd-client.crt", certificate), ("etcd-client.key", key)];
        for (path, pem) in files {
            let (action, reason) = match self.previous.files.get(path) {
                None => (Action::Created, "as supplied"),
                Some(old) if *old == pem => (Action::Kept, "supplied again"),
                Some(_) => (Action::Renewed, "as supplied"),
            };
            self.note(path, action, reason);
            self.files.insert(path.to_owned(), pem);
        }
    }

    fn shared_token(&mut self) -> Result<BootstrapToken, Error> {
        let old = self.previous.token.as_ref();
        self.token(TOKEN.to_owned(), old, self.config.bootstrap_token_expiry)
    }

    /// A token for each machine of the list. None lasts for ever: that is for machines of which no
    /// list knows when they join.
    fn node_tokens(&mut self) -> Result<BTreeMap<String, BootstrapToken>, Error> {
        let (previous, config) = (self.previous, self.config);
        let expiry = config.bootstrap_token_expiry.unwrap_or(defaults::BOOTSTRAP_TOKEN_EXPIRY);
        let token = |node: &Node| {
            let old = previous.node_tokens.get(&node.name);
            let token = self.token(format!("{TOKEN} of {}", node.name), old, Some(expiry))?;
            Ok((node.name.clone(), token))
        };
        config.nodes.iter().map(token).collect()
    }

    /// `old`, or a new one if that has ended.
    fn token(
        &mut self,
        path: String,
        old: Option<&BootstrapToken>,
        expiry: Option<Duration>,
    ) -> Result<BootstrapToken, Error> {
        if let Some(token) = old.filter(|token| token.is_good(self.now)) {
            let until = |moment| format!("valid until {}", rfc3339(moment));
            let reason = token.expires.map_or_else(|| "it does not expire".to_owned(), until);
            self.note(path, Action::Kept, reason);
            return Ok(token.clone());
        }
        let (action, reason) = match old {
            Some(_) => (Action::Renewed, "it had expired"),
            None => (Action::Created, ""),
        };
        self.note(path, action, reason);
        let expires = expiry.map(|expiry| sign::later(self.now, expiry));
        // Kubernetes keeps whole seconds.
        BootstrapToken::generate(expires.map(|expires| expires.truncate_to_second()))
    }

    /// Takes a file of the earlier render over, byte for byte.
    fn keep(&mut self, path: &str) {
        let file = self.previous.files.get(path).map(|pem| (path.to_owned(), pem.clone()));
        self.files.extend(file);
    }
}

/// [`Note::path`] of the token that kubelets share, and the beginning of that of another.
const TOKEN: &str = "bootstrap token";
