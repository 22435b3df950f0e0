//! What Kubernetes would refuse of the certificates that were just signed, by authority and reason.

use time::OffsetDateTime;

use super::catalogue::{Spec, Usage};
use super::certificate::Certificate;
use super::problem::Problem;
use super::signer::{Authority, Source};
use super::verify::{Refusal, verify};
use crate::finding::Findings;

/// Refusals, each with the authority to blame and the certificates that it is said of.
#[derive(Default)]
pub(super) struct Refused(Vec<(Refusal, Source, Vec<String>)>);

impl Refused {
    /// Verifies `leaf`, for each of its usages, with the authority that signed it.
    pub(super) fn look_at(
        &mut self,
        leaf: &Certificate,
        spec: &Spec,
        usages: &[Usage],
        authority: &Authority,
        now: OffsetDateTime,
    ) {
        let trusted = std::slice::from_ref(&authority.certificate);
        let refusal = usages.iter().find_map(|usage| verify(leaf, &[], trusted, *usage, now).err());
        let Some(refusal) = refusal else { return };
        let path = spec.certificate();
        let is_same = |known: &&mut (Refusal, Source, Vec<String>)| {
            (&known.0, &known.1) == (&refusal, &authority.source)
        };
        match self.0.iter_mut().find(is_same) {
            Some((.., paths)) => paths.push(path),
            None => self.0.push((refusal, authority.source.clone(), vec![path])),
        }
    }

    /// A finding for each refusal, about the authority's file.
    pub(super) fn check(&self) -> Result<(), Findings> {
        let finding = |(refusal, source, paths): &(Refusal, Source, Vec<String>)| {
            let Refusal { why, cure, blame: _ } = refusal.clone();
            Problem::Signs(paths.join(", "), why, cure).finding(&source.field, &source.path)
        };
        let findings: Vec<_> = self.0.iter().map(finding).collect();
        if findings.is_empty() { Ok(()) } else { Err(Findings(findings)) }
    }
}
