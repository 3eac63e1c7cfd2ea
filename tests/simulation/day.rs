//! One run: a house, its people and the weather, for as long as is wanted, out of one seed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::System;
use conbusd::actors::now as moment;
use conbusd::conbus::Percent;
use conbusd::doors::http::pane;
use conbusd::policy::store::Want;
use conbusd::policy::switch::{Target, Until};
use fastrand::Rng;

use crate::court::{Figures, Promise, Violation};
use crate::house::{House, Knobs, build};
use crate::weather::Weather;

/// How long after the last fault everything in use is fresh and true again, at most: a dead link is noticed
/// after 32 s and dialled within 5 s more, a module that was silent is left alone for 60 s at most.
const RECOVERED_WITHIN: Duration = Duration::from_secs(90);

/// How long after the last fault the polls have found their pace again.
const POLLED_AFTER: Duration = Duration::from_secs(60);

/// Runs beyond it are better built with some optimisation.
const LONG: Duration = Duration::from_secs(2 * 3_600);

/// How long modules are watched whom nobody asks anything but the poller.
const LEFT_ALONE: Duration = Duration::from_secs(12);

/// What this thread has had of a processor; nothing where the system does not tell.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    /// What the run took of a processor.
    pub(crate) cpu: Duration,
    pub(crate) trace: u64,
    pub(crate) figures: Figures,
    pub(crate) verdicts: BTreeMap<Promise, u64>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// What to tell about a run that broke a promise; nothing when it kept all of them.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.verdicts.is_empty() {
            return None;
        }
        let mut text = format!(
            "seed {} broke promises in {:?}: {:?}\nreplay: SIMULATION_SEED={} SIMULATION_MINUTES={} \
             cargo test {}--test simulation replay -- --ignored --nocapture\n",
            self.seed,
            self.length,
            self.verdicts,
            self.seed,
            self.length.as_secs() / 60,
            if self.length > LONG { "--release " } else { "" },
        );
        for violation in &self.violations {
            let _ = writeln!(text, "  {violation}");
        }
        Some(text)
    }
}

/// Starts one seed on a thread of its own: the daemon's clock begins with its thread.
pub(crate) fn start(seed: u64, length: Duration, knobs: &Knobs) -> JoinHandle<Outcome> {
    let knobs = knobs.clone();
    std::thread::spawn(move || {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
        };
        System::with_tokio_rt(runtime).block_on(live(seed, length, knobs))
    })
}

async fn live(seed: u64, length: Duration, knobs: Knobs) -> Outcome {
    let _begins = moment();
    let mut chance = Rng::with_seed(seed);
    let house = build(&mut chance, &knobs);
    let mut day = Day {
        weather: Weather::new(house.actors.clone(), house.ttl),
        mood: 200,
        mood_until: Duration::ZERO,
        trial_at: Duration::from_secs(chance.u64(120..420)),
        blow_at: Duration::ZERO,
        reload_at: Duration::from_secs(chance.u64(60..300)),
        chance,
        house,
    };
    while day.house.line.now() < length {
        day.step().await;
    }
    day.trial().await;
    day.house.finish().await;
    let house = day.house;
    let mut court = house.court.borrow_mut();
    Outcome {
        seed,
        length,
        cpu: cpu(),
        trace: court.trace_hash(),
        figures: court.figures.clone(),
        verdicts: court.verdicts.clone(),
        violations: std::mem::take(&mut court.violations),
        faults: house.line.emulator.counters().faults,
    }
}

struct Day {
    house: House,
    weather: Weather,
    chance: Rng,
    /// The mean pause between two acts, and until when.
    mood: u64,
    mood_until: Duration,
    trial_at: Duration,
    /// From when on the daemon itself may be hit.
    blow_at: Duration,
    /// When the config is written anew.
    reload_at: Duration,
}

impl Day {
    async fn step(&mut self) {
        let now = self.house.line.now();
        if now >= self.mood_until {
            self.mood = [30, 100, 400, 2_000, 15_000][self.chance.usize(0..5)];
            self.mood_until = now + Duration::from_millis(self.chance.u64(5_000..120_000));
        }
        self.weather.turn(&self.house.line, &mut self.chance);
        if !self.weather.stormy {
            self.house.disk(false);
        }
        self.house.doors.borrow_mut().speak();
        self.act();
        self.house.inspect().await;
        if self.weather.stormy && now >= self.blow_at {
            self.blow_at = now + Duration::from_millis(self.chance.u64(20_000..400_000));
            self.blow().await;
        }
        if now >= self.reload_at {
            self.reload_at = now + Duration::from_millis(self.chance.u64(30_000..600_000));
            self.house.reload(&mut self.chance).await;
        }
        if now >= self.trial_at {
            self.trial().await;
            let now = self.house.line.now();
            self.trial_at = now + Duration::from_secs(self.chance.u64(120..900));
        }
        let pause = Duration::from_millis(self.chance.u64(1..=2 * self.mood));
        let mut until = (self.house.line.now() + pause).min(self.trial_at);
        if self.weather.stormy {
            until = until.min(self.weather.turns_at);
        }
        tokio::time::sleep(until.saturating_sub(self.house.line.now()).max(Duration::from_millis(1))).await;
    }

