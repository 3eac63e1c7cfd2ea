//! Lengths, leftovers, and the purpose at the head of a file.

use crate::source::{Finding, Source, block_end, is_word};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARACTERS_MAX: usize = 140;

/// Words that mean "not finished"; in two halves, or this file would find itself.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

pub(crate) fn lengths(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines, at most {FILE_LINES_MAX}: split the file along its parts");
        findings.push(Finding::file(&source.path, what));
    }
    for (at, name) in functions(&source.code) {
        let Some(end) = body_end(&source.code, at) else { continue };
        let lines = source.line(end - 1) - source.line(at) + 1;
        if lines > FUNCTION_LINES_MAX {
            let what =
                format!("`fn {name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: give its parts names");
            findings.push(Finding::line(&source.path, source.line(at), what));
        }
    }
    findings
}

/// Where each `fn name` begins; pointer types and `Fn` bounds have no name.
fn functions(code: &str) -> impl Iterator<Item = (usize, &str)> {
    words(code).filter(|(_, word)| *word == "fn").filter_map(|(at, word)| {
        let rest = code[at + word.len()..].trim_start();
        let name = &rest[..rest.bytes().take_while(|&byte| is_word(byte)).count()];
        (!name.is_empty()).then_some((at, name))
    })
}

pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let begin = from + code[from..].bytes().position(is_word)?;
        let length = code[begin..].bytes().take_while(|&byte| is_word(byte)).count();
        from = begin + length;
        Some((begin, &code[begin..from]))
    })
}

/// The end of the body of the function that begins here; none when it is only declared.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(block_end(code, at)),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

pub(crate) fn leftovers(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, text) in source.text.lines().enumerate() {
        let mut find = |what: String| findings.push(Finding::line(&source.path, at + 1, what));
        let length = text.chars().count();
        if length > LINE_CHARACTERS_MAX {
            find(format!("{length} characters, at most {LINE_CHARACTERS_MAX}: break the line"));
        }
        if let Some((_, word)) = words(text).find(|(_, word)| UNFINISHED.contains(word)) {
            find(format!("`{word}`: finish it, or file an issue and leave no mark"));
        }
    }
    for (at, _) in
        words(&source.code).filter(|(at, word)| *word == "dbg" && source.code[at + 3..].starts_with('!'))
    {
        findings.push(Finding::line(&source.path, source.line(at), "`dbg!`: remove it, or log at debug"));
    }
    findings
}

pub(crate) fn purpose(source: &Source) -> Vec<Finding> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![Finding::line(&source.path, 1, "no `//!` line: say what the file owns and what it refuses to know")]
}

#[cfg(test)]
fn sample(text: &str) -> Source {
    Source::new("src/sample.rs", text)
}

#[cfg(test)]
fn function_of(lines: usize) -> String {
    format!(
        "trait T {{ fn short(a: [u8; 2]); }}\nfn long(f: fn(u8) -> u8)\n{{{}}}\n",
        "// }\n".repeat(lines - 2)
    )
}

#[test]
fn long_files_and_functions_are_found() {
    assert_eq!(lengths(&sample(&"\n".repeat(FILE_LINES_MAX))).len(), 0);
    assert_eq!(lengths(&sample(&"\n".repeat(FILE_LINES_MAX + 1))).len(), 1);
    assert_eq!(lengths(&sample(&function_of(FUNCTION_LINES_MAX))).len(), 0);
    let found = lengths(&sample(&function_of(FUNCTION_LINES_MAX + 1)));
    assert_eq!(found.len(), 1);
    assert!(found[0].to_string().starts_with("src/sample.rs:2: `fn long` has 71 lines"), "{}", found[0]);
}

#[test]
fn leftovers_are_found() {
    assert_eq!(leftovers(&sample("let x = \"XXXX\"; // todo list, dbg!\n")).len(), 0);
    for word in UNFINISHED {
        assert_eq!(leftovers(&sample(&format!("// {word}: later"))).len(), 1, "{word}");
    }
    assert_eq!(leftovers(&sample(concat!("fn f() { db", "g!(1); }"))).len(), 1);
    assert_eq!(leftovers(&sample(&"é".repeat(LINE_CHARACTERS_MAX))).len(), 0);
    assert_eq!(leftovers(&sample(&"é".repeat(LINE_CHARACTERS_MAX + 1))).len(), 1);
}

#[test]
fn a_file_without_a_purpose_is_found() {
    assert_eq!(purpose(&sample("use std::fs;")).len(), 1);
    assert_eq!(purpose(&sample("//! Owns samples.\n")).len(), 0);
}
