//! A list with a line for each machine: name, role, addresses, and what else it has as `key=value`.
//!
//! ```text
//! # name role       addresses
//! n1     controller 192.0.2.10
//! n2     worker     192.0.2.11,fd00::11 label=disk=ssd taint=dedicated=db:NoSchedule
//! ```

use super::Role;
use super::written::Written;
use crate::values::fields::nearest;
use crate::values::mistakes::{Given, Mistakes};
use crate::values::scalar::Named;

const KEYS: [&str; 3] = ["podCIDRs", "label", "taint"];

/// Whether `text` is lines and not YAML: it begins neither with a list nor with a key.
pub fn are_lines(text: &str) -> bool {
    let first = text.lines().map(without_comment).find(|line| !line.is_empty());
    let is_key = |line: &str| line.split_whitespace().next().is_some_and(|word| word.ends_with(':'));
    first.is_some_and(|line| !line.starts_with(['-', '[', '{', '%']) && !is_key(line))
}

/// The machines of `text`.
pub fn read(text: &str, mistakes: &mut Mistakes) -> Vec<Written> {
    let numbered = text.lines().map(without_comment).enumerate();
    numbered.filter_map(|(index, line)| machine(&format!("line {}", index + 1), line, mistakes)).collect()
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

fn machine(at: &str, line: &str, mistakes: &mut Mistakes) -> Option<Written> {
    let mut words = line.split_whitespace();
    let place = |field: &str, value: &str| Given::new(format!("{at}: {field}"), value.to_owned());
    let mut written = Written { at: at.to_owned(), ..Written::default() };
    written.name = Some(place("name", words.next()?));
    written.role = words.next().map(|word| place("role", word));
    for word in words {
        let (key, list) = word.split_once('=').unwrap_or(("addresses", word));
        let items = list.split(',').map(|item| place(key, item));
        match key {
            "addresses" => written.addresses.extend(items),
            "podCIDRs" => written.pod_cidrs.extend(items),
            "label" => written.labels.extend(items),
            "taint" => written.taints.extend(items),
            key => refuse_key(at, key, mistakes),
        }
    }
    Some(written)
}

fn refuse_key(at: &str, key: &str, mistakes: &mut Mistakes) {
    let cure = match nearest(key, &KEYS) {
        Some(near) => format!("did you mean `{near}=`?"),
        None if Role::from_word(key).is_some() => "write the role as a word of its own".into(),
        None => format!("remove it, or use one of {}", KEYS.join(", ")),
    };
    mistakes.refuse(at, &format!("{key}="), "is not known", cure);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_yaml_is_no_lines() {
        for yaml in [
            "- name: a\n",
            "\n# all\nnodes:\n- name: a",
            "[{name: a}]",
            "nodes: []",
            "{nodes: []}",
            "---\n- a",
        ] {
            assert!(!are_lines(yaml), "{yaml}");
        }
        for lines in ["n1 controller 192.0.2.1", "# all\n\n n1 worker\n", "n1 worker fd00::1 label=a=b"] {
            assert!(are_lines(lines), "{lines}");
        }
        assert!(!are_lines("# nothing\n"));
    }

    #[test]
    fn a_line_is_a_machine_and_an_item_knows_its_line() {
        let mut mistakes = Mistakes::default();
        let text = "# name\nn1 controller 10.0.0.1,fd00::1 # first\n\nn2 worker taint=a=b:NoSchedule label=x=,y=z\nn3\n";
        let read = read(text, &mut mistakes);
        assert!(mistakes.findings.is_empty());
        let [n1, n2, n3] = &read[..] else { panic!("{read:?}") };
        let values = |list: &[Given<String>]| list.iter().map(|item| item.value.clone()).collect::<Vec<_>>();
        assert_eq!(values(&n1.addresses), ["10.0.0.1", "fd00::1"]);
        assert_eq!(
            (values(&n2.taints), values(&n2.labels)),
            (vec!["a=b:NoSchedule".into()], vec!["x=".into(), "y=z".into()])
        );
        assert_eq!(n2.labels[1].at, "line 4: label");
        assert!(n3.role.is_none() && n3.at == "line 5");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_one_that_was_meant() {
        for (text, wanted) in [
            ("n1 worker labels=a=b", "line 1: labels=: is not known; did you mean `label=`?"),
            ("\nn1 worker podCIDR=10.2.0.0/24", "line 2: podCIDR=: is not known; did you mean `podCIDRs=`?"),
            (
                "n1 worker colour=red",
                "line 1: colour=: is not known; remove it, or use one of podCIDRs, label, taint",
            ),
        ] {
            let mut mistakes = Mistakes::default();
            read(text, &mut mistakes);
            let found: Vec<String> = mistakes.findings.iter().map(ToString::to_string).collect();
            assert_eq!(found, [wanted]);
        }
    }
}
