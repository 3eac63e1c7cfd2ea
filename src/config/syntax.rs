//! From text to a tree of TOML values that know their places; what is not TOML is told in words people know.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::report::{Fault, Report};

/// Reads the tree and reports every mistake of syntax.
///
/// There is no tree when a mistake may have moved keys into the wrong section: whatever else would be said about
/// it could be false.
pub(super) fn read<'i>(text: &'i str, report: &mut Report) -> Option<Spanned<DeTable<'i>>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut trusted = true;
    for error in &errors {
        let place = place_of(error, text);
        trusted &= stays_on_its_line(error, &place, report);
        let fault = translated(error, &place, report);
        report.add_syntax(&place, fault);
    }
    trusted.then_some(table)
}

/// Where the error is, as a place that slices the text.
fn place_of(error: &Error, text: &str) -> Range<usize> {
    let span = error.span().unwrap_or(0..0);
    let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (span.end.min(text.len()).max(start)..=text.len()).find(|at| text.is_char_boundary(*at));
    start..end.unwrap_or(start)
}

/// Whether the error can only concern the value on its line.
fn stays_on_its_line(error: &Error, place: &Range<usize>, report: &Report) -> bool {
    if error.message() == DUPLICATE_KEY {
        return true;
    }
    let line = report.line_text(report.line_of(place)).trim_start();
    let is_key = |character: char| character.is_ascii_alphanumeric() || "_-. \t".contains(character);
    let assigns =
        line.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty() && key.chars().all(is_key));
    // Brackets and triple quotes reach over lines.
    assigns && !line.contains(['[', '{']) && !line.contains("\"\"\"") && !line.contains("'''")
}

const DUPLICATE_KEY: &str = "duplicate key";

/// The parser's words, and for the commonest slips better ones.
fn translated(error: &Error, place: &Range<usize>, report: &Report) -> Fault {
    let line = report.line_text(report.line_of(place));
    let value = line.split_once('=').map(|(_, value)| value.split('#').next().unwrap_or_default().trim());
    let value = value.filter(|value| !value.is_empty() && !value.contains(['"', '\'', '\\']));
    let message = error.message();
    if message == DUPLICATE_KEY {
        let fault = Fault::new(format!("`{}` is written twice", report.typed(place)));
        return fault.hint("keep one of them");
    }
    let Some(value) = value else {
        return Fault::new(message.replace(", expected nothing", ""));
    };
    if value.len() == 10 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Fault::new("a serial number is text, not a number")
            .hint(format!("write it in quotes: `\"{value}\"`"));
    }
    if message.contains("leading zero") {
        return Fault::new("a number does not begin with `0`")
            .hint("write text in quotes, numbers without the zero");
    }
    if value.bytes().any(|byte| byte.is_ascii_alphabetic()) && !matches!(value, "true" | "false") {
        return Fault::new("text is written in quotes").hint(format!("write `\"{value}\"`"));
    }
    Fault::new(message.replace(", expected nothing", ""))
}
