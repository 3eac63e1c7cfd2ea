//! Claims about the house, on made-up time and without a runtime.

mod actions;
mod bus;
mod clients;
mod faults;
mod modules;
mod properties;
mod tables;

use std::time::Duration;

use super::*;
use crate::conbus::{ModuleType, OutputIndex, Percent, Point, SerialNumber, Splitter, Telegram};

const MS: Duration = Duration::from_millis(1);
const RELAY: &str = "0012345004";
const DIMMER: &str = "0012345011";
const BRIDGE: &str = "0012345001";

fn serial(text: &str) -> SerialNumber {
    text.parse().unwrap()
}

fn point(module: &str, output: u8) -> Point {
    Point { serial: serial(module), output: OutputIndex::new(output).unwrap() }
}

fn percent(level: u8) -> Percent {
    Percent::new(level).unwrap()
}

fn setup() -> HouseSetup {
    HouseSetup::new(vec![
        ModuleSetup::new(serial(BRIDGE), ModuleType::XP130, 0),
        ModuleSetup::new(serial(RELAY), ModuleType::XP24, 4),
        ModuleSetup::new(serial(DIMMER), ModuleType::XP33LED, 11),
    ])
}

/// A house with one client that is connected.
struct Visit {
    house: House,
    client: ClientId,
    now: Duration,
    splitter: Splitter,
}

impl Visit {
    fn new(setup: HouseSetup) -> Self {
        let mut house = House::new(setup);
        let Arrival::Welcome(client) = house.arrive(Duration::ZERO) else { panic!("nobody is there yet") };
        Self { house, client, now: Duration::ZERO, splitter: Splitter::new() }
    }

    fn quick(setup: HouseSetup) -> Self {
        Self::new(setup.with_timing(Timing::zero()))
    }

    fn raw(&mut self, bytes: &[u8]) -> String {
        self.house.take_bytes(self.now, self.client, bytes);
        let said = self.house.collect(self.client);
        said.bytes.iter().map(|&byte| char::from(byte)).collect()
    }

    /// Sends a telegram by its payload; the payloads that come back at once.
    fn say(&mut self, payload: &str) -> String {
        let telegram = Telegram::parse_payload(payload.as_bytes()).unwrap();
        self.house.take_bytes(self.now, self.client, &telegram.to_bytes());
        self.texts(Duration::ZERO).join(" ")
    }

    /// Lets time pass; every frame with the millisecond at which it was there.
    fn wait(&mut self, time: Duration) -> Vec<(u64, String)> {
        let end = self.now + time;
        let mut seen = Vec::new();
        loop {
            let due = self.house.next_due().filter(|due| *due <= end);
            self.now = due.unwrap_or(end);
            self.house.advance(self.now);
            let bytes = self.house.collect(self.client).bytes;
            let mut input = bytes.as_slice();
            while let Some(piece) = self.splitter.next_piece(&mut input) {
                let text = match piece {
                    crate::conbus::Piece::Frame(frame) => {
                        frame.payload().iter().map(|&byte| char::from(byte)).collect()
                    }
                    crate::conbus::Piece::Noise(noise) => format!("noise {:?}", noise.why),
                };
                seen.push((self.now.as_millis() as u64, text));
            }
            if due.is_none() {
                return seen;
            }
        }
    }

    fn texts(&mut self, time: Duration) -> Vec<String> {
        self.wait(time).into_iter().map(|(_, text)| text).collect()
    }

    fn turn(&mut self, module: &str, output: u8, on: bool) {
        self.house.turn(self.now, point(module, output), on);
    }

    fn output(&self, module: &str, output: u8) -> Option<(bool, Percent)> {
        self.house.output(point(module, output))
    }
}
