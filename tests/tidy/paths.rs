//! The paths a file names: `use` trees spread out, and paths written where they are used.

use crate::source::{Source, is_word};

/// A path such as `crate::conbus::Frame`, and the byte where it is written.
#[derive(Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) at: usize,
    pub(crate) path: String,
}

impl Named {
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.split("::").collect()
    }
}

/// Every path in the code of a file, with `super` and `self` made absolute by the file's place in the tree.
pub(crate) fn of(source: &Source) -> Vec<Named> {
    let module = module_of(&source.path);
    let code = source.code.as_str();
    let mut named = Vec::new();
    let mut at = 0;
    while let Some((begin, word)) = next_word(code, at) {
        at = begin + word.len();
        if word == "use" && !code[at..].starts_with('<') {
            let end = code[at..].find(';').map_or(code.len(), |offset| at + offset);
            spread("", at, &code[at..end], &mut named);
            at = end;
        } else {
            let length = path_length(&code[begin..]);
            let path = code[begin..begin + length].split_whitespace().collect::<String>();
            at = begin + length;
            named.push(Named { at: begin, path });
        }
    }
    for name in &mut named {
        name.path = absolute(&name.path, &module);
    }
    named
}

fn next_word(code: &str, from: usize) -> Option<(usize, &str)> {
    let begin = from + code[from..].find(|c: char| c.is_ascii_alphabetic() || c == '_')?;
    let length = code[begin..].bytes().take_while(|&byte| is_word(byte)).count();
    Some((begin, &code[begin..begin + length]))
}

/// The length of `a::b::c` here; generic arguments end a path.
fn path_length(code: &str) -> usize {
    let mut length = code.bytes().take_while(|&byte| is_word(byte)).count();
    while let Some(rest) = code[length..].trim_start().strip_prefix("::") {
        let rest = rest.trim_start();
        let word = rest.bytes().take_while(|&byte| is_word(byte)).count();
        if word == 0 {
            break;
        }
        length = code.len() - rest.len() + word;
    }
    length
}

/// Spreads `a::{b, c::{d, e as f}}` into `a::b`, `a::c::d`, `a::c::e`.
fn spread(prefix: &str, at: usize, tree: &str, named: &mut Vec<Named>) {
    for (offset, part) in split_top(tree) {
        let begin = at + offset + (part.len() - part.trim_start().len());
        if let Some((head, inner)) = part.split_once('{') {
            let prefix = format!("{prefix}{}", head.split_whitespace().collect::<String>());
            let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
            spread(&prefix, at + offset + head.len() + 1, inner, named);
        } else if let Some(path) = part.trim().split(" as ").next().filter(|path| !path.is_empty()) {
            let path = path.split_whitespace().collect::<String>();
            named.push(Named {
                at: begin,
                path: format!("{prefix}{path}").trim_start_matches("::").to_owned(),
            });
        }
    }
}

/// The parts between commas that are in no braces, with their offsets.
fn split_top(tree: &str) -> Vec<(usize, &str)> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, byte) in tree.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push((begin, &tree[begin..at]));
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push((begin, &tree[begin..]));
    parts
}

/// `src/policy/store.rs` and `src/policy/store/mod.rs` are `crate::policy::store`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Makes `super::x` and `self::x` absolute. Inside an inner module this reaches one module too far up, which no rule minds:
/// a neighbour's name is not a layer's.
fn absolute(path: &str, module: &[String]) -> String {
    let segments: Vec<&str> = path.split("::").collect();
    let ups = segments.iter().take_while(|&&segment| segment == "super").count();
    let rest = match segments[0] {
        "super" => &segments[ups..],
        "self" if segments.len() > 1 => &segments[1..],
        _ => return path.to_owned(),
    };
    let base = &module[..module.len().saturating_sub(ups)];
    let whole: Vec<&str> =
        std::iter::once("crate").chain(base.iter().map(String::as_str)).chain(rest.iter().copied()).collect();
    whole.join("::")
}

#[test]
fn use_trees_are_spread_and_inline_paths_found() {
    let sample = "use std::{fs, net::{TcpStream, self}};\npub use super::{a as b, super::config};\n\
                  fn f() { let x: crate::doors::http::Y = log::info!(); self::g(); }";
    let paths: Vec<String> =
        of(&Source::new("src/policy/store.rs", sample)).into_iter().map(|n| n.path).collect();
    for path in [
        "std::fs",
        "std::net::TcpStream",
        "crate::policy::a",
        "crate::config",
        "crate::doors::http::Y",
        "log::info",
        "crate::policy::store::g",
    ] {
        assert!(paths.iter().any(|found| found == path), "`{path}` is not in {paths:?}");
    }
}
