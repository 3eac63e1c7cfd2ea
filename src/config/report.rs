//! Every mistake of a config file, with its place: what a person reads when the daemon does not start.
//!
//! It knows text and places in it; which mistakes there are is decided elsewhere.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// A word longer than this is not compared with others: nobody meant a key by it.
const COMPARED_CHARS_MAX: usize = 64;
/// So much of a value is repeated in a message.
const QUOTED_CHARS_MAX: usize = 60;
/// So much of a source line is shown; of a longer one, the part around the mistake.
const SHOWN_CHARS_MAX: usize = 120;
/// Keys whose value is nobody's business: a report ends up in logs and in messages to friends.
const SECRET_KEYS: [&str; 4] = ["pin", "url", "password", "token"];

/// What is wrong with a value, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault told in lower case without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the word that was probably meant, when there is one.
    #[must_use]
    pub fn meant<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, candidates) {
            Some(candidate) => self.hint(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }

    /// Whether it says what would be right.
    pub(super) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for Fault {}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    place: Range<usize>,
    fault: Fault,
    line: usize,
    column: usize,
}

impl Mistake {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// What would be right.
    pub fn hint(&self) -> Option<&str> {
        self.fault.hint.as_deref()
    }
}

/// All mistakes of one file, in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    text: String,
    line_starts: Vec<usize>,
    mistakes: Vec<Mistake>,
    /// Lines that are not TOML: what was recovered from them means nothing.
    broken_lines: BTreeSet<usize>,
}

impl Report {
    /// An empty report about this text, which the messages call `file`.
    pub(super) fn new(file: &str, text: &str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self {
            file: file.into(),
            text: text.into(),
            line_starts,
            mistakes: Vec::new(),
            broken_lines: BTreeSet::new(),
        }
    }

    /// Notes a mistake of syntax; values on its line are not looked at any more.
    pub(super) fn add_syntax(&mut self, place: &Range<usize>, fault: Fault) {
        self.broken_lines.insert(self.line_of(place));
        self.add(place, fault);
    }

    /// Whether the file is not TOML, so that what seems to be missing may only not have been understood.
    pub(super) fn has_syntax_faults(&self) -> bool {
        !self.broken_lines.is_empty()
    }

    /// Whether a value was recovered from a line that is not TOML.
    pub(super) fn is_broken(&self, place: &Range<usize>) -> bool {
        let (first, last) = (self.line_of(place), self.line_at(place.end).0);
        self.broken_lines.range(first..=last).next().is_some()
    }

    /// Notes a mistake.
    pub(super) fn add(&mut self, place: &Range<usize>, fault: Fault) {
        let (line, start) = self.line_at(place.start);
        let before = self.text.get(start..place.start).unwrap_or_default();
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        self.mistakes.push(Mistake { place: place.clone(), fault, line, column });
    }

    /// The value that was read, or every mistake in the order of the places.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Self> {
        // Stable: of two mistakes in one place the one found first comes first.
        self.mistakes.sort_by_key(|mistake| mistake.place.start);
        value.filter(|_| self.mistakes.is_empty()).ok_or(self)
    }

    /// The mistakes, in the order of their places.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The mistakes as one line each, `file:line:column: what (what would be right)`, so many at most.
    pub fn told(&self, most: usize) -> Vec<String> {
        let line = |mistake: &Mistake| {
            let Mistake { line, column, fault, .. } = mistake;
            format!("{}:{line}:{column}: {fault}", self.file)
        };
        let mut lines: Vec<String> = self.mistakes.iter().take(most).map(line).collect();
        if let more @ 1.. = self.mistakes.len().saturating_sub(most) {
            lines.push(format!("{more} more in {}", self.file));
        }
        lines
    }

    /// The number of the line this place is on, for messages that name a second place.
    pub(super) fn line_of(&self, place: &Range<usize>) -> usize {
        self.line_at(place.start).0
    }

    /// What was typed there.
    pub(super) fn typed(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// Where the line with this number starts.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.line_starts[line - 1]
    }

    /// The whole line with this number.
    pub(super) fn line_text(&self, line: usize) -> &str {
        let start = self.line_start(line);
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The number of the line that holds this offset, and where the line starts.
    fn line_at(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        (line, self.line_start(line))
    }

    fn fmt_mistake(&self, f: &mut fmt::Formatter<'_>, mistake: &Mistake) -> fmt::Result {
        let Mistake { line, column, fault, .. } = mistake;
        writeln!(f, "{}:{line}:{column}: {}", self.file, fault.message)?;
        let gutter = line.to_string().len();
        let shown = ShownLine::of(self.line_text(*line), mistake, self.typed(&mistake.place));
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {}", shown.text)?;
        write!(f, "{:gutter$} | {}{}", "", shown.indent, "^".repeat(shown.carets))?;
        match &fault.hint {
            Some(hint) => writeln!(f, " {hint}"),
            None => writeln!(f),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            self.fmt_mistake(f, mistake)?;
            writeln!(f)?;
        }
        let plural = if self.mistakes.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {plural} in {}", self.mistakes.len(), self.file)
    }
}

impl std::error::Error for Report {}

/// A source line as it is printed, with the place under which the carets stand.
struct ShownLine {
    text: String,
    indent: String,
    carets: usize,
}

