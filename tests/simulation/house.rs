//! A house drawn from a seed, with the whole daemon in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use actix::Actor;
use conbusd::actors::accessory::AccessoryAddr;
use conbusd::actors::events::{CaptureUse, Observe};
use conbusd::actors::keeper::KeeperPlan;
use conbusd::actors::{ask, now as moment};
use conbusd::app::restore::restore;
use conbusd::app::{App, Audience, Beginning, Rules, assemble_from};
use conbusd::conbus::{ModuleType, Percent, Point, SerialNumber};
use conbusd::config::{self, Config};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup};
use conbusd::policy::switch::AccessoryState;
use conbusd::policy::{AccessoryKind, KeepingPlan};
use conbusd::vault::MemoryVault;
use fastrand::Rng;
use serde_json::Value;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::court::{Court, Promise, Shown};
use crate::doors::{Door, Doors, group_id};
use crate::guest::{Guest, Port};
use crate::pace::Pace;
use crate::wire::{Line, LineDial};

/// What a run is made of besides its seed.
#[derive(Clone, Default)]
pub(crate) struct Knobs {
    /// The times of the update rule and of the outbox; whatever they are, the court expects the usual ones.
    pub(crate) rules: Rules,
    /// What the daemon takes for the freshness bound, when it is not what the court expects.
    pub(crate) ttl: Option<Duration>,
    /// The same for the number of outputs it may remember.
    pub(crate) max_entries: Option<usize>,
}

/// How often the queues are looked at.
const LOOKED_EVERY: Duration = Duration::from_millis(250);

/// One lamp.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lamp {
    pub(crate) point: Point,
    pub(crate) dims: bool,
}

/// The house and the daemon.
pub(crate) struct House {
    pub(crate) app: App,
    /// Everything that dies with the daemon.
    pub(crate) life: Life,
    pub(crate) guest: Guest,
    pub(crate) line: Rc<Line>,
    pub(crate) court: Rc<RefCell<Court>>,
    pub(crate) lamps: Rc<Vec<Lamp>>,
    pub(crate) actors: Vec<SerialNumber>,
    pub(crate) max_entries: usize,
    pub(crate) ttl: Duration,
    pub(crate) polls: bool,
    /// Whom to ask about a lamp; nobody while it is not configured.
    pub(crate) addrs: Vec<Option<AccessoryAddr>>,
    /// Whom to ask about the group and the scene; nobody in a house without them.
    pub(crate) ensembles: Vec<AccessoryAddr>,
    pub(crate) doors: Rc<RefCell<Doors>>,
    looked_at: Cell<Option<Duration>>,
    /// Whether facts may have been lost since the daemon started.
    pub(crate) may_lose: Cell<bool>,
    pub(crate) vault: MemoryVault,
    pub(crate) file: ConfigFile,
    pub(crate) audience: Audience,
    pub(crate) rules: Rules,
}

/// What an accessory shows, in the words of the court.
pub(crate) fn shown(lamp: Lamp, state: &AccessoryState) -> Shown {
    Shown {
        point: lamp.point,
        on: state.on,
        level: state.brightness.map(Percent::get),
        freshness: state.freshness,
        observed_at: state.observed_at,
        origin: state.origin,
    }
}

/// The module with this link number.
pub(crate) fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

const INSTALLED: [(u8, ModuleType); 8] = [
    (1, ModuleType::XP24),
    (2, ModuleType::XP24),
    (3, ModuleType::XP24),
    (4, ModuleType::XP33LED),
    (5, ModuleType::XP33LED),
    (6, ModuleType::XP33LED),
    (7, ModuleType::XP33LR),
    (99, ModuleType::XP230),
];

/// What is in the config file; people write it anew while the daemon runs.
pub(crate) struct ConfigFile {
    ttl: Duration,
    max_entries: usize,
    polls: bool,
    /// Modules that are not in it, by link number, and lamps that are not, by link number and output.
    modules_gone: BTreeSet<u8>,
    lamps_gone: BTreeSet<(u8, u8)>,
    /// Whether there are a group and a scene.
    ensembles: bool,
    /// How often it was written anew.
    edition: u64,
}

impl ConfigFile {
    pub(crate) fn parse(&self) -> Config {
        config::parse("simulation.toml", &self.text(), Path::new("/")).unwrap()
    }

