//! The cost against the number of workers, drawn.

use std::error::Error;
use std::io;
use std::path::Path;

use plotters::prelude::*;

use crate::fills::Curve;

pub fn write(path: &Path, curves: &[Curve]) -> io::Result<()> {
    let svg = render(curves).map_err(|error| io::Error::other(error.to_string()))?;
    std::fs::write(path, svg)
}

fn render(curves: &[Curve]) -> Result<String, Box<dyn Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (fewest, most) = range(&mut points().map(|&(workers, _)| workers as f64));
    let (cheapest, dearest) = range(&mut points().map(|&(_, cost)| cost));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, 600)).into_drawing_area();
        root.fill(&WHITE)?;
        // A flat line is to look flat, whatever the noise: the scale spans a factor of 100 at least.
        let top = (dearest * 2.0).max(cheapest * 100.0);
        let mut chart = ChartBuilder::on(&root)
            .caption("Reserve and release, one thread", ("sans-serif", 20))
            .margin(16)
            .margin_right(32)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d((fewest..most).log_scale(), (cheapest / 2.0..top).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("workers")
            .y_desc("bare pairs")
            .max_light_lines(0)
            .x_label_formatter(&|workers| format!("{workers:.0}"))
            .y_label_formatter(&|cost| format!("{cost}"))
            .draw()?;
        for (k, curve) in curves.iter().enumerate() {
            let points = curve.points.iter().map(|&(workers, cost)| (workers as f64, cost));
            let style = Palette99::pick(k).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style).point_size(3))?
                .label(curve.fill)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}
