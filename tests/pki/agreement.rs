//! Random certificates, as users supply them: bootkube accepts exactly those that Go accepts. The
//! only exceptions are kinds of keys that bootkube's own TLS library does not have.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use bootkube::pki::{NamedFile, Previous, Role, SuppliedFiles, Usage, catalogue, check_supplied, issue};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use crate::random::{Random, seed};
use crate::support::*;

/// Certificates of each of the two kinds.
const CASES: usize = 300;

/// Name, how openssl makes it, and whether bootkube can sign with it and read it.
const KEYS: [(&str, &str, bool); 10] = [
    ("p256", "ecparam -name prime256v1 -genkey -noout", true),
    ("other-p256", "ecparam -name prime256v1 -genkey -noout", true),
    ("p384", "ecparam -name secp384r1 -genkey -noout", true),
    ("p521", "ecparam -name secp521r1 -genkey -noout", true),
    ("rsa2048", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", true),
    ("rsa1024", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", false),
    ("p224", "ecparam -name secp224r1 -genkey -noout", false),
    ("ed25519", "genpkey -algorithm ed25519", false),
    ("k256", "ecparam -name secp256k1 -genkey -noout", false),
    ("explicit", "ecparam -name prime256v1 -genkey -noout -param_enc explicit", false),
];

const BASIC: [&str; 6] = [
    "critical, CA:TRUE",
    "CA:TRUE",
    "critical, CA:TRUE, pathlen:0",
    "critical, CA:TRUE, pathlen:1",
    "CA:FALSE",
    "",
];
const KEY_USAGE: [&str; 5] = [
    "critical, keyCertSign, cRLSign",
    "",
    "digitalSignature, keyCertSign",
    "critical, digitalSignature",
    "cRLSign",
];
const EXTENDED: [&str; 9] = [
    "",
    "serverAuth, clientAuth",
    "clientAuth",
    "serverAuth",
    "anyExtendedKeyUsage",
    "codeSigning",
    "emailProtection, clientAuth, serverAuth",
    "1.2.3.4",
    "msSGC, nsSGC",
];
const CONSTRAINTS: [&str; 18] = [
    "",
    "permitted;DNS:example.com",
    "permitted;DNS:.example.com",
    "critical, permitted;DNS:example.com, permitted;DNS:kubernetes, permitted;DNS:default, permitted;DNS:svc, permitted;DNS:local, permitted;DNS:localhost, permitted;DNS:demo.example",
    "critical, excluded;DNS:example.com",
    "critical, excluded;DNS:svc",
    "excluded;DNS:unrelated.test",
    "critical, permitted;IP:10.0.0.0/255.0.0.0",
    "permitted;IP:0.0.0.0/0.0.0.0, permitted;IP:::/::",
    "permitted;IP:0.0.0.0/0.0.0.0",
    "excluded;IP:192.0.2.0/255.255.255.0",
    "excluded;IP:203.0.113.0/255.255.255.0",
    "critical, permitted;email:example.com",
    "critical, permitted;URI:example.com",
    "permitted;IP:10.0.0.0/255.0.255.0",
    "permitted;dirName:directory",
    "critical, permitted;dirName:directory",
    "permitted;DNS:example..com",
];
/// Extensions that are strange by themselves.
const STRANGE: [&str; 15] = [
    "",
    "1.2.3.4 = critical, ASN1:UTF8String:x",
    "1.2.3.4 = ASN1:UTF8String:x",
    "issuerAltName = critical, DNS:example.com",
    "2.5.29.14 = critical, DER:04:03:01:02:03",
    "nsCertType = critical, sslCA",
    "certificatePolicies = critical, 1.2.3.4",
    "policyConstraints = requireExplicitPolicy:0",
    "policyConstraints = critical, requireExplicitPolicy:1",
    "inhibitAnyPolicy = 0",
    "2.5.29.17 = DER:30:07:87:05:01:02:03:04:05",
    "2.5.29.17 = DER:30:05:82:03:C3:A4:61",
    "2.5.29.30 = DER:30:00",
    "2.5.29.30 = DER:30:06:A0:04:30:02:82:00",
    "2.5.29.19 = DER:30:03:01:01:07",
];
/// Names of a client.
const NAMES: [&str; 9] = [
    "",
    "DNS:client.example.com",
    "DNS:client.other.test",
    "DNS:*.example.com",
    "email:someone@example.com",
    "URI:spiffe://example.com/client",
    "URI:urn:client",
    "IP:10.1.2.3, IP:fd00::1",
    "critical, otherName:1.2.3.4;UTF8:x",
];
const DIGESTS: [&str; 4] = ["sha256", "sha384", "sha512", "sha1"];
const HOSTS: [&[&str]; 4] = [&[], &["etcd1.example.com"], &["10.1.2.3"], &["etcd1.example.com", "fd00::7"]];

/// What one certificate is made of.
struct Wanted<'a> {
    file: &'a str,
    key: &'a str,
    /// File and key of what signs it; itself, if there is none.
    signer: Option<(&'a str, &'a str)>,
    is_authority: bool,
}

struct Maker<'a> {
    folder: &'a Path,
    random: Random,
    /// What was chosen, for the message.
    story: Vec<String>,
}