    /// The lamps of the group and the scene that are there.
    fn together(&self) -> Vec<(u8, u8)> {
        let there = |(n, output): &(u8, u8)| {
            !self.modules_gone.contains(n) && !self.lamps_gone.contains(&(*n, *output))
        };
        [(1, 0), (4, 1), (5, 2), (7, 0)].into_iter().filter(there).collect()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "[cache]\nttl = \"{}ms\"\nmax_entries = {}\n[poller]\nenabled = {}\n\
             [[gateway]]\nid = \"home\"\naddress = \"127.0.0.1:10001\"\n",
            self.ttl.as_millis(),
            self.max_entries,
            self.polls
        );
        for (n, kind) in INSTALLED.into_iter().filter(|(n, _)| !self.modules_gone.contains(n)) {
            text += &format!("[[module]]\nserial = \"{}\"\ntype = \"{kind}\"\nlink = {n}\n", serial(n));
            for output in (0..kind.outputs()).filter(|output| !self.lamps_gone.contains(&(n, *output))) {
                let lamp = if kind.is_dimmable() { "dimmer" } else { "light" };
                text += &format!(
                    "[[accessory]]\nid = \"m{n}o{output}\"\nname = \"Lamp {n} {output} {}\"\nkind = \"{lamp}\"\n\
                     module = \"{}\"\noutput = {output}\n",
                    self.edition,
                    serial(n)
                );
            }
        }
        let together = self.together();
        if self.ensembles && !together.is_empty() {
            let names: Vec<String> =
                together.iter().map(|(n, output)| format!("\"m{n}o{output}\"")).collect();
            let targets: Vec<String> =
                names.iter().map(|id| format!("{{ accessory = {id}, on = false }}")).collect();
            text += &format!(
                "[[group]]\nid = \"{}\"\nname = \"Together\"\nmembers = [{}]\n\
                 [[scene]]\nid = \"dark\"\nname = \"Dark\"\ntargets = [{}]\n",
                group_id(&together),
                names.join(", "),
                targets.join(", ")
            );
        }
        text
    }

    /// Every lamp has another name; lamps and at times a whole module come or go.
    pub(crate) fn write_anew(&mut self, chance: &mut Rng) {
        self.edition += 1;
        let n = chance.u8(1..=7);
        if chance.u8(0..3) == 0 && self.modules_gone.len() < 2 {
            self.modules_gone.insert(n);
        } else {
            self.modules_gone.remove(&n);
        }
        for _ in 0..chance.u8(0..4) {
            let lamp = (chance.u8(1..=7), chance.u8(0..3));
            if !self.lamps_gone.remove(&lamp) {
                self.lamps_gone.insert(lamp);
            }
        }
        if chance.u8(0..3) == 0 {
            self.modules_gone.clear();
            self.lamps_gone.clear();
        }
    }
}

fn setup_of(chance: &mut Rng) -> HouseSetup {
    let modules = INSTALLED.map(|(n, kind)| {
        let levels = (0..kind.outputs()).map(|_| {
            let level = if chance.bool() { 0 } else { chance.u8(1..=100) };
            Percent::new(level).unwrap()
        });
        let mut module = ModuleSetup::new(serial(n), kind, n).with_levels(levels);
        module.auto_report = kind.is_actor() && chance.u8(0..4) > 0;
        module
    });
    let mut setup = HouseSetup::new(modules.into());
    setup.seed = chance.u64(..);
    setup.echo_events = chance.bool();
    setup
}

/// Builds the house of this seed and starts the daemon in it.
pub(crate) fn build(chance: &mut Rng, knobs: &Knobs) -> House {
    let ttl = Duration::from_secs([30, 30, 45, 90][chance.usize(0..4)]);
    let max_entries = [1000, 1000, 24, 9][chance.usize(0..4)];
    let polls = chance.u8(0..6) > 0;
    let setup = setup_of(chance);
    let file = ConfigFile {
        ttl: knobs.ttl.unwrap_or(ttl),
        max_entries: knobs.max_entries.unwrap_or(max_entries),
        polls,
        modules_gone: BTreeSet::new(),
        lamps_gone: BTreeSet::new(),
        ensembles: chance.bool(),
        edition: 0,
    };
    let config = file.parse();
    let lamps: Vec<Lamp> = config
        .accessories
        .iter()
        .map(|one| Lamp { point: one.point, dims: one.kind == AccessoryKind::Dimmer })
        .collect();
    let lamps = Rc::new(lamps);
    let court = Rc::new(RefCell::new(Court::new(ttl)));
    let emulator = Emulator::new(setup);
    let modules = INSTALLED.map(|(n, kind)| (serial(n), kind, n));
    let pace = Pace::new(BTreeSet::from([serial(99)]), BTreeSet::from([serial(7)]));
    let line = Line::new(emulator, court.clone(), pace, modules.into());
    line.sample();
    let doors = Rc::new(RefCell::new(Doors::new(court.clone(), line.clone(), lamps.clone())));
    let door = Door(doors.clone()).start();
    let audience = Audience {
        accessories: vec![door.clone().recipient()],
        links: vec![door.recipient()],
        ..Audience::default()
    };
    let (vault, rules) = (MemoryVault::default(), knobs.rules.clone());
    let (app, alive, guest) = daemon(&config, &line, &audience, beginning(&vault, &rules, chance.u64(..)));
    let addrs = vec![None; lamps.len()];
    let looked_at = Cell::new(None);
    let actors = INSTALLED.iter().filter(|(_, kind)| kind.is_actor()).map(|(n, _)| serial(*n)).collect();
    let mut house = House {
        app,
        life: alive,
        guest,
        line,
        court,
        lamps,
        actors,
        max_entries,
        ttl,
        polls,
        addrs,
        ensembles: Vec::new(),
        doors,
        looked_at,
        may_lose: Cell::default(),
        vault,
        file,
        audience,
        rules,
    };
    house.find();
    house
}

