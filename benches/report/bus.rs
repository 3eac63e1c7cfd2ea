//! What is said on the bus in an hour of each kind of life, in virtual time over emulated hardware, by what it is for.

use std::path::Path;
use std::time::Duration;

use actix::{Actor, Addr, System};
use conbusd::actors::accessory::Accessory;
use conbusd::actors::ask;
use conbusd::actors::events::{GetState, SetTarget};
use conbusd::actors::now as moment;
use conbusd::app::{App, Audience, assemble};
use conbusd::conbus::{Datapoint, Percent, Point, System as Request, Telegram};
use conbusd::config::{self, Config};
use conbusd::emulator::{Direction, Dose, Emulator, Fault, FaultKind, HouseSetup, ModuleSetup, Timing};
use conbusd::policy::store::Want;
use conbusd::policy::switch::{Target, Until};
use conbusd::transport::Dial;
use fastrand::Rng;

use crate::figures::{Bar, Section, number};
use crate::house::{Door, MemoryDial};

const WITHIN: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Until warm-up and identity reads are over and nothing is called recently used.
const SETTLED: Duration = Duration::from_secs(600);

/// How often a controller with an open page asks for everything.
const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// Levels of one finger on a slider, and how far apart.
const SLIDER: u8 = 40;
const SLIDES_EVERY: Duration = Duration::from_millis(50);

/// The relays of the first module, and where the dimmers begin.
const TILES: usize = 4;
const FIRST_DIMMER: usize = 12;

/// What happens for an hour.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Rest,
    Controllers(usize),
    Walls,
    Relays,
    Dimmers,
    Sliders,
    Scenes,
    Tiles,
    Family,
    FamilyInLoss,
    Storm,
}

const LIVES: [(Life, &str); 12] = [
    (Life::Rest, "rest: nobody asks"),
    (Life::Controllers(1), "1 controller asks for all 24 every 10 s"),
    (Life::Controllers(3), "3 controllers ask for all 24 every 10 s"),
    (Life::Walls, "a switch on the wall every 20 s"),
    (Life::Relays, "a relay is switched every minute, until confirmed"),
    (Life::Dimmers, "a dimmer is set every minute, until confirmed"),
    (Life::Sliders, "a slider every minute: 40 levels in 2 s"),
    (Life::Scenes, "a scene of 24 outputs every 5 minutes, until confirmed"),
    (Life::Tiles, "4 tiles of one module insist on the bus, every 10 s"),
    (Life::Family, "the fault simulation's people, an act every 2 s, nothing wrong"),
    (Life::FamilyInLoss, "the same while 5 % of replies and reports are lost, 5 % late, 2 % spoilt"),
    (Life::Storm, "3 controllers, and a module repeats itself 100 times a second, 1 minute of 10"),
];

/// What passed on the bus, and what it was for.
#[derive(Default)]
struct Said {
    /// Telegrams of ours: reads of outputs and levels, reads of anything else, commands, all.
    state_reads: usize,
    other_reads: usize,
    commands: usize,
    ours: usize,
    bus_seconds: f64,
    /// How often people did what the hour is about.
    acts: usize,
    /// Reads of the first module between a question and its last answer, where that is counted.
    meanwhile: usize,
    /// How long answers were waited for, where that is counted.
    waited: Duration,
}

/// 24 outputs on a bus with the timing of hardware.
struct House {
    emulator: Emulator,
    config: Config,
    app: App,
}

impl House {
    async fn start() -> Self {
        let config =
            config::parse("bench.toml", &crate::house::text_of_24("emulator"), Path::new("/")).unwrap();
        let modules = config
            .modules
            .iter()
            .map(|module| ModuleSetup::new(module.serial, module.module_type, module.link));
        let emulator = Emulator::new(HouseSetup::new(modules.collect()).with_timing(Timing::hardware()));
        emulator.gateway_up(true);
        let dial = Box::new(MemoryDial(emulator.clone())) as Box<dyn Dial>;
        let audience = Audience { accessories: vec![Door.start().recipient()], ..Audience::default() };
        let app = assemble(&config, vec![dial], &audience, 1);
        tokio::time::sleep(SETTLED).await;
        Self { emulator, config, app }
    }

