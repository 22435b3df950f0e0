//! The timeline, drawn as SVG.
//!
//! One drawing fits every screen: positions in time are in percent of the width, everything else is
//! in pixels, so that text keeps its size. Labels stand above their bars. SVG does not wrap text.
//! So a long label is there twice, shortened for a narrow and for a wide screen, and the style
//! shows one of them. The tables below the drawing have the whole text.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;

use super::figures::seconds;
use super::story::{Outcome, Phase, Story, Wait};
use crate::ui::PodLife;

/// Characters of a label that fit on a narrow screen, and on a wide one.
const FIT: [(&str, usize); 2] = [("narrow", 46), ("wide", 130)];
/// The grid has at most this many lines beside the first.
const TICKS: u64 = 4;
/// Seconds between lines of the grid.
const STEPS: [u64; 10] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
/// Requests and waits are drawn no finer than this part of the width.
const GRAIN: f64 = 1.0 / 400.0;
/// Height of a listener, in pixels.
const STEP: usize = 12;

/// The drawing of `story`.
pub fn timeline(story: &Story) -> Markup {
    let mut chart = Chart { total: story.total(), y: 20, parts: Vec::new() };
    chart.heading("Phases");
    story.phases.iter().for_each(|phase| chart.phase(phase));
    if !story.pods.is_empty() {
        chart.heading("Pods, from created to ready");
        story.pods.iter().for_each(|pod| chart.pod(story.began, pod));
    }
    if !story.listeners.is_empty() {
        chart.listeners(story);
    }
    if story.probe.is_some() {
        chart.requests(story);
    }
    let height = chart.y + 8;
    html! {
        svg width="100%" height=(height) role="img" aria-label="Timeline; the tables below say the same in words"
            xmlns="http://www.w3.org/2000/svg" {
            (chart.grid())
            @for part in &chart.parts { (part) }
        }
    }
}

/// A drawing that grows downwards.
struct Chart {
    total: Duration,
    y: usize,
    parts: Vec<Markup>,
}

impl Chart {
    /// Position in time, from 0 to 1.
    fn place(&self, at: Duration) -> f64 {
        let total = self.total.as_secs_f64();
        if total > 0.0 { (at.as_secs_f64() / total).clamp(0.0, 1.0) } else { 0.0 }
    }

    fn grid(&self) -> Markup {
        let second = self.total.as_secs();
        let step = STEPS.into_iter().find(|step| second / step <= TICKS);
        let step = step.unwrap_or_else(|| second.div_ceil(TICKS).next_multiple_of(600));
        let ticks = (0..=second).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        html! {
            @for tick in ticks {
                @let x = self.place(Duration::from_secs(tick));
                line.grid x1=(percent(x)) x2=(percent(x)) y1="16" y2=(self.y) {}
                // Labels at the edges stand inside.
                text.tick x=(percent(x)) y="11" text-anchor=(anchor(x)) { (tick) " s" }
            }
        }
    }

    fn heading(&mut self, text: &str) {
        self.y += 28;
        self.parts.push(html! { text.heading x="0" y=(self.y) { (text) } });
        self.y += 8;
    }

    /// A label: the part that may be shortened, then the part that must be seen.
    fn label(&mut self, class: &str, text: &str, end: &str) {
        let y = self.y + 12;
        self.parts.push(html! {
            @for (screen, fit) in FIT { text class={ (class) " " (screen) } x="0" y=(y) { (shortened(text, fit - end.chars().count())) (end) } }
        });
        self.y += 17;
    }

    /// A bar in the current row. The edge of a bar that is too short to see is still drawn.
    fn bar(&mut self, class: &str, start: Duration, end: Duration, height: usize, about: &str) {
        let (start, end) = (self.place(start), self.place(end));
        let (x, width) = (percent(start), percent((end - start).max(0.0)));
        self.parts.push(html! {
            rect class={ "bar " (class) } x=(x) y=(self.y) width=(width) height=(height) { title { (about) } }
        });
    }

