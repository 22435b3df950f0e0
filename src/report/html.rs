//! The page: one file that contains its style and its drawing. It has no script and fetches
//! nothing, and its policy forbids both.
//!
//! Names and reasons come from the API and from manifests. The macro escapes them. The style, a
//! constant, is the only text that is not escaped.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart;
use super::figures::{Figures, is_refusal, millis, seconds};
use super::story::{Blocker, Object, Outcome, Story};
use crate::timestamp::rfc3339;
use crate::ui::{Basis, PodLife};

const STYLE: &str = include_str!("page.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Rows of a table that is sorted by rank.
const ROWS: usize = 10;

/// The page of `story`.
pub fn page(story: &Story) -> String {
    let title = title(story);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { (title) }
                p.about { "Begun " (rfc3339(story.began)) " by bootkube " (story.bootkube) }
                (problem(story))
                (figures(&Figures::new(story)))
                figure { (chart::timeline(story)) (legend(story)) }
                (blockers(story))
                (waits(story))
                (transitions(story))
                (pods(story))
                (requests(story))
                (objects(story))
                (warnings(story))
            } }
        }
    }
    .into_string()
}

fn title(story: &Story) -> String {
    let took = seconds(story.total());
    match &story.end {
        Some(end) if end.error.is_none() => {
            let node = end.node.as_deref().unwrap_or("this machine");
            format!("bootkube start: the control plane runs itself on {node} after {took}")
        }
        Some(_) => format!("bootkube start: failed after {took}"),
        None => format!("bootkube start: cut off after {took}"),
    }
}

fn problem(story: &Story) -> Markup {
    let error = story.end.as_ref().and_then(|end| end.error.as_ref());
    html! {
        @if let Some(error) = error {
            pre.problem { (error.message) }
            @if let Some(hint) = &error.hint { p { (hint) } }
        }
    }
}

fn figures(figures: &Figures) -> Markup {
    let Figures { objects_applied, objects_refused, transition_overhead_ms, .. } = figures;
    let ms = |figure: &Option<f64>| figure.map(|ms| format!("{ms:.0} ms"));
    let requests = figures.ok_requests.zip(figures.failed_requests);
    let rows = [
        ("objects applied", Some(objects_applied.to_string())),
        ("objects refused", Some(objects_refused.to_string())),
        ("from a change to the next act (95\u{a0}%)", ms(transition_overhead_ms)),
        ("requests answered / failed", requests.map(|(ok, failed)| format!("{ok} / {failed}"))),
        ("slowest request", ms(&figures.slowest_request_ms)),
        ("longest gap", ms(&figures.longest_gap_ms)),
    ];
    html! {
        dl.figures {
            @for (name, figure) in rows {
                @if let Some(figure) = figure { div { dt { (name) } dd { (figure) } } }
            }
        }
    }
}

/// The legend: only colours that the drawing uses.
fn legend(story: &Story) -> Markup {
    let failed = story.phases.iter().any(|phase| phase.outcome != Outcome::Done);
    let waited = story.phases.iter().any(|phase| !phase.waits.is_empty());
    let (pods, probed) = (!story.pods.is_empty(), story.probe.is_some());
    let keys = [
        ("done", "phase", true),
        ("failed", "phase that failed", failed),
        ("wait", "what it waited for, in turn", waited),
        ("scheduling", "pod waits for a node", pods),
        ("starting", "pod starts", pods),
        ("probing", "pod waits to be ready", pods),
        ("bad", "request failed", probed),
        ("slow", "request took 250 ms or more", probed),
    ];
    html! {
        figcaption {
            @for (class, text, _) in keys.iter().filter(|(_, _, shown)| *shown) {
                span { i class={ "key " (class) } {} (text) }
            }
            @if pods { span { "Pods by timestamps of the API, which are whole seconds." } }
        }
    }
}

/// A table, unless it would be empty. Each cell has the name of its column, for screens that are
/// too narrow for columns.
fn table(heading: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Markup {
    html! {
        @if !rows.is_empty() {
            h2 { (heading) }
            table {
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in columns.iter().zip(row) { td data-column=(column) { (cell) } } }
                    }
                }
            }
        }
    }
}