    fn lamps(&self) -> &[Addr<Accessory>] {
        &self.app.accessories
    }

    fn point(&self, lamp: usize) -> Point {
        self.config.accessories[lamp].point
    }

    /// How many telegrams of ours the gateway has got.
    fn sent(&self) -> usize {
        self.emulator
            .with(|house, _| house.transcript().filter(|one| one.direction == Direction::FromClient).count())
    }

    /// Everything that was said during an hour of this.
    async fn hour(&self, life: Life) -> Said {
        let begun = self.emulator.uptime();
        let end = tokio::time::Instant::now() + HOUR;
        let mut said = Said::default();
        self.live(life, end, &mut said).await;
        tokio::time::sleep_until(end).await;
        let timing = Timing::hardware();
        for one in self.emulator.transcript().iter().filter(|one| one.at >= begun) {
            said.bus_seconds += timing.on_the_bus(one.telegram.to_bytes().len()).as_secs_f64();
            if one.direction == Direction::FromClient {
                said.count(&one.telegram);
            }
        }
        said
    }

    async fn live(&self, life: Life, end: tokio::time::Instant, said: &mut Said) {
        let mut chance = Rng::with_seed(8);
        let mut turn = 0;
        while life != Life::Rest && tokio::time::Instant::now() < end {
            let begun = tokio::time::Instant::now();
            let before = self.sent();
            match life {
                Life::Rest => {}
                Life::Controllers(count) => {
                    for _ in 0..count {
                        self.refresh(Want::Known, self.lamps().len()).await;
                    }
                    said.acts += count;
                    said.waited += begun.elapsed();
                }
                Life::Storm => self.stormy_refresh(turn, said).await,
                Life::Tiles => {
                    self.refresh(Want::Since(moment()), TILES).await;
                    said.acts += 1;
                    said.meanwhile += self.reads_of_first_module(before);
                }
                Life::Family | Life::FamilyInLoss => {
                    if turn == 0 && life == Life::FamilyInLoss {
                        self.lose();
                    }
                    self.act(&mut chance);
                    said.acts += 1;
                }
                _ => {
                    said.acts += self.hand(life, turn, &mut chance).await;
                }
            }
            turn += 1;
            tokio::time::sleep_until((begun + pause(life, &mut chance)).min(end)).await;
        }
    }

    /// One controller asks for these lamps at once.
    async fn refresh(&self, max_age: Want, lamps: usize) {
        let asked = self.lamps().iter().take(lamps);
        futures_util::future::join_all(asked.map(|one| ask(one, GetState { max_age }, WITHIN))).await;
    }

    async fn stormy_refresh(&self, turn: usize, said: &mut Said) {
        match turn % 60 {
            0 => self.emulator.storm(self.point(0).serial, 100),
            6 => self.emulator.clear_faults(),
            _ => {}
        }
        for _ in 0..3 {
            self.refresh(Want::Known, self.lamps().len()).await;
        }
        said.acts += 3;
    }

    /// Reads of the first module's outputs among what was sent since.
    fn reads_of_first_module(&self, before: usize) -> usize {
        let wanted = Telegram::from(Request::read(self.point(0).serial, Datapoint::OUTPUTS));
        self.emulator.received()[before..].iter().filter(|(_, telegram)| *telegram == wanted).count()
    }

    async fn set(&self, lamp: usize, target: Target) {
        // One of many that follow each other closely is told that a newer wish has taken its place.
        let set = SetTarget { target, until: Until::Confirmed, client: 1 };
        let _ = ask(&self.lamps()[lamp], set, WITHIN).await;
    }