thread_local! {
    /// How much more the wall clock shows than it should, in seconds.
    pub(crate) static WALL_JUMP: Cell<i64> = const { Cell::new(0) };
}

/// A wall clock that follows virtual time, but for its jumps.
pub(crate) fn wall() -> Duration {
    let right = Duration::from_secs(1_800_000_000) + moment().since_start();
    let jump = WALL_JUMP.get();
    let by = Duration::from_secs(jump.unsigned_abs());
    if jump < 0 { right.saturating_sub(by) } else { right + by }
}

pub(crate) fn beginning(vault: &MemoryVault, rules: &Rules, seed: u64) -> Beginning {
    let plan = KeeperPlan { keeping: KeepingPlan::default(), vault: Box::new(vault.clone()), wall };
    let restored = restore(vault, wall()).snapshot;
    Beginning { seed, rules: rules.clone(), restored, keeper: Some(plan) }
}

/// Starts the daemon in a life of its own, which can be taken from it, and lets a guest in at the shared port.
pub(crate) fn daemon(
    config: &Config,
    line: &Rc<Line>,
    audience: &Audience,
    beginning: Beginning,
) -> (App, Life, Guest) {
    let dials = vec![Box::new(LineDial(line.clone())) as Box<dyn conbusd::transport::Dial>];
    let one_life = LocalSet::new();
    let (app, guest) = {
        let _born = one_life.enter();
        let (port, audience) = Port::open(audience);
        let app = assemble_from(config, dials, &audience, beginning);
        let guest = port.let_in(&app, line);
        (app, guest)
    };
    (app, Life::begin(one_life), guest)
}

/// A life of the daemon: all of its actors, also those that a reload brings.
pub(crate) struct Life {
    actors: Rc<LocalSet>,
    lived: JoinHandle<()>,
}

impl Life {
    fn begin(actors: LocalSet) -> Self {
        let actors = Rc::new(actors);
        let living = actors.clone();
        let lived = spawn_local(async move { living.run_until(std::future::pending()).await });
        Self { actors, lived }
    }

    /// Whoever is born while this happens belongs to it.
    async fn brings<T>(&self, birth: impl Future<Output = T>) -> T {
        let mut birth = std::pin::pin!(birth);
        let here = |task: &mut Context<'_>| {
            let _born = self.actors.enter();
            birth.as_mut().poll(task)
        };
        std::future::poll_fn(here).await
    }

    /// Nobody is told: every actor, and the socket with them, is gone in this instant.
    pub(crate) async fn end(&mut self) {
        self.abort();
        let _ = (&mut self.lived).await;
    }

    /// The same, without waiting for it.
    pub(crate) fn abort(&mut self) {
        self.lived.abort();
        self.actors = Rc::default();
    }
}

impl House {
    /// Looks who stands for which lamp now.
    pub(crate) fn find(&mut self) {
        let roll = self.app.roll();
        {
            let cards = roll.borrow();
            let addr = |point| cards.all().iter().find(|card| card.face.point == point);
            self.addrs =
                self.lamps.iter().map(|lamp| addr(Some(lamp.point)).map(|card| card.addr.clone())).collect();
            let ensembles = cards.all().iter().filter(|card| card.face.point.is_none());
            self.ensembles = ensembles.map(|card| card.addr.clone()).collect();
        }
        self.doors.borrow_mut().rehouse(roll, &self.file.parse());
    }