    /// The daemon itself is hit: its machine stands still, or it ends and is started again.
    async fn blow(&mut self) {
        let ms = |least, most, chance: &mut Rng| Duration::from_millis(chance.u64(least..most));
        match self.chance.u8(0..12) {
            0..4 => {
                for _ in 0..self.chance.u8(0..4) {
                    let lamp = self.house.lamps[self.chance.usize(0..self.house.lamps.len())];
                    self.house.touch(lamp, &self.weather, &mut self.chance);
                }
                let how_long = ms(200, 20_000, &mut self.chance);
                self.house.stall(how_long).await;
            }
            4 | 5 => self.house.overload(&mut self.chance),
            6 => self.house.lose_news(&mut self.chance).await,
            7 => {
                self.house.jump(&mut self.chance);
                self.house.disk(true);
            }
            way => {
                // No sooner than systemd starts it again, and not before the last reply is gone.
                let away = ms(3_500, 20_000, &mut self.chance);
                self.house.restart(way < 10, away, self.chance.u64(..)).await;
            }
        }
    }

    fn act(&mut self) {
        let (house, weather, chance) = (&self.house, &self.weather, &mut self.chance);
        let index = chance.usize(0..house.lamps.len());
        let lamp = house.lamps[index];
        let serial = lamp.point.serial;
        match chance.u8(0..100) {
            0..25 => house.read(index, want(chance)),
            25..27 => house.guest(lamp, weather, chance),
            27 => house.misaddressed(serial, chance),
            28 => house.together(chance),
            29 => {
                let mut doors = house.doors.borrow_mut();
                let there = doors.has_broker();
                doors.broker_is(!there);
                doors.read_all();
            }
            30..36 => (0..house.lamps.len()).for_each(|index| house.read(index, Want::Any)),
            36..42 => house.read_cache(index, want(chance)),
            42..56 => {
                let until = if chance.u8(0..4) == 0 { Until::Accepted } else { Until::Confirmed };
                let target = target(lamp.dims, chance);
                let target = house.doors.borrow_mut().wish(index, target, chance.u8(0..4));
                house.command(index, target, until);
            }
            56..72 => house.touch(lamp, weather, chance),
            72..78 => house.foreign_read(serial, weather, chance),
            78..80 => house.foreign_command(lamp, weather, chance),
            80..84 => house.unheard_read(serial, weather, chance),
            84..88 => house.echo(weather, chance),
            88 => house.garbage(chance),
            89..92 => house.press(chance),
            92 => house.stranger(chance),
            93 => house.toggle_reports(serial, chance),
            _ => {
                house.read(index, Want::Since(moment()));
                house.read(index, Want::Since(moment()));
            }
        }
    }

    /// Everything bad ends; in time everything that is used is fresh and true again, and cheap to read.
    async fn trial(&mut self) {
        self.weather.calm(&self.house.line, RECOVERED_WITHIN * 2);
        self.house.disk(false);
        self.house.line.inside.borrow_mut().take();
        self.house.doors.borrow_mut().broker_is(true);
        let began = self.house.line.now();
        while self.house.line.now() < began + RECOVERED_WITHIN {
            (0..self.house.lamps.len()).for_each(|index| self.house.read(index, Want::Any));
            if self.chance.u8(0..4) == 0 {
                let index = self.chance.usize(0..self.house.lamps.len());
                let lamp = self.house.lamps[index];
                self.house.command(index, target(lamp.dims, &mut self.chance), Until::Confirmed);
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            if self.house.line.now() > began + POLLED_AFTER {
                self.house.all_polled();
            }
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        (0..self.house.lamps.len()).for_each(|index| self.house.read(index, Want::Any));
        tokio::time::sleep(Duration::from_secs(6)).await;
        self.house.all_well().await;
        self.house.doors.borrow_mut().all_well();
        tokio::time::sleep(Duration::from_secs(6)).await;
        self.house.line.pace.borrow_mut().leave_alone(true);
        tokio::time::sleep(LEFT_ALONE).await;
        self.house.line.pace.borrow_mut().leave_alone(false);
        self.house.line.forget_storms();
        let serial = self.house.actors[self.chance.usize(0..self.house.actors.len())];
        self.house.crowd(serial).await;
        let line = Rc::clone(&self.house.line);
        self.weather.calm(&line, Duration::from_millis(self.chance.u64(1_000..30_000)));
    }
}

fn want(chance: &mut Rng) -> Want {
    match chance.u8(0..4) {
        0 => Want::Any,
        1 => pane::want(&format!("max_age_ms={}", chance.u64(0..10_000)), moment()).unwrap(),
        _ => Want::Known,
    }
}

fn target(dims: bool, chance: &mut Rng) -> Target {
    let on = chance.bool();
    match (dims, chance.u8(0..3)) {
        (true, 0) => Target { on: None, level: Percent::new(chance.u8(0..=100)) },
        (true, 1) => Target { on: Some(true), level: Percent::new(chance.u8(1..=100)) },
        _ => Target { on: Some(on), level: None },
    }
}
