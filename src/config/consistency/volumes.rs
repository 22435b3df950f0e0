//! Volumes that the user adds, against those that the pods have already and against each other: the
//! apiserver refuses a pod with a name or a mount path twice, and kubelet would run one without it.

use std::path::Path;

use super::input::Input;
use crate::config::Component;
use crate::config::settings::VolumeSettings;
use crate::limits::volumes::{VOLUMES, Volume};
use crate::values::mistakes::{Given, Mistakes};

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    for (&part, settings) in &input.settings.components {
        for (index, volume) in settings.extra_volumes.iter().enumerate() {
            let earlier = &settings.extra_volumes[..index];
            name(part, volume, earlier, mistakes);
            mount_path(part, volume, earlier, mistakes);
        }
    }
}

/// Volumes that the pods of a component have already.
fn of(part: Component) -> impl Iterator<Item = &'static Volume> {
    VOLUMES.iter().filter(move |volume| volume.component == part.name())
}

fn name(part: Component, volume: &VolumeSettings, earlier: &[VolumeSettings], mistakes: &mut Mistakes) {
    let Some(given) = &volume.name else { return };
    if of(part).any(|own| own.name == given.value) {
        let cure = format!("write another name, such as extra-{}", given.value);
        mistakes.refuse(&given.at, &given.value, "is the name of a volume that this pod has already", cure);
    } else if earlier.iter().any(|earlier| is_same(earlier.name.as_ref(), given, |name| name)) {
        mistakes.refuse(&given.at, &given.value, "names two volumes", "give each volume a name of its own");
    }
}

fn mount_path(part: Component, volume: &VolumeSettings, earlier: &[VolumeSettings], mistakes: &mut Mistakes) {
    let Some(given) = &volume.mount_path else { return };
    let path = Path::new(&given.value);
    let (problem, cure) = if path == Path::new("/") {
        ("is the container's whole file system".to_owned(), "mount the volume in a folder")
    } else if let Some(own) = of(part).find(|own| path == Path::new(own.mount_path)) {
        (format!("is where this pod has its volume {} already", own.name), "mount it in another place")
    } else if let Some(own) = of(part).find(|own| own.is_of_the_api && path.starts_with(own.mount_path)) {
        let problem = format!(
            "is inside of {}, where the runtime can make no folder or file to mount it at",
            own.mount_path
        );
        (problem, "mount it in another place")
    } else if earlier.iter().any(|earlier| is_same(earlier.mount_path.as_ref(), given, Path::new)) {
        ("is mounted twice".to_owned(), "mount each volume in a place of its own")
    } else {
        return;
    };
    mistakes.refuse(&given.at, &given.value, problem, cure);
}

/// Whether an earlier volume has the same value.
fn is_same<'g, T: PartialEq>(
    earlier: Option<&'g Given<String>>,
    given: &'g Given<String>,
    read: impl Fn(&'g str) -> T,
) -> bool {
    earlier.is_some_and(|earlier| read(&earlier.value) == read(&given.value))
}
