//! What must stay secret is neither printed nor compared letter by letter.

use crate::source::{Finding, Source, block_end};

/// A secret that strangers send guesses of: its type, and what must not be derived for it. A derived comparison ends at
/// the first wrong letter, and the time it took tells how many were right.
const NEVER: &[(&str, &[&str])] = &[
    ("Token", &["PartialEq", "Eq", "Hash", "Ord", "Debug", "Display", "Serialize"]),
    ("SetupCode", &["PartialEq", "Eq", "Hash", "Ord", "Debug", "Display", "Serialize"]),
    ("Pin", &["Debug", "Display", "Serialize"]),
];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    NEVER.iter().flat_map(|(name, banned)| derived(source, name, banned)).chain(compared(source)).collect()
}

/// What is derived for the type of this name. A `Token` of the policies is a number, and no secret.
fn derived(source: &Source, name: &str, banned: &[&str]) -> Vec<Finding> {
    if source.path.starts_with("src/policy/") {
        return Vec::new();
    }
    let declares = format!("struct {name}(");
    let mut findings = Vec::new();
    for (at, _) in source.code.match_indices(&declares) {
        let above = source.code[..at].rfind("#[derive(").unwrap_or(at);
        let attribute = &source.code[above..at];
        let is_its_own = !attribute.contains([';', '}']);
        for word in banned.iter().filter(|_| is_its_own) {
            if attribute.split(|letter: char| !letter.is_alphanumeric()).any(|one| one == *word) {
                let advice = format!("`{name}` derives {word}: compare it by `ct_eq` and print it as `***`");
                findings.push(Finding::line(&source.path, source.line(at), advice));
            }
        }
    }
    findings
}

/// In a door, whoever opens a `Token` to look at its text compares it in constant time, in the same function.
fn compared(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/doors/") {
        return Vec::new();
    }
    let opens = |line: &str| line.contains("let Some(Token(") || line.contains("let Token(");
    let mut findings = Vec::new();
    for (at, line) in source.code.split_inclusive('\n').scan(0, |at, line| {
        let begin = *at;
        *at += line.len();
        Some((begin, line))
    }) {
        if !opens(line) || source.is_test(at) {
            continue;
        }
        let begin = source.code[..at].rfind("fn ").unwrap_or(0);
        let body = source.code[begin..].find('{').map_or("", |open| {
            let open = begin + open;
            &source.code[open..block_end(&source.code, open)]
        });
        if !body.contains(".ct_eq(") || body.contains("==") {
            let advice = "a token is compared by `ct_eq` and by nothing else";
            findings.push(Finding::line(&source.path, source.line(at), advice));
        }
    }
    findings
}

#[cfg(test)]
fn findings(text: &str) -> usize {
    check(&Source::new("src/doors/http/gate.rs", text)).len()
}

#[test]
fn secrets_that_could_be_printed_or_compared_are_found() {
    assert_eq!(findings("#[derive(Clone)]\npub struct Token(String);"), 0);
    assert_eq!(findings("#[derive(Clone, PartialEq)]\npub struct Token(String);"), 1);
    assert_eq!(findings("#[derive(Debug)]\nstruct Other(u8);\npub struct Token(String);"), 0);
    assert_eq!(findings("#[derive(Clone, PartialEq, Eq)]\npub struct Pin(String);"), 0);
    assert_eq!(findings("fn f() { let Token(own) = t; own.as_bytes().ct_eq(told) }"), 0);
    assert_eq!(findings("fn f() { let Some(Token(own)) = t else { return }; own == told }"), 1);
    assert_eq!(
        findings("fn f() { let Some(Token(own)) = t else { return };\nown.len() == 5 && own.ct_eq(told) }"),
        1
    );
}
