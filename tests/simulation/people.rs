//! Who uses the house: readers through the daemon, hands at the walls, other masters on the bus.

use std::time::Duration;

use conbusd::actors::events::{GetState, Read, SetTarget};
use conbusd::actors::{ask, now as moment};
use conbusd::conbus::{
    Bitmap, Command, Datapoint, Event, EventSource, Function, Levels, Percent, Reply, SerialNumber, System,
};
use conbusd::policy::store::Want;
use conbusd::policy::switch::{Target, Until};
use conbusd::policy::{Freshness, Urgency};
use fastrand::Rng;
use tokio::task::spawn_local;

use crate::court::{Promise, Shown, Window};
use crate::house::{House, Lamp, shown};
use crate::weather::Weather;

/// How long a read, and a confirmed write, may take at most: the cache gives up after three seconds, and its answer
/// has to come through an accessory.
const READ_WITHIN: Duration = Duration::from_millis(3_050);
pub(crate) const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Two poll periods of a module that reports by itself, and of one that has told that it does not, and a turn of
/// all the others.
const POLLED_WITHIN: Duration = Duration::from_secs(2 * 20);
const POLLED_OFTEN_WITHIN: Duration = Duration::from_secs(2 * 2 + 2);

/// The same for several lamps: each gives up by itself before.
const TOGETHER_WITHIN: Duration = Duration::from_millis(5_500);

/// When a reply of which two could be the answer is surely none any more.
const SETTLED: Duration = Duration::from_secs(4);

/// Two changes of one output are told in their order when they are this far apart.
const HANDS_APART: Duration = Duration::from_millis(100);

impl House {
    /// Reads an accessory as a door does, and judges the answer.
    pub(crate) fn read(&self, index: usize, max_age: Want) {
        let Some(addr) = &self.addrs[index] else { return };
        let (lamp, court, line) = (self.lamps[index], self.court.clone(), self.line.clone());
        let (asked, asleep) = (line.now(), line.asleep.get());
        let answer = ask(addr, GetState { max_age }, READ_WITHIN * 2);
        let doors = self.doors.clone();
        let come = [Window::Accessory, Window::Http].map(|window| court.borrow().floor(window, lamp.point));
        spawn_local(async move {
            let answer = answer.await;
            let now = line.now();
            let mut court = court.borrow_mut();
            court.answered(("a read of", lamp.point), asked..line.awake(now, asleep), READ_WITHIN);
            match answer {
                Ok(state) => {
                    let shown = shown(lamp, &state);
                    court.shown_after(Window::Accessory, &shown, come[0], now);
                    court.wanted(max_age, &shown, now);
                    drop(court);
                    doors.borrow().http(index, &state, come[1]);
                }
                Err(error) => court.trace((now, error as u8)),
            }
        });
    }

    /// Reads the cache itself.
    pub(crate) fn read_cache(&self, index: usize, max_age: Want) {
        if self.addrs[index].is_none() {
            return;
        }
        let (lamp, court, line) = (self.lamps[index], self.court.clone(), self.line.clone());
        let (asked, asleep) = (line.now(), line.asleep.get());
        let read = Read { point: lamp.point, max_age, urgency: Urgency::Reader, asked_at: moment() };
        let answer = ask(&self.app.cache, read, READ_WITHIN * 2);
        let come = court.borrow().floor(Window::Cache, lamp.point);
        spawn_local(async move {
            let answer = answer.await;
            let now = line.now();
            let mut court = court.borrow_mut();
            court.answered(("a read of", lamp.point), asked..line.awake(now, asleep), READ_WITHIN);
            match answer {
                Ok(reading) => {
                    let shown = Shown {
                        point: lamp.point,
                        on: reading.on,
                        level: reading.level.map(Percent::get).filter(|_| lamp.dims),
                        freshness: reading.freshness,
                        observed_at: reading.observed_at,
                        origin: reading.origin,
                    };
                    court.shown_after(Window::Cache, &shown, come, now);
                    court.wanted(max_age, &shown, now);
                }
                Err(error) => court.trace((now, error as u8)),
            }
        });
    }

