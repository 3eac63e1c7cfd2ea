//! Figures: what was measured, beside what it is held against, and how it is written down.

use std::fmt::Write as _;

/// The middle of some values; of an even number the upper one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of the values lies.
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * part) as usize).min(values.len() - 1)]
}

/// The median of two series and of their ratios, round by round.
pub(crate) struct Paired {
    /// The median of ours.
    pub(crate) ours: f64,
    /// The median of the control.
    pub(crate) control: f64,
    /// The median of ours to the control in the same round.
    pub(crate) ratio: f64,
}

/// Measures both in each round, by turns first.
pub(crate) fn paired(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut control: impl FnMut() -> f64,
) -> Paired {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let pair = if round % 2 == 0 {
            let one = ours();
            (one, control())
        } else {
            let other = control();
            (ours(), other)
        };
        // The first round warms up.
        if round > 0 {
            first.push(pair.0);
            second.push(pair.1);
        }
    }
    pair(&first, &second)
}

/// The same of values that were measured already.
pub(crate) fn pair(ours: &[f64], control: &[f64]) -> Paired {
    Paired {
        ours: median(ours.iter().copied()),
        control: median(control.iter().copied()),
        ratio: median(ours.iter().zip(control).map(|(ours, control)| ours / control)),
    }
}

/// A limit on a figure.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bar {
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
        }
    }

    pub(crate) fn verdict(self, value: f64) -> String {
        let (sign, bar) = match self {
            Self::AtMost(bar) => ("≤", bar),
            Self::AtLeast(bar) => ("≥", bar),
        };
        let word = if self.holds(value) { "holds" } else { "**missed**" };
        format!("{sign} {}: {word}", number(bar))
    }
}

/// Three digits that count, without an exponent.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".into()
    } else if size >= 100.0 {
        grouped(value)
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &digits[..]), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of the report.
#[derive(Default)]
pub(crate) struct Section {
    text: String,
    plots: Vec<(String, String)>,
    missed: Vec<String>,
}

impl Section {
    pub(crate) fn new(title: &str) -> Self {
        let mut section = Self::default();
        let _ = writeln!(section.text, "## {title}\n");
        section
    }

    pub(crate) fn say(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.text, "{}\n", text.as_ref());
    }

    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.text, "| {} |", head.join(" | "));
        let _ = writeln!(self.text, "|{}", "---|".repeat(head.len()));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
        self.text.push('\n');
    }

    /// The last word of a row that has a bar; one that is missed is told again at the end of the report.
    pub(crate) fn judge(&mut self, what: &str, bar: Bar, value: f64) -> String {
        if !bar.holds(value) {
            self.missed.push(format!("{what}: {} ({})", number(value), bar.verdict(value)));
        }
        bar.verdict(value)
    }

    /// A picture, by the name of its file.
    pub(crate) fn plot(&mut self, name: &str, about: &str, svg: String) {
        let _ = writeln!(self.text, "![{about}](plots/{name}.svg)\n");
        self.plots.push((name.to_owned(), svg));
    }

    pub(crate) fn into_parts(self) -> (String, Vec<(String, String)>, Vec<String>) {
        (self.text, self.plots, self.missed)
    }
}
