//! The control port: hands in the emulated house for tests and for people.
//!
//! One JSON object a line in, one JSON object a line out: `{"ok":true}` with what was asked for, or
//! `{"ok":false,"error":"…"}`. A line has at most 16 KiB. Serial numbers are strings of ten digits, outputs
//! count from 0, times are milliseconds since the house was switched on. [`Order`] lists every order.
//!
//! ```text
//! {"do":"turn","serial":"0012345004","output":0,"on":true}      a switch on the wall
//! {"do":"level","serial":"0012345011","output":1,"level":40}    a dimmer on the wall
//! {"do":"press","stem":"E14L00I02","held_ms":80}                a button, pressed and let go
//! {"do":"event","stem":"E14L00I02","edge":"make"}               half of that: "make" or "break"
//! {"do":"input","serial":"0012345004","input":1,"edge":"make"}  an input of a module's own
//! {"do":"telegram","telegram":"<S0012345008F02D12FJ>"}          another master speaks on the bus
//! {"do":"state"}                                                every module with its true levels
//! {"do":"counters"}                                             what was counted
//! {"do":"transcript","last":20}                                 the last telegrams through the gateway
//! {"do":"fault","kind":"lost_reply","serial":"0012345004","next":3}
//! {"do":"fault","kind":"late_reply","by_ms":400,"chance":0.1}   without "next" and "chance": always
//! {"do":"fault","kind":"lost_reply","next":0}                   off again
//! {"do":"clear_faults"}                                         all of them
//! {"do":"storm","serial":"0012345003","per_second":200}         until D10 is read
//! {"do":"restart","serial":"0012345004"}
//! {"do":"error_code","serial":"0012345004","code":254}          what D10 answers
//! {"do":"auto_report","serial":"0012345004","on":false}
//! {"do":"latency","serial":"0012345004","by_ms":200}            every answer comes so much later
//! {"do":"table","serial":"0012345004","entries":["CP20 4 0 > 1 ON"]}
//! {"do":"table","serial":"0012345004"}                          what the table is
//! {"do":"noise","bytes":"<R00<E07"}                             bytes that nobody said
//! {"do":"segments","bytes":1}                                   the client gets single bytes; 0: no limit
//! {"do":"disconnect","how":"rst_mid_frame"}                     fin, rst, rst_mid_frame, black_hole
//! {"do":"refuse","for_ms":5000}                                 new connections are closed at once
//! {"do":"gateway","up":false}                                   nobody listens any more
//! ```
//!
//! Kinds of faults: `lost_reply`, `lost_report`, `late_reply`, `late_report` (both with `by_ms`),
//! `reordered_reply`, `bad_checksum`, `truncated`, `doubled`, `refusal`, `collision`, `type_code_prefix`, `silence`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::conbus::{
    ActionTable, Edge, Event, EventBus, EventSource, OutputIndex, Percent, Piece, Point, SerialNumber,
    Splitter, TableEntry, Telegram,
};

use super::ledger::Direction;
use super::{Dose, Emulator, Ending, Fault, FaultKind, House};

/// The longest line, its end included.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// How many control connections are served at once; more are closed.
const CONNECTIONS_MAX: usize = 16;
/// How long a button is held when the order does not say; a short press (protocol reference 6.3).
const HELD_MS: u64 = 80;
/// How many telegrams `transcript` gives when the order does not say.
const TRANSCRIPT_LAST: usize = 100;
/// How much later a late telegram comes when the order does not say.
const LATE_MS: u64 = 500;