    /// The config file is written anew and read, while everything goes on.
    pub(crate) async fn reload(&mut self, chance: &mut Rng) {
        if chance.u8(0..5) == 0 {
            self.reload_badly(chance);
            return;
        }
        self.file.write_anew(chance);
        let at = self.line.now();
        // A link that is down may come up meanwhile: after a pause of the machine its dial is overdue.
        let kept = self.court.borrow().link_down.is_none().then(|| self.line.connection());
        let config = self.file.parse();
        let reload = self.life.brings(self.app.reload(&config)).await;
        self.find();
        let mut court = self.court.borrow_mut();
        court.act("reload");
        let after = self.line.connection();
        court.reloaded(&reload, (kept.unwrap_or(after), after), at..self.line.now());
    }

    /// The config file has a mistake: it is told, and nothing changes.
    fn reload_badly(&self, chance: &mut Rng) {
        let text = self.file.text();
        let bad = match chance.u8(0..3) {
            0 => text.replacen("[[accessory]]", "[[accessory]", 1),
            1 => text.replacen("kind = \"light\"", "kind = \"candle\"", 1),
            _ => {
                text + "[[accessory]]\nid = \"nowhere\"\nname = \"Nowhere\"\nkind = \"light\"\n\
                         module = \"0099999999\"\noutput = 0\n"
            }
        };
        let (before, generation) =
            (self.app.roll().borrow().all().len(), self.app.reloads().borrow().generation);
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        court.act("bad_reload");
        match config::parse("simulation.toml", &bad, Path::new("/")) {
            Ok(_) => court.broken(Promise::Reload, now, || format!("it was taken:\n{bad}")),
            Err(mistakes) => self.app.reload_refused(mistakes.to_string()),
        }
        let told = self.app.reloads().borrow().clone();
        if told.error.is_none()
            || told.generation != generation
            || self.app.roll().borrow().all().len() != before
        {
            court.broken(Promise::Reload, now, || format!("a bad file changed something: {told:?}"));
        }
    }

    /// The outputs of a module that are configured.
    pub(crate) fn points_of(&self, serial: SerialNumber) -> Vec<(usize, Lamp)> {
        let lamps = self.lamps.iter().copied().enumerate();
        lamps.filter(|(at, lamp)| lamp.point.serial == serial && self.addrs[*at].is_some()).collect()
    }

    /// Looks at the bounds of every queue, when it is time: a picture costs more than a telegram.
    pub(crate) async fn inspect(&self) {
        let now = self.line.now();
        if self.looked_at.get().is_some_and(|at| now < at + LOOKED_EVERY) {
            return;
        }
        self.looked_at.set(Some(now));
        let within = Duration::from_secs(1);
        let cache = ask(&self.app.cache, Observe, within).await;
        let connection = ask(&self.app.connections[0], Observe, within).await;
        let listener = ask(&self.app.listeners[0], Observe, within).await;
        let poller = ask(&self.app.poller, CaptureUse, within).await;
        let (most_open, shortest_gap) = self.line.emulator.sockets();
        let mut court = self.court.borrow_mut();
        let (Ok(cache), Ok(connection), Ok(listener), Ok(_)) = (cache, connection, listener, poller) else {
            court.broken(Promise::Alive, now, || "an actor does not answer".into());
            return;
        };
        let entries = self.max_entries.min(self.lamps.len()) as u64;
        court.bounded(("entries", cache["entries"].as_u64()), entries, now);
        court.bounded(("readers_waiting", cache["readers_waiting"].as_u64()), 1024, now);
        court.bounded(("queue", connection["queue"].as_u64()), 200, now);
        let lost = [&connection["news_lost_total"], &listener["facts_lost_total"]].map(Value::as_u64);
        if lost.iter().flatten().any(|lost| *lost > 0) && self.may_lose.get() {
            court.act("news_lost");
        } else {
            for lost in lost {
                court.bounded(("facts lost", lost), 0, now);
            }
        }
        court.connected(most_open, shortest_gap, now);
    }

    /// Whether every actor lives, and stops when it is told to.
    pub(crate) async fn finish(&mut self) {
        self.looked_at.set(None);
        self.inspect().await;
        let died = self.app.accessories.iter().filter(|one| !one.connected()).count();
        let now = self.line.now();
        if died > 0 {
            self.court.borrow_mut().broken(Promise::Alive, now, || format!("{died} accessories died"));
        }
        self.app.drain().await;
        self.life.abort();
    }
}