    /// Gives a command; when it is confirmed it must have happened.
    pub(crate) fn command(&self, index: usize, target: Target, until: Until) {
        let Some(addr) = &self.addrs[index] else { return };
        let (lamp, court, line) = (self.lamps[index], self.court.clone(), self.line.clone());
        let (asked, asleep) = (line.now(), line.asleep.get());
        let answer = ask(addr, SetTarget { target, until, client: 1 }, WRITE_WITHIN * 2);
        spawn_local(async move {
            let answer = answer.await;
            let now = line.now();
            let mut court = court.borrow_mut();
            court.trace((now, answer.is_ok()));
            court.answered(("a command for", lamp.point), asked..line.awake(now, asleep), WRITE_WITHIN);
            // A newer wish may have taken its place: what is reported done is what is shown.
            if let Ok(state) = answer
                && until == Until::Confirmed
                && state.freshness == Freshness::Fresh
                && let Some(on) = state.on
            {
                court.confirmed(lamp.point, on, state.brightness.map(Percent::get), asked, now);
            }
        });
    }

    /// Somebody changes an output at the wall, unless that could be told in the wrong order.
    pub(crate) fn touch(&self, lamp: Lamp, weather: &Weather, chance: &mut Rng) {
        let now = self.line.now();
        self.line.sample();
        let busy = {
            let court = self.court.borrow();
            let life = court.truth.of(lamp.point);
            life.on.since() + HANDS_APART > now || life.level.since() + HANDS_APART > now
        };
        if busy || weather.is_restarting(lamp.point.serial) || self.line.is_commanded(lamp.point.serial) {
            return;
        }
        if lamp.dims && chance.bool() {
            let level = Percent::new(chance.u8(0..=100)).unwrap();
            self.line.emulator.set_level(lamp.point, level);
        } else {
            let on = self.line.emulator.output(lamp.point).is_some_and(|(on, _)| on);
            self.line.emulator.turn(lamp.point, !on);
        }
        self.line.sample();
    }

    /// Another master reads a module, and everybody hears it.
    pub(crate) fn foreign_read(&self, serial: SerialNumber, weather: &Weather, chance: &mut Rng) {
        if self.line.now() < weather.replies_late_until {
            return;
        }
        let points = [Datapoint::OUTPUTS, Datapoint::LEVELS, Datapoint::ERROR_CODE];
        self.line.emulator.overhear(System::read(serial, points[chance.usize(0..3)]));
    }

    /// Another master switches an output, and everybody hears it.
    pub(crate) fn foreign_command(&self, lamp: Lamp, weather: &Weather, chance: &mut Rng) {
        if weather.is_restarting(lamp.point.serial) || self.line.is_commanded(lamp.point.serial) {
            return;
        }
        let output = lamp.point.output;
        let command = if lamp.dims {
            Command::SetLevel(output, Percent::new(chance.u8(0..=100)).unwrap())
        } else {
            Command::SetOutput(output, chance.bool())
        };
        self.line.commanded(lamp.point.serial);
        self.line.emulator.overhear(System::command(lamp.point.serial, command));
        self.line.sample_when_heard();
    }

    /// The daemon hears a module's reply to a master whose question it could not hear, up to 80 ms late.
    pub(crate) fn unheard_read(&self, serial: SerialNumber, weather: &Weather, chance: &mut Rng) {
        if self.line.now() < weather.replies_late_until {
            return;
        }
        let lamps = self.lamps.iter().enumerate();
        let outputs: Vec<_> = lamps.filter(|(_, lamp)| lamp.point.serial == serial).collect();
        let levels = outputs[0].1.dims && chance.bool();
        let (mut bitmap, mut dimmed) = (Bitmap::default(), Levels::default());
        for (_, lamp) in &outputs {
            let (on, level) = self.line.emulator.output(lamp.point).unwrap();
            bitmap.set(lamp.point.output, on);
            dimmed.set(lamp.point.output, level);
        }
        let told =
            if levels { format!("15{dimmed}") } else { format!("12{}", bitmap.to_text(outputs.len() as u8)) };
        let reply = Reply::new(serial, Function::READ_DATAPOINT, told.into_bytes()).unwrap();
        let bytes = conbusd::conbus::Telegram::from(reply).to_bytes();
        self.line.say_later(bytes, Duration::from_millis(chance.u64(0..80)));
    }

