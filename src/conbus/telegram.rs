//! The four telegram forms (protocol reference 2): events, events of the older bus, system telegrams, replies.
//!
//! Parsing and printing stand side by side. Telegrams to send are built from typed parts only, so an illegal
//! one cannot be made.

use std::fmt;

use serde::Serialize;

use super::datapoint::latin1;
use super::digits::Form;
use super::letters::Letters;
use super::{
    Datapoint, DatapointValue, Frame, Function, ModuleType, OutputIndex, Percent, SerialNumber, checksum,
};

/// Whether a switch was pressed (or an output went on), or released (or off).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// `M`: pressed, or on.
    Make,
    /// `B`: released, or off.
    Break,
}

impl Edge {
    /// The letter on the wire.
    pub fn letter(self) -> u8 {
        match self {
            Self::Make => b'M',
            Self::Break => b'B',
        }
    }

    /// The edge that reports this state of an output.
    pub fn of_output(on: bool) -> Self {
        if on { Self::Make } else { Self::Break }
    }
}

/// Which bus an event comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventBus {
    /// `E`: the XP bus.
    Xp,
    /// `O`: an event of the older CP bus; it carries no output state.
    Cp,
}

/// Where an event comes from: type, link and input of the sender. It carries no serial number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct EventSource {
    /// The sender's type.
    pub module_type: ModuleType,
    /// The sender's link number, 0 to 99.
    pub link: u8,
    /// Which input, 0 to 99; its meaning depends on the sender (protocol reference 5.1).
    pub input: u8,
}

impl EventSource {
    /// Reads the stem that a config holds, as `E02L04I01`.
    pub fn parse_stem(text: &str) -> Option<Self> {
        Self::parse(text.as_bytes().strip_prefix(b"E")?.try_into().ok()?)
    }

    /// Reads `07L06I80`.
    fn parse(text: [u8; 8]) -> Option<Self> {
        const FORM: Form = Form::new(*b"00L00I00");
        let numbers = FORM.read(text)?;
        let (module_type, link, input) = (numbers.pair(0), numbers.pair(3), numbers.pair(6));
        Some(Self { module_type: ModuleType::new(module_type)?, link, input })
    }
}

impl fmt::Display for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:02}L{:02}I{:02}", self.module_type.code(), self.link, self.input)
    }
}

/// What the input number of an event stands for; the sender's type decides (protocol reference 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventMeaning {
    /// An actor tells the state of its output.
    OutputReport(OutputIndex),
    /// Event timer 1 to 4 of an actor ran out.
    TimerExpired(u8),
    /// A push button or an input.
    Button(u8),
    /// A channel of a remote control.
    Remote(u8),
    /// Somebody is near a panel.
    Proximity,
    /// A number without a known meaning.
    Undefined,
}

/// Somebody or something happened on the bus.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Event {
    /// Which bus.
    pub bus: EventBus,
    /// Who.
    pub source: EventSource,
    /// Pressed or released, on or off.
    pub edge: Edge,
}

impl Event {
    /// What its input number means.
    pub fn meaning(&self) -> EventMeaning {
        let EventSource { module_type, input, .. } = self.source;
        if module_type.is_actor() {
            return match input {
                80..=87 => {
                    OutputIndex::new(input - 80).map_or(EventMeaning::Undefined, EventMeaning::OutputReport)
                }
                70..=73 => EventMeaning::TimerExpired(input - 69),
                0..=9 => EventMeaning::Button(input),
                _ => EventMeaning::Undefined,
            };
        }
        match input {
            // Injected events of a virtual link use numbers beyond its eight inputs (protocol reference 5.1).
            _ if module_type == ModuleType::CP20 || module_type == ModuleType::XP20 => {
                EventMeaning::Button(input)
            }
            0..=9 => EventMeaning::Button(input),
            10..=89 => EventMeaning::Remote(input),
            90 => EventMeaning::Proximity,
            _ => EventMeaning::Undefined,
        }
    }
}

/// A request to one module or to all.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct System {
    /// To whom.
    pub serial: SerialNumber,
    /// What to do.
    pub function: Function,
    data: Letters,
}

/// An answer; the serial number is the sender's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reply {
    /// From whom.
    pub serial: SerialNumber,
    /// Which function it answers, or ACK or NAK.
    pub function: Function,
    data: Letters,
}

/// What a system telegram does to the house.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// F27: switch a relay.
    SetOutput(OutputIndex, bool),
    /// F04 D15: bring a dimmer to a level.
    SetLevel(OutputIndex, Percent),
}

impl Command {
    /// Which output it changes.
    pub fn output(self) -> OutputIndex {
        match self {
            Self::SetOutput(output, _) | Self::SetLevel(output, _) => output,
        }
    }
}

