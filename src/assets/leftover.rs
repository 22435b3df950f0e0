//! Files that an editor, a package manager or a patch left behind.
//!
//! kubectl reads files that end in `.yaml`, `.yml` and `.json`. kubelet reads every file of its
//! folder, so it would run the backup of a static pod beside the pod. Both skip names that begin
//! with a dot, kubectl only in part. bootkube reads every other file, as it did in v0.14, so it must
//! refuse what is not meant to be read.

/// What ends the name of a manifest.
const MANIFESTS: [&str; 3] = [".yaml", ".yml", ".json"];
/// What ends the name of a leftover, also where its name has none of [`MANIFESTS`].
const ENDS: [&str; 17] = [
    "~",
    ".bak",
    ".backup",
    ".old",
    ".orig",
    ".rej",
    ".save",
    ".swp",
    ".swo",
    ".tmp",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".dpkg-old",
    ".dpkg-new",
    ".dpkg-dist",
    ".ucf-old",
];

/// The file that the leftover at `path` was made from, by its name. None if `path` is no leftover.
pub fn origin(path: &str) -> Option<String> {
    let start = path.rfind('/').map_or(0, |slash| slash + 1);
    let name = &path[start..];
    if let Some(edited) = name.strip_prefix('#').and_then(|rest| rest.strip_suffix('#')) {
        return Some(format!("{}{edited}", &path[..start])); // emacs
    }
    let ends = MANIFESTS.iter().filter_map(|end| Some(start + name.find(end)? + end.len()));
    let end =
        ends.min().filter(|end| path[*end..].chars().next().is_some_and(|next| !next.is_alphanumeric()));
    match end {
        Some(end) if MANIFESTS.iter().any(|known| path[end..].ends_with(known)) => None, // x.yaml.json
        Some(end) => Some(path[..end].to_owned()),
        None => ENDS.iter().find_map(|end| path.strip_suffix(end)).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_known_by_their_names_and_name_their_origin() {
        for (path, expected) in [
            ("manifests/coredns.yaml", None),
            ("manifests/coredns.json", None),
            ("manifests/a.yaml.json", None),
            ("manifests/old/a.yml", None),
            ("manifests/x.yaml.d/a.txt", None),
            ("bootstrap-manifests/etcd.manifest", None),
            ("manifests/a.yamllint", None),
            ("manifests/coredns.yaml.bak", Some("manifests/coredns.yaml")),
            ("manifests/coredns.yaml~", Some("manifests/coredns.yaml")),
            ("manifests/coredns.yaml.~2~", Some("manifests/coredns.yaml")),
            ("manifests/a.json.orig", Some("manifests/a.json")),
            ("manifests/a.yml.rpmsave", Some("manifests/a.yml")),
            ("manifests/a.yaml.dpkg-old", Some("manifests/a.yaml")),
            ("manifests/a.yaml.2026-11-28", Some("manifests/a.yaml")),
            ("manifests/a.yaml-old", Some("manifests/a.yaml")),
            ("manifests/a.yaml (copy)", Some("manifests/a.yaml")),
            ("manifests/a.yaml.j2", Some("manifests/a.yaml")),
            ("manifests/#a.yaml#", Some("manifests/a.yaml")),
            ("controller-manifests/etcd.bak", Some("controller-manifests/etcd")),
            ("controller-manifests/etcd~", Some("controller-manifests/etcd")),
        ] {
            assert_eq!(origin(path).as_deref(), expected, "{path}");
        }
    }
}
