//! Drawings as text: the few shapes that the page needs, and axes. What is drawn is elsewhere. Everything that comes from
//! a run goes through [`escape`], since names and answers are whatever a cluster said.

/// A drawing under construction. Coordinates are in pixels from the upper left.
#[derive(Clone, Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A rectangle of a class; `title` is shown when somebody points at it.
    pub(super) fn rectangle(&mut self, area: Area, class: &str, title: &str) {
        let Area { left, top, width, height } = area;
        let (width, height) = (width.max(0.0), height.max(0.0));
        let shape =
            format!(r#"<rect x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" class="{class}""#);
        self.shape(&shape, "rect", title);
    }

    pub(super) fn circle(&mut self, x: f64, y: f64, radius: f64, class: &str, title: &str) {
        self.shape(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" class="{class}""#), "circle", title);
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let shape = format!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}""#);
        self.shape(&shape, "line", "");
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.shape(&format!(r#"<polyline points="{}" class="{class}""#, points.join(" ")), "polyline", "");
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.add(&format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#));
    }

    fn shape(&mut self, open: &str, name: &str, title: &str) {
        if title.is_empty() {
            self.add(&format!("{open}/>"));
        } else {
            self.add(&format!("{open}><title>{}</title></{name}>", escape(title)));
        }
    }

    fn add(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\n');
    }

    pub(super) fn finish(self) -> String {
        let Self { width, height, body } = self;
        format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" xmlns=\"http://www.w3.org/2000/svg\">\n{body}</svg>\n")
    }
}

/// The text as it may stand in an element or a quoted attribute. Characters that XML has no place for become `\u{fffd}`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Maps values to pixels, linearly or by their logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
    is_logarithmic: bool,
}

impl Scale {
    /// `values` that are one point are widened, so that there is always something to draw.
    pub(super) fn linear(values: (f64, f64), pixels: (f64, f64)) -> Self {
        let (low, high) = values;
        let high = if high > low { high } else { low + 1.0 };
        Self { values: (low, high), pixels, is_logarithmic: false }
    }

    /// From one power of ten to another; `values` are above 0.
    pub(super) fn logarithmic(values: (f64, f64), pixels: (f64, f64)) -> Self {
        let low = values.0.log10().floor();
        let high = values.1.log10().ceil().max(low + 1.0);
        Self { values: (10f64.powf(low), 10f64.powf(high)), pixels, is_logarithmic: true }
    }

    /// Values outside of the scale are drawn at its ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let value = value.clamp(low, high);
        let share = if self.is_logarithmic {
            (value.log10() - low.log10()) / (high.log10() - low.log10())
        } else {
            (value - low) / (high - low)
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Round values to write beside the axis, not more than a dozen.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        let mut ticks = Vec::new();
        if self.is_logarithmic {
            let mut tick = low;
            while tick <= high * 1.001 {
                ticks.push(tick);
                tick *= 10.0;
            }
            return ticks;
        }
        let rough = (high - low) / 10.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let mut number = (low / step).ceil();
        while number * step <= high + step * 1e-6 {
            ticks.push(number * step);
            number += 1.0;
        }
        ticks
    }
}

/// A number as one writes it beside an axis.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if text == "-0" { "0" } else { text };
    text.to_owned()
}

/// Both axes of a drawing, with lines at their ticks.
pub(super) fn axes(svg: &mut Svg, area: Area, across: &Scale, up: &Scale, unit: &str) {
    let (right, bottom) = (area.left + area.width, area.top + area.height);
    for tick in up.ticks() {
        let y = up.place(tick);
        svg.line((area.left, y), (right, y), "grid");
        svg.text(area.left - 5.0, y + 3.5, Anchor::End, "tick", &number(tick));
    }
    for tick in across.ticks() {
        let x = across.place(tick);
        svg.line((x, bottom), (x, bottom + 4.0), "axis");
        svg.text(x, bottom + 15.0, Anchor::Middle, "tick", &number(tick));
    }
    svg.line((area.left, bottom), (right, bottom), "axis");
    svg.text(area.left, area.top - 6.0, Anchor::Start, "caption", &format!("{unit}; seconds across"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_cluster_says_becomes_a_tag() {
        assert_eq!(escape(r#"<b a="1" c='2'>&"#), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
        assert_eq!(escape("a\u{0}b\u{1b}c\n"), "a\u{fffd}b\u{fffd}c\n");
        let mut svg = Svg::new(10.0, 10.0);
        svg.text(1.0, 2.0, Anchor::Middle, "tick", "</text><script>");
        svg.circle(1.0, 2.0, 3.0, "ok", "</title><script>");
        let drawn = svg.finish();
        assert!(!drawn.contains("<script>"), "{drawn}");
    }

    #[test]
    fn a_drawing_is_what_was_asked_for() {
        let mut svg = Svg::new(100.0, 50.0);
        svg.rectangle(Area { left: 1.0, top: 2.0, width: 3.0, height: -4.0 }, "band", "");
        svg.curve(&[(0.0, 1.0), (2.5, 3.5)], "p50");
        let expected = "<svg viewBox=\"0 0 100 50\" xmlns=\"http://www.w3.org/2000/svg\">\n\
            <rect x=\"1.0\" y=\"2.0\" width=\"3.0\" height=\"0.0\" class=\"band\"/>\n\
            <polyline points=\"0.0,1.0 2.5,3.5\" class=\"p50\"/>\n</svg>\n";
        assert_eq!(svg.finish(), expected);
    }

    #[test]
    fn scales_map_their_ends_and_keep_what_is_outside_inside() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 200.0));
        assert_eq!([linear.place(0.0), linear.place(5.0), linear.place(99.0)], [100.0, 150.0, 200.0]);
        let upward = Scale::logarithmic((0.5, 900.0), (300.0, 0.0));
        assert_eq!(upward.ticks().len(), 5, "{:?}", upward.ticks());
        assert!((upward.place(0.1) - 300.0).abs() < 1e-9 && upward.place(1000.0).abs() < 1e-9);
        assert_eq!(Scale::linear((3.0, 3.0), (0.0, 1.0)).place(3.0), 0.0, "a scale of one value");
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Scale::linear((0.0, 120.0), (0.0, 1.0)).ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);
        for high in [0.3, 1.0, 7.0, 33.0, 2_700.0] {
            let ticks = Scale::linear((0.0, high), (0.0, 1.0)).ticks().len();
            assert!((3..=12).contains(&ticks), "{high}: {ticks}");
        }
        assert_eq!([number(0.5), number(20.0), number(0.0), number(1.0 / 3.0)], ["0.5", "20", "0", "0.333"]);
    }
}