fn waits(story: &Story) -> Markup {
    let rows = story.phases.iter().flat_map(|phase| {
        let mut waits: Vec<_> = phase.waits.iter().collect();
        waits.sort_by_key(|wait| std::cmp::Reverse(wait.took));
        waits.truncate(ROWS);
        waits.sort_by_key(|wait| wait.start);
        let row = |name: &str, from, took, on: &str| {
            vec![name.to_owned(), seconds(from), seconds(took), on.to_owned()]
        };
        let whole = row(phase.name, phase.start, phase.took, "");
        let waits = waits.into_iter().map(|wait| row("", wait.start, wait.took, &wait.on));
        std::iter::once(whole).chain(waits).collect::<Vec<_>>()
    });
    let columns = ["phase", "from", "took", "waited for"];
    table("Phases, and what each waited for", &columns, rows.collect())
}

fn blockers(story: &Story) -> Markup {
    let all =
        story.phases.iter().flat_map(|phase| phase.blockers.iter().map(move |blocker| (phase, blocker)));
    let rows = all.map(|(phase, Blocker { what, why, cure, start, took, .. })| {
        let (phase, what, why, cure) = (phase.name.to_owned(), what.clone(), why.clone(), cure.clone());
        vec![phase, seconds(*start), seconds(*took), what, why, cure]
    });
    let columns = ["phase", "from", "took", "what", "why", "what to do"];
    table("What was in the way", &columns, rows.collect())
}

fn transitions(story: &Story) -> Markup {
    let rows = story.transitions.iter().map(|transition| {
        let basis = match transition.basis {
            Basis::Arrival => "arrival of the watch event",
            Basis::LastLook => "last look that found it otherwise",
        };
        let (change, act) = (transition.change.clone(), transition.act.clone());
        vec![change, act, millis(transition.took), basis.to_owned()]
    });
    table("From a change to the next act", &["change", "act", "took", "counted from"], rows.collect())
}

fn pods(story: &Story) -> Markup {
    let columns = ["pod", "created", "scheduled", "running", "ready"];
    let rows = story.pods.iter().map(|pod| {
        let PodLife { namespace, name, created, scheduled, running, ready, .. } = pod;
        let after = |at: &Option<time::OffsetDateTime>| match at {
            Some(at) => format!("{:+} s", (*at - story.began).whole_seconds()),
            None => "–".to_owned(),
        };
        let moments = [created, scheduled, running, ready].map(after);
        std::iter::once(format!("{namespace}/{name}")).chain(moments).collect()
    });
    table("Pods", &columns, rows.collect())
}

fn requests(story: &Story) -> Markup {
    let mut worst: Vec<_> = story.requests.iter().collect();
    worst.sort_by_key(|request| (request.error.is_none(), std::cmp::Reverse(request.took)));
    let rows = worst.into_iter().take(ROWS).map(|request| {
        let why = request.error.clone().unwrap_or_else(|| "answered".to_owned());
        vec![request.path.clone(), seconds(request.start), millis(request.took), why]
    });
    table("Requests that failed or were slow, worst first", &["path", "at", "took", "answer"], rows.collect())
}

fn objects(story: &Story) -> Markup {
    let refused = story.objects.iter().filter(|object| is_refusal(object.outcome));
    let row = |object: &Object| {
        let reason = object.reason.clone().unwrap_or_else(|| object.outcome.to_owned());
        vec![object.object.clone(), object.file.clone(), reason]
    };
    let mut slowest: Vec<_> = story.objects.iter().collect();
    slowest.sort_by_key(|object| std::cmp::Reverse(object.took));
    let slowest = slowest.into_iter().take(ROWS).map(|object| {
        vec![object.object.clone(), object.outcome.to_owned(), seconds(object.end), millis(object.took)]
    });
    html! {
        (table("Objects that are not as their manifests say", &["object", "file", "why"], refused.map(row).collect()))
        (table("Slowest objects", &["object", "outcome", "done at", "took"], slowest.collect()))
    }
}

fn warnings(story: &Story) -> Markup {
    let rows = story.warnings.iter().map(|warning| vec![warning.clone()]);
    table("Warnings", &["warning"], rows.collect())
}
