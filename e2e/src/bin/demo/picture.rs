//! Draws a recording: load, latency, replicas, jobs and workers as panels with one time axis, as SVG. Pure.

use std::fmt::Write;

use anyhow::Result;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::install::{WEB, WORKERS};
use crate::recording::{Mark, Recording, Sample};

// Okabe and Ito's colors are distinguishable with every kind of color vision, and in grayscale.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// The time of an outage.
const SHADE: RGBColor = RGBColor(253, 232, 217);

const WIDTH: u32 = 1000;
const TITLE_HEIGHT: u32 = 48;
const PANEL_HEIGHT: u32 = 160;
const TIME_AXIS_HEIGHT: u32 = 48;
const ROW_HEIGHT: u32 = 20;
const LEFT: i32 = 24;
/// Characters of a decision's sentence on its row; hovering shows the rest.
const ROW_CHARACTERS: usize = 180;
/// Approximate width of a character of the legend, in pixels: no font is available for a measurement.
const LEGEND_CHARACTER: usize = 6;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// One line of a panel.
struct Line {
    name: &'static str,
    color: RGBColor,
    width: u32,
    /// Segments without a gap.
    stretches: Vec<Vec<(f64, f64)>>,
}

/// One chart: a quantity over time.
struct Panel {
    /// The quantity and its unit.
    title: &'static str,
    /// The component whose decisions it shows.
    component: &'static str,
    lines: Vec<Line>,
    /// The minimum end of the axis, so that noise near zero does not fill the panel.
    at_least: f64,
    /// Whether the quantity is a count, whose axis has whole numbers only.
    whole: bool,
}

/// Draws the picture.
///
/// # Errors
/// When the recording has a number that cannot be drawn.
pub(crate) fn draw(recording: &Recording) -> Result<String> {
    let (panels, outages) = (panels(recording), recording.outages());
    let end =
        recording.samples.iter().map(|sample| sample.at).chain(recording.offered.iter().map(|point| point.0));
    let end = end.fold(1.0, f64::max);
    let rows = u32::try_from(recording.decisions.len())? * ROW_HEIGHT;
    let charts_height = PANEL_HEIGHT * u32::try_from(panels.len())?;
    let height = TITLE_HEIGHT + charts_height + TIME_AXIS_HEIGHT + ROW_HEIGHT * 2 + rows;
    let mut svg = String::new();
    let mut marks = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw_text(
            "Replicas follow the load, workers the jobs, and a failing provider takes none",
            &text(22),
            (LEFT, 14),
        )?;
        let (_, below_title) = root.split_vertically(TITLE_HEIGHT);
        let (charts, list) = below_title.split_vertically(charts_height + TIME_AXIS_HEIGHT);
        let mut rest = charts;
        for (index, panel) in panels.iter().enumerate() {
            let last = index + 1 == panels.len();
            let (area, below) =
                rest.split_vertically(if last { PANEL_HEIGHT + TIME_AXIS_HEIGHT } else { PANEL_HEIGHT });
            let outages = if panel.component == WEB { outages.as_slice() } else { &[] };
            let chart = draw_panel(&area, panel, outages, (end, last))?;
            for (number, mark) in (1..).zip(&recording.decisions) {
                if mark.component == panel.component {
                    marks.push_str(&marker(&chart, number, mark, panel.whole));
                }
            }
            rest = below;
        }
        list_decisions(&list, &recording.decisions)?;
        root.present()?;
    }
    // The drawing library has no titles for hovering, so the marks are appended to its output.
    Ok(svg.replace("</svg>", &format!("{marks}</svg>")))
}

