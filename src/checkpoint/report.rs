//! The copies of a machine, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::store::{Entry, Listing};

const NONE: &str = "this machine keeps no copies: without an API, no pod of it comes back\n";

/// A table, and below it what is wrong.
pub fn to_text(listing: &Listing) -> String {
    let Listing { entries, unreadable, stand_ins: _ } = listing;
    let mut text = if entries.is_empty() { NONE.to_owned() } else { table(entries) };
    for path in unreadable {
        writeln!(text, "{} is no copy that can be read", path.display())
            .expect("invariant: a String can be written to");
    }
    text
}

fn table(entries: &[Entry]) -> String {
    let mut rows =
        vec![["WORKLOAD", "COPY OF POD", "KEPT SINCE", "STATE", "WHY THIS ONE"].map(str::to_owned)];
    rows.extend(entries.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}{}\n", cells.collect::<String>(), row[4])
    };
    rows.iter().map(line).collect()
}

fn row(entry: &Entry) -> [String; 5] {
    let (pod, saved, reason) = match &entry.kept {
        Some(kept) => (kept.pod.as_str(), kept.saved.as_str(), kept.reason.as_str()),
        None => ("-", "-", "-"),
    };
    [entry.id.to_string(), pod.to_owned(), saved.to_owned(), state(entry).to_owned(), reason.to_owned()]
}

/// What has become of a copy, in a word.
fn state(entry: &Entry) -> &'static str {
    match (&entry.kept, &entry.active, entry.is_broken) {
        (_, _, true) => "broken",
        (_, None, _) => "kept",
        (Some(kept), Some(active), _) if kept.revision == *active => "active",
        (Some(_), Some(_), _) => "active (an older one)",
        (None, Some(_), _) => "active, not kept",
    }
}

/// Stable keys, for programs.
pub fn to_json(listing: &Listing) -> Value {
    let Listing { entries, unreadable, stand_ins: _ } = listing;
    let copy = |entry: &Entry| {
        let mut copy = json!(entry);
        copy["state"] = json!(state(entry));
        copy
    };
    json!({"copies": entries.iter().map(copy).collect::<Vec<_>>(), "unreadable": unreadable})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::store::Kept;
    use crate::checkpoint::{Id, Revision};

    fn listing() -> Listing {
        let kept = |revision: &str| Kept {
            revision: Revision(revision.into()),
            pod: "kube-apiserver-x7z2k".into(),
            saved: "2026-01-02T03:04:05Z".into(),
            reason: "it was good".into(),
            images: vec!["i".into()],
        };
        let entry = |name: &str, kept, active: Option<&str>, is_broken| Entry {
            id: Id::new("kube-system", name),
            kept,
            active: active.map(|revision| Revision(revision.into())),
            is_broken,
            pod: Default::default(),
        };
        let entries = vec![
            entry("kube-apiserver", Some(kept("1")), None, false),
            entry("own", Some(kept("1")), Some("1"), false),
            entry("edited", Some(kept("2")), Some("1"), false),
            entry("torn", None, None, true),
        ];
        Listing { entries, unreadable: vec!["/x/odd.json".into()], ..Listing::default() }
    }

    #[test]
    fn a_person_sees_what_would_run_from_when_and_why() {
        let text = to_text(&listing());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "kube-system/kube-apiserver  kube-apiserver-x7z2k  2026-01-02T03:04:05Z  kept                   it was good"
        );
        assert!(lines[2].contains("  active  ") && lines[3].contains("  active (an older one)  "), "{text}");
        assert!(lines[4].contains("  broken  "), "{text}");
        assert_eq!(lines[5], "/x/odd.json is no copy that can be read");
        assert!(to_text(&Listing::default()).contains("keeps no copies"));
    }

    #[test]
    fn a_program_finds_the_same_under_stable_keys() {
        let json = to_json(&listing());
        let first = &json["copies"][0];
        assert_eq!(
            (first["id"]["name"].as_str(), first["state"].as_str()),
            (Some("kube-apiserver"), Some("kept"))
        );
        assert_eq!(first["kept"]["saved"], "2026-01-02T03:04:05Z");
        assert_eq!(json["unreadable"][0], "/x/odd.json");
    }
}
