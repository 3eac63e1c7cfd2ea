//! Files of the tree, and their code without comments, strings and characters.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Something that breaks a rule: where, and what to do instead.
#[derive(Debug)]
pub(crate) struct Finding {
    place: String,
    what: String,
}

impl Finding {
    /// A finding in a whole file.
    pub(crate) fn file(path: &str, what: impl Into<String>) -> Self {
        Self { place: path.to_owned(), what: what.into() }
    }

    /// A finding at a line, counted from 1.
    pub(crate) fn line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{path}:{line}"), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A Rust file.
pub(crate) struct Source {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    /// As written.
    pub(crate) text: String,
    /// As long as `text`, byte for byte, with comments and the insides of strings and characters blank.
    pub(crate) code: String,
    /// The bytes of `code` that are compiled for tests only.
    tests: Vec<Range<usize>>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let tests = test_items(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, tests }
    }

    /// The line of a byte, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Whether this byte is compiled for tests only.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// The modules this file declares for tests only and keeps in files of their own, as paths without `.rs`.
    fn test_modules(&self) -> Vec<String> {
        let folder = ["/mod.rs", "/lib.rs", "/main.rs", ".rs"]
            .iter()
            .find_map(|end| self.path.strip_suffix(end))
            .expect("the tree has Rust files only");
        self.tests
            .iter()
            .filter_map(|range| self.code[range.clone()].strip_suffix(';'))
            .filter_map(|item| item.rsplit_once("mod "))
            .map(|(_, name)| format!("{folder}/{}", name.trim()))
            .collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the package.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("`{path}` cannot be read: {error}"))
}

/// Every Rust file under these folders; a folder that is not there has none.
pub(crate) fn tree(folders: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut files);
    }
    files.sort();
    let mut sources: Vec<Source> = files
        .iter()
        .map(|file| file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"))
        .map(|path| Source::new(&path, &text(&path)))
        .collect();
    mark_test_files(&mut sources);
    sources
}

/// A file whose module is declared under `#[cfg(test)]` is for tests as a whole.
fn mark_test_files(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if modules.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/"))) {
            source.tests.push(0..source.code.len());
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Blanks comments and the insides of literals; line breaks stay, and so does the length in bytes.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (inside, next) = literal_or_comment(bytes, at);
        for byte in &mut code[inside] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = next;
    }
    String::from_utf8(code).expect("whole literals and comments are blanked, never a part of a character")
}

/// What to blank at this place (nothing, mostly) and where to go on.
fn literal_or_comment(bytes: &[u8], at: usize) -> (Range<usize>, usize) {
    let rest = &bytes[at..];
    let in_word = at > 0 && is_word(bytes[at - 1]);
    if rest.starts_with(b"//") {
        let end = at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        (at..end, end)
    } else if rest.starts_with(b"/*") {
        let end = at + comment_length(rest);
        (at..end, end)
    } else if rest[0] == b'"' {
        let end = at + quoted_length(rest, b'"');
        (at + 1..end - 1, end)
    } else if let Some(hashes) = raw_string(rest).filter(|_| !in_word) {
        let end = at + raw_length(rest, hashes);
        (at..end, end)
    } else if rest[0] == b'\'' && is_character(rest) {
        let end = at + quoted_length(rest, b'\'');
        (at + 1..end - 1, end)
    } else {
        (at..at, at + 1)
    }
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The length of a block comment; they nest.
fn comment_length(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a literal with both quotes.
fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The number of hashes when a raw string begins here: `r"`, `br#"`, `cr"`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let rest =
        rest.strip_prefix(b"b").or_else(|| rest.strip_prefix(b"c")).unwrap_or(rest).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn raw_length(rest: &[u8], hashes: usize) -> usize {
    let open = rest.iter().position(|&byte| byte == b'"').unwrap() + 1;
    let close: Vec<u8> = [vec![b'"'], vec![b'#'; hashes]].concat();
    let inside = rest[open..].windows(close.len()).position(|window| window == close);
    inside.map_or(rest.len(), |length| open + length + close.len())
}

/// Tells `'x'` and `'\\n'` from the lifetime `'x`.
fn is_character(rest: &[u8]) -> bool {
    let width = match rest.get(1) {
        Some(b'\\') => return true,
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        Some(0xC0..) => 2,
        _ => 1,
    };
    rest.get(1 + width) == Some(&b'\'')
}

/// The items marked `#[cfg(test)]`, and everything in a file marked `#![cfg(test)]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<_> =
        code.match_indices("#[cfg(test)]").map(|(at, mark)| at..item_end(code, at + mark.len())).collect();
    if code.contains("#![cfg(test)]") {
        items.push(0..code.len());
    }
    items
}

/// Where the item that begins here ends: after its `;`, or after its block.
fn item_end(code: &str, from: usize) -> usize {
    match code[from..].find(['{', ';']) {
        Some(offset) if code.as_bytes()[from + offset] == b'{' => block_end(code, from + offset),
        Some(offset) => from + offset + 1,
        None => code.len(),
    }
}

/// The byte after the `}` that closes the `{` at `open`.
pub(crate) fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_blank() {
    let sample = "let a = \"fn {\"; // fn\n/* a /* b */ } */ let b = r#\"}\"#; let c = '{'; let d: &'a str = b\"\\\"{\"; '\u{e9}'";
    let code = blank(sample);
    assert_eq!(code.len(), sample.len());
    assert_eq!(code.matches(['{', '}']).count(), 0, "{code}");
    assert!(!code.contains("fn"), "{code}");
    assert!(code.contains("let d: &'a str"), "{code}");
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn items_for_tests_are_known() {
    let source = Source::new(
        "src/x.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { c(); } }\nfn d() {}\n#[cfg(test)]\nuse e;\nuse f;",
    );
    let is_test = |word: &str| source.is_test(source.code.find(word).unwrap());
    assert!(is_test("c();") && is_test("use e;"));
    assert!(!is_test("fn a") && !is_test("fn d") && !is_test("use f;"));
    let file = |path: &str, text: &str| Source::new(path, text);
    let declares = "#[cfg(test)]\npub(crate) mod house;\nmod other;";
    let mut sources = [
        file("src/actors/mod.rs", declares),
        file("src/actors/house.rs", "fn a() {}"),
        file("src/actors/other.rs", "fn a() {}"),
        file("src/actors/house/lamp.rs", "fn a() {}"),
    ];
    mark_test_files(&mut sources);
    assert_eq!(sources.map(|source| source.is_test(0)), [true, true, false, true]);
}