fn panels(recording: &Recording) -> [Panel; 5] {
    let measured = |value: fn(&Sample) -> Option<f64>| stretches(&recording.samples, value);
    let line = |name, color, width, stretches| Line { name, color, width, stretches };
    [
        Panel {
            title: "Load (requests per second)",
            component: WEB,
            lines: vec![
                line("offered by the load generator", ORANGE, 2, vec![recording.offered.clone()]),
                line("measured by Prometheus", BLUE, 2, measured(|sample| sample.request_rate)),
            ],
            at_least: 10.0,
            whole: false,
        },
        Panel {
            title: "Latency (ms)",
            component: WEB,
            lines: vec![line(
                "99th percentile",
                VERMILION,
                2,
                measured(|sample| sample.p99.map(|p99| p99 * 1e3)),
            )],
            at_least: 10.0,
            whole: false,
        },
        Panel {
            title: "Replicas",
            component: WEB,
            lines: vec![
                line("ready", GREEN, 5, steps(measured(|sample| Some(f64::from(sample.web.ready))))),
                line("desired", INK, 2, steps(measured(|sample| Some(f64::from(sample.web.desired))))),
            ],
            at_least: 2.0,
            whole: true,
        },
        Panel {
            title: "Jobs",
            component: WORKERS,
            lines: vec![line("waiting or running", BLUE, 2, measured(|sample| sample.jobs))],
            at_least: 10.0,
            whole: false,
        },
        Panel {
            title: "Workers",
            component: WORKERS,
            lines: vec![
                line("ready", GREEN, 5, steps(measured(|sample| Some(f64::from(sample.workers.ready))))),
                line("desired", INK, 2, steps(measured(|sample| Some(f64::from(sample.workers.desired))))),
            ],
            at_least: 2.0,
            whole: true,
        },
    ]
}

/// Absent is not zero: without a measurement the line has a gap.
fn stretches(samples: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    samples
        .split(|sample| value(sample).is_none())
        .map(|stretch| stretch.iter().filter_map(|sample| Some((sample.at, value(sample)?))).collect())
        .collect()
}

/// A count stays constant until it changes.
fn steps(stretches: Vec<Vec<(f64, f64)>>) -> Vec<Vec<(f64, f64)>> {
    let corners = |pair: &[(f64, f64)]| [pair[0], (pair[1].0, pair[0].1)];
    let step = |stretch: Vec<(f64, f64)>| {
        let mut points: Vec<_> = stretch.windows(2).flat_map(corners).collect();
        points.extend(stretch.last());
        points
    };
    stretches.into_iter().map(step).collect()
}

fn draw_panel<'a, 'b>(
    area: &'a Area<'b>,
    panel: &Panel,
    outages: &[(f64, f64)],
    (end, time_axis): (f64, bool),
) -> Result<Chart<'a, 'b>> {
    let highest = panel.lines.iter().flat_map(|line| line.stretches.iter().flatten()).map(|point| point.1);
    let top = highest.fold(panel.at_least, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .margin_right(24)
        .margin_top(26)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, if time_axis { TIME_AXIS_HEIGHT } else { 8 })
        .build_cartesian_2d(0.0..minutes(end), 0.0..top)?;
    chart.draw_series(
        outages
            .iter()
            .map(|(from, to)| Rectangle::new([(minutes(*from), 0.0), (minutes(*to), top)], SHADE.filled())),
    )?;
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID).light_line_style(TRANSPARENT).axis_style(INK).label_style(text(13));
    mesh.x_labels(10).y_labels(6).y_label_formatter(&|value| format!("{value:.0}"));
    if panel.whole {
        mesh.y_labels(top as usize + 1);
    }
    if time_axis {
        mesh.x_desc("Time since the load began (min:s)").x_label_formatter(&|minutes| clock(minutes * 60.0));
    } else {
        mesh.x_label_formatter(&|_| String::new());
    }
    mesh.draw()?;
    if let (true, Some((from, to))) = (panel.whole, outages.first()) {
        let place = (minutes(f64::midpoint(*from, *to)), top * 0.97);
        let style = text(12).pos(Pos::new(HPos::Center, VPos::Top));
        chart.draw_series([Text::new("payments degraded: no replica goes", place, style)])?;
    }
    for line in &panel.lines {
        for stretch in &line.stretches {
            let style = line.color.stroke_width(line.width);
            chart.draw_series(LineSeries::new(
                stretch.iter().map(|point| (minutes(point.0), point.1)),
                style,
            ))?;
        }
    }
    if panel.lines.iter().all(|line| line.stretches.iter().all(Vec::is_empty)) {
        area.draw_text(
            "not measured",
            &text(14),
            (i32::try_from(WIDTH / 2)?, i32::try_from(PANEL_HEIGHT / 2)?),
        )?;
    }
    area.draw_text(panel.title, &text(14), (LEFT, 6))?;
    draw_legend(area, &panel.lines)?;
    Ok(chart)
}

