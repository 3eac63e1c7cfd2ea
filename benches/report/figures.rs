//! Figures: what was measured, beside what it is held against, and how it is written down.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

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

/// Both as they were measured by turns.
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

/// A figure with a bar.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) verdict: String,
    pub(crate) holds: bool,
}

/// A part of the report.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) text: String,
    /// Pictures: the names of their files, and what is in them.
    pub(crate) plots: Vec<(String, String)>,
    pub(crate) judged: Vec<Judged>,
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

    /// The last word of a row that has a bar; all of them are told again at the head of the report.
    pub(crate) fn judge(&mut self, what: &str, bar: Bar, value: f64) -> String {
        let verdict = bar.verdict(value);
        self.judged.push(Judged {
            what: what.to_owned(),
            measured: number(value),
            verdict: verdict.clone(),
            holds: bar.holds(value),
        });
        verdict
    }

    /// A row of three: what, how much, and the verdict.
    pub(crate) fn judged_row(&mut self, what: &str, bar: Bar, value: f64) -> Vec<String> {
        let verdict = self.judge(what, bar, value);
        vec![what.to_owned(), number(value), verdict]
    }

    /// A part that could not be measured counts as a missed bar.
    pub(crate) fn failed(name: &str, why: &str) -> Self {
        let mut section = Self::new(&format!("Not measured: {name}"));
        section.say(why);
        section.not_measured(&format!("the part `{name}`"), why);
        section
    }

    fn not_measured(&mut self, what: &str, why: &str) {
        self.judged.push(Judged {
            what: what.to_owned(),
            // A row is one line.
            measured: why.lines().next().unwrap_or_default().replace('|', "/"),
            verdict: "**failed**".into(),
            holds: false,
        });
    }

    /// Measures something that may fail; a failure counts as a missed bar and costs nothing else.
    pub(crate) fn attempt<T>(&mut self, what: &str, measure: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| measure(self))) {
            Ok(measured) => Some(measured),
            Err(panic) => {
                let why = panic.downcast_ref::<String>().cloned();
                let why = why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
                self.not_measured(what, &why.unwrap_or_default());
                None
            }
        }
    }

    /// A picture, by the name of its file.
    pub(crate) fn plot(&mut self, name: &str, about: &str, svg: String) {
        let _ = writeln!(self.text, "![{about}](plots/{name}.svg)\n");
        self.plots.push((name.to_owned(), svg));
    }

    /// How many bars were missed.
    pub(crate) fn missed(&self) -> usize {
        self.judged.iter().filter(|one| !one.holds).count()
    }
}
