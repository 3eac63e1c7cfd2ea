//! What other programs of this repository judge: the counts that gate every change, and days of the simulation.

use std::process::Command;

use crate::figures::{Bar, Section, number};

/// How much longer than real time a simulated day may take, and what has to be said in it.
const DAY_SECONDS: f64 = 45.0;
const DAY_TELEGRAMS: f64 = 500_000.0;

/// Runs cargo as `benches/run` was run, and gives what was said whether it ended well or not.
///
/// Without what cargo tells a program of its package: `ring` would be built anew for it, and all that stands on it.
fn cargo(words: &[&str]) -> (String, String, bool) {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(name);
        }
    }
    let ran = cargo.args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&ran.stdout), text(&ran.stderr), ran.status.success())
}

/// The lines of `benches/counts.rs`: what, how much, the gate, the goal, and whether the gate is passed.
pub(crate) fn counts() -> Section {
    let (said, complaints, _) = cargo(&["bench", "--locked", "--bench", "counts"]);
    let mut section = Section::new("8. Counts");
    section.say(
        "They do not depend on the machine's mood, and `tests/run` fails above their gates, which are what was counted \
         once and a twentieth more; a goal is what it should be. Instructions are callgrind's, the difference of two \
         lengths; allocations and bytes are those of the arbiter's thread. Bytes are what still lives, a module of four \
         outputs and its four accessories. Those of P5 are resident, of a program that builds nothing else, \
         beside one `LruCache` of as many entries: a key of 16 bytes, a value of 32. They are counted in a release.",
    );
    let mut rows = Vec::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [what, counted, gate, goal, _] = words[..] else { continue };
        let value: f64 = counted.parse().unwrap();
        let mut row = vec![what.to_owned(), number(value), String::new(), String::new()];
        if let Ok(goal) = goal.parse() {
            row[3] = section.judge(&format!("8: {what}"), Bar::AtMost(goal), value);
        }
        if let Ok(gate) = gate.parse() {
            row[2] = section.judge(&format!("8, gate: {what}"), Bar::AtMost(gate), value);
        }
        rows.push(row);
    }
    assert!(!rows.is_empty(), "nothing was counted: {complaints}");
    section.table(&["of one", "counted", "gate", "goal"], &rows);
    section
}

fn simulated(name: &str) -> (String, bool) {
    let words = [
        "test",
        "--locked",
        "--release",
        "--test",
        "simulation",
        name,
        "--",
        "--include-ignored",
        "--nocapture",
    ];
    let (said, complaints, well) = cargo(&words);
    assert!(said.contains("test result:"), "{complaints}");
    (said, well)
}

/// The sum of a figure over all days that were told.
fn total(said: &str, figure: &str) -> f64 {
    let name = format!(" {figure}: ");
    let after = said.split(name.as_str()).skip(1);
    after.filter_map(|rest| rest.split([',', ' ']).next()?.parse::<f64>().ok()).sum()
}

fn seconds(said: &str) -> f64 {
    let told =
        said.rsplit_once("finished in ").and_then(|(_, rest)| rest.split('s').next()?.trim().parse().ok());
    told.expect("the closing line of a test")
}

/// P10 and P12.
pub(crate) fn simulation() -> Section {
    let mut section = Section::new("9. The simulated days");
    section.say(
        "`tests/simulation` runs the daemon's own actors on virtual time against the emulated house and everything that \
         can go wrong (stalls, lost links, reloads, storms). `pace.rs` checks every telegram at the wire: one exchange at \
         a time, the pauses, the time-outs; `verdicts.rs` that a used module is asked in time whenever there is bus time. \
         A run with one telegram too soon fails.",
    );
    let (short, kept) = simulated("every_promise_is_kept_on_the_fixed_days");
    let (day, whole) = simulated("every_promise_is_kept_through_a_day_of_twenty_four_hours");
    let broken = if kept { 0.0 } else { short.matches("came ").count().max(1) as f64 };
    let telegrams = total(&day, "sent") + total(&day, "heard");
    let mut rows = vec![section.judged_row(
        &format!(
            "P10: runs that broke a promise, of eight fixed days of ten minutes, {} telegrams sent",
            number(total(&short, "sent"))
        ),
        Bar::AtMost(0.0),
        broken,
    )];
    let not_kept = if whole { 0.0 } else { 1.0 };
    rows.push(section.judged_row("P10: the same of the whole day", Bar::AtMost(0.0), not_kept));
    rows.push(section.judged_row("P12: a simulated day, s", Bar::AtMost(DAY_SECONDS), seconds(&day)));
    rows.push(section.judged_row("P12: telegrams of that day", Bar::AtLeast(DAY_TELEGRAMS), telegrams));
    section.table(&["promise", "measured", "bar"], &rows);
    section
}
