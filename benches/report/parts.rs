//! Each part in a program of its own, and the report of those that are measured so far.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::figures::Section;
use crate::machine::Machine;
use crate::programs::clock;

/// How long a part may take. The longest takes half of it.
const WITHIN: Duration = Duration::from_secs(900);

/// How many of its last lines a part that failed leaves in the report.
const LAST_LINES: usize = 12;

/// Measures a part; one that fails or does not end leaves a section that says so.
pub(crate) fn measure(name: &str) -> Section {
    eprintln!("measuring {name}");
    let begun = clock();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, log) = (folder.join(format!("part-{name}.json")), folder.join(format!("part-{name}.log")));
    let section = run(name, &file, &log).unwrap_or_else(|why| {
        eprintln!("{name}: {why}");
        Section::failed(name, &why)
    });
    eprintln!("{name}: {} s, {} bars missed", begun.elapsed().as_secs(), section.missed());
    section
}

/// What a part found when it was measured last, if that is still there.
pub(crate) fn kept(name: &str) -> Option<Section> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("part-{name}.json"));
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn run(name: &str, file: &PathBuf, log: &PathBuf) -> Result<Section, String> {
    // What a run before has left is not a figure of this one.
    let _ = fs::remove_file(file);
    let said = fs::File::create(log).map_err(|error| error.to_string())?;
    let too = said.try_clone().map_err(|error| error.to_string())?;
    let mut child = Command::new(std::env::current_exe().map_err(|error| error.to_string())?)
        .args(["part", name])
        .arg(file)
        // Held open: at its end the part ends too, see `end_with_parent`.
        .stdin(Stdio::piped())
        .stdout(said)
        .stderr(too)
        // It leads whatever it starts, so that all of it can be ended.
        .process_group(0)
        .spawn()
        .map_err(|error| error.to_string())?;
    let begun = clock();
    let ended = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Some(status),
            None if begun.elapsed() > WITHIN => break None,
            None => std::thread::sleep(Duration::from_millis(500)),
        }
    };
    // Daemons and houses of a part that panicked have ended with it; those of one that was killed have not.
    end_group(child.id());
    let _ = child.wait();
    let last_words = || {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("```\n{}\n```", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"))
    };
    match ended {
        None => {
            Err(format!("It did not end within {} s. Its last words:\n\n{}", WITHIN.as_secs(), last_words()))
        }
        Some(status) if !status.success() => {
            Err(format!("It failed: {status}. Its last words:\n\n{}", last_words()))
        }
        Some(_) => {
            let text = fs::read(file).map_err(|error| error.to_string())?;
            serde_json::from_slice(&text).map_err(|error| error.to_string())
        }
    }
}

/// Ends a part and whatever it started.
fn end_group(leader: u32) {
    let group = format!("-{leader}");
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
}

/// Lets this part end, with whatever it started, when the program is gone that wants to know.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end_group(std::process::id());
    });
}

/// Everything that was measured so far.
pub(crate) struct Report {
    machine: Machine,
    sections: Vec<Section>,
    to_come: Vec<&'static str>,
    /// Parts that were measured anew, the others being kept from runs before.
    later: Vec<&'static str>,
}

impl Report {
    /// A report of parts that are all still to come.
    pub(crate) fn begin(parts: Vec<&'static str>) -> Self {
        Self { machine: Machine::look(), sections: Vec::new(), to_come: parts, later: Vec::new() }
    }

    /// Takes in the next part and writes the report anew.
    pub(crate) fn add(&mut self, section: Section) {
        self.to_come.remove(0);
        self.sections.push(section);
        self.write();
    }

    /// The same of a part that was measured anew.
    pub(crate) fn add_later(&mut self, name: &'static str, section: Section) {
        self.later.push(name);
        self.add(section);
    }

    /// How many bars were missed.
    pub(crate) fn missed(&self) -> usize {
        self.sections.iter().map(Section::missed).sum()
    }

    fn write(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        fs::create_dir_all(folder.join("plots")).unwrap();
        for (name, svg) in self.sections.iter().flat_map(|section| &section.plots) {
            fs::write(folder.join(format!("plots/{name}.svg")), svg).unwrap();
        }
        fs::write(folder.join("REPORT.md"), self.text()).unwrap();
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# What the daemon costs\n\nWritten by `benches/run`; do not edit. {}\n\nTimes on a shared machine mean \
             little; ratios are medians of pairs that were measured by turns in one run. A bar is a ratio to a control \
             of the same run wherever there is one.\n\n",
            self.machine.told()
        );
        if !self.to_come.is_empty() {
            text += &format!(
                "**This run did not get to its end.** Not measured: {}.\n\n",
                self.to_come.join(", ")
            );
        }
        if !self.later.is_empty() {
            text += &format!(
                "Measured anew at this commit and this load: {}. The others are kept from the run before.\n\n",
                self.later.join(", ")
            );
        }
        let judged: Vec<_> = self.sections.iter().flat_map(|section| &section.judged).collect();
        text += &match self.missed() {
            0 => format!("All {} bars hold.\n\n", judged.len()),
            missed => format!("{missed} of {} bars are missed.\n\n", judged.len()),
        };
        let mut bars = Section::default();
        let rows: Vec<_> = judged
            .iter()
            .map(|one| vec![one.what.clone(), one.measured.clone(), one.verdict.clone()])
            .collect();
        bars.table(&["bar", "measured", "verdict"], &rows);
        text += &bars.text;
        for section in &self.sections {
            text += &section.text;
        }
        text.trim_end().to_owned() + "\n"
    }
}
