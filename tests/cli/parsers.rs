//! Whatever is put into a file, a flag or a query: it is taken, or refused with an explanation.

use bootkube::cli::query;
use bootkube::config::{self, ClusterConfig, Flags};
use bootkube::finding::{Finding, Findings};
use bootkube::reference;
use proptest::prelude::*;

use super::HEADER;

/// Files to start from: what is printed, and one that sets what the defaults leave out.
fn seeds() -> Vec<String> {
    let full = format!(
        "{HEADER}apiServers: ['https://api.example', 'https://[fd00::1]:6443']\napiServerAltNames: [10.0.0.1]\n\
         etcd: {{servers: ['https://e:2379'], caFile: a, certificateFile: b, privateKeyFile: c}}\n\
         podCIDRs: [10.2.0.0/16, 'fd01::/56']\nserviceCIDRs: [10.3.0.0/24, 'fd02::/112']\n\
         components:\n  kube-apiserver:\n    extraArgs: {{v: '4', profiling: null}}\n    extraVolumes:\n    - name: a\n      \
         hostPath: /a\n      mountPath: /b\n    patches:\n    - kind: Pod\n      type: json\n      \
         patch: [{{op: remove, path: /spec}}]\ncontrolPlane: {{controllers: 3, workers: true, label: a/b=c}}\n\
         bootstrapToken: {{expiry: 1day 12h}}\nimages: {{etcd: 'quay.io/e/e:1'}}\n"
    );
    let seeds = vec![reference::defaults_text().unwrap(), full];
    for seed in &seeds {
        config::resolve(Flags::default(), Some(("seed", seed))).unwrap();
    }
    seeds
}

/// What typing errors and malice put into a file.
const SNIPPETS: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    ":",
    "-",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "#",
    "&a",
    "*a",
    "<<: *a",
    "!!int ",
    "|",
    "---\n",
    "null",
    "~",
    "yes",
    "0400",
    "1e999",
    "-1",
    "18446744073709551616",
    ".nan",
    "99999999999999999999d",
    "::/0",
    "0.0.0.0/0",
    "/128",
    "/33",
    "fd00::/120",
    "https://",
    "https://[",
    "@",
    "%",
    "=",
    "ä",
    "\u{0}",
    "\u{202e}",
    "😀",
];

/// A place in `text` that is between characters.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What is accepted can be recorded and read again; what is refused is explained.
fn is_sound(result: Result<(ClusterConfig, Vec<String>), Findings>) -> Result<(), TestCaseError> {
    match result {
        Ok((cluster, _)) => {
            let written = reference::to_value(&cluster).to_string();
            let again = config::resolve(Flags::default(), Some(("written", &written)));
            prop_assert_eq!(again.map(|(cluster, _)| cluster), Ok(cluster));
            Ok(())
        }
        Err(findings) => say_everything(&findings),
    }
}

fn say_everything(Findings(findings): &Findings) -> Result<(), TestCaseError> {
    prop_assert!(!findings.is_empty());
    for finding in findings {
        let Finding { field, value, problem, cure } = finding;
        prop_assert!(!field.is_empty() && !problem.is_empty() && !cure.is_empty(), "{}", finding);
        prop_assert!(value.chars().count() <= 81, "{}", finding);
    }
    Ok(())
}

/// What flags are given: good values, each for some flag, and noise.
fn flag_value() -> impl Strategy<Value = String> {
    const GOOD: [&str; 7] =
        ["c1", "https://a", "https://a:1,https://b:2", "IP=::1,DNS=a", "10.8.0.0/16", "fd00::/56", "none"];
    prop_oneof![
        prop::sample::select(&GOOD[..]).prop_map(str::to_owned),
        "[ -~]{0,24}|[0-9a-f:./,=]{0,24}|https?://[ -~]{0,16}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_the_parser_panic(
        seed in 0..2_usize,
        edits in prop::collection::vec((any::<usize>(), 0..12_usize, prop::sample::select(SNIPPETS)), 1..6),
    ) {
        static SEEDS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
        let mut file = SEEDS.get_or_init(seeds)[seed].clone();
        for (at, cut, insert) in edits {
            let start = boundary(&file, at);
            let end = boundary(&file, (start + cut).min(file.len())).max(start);
            file.replace_range(start..end, insert);
        }
        is_sound(config::resolve(Flags::default(), Some(("dir/cluster.yaml", &file))))?;
    }

    #[test]
    fn no_flags_make_the_parser_panic(values in prop::collection::vec(prop::option::weighted(0.3, flag_value()), 7)) {
        let value = |index: usize| values[index].clone();
        let flags = Flags {
            cluster_name: value(0),
            api_servers: value(1),
            api_server_alt_names: value(2),
            etcd_servers: value(3),
            pod_cidr: value(4),
            service_cidr: value(5),
            network_provider: value(6),
            ..Flags::default()
        };
        is_sound(config::resolve(flags, None))?;
    }

    #[test]
    fn no_query_makes_the_parser_panic(text in r#"(\{("(config|tls/ca.key|[a-z/.]{0,8})": ?("[ -~]{0,8}"|[0-9]|\[\]),?){0,4}\}?)|[ -~]{0,24}"#) {
        if let Err(findings) = query::parse(&text) {
            say_everything(&findings)?;
        }
    }
}
