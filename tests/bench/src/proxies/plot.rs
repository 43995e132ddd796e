//! The ladder as a picture: the processor time of a request, beside bare Pingora.

use super::result::LoadScene;
use crate::statistics::Spread;
use std::fmt::Write;

/// The height of a row in pixels.
const ROW: usize = 28;
const TOP: usize = 44;
const NAMES: usize = 380;
const BARS: usize = 400;
const WIDTH: usize = NAMES + BARS + 120;

/// An SVG with a bar for each row, its range, and a line where bare Pingora is. It is readable on a light and
/// on a dark background.
pub(crate) fn svg(scene: &LoadScene) -> String {
    let ratios: Vec<Spread> = scene.rows.iter().map(|row| scene.cpu_ratio(row)).collect();
    let most = ratios.iter().map(|ratio| ratio.high).fold(1.0, f64::max);
    let at = |value: f64| NAMES as f64 + value / most * BARS as f64;
    let height = TOP + ROW * ratios.len() + 12;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">
<style>
text {{ fill: #24292f }} .bar {{ fill: #8c959f }} .pace {{ fill: #0969da }} .line {{ stroke: #57606a }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .bar {{ fill: #6e7681 }} .pace {{ fill: #4493f8 }} .line {{ stroke: #9198a1 }} }}
</style>
<text x="8" y="22" font-weight="bold">Processor time per request, bare Pingora = 1</text>
"#
    );
    let mut add = |element: String| writeln!(svg, "{element}").expect("writing to memory cannot fail");
    for (index, (row, ratio)) in scene.rows.iter().zip(&ratios).enumerate() {
        let top = TOP + ROW * index;
        let middle = top + ROW / 2;
        let class = if row.name.starts_with("Pace") {
            "pace"
        } else {
            "bar"
        };
        let Spread { low, median, high } = *ratio;
        add(format!(
            r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#,
            NAMES - 10,
            middle + 5,
            escaped(&row.name)
        ));
        add(format!(
            r#"<rect class="{class}" x="{NAMES}" y="{}" width="{:.1}" height="{}" rx="2"/>"#,
            top + 4,
            at(median) - NAMES as f64,
            ROW - 8
        ));
        add(format!(
            r#"<line class="line" x1="{:.1}" y1="{middle}" x2="{:.1}" y2="{middle}" stroke-width="2"/>"#,
            at(low),
            at(high)
        ));
        add(format!(
            r#"<text x="{:.1}" y="{}">{median:.2}</text>"#,
            at(high.max(median)) + 8.0,
            middle + 5
        ));
    }
    add(format!(
        r#"<line class="line" x1="{0:.1}" y1="{1}" x2="{0:.1}" y2="{2}" stroke-dasharray="3 3"/>"#,
        at(1.0),
        TOP - 6,
        height - 6
    ));
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::scene;
    use super::*;

    #[test]
    fn bar_is_as_long_as_the_ratio_of_its_row() {
        let svg = svg(&scene(&[("bare", [10.0; 3]), ("double & more", [20.0; 3])]));
        let bars: Vec<&str> = svg.lines().filter(|line| line.starts_with("<rect")).collect();
        assert_eq!(bars.len(), 2, "{svg}");
        assert!(
            bars[0].contains(r#"width="200.0""#) && bars[1].contains(r#"width="400.0""#),
            "{svg}"
        );
        assert!(
            svg.contains("the double &amp; more") && svg.contains(">2.00<"),
            "{svg}"
        );
    }
}
