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
                let value = self.value.trim_matches(['[', ']']).replace(", ", ",");
                format!("give kubelet --{flag}={value}, and {RESTART}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::config::Config;
    use crate::preflight::causes_tests::kubelet;

    #[test]
    fn a_kubelet_that_reads_no_file_is_given_a_flag_and_a_list_is_one_word() {
        let value = "[10.3.0.10, fd00::a]".to_owned();
        let wanted = Wanted { flag: "cluster-dns", field: "clusterDNS", value };
        let file = "set clusterDNS: [10.3.0.10, fd00::a] in /var/lib/kubelet/config.yaml, and run";
        assert!(wanted.cure(&kubelet()).starts_with(file));
        let bare = Kubelet { config: Ok(Config::default()), ..kubelet() };
        assert!(wanted.cure(&bare).starts_with("give kubelet --cluster-dns=10.3.0.10,fd00::a, and run"));
        assert_eq!(wanted.place(&bare), "kubelet's flag --cluster-dns");
    }
}
