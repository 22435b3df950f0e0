//! The machine itself: who we are on it, its clock, its room.

use time::Duration;

use super::report::{Outcome, Problem};
use super::seen::{Room, Seen, Volume};
use super::subject::Subject;
use crate::pki::rfc3339;

/// File times of a clock that is a little off, and of one that was put right a moment ago, stop nothing.
const SLACK: Duration = Duration::minutes(5);

pub fn root(_: &Subject<'_>, seen: &Seen) -> Outcome {
    match seen.is_root {
        true => Outcome::Pass("runs as root".into()),
        false => Outcome::fail(
            "bootkube does not run as root",
            "only root may write where kubelet reads",
            "run it with sudo",
        ),
    }
}

pub fn clock(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let now = rfc3339(subject.options.now);
    match &seen.newest {
        Some((path, changed)) if is_behind(subject, seen) => Outcome::fail(
            "this machine's clock is behind",
            format!("it says {now}, and {} is of {}", path.display(), rfc3339(*changed)),
            "set the clock (timedatectl set-ntp true), then run this again",
        ),
        _ => Outcome::Pass(format!("it says {now}")),
    }
}

/// Whether a file is from the future.
pub fn is_behind(subject: &Subject<'_>, seen: &Seen) -> bool {
    seen.newest.as_ref().is_some_and(|(_, changed)| *changed > subject.options.now + SLACK)
}

pub fn space(_: &Subject<'_>, seen: &Seen) -> Outcome {
    let rooms = seen.volumes.iter().filter_map(|volume| Some((volume, volume.room.as_ref().ok()?)));
    let problems: Vec<Problem> = rooms.filter_map(|(volume, room)| cramped(volume, *room)).collect();
    let unseen = seen.volumes.iter().find_map(|volume| volume.room.as_ref().err());
    match (problems.is_empty(), unseen) {
        (true, Some(why)) => Outcome::Unknown(why.clone()),
        _ => Outcome::of(problems, "there is enough"),
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
            Some(Problem::new(format!("no file can be made in {path}"), "no inode is free", cure))
        }
        Room { .. } => None,
    }
}