impl System {
    fn new(serial: SerialNumber, function: Function, data: impl AsRef<[u8]>) -> Self {
        Self { serial, function, data: Letters::new(data.as_ref()) }
    }

    /// F01 to everyone: who is there?
    pub fn discover() -> Self {
        Self::new(SerialNumber::BROADCAST, Function::DISCOVERY, b"00")
    }

    /// F02: read a datapoint.
    pub fn read(serial: SerialNumber, datapoint: Datapoint) -> Self {
        Self::new(serial, Function::READ_DATAPOINT, datapoint.code())
    }

    /// F27 or F04 D15 (protocol reference 6.1 and 6.2).
    pub fn command(serial: SerialNumber, command: Command) -> Self {
        match command {
            Command::SetOutput(output, on) => {
                let action = if on { "AB" } else { "AA" };
                Self::new(serial, Function::SET_OUTPUT, format!("{:02}{action}", output.get()))
            }
            Command::SetLevel(output, level) => {
                Self::new(serial, Function::WRITE_CONFIG, format!("15{:02}:{:03}", output.get(), level.get()))
            }
        }
    }

    /// F05 or F06: blink the front LED, or stop.
    pub fn blink(serial: SerialNumber, on: bool) -> Self {
        Self::new(serial, if on { Function::BLINK_ON } else { Function::BLINK_OFF }, b"00")
    }

    /// F04 D21: report outputs by itself, or not. A persistent setting of the module (protocol reference 5.3).
    pub fn set_auto_report(serial: SerialNumber, on: bool) -> Self {
        Self::new(serial, Function::WRITE_CONFIG, if on { b"21PP" } else { b"21AA" })
    }

    /// What stands after the `D`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Which datapoint it reads, when it is a read.
    pub fn reads(&self) -> Option<Datapoint> {
        if self.function != Function::READ_DATAPOINT {
            return None;
        }
        Datapoint::from_wire(*self.data.first_chunk::<2>()?)
    }

    /// Which output it changes, when it is a command for one.
    pub fn commands(&self) -> Option<Command> {
        match (self.function, &self.data[..]) {
            (Function::SET_OUTPUT, [o0, o1, b'A', action @ (b'A' | b'B')]) => {
                let output = OutputIndex::new(two_digits(*o0, *o1)?)?;
                Some(Command::SetOutput(output, *action == b'B'))
            }
            (Function::WRITE_CONFIG, [b'1', b'5', o0, o1, b':', l0, l1, l2]) => {
                let output = OutputIndex::new(two_digits(*o0, *o1)?)?;
                let level = u16::from(two_digits(*l0, *l1)?) * 10 + u16::from(digit(*l2)?);
                Some(Command::SetLevel(output, Percent::new(level.try_into().ok()?)?))
            }
            _ => None,
        }
    }
}

impl Reply {
    /// A reply with these data; the emulated house speaks with it.
    ///
    /// `None` when the data hold a bracket, which would forge a frame.
    pub fn new(serial: SerialNumber, function: Function, data: impl AsRef<[u8]>) -> Option<Self> {
        let data = data.as_ref();
        (!has_bracket(data)).then(|| Self { serial, function, data: Letters::new(data) })
    }

    /// F18: accepted.
    pub fn ack(serial: SerialNumber) -> Self {
        Self { serial, function: Function::ACK, data: Letters::NONE }
    }

    /// F19: refused.
    pub fn nak(serial: SerialNumber) -> Self {
        Self { serial, function: Function::NAK, data: Letters::NONE }
    }

    /// What stands after the `D`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Which datapoint it answers and with what bytes, when it answers a read.
    pub fn datapoint(&self) -> Option<(Datapoint, &[u8])> {
        if self.function != Function::READ_DATAPOINT {
            return None;
        }
        let (code, value) = self.data.split_first_chunk::<2>()?;
        Some((Datapoint::from_wire(*code)?, value))
    }

    /// The answer to a read with its meaning.
    pub fn value(&self) -> Option<(Datapoint, DatapointValue)> {
        let (datapoint, value) = self.datapoint()?;
        Some((datapoint, DatapointValue::parse(datapoint, value)))
    }
}

/// Any telegram of the bus.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Telegram {
    /// `E` or `O`.
    Event(Event),
    /// `S`.
    System(System),
    /// `R`.
    Reply(Reply),
}

/// A frame with a good checksum that has none of the four forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the four telegram forms")]
pub struct GrammarError;

impl Telegram {
    /// Reads a frame.
    #[inline]
    pub fn parse(frame: Frame<'_>) -> Result<Self, GrammarError> {
        // A frame ends at the first bracket behind its own: there is none inside.
        Self::parse_letters(frame.payload())
    }

