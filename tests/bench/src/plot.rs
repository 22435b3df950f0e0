//! The timeline as an SVG: where the seconds of `start` and of `kubeadm init` went, and what
//! requests met during a pivot and its rolls.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::timeline::{Session, Slice, Span, Timeline};

const WIDTH: u32 = 960;
/// Height of a row with one phase.
const ROW: u32 = 22;
/// Height of a picture's caption and axis.
const FRAME: u32 = 90;
/// Height of the picture of requests.
const REQUESTS: u32 = 320;
const OURS: RGBColor = RGBColor(31, 119, 180);
const THEIRS: RGBColor = RGBColor(140, 140, 140);
const BAD: RGBColor = RGBColor(214, 39, 40);
const SHADE: RGBColor = RGBColor(232, 240, 248);
/// kubeadm has many phases; those that take no time are left out.
const LEAST: f64 = 0.005;
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// All pictures, one below the other.
pub fn draw(timeline: &Timeline) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| Error::Plot(error.to_string());
    let Timeline { start, kubeadm, session } = timeline;
    let height = |phases: &[Span]| FRAME + ROW * phases.len() as u32;
    let kubeadm: Vec<Span> = kubeadm.iter().filter(|span| span.end - span.begin >= LEAST).cloned().collect();
    let (ours, theirs) = (height(start), height(&kubeadm));
    let below = if session.slices.is_empty() { 0 } else { REQUESTS };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, ours + theirs + below)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let (top, rest) = area.split_vertically(ours);
        let (middle, bottom) = rest.split_vertically(theirs);
        let end = start.iter().chain(&kubeadm).map(|span| span.end).fold(1.0, f64::max);
        phases(&top, "bootkube start: seconds since kubelet was started", start, end, OURS)?;
        phases(&middle, "kubeadm init: seconds since kubelet was started", &kubeadm, end, THEIRS)?;
        if !session.slices.is_empty() {
            requests(&bottom, session).map_err(|error| failed(&error))?;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(svg)
}

/// A bar for each phase, the first on top, its name and length beside it.
fn phases(area: &Area, caption: &str, spans: &[Span], end: f64, colour: RGBColor) -> Result<()> {
    draw_phases(area, caption, spans, end, colour).map_err(|error| Error::Plot(error.to_string()))
}

fn draw_phases(
    area: &Area,
    caption: &str,
    spans: &[Span],
    end: f64,
    colour: RGBColor,
) -> Result<(), Box<dyn std::error::Error>> {
    let rows = spans.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 16))
        .margin(12)
        .x_label_area_size(26)
        // Names stand to the right of the bars.
        .build_cartesian_2d(0.0..end * 1.45, rows..0.0)?;
    chart.configure_mesh().disable_y_axis().disable_y_mesh().x_labels(12).label_style((FONT, 12)).draw()?;
    for (row, span) in spans.iter().enumerate() {
        let row = row as f64;
        let bar = [(span.begin, row + 0.15), (span.end, row + 0.85)];
        chart.draw_series([Rectangle::new(bar, colour.filled())])?;
        let text = format!("{} {:.2} s", span.name, span.end - span.begin);
        chart.draw_series([Text::new(text, (span.end + end * 0.006, row + 0.2), (FONT, 12))])?;
    }
    Ok(())
}

/// The slowest request of each moment, and where some failed; pivot and rolls are shaded and say
/// how many failed in them.
fn requests(area: &Area, session: &Session) -> Result<(), Box<dyn std::error::Error>> {
    let Session { spans, slices } = session;
    let end = slices.last().map_or(1.0, |slice| slice.at);
    let most = slices.iter().map(|slice| slice.slowest_ms).fold(100.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(
            "a pivot and three rolls under load: slowest request (ms); crosses where requests failed",
            (FONT, 16),
        )
        .margin(12)
        .x_label_area_size(26)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..end, 0.0..most)?;
    for span in spans {
        chart.draw_series([Rectangle::new([(span.begin, 0.0), (span.end, most)], SHADE.filled())])?;
        chart.draw_series([Text::new(
            format!("{}: {} failed", span.name, failed_in(span, slices)),
            (span.begin + end * 0.004, most * 0.97),
            (FONT, 12),
        )])?;
    }
    chart.configure_mesh().disable_x_mesh().x_labels(12).y_labels(6).label_style((FONT, 12)).draw()?;
    let points = slices.iter().map(|Slice { at, slowest_ms, .. }| (*at, *slowest_ms));
    chart.draw_series(LineSeries::new(points, OURS))?;
    for Slice { at, slowest_ms, .. } in slices.iter().filter(|slice| slice.failed > 0) {
        chart.draw_series([Cross::new((*at, *slowest_ms), 4, BAD)])?;
    }
    Ok(())
}

fn failed_in(span: &Span, slices: &[Slice]) -> u64 {
    let during = slices.iter().filter(|slice| (span.begin..span.end).contains(&slice.at));
    during.map(|slice| slice.failed).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_and_every_failure_is_in_the_picture() {
        let span = |name: &str, begin, end| Span { name: name.into(), begin, end };
        let slice = |at, failed| Slice { at, slowest_ms: 20.0, failed };
        let timeline = Timeline {
            start: vec![span("wait for the API", 0.0, 3.5)],
            kubeadm: vec![span("certs", 0.0, 1.0)],
            session: Session {
                spans: vec![span("pivot", 0.0, 2.0)],
                slices: vec![slice(0.5, 0), slice(1.0, 7)],
            },
        };
        let svg = draw(&timeline).unwrap();
        for text in ["wait for the API 3.50 s", "certs 1.00 s", "pivot: 7 failed"] {
            assert!(svg.contains(text), "{text:?} is not in {svg}");
        }
    }
}
