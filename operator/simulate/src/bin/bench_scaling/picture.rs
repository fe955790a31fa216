//! Draws the trade-off of each contender, violation minutes against replica-hours, as SVG. Pure.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use scalableapp_simulate::setting::Contender;

use crate::tune::{MOST_VIOLATIONS, Tuned};

const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);

const WIDTH: u32 = 1000;
const TITLE_HEIGHT: u32 = 96;
const PANEL_HEIGHT: u32 = 340;
const LEFT: i32 = 24;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Okabe and Ito's colors are distinguishable with every kind of color vision.
fn color(contender: Contender) -> RGBColor {
    match contender {
        Contender::HpaCpu => RGBColor(213, 94, 0),
        Contender::HpaRate => RGBColor(230, 159, 0),
        Contender::Keda => RGBColor(204, 121, 167),
        Contender::Engine => RGBColor(86, 180, 233),
        Contender::EngineOneWindow => RGBColor(0, 0, 0),
        Contender::EngineForecast => RGBColor(0, 114, 178),
        Contender::EngineSeason => RGBColor(0, 158, 115),
        Contender::Foresight => RGBColor(150, 150, 150),
    }
}

/// Draws one panel for each workload, given by its name.
///
/// # Errors
/// When the picture cannot be drawn.
pub(crate) fn draw(results: &[(String, &[Tuned])]) -> Result<String> {
    let height = TITLE_HEIGHT + PANEL_HEIGHT * u32::try_from(results.len())?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw_text("What meeting a latency objective costs", &text(22), (LEFT, 14))?;
        let line = "Every point is the cheapest setting that was tried with so many violation minutes or fewer: further left and lower is better. Circles: chosen by the training part.";
        root.draw_text(line, &text(13), (LEFT, 46))?;
        draw_legend(&root)?;
        let (_, mut rest) = root.split_vertically(TITLE_HEIGHT);
        for (name, tuned) in results {
            let (area, below) = rest.split_vertically(PANEL_HEIGHT);
            draw_panel(&area, name, tuned)?;
            rest = below;
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw_legend(root: &Area<'_>) -> Result<()> {
    let mut left = LEFT;
    for contender in Contender::ALL {
        root.draw(&PathElement::new([(left, 78), (left + 24, 78)], color(contender).stroke_width(3)))?;
        root.draw_text(contender.name(), &text(13), (left + 30, 71))?;
        left += 30 + i32::try_from(contender.name().len() * 6)? + 10;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, name: &str, tuned: &[Tuned]) -> Result<()> {
    let points = |one: &Tuned| -> Vec<(f64, f64)> {
        let curve = one.curve().into_iter().filter(|score| score.violations <= MOST_VIOLATIONS);
        curve.map(|score| (score.replica_hours, score.violations as f64)).collect()
    };
    let chosen = |one: &Tuned| one.chosen.map(|run| (run.test.replica_hours, run.test.violations as f64));
    let hours =
        || tuned.iter().flat_map(|one| points(one).into_iter().chain(chosen(one))).map(|point| point.0);
    let (least, most) = (hours().fold(f64::INFINITY, f64::min), hours().fold(0.0, f64::max));
    if least > most {
        area.draw_text(&format!("{name}: no setting came near the objective"), &text(14), (LEFT, 10))?;
        return Ok(());
    }
    let margin = ((most - least) * 0.05).max(0.05);
    let top = tuned.iter().filter_map(chosen).map(|point| point.1).fold(MOST_VIOLATIONS as f64, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin_left(20)
        .margin_right(24)
        .margin_top(30)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 46)
        .build_cartesian_2d(least - margin..most + margin, -0.3..top + 0.5)?;
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID).light_line_style(TRANSPARENT).axis_style(INK).label_style(text(13));
    mesh.x_desc("Replica-hours of the test part").y_desc("Violation minutes");
    mesh.x_labels(12).y_labels(top as usize + 2);
    mesh.x_label_formatter(&|hours| format!("{hours:.1}")).y_label_formatter(&|count| format!("{count:.0}"));
    mesh.draw()?;
    for one in tuned {
        let (color, points) = (color(one.contender), points(one));
        let width = if one.contender.is_ours() { 3 } else { 2 };
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(width)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        chart.draw_series(chosen(one).map(|point| Circle::new(point, 7, color.stroke_width(3))))?;
    }
    let style = text(15).pos(Pos::new(HPos::Left, VPos::Top));
    area.draw_text(name, &style, (LEFT, 6))?;
    Ok(())
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}
