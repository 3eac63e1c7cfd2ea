//! `conbusd init`: from an empty folder to a house with names, by questions and answers.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::answers::Answers;
use super::discover::{self, DiscoverError, Errand, Findings};
use super::draft::{Draft, DraftAccessory, DraftHomeKit, DraftModule};
use super::import::{line, slug};
use super::line::Line;
use super::writing::{self, WriteError};
use crate::app::homekit;
use crate::conbus::{SerialNumber, System};
use crate::config::{self, ConfigError, GatewayAddress, Report};

/// How long a module blinks.
const BLINK: Duration = Duration::from_secs(3);
/// What an XP130 has from the factory (protocol reference 7.1).
const ADDRESS: &str = "192.168.1.17:10001";
/// So often an answer that is none is asked for again.
const ATTEMPTS: usize = 5;

/// Why there is no new config.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A config is there.
    #[error(
        "`{}` is there already and stays as it is; name another with `--config`, or add to it with \
         `conbusd discover --merge`",
        path.display()
    )]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody said where the bridge is.
    #[error("no answer names a bridge that can be used")]
    NoBridge,
    /// The bus could not be asked.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The config could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What came of it is not a config.
    #[error("what was answered makes no config, so nothing is written; please report it:\n{0}")]
    NotAccepted(Box<Report>),
    /// The config is written, and could not be read again.
    #[error(transparent)]
    Unread(#[from] ConfigError),
    /// The config is written, and there is no code.
    #[error("the config is written, but there is no HomeKit code yet: {0}")]
    NoCode(String),
}

/// Who is asked, and where questions go.
pub struct Talk<'a> {
    /// What is answered.
    pub answers: &'a mut Answers,
    /// Where the code is printed.
    pub out: &'a mut dyn Write,
    /// Where questions and progress are printed.
    pub told: &'a mut dyn Write,
}

impl Talk<'_> {
    fn say(&mut self, text: &str) {
        // Whoever closed the error output wants no words.
        let _ = writeln!(self.told, "{text}");
    }

    /// The answer without spaces around it; empty for the default, none when nobody answers any more.
    async fn ask(&mut self, question: &str) -> Option<String> {
        let _ = write!(self.told, "{question} ");
        let _ = self.told.flush();
        let answer = self.answers.next().await;
        if answer.is_none() {
            self.say("");
        }
        answer.map(|answer| answer.trim().to_owned())
    }
}

/// Asks, looks, asks for names, writes the config and prints the code.
pub async fn run(path: &Path, mut talk: Talk<'_>) -> Result<(), InitError> {
    if path.exists() {
        return Err(InitError::Exists { path: path.to_owned() });
    }
    let (mut bus, findings) = bridge(&mut talk).await?;
    let mut draft = discover::draft(bus.address(), &findings);
    draft.opening[0] = "Made by `conbusd init`.".into();
    discover::show(bus.address(), &findings, talk.told);
    furnish(&mut draft, &mut bus, &mut talk).await;
    draft.homekit = homekit_door(&mut talk).await;
    // The daemon needs the gateway's one connection.
    drop(bus);
    let text = draft.to_string();
    config::parse(&path.display().to_string(), &text, Path::new(""))
        .map_err(|report| InitError::NotAccepted(Box::new(report)))?;
    writing::write_new(path, &text, false)?;
    talk.say(&format!("`{}` is written. Start the daemon: conbusd --config {0}", path.display()));
    if draft.homekit.is_none() {
        return Ok(());
    }
    let code = homekit::qr(&config::load(path)?).map_err(|failure| InitError::NoCode(failure.to_string()))?;
    // The code can be shown again at any time.
    let _ = talk.out.write_all(code.as_bytes()).and_then(|()| talk.out.flush());
    Ok(())
}

/// The bridge, and what is on its bus; asked again when it cannot be used.
async fn bridge(talk: &mut Talk<'_>) -> Result<(Line, Findings), InitError> {
    let mut last = InitError::NoBridge;
    for _ in 0..ATTEMPTS {
        let question =
            format!("Which bridge? The serial number of an XP230 (ten digits), or an address [{ADDRESS}]:");
        let Some(answer) = talk.ask(&question).await else { return Err(last) };
        let (host, port) = match place(&answer) {
            Ok(place) => place,
            Err(why) => {
                talk.say(&why);
                continue;
            }
        };
        let found = async {
            let mut line = Line::dial(&host, port).await.map_err(DiscoverError::Line)?;
            let findings = discover::look(&mut line, talk.told).await?;
            Ok::<_, DiscoverError>((line, findings))
        };
        match found.await {
            Ok(found) => return Ok(found),
            Err(failure) => {
                talk.say(&failure.to_string());
                if host.to_lowercase().split('.').next_back() == Some("local") {
                    talk.say("a `.local` name needs mDNS on this machine (libnss-mdns); the address of the bridge always works");
                }
                last = failure.into();
            }
        }
    }
    Err(last)
}

/// Host and port of an answer.
fn place(answer: &str) -> Result<(String, u16), String> {
    let address = match answer {
        "" => ADDRESS.to_owned(),
        serial if serial.parse::<SerialNumber>().is_ok() => format!("xp230-{serial}.local:10001"),
        host if !host.contains(':') => format!("{host}:10001"),
        address => address.to_owned(),
    };
    match address.parse() {
        Ok(GatewayAddress::Remote { host, port }) => Ok((host, port)),
        Ok(GatewayAddress::Emulator) => {
            Err("a bridge of the network is needed, as 192.168.1.17:10001".into())
        }
        Err(fault) => Err(fault.to_string()),
    }
}

