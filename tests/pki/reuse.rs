//! Rendering again: what stays, what is renewed and why, and what is refused.

use bootkube::config::*;
use bootkube::finding::Findings;
use bootkube::pki::{Action, Error, Note, Previous, Supplied, issue};

use crate::support::*;

fn again(config: &ClusterConfig, previous: &Previous, days: u32) -> Result<(Previous, Vec<Note>), Findings> {
    let supplied = Supplied::default();
    match issue(config, supplied, previous, NOW + days * DAY) {
        Ok((bundle, notes)) => Ok((self::previous(&bundle), notes)),
        Err(Error::Findings(findings)) => Err(findings),
        Err(other) => panic!("{other}"),
    }
}

fn refusal(config: &ClusterConfig, previous: &Previous, days: u32) -> String {
    again(config, previous, days).map(|_| ()).unwrap_err().to_string()
}

fn reason<'a>(notes: &'a [Note], path: &str) -> &'a str {
    &notes.iter().find(|note| note.path == path).unwrap().reason
}

#[test]
fn rendering_again_changes_no_byte() {
    let mut config = config();
    let first = fresh(&config);
    config.certificates.validity = 10 * DAY;
    let (second, notes) = again(&config, &previous(&first), 0).unwrap();
    assert_eq!(second.files, first.files);
    assert!(second.token == Some(first.bootstrap_token.clone()));
    assert!(notes.iter().all(|note| note.action == Action::Kept), "{notes:?}");
    assert_eq!(reason(&notes, "admin.crt"), "valid until 2031-05-17T12:00:00Z");
}

#[test]
fn expired_leaves_are_renewed_with_their_keys() {
    let first = fresh(&config());
    let (second, notes) = again(&config(), &previous(&first), 366).unwrap();
    let kept = paths_of(&notes, Action::Kept);
    assert_eq!(kept, ["ca.crt", "front-proxy-ca.crt", "etcd-ca.crt", "service-account.key"]);
    assert_eq!(actions(&notes)["bootstrap token"], Action::Renewed);
    for (path, content) in &first.files {
        let same = second.files[path] == *content;
        let may_change = path.ends_with(".crt") && !path.ends_with("ca.crt");
        assert_eq!(same, !may_change, "{path}");
    }
    let folder = folder(&second.files);
    let at = (NOW + 366 * DAY).unix_timestamp();
    openssl(folder.path(), &format!("verify -x509_strict -attime {at} -CAfile ca.crt apiserver.crt"));
}

#[test]
fn what_only_ends_soon_is_kept_where_the_key_of_its_ca_is_elsewhere() {
    let config = config();
    let mut tree = previous(&fresh(&config));
    let with_key = again(&config, &tree, 360).unwrap().1;
    assert_eq!(reason(&with_key, "admin.crt"), "it would have ended at 2031-05-17T12:00:00Z");
    assert_eq!(actions(&with_key)["admin.crt"], Action::Renewed);
    tree.files.remove("ca.key");
    let (second, notes) = again(&config, &tree, 360).unwrap();
    assert_eq!(second.files["admin.crt"], tree.files["admin.crt"]);
    assert_eq!(actions(&notes)["admin.crt"], Action::Kept);
    let wanted = "ends at 2031-05-17T12:00:00Z; to renew it, put tls/ca.key back and render again";
    assert_eq!(reason(&notes, "admin.crt"), wanted);
    assert_eq!(actions(&notes)["front-proxy-client.crt"], Action::Renewed);
    assert!(refusal(&config, &tree, 366).contains("tls/admin.crt: must be issued (it was valid from"));
}