    /// The daemon hears the next reply twice, the second time within the time that the update rule allows.
    pub(crate) fn echo(&self, weather: &Weather, chance: &mut Rng) {
        if self.line.now() >= weather.replies_late_until {
            self.line.echo.set(Some(Duration::from_millis(chance.u64(0..90))));
        }
    }

    /// Something on the line that is no telegram, or breaks into one.
    pub(crate) fn garbage(&self, chance: &mut Rng) {
        let letters = |count: usize, chance: &mut Rng| -> Vec<u8> {
            (0..count)
                .map(|_| {
                    [b'A'..=b'P', b'0'..=b'9'][chance.usize(0..2)].clone().nth(chance.usize(0..10)).unwrap()
                })
                .collect()
        };
        let (what, bytes) = match chance.u8(0..5) {
            0 => ("unterminated", [b"<E07L0".to_vec(), letters(9, chance)].concat()),
            1 => ("oversized", [b"<R".to_vec(), letters(400, chance), b">".to_vec()].concat()),
            2 => {
                let bytes = (0..chance.usize(1..40)).map(|_| *chance.choice(b"<<>>R0\xff\0A").unwrap());
                self.court.borrow_mut().act("broken_into");
                *self.line.inside.borrow_mut() = Some(bytes.collect());
                return;
            }
            _ => {
                let bytes: Vec<u8> = (0..chance.usize(1..60)).map(|_| chance.u8(..)).collect();
                ("garbage", bytes.into_iter().filter(|byte| !matches!(byte, b'<' | b'>')).collect())
            }
        };
        self.court.borrow_mut().act(what);
        self.line.say_later(bytes, Duration::ZERO);
    }

    /// Replies that are nobody's answer: of a stranger, of a datapoint that nobody reads, of a function that nobody
    /// has heard of.
    pub(crate) fn misaddressed(&self, serial: SerialNumber, chance: &mut Rng) {
        let stranger = "9999999999".parse().unwrap();
        let (serial, function, told) = match chance.u8(0..3) {
            0 => (stranger, Function::READ_DATAPOINT, "12XXXX1111"),
            1 => (serial, Function::READ_DATAPOINT, "5500,00"),
            _ => (serial, Function::new(77).unwrap(), "D"),
        };
        let reply = Reply::new(serial, function, told.as_bytes()).unwrap();
        self.court.borrow_mut().act("misaddressed");
        self.line.say_later(conbusd::conbus::Telegram::from(reply).to_bytes(), Duration::ZERO);
    }

    /// Another program at the shared port reads a module, or switches an output.
    pub(crate) fn guest(&self, lamp: Lamp, weather: &Weather, chance: &mut Rng) {
        let serial = lamp.point.serial;
        let is_busy = weather.is_restarting(serial) || self.line.is_commanded(serial);
        if chance.bool() || lamp.dims || is_busy {
            let points = [Datapoint::OUTPUTS, Datapoint::LEVELS, Datapoint::ERROR_CODE];
            self.guest.say(System::read(serial, points[chance.usize(0..3)]));
        } else {
            self.guest.say(System::command(serial, Command::SetOutput(lamp.point.output, chance.bool())));
        }
    }

    /// The group is switched, or the scene is called.
    pub(crate) fn together(&self, chance: &mut Rng) {
        let Some(addr) = chance.choice(&self.ensembles) else { return };
        let target = Target { on: Some(chance.bool()), level: None };
        let (court, line) = (self.court.clone(), self.line.clone());
        let (asked, asleep) = (line.now(), line.asleep.get());
        let answer = ask(addr, SetTarget { target, until: Until::Confirmed, client: 3 }, WRITE_WITHIN * 2);
        let point = self.lamps[0].point;
        spawn_local(async move {
            let is_done = answer.await.is_ok();
            let now = line.now();
            let mut court = court.borrow_mut();
            court.trace((now, is_done));
            court.act("together");
            court.answered(
                ("a wish for several with", point),
                asked..line.awake(now, asleep),
                TOGETHER_WITHIN,
            );
        });
    }

