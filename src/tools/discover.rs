//! `conbusd discover`: what is on the bus, as a table, as JSON, or as a config.
//!
//! It reads only; the one thing it can write to a module, auto report, takes a flag and an answer.

mod findings;
mod merge;
mod survey;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) use findings::{Findings, draft};
pub use merge::MergeError;

use self::merge::Merged;
use self::survey::{MODULES_MAX, Survey};
use super::answers::Answers;
use super::line::{Asker, Line, LineError};
use super::writing::{self, WriteError};
use crate::conbus::{Datapoint, DatapointValue, SerialNumber, System, Telegram};
use crate::config::{self, Report};
use crate::policy::outbox::{Delivered, Outbox, Ticket};
use crate::policy::{BusError, Moment, Urgency};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    /// Name or address of the gateway.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The config to be written.
    pub write: Option<PathBuf>,
    /// Whether a config that is there is added to.
    pub merge: bool,
    /// Whether auto report is switched on where it is off.
    pub auto_report: Consent,
    /// Whether JSON is printed.
    pub json: bool,
}

/// Whether a setting of a module may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Not at all.
    No,
    /// After a question.
    Ask,
    /// Without one.
    Yes,
}

/// Why nothing was found or written.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The gateway cannot be used.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It said nothing at all.
    #[error(
        "gateway `{address}` took the connection and said nothing in three seconds; is it a bridge (port 10001), is the bus \
         powered, does another program hold it?"
    )]
    Silent {
        /// Host and port.
        address: String,
    },
    /// The config was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The config that is there cannot be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The config that is there was not added to.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// What came of it is not a config.
    #[error("what was found makes no config, so nothing is written; please report it:\n{0}")]
    NotAccepted(Box<Report>),
    /// The result cannot be printed.
    #[error("cannot print: {0}")]
    Print(io::Error),
}

/// Asks the bus and prints or writes what it says; progress and questions go to `told`.
pub async fn run(
    order: &Order,
    answers: &mut Answers,
    out: &mut dyn Write,
    told: &mut dyn Write,
) -> Result<(), DiscoverError> {
    let before = before(order)?;
    let mut line = Line::dial(&order.host, order.port).await?;
    let mut findings = look(&mut line, told).await?;
    if order.auto_report != Consent::No {
        enable(&mut line, &mut findings, (order.auto_report, answers), told).await?;
    }
    let address = line.address().to_owned();
    drop(line);
    let unusual = findings::unusual(&address, &findings);
    let printed = if order.json {
        format!("{:#}\n", findings::object(&address, &findings))
    } else {
        unusual.iter().fold(findings::table(&findings), |text, line| text + "! " + line + "\n")
    };
    out.write_all(printed.as_bytes()).and_then(|()| out.flush()).map_err(DiscoverError::Print)?;
    let Some(path) = &order.write else { return Ok(()) };
    match before {
        Some(text) => {
            let Merged { text: merged, words } =
                merge::merge(&path.display().to_string(), &text, &address, &findings)?;
            for word in &words {
                say(told, word);
            }
            if merged != text {
                writing::replace(path, &merged)?;
            }
        }
        None => writing::write_new(path, &written(&address, &findings)?, false)?,
    }
    say(told, &format!("`{}` is written; `conbusd check` accepts it", path.display()));
    Ok(())
}

/// The text of the config that is added to; refuses what could not be written before the bus is bothered.
fn before(order: &Order) -> Result<Option<String>, DiscoverError> {
    let Some(path) = order.write.as_deref().filter(|path| path.exists()) else { return Ok(None) };
    if !order.merge {
        return Err(WriteError::ThereForMerge { path: path.to_owned() }.into());
    }
    let text = fs::read_to_string(path)
        .map_err(|cause| DiscoverError::Unreadable { path: path.to_owned(), cause })?;
    config::parse(&path.display().to_string(), &text, Path::new(""))
        .map_err(|report| MergeError::Mistakes(Box::new(report)))?;
    Ok(Some(text))
}

/// Shows what was found, and what is unusual in it.
pub(super) fn show(address: &str, findings: &Findings, told: &mut dyn Write) {
    let unusual = findings::unusual(address, findings);
    say(
        told,
        unusual.iter().fold(findings::table(findings), |text, line| text + "! " + line + "\n").trim_end(),
    );
}

fn written(address: &str, findings: &Findings) -> Result<String, DiscoverError> {
    let text = draft(address, findings).to_string();
    config::parse("config.toml", &text, Path::new(""))
        .map_err(|report| DiscoverError::NotAccepted(Box::new(report)))?;
    Ok(text)
}

/// Whoever closed the error output wants no words.
fn say(told: &mut dyn Write, word: &str) {
    let _ = writeln!(told, "{word}");
}

