//! Checks of the machine itself: user, clock, disk space.

use time::Duration;

use super::facts::{Facts, Room, Volume};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::pki::rfc3339;

/// Tolerated: a clock that is slightly off, or was corrected a moment ago.
const SLACK: Duration = Duration::minutes(5);

pub fn root(_: &Subject<'_>, facts: &Facts) -> Outcome {
    match facts.is_root {
        true => Outcome::Pass("runs as root".into()),
        false => not_root(),
    }
}

pub fn not_root() -> Outcome {
    Outcome::fail(
        "bootkube does not run as root",
        "only root can read the assets and write to kubelet's folder of static pods",
        "run it with sudo",
    )
}

pub fn clock(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let now = rfc3339(subject.options.now);
    match &facts.newest {
        Some((path, changed)) if is_behind(subject, facts) => Outcome::fail(
            "this machine's clock is behind",
            format!("it says {now}, but {} was changed at {}", path.display(), rfc3339(*changed)),
            "set the clock (timedatectl set-ntp true)",
        ),
        _ => Outcome::Pass(format!("it says {now}")),
    }
}

/// Whether a file is from the future.
pub fn is_behind(subject: &Subject<'_>, facts: &Facts) -> bool {
    facts.newest.as_ref().is_some_and(|(_, changed)| *changed > subject.options.now + SLACK)
}

pub fn space(_: &Subject<'_>, facts: &Facts) -> Outcome {
    let rooms = facts.volumes.iter().filter_map(|volume| Some((volume, volume.room.as_ref().ok()?)));
    let problems: Vec<Problem> = rooms.filter_map(|(volume, room)| cramped(volume, *room)).collect();
    let unseen = facts.volumes.iter().find_map(|volume| volume.room.as_ref().err());
    match (problems.is_empty(), unseen) {
        (true, Some(why)) => Outcome::Unknown(why.clone()),
        _ => Outcome::from_problems(problems, "there is enough room"),
    }
}

fn cramped(Volume { path, needed, .. }: &Volume, room: Room) -> Option<Problem> {
    let path = path.display();
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let cure = format!("make room on the disk of {path} (df {path})");
    match room {
        Room { is_read_only: true, .. } => Some(Problem::new(
            format!("nothing can be written to {path}"),
            "its file system is read-only",
            "mount it writable; from a container, mount the host's folder without :ro",
        )),
        Room { free, .. } if free < *needed => Some(Problem::new(
            format!("there is not enough room for {path}"),
            format!("{} are free and {} are wanted", mib(free), mib(*needed)),
            cure,
        )),
        Room { has_inodes: false, .. } => {
            Some(Problem::new(format!("no file can be created in {path}"), "no inode is free", cure))
        }
        Room { .. } => None,
    }
}
