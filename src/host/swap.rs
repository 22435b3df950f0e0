//! Swap: what is on now, and what turns it on at the next boot.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::rooted;

const FSTAB: &str = "/etc/fstab";
/// Turns off every line of fstab with the type `swap`. Run twice, it changes nothing more.
const COMMENT_OUT: &str = r"sed -Ei '/\sswap(\s|$)/s/^[^#]/#&/' /etc/fstab";
/// Services that make swap themselves.
const SERVICES: [&str; 4] =
    ["dphys-swapfile.service", "zram-config.service", "zram-swap.service", "zramswap.service"];
/// Where the generator of zram devices is configured. The first file counts.
const ZRAM: [&str; 3] = [
    "/etc/systemd/zram-generator.conf",
    "/usr/local/lib/systemd/zram-generator.conf",
    "/usr/lib/systemd/zram-generator.conf",
];
/// Files that add to it, in folders of these names beside it.
const ZRAM_MORE: &str = "zram-generator.conf.d";
const UNITS: &str = "/etc/systemd/system";
/// Units that systemd makes of the partition table, where the partitions say that they are swap.
const OF_PARTITIONS: &str = "/run/systemd/generator.late";

/// Something that turns swap on at the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is, with its file and line.
    pub what: String,
    /// The command that keeps it from doing so.
    pub cure: String,
}

/// Devices and files that are used as swap now.
pub fn active() -> io::Result<Vec<String>> {
    match fs::read_to_string("/proc/swaps") {
        Ok(table) => Ok(devices(&table)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()), // a kernel without swap
        Err(error) => Err(error),
    }
}

/// The first word of each line after the heading.
fn devices(table: &str) -> Vec<String> {
    let lines = table.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    lines.map(|device| device.replace("\\040", " ")).collect()
}

/// What turns swap on at the next boot of the machine whose files are under `root`.
pub fn at_boot(root: &Path) -> io::Result<Vec<Source>> {
    let target = is_masked(root, "swap.target");
    let mut found = Vec::new();
    if !target {
        found.extend(of_fstab(root)?);
        found.extend(of_units(root));
        found.extend(of_partitions(root));
        found.extend(of_zram_generator(root));
    }
    found.extend(of_services(root));
    Ok(found)
}

fn of_fstab(root: &Path) -> io::Result<Vec<Source>> {
    let text = match fs::read_to_string(below(root, FSTAB)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let lines = text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, swap_of(line)?)));
    let counts = lines.filter(|(_, device)| !is_masked(root, &unit(device)));
    let source = |(line, device)| Source {
        what: format!("line {line} of {FSTAB} ({device})"),
        cure: COMMENT_OUT.to_owned(),
    };
    Ok(counts.map(source).collect())
}

/// The device of a line of fstab that systemd takes for swap and turns on.
fn swap_of(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let is_swap = !line.trim_start().starts_with('#') && fields.get(2) == Some(&"swap");
    let is_manual = fields.get(3).is_some_and(|options| options.split(',').any(|option| option == "noauto"));
    fields.first().copied().filter(|_| is_swap && !is_manual)
}