    fn phase(&mut self, phase: &Phase) {
        let Phase { name, start, took, outcome, waits, blockers: _ } = phase;
        let (class, remark) = match outcome {
            Outcome::Done => ("done", ""),
            Outcome::Failed => ("failed", ": failed"),
            Outcome::CutOff => ("failed", ": cut off"),
        };
        let end = format!(" · {}{remark}", seconds(*took));
        self.label("label", name, &end);
        self.bar(class, *start, *start + *took, 10, &format!("{name}{end}"));
        self.y += 13;
        let Some(longest) = waits.iter().max_by_key(|wait| wait.took) else { return };
        for wait in waits {
            if self.place(wait.took) < GRAIN {
                continue;
            }
            let about = format!("waited {} for this: {}", seconds(wait.took), wait.on);
            self.bar("wait", wait.start, wait.start + wait.took, 4, &about);
        }
        self.y += 4;
        self.label("waited", &waited(longest, waits.len()), "");
        self.y += 3;
    }

    fn pod(&mut self, began: OffsetDateTime, pod: &PodLife) {
        let since = |at: Option<OffsetDateTime>| Some(Duration::try_from(at? - began).unwrap_or_default());
        let moments = [pod.created, pod.scheduled, pod.running, pod.ready].map(since);
        let ready = match (pod.created, pod.ready) {
            (Some(created), Some(ready)) => format!("{} s", (ready - created).whole_seconds()),
            _ => "not ready".to_owned(),
        };
        self.label("label", &pod.name, &format!(" · {ready}"));
        let stretches =
            [("scheduling", "waits for a node"), ("starting", "starts"), ("probing", "waits to be ready")];
        for ((class, what), (from, to)) in stretches.iter().zip(moments.iter().zip(&moments[1..])) {
            let Some(from) = from else { break };
            let to = to.unwrap_or(self.total);
            let about = format!("{}: {what}, {}", pod.name, seconds(to.saturating_sub(*from)));
            self.bar(class, *from, to, 10, &about);
        }
        self.y += 14;
    }

    fn listeners(&mut self, story: &Story) {
        let Some(port) = story.listeners.last().map(|last| last.port) else { return };
        self.heading(&format!("Listeners on port {port}"));
        let most = story.listeners.iter().map(|listeners| listeners.count).max().unwrap_or_default().max(1);
        let (top, floor) = (self.y + 4, self.y + 4 + most * STEP);
        let ends = story.listeners.iter().skip(1).map(|next| next.start).chain([story.total()]);
        for (listeners, end) in story.listeners.iter().zip(ends) {
            let height = listeners.count * STEP;
            self.y = floor - height;
            let about = format!("{} from {} to {}", listeners.count, seconds(listeners.start), seconds(end));
            self.bar("listening", listeners.start, end, height, &about);
            if self.place(end) - self.place(listeners.start) > 0.05 {
                let x = percent(self.place(listeners.start));
                self.parts.push(html! { text.count x=(x) dx="4" y=(floor - 2) { (listeners.count) } });
            }
        }
        debug_assert!(self.y >= top);
        self.y = floor;
    }

    /// A stroke for every grain of time in which requests failed or were slow.
    fn requests(&mut self, story: &Story) {
        let count = |failed: bool| story.requests.iter().filter(|r| r.error.is_some() == failed).count();
        self.heading(&format!("Requests · {} failed, {} slow", count(true), count(false)));
        self.y += 4;
        self.bar("asking", Duration::ZERO, story.total(), 20, "when the API was asked");
        for (class, failed) in [("slow", false), ("bad", true)] {
            let these = story.requests.iter().filter(|request| request.error.is_some() == failed);
            let mut grains: Vec<usize> = these.map(|r| (self.place(r.start) / GRAIN) as usize).collect();
            grains.dedup();
            for grain in grains {
                let x = percent(grain as f64 * GRAIN);
                let (from, to) = (if failed { self.y } else { self.y + 8 }, self.y + 20);
                self.parts.push(html! { line class=(class) x1=(x) x2=(x) y1=(from) y2=(to) {} });
            }
        }
        self.y += 22;
    }
}

fn waited(longest: &Wait, count: usize) -> String {
    let others = match count {
        1 => String::new(),
        several => format!(" (and {} more)", several - 1),
    };
    format!("{}{others}: {}", seconds(longest.took), longest.on)
}

fn anchor(place: f64) -> &'static str {
    match place {
        left if left < 0.01 => "start",
        right if right > 0.93 => "end",
        _ => "middle",
    }
}

fn percent(place: f64) -> String {
    format!("{:.3}%", place * 100.0)
}

/// The beginning of `text` if it does not fit.
fn shortened(text: &str, fit: usize) -> String {
    match text.chars().count() > fit {
        true => text.chars().take(fit - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