/// One order, by its `do`.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Somebody switches an output at the wall.
    Turn {
        /// The module.
        serial: SerialNumber,
        /// Its output.
        output: u8,
        /// On or off.
        on: bool,
    },
    /// Somebody dims an output at the wall.
    Level {
        /// The module.
        serial: SerialNumber,
        /// Its output.
        output: u8,
        /// 0 to 100.
        level: u8,
    },
    /// Somebody presses a button and lets go of it.
    Press {
        /// The button, as `E14L00I02`.
        stem: String,
        /// How long it is held.
        held_ms: Option<u64>,
    },
    /// An event is heard on the bus.
    Event {
        /// The sender and its input, as `E14L00I02`.
        stem: String,
        /// `make` or `break`.
        edge: String,
    },
    /// Somebody presses or releases an input of a module's own.
    Input {
        /// The module.
        serial: SerialNumber,
        /// Which, from 0.
        input: u8,
        /// `make` or `break`.
        edge: String,
    },
    /// Somebody else speaks on the bus.
    Telegram {
        /// The whole frame with its checksum.
        telegram: String,
    },
    /// Tells every module with its true state.
    State,
    /// Tells the counters.
    Counters,
    /// Tells the last telegrams that passed the gateway.
    Transcript {
        /// How many.
        last: Option<usize>,
    },
    /// Switches a fault on, or off with `"next":0`.
    Fault {
        /// Which.
        kind: String,
        /// On which module; on all when absent.
        serial: Option<SerialNumber>,
        /// The next so many times.
        next: Option<u32>,
        /// With this chance each time.
        chance: Option<f64>,
        /// How much later, for the late ones.
        by_ms: Option<u64>,
    },
    /// Switches every fault off.
    ClearFaults,
    /// A module repeats its last reply.
    Storm {
        /// The module.
        serial: SerialNumber,
        /// How often.
        per_second: u32,
        /// How many reads of D10 end it; one when absent.
        reads_to_end: Option<u32>,
    },
    /// A module restarts.
    Restart {
        /// The module.
        serial: SerialNumber,
    },
    /// Sets what D10 answers.
    ErrorCode {
        /// The module.
        serial: SerialNumber,
        /// 0 is healthy.
        code: u8,
    },
    /// Sets whether a module reports its outputs by itself.
    AutoReport {
        /// The module.
        serial: SerialNumber,
        /// D21.
        on: bool,
    },
    /// Sets what every answer of a module takes longer than usual.
    Latency {
        /// The module.
        serial: SerialNumber,
        /// How much longer.
        by_ms: u64,
    },
    /// Tells the action table of a module, and sets it first when there are entries.
    Table {
        /// The module.
        serial: SerialNumber,
        /// The entries, as `CP20 4 0 > 1 ON`; their outputs count from 1.
        entries: Option<Vec<String>>,
    },
    /// Sends the client bytes that no module has said.
    Noise {
        /// One character a byte.
        bytes: String,
    },
    /// Limits how many bytes the client gets at once.
    Segments {
        /// How many; 0 is no limit.
        bytes: usize,
    },
    /// Ends the client's connection.
    Disconnect {
        /// `fin`, `rst`, `rst_mid_frame` or `black_hole`.
        how: String,
    },
    /// Closes new connections at once for a while.
    Refuse {
        /// How long.
        for_ms: u64,
    },
    /// Switches the gateway on or off.
    Gateway {
        /// On or off.
        up: bool,
    },
}

