//! Certificate policies, as far as they can make Go refuse a chain: an intermediate authority may
//! demand one (policyConstraints), and every certificate below must then have it.
//!
//! Mappings of policies are not followed. Where one is, a chain that demands a policy is refused.

use std::collections::BTreeSet;

use x509_parser::extensions::ParsedExtension;

const ANY: &str = "2.5.29.32.0";

/// The extensions about policies.
#[derive(Debug, Default)]
pub struct Policies {
    own: BTreeSet<String>,
    /// How many certificates may follow before a policy is demanded.
    demanded_after: Option<u32>,
    /// How many certificates may follow before anyPolicy means none.
    any_until: Option<u32>,
    mapped: bool,
}

/// A certificate of a chain, for the rules on policies.
pub struct Link<'a> {
    pub policies: &'a Policies,
    pub is_self_issued: bool,
}

impl Policies {
    pub fn read(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::CertificatePolicies(policies) => {
                self.own = policies.iter().map(|policy| policy.policy_id.to_id_string()).collect();
            }
            ParsedExtension::PolicyConstraints(constraints) => {
                self.demanded_after = constraints.require_explicit_policy;
            }
            ParsedExtension::InhibitAnyPolicy(inhibit) => self.any_until = Some(inhibit.skip_certs),
            ParsedExtension::PolicyMappings(_) => self.mapped = true,
            _ => {}
        }
    }
}

/// Whether the chain, from below the root to the leaf, has the policies that it demands (RFC 5280,
/// 6.1, without mappings).
pub fn hold(chain: &[Link<'_>]) -> bool {
    let length = u32::try_from(chain.len()).unwrap_or(u32::MAX).saturating_add(1);
    let (mut demanded_after, mut any_until) = (length, length);
    // `None` stands for every policy.
    let mut valid: Option<BTreeSet<String>> = None;
    for (index, Link { policies, is_self_issued }) in chain.iter().enumerate() {
        let is_leaf = index + 1 == chain.len();
        let any_counts = any_until > 0 || (!is_leaf && *is_self_issued);
        if !(policies.own.contains(ANY) && any_counts) {
            let own = policies.own.iter().filter(|policy| *policy != ANY);
            let kept = own.filter(|policy| valid.as_ref().is_none_or(|valid| valid.contains(*policy)));
            valid = Some(kept.cloned().collect());
        }
        if demanded_after == 0 && valid.as_ref().is_some_and(BTreeSet::is_empty) {
            return false;
        }
        if !is_leaf {
            if policies.mapped {
                valid = Some(BTreeSet::new());
            }
            if !is_self_issued {
                demanded_after = demanded_after.saturating_sub(1);
                any_until = any_until.saturating_sub(1);
            }
            demanded_after = policies.demanded_after.unwrap_or(u32::MAX).min(demanded_after);
            any_until = policies.any_until.unwrap_or(u32::MAX).min(any_until);
        }
    }
    let own_demand = chain.last().and_then(|leaf| leaf.policies.demanded_after) == Some(0);
    let is_demanded = own_demand || demanded_after.saturating_sub(1) == 0;
    !(is_demanded && valid.is_some_and(|valid| valid.is_empty()))
}
