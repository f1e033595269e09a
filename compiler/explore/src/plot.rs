//! `plot.svg`: the points of a sweep, time against area and time against error, a colour for each
//! target.

use crate::evaluate::{Cost, Quality};
use crate::run::targets;
use crate::tables::Row;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use std::ops::Range;

/// Colours that people with any colour vision tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];
const SIZE: (u32, u32) = (1240, 620);
/// Height of the title and the legend.
const HEAD: u32 = 84;
const GRID: RGBColor = RGBColor(222, 222, 222);
const INK: RGBColor = RGBColor(40, 40, 40);

/// What an axis shows of a point.
type Measure = fn(&Cost, &Quality) -> f64;

/// An axis: its label, what it shows, its range and whether it is logarithmic.
struct Scale {
    label: &'static str,
    of: Measure,
    range: Range<f64>,
    log: bool,
}

fn time(cost: &Cost, _: &Quality) -> f64 {
    cost.microseconds
}

fn area(cost: &Cost, _: &Quality) -> f64 {
    cost.area.total as f64 / 1e6
}

fn error(_: &Cost, quality: &Quality) -> f64 {
    quality.error()
}

fn bytes(cost: &Cost, _: &Quality) -> f64 {
    cost.streamed_bytes as f64 / 1024.0
}

impl Scale {
    fn new(rows: &[Row], label: &'static str, of: Measure, log: bool) -> Scale {
        let values = rows.iter().filter_map(|r| r.fits()).map(|(c, q)| of(c, q));
        let (lo, hi) = values.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let range = match (lo <= hi, log && lo > 0.0) {
            (false, _) => 0.5..1.0,
            (true, true) => lo / 1.12..hi * 1.12,
            (true, false) => {
                let margin = if hi > lo { 0.06 * (hi - lo) } else { 0.5 * hi.abs().max(1e-3) };
                (lo - margin).max(0.0)..hi + margin
            }
        };
        let log = log && range.start > 0.0;
        Scale { label, of, range, log }
    }

    /// A value's place along the axis, 0 to 1.
    fn place(&self, v: f64) -> f64 {
        let Range { start, end } = self.range;
        match self.log {
            true => (v / start).ln() / (end / start).ln(),
            false => (v - start) / (end - start),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        let Range { start, end } = self.range;
        let steps: &[f64] = match self.log {
            // As many steps a decade as a range of few decades needs.
            true if end / start < 4.0 => {
                &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
            }
            true if end / start < 10.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
            true if end / start < 1000.0 => &[1.0, 2.0, 5.0],
            true => &[1.0],
            false => return linear_ticks(start, end),
        };
        let decades = start.log10().floor() as i32..=end.log10().ceil() as i32;
        let all = decades.flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)));
        all.filter(|t| (start..=end).contains(t)).collect()
    }
}

/// Five or so round numbers of a range.
fn linear_ticks(start: f64, end: f64) -> Vec<f64> {
    let rough = (end - start) / 5.0;
    let decade = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * decade).into_iter().find(|s| *s >= rough);
    let step = step.unwrap_or(rough);
    let first = (start / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|t| *t <= end).take(20).collect()
}