    /// One act of the hours that are about one thing; how many it was.
    async fn hand(&self, life: Life, turn: usize, chance: &mut Rng) -> usize {
        let on = Some(turn.is_multiple_of(2));
        match life {
            Life::Walls => {
                let lamp = chance.usize(0..self.lamps().len());
                self.turn(lamp);
            }
            Life::Relays => {
                let on = Some((turn / FIRST_DIMMER).is_multiple_of(2));
                self.set(turn % FIRST_DIMMER, Target { on, level: None }).await;
            }
            Life::Dimmers => {
                let level = Percent::new((turn % 9 * 10 + 10) as u8);
                self.set(FIRST_DIMMER + turn % FIRST_DIMMER, Target { on: None, level }).await;
            }
            Life::Sliders => {
                let level = |step| Percent::new(if turn.is_multiple_of(2) { step + 20 } else { 90 - step });
                let slides = (0..SLIDER).map(async |step| {
                    tokio::time::sleep(SLIDES_EVERY * u32::from(step)).await;
                    self.set(FIRST_DIMMER, Target { on: None, level: level(step) }).await;
                });
                futures_util::future::join_all(slides).await;
            }
            _ => {
                let all = (0..self.lamps().len()).map(|lamp| self.set(lamp, Target { on, level: None }));
                futures_util::future::join_all(all).await;
            }
        }
        1
    }

    /// A hand at the wall.
    fn turn(&self, lamp: usize) {
        let point = self.point(lamp);
        let on = self.emulator.output(point).is_some_and(|(on, _)| on);
        self.emulator.turn(point, !on);
    }

    fn lose(&self) {
        let late = FaultKind::LateReply(Duration::from_millis(300));
        for (kind, chance) in [
            (FaultKind::LostReply, 0.05),
            (FaultKind::LostReport, 0.05),
            (late, 0.05),
            (FaultKind::BadChecksum, 0.02),
        ] {
            self.emulator.fault(Fault::everywhere(kind, Dose::Chance(chance)));
        }
    }

    /// One act of people, in the proportions of the fault simulation.
    fn act(&self, chance: &mut Rng) {
        let lamp = chance.usize(0..self.lamps().len());
        let read = |lamp: usize, max_age| drop(spawn(ask(&self.lamps()[lamp], GetState { max_age }, WITHIN)));
        match chance.u8(0..80) {
            0..36 => read(lamp, Want::Known),
            36..42 => (0..self.lamps().len()).for_each(|lamp| read(lamp, Want::Any)),
            42..56 => {
                let target = if lamp >= FIRST_DIMMER && chance.bool() {
                    Target { on: None, level: Percent::new(chance.u8(0..=100)) }
                } else {
                    Target { on: Some(chance.bool()), level: None }
                };
                let set = SetTarget { target, until: Until::Confirmed, client: 1 };
                drop(spawn(ask(&self.lamps()[lamp], set, WITHIN)));
            }
            56..72 => self.turn(lamp),
            72..74 => self.emulator.overhear(Request::read(self.point(lamp).serial, Datapoint::OUTPUTS)),
            _ => read(lamp, Want::Since(moment())),
        }
    }
}

fn spawn<F: Future + 'static>(answer: F) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let _ = answer.await;
    })
}

/// From one act to the next.
fn pause(life: Life, chance: &mut Rng) -> Duration {
    match life {
        Life::Rest | Life::Relays | Life::Dimmers | Life::Sliders => MINUTE,
        Life::Controllers(_) | Life::Tiles | Life::Storm => REFRESH_EVERY,
        Life::Walls => Duration::from_secs(20),
        Life::Scenes => 5 * MINUTE,
        Life::Family | Life::FamilyInLoss => Duration::from_millis(chance.u64(1..=4_000)),
    }
}

impl Said {
    fn count(&mut self, telegram: &Telegram) {
        self.ours += 1;
        let Telegram::System(system) = telegram else { return };
        match system.reads() {
            Some(Datapoint::OUTPUTS | Datapoint::LEVELS) => self.state_reads += 1,
            Some(_) => self.other_reads += 1,
            None => self.commands += usize::from(system.commands().is_some()),
        }
    }

