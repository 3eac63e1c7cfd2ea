//! `actors.md` names exactly the messages that exist.

use std::collections::BTreeSet;

use crate::shape::words;
use crate::source::{Finding, Source, is_word};

pub(crate) fn check(document: &str, actors: &[Source]) -> Vec<Finding> {
    let told = documented(document);
    let real: BTreeSet<String> = actors.iter().flat_map(declared).collect();
    if told.is_empty() {
        let what = "no table whose first column is `message`, with each message's name in backticks: add it";
        return vec![Finding::file("actors.md", what)];
    }
    let missing =
        real.difference(&told).map(|name| format!("the message `{name}` is not in the table: add its row"));
    let extra = told
        .difference(&real)
        .map(|name| format!("no message `{name}` in src/actors: remove or rename its row"));
    missing.chain(extra).map(|what| Finding::file("actors.md", what)).collect()
}

/// The names in backticks in the first column of every table headed `message`.
fn documented(document: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut in_table = false;
    for line in document.lines() {
        let cell = line.trim().strip_prefix('|').and_then(|row| row.split('|').next());
        let Some(cell) = cell.map(str::trim) else {
            in_table = false;
            continue;
        };
        if in_table {
            names.extend(cell.split('`').skip(1).step_by(2).map(leading));
        }
        in_table |= matches!(cell.to_lowercase().as_str(), "message" | "messages");
    }
    names
}

fn leading(text: &str) -> String {
    text.bytes().take_while(|&byte| is_word(byte)).map(char::from).collect()
}

/// The types of a file that are actix messages, derived or by hand.
fn declared(source: &Source) -> Vec<String> {
    let code = source.code.as_str();
    let derived = code.match_indices("#[derive(").filter_map(|(at, mark)| {
        let list = &code[at + mark.len()..];
        let list = &list[..list.find(')')?];
        let is_message = list.split(',').any(|item| matches!(item.trim(), "Message" | "actix::Message"));
        let mut after =
            words(&code[at..]).skip_while(|(_, word)| !matches!(*word, "struct" | "enum")).skip(1);
        is_message.then(|| after.next()).flatten().map(|(offset, name)| (at + offset, name))
    });
    let by_hand = code.match_indices("Message for ").filter_map(|(at, mark)| {
        let begins = code[..at].rfind("impl").filter(|begin| !code[*begin..at].contains(['{', '}', ';']));
        let (offset, name) = words(&code[at + mark.len()..]).next()?;
        begins.map(|_| (at + mark.len() + offset, name))
    });
    derived.chain(by_hand).filter(|(at, _)| !source.is_test(*at)).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
const TABLE: &str = "\
| what | it |
|---|---|
| `Nothing` | is a message |

| message | from -> to |
|---|---|
| `Read { point, max_age }` | `Accessory` |
| `StartPolling`, `StopPolling` | app |

| `Late` | after the table |
";

#[cfg(test)]
fn actors(extra: &str) -> Vec<Source> {
    let text = "#[derive(Debug, Message)]\n#[rtype(result = \"()\")]\npub(crate) struct Read { a: u8 }\n\
                impl actix::Message for StartPolling { type Result = (); }\nimpl<T> Message for StopPolling<T> {}\n\
                impl Handler<Message> for Cache { }\n#[cfg(test)] mod tests { #[derive(Message)] struct Probe; }\n\
                #[derive(Clone)] struct Plain; // #[derive(Message)] struct Comment;\n";
    vec![Source::new("src/actors/cache.rs", &format!("{text}{extra}"))]
}

#[test]
fn the_table_and_the_code_are_read() {
    let found = check(TABLE, &actors(""));
    assert!(found.is_empty(), "{}", found[0]);
}

#[test]
fn missing_and_extra_messages_are_found() {
    let missing = check(TABLE, &actors("#[derive(actix::Message)] enum Refresh {}"));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].to_string().contains("`Refresh` is not in the table"));
    let extra = check(&format!("{TABLE}\n| Message | to |\n|---|---|\n| `Gone` | x |\n"), &actors(""));
    assert_eq!(extra.len(), 1);
    assert!(extra[0].to_string().contains("no message `Gone`"));
    assert_eq!(check("no table", &actors("")).len(), 1);
}
