//! The report of a `start`: what it says, and how it looks in a real browser.
//!
//! Tier: no cluster, no root; needs Debian's chromium (`make browser`). Pictures for a person are
//! left in `target/report/`.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

mod browser;
mod events;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bootkube::report::{self, Outcome, Story};
use bootkube::ui::{Event, Stamped};
use browser::{Browser, Screen};
use serde_json::Value;
use tempfile::TempDir;

/// A page of `told`, in a folder of its own.
fn page(told: &[Stamped]) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let page = report::write(&Story::from_events(told), &dir.path().join("new/report")).unwrap();
    (dir, page)
}

/// Where the pictures are left for a person to look at.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Labels of the drawing that are shown and not whole within it.
const CUT_OFF: &str = "(() => {
    const box = document.querySelector('svg').getBoundingClientRect();
    return [...document.querySelectorAll('svg text')].filter(text => {
        const own = text.getBoundingClientRect();
        return own.width > 0 && (own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1);
    }).map(text => text.textContent);
})()";

/// Labels of the time that run into one another.
const CROWDED: &str = "(() => {
    const ticks = [...document.querySelectorAll('svg .tick')].map(tick => tick.getBoundingClientRect());
    return ticks.filter((tick, i) => i > 0 && tick.left < ticks[i - 1].right + 2).length;
})()";

/// Texts with a contrast below 4.5 : 1, the least that WCAG asks for.
const FAINT: &str = "(() => {
    const rgb = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = color => {
        const [r, g, b] = rgb(color).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = light(getComputedStyle(document.body).backgroundColor);
    const plain = [...document.querySelectorAll('h1,h2,p,pre,dt,dd,td,th,figcaption,svg text:not(.count)')];
    const count = [...document.querySelectorAll('svg .count')].map(text => [text, light(
        getComputedStyle(document.querySelector('.listening')).fill)]);
    return plain.map(text => [text, back]).concat(count).filter(([text, back]) => {
        const style = getComputedStyle(text);
        const own = light(text instanceof SVGElement ? style.fill : style.color);
        return (Math.max(own, back) + 0.05) / (Math.min(own, back) + 0.05) < 4.5;
    }).map(([text]) => text.textContent.slice(0, 40));
})()";

#[test]
fn the_page_fits_every_screen_in_both_schemes_without_scripts() {
    let mut browser = Browser::open();
    for (name, told) in [("success", events::success()), ("failure", events::failure())] {
        let (_dir, path) = page(&told);
        for width in [360, 1440] {
            for scheme in ["light", "dark"] {
                let screen = Screen { width, scheme, scripts: false };
                browser.load(&path, screen);
                let picture = format!("{name}-{width}-{scheme}.png");
                browser.picture(&pictures().join(picture));
                fits(&mut browser, screen);
            }
        }
    }
}

fn fits(browser: &mut Browser, screen: Screen) {
    let [scroll, shown] = ["scrollWidth", "clientWidth"]
        .map(|width| browser.ask(&format!("document.documentElement.{width}")).as_u64().unwrap());
    assert!(scroll <= shown && shown <= u64::from(screen.width), "{screen:?}: {scroll} of {shown} px");
    assert_eq!(browser.ask("innerWidth"), screen.width);
    assert_eq!(browser.ask(CROWDED), 0, "{screen:?}");
    assert_eq!(browser.ask(CUT_OFF), serde_json::json!([]), "{screen:?}");
    assert_eq!(browser.ask(FAINT), serde_json::json!([]), "{screen:?}");
    let shown = browser.ask("getComputedStyle(document.body).backgroundColor");
    let back = if screen.scheme == "light" { "rgb(251, 251, 252)" } else { "rgb(15, 19, 24)" };
    assert_eq!(shown, back, "{screen:?}");
    let drawn =
        browser.ask("[...document.querySelectorAll('svg rect')].filter(r => r.getBBox().height > 0).length");
    assert!(drawn.as_u64().unwrap() > 1, "{screen:?}: bars are drawn");
    assert_eq!(browser.fetched.len(), 1, "nothing is fetched but the page: {:?}", browser.fetched);
}

