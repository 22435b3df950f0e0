//! The last lines of a log: what a program said before it exited.
//!
//! Runtimes write each line as `time stream F text`, or in parts with `P`. Programs of Kubernetes
//! put level, time and place before the message, etcd writes JSON, and containerd writes `time=…
//! level=… msg=…`. Only the message is kept.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// Bytes that are read from the end of a log.
const TAIL: u64 = 32 * 1024;
/// Lines that are quoted.
const LINES: usize = 3;
/// Words in lines that say why a program exits.
const TELLING: [&str; 6] = ["error", "fatal", "panic", "failed", "unknown flag", "cannot"];
/// Longer lines are cut.
const WIDTH: usize = 300;

/// The last telling lines of the log at `path`, in order.
pub fn last_lines(path: &Path) -> io::Result<Vec<String>> {
    Ok(telling(tail(path)?.lines()))
}

/// The end of the log at `path`, as the program wrote it.
pub fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().skip(usize::from(length > TAIL)).filter_map(without_prefix).collect();
    Ok(lines.join("\n"))
}

/// The last of `lines` that say why the program exited; if none does, the last lines.
pub fn telling<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let lines: Vec<String> = lines.map(message_of).filter(|line| !line.is_empty()).collect();
    let tells = |line: &&String| {
        let line = line.to_ascii_lowercase();
        TELLING.iter().any(|word| line.contains(word))
    };
    let mut chosen: Vec<&String> = lines.iter().filter(tells).collect();
    if chosen.is_empty() {
        chosen = lines.iter().collect();
    }
    let first = chosen.len().saturating_sub(LINES);
    let mut chosen: Vec<String> = chosen.split_off(first).into_iter().map(|line| cut(line)).collect();
    chosen.dedup();
    chosen
}

/// A line as the program wrote it, without the runtime's prefix.
fn without_prefix(line: &str) -> Option<&str> {
    let mut parts = line.splitn(4, ' ');
    let (_time, stream, _tag) = (parts.next()?, parts.next()?, parts.next()?);
    ["stdout", "stderr"].contains(&stream).then(|| parts.next().unwrap_or_default())
}

/// The message of a line, without level, time and place.
fn message_of(line: &str) -> String {
    let line = line.trim();
    if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let level = text("level").filter(|level| ["fatal", "panic", "error"].contains(level));
        return [level, text("msg"), text("error")].into_iter().flatten().collect::<Vec<_>>().join(": ");
    }
    if let Some(message) = of_containerd(line) {
        return message;
    }
    strip_klog_level(line)
        .and_then(|rest| rest.split_once("] "))
        .map_or(line, |(_, message)| message)
        .to_owned()
}

/// `time="…" level=fatal msg="failed to start" error="address in use"`: level, message and error.
fn of_containerd(line: &str) -> Option<String> {
    let rest = line.strip_prefix("time=")?;
    let field = |name: &str| {
        let (_, value) = rest.split_once(&format!(" {name}="))?;
        match value.strip_prefix('"') {
            Some(quoted) => quoted.split("\" ").next().map(|text| text.trim_end_matches('"')),
            None => value.split(' ').next(),
        }
    };
    let level = field("level").filter(|level| ["fatal", "panic", "error"].contains(level));
    let parts = [level, Some(field("msg")?), field("error")];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

/// `E1121 17:30:00.123456       1 run.go:72] "command failed"`: the part behind the level.
fn strip_klog_level(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(['I', 'W', 'E', 'F'])?;
    let has_date = rest.len() > 4 && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    has_date.then_some(rest)
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_say_why_a_program_exited_are_quoted_without_their_prefixes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let lines = [
            "2026-01-01T00:00:00.1Z stderr F I0101 00:00:00.000001       1 options.go:220] external host was not specified",
            "2026-01-01T00:00:00.2Z stderr F E0101 00:00:00.000002       1 run.go:72] \"command failed\" err=\"address in use\"",
            "2026-01-01T00:00:00.3Z stderr F {\"level\":\"fatal\",\"ts\":\"x\",\"msg\":\"discovery failed\",\"error\":\"no space\"}",
            "2026-01-01T00:00:00.4Z stdout F ",
            "half a line of the runtime",
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let told = last_lines(&path).unwrap();
        assert_eq!(told, ["\"command failed\" err=\"address in use\"", "fatal: discovery failed: no space"]);
    }

    #[test]
    fn a_line_of_containerd_is_quoted_without_time_and_level_of_no_importance() {
        let lines = [
            r#"time="2026-01-01T00:00:00Z" level=info msg="starting containerd" revision= version=1.6.20"#,
            r#"time="2026-01-01T00:00:01Z" level=error msg="failed to load cni" error="no network config""#,
            r#"containerd: failed to load TOML: /etc/containerd/config.toml: line 3"#,
        ];
        let told = telling(lines.into_iter());
        assert_eq!(
            told,
            [
                "error: failed to load cni: no network config",
                "containerd: failed to load TOML: /etc/containerd/config.toml: line 3"
            ]
        );
    }

    #[test]
    fn a_program_that_never_says_why_is_quoted_by_its_last_lines() {
        let told = telling(["one", "two", "three", "four", "  "].into_iter());
        assert_eq!(told, ["two", "three", "four"]);
        assert_eq!(telling(std::iter::empty()), [] as [&str; 0]);
        let long = "x".repeat(1000);
        assert_eq!(telling([long.as_str()].into_iter())[0].chars().count(), WIDTH + 1);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let line = format!("t stderr F error {}\n", "y".repeat(100));
        std::fs::write(&path, line.repeat(5000) + "t stderr F failed at last\n").unwrap();
        let told = last_lines(&path).unwrap();
        assert_eq!(told.last().unwrap(), "failed at last");
    }
}
