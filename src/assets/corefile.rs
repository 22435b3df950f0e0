//! What the configuration of CoreDNS says.

/// The domains of Services in a Corefile: what the plugin `kubernetes` is given, reverse zones aside.
pub fn zones(corefile: &str) -> Vec<&str> {
    let mut lines = corefile.lines().map(str::split_whitespace);
    let plugin = lines.find_map(|mut words| (words.next() == Some("kubernetes")).then_some(words));
    let zones = plugin.into_iter().flatten().take_while(|word| *word != "{");
    zones.filter(|zone| !zone.ends_with(".arpa")).map(|zone| zone.trim_end_matches('.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domains_of_a_corefile_are_those_of_its_kubernetes_plugin() {
        let corefile = ".:53 {\n  errors\n  kubernetes cluster.local. x.test in-addr.arpa ip6.arpa {\n    pods insecure\n  }\n}\n";
        assert_eq!(zones(corefile), ["cluster.local", "x.test"]);
        assert_eq!(zones(".:53 {\n forward . 1.1.1.1\n}"), [] as [&str; 0]);
    }
}
