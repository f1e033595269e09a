//! The roofline of a run: MACs per byte moved from the banks against MACs a second, below what the
//! banks and the units can give.

use super::html::{colour, escape};
use super::Report;
use std::fmt::Write;

const LEFT: f64 = 70.0;
const RIGHT: f64 = 980.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 330.0;

/// A matvec, or all of them.
struct Point {
    name: String,
    op: Option<usize>,
    /// MACs per byte.
    intensity: f64,
    /// 10^9 MACs a second.
    gmacs: f64,
}

/// Two logarithmic axes.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn x(&self, v: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (v / self.x.0).ln() / (self.x.1 / self.x.0).ln()
    }

    fn y(&self, v: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (v / self.y.0).ln() / (self.y.1 / self.y.0).ln()
    }
}

fn points(r: &Report) -> Vec<Point> {
    let ns = |cycles: u64| cycles as f64 * f64::from(r.target.tck_ps) / 1000.0;
    let (mut macs, mut bytes) = (0, 0);
    let mut all = Vec::new();
    for (op, part) in r.ops.iter().enumerate() {
        let Some(m) = part.matvec.as_ref().filter(|m| m.bytes > 0 && part.cycles > 0) else {
            continue;
        };
        (macs, bytes) = (macs + m.macs, bytes + m.bytes);
        let gmacs = m.macs as f64 / ns(part.cycles);
        let name = format!("@{} at line {}", m.weight, part.line);
        all.push(Point { name, op: Some(op), intensity: m.intensity(), gmacs });
    }
    if bytes > 0 && r.run.cycles > 0 {
        let (intensity, gmacs) = (macs as f64 / bytes as f64, macs as f64 / ns(r.run.cycles));
        all.push(Point { name: "the whole run".into(), op: None, intensity, gmacs });
    }
    all
}

/// The drawing; nothing for a run without a matvec.
pub(super) fn draw(r: &Report, out: &mut String) -> std::fmt::Result {
    let points = points(r);
    if points.is_empty() {
        return Ok(());
    }
    let banks = f64::from(r.target.banks);
    let roofs = [
        ("peak of the banks", r.target.peak_gb_s * banks),
        ("after rows", r.target.after_rows_gb_s * banks),
        ("after refresh", r.target.after_refresh_gb_s * banks),
    ];
    let mut units: Vec<f64> =
        r.ops.iter().filter_map(|o| Some(o.matvec.as_ref()?.unit_gmacs)).collect();
    units.sort_by(f64::total_cmp);
    units.dedup_by(|a, b| *a < *b * 1.001);
    let axes = axes(&points, &roofs, &units);
    writeln!(out, "<h2>Roofline</h2>")?;
    writeln!(
        out,
        "<p class=\"sub\">A point is a matvec with all that it waits for; the ring is the whole run. \
         Slanted roofs: {banks:.0} banks at their peak, after row turnaround, after refresh \
         (a matvec in whose time no refresh falls can pass the last). Level roofs: the units of a format with a beat in every clock.</p>"
    )?;
    writeln!(
        out,
        "<svg id=\"roofline\" viewBox=\"0 0 1000 372\" role=\"img\" aria-label=\"roofline of the matvecs\">"
    )?;
    grid(&axes, out)?;
    let highest = units.last().copied().unwrap_or(axes.y.1);
    for (i, (name, gb_s)) in roofs.iter().enumerate() {
        // A roof ends where the fastest unit's begins.
        let (from, to) = (axes.x.0.max(axes.y.0 / gb_s), axes.x.1.min(highest / gb_s));
        let (x1, y1, x2, y2) = (axes.x(from), axes.y(from * gb_s), axes.x(to), axes.y(to * gb_s));
        writeln!(
            out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"roof r{i}\"><title>{name}: \
             {gb_s:.1} GB/s</title></line>"
        )?;
        let y = TOP + 14.0 + 16.0 * i as f64;
        writeln!(
            out,
            "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1}\" y2=\"{2:.1}\" class=\"roof r{i}\"/><text x=\"{3}\" \
             y=\"{4:.1}\" class=\"note\">{name}, {gb_s:.1} GB/s</text>",
            LEFT + 12.0,
            LEFT + 40.0,
            y - 4.0,
            LEFT + 48.0,
            y,
        )?;
    }
    let mut labelled = f64::INFINITY;
    for gmacs in units {
        let (from, y) = (axes.x((gmacs / roofs[0].1).max(axes.x.0)), axes.y(gmacs));
        writeln!(
            out,
            "<line x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" class=\"roof unit\">\
             <title>units, {gmacs:.0} GMAC/s</title></line>",
        )?;
        // Of roofs that lie close to one another the lowest has its label.
        if labelled - y >= 14.0 {
            labelled = y;
            writeln!(
                out,
                "<text x=\"{}\" y=\"{:.1}\" class=\"note end\">units, {gmacs:.0} GMAC/s</text>",
                RIGHT - 4.0,
                y - 4.0,
            )?;
        }
    }
    for p in &points {
        let (x, y) = (axes.x(p.intensity), axes.y(p.gmacs));
        let title =
            format!("{}: {:.2} MACs a byte, {:.2} GMAC/s", escape(&p.name), p.intensity, p.gmacs);
        match p.op {
            Some(op) => writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{}\"><title>{title}</title></circle>",
                colour(op)
            )?,
            None => writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" class=\"ring\"><title>{title}</title></circle>"
            )?,
        }
    }
    labels(&axes, &points, out)?;
    writeln!(out, "</svg>")
}