    /// Reads what stands between `<` and the checksum.
    pub fn parse_payload(payload: &[u8]) -> Option<Self> {
        if has_bracket(payload) { None } else { Self::parse_letters(payload).ok() }
    }

    #[inline]
    fn parse_letters(payload: &[u8]) -> Result<Self, GrammarError> {
        let (letter, rest) = payload.split_first().ok_or(GrammarError)?;
        match letter {
            b'E' => Ok(Self::Event(event(EventBus::Xp, rest).ok_or(GrammarError)?)),
            b'O' => Ok(Self::Event(event(EventBus::Cp, rest).ok_or(GrammarError)?)),
            b'S' | b'R' => {
                let (serial, function, data) = addressed(rest).ok_or(GrammarError)?;
                // An arm each, so that both are built where they stay: from one they would be copied.
                match Letters::few(data) {
                    Some(data) if *letter == b'S' => Ok(Self::System(System { serial, function, data })),
                    Some(data) => Ok(Self::Reply(Reply { serial, function, data })),
                    None => Ok(Self::long(*letter, serial, function, data)),
                }
            }
            _ => Err(GrammarError),
        }
    }

    /// One with many data: a chunk of a table.
    #[cold]
    fn long(letter: u8, serial: SerialNumber, function: Function, data: &[u8]) -> Self {
        let data = Letters::new(data);
        match letter {
            b'S' => Self::System(System { serial, function, data }),
            _ => Self::Reply(Reply { serial, function, data }),
        }
    }

    /// The payload, without brackets and checksum.
    pub fn payload(&self) -> Vec<u8> {
        let (letter, serial, function, data) = match self {
            Self::Event(event) => {
                let mut payload = event.source.to_string().into_bytes();
                if event.bus == EventBus::Cp {
                    payload[0] = b'O';
                }
                payload.push(event.edge.letter());
                return payload;
            }
            Self::System(system) => (b'S', system.serial, system.function, &system.data),
            Self::Reply(reply) => (b'R', reply.serial, reply.function, &reply.data),
        };
        let mut payload = Vec::with_capacity(15 + data.len());
        payload.push(letter);
        payload.extend(serial.digits());
        payload.extend([b'F', b'0' + function.code() / 10, b'0' + function.code() % 10, b'D']);
        payload.extend_from_slice(data);
        payload
    }

    /// The whole frame as it goes onto the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let payload = self.payload();
        let mut frame = Vec::with_capacity(payload.len() + 4);
        frame.push(b'<');
        frame.extend_from_slice(&payload);
        frame.extend(checksum::checksum(&payload));
        frame.push(b'>');
        frame
    }

    /// Whose serial number it carries.
    pub fn serial(&self) -> Option<SerialNumber> {
        match self {
            Self::Event(_) => None,
            Self::System(system) => Some(system.serial),
            Self::Reply(reply) => Some(reply.serial),
        }
    }
}

/// Prints the frame, each byte as the character of ISO 8859-1.
impl fmt::Display for Telegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.to_bytes();
        match str::from_utf8(&frame) {
            Ok(letters) if letters.is_ascii() => f.write_str(letters),
            _ => f.write_str(&latin1(&frame)),
        }
    }
}

impl From<Event> for Telegram {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl From<System> for Telegram {
    fn from(system: System) -> Self {
        Self::System(system)
    }
}

impl From<Reply> for Telegram {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// A bracket inside of a telegram would end it.
fn has_bracket(bytes: &[u8]) -> bool {
    memchr::memchr2(b'<', b'>', bytes).is_some()
}

/// Reads `07L06I80M`.
fn event(bus: EventBus, rest: &[u8]) -> Option<Event> {
    let (source, edge) = rest.split_first_chunk()?;
    let edge = match edge {
        b"M" => Edge::Make,
        b"B" => Edge::Break,
        _ => return None,
    };
    Some(Event { bus, source: EventSource::parse(*source)?, edge })
}

/// Reads `0012345008F02D` and what follows.
fn addressed(rest: &[u8]) -> Option<(SerialNumber, Function, &[u8])> {
    const BEGIN: Form = Form::new(*b"00000000");
    const END: Form = Form::new(*b"0000F00D");
    let (head, data) = rest.split_first_chunk::<14>()?;
    let begin = BEGIN.read(*head.first_chunk()?)?;
    // The last eight of the fourteen: two digits are in both.
    let end = END.read(*head.last_chunk()?)?;
    let serial = SerialNumber::of_number(begin.number() * 100 + u64::from(end.pair(2)));
    Some((serial, Function::new(end.pair(5))?, data))
}

#[cfg(test)]
mod tests;