impl ShownLine {
    fn of(line: &str, mistake: &Mistake, typed: &str) -> Self {
        let line = line.trim_start_matches('\u{feff}');
        let at = mistake.column - 1;
        // A place that spans lines is pointed at where it begins.
        let marked = typed.lines().next().unwrap_or_default().chars().count();
        let count = line.chars().count();
        let first = if count > SHOWN_CHARS_MAX { at.saturating_sub(SHOWN_CHARS_MAX / 2) } else { 0 };
        let last = count.min(first + SHOWN_CHARS_MAX);
        let secret = secret_from(line).unwrap_or(count);
        let printed = |(index, character): (usize, char)| match character {
            '\t' => '\t',
            _ if index >= secret && !character.is_whitespace() => '*',
            _ => printable(character),
        };
        let mut text: String = line.chars().enumerate().take(last).skip(first).map(printed).collect();
        let mut indent: String = line.chars().take(at).skip(first).map(blank).collect();
        if first > 0 {
            text.insert(0, '…');
            indent.insert(0, ' ');
        }
        if last < count {
            text.push('…');
        }
        Self { text, indent, carets: marked.min(last.saturating_sub(at)).max(1) }
    }
}

/// From which character on a line is not shown: behind the `=` of a secret key, also of a misspelled one.
fn secret_from(line: &str) -> Option<usize> {
    let mut chars = 0;
    for part in line.split_inclusive('=') {
        chars += part.chars().count();
        let named = part.strip_suffix('=').unwrap_or_default().trim_end_matches(['\'', '"', ' ', '\t']);
        let key = named.rsplit(['\'', '"', ' ', '\t', '.', ',', '{']).next().unwrap_or_default();
        let holds_secret = match closest(key, SECRET_KEYS) {
            // Only an url with a name or password in it.
            Some("url") => line.contains('@'),
            meant => meant.is_some(),
        };
        if holds_secret {
            return Some(chars);
        }
    }
    None
}

/// Whether a line must not be repeated in a message.
pub(super) fn is_secret(line: &str) -> bool {
    secret_from(line).is_some()
}

/// The blank of the same width: tabs stay tabs, so that the carets stay in line.
fn blank(character: char) -> char {
    if character == '\t' { '\t' } else { ' ' }
}

/// The character, or a stand-in for one that would move the cursor of a terminal.
fn printable(character: char) -> char {
    let turns_direction =
        matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || turns_direction { '\u{fffd}' } else { character }
}

/// The value in backticks, cut when it is long.
pub(super) fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(QUOTED_CHARS_MAX).map(printable).collect();
    if value.chars().nth(QUOTED_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The candidate that differs from the word by few keystrokes; upper and lower case are the same.
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.chars().nth(COMPARED_CHARS_MAX).is_some() {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    let mut best: Option<(usize, f64, &str)> = None;
    for candidate in candidates.into_iter().filter(|candidate| candidate.len() <= COMPARED_CHARS_MAX) {
        let lower = candidate.to_lowercase();
        let distance = strsim::damerau_levenshtein(&word, &lower);
        let alike = strsim::jaro_winkler(&word, &lower);
        let better =
            best.is_none_or(|(least, most, _)| distance < least || distance == least && alike > most);
        if distance <= allowed && better {
            best = Some((distance, alike, candidate));
        }
    }
    best.map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, place: Range<usize>, fault: Fault) -> String {
        let mut report = Report::new("config.toml", text);
        report.add(&place, fault);
        report.to_string()
    }

    #[test]
    fn a_mistake_shows_its_line_and_a_caret() {
        let shown = one(
            "[cache]\nttl = \"30\"\n",
            14..18,
            Fault::new("`30` is not a duration").hint("such as `30s`"),
        );
        let expected = "config.toml:2:7: `30` is not a duration\n  |\n2 | ttl = \"30\"\n  |       ^^^^ such as `30s`\n\n\
                        1 mistake in config.toml";
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_count_characters_and_tabs_keep_the_caret_in_line() {
        let shown = one("\tnäme = 1", 9..10, Fault::new("wrong"));
        assert!(shown.contains(":1:9: wrong\n"), "{shown}");
        assert!(shown.contains("| \tnäme = 1\n  | \t       ^\n"), "{shown}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        for line in
            ["pin = \"111-11-111\"", "homekit = { listen = 1, pin = \"111-11-111\"", "piin=111-11-111"]
        {
            let shown = one(line, 0..2, Fault::new("wrong"));
            assert!(shown.contains("****") && !shown.contains("111"), "{shown}");
        }
        assert!(one("token_file = \"a\"", 0..2, Fault::new("wrong")).contains("\"a\""));
    }

    #[test]
    fn a_long_line_is_shown_around_the_mistake() {
        let text = format!("a = \"{}\" # b", "x".repeat(1000));
        let shown = one(&text, 500..501, Fault::new("wrong"));
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        let (line, carets) = (shown.lines().nth(2).unwrap(), shown.lines().nth(3).unwrap());
        assert_eq!(line.chars().nth(carets.chars().count() - 1), Some('x'));
    }

    #[test]
    fn a_place_at_the_end_of_the_text_is_shown() {
        assert!(one("a = ", 4..4, Fault::new("no value")).contains(":1:5: no value"));
        assert!(one("", 0..0, Fault::new("empty")).contains(":1:1: empty"));
        assert!(one("a\r\n", 3..3, Fault::new("end")).contains(":2:1: end"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!one("a = \u{1b}[2J", 4..5, Fault::new(quoted("\u{1b}[2J"))).contains('\u{1b}'));
    }

    #[test]
    fn the_nearest_word_is_meant() {
        let types = ["XP33LR", "XP33LED", "XP24"];
        assert_eq!(closest("XP33LD", types), Some("XP33LED"));
        assert_eq!(closest("xp24", types), Some("XP24"));
        assert_eq!(closest("panel", types), None);
        assert_eq!(closest("", types), None);
        assert_eq!(closest("lnik", ["link"]), Some("link"));
    }
}
