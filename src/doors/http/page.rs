//! The page for people: its files, as they are in the binary, and what a browser may do with them.
//!
//! They are the same in every house and tell nothing of it, so they are given without a token; the page then asks
//! for the token and sends it with everything it wants to know.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::gate::{PAGE, PAGE_FILES};
use super::routes::{Route, reply};
use super::translate::Fault;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// What the page may do: run its own files, ask its own daemon, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", POLICY),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

macro_rules! files {
    ($($name:literal $kind:ident;)*) => {
        /// Name, type and text of each file of the page.
        const FILES: &[(&str, &str, &str)] = &[$(($name, $kind, include_str!(concat!("page/", $name)))),*];
    };
}

files! {
    "index.html" HTML;
    "page.css" CSS;
    "icon.svg" PICTURE;
    "main.js" SCRIPT;
    "api.js" SCRIPT;
    "dom.js" SCRIPT;
    "rooms.js" SCRIPT;
    "walls.js" SCRIPT;
    "telegrams.js" SCRIPT;
    "modules.js" SCRIPT;
    "charts.js" SCRIPT;
    "health.js" SCRIPT;
    "homekit.js" SCRIPT;
}

pub(super) fn routes() -> [Route; 2] {
    [
        (PAGE, get(async || file("index.html"))),
        ("/page/{file}", get(async |Path(name): Path<String>| file(&name))),
    ]
}

fn file(name: &str) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return Fault::unknown_path(&format!("{PAGE_FILES}{name}")).into_response();
    };
    let mut response = reply(StatusCode::OK, kind, Body::from(*text));
    for (header, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(header), HeaderValue::from_static(value));
    }
    // Kept, but asked for again each time: a page of yesterday's daemon would misread today's.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_named_where_it_is_used_and_nothing_comes_from_elsewhere() {
        let all: String = FILES.iter().map(|(_, _, text)| *text).collect();
        for (name, _, text) in FILES {
            assert!(*name == "index.html" || all.contains(&format!("/{name}\"")), "nobody uses {name}");
            let lines = text.lines().count();
            assert!(lines < 500, "{name} has {lines} lines");
            let foreign = text.match_indices("://").filter(|(at, _)| !text[..*at].ends_with("http"));
            assert_eq!(foreign.count(), 0, "{name} names another place");
            let names = text.matches("http://").count() - text.matches("http://www.w3.org/2000/svg").count();
            assert_eq!(names, 0, "{name} names another place");
        }
    }

    #[test]
    fn no_script_or_style_stands_within_the_page() {
        let (_, _, html) = FILES[0];
        for inline in ["<style", "style=", "<script>", "onclick=", "onload=", "javascript:"] {
            assert!(!html.contains(inline), "{inline}");
        }
        for (name, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            // What a module or an owner has named must never become markup.
            for risky in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(risky), "{name}: {risky}");
            }
        }
    }
}
