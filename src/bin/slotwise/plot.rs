//! Line charts as SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::failure::Failure;

/// One axis: what it counts, from where to where, and how a value on it reads.
pub struct Axis<'a> {
    pub label: &'a str,
    pub from: f64,
    pub to: f64,
    pub ticks: usize,
    pub text: &'a dyn Fn(f64) -> String,
}

/// One line.
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Draws the lines with their legend into a file.
pub fn draw(
    path: &Path,
    title: &str,
    x: &Axis<'_>,
    y: &Axis<'_>,
    series: Vec<Series>,
) -> Result<(), Failure> {
    let svg =
        render(title, x, y, series).map_err(|e| Failure::file(path, "cannot draw the plot", e))?;
    std::fs::write(path, svg).map_err(|e| Failure::file(path, "cannot write the plot", e))
}

fn render(
    title: &str,
    x: &Axis<'_>,
    y: &Axis<'_>,
    series: Vec<Series>,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, 600)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(x.from..x.to, y.from..y.to)?;
        chart
            .configure_mesh()
            .x_desc(x.label)
            .y_desc(y.label)
            .x_labels(x.ticks)
            .y_labels(y.ticks)
            .x_label_formatter(&|v| (x.text)(*v))
            .y_label_formatter(&|v| (y.text)(*v))
            .max_light_lines(0)
            .draw()?;
        for (i, line) in series.into_iter().enumerate() {
            let style = Palette99::pick(i).stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points, style))?
                .label(line.name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_and_label_is_in_the_drawing() {
        let axis = |label, text| Axis { label, from: 0.0, to: 10.0, ticks: 3, text };
        let line = |name: &str| Series { name: name.into(), points: vec![(0.0, 0.0), (9.0, 9.0)] };
        let (x, y) = (|v: f64| format!("x{v}"), |v: f64| format!("y{v}"));
        let svg =
            render("title", &axis("across", &x), &axis("up", &y), vec![line("one"), line("two")])
                .unwrap();
        for text in ["title", "across", "up", "one", "two", "x0", "y0"] {
            assert!(svg.contains(&format!("\n{text}\n")), "no {text} in {svg}");
        }
        assert_eq!(svg.matches("<polyline").count(), 4 + axis_lines(&svg), "{svg}");
    }

    /// Axes and ticks are polylines too; they are black or grey, the series are not.
    fn axis_lines(svg: &str) -> usize {
        svg.lines()
            .filter(|l| l.starts_with("<polyline"))
            .filter(|l| l.contains("stroke=\"#000000\"") || l.contains("stroke=\"#FFFFFF\""))
            .count()
    }
}