#[test]
fn a_certificate_is_not_replaced_by_one_that_ends_no_later() {
    let mut config = config();
    (config.certificates.validity, config.certificates.ca_validity) = (7300 * DAY, 9000 * DAY);
    let first = fresh(&config);
    config.certificates.validity = 365 * DAY;
    let days_left = |left: u32| again(&config, &previous(&first), 7300 - left).unwrap();
    for left in [700, 366, 365] {
        let (second, notes) = days_left(left);
        assert_eq!(second.files, first.files, "{left}");
        assert_eq!(reason(&notes, "admin.crt"), "valid until 2050-05-12T12:00:00Z");
    }
    let (_, notes) = days_left(364);
    assert_eq!(actions(&notes)["admin.crt"], Action::Renewed);
}

#[test]
fn no_leaf_outlives_its_ca() {
    let first = fresh(&config());
    let (second, _) = again(&config(), &previous(&first), 3649).unwrap();
    let folder = folder(&second.files);
    let end = |file| openssl(folder.path(), &format!("x509 -noout -enddate -in {file}"));
    assert_eq!(end("ca.crt"), end("admin.crt"));
}

#[test]
fn a_new_name_renews_the_apiserver_alone_and_a_removed_one_nothing() {
    let mut config = config();
    let first = fresh(&config);
    config.api_alt_names.dns_names = vec!["new.demo.example".into()];
    let (second, notes) = again(&config, &previous(&first), 1).unwrap();
    assert_eq!(paths_of(&notes, Action::Renewed), ["apiserver.crt", "bootstrap token"]);
    assert_eq!(reason(&notes, "apiserver.crt"), "it lacked new.demo.example");
    config.api_alt_names.dns_names.clear();
    let (third, notes) = again(&config, &second, 1).unwrap();
    assert_eq!(third.files, second.files);
    assert!(paths_of(&notes, Action::Renewed).is_empty());
}

#[test]
fn another_key_algorithm_rotates_nothing_and_is_reported() {
    let mut config = config();
    let first = fresh(&config);
    config.certificates.key_algorithm = KeyAlgorithm::Rsa2048;
    let (second, notes) = again(&config, &previous(&first), 0).unwrap();
    assert_eq!(second.files, first.files);
    assert!(reason(&notes, "scheduler.crt").ends_with("; its key stays ecdsa-p256"));
}

#[test]
fn another_subject_or_signer_or_a_lost_half_is_issued_anew() {
    let (config, other) = (config(), fresh(&config()));
    let first = fresh(&config);
    let cases: [(&str, Option<Vec<u8>>, &str, &str); 6] = [
        ("admin.crt", None, "admin.crt", "it was missing beside its key"),
        ("admin.key", None, "admin.crt", "its key was missing"),
        ("admin.key", Some(first.get("scheduler.key").into()), "admin.crt", "it did not belong to its key"),
        ("admin.*", Some(b"scheduler".into()), "admin.crt", "its subject differed"),
        ("etcd-client.*", Some(b"etcd/server".into()), "etcd-client.crt", "its subject differed"),
        ("admin.*", Some(b"*".into()), "admin.crt", "it was not signed by the current CA"),
    ];
    for (path, content, renewed, why) in cases {
        let mut tree = previous(&first);
        match (path.strip_suffix(".*"), content) {
            (Some(stem), Some(from)) => {
                let from = String::from_utf8(from).unwrap();
                for end in ["crt", "key"] {
                    let pem = match from.as_str() {
                        "*" => other.get(&format!("{stem}.{end}")),
                        from => first.get(&format!("{from}.{end}")),
                    };
                    tree.files.insert(format!("{stem}.{end}"), pem.to_vec());
                }
            }
            (_, Some(content)) => drop(tree.files.insert(path.into(), content)),
            (_, None) => drop(tree.files.remove(path)),
        }
        let (_, notes) = again(&config, &tree, 0).unwrap();
        assert_eq!(paths_of(&notes, Action::Renewed), [renewed], "{why}");
        assert_eq!(reason(&notes, renewed), why);
    }
}