    /// Somebody presses a button that no module reacts to.
    pub(crate) fn press(&self, chance: &mut Rng) {
        let source = EventSource::parse_stem(&format!("E14L{:02}I{:02}", chance.u8(40..60), chance.u8(0..5)));
        self.line.emulator.press(source.unwrap(), Duration::from_millis(chance.u64(40..300)));
    }

    /// Somebody changes with another tool whether a module reports by itself.
    pub(crate) fn toggle_reports(&self, serial: SerialNumber, chance: &mut Rng) {
        let reports = chance.bool();
        self.line.emulator.with(|house, now| house.set_auto_report(now, serial, reports));
    }

    /// A report of a module that is not configured.
    pub(crate) fn stranger(&self, chance: &mut Rng) {
        let source = EventSource::parse_stem(&format!("E07L{:02}I8{}", chance.u8(40..60), chance.u8(0..4)));
        let edge = conbusd::conbus::Edge::of_output(chance.bool());
        let bus = conbusd::conbus::EventBus::Xp;
        self.line.emulator.inject(Event { bus, source: source.unwrap(), edge });
    }

    /// Many readers of one module at the same moment insist on the bus; with nothing wrong that costs one
    /// telegram a datapoint, and one more of each that was already on its way.
    pub(crate) async fn crowd(&self, serial: SerialNumber) {
        let lamps = self.points_of(serial);
        if lamps.is_empty() {
            return;
        }
        let before = self.line.reads_of(serial);
        let asked = moment();
        for _ in 0..4 {
            for (index, _) in &lamps {
                self.read(*index, Want::Since(asked));
            }
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let reads = self.line.reads_of(serial) - before;
        let most = if lamps[0].1.dims { 4 } else { 2 };
        self.court.borrow_mut().joined(lamps.len() * 4, (reads, most), self.line.now());
    }

    /// Whether each module in use was asked within two poll periods, now that there is bus time for all of them: those
    /// that have told that they do not report within the shorter ones.
    pub(crate) fn all_polled(&self) {
        let now = self.line.now();
        let late = |serial: &&SerialNumber| {
            let often = self.line.does_not_report(**serial);
            let within = if often { POLLED_OFTEN_WITHIN } else { POLLED_WITHIN };
            self.line.read_at(**serial).is_none_or(|at| at + within < now)
        };
        let used = |serial: &&SerialNumber| self.polls && !self.points_of(**serial).is_empty();
        for serial in self.actors.iter().filter(late).filter(used) {
            let what = || format!("{serial} was asked last at {:?}", self.line.read_at(*serial));
            self.court.borrow_mut().broken(Promise::Refreshed, now, what);
        }
    }

    /// Whether every lamp is fresh and true when it is asked for, now that nothing is wrong any more.
    pub(crate) async fn all_well(&self) {
        for index in 0..self.lamps.len() {
            let mut found = self.look(index).await;
            if found.is_err() && (!self.polls || self.max_entries < self.lamps.len()) {
                // Nobody keeps it fresh; the first look has brought it back, if only as a reply that had to settle.
                tokio::time::sleep(SETTLED).await;
                found = self.look(index).await;
            }
            if let Err(what) = found {
                let now = self.line.now();
                self.court.borrow_mut().broken(Promise::Liveness, now, || what);
            }
        }
        self.court.borrow_mut().figures.recoveries += 1;
    }

    async fn look(&self, index: usize) -> Result<(), String> {
        let lamp = self.lamps[index];
        let Some(addr) = &self.addrs[index] else { return Ok(()) };
        // Where there is no room for all of them, each is true for whoever insists on the bus.
        let room = self.max_entries >= self.lamps.len();
        let max_age = if room { Want::Known } else { Want::Since(moment()) };
        let answer = ask(addr, GetState { max_age }, READ_WITHIN).await;
        let (on, level) = self.line.emulator.output(lamp.point).unwrap();
        let well = matches!(&answer, Ok(state) if state.freshness == Freshness::Fresh
            && state.on == Some(on) && (!lamp.dims || state.brightness == Some(level)));
        if well { Ok(()) } else { Err(format!("{:?} is at {level} and shown as {answer:?}", lamp.point)) }
    }
}