/// The unit that systemd makes of a device of fstab.
fn unit(device: &str) -> String {
    let links = [
        ("UUID=", "/dev/disk/by-uuid/"),
        ("LABEL=", "/dev/disk/by-label/"),
        ("PARTUUID=", "/dev/disk/by-partuuid/"),
        ("PARTLABEL=", "/dev/disk/by-partlabel/"),
    ];
    let link = links.iter().find_map(|(tag, folder)| {
        Some(format!("{folder}{}", device.strip_prefix(tag)?.trim_matches(['"', '\''])))
    });
    let path = link.unwrap_or_else(|| device.to_owned());
    let escape = |byte: u8| match byte {
        b'/' => "-".to_owned(),
        b':' | b'_' | b'.' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("{}.swap", path.trim_matches('/').bytes().map(escape).collect::<String>())
}

/// A masked unit is a link to /dev/null, or an empty file.
fn is_masked(root: &Path, unit: &str) -> bool {
    let is_null =
        fs::read_link(below(root, UNITS).join(unit)).is_ok_and(|target| target == Path::new("/dev/null"));
    is_null
        || fs::metadata(below(root, &format!("{UNITS}/{unit}")))
            .is_ok_and(|found| found.is_file() && found.len() == 0)
}

/// Units of swap that another unit wants.
fn of_units(root: &Path) -> Vec<Source> {
    let units = wanted(root).into_iter().filter(|unit| unit.ends_with(".swap") && !is_masked(root, unit));
    units.map(|unit| of_unit(&unit)).collect()
}

/// Partitions that systemd turns on as swap by their type alone (systemd-gpt-auto-generator). It
/// makes the units anew at each boot, so they cannot be disabled.
fn of_partitions(root: &Path) -> Vec<Source> {
    let units = links(root, OF_PARTITIONS).into_iter();
    let units = units.filter(|unit| unit.ends_with(".swap") && !is_masked(root, unit));
    let source = |unit: String| Source {
        what: format!("a partition of type swap (unit {unit})"),
        cure: format!("systemctl mask --now '{unit}'"),
    };
    units.map(source).collect()
}

fn of_services(root: &Path) -> Vec<Source> {
    let is_active = |unit: &String| SERVICES.contains(&unit.as_str()) && !is_masked(root, unit);
    let services = wanted(root).into_iter().filter(is_active);
    services.map(|unit| of_unit(&unit)).collect()
}

fn of_unit(unit: &str) -> Source {
    Source { what: format!("unit {unit}"), cure: format!("systemctl disable --now '{unit}'") }
}

/// Units that are enabled.
fn wanted(root: &Path) -> Vec<String> {
    links(root, UNITS)
}

/// Units that have a link in a folder of a unit that wants them.
fn links(root: &Path, units: &str) -> Vec<String> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let folders = entries(&below(root, units)).map(|entry| entry.path()).filter(|path| {
        path.extension().is_some_and(|extension| extension == "wants" || extension == "requires")
    });
    let mut units: Vec<String> =
        folders.flat_map(|folder| entries(&folder).map(name).collect::<Vec<_>>()).collect();
    units.sort();
    units.dedup();
    units
}

/// Devices of compressed memory, which a generator makes of its configuration.
fn of_zram_generator(root: &Path) -> Option<Source> {
    let files = zram_files(root);
    let text: String = files.iter().map(|(_, text)| format!("{text}\n")).collect();
    let is_masked = |device: &String| {
        let units = [setup(device), format!("dev-{device}.swap")];
        units.iter().any(|unit| is_masked(root, unit))
    };
    let device = zram_swaps(&text).into_iter().find(|device| !is_masked(device))?;
    let cure = match files.as_slice() {
        // An empty file hides those of later folders. One that is there already is the user's, and stays.
        [(file, _)] if ZRAM[1..].contains(&file.as_str()) => format!(": > {}", ZRAM[0]),
        _ => format!("systemctl mask --now '{}'", setup(&device)),
    };
    let names: Vec<String> = files.into_iter().map(|(file, _)| file).collect();
    Some(Source { what: names.join(" and "), cure })
}

/// The service that makes a device of compressed memory.
fn setup(device: &str) -> String {
    format!("systemd-zram-setup@{device}.service")
}

/// The files of zram-generator's configuration with their texts: the first that counts, and what
/// adds to it, by name. A file hides those of its name in later folders.
fn zram_files(root: &Path) -> Vec<(String, String)> {
    let read = |file: &str| Some((file.to_owned(), fs::read_to_string(below(root, file)).ok()?));
    let main = ZRAM.into_iter().find_map(read);
    let mut more: BTreeMap<String, String> = BTreeMap::new();
    for folder in ZRAM.iter().filter_map(|file| Path::new(file).parent()) {
        let folder = folder.join(ZRAM_MORE).display().to_string();
        for entry in fs::read_dir(below(root, &folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".conf") {
                let file = format!("{folder}/{name}");
                more.entry(name).or_insert(file);
            }
        }
    }
    main.into_iter().chain(more.values().filter_map(|file| read(file))).collect()
}