#[test]
fn a_ca_without_its_key_suffices_while_nothing_has_to_be_signed() {
    let mut config = config();
    let mut tree = previous(&fresh(&config));
    tree.files.remove("ca.key");
    let (second, _) = again(&config, &tree, 0).unwrap();
    assert_eq!(second.files, tree.files);
    config.api_alt_names.dns_names = vec!["new.demo.example".into()];
    let text = refusal(&config, &tree, 0);
    assert!(text.starts_with(
        "tls/apiserver.crt: must be issued (it lacked new.demo.example), and tls/ca.key is not there to sign it; \
         put tls/ca.key back for this render"
    ));
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_ca_is_never_replaced() {
    let config = config();
    let first = fresh(&config);
    assert!(
        refusal(&config, &previous(&first), 4000).contains("tls/ca.crt: holds a certificate that expired at")
    );
    let mut tree = previous(&first);
    tree.files.remove("ca.crt");
    tree.files.insert("front-proxy-ca.key".into(), first.get("ca.key").into());
    tree.files.insert("etcd-ca.crt".into(), first.get("etcd-client.crt").into());
    let text = refusal(&config, &tree, 0);
    for line in [
        "tls/ca.crt: is missing beside tls/ca.key",
        "tls/front-proxy-ca.key: holds a private key that does not belong to the certificate in tls/front-proxy-ca.crt",
        "tls/etcd-ca.crt: holds a certificate that is not a CA",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_copy_of_the_etcd_ca_replaces_its_missing_file() {
    let config = config();
    let mut tree = previous(&fresh(&config));
    let ca = tree.files.remove("etcd-ca.crt").unwrap();
    let (second, notes) = again(&config, &tree, 0).unwrap();
    assert_eq!(second.files["etcd-ca.crt"], ca);
    assert!(paths_of(&notes, Action::Renewed).is_empty());
}

#[test]
fn the_service_account_key_is_kept_or_reported_missing_but_never_replaced() {
    let config = config();
    let first = fresh(&config);
    let mut tree = previous(&first);
    tree.files.remove("service-account.pub");
    assert_eq!(again(&config, &tree, 0).unwrap().0.files, first.files);
    tree.files.insert("service-account.pub".into(), fresh(&config).get("service-account.pub").into());
    assert!(refusal(&config, &tree, 0).contains("does not hold the public half"));
    tree.files.remove("service-account.key");
    assert!(refusal(&config, &tree, 0).contains("tls/service-account.key: is missing"));
}

#[test]
fn unreadable_files_are_reported_together_and_without_their_content() {
    let config = config();
    let mut tree = previous(&fresh(&config));
    tree.files.insert(
        "admin.key".into(),
        b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n".into(),
    );
    tree.files.insert("scheduler.crt".into(), b"hello".into());
    let text = refusal(&config, &tree, 0);
    assert!(
        text.contains("tls/admin.key: holds a private key that is damaged or of an unsupported kind"),
        "{text}"
    );
    assert!(text.contains("tls/scheduler.crt: is not PEM"), "{text}");
    assert!(!text.contains("c2VjcmV0"));
}

#[test]
fn files_that_the_configuration_does_not_need_are_left_out() {
    let mut config = config();
    let first = fresh(&config);
    config.aggregation = false;
    let (second, notes) = again(&config, &previous(&first), 0).unwrap();
    assert!(!second.files.keys().any(|path| path.starts_with("front-proxy")));
    assert!(!notes.iter().any(|note| note.path.starts_with("front-proxy")));
}

#[test]
fn tokens_are_kept_until_they_expire_and_well_formed() {
    let mut config = config();
    let token = fresh(&config).bootstrap_token;
    assert_eq!((token.id.len(), token.secret.len(), token.expires), (6, 16, Some(NOW + DAY)));
    let letters = format!("{}{}", token.id, token.secret);
    assert!(letters.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    config.bootstrap_token_expiry = None;
    let tree = Previous { token: Some(token.clone()), ..Previous::default() };
    assert!(again(&config, &tree, 0).unwrap().0.token == Some(token.clone()));
    let renewed = again(&config, &tree, 1).unwrap().0.token.unwrap();
    assert!(renewed.secret != token.secret && renewed.expires.is_none());
}
