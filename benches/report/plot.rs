//! Plots with two logarithmic axes: a straight line of slope one grows as its argument does.

use plotters::prelude::*;

/// One line of a plot.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const COLOURS: [RGBColor; 5] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 96, 39),
    RGBColor(44, 140, 60),
    RGBColor(148, 103, 189),
    RGBColor(90, 90, 90),
];

/// Draws lines; every point is above zero.
pub(crate) fn growth(title: &str, x: &str, y: &str, lines: &[Line]) -> String {
    let mut svg = String::new();
    draw(&mut svg, (title, x, y), lines).expect("a plot into a string does not fail");
    svg
}

fn draw(
    svg: &mut String,
    words: (&str, &str, &str),
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let (title, x, y) = words;
    let (across, up) = (span(lines, |point| point.0), span(lines, |point| point.1));
    let area = SVGBackend::with_string(svg, (720, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(across.log_scale(), up.log_scale())?;
    chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).draw()?;
    area.present()?;
    drop(chart);
    drop(area);
    Ok(())
}

fn span(lines: &[Line], axis: impl Fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
    let values = || lines.iter().flat_map(|line| &line.points).map(&axis);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    low * 0.7..high * 1.4
}