    fn each(&self, of: usize) -> f64 {
        of as f64 / self.acts.max(1) as f64
    }
}

/// Each hour is lived on a thread and a clock of its own.
fn measure() -> Vec<(Life, &'static str, Said)> {
    let living: Vec<_> = LIVES
        .map(|(life, what)| {
            let live = move || {
                let runtime = || {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_time()
                        .start_paused(true)
                        .build()
                        .unwrap()
                };
                System::with_tokio_rt(runtime).block_on(async move {
                    let hour = async move { House::start().await.hour(life).await };
                    actix_rt::spawn(hour).await.unwrap()
                })
            };
            (life, what, std::thread::spawn(live))
        })
        .into();
    living.into_iter().map(|(life, what, hour)| (life, what, hour.join().unwrap())).collect()
}

pub(crate) fn section() -> Section {
    let measured = measure();
    let mut section = Section::new("6. Bus efficiency: an hour of each life");
    section.say(
        "3 XP24 and 4 XP33LED, 24 outputs, on an emulated bus with the timing of hardware, an hour of virtual time \
         each: these are counts and do not depend on this machine. Bus time is 0.8 ms for each character of either \
         side. The hour at rest is the floor: \"caused\" is what an act cost beyond it. At rest a module that was long \
         silent is looked at; one that is heard need not be, so that a switch on the wall costs less than nothing. \
         What is used is kept fresh, for one controller or for three: so a refresh itself costs what the third \
         controller adds to the first.",
    );
    let of = |wanted| measured.iter().find(|(life, ..)| *life == wanted).map_or(0, |(_, _, said)| said.ours);
    let rest = of(Life::Rest);
    let added = of(Life::Controllers(3)) as f64 - of(Life::Controllers(1)) as f64;
    let mut rows = Vec::new();
    for (life, what, said) in &measured {
        let caused = (said.ours as f64 - rest as f64) / said.acts.max(1) as f64;
        let verdict = verdict(&mut section, *life, (said, added));
        rows.push(vec![
            (*what).to_owned(),
            number(said.ours as f64),
            number(said.state_reads as f64),
            number(said.commands as f64),
            number(
                (said.other_reads + said.ours - said.state_reads - said.other_reads - said.commands) as f64,
            ),
            number(said.bus_seconds / HOUR.as_secs_f64() * 100.0),
            number(said.acts as f64),
            if said.acts > 0 { number(caused) } else { String::new() },
            verdict,
        ]);
    }
    section.table(
        &[
            "an hour of",
            "telegrams of ours",
            "reads of state",
            "commands",
            "others",
            "bus time %",
            "acts",
            "caused by an act",
            "bar",
        ],
        &rows,
    );
    section
}

/// `added` is what two more controllers cost in an hour.
fn verdict(section: &mut Section, life: Life, (said, added): (&Said, f64)) -> String {
    let none = Bar::AtMost(0.0);
    let once = Bar::AtMost(1.0);
    match life {
        Life::Controllers(1) => {
            let waited = said.waited.as_secs_f64();
            let told =
                section.judge("seconds that refreshes of fresh values waited for the bus", none, waited);
            format!("waited {} s: {told}", number(waited))
        }
        Life::Controllers(_) => {
            let each = added / (said.acts as f64 * 2.0 / 3.0);
            let told = section.judge("telegrams of one more refresh of fresh values", none, each);
            format!("one more refresh costs {}: {told}", number(each))
        }
        Life::Relays => {
            let each = said.each(said.commands);
            let told = section.judge("commands on the bus for a relay's command", once, each);
            format!("commands each: {}, {told}", number(each))
        }
        Life::Tiles => {
            let each = said.each(said.meanwhile);
            let told = section.judge("telegrams of four tiles of one module", once, each);
            format!("reads of the module meanwhile: {}, {told}", number(each))
        }
        _ => String::new(),
    }
}