/// The survey with its progress.
pub(super) async fn look(line: &mut Line, told: &mut dyn Write) -> Result<Findings, DiscoverError> {
    let mut asking = Aloud { survey: Survey::default(), told };
    line.work(&mut asking).await?;
    let survey = asking.survey;
    if survey.overflown {
        say(told, &format!("more than {MODULES_MAX} modules: the rest is left out, no bus has so many"));
    }
    if survey.heard == 0 {
        return Err(DiscoverError::Silent { address: line.address().to_owned() });
    }
    Ok(survey.found())
}

/// A survey that says how far it is.
struct Aloud<'a> {
    survey: Survey,
    told: &'a mut dyn Write,
}

impl Asker for Aloud<'_> {
    fn heard(&mut self, telegram: &Telegram, now: Moment) {
        self.survey.heard(telegram, now);
    }

    fn ask(&mut self, outbox: &mut Outbox, now: Moment) {
        self.survey.ask(outbox, now);
    }

    fn ended(&mut self, ticket: Ticket, outcome: Result<Delivered, BusError>, now: Moment) {
        self.survey.ended(ticket, outcome, now);
        for word in self.survey.words() {
            say(self.told, &word);
        }
    }

    fn next_due(&self) -> Option<Moment> {
        self.survey.next_due()
    }

    fn is_done(&self) -> bool {
        self.survey.is_done()
    }
}

/// Switches auto report on where it is off, after a question.
async fn enable(
    line: &mut Line,
    findings: &mut Findings,
    (consent, answers): (Consent, &mut Answers),
    told: &mut dyn Write,
) -> Result<(), DiscoverError> {
    let serials = findings::not_reporting(findings);
    if serials.is_empty() {
        say(told, "every module with outputs reports them already");
        return Ok(());
    }
    let listed: Vec<String> = serials.iter().map(ToString::to_string).collect();
    let _ = write!(
        told,
        "switch auto report on (F04 D21 PP, a lasting setting) in {}? [y/N] ",
        listed.join(", ")
    );
    let _ = told.flush();
    let answer = if consent == Consent::Yes { Some("y".to_owned()) } else { answers.next().await };
    let agreed = matches!(answer.as_deref().map(str::trim), Some("y" | "Y" | "yes"));
    say(told, if agreed { "yes" } else { "no: nothing is changed" });
    if !agreed {
        return Ok(());
    }
    for serial in serials {
        let write = System::set_auto_report(serial, true);
        let mut errand = Errand::of(serial, [write, System::read(serial, Datapoint::AUTO_REPORT)]);
        line.work(&mut errand).await?;
        let done = errand.went_well() && errand.auto_report == Some(true);
        if let Some(found) = findings.get_mut(&serial).filter(|_| done) {
            found.auto_report = Some(true);
        }
        say(
            told,
            &format!(
                "{serial}: {}",
                if done { "reports its outputs now" } else { "refused, or did not answer" }
            ),
        );
    }
    Ok(())
}

/// A few telegrams one after the other, all to one module.
pub(super) struct Errand {
    serial: SerialNumber,
    left: VecDeque<Telegram>,
    asking: Option<Ticket>,
    failed: bool,
    /// What the module said of D21 meanwhile.
    auto_report: Option<bool>,
}

impl Errand {
    pub(super) fn of(serial: SerialNumber, telegrams: impl IntoIterator<Item = System>) -> Self {
        let left = telegrams.into_iter().map(Telegram::from).collect();
        Self { serial, left, asking: None, failed: false, auto_report: None }
    }

    /// Whether all were answered.
    pub(super) fn went_well(&self) -> bool {
        !self.failed
    }
}

impl Asker for Errand {
    fn heard(&mut self, telegram: &Telegram, _now: Moment) {
        if let Telegram::Reply(reply) = telegram
            && reply.serial == self.serial
            && let Some((_, DatapointValue::AutoReport(on))) = reply.value()
        {
            self.auto_report = Some(on);
        }
    }

    fn ask(&mut self, outbox: &mut Outbox, now: Moment) {
        if self.asking.is_some() {
            return;
        }
        let Some(telegram) = self.left.pop_front() else { return };
        match outbox.submit(telegram, Urgency::Command, now + std::time::Duration::from_secs(5)) {
            Ok(ticket) => self.asking = Some(ticket),
            Err(_) => self.failed = true,
        }
    }

    fn ended(&mut self, ticket: Ticket, outcome: Result<Delivered, BusError>, _now: Moment) {
        if self.asking.take_if(|asked| *asked == ticket).is_some() && outcome.is_err() {
            self.failed = true;
            self.left.clear();
        }
    }

    fn next_due(&self) -> Option<Moment> {
        None
    }

    fn is_done(&self) -> bool {
        self.left.is_empty() && self.asking.is_none()
    }
}

#[cfg(test)]
mod tests;
