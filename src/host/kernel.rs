//! Settings of the kernel: what they are now, and what the machine's files make of them at the next
//! boot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::rooted;

/// Folders with settings. Of files of one name only the one in the first of these counts.
const SETTINGS: [&str; 4] = ["etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d"];
/// The same for modules.
const MODULES: [&str; 4] =
    ["etc/modules-load.d", "run/modules-load.d", "usr/local/lib/modules-load.d", "usr/lib/modules-load.d"];
/// Other names of a setting: the kernel changes both at once.
const ALIASES: [(&str, &str); 2] = [
    ("net.ipv4.conf.all.forwarding", "net.ipv4.ip_forward"),
    ("net.ipv4.conf.*.forwarding", "net.ipv4.ip_forward"),
];

/// The present value of a setting such as `net.ipv4.ip_forward`; `None` if the kernel does not have
/// it.
pub fn setting(name: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(Path::new("/proc/sys").join(name.replace('.', "/"))) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A line that sets something at the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtBoot {
    /// The value.
    pub value: String,
    /// The file of the line.
    pub file: PathBuf,
}

/// What the files of the machine under `root` set `name` to at the next boot, if they do.
pub fn setting_at_boot(root: &Path, name: &str) -> Option<AtBoot> {
    let lines = lines(root, &SETTINGS).into_iter();
    let mut values = lines.filter_map(|(file, line)| {
        let (key, value) = line.split_once('=')?;
        (setting_of(key) == name).then(|| AtBoot { value: value.trim().to_owned(), file })
    });
    values.next_back()
}

/// `-net/ipv4/ip_forward` is `net.ipv4.ip_forward`, and a failure to set it is ignored.
fn setting_of(key: &str) -> String {
    let name = key.trim().trim_start_matches('-').trim_start().replace('/', ".");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, setting)| (*setting).to_owned())
}

/// Whether the files of the machine under `root` load `module` at the next boot.
pub fn is_loaded_at_boot(root: &Path, module: &str) -> bool {
    let name = |text: &str| text.trim().replace('-', "_");
    lines(root, &MODULES).iter().any(|(_, line)| name(line) == name(module))
}

/// Whether `module` can be unloaded. One that is built into the kernel cannot.
pub fn is_loadable(module: &str) -> bool {
    Path::new("/sys/module").join(module).join("initstate").exists()
}

/// The lines of every `*.conf` in `folders` that is not a comment, with its file on the machine, in
/// the order in which systemd reads them.
fn lines(root: &Path, folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in folders {
        for entry in fs::read_dir(rooted::path(root, Path::new(folder))).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.entry(name.clone()).or_insert_with(|| Path::new("/").join(folder).join(name));
        }
    }
    let mut found = Vec::new();
    for (_, file) in files.into_iter().filter(|(name, _)| name.ends_with(".conf")) {
        let text = fs::read_to_string(rooted::path(root, &file)).unwrap_or_default();
        found.extend(text.lines().filter(|line| is_set(line)).map(|line| (file.clone(), line.to_owned())));
    }
    found
}

fn is_set(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::files::machine;

    #[test]
    fn of_several_files_the_last_line_counts_and_of_equal_names_the_first_folder() {
        let forwards = |files: &[(&str, &str)]| {
            setting_at_boot(machine(files).path(), "net.ipv4.ip_forward").map(|set| set.value)
        };
        assert_eq!(forwards(&[]), None);
        assert_eq!(forwards(&[("etc/sysctl.d/k8s.conf", "# net.ipv4.ip_forward = 1\n")]), None);
        assert_eq!(forwards(&[("etc/sysctl.d/k8s.conf", "net.ipv4.ip_forward = 1\n")]).unwrap(), "1");
        assert_eq!(
            forwards(&[("usr/lib/sysctl.d/k.conf", "-net/ipv4/conf/all/forwarding=1\n")]).unwrap(),
            "1"
        );
        assert_eq!(forwards(&[("etc/sysctl.d/readme", "net.ipv4.ip_forward = 1\n")]), None);
        let later = [
            ("etc/sysctl.d/k8s.conf", "net.ipv4.ip_forward = 1\n"),
            ("usr/lib/sysctl.d/z.conf", "net.ipv4.ip_forward=0\n"),
        ];
        assert_eq!(forwards(&later).unwrap(), "0");
        let over = [
            ("etc/sysctl.d/k.conf", "net.ipv4.ip_forward = 1\n"),
            ("usr/lib/sysctl.d/k.conf", "net.ipv4.ip_forward=0\n"),
        ];
        assert_eq!(forwards(&over).unwrap(), "1");
        let file = setting_at_boot(machine(&later).path(), "net.ipv4.ip_forward").unwrap().file;
        assert_eq!(file, Path::new("/usr/lib/sysctl.d/z.conf"));
    }

    #[test]
    fn a_module_is_known_by_either_spelling() {
        let root = machine(&[("etc/modules-load.d/k8s.conf", "overlay\nbr-netfilter\n")]);
        assert!(is_loaded_at_boot(root.path(), "br_netfilter"));
        assert!(!is_loaded_at_boot(root.path(), "dummy"));
    }

    #[test]
    fn the_kernel_at_hand_says_whether_it_forwards() {
        assert!(["0", "1"].contains(&setting("net.ipv4.ip_forward").unwrap().unwrap().as_str()));
        assert_eq!(setting("net.ipv4.none").unwrap(), None);
    }
}
