//! A setting of kubelet as it must be for this cluster, and where it is made.

use crate::kubelet::{Kubelet, Place};

/// What makes kubelet read its files again.
pub const RESTART: &str = "run systemctl restart kubelet";

/// A setting of kubelet: its flag, its field, and its value for this cluster.
pub struct Wanted<'a> {
    pub flag: &'a str,
    pub field: &'a str,
    pub value: String,
}

impl Wanted<'_> {
    /// What to do, at the place where the setting is made.
    pub fn cure(&self, kubelet: &Kubelet) -> String {
        match kubelet.place(self.flag, self.field) {
            Place::Flag(flag) => {
                format!("give kubelet --{flag}={}, and {RESTART}", self.value.trim_matches(['[', ']']))
            }
            Place::File(file) => format!("set {}: {} in {file}, and {RESTART}", self.field, self.value),
        }
    }

    /// The place where it is made, as the subject of a sentence.
    pub fn place(&self, kubelet: &Kubelet) -> String {
        match kubelet.place(self.flag, self.field) {
            Place::Flag(flag) => format!("kubelet's flag --{flag}"),
            Place::File(file) => format!("{} in {file}", self.field),
        }
    }
}