#[test]
fn hostile_names_are_shown_and_never_run() {
    let mut browser = Browser::open();
    for told in [events::success(), events::failure()] {
        let (_dir, path) = page(&told);
        browser.load(&path, Screen { width: 1440, scheme: "light", scripts: true });
        assert_eq!(browser.ask("document.querySelectorAll('script, img, [onerror]').length"), 0);
        assert_ne!(browser.ask("document.title"), "owned");
        let shown = browser.ask("document.body.textContent");
        assert!(shown.as_str().unwrap().contains(events::HOSTILE), "{shown}");
    }
}

#[test]
fn the_story_says_what_was_waited_for_and_how_it_ended() {
    let story = Story::from_events(&events::success());
    assert!(story.succeeded());
    let phase = story.phases.iter().find(|phase| phase.name == "wait for the API").unwrap();
    let waits: Vec<_> =
        phase.waits.iter().map(|wait| (wait.start.as_millis(), wait.took.as_millis())).collect();
    assert_eq!(waits, [(92, 1808), (1900, 1600)]);
    assert_eq!((phase.outcome, phase.took.as_millis()), (Outcome::Done, 3410));
    let counts: Vec<_> = story.listeners.iter().map(|listeners| listeners.count).collect();
    assert_eq!(counts, [0, 1, 2, 1]);
    let failed = Story::from_events(&events::failure());
    assert!(!failed.succeeded());
    assert_eq!(failed.phases.last().unwrap().outcome, Outcome::Failed);
}

#[test]
fn a_story_that_was_cut_off_ends_with_an_open_phase() {
    let mut told = events::success();
    told.truncate(told.iter().position(|told| matches!(told.event, Event::Waiting { .. })).unwrap() + 1);
    let story = Story::from_events(&told);
    assert!(story.end.is_none() && !story.succeeded());
    assert_eq!(story.phases.last().unwrap().outcome, Outcome::CutOff);
    let (_dir, path) = page(&told);
    assert!(std::fs::read_to_string(path).unwrap().contains("cut off after"));
    assert!(report::page(&Story::from_events(&[])).contains("cut off"), "even of nothing there is a page");
}

#[test]
fn figures_are_flat_and_public_to_read() {
    let (_dir, path) = page(&events::success());
    let data = path.with_file_name("report.json");
    for file in [&path, &data] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o644);
    }
    let report: Value = serde_json::from_slice(&std::fs::read(data).unwrap()).unwrap();
    assert_eq!(report["v"], 1);
    let figures = serde_json::json!({
        "total_ms": 12312.0, "objects_applied": 2, "objects_refused": 1,
        "transition_overhead_ms": 61.0, "transition_overhead_max_ms": 61.0,
        "ok_requests": 231, "failed_requests": 2, "slowest_request_ms": 312.0, "longest_gap_ms": 402.0,
    });
    assert_eq!(report["figures"], figures);
    assert_eq!(report["phases"][2]["waits"][0]["took_ms"], 1808.0);
    assert_eq!(report["pods"][0]["created"], "2026-01-02T03:04:09.000Z");
    assert_eq!(report["end"]["exit_code"], 0);
}

#[test]
fn the_terminal_gets_the_same_figures_in_a_few_lines() {
    let lines = Story::from_events(&events::success()).lines();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[0].starts_with("place etcd 0.0 s, place the bootstrap apiserver 0.1 s, "), "{lines:#?}");
    assert!(lines[1].contains("kube-apiserver-x7k2p 5 s"), "{lines:#?}");
    assert_eq!(lines[2], "listeners on port 6443: 0 at 0.0 s, 1 at 1.9 s, 2 at 7.2 s, 1 at 11.4 s");
    assert!(lines[3].contains("61 ms at most for 95 % of 3"), "{lines:#?}");
    assert!(
        lines[4].contains("231 requests answered, 2 failed; slowest 312 ms, longest gap 402 ms"),
        "{lines:#?}"
    );
}