/// A number of few digits.
fn short(v: f64) -> String {
    let digits = match v.abs() {
        a if a == 0.0 || a >= 100.0 => 0,
        a => (2 - a.log10().floor() as i32).clamp(0, 6) as usize,
    };
    let text = format!("{v:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// Places from 0 to 1, whatever they stand for.
#[derive(Clone)]
struct Unit;

impl Ranged for Unit {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (value * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        vec![]
    }

    fn range(&self) -> Range<f64> {
        0.0..1.0
    }
}

fn colour(targets: &[&str], target: &str) -> RGBColor {
    let at = targets.iter().position(|t| *t == target).unwrap_or(0);
    COLOURS[at % COLOURS.len()]
}

/// The plot as SVG.
///
/// # Errors
/// Of the drawing library, in words.
pub fn svg(rows: &[Row], model: &str) -> Result<String, String> {
    let mut text = String::new();
    draw(rows, model, &mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(rows: &[Row], model: &str, text: &mut String) -> Drawn {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    let (left, right) = body.split_horizontally(SIZE.0 / 2);
    let of_errors: Vec<f64> =
        rows.iter().filter_map(|r| r.fits()).map(|(c, q)| error(c, q)).collect();
    let differ = of_errors.iter().any(|e| *e != of_errors[0]);
    let time = || Scale::new(rows, "time of a run (us, log)", time, true);
    let area = Scale::new(rows, "area of the whole design (million gates, log)", area, true);
    // Unchanged weights have an error of 0, which no logarithmic axis shows.
    let other = match differ {
        true if of_errors.iter().all(|e| *e > 0.0) => {
            Scale::new(rows, "error (relative, squared, log)", error, true)
        }
        true => Scale::new(rows, "error (relative, squared)", error, false),
        false => Scale::new(rows, "bytes read in a run (KiB, log)", bytes, true),
    };
    title(&head, rows, model)?;
    panel(&left, rows, &time(), &area)?;
    panel(&right, rows, &time(), &other)?;
    root.present()?;
    Ok(())
}

/// The title, and what colours and marks mean.
fn title(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    rows: &[Row],
    model: &str,
) -> Drawn {
    let fit = rows.iter().filter(|r| r.fits().is_some()).count();
    let front = rows.iter().filter(|r| r.pareto).count();
    let line = format!(
        "{model}: {} points, {fit} fit, {front} on the Pareto front of time, area, bytes and error",
        rows.len()
    );
    let style = |size: i32| ("sans-serif", size).into_font().color(&INK);
    area.draw(&Text::new(line, (24, 16), style(20)))?;
    let names = targets(rows);
    let mut x = 32;
    let y = 60;
    let mut entry = |label: &str, mark: &dyn Fn(i32) -> Drawn| -> Drawn {
        mark(x)?;
        area.draw(&Text::new(label.to_string(), (x + 14, y - 8), style(15)))?;
        // About the width of the text: no font is measured.
        x += 44 + 7 * label.chars().count() as i32;
        Ok(())
    };
    for name in &names {
        let colour = colour(&names, name);
        entry(name, &|x| Ok(area.draw(&Circle::new((x, y), 5, colour.filled()))?))?;
    }
    entry("on the front", &|x| {
        area.draw(&Circle::new((x, y), 5, INK.mix(0.35).filled()))?;
        Ok(area.draw(&Circle::new((x, y), 6, INK.stroke_width(2)))?)
    })?;
    entry("dominated", &|x| Ok(area.draw(&Circle::new((x, y), 4, INK.mix(0.25).filled()))?))?;
    entry("best of both axes", &|x| {
        let line = vec![(x - 10, y), (x + 8, y)];
        Ok(area.draw(&PathElement::new(line, INK.stroke_width(2)))?)
    })
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    rows: &[Row],
    x: &Scale,
    y: &Scale,
) -> Drawn {
    let (width, height) = area.dim_in_pixel();
    let (left, bottom, margin) = (84, 64, 20);
    let mut chart = ChartBuilder::on(area)
        .margin_left(left)
        .margin_bottom(bottom)
        .margin_right(margin)
        .margin_top(6)
        .build_cartesian_2d(Unit, Unit)?;
    let place = |x0: f64, y0: f64| (x.place(x0), y.place(y0));
    let style = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let (w, h) = (width as i32 - (left + margin), height as i32 - (bottom + 6));
    let pixel = |p: (f64, f64)| {
        (left + (p.0 * f64::from(w)) as i32, 6 + ((1.0 - p.1) * f64::from(h)) as i32)
    };
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    for t in x.ticks() {
        let at = x.place(t);
        chart.draw_series([PathElement::new(vec![(at, 0.0), (at, 1.0)], GRID)])?;
        let (px, py) = pixel((at, 0.0));
        let style = style(14).pos(Pos::new(HPos::Center, VPos::Top));
        area.draw(&Text::new(short(t), (px, py + 8), style))?;
    }
    for t in y.ticks() {
        let at = y.place(t);
        chart.draw_series([PathElement::new(vec![(0.0, at), (1.0, at)], GRID)])?;
        let (px, py) = pixel((0.0, at));
        let style = style(14).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(short(t), (px - 8, py), style))?;
    }
    let frame = vec![(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)];
    chart.draw_series([PathElement::new(frame, INK)])?;
    let (px, py) = pixel((0.5, 0.0));
    let centred = Pos::new(HPos::Center, VPos::Top);
    area.draw(&Text::new(x.label, (px, py + 34), style(16).pos(centred)))?;
    let turned = ("sans-serif", 16).into_font().transform(FontTransform::Rotate270).color(&INK);
    let (_, middle) = pixel((0.0, 0.5));
    area.draw(&Text::new(y.label, (14, middle), turned.pos(centred)))?;

    let names = targets(rows);
    let points = |front: bool| {
        rows.iter().filter(move |r| r.pareto == front).filter_map(|r| Some((r, r.fits()?)))
    };
    let at =
        |(cost, quality): (&Cost, &Quality)| place((x.of)(cost, quality), (y.of)(cost, quality));
    chart.draw_series(
        points(false)
            .map(|(r, p)| Circle::new(at(p), 4, colour(&names, &r.target).mix(0.25).filled())),
    )?;
    let line: Vec<_> = stairs(rows, x.of, y.of).into_iter().map(|(x, y)| place(x, y)).collect();
    chart.draw_series([PathElement::new(line, INK.stroke_width(2))])?;
    for (row, point) in points(true) {
        let colour = colour(&names, &row.target);
        chart.draw_series([Circle::new(at(point), 5, colour.filled())])?;
        chart.draw_series([Circle::new(at(point), 6, INK.stroke_width(1))])?;
    }
    Ok(())
}

/// The steps below and left of which no point lies.
fn stairs(rows: &[Row], x: Measure, y: Measure) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> =
        rows.iter().filter_map(|r| r.fits()).map(|(c, q)| (x(c, q), y(c, q))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut steps: Vec<(f64, f64)> = vec![];
    for (x, y) in all {
        match steps.last() {
            Some(&(_, lowest)) if y >= lowest => {}
            Some(&(_, lowest)) => steps.extend([(x, lowest), (x, y)]),
            None => steps.push((x, y)),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(linear_ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        let scale =
            |start: f64, end: f64, log| Scale { label: "", of: time, range: start..end, log };
        assert_eq!(scale(0.9, 30.0, true).ticks(), [1.0, 2.0, 5.0, 10.0, 20.0]);
        for (start, end) in [(1.2, 1.9), (0.001, 3000.0), (7.0, 8.5), (0.2, 0.9)] {
            let ticks = scale(start, end, true).ticks();
            assert!(ticks.iter().all(|t| (start..=end).contains(t)), "{ticks:?}");
        }
        assert_eq!(scale(1.0, 100.0, true).place(10.0), 0.5);
    }

    #[test]
    fn numbers_are_short() {
        for (v, text) in [(0.0, "0"), (1.5, "1.5"), (0.05, "0.05"), (1200.0, "1200"), (10.0, "10")]
        {
            assert_eq!(short(v), text);
        }
    }

    #[test]
    fn a_sweep_of_which_nothing_fits_is_drawn_too() {
        let text = svg(&[], "m.ir").unwrap();
        assert!(text.starts_with("<svg") && text.contains("0 points"), "{text}");
    }
}