impl Maker<'_> {
    /// Mostly the first, which is good; sometimes any.
    fn choose(&mut self, list: &[&'static str], what: &str, oddity: u64) -> &'static str {
        if self.random.below(100) >= oddity {
            return list[0];
        }
        let chosen = self.random.of(list);
        self.story.push(format!("{what}: {chosen}"));
        chosen
    }

    fn key(&mut self, oddity: u64) -> &'static str {
        const NAMES: [&str; 10] = [
            KEYS[0].0, KEYS[1].0, KEYS[2].0, KEYS[3].0, KEYS[4].0, KEYS[5].0, KEYS[6].0, KEYS[7].0,
            KEYS[8].0, KEYS[9].0,
        ];
        self.choose(&NAMES, "key", oddity)
    }

    fn certificate(&mut self, wanted: &Wanted<'_>) -> String {
        let Wanted { file, key, signer, is_authority } = wanted;
        self.story.push(format!("{file} for {key}"));
        let mut lines = vec!["[extensions]".to_owned()];
        let line = |name: &str, value: &str| (!value.is_empty()).then(|| format!("{name} = {value}"));
        if *is_authority {
            lines.extend(line("basicConstraints", self.choose(&BASIC, "basicConstraints", 12)));
            lines.extend(line("keyUsage", self.choose(&KEY_USAGE, "keyUsage", 15)));
            lines.extend(line("extendedKeyUsage", self.choose(&EXTENDED, "extendedKeyUsage", 20)));
            lines.extend(line("nameConstraints", self.choose(&CONSTRAINTS, "nameConstraints", 25)));
        } else {
            const LEAF: [&str; 8] = [
                EXTENDED[2],
                EXTENDED[0],
                EXTENDED[1],
                EXTENDED[3],
                EXTENDED[4],
                EXTENDED[5],
                EXTENDED[6],
                EXTENDED[7],
            ];
            lines.extend(line("extendedKeyUsage", self.choose(&LEAF, "extendedKeyUsage", 30)));
            lines.extend(line("subjectAltName", self.choose(&NAMES, "subjectAltName", 50)));
        }
        let strange = self.choose(&STRANGE, "extension", 12);
        let taken = lines.iter().any(|line| {
            line.starts_with("basic") && strange.starts_with("2.5.29.19")
                || line.starts_with("subjectAlt") && strange.starts_with("2.5.29.17")
                || line.starts_with("nameCon") && strange.starts_with("2.5.29.30")
        });
        lines.extend((!strange.is_empty() && !taken).then(|| strange.to_owned()));
        let head = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n[directory]\nO = example\n";
        fs::write(self.folder.join("openssl.cnf"), format!("{head}{}\n", lines.join("\n"))).unwrap();
        let digest = self.choose(&DIGESTS, "digest", 12);
        let days = ["30", "30", "10", "2"][self.random.below(4) as usize];
        let serial = if self.random.below(40) == 0 { " -set_serial -5" } else { "" };
        self.story.extend((!serial.is_empty()).then(|| "a negative serial number".to_owned()));
        let digest = if signer.map_or(*key, |(_, key)| key) == "ed25519" { "sha256" } else { digest };
        let by = signer.map_or_else(String::new, |(file, key)| format!(" -CA {file} -CAkey {key}.key"));
        let name = file.trim_end_matches(".crt");
        openssl(
            self.folder,
            &format!(
                "req -new -x509 -config openssl.cnf -extensions extensions -key {key}.key -subj /O=example/CN={name} \
                 -days {days} -{digest}{serial}{by} -out {file}"
            ),
        );
        self.story.push(format!("{days} days"));
        (*file).to_owned()
    }

    fn named(&self, file: &str) -> NamedFile {
        let pem = fs::read(self.folder.join(file)).unwrap();
        NamedFile { field: file.to_owned(), path: file.to_owned(), pem }
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    fn now(&mut self) -> OffsetDateTime {
        let days = [0, 0, 0, 0, 0, 1, 5, 20, 40, -2][self.random.below(10) as usize];
        self.story.push(format!("after {days} days"));
        OffsetDateTime::now_utc() + Duration::days(days)
    }

    /// A key that is mostly the certificate's.
    fn own_key(&mut self, key: &'static str) -> &'static str {
        if self.random.below(25) == 0 { self.key(100) } else { key }
    }
}

/// A case: the question for Go, and our answer.
struct Case {
    question: Value,
    ours: Result<(), String>,
    uses_own_keys_only: bool,
    story: String,
}

fn can_use(key: &str) -> bool {
    KEYS.iter().any(|(name, _, can)| *name == key && *can)
}

fn kubernetes_ca(maker: &mut Maker<'_>) -> Case {
    let key = maker.key(40);
    maker.certificate(&Wanted { file: "ca.crt", key, signer: None, is_authority: true });
    let given = maker.own_key(key);
    let now = maker.now();
    let key_file = format!("{given}.key");
    let files = SuppliedFiles {
        ca: Some((maker.named("ca.crt"), maker.named(&key_file))),
        ..SuppliedFiles::default()
    };
    let ours = check_supplied(&files, now).map_err(|findings| findings.to_string());
    let issued = ours.and_then(|supplied| {
        issue(&config(), supplied, &Previous::default(), now).map_err(|error| error.to_string())
    });
    let leaves: Vec<Value> = catalogue(&config()).iter().filter_map(leaf).collect();
    let ca = json!({"Certificate": maker.path("ca.crt"), "Key": maker.path(&key_file)});
    Case {
        question: json!({"Now": now.unix_timestamp(), "CA": ca, "Leaves": leaves}),
        ours: issued.map(|_| ()),
        uses_own_keys_only: can_use(key) && can_use(given),
        story: maker.story.join("; "),
    }
}

fn leaf(spec: &bootkube::pki::Spec) -> Option<Value> {
    let Role::Leaf { signer: "ca", usages, alt_names } = &spec.role else { return None };
    let word = |usage: &Usage| if *usage == Usage::Server { "server" } else { "client" };
    let usages: Vec<&str> = usages.iter().map(word).collect();
    let ips: Vec<String> = alt_names.ips.iter().map(ToString::to_string).collect();
    Some(json!({"Path": spec.name, "DNS": alt_names.dns_names, "IPs": ips, "Usages": usages}))
}

fn etcd_client(maker: &mut Maker<'_>) -> Case {
    let mut keys = vec![maker.key(15)];
    maker.certificate(&Wanted { file: "root.crt", key: keys[0], signer: None, is_authority: true });
    let mut signer = ("root.crt", keys[0]);
    let mut chain = Vec::new();
    for file in ["one.crt", "two.crt"].into_iter().take([0, 0, 0, 1, 1, 2][maker.random.below(6) as usize]) {
        let key = maker.key(20);
        maker.certificate(&Wanted { file, key, signer: Some(signer), is_authority: true });
        (signer, keys) = ((file, key), [keys.as_slice(), &[key]].concat());
        chain.push(file);
    }
    let key = maker.key(15);
    maker.certificate(&Wanted { file: "client.crt", key, signer: Some(signer), is_authority: false });
    let given = maker.own_key(key);
    keys.extend([key, given]);
    if maker.random.below(10) == 0 {
        maker.story.push("an intermediate is missing, if there was one".into());
        chain.pop();
    }
    chain.push("client.crt");
    chain.reverse();
    concatenate(maker, &chain, "chain.pem");
    let other = maker.random.below(8);
    let mut trust = vec!["root.crt"];
    if other < 2 {
        let key = maker.key(15);
        maker.certificate(&Wanted { file: "other.crt", key, signer: None, is_authority: true });
        keys.push(key);
        trust = if other == 0 { vec!["other.crt"] } else { vec!["other.crt", "root.crt"] };
        maker.story.push(format!("trusts {trust:?}"));
    }
    concatenate(maker, &trust, "trust.pem");
    let hosts = HOSTS[maker.random.below(4) as usize];
    maker.story.push(format!("hosts {hosts:?}"));
    let now = maker.now();
    let key_file = format!("{given}.key");
    let files = SuppliedFiles {
        etcd_client: Some((maker.named("trust.pem"), maker.named("chain.pem"), maker.named(&key_file))),
        etcd_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        ..SuppliedFiles::default()
    };
    let of = |file: &&str| if *file == "root.crt" { keys[0] } else { keys[keys.len() - 1] };
    let signers = trust.iter().map(
        |file| json!({"Certificate": maker.path(file), "Key": maker.path(&format!("{}.key", of(file)))}),
    );
    Case {
        question: json!({
            "Now": now.unix_timestamp(),
            "Client": {"Certificate": maker.path("chain.pem"), "Key": maker.path(&key_file)},
            "Trust": maker.path("trust.pem"),
            "Hosts": hosts,
            "Signers": signers.collect::<Vec<_>>(),
        }),
        ours: check_supplied(&files, now).map(|_| ()).map_err(|findings| findings.to_string()),
        uses_own_keys_only: keys.iter().all(|key| can_use(key)),
        story: maker.story.join("; "),
    }
}

fn concatenate(maker: &Maker<'_>, files: &[&str], into: &str) {
    let content: Vec<u8> = files.iter().flat_map(|file| fs::read(maker.folder.join(file)).unwrap()).collect();
    fs::write(maker.folder.join(into), content).unwrap();
}

/// Go's reason against each case; empty, if it accepts it.
fn answers_of_go(folder: &Path, cases: &[Case]) -> Vec<String> {
    let questions: Vec<&Value> = cases.iter().map(|case| &case.question).collect();
    let file = folder.join("cases.json");
    fs::write(&file, serde_json::to_vec(&questions).unwrap()).unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pki/accepts.go");
    let output = lab::go(".").args(["run", program]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn agree(make: fn(&mut Maker<'_>) -> Case) {
    let seed = seed();
    let folder = TempDir::new().unwrap();
    for (name, genkey, _) in KEYS {
        openssl(folder.path(), &format!("{genkey} -out {name}.key"));
    }
    let cases: Vec<Case> = (0..CASES)
        .map(|index| {
            let own = folder.path().join(index.to_string());
            fs::create_dir(&own).unwrap();
            for (name, ..) in KEYS {
                let key = format!("{name}.key");
                std::os::unix::fs::symlink(folder.path().join(&key), own.join(&key)).unwrap();
            }
            make(&mut Maker { folder: &own, random: Random::new(seed, index as u64), story: Vec::new() })
        })
        .collect();
    let answers = answers_of_go(folder.path(), &cases);
    let (mut accepted, mut beyond, mut wrong) = (0, 0, Vec::new());
    for (index, (case, go)) in cases.iter().zip(&answers).enumerate() {
        let of_the_library =
            |text: &String| text.contains("unsupported kind") || text.contains("bootkube cannot verify");
        match (&case.ours, go.as_str()) {
            (Ok(()), "") => accepted += 1,
            (Err(_), go) if !go.is_empty() => {}
            (Err(ours), _) if of_the_library(ours) && !case.uses_own_keys_only => beyond += 1,
            (ours, go) => wrong.push(format!("{index}: {}\n  ours: {ours:?}\n  go: {go}", case.story)),
        }
    }
    // Not by a macro, whose output the test harness keeps.
    let result = format!("{accepted} accepted, {beyond} beyond our TLS library");
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("pki: BOOTKUBE_SEED={seed}, {CASES} cases: {result}\n").as_bytes()).unwrap();
    assert!(wrong.is_empty(), "BOOTKUBE_SEED={seed}: {} of {CASES}\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted > CASES / 20 && accepted < CASES * 9 / 10, "{accepted} of {CASES} accepted");
}

#[test]
fn a_kubernetes_ca_is_accepted_exactly_when_go_accepts_what_it_signs() {
    agree(kubernetes_ca);
}

#[test]
fn an_etcd_client_is_accepted_exactly_when_go_accepts_it() {
    agree(etcd_client);
}
