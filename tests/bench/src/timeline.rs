//! What happened when, for the plot: in seconds since a beginning that all of one picture share.

use std::time::Instant;

use lab::probe::Sample;

use crate::command::Line;

/// Something that took time.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// When it began.
    pub begin: f64,
    /// When it ended.
    pub end: f64,
}

/// What requests met in a slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slice {
    /// Its middle.
    pub at: f64,
    /// The longest that one took.
    pub slowest_ms: f64,
    /// How many failed.
    pub failed: u64,
}

/// Requests through a pivot and its rolls.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The pivot and the rolls.
    pub spans: Vec<Span>,
    /// Fresh connections.
    pub slices: Vec<Slice>,
}

/// The pictures of a run.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Phases of the median `start`.
    pub start: Vec<Span>,
    /// Phases of the median `kubeadm init`.
    pub kubeadm: Vec<Span>,
    /// One of the pivots under load.
    pub session: Session,
}

/// Phases of `start` from its lines: `[   0.01s] name: done in 1.23 s`.
pub fn phases_of_start(lines: &[Line], begun: Instant) -> Vec<Span> {
    let phase = |line: &Line| {
        let (_, text) = line.text.split_once("] ")?;
        let (name, took) = text.split_once(": done in ")?;
        let took: f64 = took.strip_suffix(" s")?.parse().ok()?;
        let end = (line.at - begun).as_secs_f64();
        Some(Span { name: name.to_owned(), begin: (end - took).max(0.0), end })
    };
    lines.iter().filter_map(phase).collect()
}

/// Phases of kubeadm by its lines: `[name] what it does`. A phase ends where the next one begins.
pub fn phases_of_kubeadm(lines: &[Line], begun: Instant) -> Vec<Span> {
    let mut phases: Vec<Span> = Vec::new();
    for line in lines {
        let at = (line.at - begun).as_secs_f64();
        if let Some(last) = phases.last_mut() {
            last.end = at;
        }
        let named = line.text.strip_prefix('[').and_then(|text| text.split_once(']'));
        match (named, phases.last()) {
            (Some((name, _)), last) if last.is_none_or(|last| last.name != name) => {
                phases.push(Span { name: name.to_owned(), begin: at, end: at });
            }
            _ => {}
        }
    }
    phases
}

/// Samples after the first success, gathered into slices of `width` seconds since `begun` (in
/// seconds since 1970).
pub fn slices(samples: &[Sample], begun: f64, width: f64) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.at >= begun) {
        let index = ((sample.at - begun) / width) as usize;
        while slices.len() <= index {
            slices.push(Slice { at: (slices.len() as f64 + 0.5) * width, ..Slice::default() });
        }
        let slice = &mut slices[index];
        slice.slowest_ms = slice.slowest_ms.max(sample.took * 1e3);
        slice.failed += u64::from(sample.status != Some(200));
    }
    slices
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lines(texts: &[(u64, &str)]) -> (Instant, Vec<Line>) {
        let begun = Instant::now();
        let line = |(at, text): &(u64, &str)| Line {
            at: begun + Duration::from_millis(*at),
            text: (*text).to_owned(),
        };
        (begun, texts.iter().map(line).collect())
    }

    #[test]
    fn a_phase_of_start_ends_with_its_line_and_began_as_long_before_as_it_says() {
        let (begun, lines) = lines(&[(10, "[   0.01s] apply"), (1500, "[   1.50s] apply: done in 1.25 s")]);
        let expected = [Span { name: "apply".into(), begin: 0.25, end: 1.5 }];
        assert_eq!(phases_of_start(&lines, begun), expected);
    }

    #[test]
    fn a_phase_of_kubeadm_lasts_until_the_next_one_speaks() {
        let (begun, lines) = lines(&[(0, "[a] x"), (500, "[a] y"), (1000, "[b] z"), (2000, "done")]);
        let span = |name: &str, begin, end| Span { name: name.into(), begin, end };
        assert_eq!(phases_of_kubeadm(&lines, begun), [span("a", 0.0, 1.0), span("b", 1.0, 2.0)]);
    }

    #[test]
    fn a_slice_knows_its_slowest_request_and_how_many_failed() {
        let sample = |at, took, status| Sample { at, took, status, error: None };
        let samples = [sample(9.0, 9.0, None), sample(10.1, 0.2, Some(200)), sample(10.2, 0.1, Some(403))];
        let expected = [Slice { at: 0.25, slowest_ms: 200.0, failed: 1 }];
        assert_eq!(slices(&samples, 10.0, 0.5), expected);
    }
}