/// Whole powers of ten and their halves around everything that is drawn.
fn axes(points: &[Point], roofs: &[(&str, f64)], units: &[f64]) -> Axes {
    let wide = |values: &mut dyn Iterator<Item = f64>| {
        let (mut low, mut high) = (f64::MAX, f64::MIN_POSITIVE);
        for v in values {
            (low, high) = (low.min(v), high.max(v));
        }
        (low / 2.0, high * 2.0)
    };
    let knees = units.iter().map(|u| u / roofs[2].1);
    let x = wide(&mut points.iter().map(|p| p.intensity).chain(knees));
    let y = wide(&mut points.iter().map(|p| p.gmacs).chain(units.iter().copied()));
    Axes { x, y }
}

fn grid(axes: &Axes, out: &mut String) -> std::fmt::Result {
    let powers = |(low, high): (f64, f64)| {
        let (first, last) = (low.log10().ceil() as i32, high.log10().floor() as i32);
        (first..=last).map(|p| (p, 10f64.powi(p)))
    };
    let text = |power: i32, v: f64| format!("{v:.*}", usize::try_from(-power).unwrap_or(0));
    for (power, v) in powers(axes.x) {
        let x = axes.x(v);
        writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\" class=\"grid\"/>\
             <text x=\"{x:.1}\" y=\"{}\" class=\"tick\">{}</text>",
            BOTTOM + 16.0,
            text(power, v)
        )?;
    }
    for (power, v) in powers(axes.y) {
        let y = axes.y(v);
        writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\
             <text x=\"{}\" y=\"{:.1}\" class=\"tick end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            text(power, v)
        )?;
    }
    writeln!(
        out,
        "<text x=\"{0:.0}\" y=\"{2:.0}\" class=\"tick\">MACs per byte moved from the banks</text>\
         <text x=\"16\" y=\"{1:.0}\" class=\"tick\" transform=\"rotate(-90 16 {1:.0})\">GMAC/s</text>",
        (LEFT + RIGHT) / 2.0,
        (TOP + BOTTOM) / 2.0,
        BOTTOM + 34.0,
    )
}

/// Names beside the points, of as many as can be read; the others tell it under the pointer.
fn labels(axes: &Axes, points: &[Point], out: &mut String) -> std::fmt::Result {
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for p in points.iter().rev() {
        let (x, y) = (axes.x(p.intensity), axes.y(p.gmacs));
        if taken.iter().any(|t| (t.0 - x).abs() < 150.0 && (t.1 - y).abs() < 14.0) {
            continue;
        }
        taken.push((x, y));
        let (at, class) =
            if x > RIGHT - 160.0 { (x - 12.0, "note end") } else { (x + 12.0, "note") };
        writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" class=\"{class}\">{}</text>",
            y + 4.0,
            escape(&p.name)
        )?;
    }
    Ok(())
}
