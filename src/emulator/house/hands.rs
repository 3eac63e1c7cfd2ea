//! What people and accidents do to the house from outside the bus.

use std::time::Duration;

use crate::conbus::{ActionTable, Edge, Percent, Point, SerialNumber, Telegram};

use super::super::bus::{Author, Transmission};
use super::super::faults::Fault;
use super::super::gateway::Ending;
use super::super::module::{Module, Utterance};
use super::House;

impl House {
    /// Somebody switches an output at the wall.
    pub fn turn(&mut self, now: Duration, point: Point, on: bool) {
        self.touch(now, point.serial, |module| module.turn(point.output, on));
    }

    /// Somebody dims an output at the wall.
    pub fn set_level(&mut self, now: Duration, point: Point, level: Percent) {
        self.touch(now, point.serial, |module| module.set_level(point.output, level));
    }

    /// Somebody presses or releases an input of a module's own, a panel's button among them.
    pub fn input(&mut self, now: Duration, serial: SerialNumber, input: u8, edge: Edge) {
        self.touch(now, serial, |module| module.input(now, input, edge));
    }

    /// A module restarts: its outputs stay and it reports all of them.
    pub fn restart(&mut self, now: Duration, serial: SerialNumber) {
        self.faults.count("restart");
        let later = now + self.timing.restart;
        self.touch(now, serial, |module| {
            module.restart(later);
            Vec::new()
        });
    }

    /// A module repeats its last reply so often, until D10 has been read so many times (protocol reference 7.5).
    pub fn storm(&mut self, now: Duration, serial: SerialNumber, per_second: u32, reads_to_end: u32) {
        self.faults.count("storm");
        self.touch(now, serial, |module| {
            module.start_storm(now, per_second, reads_to_end);
            Vec::new()
        });
    }

    /// Sets what D10 of a module answers; 0 is healthy.
    pub fn set_error_code(&mut self, now: Duration, serial: SerialNumber, code: u8) {
        self.touch(now, serial, |module| {
            module.set_error_code(code);
            Vec::new()
        });
    }

    /// Sets whether a module reports by itself, as if somebody had done it with another tool.
    pub fn set_auto_report(&mut self, now: Duration, serial: SerialNumber, on: bool) {
        self.touch(now, serial, |module| {
            module.set_auto_report(on);
            Vec::new()
        });
    }

    /// Gives a module another action table, as if somebody had written it with another tool.
    pub fn set_table(&mut self, now: Duration, serial: SerialNumber, table: ActionTable) {
        self.touch(now, serial, |module| {
            module.set_table(table);
            Vec::new()
        });
    }

    /// Sets what every answer of a module takes longer than usual.
    pub fn set_latency(&mut self, now: Duration, serial: SerialNumber, latency: Duration) {
        self.touch(now, serial, |module| {
            module.set_latency(latency);
            Vec::new()
        });
    }

    /// Sends bytes to the client that no module has said.
    pub fn noise(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        self.faults.count("noise");
        let noise =
            Transmission { author: Author::Stranger, bytes: bytes.to_vec(), telegram: None, depth: 0 };
        self.deliver(now, &noise);
    }

    /// Sends the client at most so many bytes at once, a millisecond apart; 0 is as many as there are.
    pub fn set_segment_bytes(&mut self, most: usize) {
        self.gateway.set_segment_bytes(most);
    }

    fn touch(
        &mut self,
        now: Duration,
        serial: SerialNumber,
        verb: impl FnOnce(&mut Module) -> Vec<Utterance>,
    ) {
        self.advance(now);
        if let Some(place) = self.place(serial) {
            let said = verb(&mut self.modules[place]);
            if !self.silent(place) {
                self.speak(now, place, said, 0);
            }
        }
        self.advance(now);
    }

    /// Somebody who is not a module of the house puts a telegram on the bus: a panel an event, another master a
    /// request, anybody a reply. The client hears it, and the modules do.
    pub fn overhear(&mut self, now: Duration, telegram: Telegram) {
        self.advance(now);
        if let Telegram::System(request) = &telegram {
            self.ask(now, request.clone());
        }
        let transmission = self.plain(Author::Stranger, telegram, 0);
        let takes = self.timing.on_the_bus(transmission.bytes.len());
        self.bus.offer(now, takes, transmission);
        self.advance(now);
    }

    // --- the gateway -------------------------------------------------------------------------------------

    /// Ends the client's connection.
    pub fn drop_client(&mut self, now: Duration, how: Ending) {
        self.advance(now);
        self.faults.count("disconnect");
        self.gateway.drop_client(how);
    }

    /// Refuses new clients until this time.
    pub fn refuse_until(&mut self, until: Duration) {
        self.gateway.refuse_until(until);
    }

    /// Switches the gateway on or off; off ends the client's connection.
    pub fn gateway_up(&mut self, now: Duration, up: bool) {
        self.advance(now);
        self.gateway.set_up(up);
    }

    /// Whether the gateway is switched on.
    pub fn is_gateway_up(&self) -> bool {
        self.gateway.is_up()
    }

    /// Switches a fault on or off.
    pub fn fault(&mut self, fault: Fault) {
        self.faults.set(fault);
    }

    /// Switches every fault off; storms and a gateway that is down stay.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }
}
