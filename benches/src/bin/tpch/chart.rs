//! The ratios as a picture: a bar per query and engine, the same text as SVG everywhere.

use std::fmt::Write;

use quarry_benches::table::number;

use crate::report::{Line, Pick, Report};

/// Sizes in the picture's units.
const BAR: f64 = 9.0;
const LEFT: f64 = 48.0;
const LEGEND: f64 = 180.0;
const TOP: f64 = 56.0;
const HEIGHT: f64 = 260.0;
/// Between the bars of two queries.
const GAP: f64 = 14.0;
/// Bars above this are cut, with their ratio over them: one outlier shall not flatten all others.
const HIGHEST: f64 = 3.0;

const QUARRY: &str = "#1f6f8b";
/// Colours of engines by others, in their order.
const OTHERS: [&str; 4] = ["#e0a030", "#b5483a", "#6a8f3c", "#7a5aa0"];

/// The picture of a report: times relative to plain DataFusion's, which is the line at 1.
pub(crate) fn svg(report: &Report) -> String {
    let group_width = GAP + (BAR + 1.0) * (report.foreign.len() + 1) as f64;
    let width = LEFT + group_width * report.queries.len() as f64 + 24.0;
    let width = width.max(LEFT + LEGEND * (report.foreign.len() + 1) as f64);
    let height = TOP + HEIGHT + 40.0;
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">"#
    );
    let _ = writeln!(svg, r#"<rect width="{width}" height="{height}" fill="white"/>"#);
    let _ = writeln!(
        svg,
        r#"<text x="{LEFT}" y="20" font-size="14">TPC-H SF{}: time relative to plain DataFusion (fastest runs)</text>"#,
        report.data.scale
    );
    legend(&mut svg, report);
    for step in 0..=(HIGHEST * 2.0) as u32 {
        let ratio = f64::from(step) / 2.0;
        let (y, weight) = (at(ratio), if step == 2 { 1.5 } else { 0.3 });
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" x2="{}" y1="{y}" y2="{y}" stroke="#333" stroke-width="{weight}"/><text x="{}" y="{}" text-anchor="end">{ratio}</text>"##,
            width - 12.0,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (index, line) in report.queries.iter().enumerate() {
        group(&mut svg, LEFT + group_width * index as f64 + 6.0, line);
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, report: &Report) {
    let mut entries = vec![(QUARRY, format!("Quarry, total {}", number(report.totals.min.ratio, 2)))];
    for (color, version) in OTHERS.into_iter().zip(&report.foreign) {
        entries.push((color, version.engine.to_owned()));
    }
    for (index, (color, text)) in entries.into_iter().enumerate() {
        let x = LEFT + LEGEND * index as f64;
        let _ = writeln!(
            svg,
            r#"<rect x="{x}" y="30" width="10" height="10" fill="{color}"/><text x="{}" y="39">{text}</text>"#,
            x + 15.0
        );
    }
}

fn group(svg: &mut String, x: f64, line: &Line) {
    let plain = line.best_plain(Pick::Min).map(|(_, ms)| ms);
    let others = line.foreign.iter().map(|runs| Some(runs.min()? / plain?));
    let bars = std::iter::once((QUARRY, line.ratio(Pick::Min))).chain(OTHERS.into_iter().zip(others));
    for (index, (color, ratio)) in bars.enumerate() {
        let Some(ratio) = ratio else { continue };
        let (top, left) = (at(ratio.min(HIGHEST)), x + (BAR + 1.0) * index as f64);
        let _ = writeln!(
            svg,
            r#"<rect x="{left}" y="{top}" width="{BAR}" height="{}" fill="{color}"><title>Q{}: {ratio:.2}</title></rect>"#,
            at(0.0) - top,
            line.id
        );
        if ratio > HIGHEST {
            let (x, y) = (left + BAR / 2.0, top - 3.0);
            let _ = writeln!(
                svg,
                r#"<text x="{x}" y="{y}" font-size="7" text-anchor="middle">{ratio:.0}</text>"#
            );
        }
    }
    let _ = writeln!(
        svg,
        r#"<text x="{}" y="{}" text-anchor="middle">Q{}</text>"#,
        x + (BAR + 1.0) * (line.foreign.len() + 1) as f64 / 2.0,
        TOP + HEIGHT + 18.0,
        line.id
    );
}

/// Height of a ratio in the picture.
fn at(ratio: f64) -> f64 {
    TOP + HEIGHT * (1.0 - ratio / HIGHEST)
}
