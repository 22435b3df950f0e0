//! Whether a flag takes a value, and what to write instead.

use std::net::{IpAddr, SocketAddr};

use super::table::Takes;
use crate::values::go_duration;

impl Takes {
    /// Whether a flag takes `text`.
    pub fn takes(self, text: &str) -> bool {
        match self {
            Self::Whole(least, most) => {
                text.parse().is_ok_and(|number: i64| (least..=most).contains(&number))
            }
            Self::Number(least, most) => {
                text.parse().is_ok_and(|number: f64| (least..=most).contains(&number))
            }
            Self::Word(words) => words.contains(&text),
            Self::Words(words) => {
                let given: Vec<&str> = text.split(',').collect();
                given.iter().enumerate().all(|(at, word)| words.contains(word) && !given[..at].contains(word))
            }
            Self::Seconds(least, most) => {
                go_duration::seconds(text).is_some_and(|seconds| (least..=most).contains(&seconds))
            }
            Self::SecondsOrNone(least, most) => go_duration::seconds(text).is_some_and(|seconds| {
                [0.0..=0.0, least..=most].iter().any(|range| range.contains(&seconds))
            }),
            Self::Socket => {
                let socket = text.parse::<SocketAddr>().is_ok_and(|socket| socket.port() > 0);
                text.is_empty() || socket || text.parse::<IpAddr>().is_ok()
            }
            Self::Address => text.starts_with("$(") || text.parse::<IpAddr>().is_ok(),
            Self::Ports => range(text).is_some(),
        }
    }

    /// What to write.
    pub fn described(self) -> String {
        match self {
            Self::Whole(least, most) if most == i64::from(i32::MAX) => {
                format!("a whole number in quotes, {least} or more")
            }
            Self::Whole(least, most) => format!("a whole number in quotes, from {least} to {most}"),
            Self::Number(least, most) => format!("a number in quotes, from {least} to {most}"),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Words(words) => format!("some of {}, with commas between", words.join(", ")),
            Self::Seconds(..) => "a duration such as 1h30m or 30s, in hours, minutes and seconds".into(),
            Self::SecondsOrNone(least, _) => {
                format!("a duration of at least {}h, or 0 for none", least / 3600.0)
            }
            Self::Socket => "an address, with or without port, such as 127.0.0.1:10249".into(),
            Self::Address => "an IP address".into(),
            Self::Ports => "two ports, such as 30000-32767".into(),
        }
    }
}

/// `30000-32767`, `30000+2767`, `30000`.
pub fn range(text: &str) -> Option<(u16, u16)> {
    if let Some((low, high)) = text.split_once('-') {
        return Some((low.parse().ok()?, high.parse().ok()?)).filter(|(low, high)| low <= high);
    }
    if let Some((low, more)) = text.split_once('+') {
        let (low, more): (u16, u16) = (low.parse().ok()?, more.parse().ok()?);
        return Some((low, low.checked_add(more)?));
    }
    let port = text.parse().ok()?;
    Some((port, port))
}