impl Emulator {
    /// Serves the control port for ever.
    pub async fn serve_control(&self, listener: TcpListener) {
        let open = Rc::new(Cell::new(0));
        loop {
            match listener.accept().await {
                Ok((stream, _)) if open.get() >= CONNECTIONS_MAX => drop(stream),
                Ok((stream, _)) => {
                    let (house, open) = (self.clone(), open.clone());
                    open.set(open.get() + 1);
                    spawn_local(async move {
                        if let Err(error) = house.obey_lines(stream).await {
                            log::debug!(target: "emulator", "a control connection ended error={error}");
                        }
                        open.set(open.get() - 1);
                    });
                }
                Err(error) => {
                    log::warn!(target: "emulator", "a control connection could not be accepted error={error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn obey_lines(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = Vec::new();
            let limit = LINE_BYTES_MAX as u64;
            let count = (&mut reader).take(limit).read_until(b'\n', &mut line).await?;
            if count == 0 {
                return Ok(());
            }
            let whole = line.ends_with(b"\n") || count < LINE_BYTES_MAX;
            let answer = if whole {
                self.obey_line(&line)
            } else {
                json!({"ok": false, "error": format!("a line has at most {LINE_BYTES_MAX} bytes")})
            };
            writer.write_all(format!("{answer}\n").as_bytes()).await?;
            if !whole {
                return Ok(());
            }
        }
    }

    /// Obeys one line of the control port.
    pub fn obey_line(&self, line: &[u8]) -> Value {
        let result = serde_json::from_slice(line)
            .map_err(|error| format!("not an order: {error}"))
            .and_then(|order| self.obey(order));
        match result {
            Ok(Value::Object(mut told)) => {
                told.insert("ok".into(), Value::Bool(true));
                Value::Object(told)
            }
            Ok(_) => json!({"ok": true}),
            Err(error) => json!({"ok": false, "error": error}),
        }
    }

    /// Obeys one order; what it tells, or why it could not be done.
    pub fn obey(&self, order: Order) -> Result<Value, String> {
        match order {
            Order::Turn { serial, output, on } => self.turn(self.point(serial, output)?, on),
            Order::Level { serial, output, level } => {
                let level = Percent::new(level).ok_or(format!("level `{level}` is above 100"))?;
                self.set_level(self.point(serial, output)?, level);
            }
            Order::Press { stem, held_ms } => {
                self.press(source(&stem)?, Duration::from_millis(held_ms.unwrap_or(HELD_MS)));
            }
            Order::Event { stem, edge } => self.inject(event(&stem, &edge)?),
            Order::Input { serial, input, edge } => {
                let (serial, edge) = (self.known(serial)?, edge_named(&edge)?);
                self.with(|house, now| house.input(now, serial, input, edge));
            }
            Order::Telegram { telegram: frame } => self.overhear(telegram(&frame)?),
            Order::State => return Ok(self.with(|house, now| state(house, now))),
            Order::Counters => {
                let counters = serde_json::to_value(self.counters()).map_err(|error| error.to_string())?;
                return Ok(json!({"counters": counters}));
            }
            Order::Transcript { last } => return Ok(self.last_telegrams(last.unwrap_or(TRANSCRIPT_LAST))),
            Order::Fault { kind, serial, next, chance, by_ms } => {
                let by = Duration::from_millis(by_ms.unwrap_or(LATE_MS));
                let kind = FaultKind::from_name(&kind, by).ok_or(format!("no fault is called `{kind}`"))?;
                let dose = dose(next, chance)?;
                serial.map(|serial| self.known(serial)).transpose()?;
                self.fault(Fault { kind, serial, dose });
            }
            Order::ClearFaults => self.clear_faults(),
            Order::Storm { serial, per_second, reads_to_end } => {
                let serial = self.known(serial)?;
                self.with(|house, now| house.storm(now, serial, per_second, reads_to_end.unwrap_or(1)));
            }
            Order::Restart { serial } => self.restart(self.known(serial)?),
            Order::ErrorCode { serial, code } => {
                let serial = self.known(serial)?;
                self.with(|house, now| house.set_error_code(now, serial, code));
            }
            Order::AutoReport { serial, on } => {
                let serial = self.known(serial)?;
                self.with(|house, now| house.set_auto_report(now, serial, on));
            }
            Order::Latency { serial, by_ms } => {
                let serial = self.known(serial)?;
                self.with(|house, now| house.set_latency(now, serial, Duration::from_millis(by_ms)));
            }
            Order::Table { serial, entries } => return self.obey_table(self.known(serial)?, entries),
            Order::Noise { bytes } => self.noise(&latin1_bytes(&bytes)?),
            Order::Segments { bytes } => self.with(|house, _| house.set_segment_bytes(bytes)),
            Order::Disconnect { how } => {
                let how = Ending::from_name(&how).ok_or(format!("no connection ends by `{how}`"))?;
                self.drop_client(how);
            }
            Order::Refuse { for_ms } => self.refuse_for(Duration::from_millis(for_ms)),
            Order::Gateway { up } => self.gateway_up(up),
        }
        Ok(Value::Null)
    }

    fn obey_table(&self, serial: SerialNumber, entries: Option<Vec<String>>) -> Result<Value, String> {
        if let Some(entries) = entries {
            let entries: Result<Vec<TableEntry>, _> = entries.iter().map(|entry| entry.parse()).collect();
            let entries = entries.map_err(|error| error.to_string())?;
            let table = ActionTable::from_entries(&entries).map_err(|error| error.to_string())?;
            self.with(|house, now| house.set_table(now, serial, table));
        }
        let table = self.with(|house, _| house.table(serial).cloned());
        let lines = table.iter().flat_map(ActionTable::entries).map(|(_, entry)| match entry {
            Ok(entry) => entry.to_string(),
            Err(error) => format!("# {error}"),
        });
        Ok(json!({"entries": lines.collect::<Vec<_>>()}))
    }

    fn known(&self, serial: SerialNumber) -> Result<SerialNumber, String> {
        let here = self.with(|house, _| house.modules().iter().any(|module| module.serial() == serial));
        here.then_some(serial).ok_or(format!("no module `{serial}` in this house"))
    }

    fn point(&self, serial: SerialNumber, output: u8) -> Result<Point, String> {
        let serial = self.known(serial)?;
        let point = OutputIndex::new(output).map(|output| Point { serial, output });
        point
            .filter(|&point| self.output(point).is_some())
            .ok_or(format!("module `{serial}` has no output `{output}`"))
    }

    fn last_telegrams(&self, last: usize) -> Value {
        let transcript = self.transcript();
        let from = transcript.len().saturating_sub(last);
        let telegrams: Vec<Value> = transcript[from..]
            .iter()
            .map(|passed| {
                let dir = match passed.direction {
                    Direction::FromClient => "TX",
                    Direction::ToClient => "RX",
                };
                let telegram = passed.telegram.to_string();
                json!({"t_ms": passed.at.as_millis() as u64, "dir": dir, "telegram": telegram})
            })
            .collect();
        json!({"telegrams": telegrams})
    }
}

fn state(house: &House, now: Duration) -> Value {
    let modules: Vec<Value> = house
        .modules()
        .iter()
        .map(|module| {
            let levels: Vec<u8> = OutputIndex::first(module.module_type().outputs())
                .filter_map(|output| module.level(output).map(Percent::get))
                .collect();
            json!({
                "serial": module.serial(),
                "type": module.module_type().to_string(),
                "link": module.setup().link,
                "auto_report": module.setup().auto_report,
                "error_code": module.error_code(),
                "blinking": module.blinking(),
                "storming": module.storming(),
                "levels": levels,
            })
        })
        .collect();
    json!({"uptime_ms": now.as_millis() as u64, "gateway_up": house.is_gateway_up(), "modules": modules})
}

fn source(stem: &str) -> Result<EventSource, String> {
    EventSource::parse_stem(stem).ok_or(format!("`{stem}` is not the stem of an event, as `E14L00I02`"))
}

fn event(stem: &str, edge: &str) -> Result<Event, String> {
    Ok(Event { bus: EventBus::Xp, source: source(stem)?, edge: edge_named(edge)? })
}

fn edge_named(edge: &str) -> Result<Edge, String> {
    match edge {
        "make" => Ok(Edge::Make),
        "break" => Ok(Edge::Break),
        _ => Err(format!("an edge is `make` or `break`, not `{edge}`")),
    }
}

/// One byte a character, as everything on this bus (protocol reference 1.1).
fn latin1_bytes(text: &str) -> Result<Vec<u8>, String> {
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    bytes.map_err(|_| format!("`{text}` holds a character that is not one byte"))
}

fn telegram(frame: &str) -> Result<Telegram, String> {
    let bytes = latin1_bytes(frame)?;
    let mut splitter = Splitter::new();
    let parsed = match splitter.next_piece(&mut bytes.as_slice()) {
        Some(Piece::Frame(frame)) => Telegram::parse(frame).ok(),
        _ => None,
    };
    parsed.ok_or(format!("`{frame}` is not a telegram"))
}

fn dose(next: Option<u32>, chance: Option<f64>) -> Result<Dose, String> {
    match (next, chance) {
        (None, None) => Ok(Dose::ALWAYS),
        (Some(0), None) => Ok(Dose::Off),
        (Some(next), None) => Ok(Dose::Next(next)),
        (None, Some(chance)) if (0.0..=1.0).contains(&chance) => Ok(Dose::Chance(chance)),
        (None, Some(chance)) => Err(format!("a chance is 0 to 1, not `{chance}`")),
        (Some(_), Some(_)) => Err("a fault has `next` or `chance`, not both".into()),
    }
}