/// The devices of a configuration of zram-generator that become swap: those with a size and without
/// a file system. A later setting of a device counts over an earlier one.
fn zram_swaps(text: &str) -> Vec<String> {
    let mut devices: Vec<(&str, [bool; 2])> = Vec::new();
    let mut present = None;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let known = devices.iter().position(|(device, _)| *device == section);
            present = Some(known.unwrap_or(devices.len()));
            if known.is_none() {
                devices.push((section, [false; 2]));
            }
        }
        let setting = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        let Some((_, [is_for_files, is_empty])) = present.and_then(|at: usize| devices.get_mut(at)) else {
            continue;
        };
        match setting {
            Some(("mount-point" | "fs-type", value)) => *is_for_files = !value.is_empty() && value != "swap",
            Some(("zram-size", value)) => *is_empty = value == "0",
            _ => {}
        }
    }
    let is_swap = |(device, not): &(&str, [bool; 2])| device.starts_with("zram") && *not == [false; 2];
    devices.into_iter().filter(is_swap).map(|(device, _)| device.to_owned()).collect()
}

/// A file of the machine as this process sees it.
fn below(root: &Path, file: &str) -> std::path::PathBuf {
    rooted::path(root, Path::new(file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;
    use crate::host::files::machine;

    const LINES: &str = "# swap was on\n\
        UUID=11-aa / ext4 defaults 0 1\n\
        UUID=22-bb none swap sw 0 0\n\
        /swap.img\tswap\tswap\tnofail,pri=5\n\
        /dev/sdb1 none swap noauto 0 0\n\
        /dev/sdc1 /mnt/swap ext4 defaults 0 2\n\
        #/dev/sdd1 none swap sw 0 0\n\
        /dev/sde1 none swap\n";

    fn found(root: &Path) -> Vec<String> {
        at_boot(root).unwrap().into_iter().map(|source| source.what).collect()
    }

    #[test]
    fn what_is_on_is_read_without_its_heading() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(devices(heading), [] as [&str; 0]);
        let table = format!("{heading}/dev/zram0  partition 1 0 100\n/swap\\040file file 1 0 -2\n");
        assert_eq!(devices(&table), ["/dev/zram0", "/swap file"]);
        active().unwrap();
    }

    #[test]
    fn lines_of_fstab_that_turn_swap_on_are_found_and_their_cure_turns_them_off() {
        let root = machine(&[("etc/fstab", LINES)]);
        let expected = [
            "line 3 of /etc/fstab (UUID=22-bb)",
            "line 4 of /etc/fstab (/swap.img)",
            "line 8 of /etc/fstab (/dev/sde1)",
        ];
        assert_eq!(found(root.path()), expected);
        let fstab = root.path().join("etc/fstab");
        let cure = COMMENT_OUT.replace(FSTAB, &fstab.display().to_string());
        for _ in 0..2 {
            assert!(Command::new("sh").args(["-c", &cure]).status().unwrap().success());
            assert_eq!(found(root.path()), [] as [&str; 0]);
        }
        let after = fs::read_to_string(fstab).unwrap();
        assert_eq!(after.lines().filter(|line| line.starts_with('#')).count(), 6, "{after}");
        assert!(after.contains("\nUUID=11-aa / ext4") && after.contains("\n/dev/sdc1 /mnt/swap ext4"));
        assert!(!after.contains("##"), "{after}");
    }

    #[test]
    fn a_masked_unit_or_target_keeps_swap_off() {
        let root = machine(&[("etc/fstab", LINES), ("etc/systemd/system/x", "")]);
        let units = root.path().join("etc/systemd/system");
        symlink("/dev/null", units.join(r"dev-disk-by\x2duuid-22\x2dbb.swap")).unwrap();
        let left = ["line 4 of /etc/fstab (/swap.img)", "line 8 of /etc/fstab (/dev/sde1)"];
        assert_eq!(found(root.path()), left);
        symlink("/dev/null", units.join("swap.target")).unwrap();
        assert_eq!(found(root.path()), [] as [&str; 0]);
        assert_eq!(unit("/dev/sda2"), "dev-sda2.swap");
    }

    #[test]
    fn compressed_memory_that_is_masked_or_holds_files_is_no_swap() {
        let config = "[zram0]\nzram-size = ram / 2\n[zram1]\nfs-type = ext4\nmount-point = /var/tmp\n";
        assert_eq!(zram_swaps(config), ["zram0"]);
        let root = machine(&[
            ("etc/systemd/zram-generator.conf", config),
            ("etc/systemd/system/multi-user.target.wants/zramswap.service", ""),
        ]);
        assert_eq!(found(root.path()).len(), 2);
        let cure = at_boot(root.path()).unwrap().remove(0).cure;
        assert_eq!(
            cure, "systemctl mask --now 'systemd-zram-setup@zram0.service'",
            "the user's file is kept"
        );
        for unit in ["zramswap.service", "systemd-zram-setup@zram0.service"] {
            symlink("/dev/null", root.path().join("etc/systemd/system").join(unit)).unwrap();
        }
        assert_eq!(found(root.path()), [] as [&str; 0]);
    }

    #[test]
    fn units_services_and_zram_that_make_swap_are_found() {
        let root = machine(&[
            ("etc/systemd/system/swap.target.wants/dev-vdb.swap", "[Swap]\nWhat=/dev/vdb\n"),
            ("etc/systemd/system/multi-user.target.wants/zramswap.service", ""),
            ("etc/systemd/system/multi-user.target.wants/ssh.service", ""),
            ("etc/systemd/system/idle.swap", "[Swap]\nWhat=/dev/vdc\n"),
            ("usr/lib/systemd/zram-generator.conf", "[zram0]\n"),
        ]);
        let expected = ["unit dev-vdb.swap", "/usr/lib/systemd/zram-generator.conf", "unit zramswap.service"];
        assert_eq!(found(root.path()), expected);
        assert_eq!(at_boot(root.path()).unwrap().remove(1).cure, ": > /etc/systemd/zram-generator.conf");
        fs::write(root.path().join("etc/systemd/zram-generator.conf"), "").unwrap();
        assert_eq!(found(root.path()), ["unit dev-vdb.swap", "unit zramswap.service"]);
    }

    #[test]
    fn a_partition_that_systemd_finds_by_its_type_is_found_unless_it_is_masked() {
        let root = machine(&[
            ("run/systemd/generator.late/swap.target.wants/dev-sda3.swap", "[Swap]\nWhat=/dev/sda3\n"),
            ("etc/systemd/system/x", ""),
        ]);
        assert_eq!(found(root.path()), ["a partition of type swap (unit dev-sda3.swap)"]);
        symlink("/dev/null", root.path().join("etc/systemd/system/dev-sda3.swap")).unwrap();
        assert_eq!(found(root.path()), [] as [&str; 0]);
    }

    #[test]
    fn files_that_add_to_the_configuration_of_zram_count() {
        let folder = "etc/systemd/zram-generator.conf.d";
        let drop_in = "etc/systemd/zram-generator.conf.d/swap.conf";
        let root = machine(&[(drop_in, "[zram0]\n"), ("etc/systemd/system/x", "")]);
        assert_eq!(found(root.path()), [format!("/{drop_in}")]);
        let cure = at_boot(root.path()).unwrap().remove(0).cure;
        assert_eq!(cure, "systemctl mask --now 'systemd-zram-setup@zram0.service'");
        fs::write(root.path().join(folder).join("z.conf"), "[zram0]\nzram-size = 0\n").unwrap();
        assert_eq!(found(root.path()), [] as [&str; 0], "the last file makes no device");
        let hidden =
            machine(&[(drop_in, ""), ("usr/lib/systemd/zram-generator.conf.d/swap.conf", "[zram0]\n")]);
        assert_eq!(found(hidden.path()), [] as [&str; 0], "one of the same name hides it");
    }

    #[test]
    fn the_readme_turns_lines_of_fstab_off_as_the_check_says() {
        assert!(include_str!("../../README.md").contains(COMMENT_OUT));
    }

    #[test]
    fn a_machine_without_fstab_has_no_swap() {
        assert_eq!(found(machine(&[]).path()), [] as [&str; 0]);
    }
}
