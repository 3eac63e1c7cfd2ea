//! From text to a tree of TOML values that know their places; what is not TOML is told in words people know.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::report::{Fault, Report, is_secret, quoted};

const DUPLICATE_KEY: &str = "duplicate key";

/// What the parser says, by its beginning, and what a person who writes one file a year is told instead.
const SLIPS: [(&str, &str, &str); 11] = [
    ("key with no value", "this line has no `=`", "lines are `key = value`, `[section]` or `# a comment`"),
    ("unquoted keys cannot be empty", "there is no key before the `=`", "lines are `key = value`"),
    ("unclosed table", "the section header is not closed", "it ends with `]`, a list's with `]]`"),
    ("invalid basic string", "the text is not closed", "it ends with `\"` on the same line"),
    ("invalid literal string", "the text is not closed", "it ends with `'` on the same line"),
    (
        "missing escaped value",
        "a `\\` in the text begins an escape",
        "write the text in `'` to keep it as it is",
    ),
    ("too few unicode", "a `\\` in the text begins an escape", "write the text in `'` to keep it as it is"),
    ("invalid mantissa", "this is not a number", "digits, with at most one point between them"),
    ("unexpected key or value", "something follows the value", "one `key = value` a line"),
    ("unclosed array", "the list is not closed", "it ends with `]`"),
    ("unclosed inline table", "the section in braces is not closed", "it ends with `}`"),
];

/// Reads the tree and reports every mistake of syntax.
///
/// There is no tree when a mistake may have moved keys into the wrong section: whatever else would be said about
/// it could be false.
pub(super) fn read<'i>(text: &'i str, report: &mut Report) -> Option<Spanned<DeTable<'i>>> {
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(start);
    let swallowed = swallowed_from(&errors);
    let mut trusted = true;
    for error in errors.iter().filter(|error| start(error) <= swallowed) {
        let place = place_of(error, text);
        // The parser stumbles on; a line is told wrong once.
        if report.is_broken(&(place.start..place.start)) {
            continue;
        }
        if error.message() == DUPLICATE_KEY {
            // The tree keeps the first value, which is as good as any.
            let fault = Fault::new(format!("{} is written twice", quoted(report.typed(&place))));
            report.add(&place, fault.hint("keep one of them"));
            continue;
        }
        trusted &= stays_on_its_line(&place, report);
        let (place, fault) = if start(error) == swallowed {
            (place, Fault::new("a list or a section in braces before this is not closed"))
        } else if let Some((value, fault)) = of_line(&place, report) {
            (value, fault)
        } else {
            (place, translated(error.message()))
        };
        report.add_syntax(&place, fault);
    }
    trusted.then_some(table)
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// Where the text begins that an open bracket swallowed: what the parser finds wrong in it is right.
fn swallowed_from(errors: &[Error]) -> usize {
    let is_open = |error: &Error| {
        ["unclosed array", "unclosed inline table"].iter().any(|open| error.message().starts_with(open))
    };
    let inside =
        |error: &&Error| error.message().contains("array") || error.message().contains("inline table");
    let open = errors.iter().find(|error| is_open(error)).map(start);
    let first = errors.iter().filter(inside).map(start).min();
    // Nothing is swallowed when the open bracket is the last thing in the file.
    open.zip(first).filter(|(open, first)| first < open).map_or(usize::MAX, |(_, first)| first)
}

/// Where the error is, as a place that slices the text.
fn place_of(error: &Error, text: &str) -> Range<usize> {
    let span = error.span().unwrap_or(0..0);
    let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (span.end.max(start)..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    start..end
}

/// Whether the error can only concern the value on its line.
fn stays_on_its_line(place: &Range<usize>, report: &Report) -> bool {
    let line = report.line_text(report.line_of(place)).trim_start();
    let is_key = |character: char| character.is_ascii_alphanumeric() || "_-. \t".contains(character);
    let assigns =
        line.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty() && key.chars().all(is_key));
    // Brackets and triple quotes reach over lines.
    assigns && !line.contains(['[', '{']) && !line.contains("\"\"\"") && !line.contains("'''")
}

/// The parser's words, and for the commonest slips better ones.
fn translated(message: &str) -> Fault {
    match SLIPS.iter().find(|(parser, ..)| message.starts_with(parser)) {
        Some((_, told, hint)) => Fault::new(*told).hint(*hint),
        None => Fault::new(message.replace(", expected nothing", "")),
    }
}

/// What is wrong with the unquoted value of the line, when its looks tell, and where it is.
fn of_line(place: &Range<usize>, report: &Report) -> Option<(Range<usize>, Fault)> {
    let number = report.line_of(place);
    let line = report.line_text(number);
    let (key, rest) = line.split_once('=')?;
    let rest = rest.split('#').next().unwrap_or_default();
    let value = rest.trim();
    let start = report.line_start(number) + key.len() + 1 + (rest.len() - rest.trim_start().len());
    let fault = of_value(key.trim(), value, is_secret(line))?;
    Some((start..start + value.len(), fault))
}

/// What is wrong with an unquoted value, when its looks tell.
fn of_value(key: &str, value: &str, secret: bool) -> Option<Fault> {
    if value.is_empty() && !key.is_empty() {
        return Some(Fault::new(format!("{} has no value", quoted(key))));
    }
    if key.is_empty() || value.contains(['"', '\'', '\\', '[', ']', '{', '}']) {
        return None;
    }
    if secret {
        return Some(Fault::new("text is written in quotes").hint("put `\"` before and after it"));
    }
    let only = |allowed: fn(u8) -> bool| value.bytes().all(allowed);
    let digits = only(|byte| byte.is_ascii_digit());
    if digits && value.len() == 10 {
        let fault = Fault::new("a serial number is text, not a number");
        return Some(fault.hint(format!("write it in quotes: `\"{value}\"`")));
    }
    if digits && value.starts_with('0') {
        return Some(Fault::new("a number does not begin with `0`").hint("leave the zero out"));
    }
    if only(|byte| byte.is_ascii_digit() || byte == b',') {
        let fault = Fault::new(format!("{} is not a number", quoted(value)));
        return Some(fault.hint(format!("with a point: {}", quoted(&value.replace(',', ".")))));
    }
    let fault = Fault::new("text is written in quotes");
    match value {
        "yes" | "on" | "True" | "TRUE" => Some(fault.hint("write `true` if that is meant")),
        "no" | "off" | "False" | "FALSE" => Some(fault.hint("write `false` if that is meant")),
        _ if value.contains(|character: char| character.is_alphabetic() || character == ':')
            || value.matches('.').count() > 1 =>
        {
            // Word processors turn quotes into typographic ones.
            let bare = value.trim_matches(['“', '”', '„', '‘', '’', '«', '»']);
            Some(fault.hint(format!("write {}", quoted(&format!("\"{bare}\"")))))
        }
        _ => None,
    }
}