/// What an answer to the question for a name means.
#[derive(Debug, PartialEq, Eq)]
enum Naming {
    Keep,
    Name(String),
    RoomAndName(String, String),
    LeaveOut,
    Blink,
    Explain,
    Finish,
}

impl Naming {
    fn of(answer: &str) -> Self {
        match answer {
            "" => Self::Keep,
            "?" => Self::Explain,
            "-" => Self::LeaveOut,
            "b" => Self::Blink,
            "q" => Self::Finish,
            _ => match answer.split_once('/').map(|(room, name)| (line(room), line(name))) {
                Some((room, name)) if !name.is_empty() => Self::RoomAndName(room, name),
                Some(_) => Self::Explain,
                None => Self::Name(line(answer)),
            },
        }
    }
}

const EXPLAINED: &str =
    "  a name: Ceiling · with its room: Salon/Ceiling · Enter: keep the name · -: leave this output out
  b: blink the module's LED · q: keep all that is left as it is · Ctrl-C: stop, write nothing";

/// Gives rooms and names, a module after the other.
async fn furnish(draft: &mut Draft, bus: &mut Line, talk: &mut Talk<'_>) {
    talk.say(EXPLAINED);
    let mut left = std::mem::take(&mut draft.accessories).into_iter().peekable();
    let mut ids = HashSet::new();
    let mut room = String::new();
    let mut finished = false;
    for module in draft.modules.clone() {
        let mut is_first = true;
        while let Some(mut accessory) = left.next_if(|next| next.point.serial == module.serial) {
            if !finished && is_first {
                finished = !ask_room(&module, &mut room, bus, talk).await;
            }
            is_first = false;
            if !finished {
                accessory.room.clone_from(&room);
                match ask_name(&mut accessory, &mut room, bus, talk).await {
                    Some(true) => {}
                    Some(false) => continue,
                    None => finished = true,
                }
            }
            accessory.id = free_id(&accessory, &mut ids);
            draft.accessories.push(accessory);
        }
    }
}

/// Asks for the room of a module's outputs; false when no more is to be asked.
async fn ask_room(module: &DraftModule, room: &mut String, bus: &mut Line, talk: &mut Talk<'_>) -> bool {
    let DraftModule { serial, module_type, link, .. } = module;
    loop {
        let kept = if room.is_empty() { "none" } else { room.as_str() };
        let question = format!("{module_type} {link} ({serial}), which room? [{kept}]");
        let Some(answer) = talk.ask(&question).await else { return false };
        match Naming::of(&answer) {
            Naming::Keep => return true,
            Naming::Name(name) => {
                *room = name;
                return true;
            }
            Naming::LeaveOut => {
                room.clear();
                return true;
            }
            Naming::Blink => blink(*serial, bus, talk).await,
            Naming::Finish => return false,
            Naming::Explain | Naming::RoomAndName(..) => {
                talk.say("  a room: Salon · Enter: this one · -: none · b: blink the module's LED · q: no more questions");
            }
        }
    }
}

/// Asks for the name of an output; whether it is kept, none when no more is to be asked.
async fn ask_name(
    accessory: &mut DraftAccessory,
    room: &mut String,
    bus: &mut Line,
    talk: &mut Talk<'_>,
) -> Option<bool> {
    loop {
        let question = format!("  output {}, name? [{}]", accessory.point.output.get(), accessory.name);
        match Naming::of(&talk.ask(&question).await?) {
            Naming::Keep => return Some(true),
            Naming::Name(name) => {
                accessory.name = name;
                return Some(true);
            }
            Naming::RoomAndName(of_room, name) => {
                accessory.room.clone_from(&of_room);
                accessory.name = name;
                *room = of_room;
                return Some(true);
            }
            Naming::LeaveOut => return Some(false),
            Naming::Blink => blink(accessory.point.serial, bus, talk).await,
            Naming::Explain => talk.say(EXPLAINED),
            Naming::Finish => return None,
        }
    }
}

/// Blinks a module for a while; what goes wrong with it is told and stops nothing.
async fn blink(serial: SerialNumber, bus: &mut Line, talk: &mut Talk<'_>) {
    for on in [true, false] {
        let mut errand = Errand::of(serial, [System::blink(serial, on)]);
        let worked = bus.work(&mut errand).await;
        match worked {
            Ok(()) if errand.went_well() => {}
            Ok(()) => talk.say(&format!("  {serial} did not obey")),
            Err(failure) => return talk.say(&format!("  {failure}")),
        }
        if on {
            talk.say(&format!("  {serial} blinks for {} s", BLINK.as_secs()));
            sleep(BLINK).await;
        }
    }
}

/// An id after room and name, each once.
fn free_id(accessory: &DraftAccessory, ids: &mut HashSet<String>) -> String {
    let named = slug(&format!("{} {}", accessory.room, accessory.name)).to_lowercase();
    let of_point = format!("{}_{}", accessory.point.serial, accessory.point.output.get());
    let wanted = if named.is_empty() { of_point.clone() } else { named };
    if ids.insert(wanted.clone()) {
        return wanted;
    }
    ids.insert(of_point.clone());
    of_point
}

async fn homekit_door(talk: &mut Talk<'_>) -> Option<DraftHomeKit> {
    let question = "Open HomeKit to the home network? Answer `local` for this machine alone [Y/n/local]:";
    let listen = match talk.ask(question).await.unwrap_or_default().to_lowercase().as_str() {
        "n" | "no" => return None,
        "local" => "127.0.0.1:51826",
        _ => "0.0.0.0:51826",
    };
    Some(DraftHomeKit { listen: listen.into(), pin: None, remarks: Vec::new() })
}

#[cfg(test)]
mod tests;