/// Names of the lines with a sample of each, above the panel on the right.
fn draw_legend(area: &Area<'_>, lines: &[Line]) -> Result<()> {
    let mut right = i32::try_from(WIDTH)? - LEFT;
    for line in lines.iter().rev() {
        let style = text(13).pos(Pos::new(HPos::Right, VPos::Top));
        area.draw_text(line.name, &style, (right, 7))?;
        right -= i32::try_from(line.name.chars().count() * LEGEND_CHARACTER)? + 8;
        area.draw(&PathElement::new([(right - 24, 13), (right, 13)], line.color.stroke_width(line.width)))?;
        right -= 48;
    }
    Ok(())
}

/// A decision: a line through the panel, with its number in the panel of replicas.
fn marker(chart: &Chart<'_, '_>, number: u32, mark: &Mark, numbered: bool) -> String {
    let (x, y) = chart.backend_coord(&(minutes(mark.at), f64::from(mark.to)));
    let bottom = chart.backend_coord(&(minutes(mark.at), 0.0)).1;
    let top = chart.backend_coord(&(minutes(mark.at), chart.y_range().end)).1;
    let mut group = format!("<g><title>{}</title>", escaped(&sentence(number, mark)));
    let line = format!("<line x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"");
    // The wide invisible line is the target for a pointer.
    let _ = write!(group, "{line} stroke=\"#3C3C3C\" stroke-opacity=\"0\" stroke-width=\"12\"/>");
    let _ = write!(group, "{line} stroke=\"#3C3C3C\" stroke-opacity=\"0.6\" stroke-dasharray=\"2 3\"/>");
    if numbered {
        let _ = write!(group, "<circle cx=\"{x}\" cy=\"{y}\" r=\"9\" fill=\"#FFFFFF\" stroke=\"#3C3C3C\"/>");
        let place = format!("x=\"{x}\" y=\"{}\"", y + 4);
        let _ = write!(
            group,
            "<text {place} text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"11\">{number}</text>"
        );
    }
    group + "</g>\n"
}

/// The decisions in words, for a printout without hovering.
fn list_decisions(area: &Area<'_>, decisions: &[Mark]) -> Result<()> {
    if decisions.is_empty() {
        return Ok(());
    }
    area.draw_text("Decisions", &text(14), (LEFT, 10))?;
    let mut y = i32::try_from(ROW_HEIGHT)? + 14;
    for (number, mark) in (1..).zip(decisions) {
        let mut row = sentence(number, mark);
        if let Some((cut, _)) = row.char_indices().nth(ROW_CHARACTERS) {
            row.truncate(cut);
            row.push_str("...");
        }
        area.draw_text(&row, &text(13), (LEFT, y))?;
        y += i32::try_from(ROW_HEIGHT)?;
    }
    Ok(())
}

fn sentence(number: u32, mark: &Mark) -> String {
    let Mark { at, component, from, to, reason } = mark;
    format!("{number}.  {}  {component} {from} -> {to}  {reason}", clock(*at))
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// The unit of the time axis, with marks at halves and quarters of a minute.
fn minutes(seconds: f64) -> f64 {
    seconds / 60.0
}

fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Replicas;

    fn mark(component: &str, at: f64, from: i32, to: i32, reason: &str) -> Mark {
        Mark { at, component: component.to_owned(), from, to, reason: reason.to_owned() }
    }

    /// Replicas of a component at a time, by its decisions.
    fn at(decisions: &[Mark], component: &str, first: i32, at: f64) -> Replicas {
        let replicas = |at: f64| {
            let made = decisions.iter().rev().find(|mark| mark.component == component && mark.at <= at);
            made.map_or(first, |mark| mark.to)
        };
        Replicas { desired: replicas(at), ready: replicas(at - 4.0) }
    }

    fn decisions() -> Vec<Mark> {
        vec![
            mark(WEB, 33.0, 1, 2, "rps proposes 2: 27.3/s over a target of 20/s per replica."),
            mark(WEB, 43.0, 2, 4, "rps proposes 4: 61.8/s over a target of 20/s per replica."),
            mark(
                WEB,
                63.0,
                4,
                5,
                "rps proposes 5: 89.9/s over a target of 20/s per replica & <limited> by maxReplicas, which is a long sentence that goes on.",
            ),
            mark(WEB, 158.0, 5, 3, "rps proposes 3: 45.1/s below a target of 20/s per replica."),
            mark(WEB, 188.0, 3, 1, "rps proposes 1: 5.0/s below a target of 20/s per replica."),
            mark(WORKERS, 218.0, 0, 1, "backlog proposes 1: 31 jobs wait."),
            mark(WORKERS, 228.0, 1, 5, "backlog proposes 5: 180 jobs wait."),
            mark(WORKERS, 278.0, 5, 0, "backlog proposes 0: no job waits or runs."),
        ]
    }

    fn recording() -> Recording {
        let offered = vec![
            (0.0, 5.0),
            (20.0, 5.0),
            (40.0, 90.0),
            (110.0, 90.0),
            (115.0, 5.0),
            (215.0, 5.0),
            (215.0, 45.0),
            (230.0, 45.0),
            (230.0, 5.0),
            (300.0, 5.0),
        ];
        let decisions = decisions();
        let samples = (0..300)
            .map(|second| {
                let time = f64::from(second);
                let window = (time - 60.0).max(0.0);
                let rate = (0..60).map(|step| {
                    let at = window + (time - window) * f64::from(step) / 60.0;
                    match at {
                        20.0..40.0 => 5.0 + (at - 20.0) * 4.25,
                        40.0..110.0 => 90.0,
                        215.0..230.0 => 45.0,
                        _ => 5.0,
                    }
                });
                let jobs = match time {
                    215.0..230.0 => (time - 215.0) * 18.0,
                    230.0..248.0 => (248.0 - time) * 15.0,
                    _ => 0.0,
                };
                Sample {
                    at: time,
                    request_rate: (second > 5).then(|| rate.sum::<f64>() / 60.0),
                    p99: (second > 5 && second != 100).then(|| {
                        0.014
                            + if (35..70).contains(&second) { 0.12 } else { 0.0 }
                            + 0.002 * (time / 3.0).sin()
                    }),
                    web: at(&decisions, WEB, 1, time),
                    jobs: (second > 5).then_some(jobs),
                    workers: at(&decisions, WORKERS, 0, time),
                    degraded: (250..280).contains(&second),
                }
            })
            .collect();
        Recording { offered, samples, decisions }
    }

    #[test]
    fn picture_tells_each_decision_on_hover_and_in_print() {
        let svg = draw(&recording()).unwrap();
        if let Some(path) = std::env::var_os("DEMO_PICTURE") {
            std::fs::write(path, &svg).unwrap();
        }
        assert_eq!(
            svg.matches("<title>5.  3:08  web 3 -&gt; 1  rps proposes 1").count(),
            3,
            "once for each panel of the service"
        );
        assert_eq!(svg.matches("<title>7.  3:48  reports 1 -&gt; 5  backlog").count(), 2, "of the workers");
        assert!(svg.contains("&amp; &lt;limited&gt;") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn an_outage_is_shaded_and_named() {
        assert_eq!(draw(&recording()).unwrap().matches("payments degraded").count(), 1);
        assert!(!draw(&Recording::default()).unwrap().contains("payments degraded"));
    }

    #[test]
    fn absent_measurements_are_gaps() {
        let points = stretches(&recording().samples, |sample| sample.p99);
        let ends: Vec<f64> =
            points.iter().filter_map(|stretch| stretch.last()).map(|point| point.0).collect();
        assert_eq!(ends, [99.0, 299.0]);
    }

    #[test]
    fn replicas_change_at_once() {
        assert_eq!(steps(vec![vec![(0.0, 1.0), (1.0, 3.0)]]), [[(0.0, 1.0), (1.0, 1.0), (1.0, 3.0)]]);
    }

    #[test]
    fn a_panel_without_a_measurement_says_so() {
        let mut unmeasured = recording();
        assert!(!draw(&unmeasured).unwrap().contains("not measured"));
        unmeasured.samples.iter_mut().for_each(|sample| sample.p99 = None);
        assert_eq!(draw(&unmeasured).unwrap().matches("not measured").count(), 1);
        assert_eq!(draw(&Recording::default()).unwrap().matches("not measured").count(), 5);
    }
}
