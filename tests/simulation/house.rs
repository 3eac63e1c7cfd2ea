//! A house drawn from a seed, with the whole daemon in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use conbusd::actors::accessory::AccessoryAddr;
use conbusd::actors::events::{
    AccessoryChanged, AccessoryId, CaptureUse, GetState, LinkChanged, LinkState, Observe,
};
use conbusd::actors::keeper::KeeperPlan;
use conbusd::actors::{ask, now as moment};
use conbusd::app::restore::restore;
use conbusd::app::{App, Audience, Beginning, Rules, assemble_from};
use conbusd::conbus::{ModuleType, Percent, Point, SerialNumber};
use conbusd::config::{self, Config};
use conbusd::doors::Roll;
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup};
use conbusd::policy::store::Want;
use conbusd::policy::switch::AccessoryState;
use conbusd::policy::{AccessoryKind, Freshness, KeepingPlan, Origin};
use conbusd::vault::MemoryVault;
use fastrand::Rng;

use crate::court::{Court, Promise, Shown, Window};
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

/// How late a reply may be, by the assumption L of the update rule.
const REPLY_LIFE: Duration = Duration::from_secs(3);

/// How often the queues are looked at.
const LOOKED_EVERY: Duration = Duration::from_millis(250);

/// One lamp.
#[derive(Clone, Copy)]
pub(crate) struct Lamp {
    pub(crate) point: Point,
    pub(crate) dims: bool,
}

/// The house and the daemon.
pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) line: Rc<Line>,
    pub(crate) court: Rc<RefCell<Court>>,
    pub(crate) lamps: Rc<Vec<Lamp>>,
    pub(crate) actors: Vec<SerialNumber>,
    pub(crate) max_entries: usize,
    pub(crate) ttl: Duration,
    pub(crate) polls: bool,
    /// Lamps whose wish the doors have heard of since the daemon started.
    wished: Rc<RefCell<BTreeSet<usize>>>,
    /// Whom to ask about a lamp; nobody while it is not configured.
    pub(crate) addrs: Vec<Option<AccessoryAddr>>,
    roll: Rc<RefCell<Option<Roll>>>,
    looked_at: Cell<Option<Duration>>,
    vault: MemoryVault,
    file: ConfigFile,
    audience: Audience,
    rules: Rules,
}

/// What the doors would have been told.
struct Door {
    court: Rc<RefCell<Court>>,
    line: Rc<Line>,
    lamps: Rc<Vec<Lamp>>,
    wished: Rc<RefCell<BTreeSet<usize>>>,
    roll: Rc<RefCell<Option<Roll>>>,
}

impl Door {
    /// Which lamp tells its changes by this place.
    fn lamp(&self, place: AccessoryId) -> Option<usize> {
        let roll = self.roll.borrow();
        let cards = roll.as_ref()?.borrow();
        let point = cards.at(place)?.face.point?;
        self.lamps.iter().position(|lamp| lamp.point == point)
    }
}

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<AccessoryChanged> for Door {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, _: &mut Context<Self>) {
        let Some(place) = self.lamp(changed.id) else { return };
        let (shown, now) = (shown(self.lamps[place], &changed.state), self.line.now());
        let mut court = self.court.borrow_mut();
        if shown.freshness == Freshness::Pending {
            self.wished.borrow_mut().insert(place);
        } else if shown.origin == Some(Origin::Snapshot) && !self.wished.borrow().contains(&place) {
            court.broken(Promise::Restart, now, || format!("what was kept is announced: {shown:?}"));
        }
        court.shown(Window::Told, &shown, now);
    }
}

impl Handler<LinkChanged> for Door {
    type Result = ();

    fn handle(&mut self, changed: LinkChanged, _: &mut Context<Self>) {
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        court.trace((now, changed.state as u8));
        match changed.state {
            LinkState::Up => {
                court.figures.connections += 1;
                court.link_down = None;
            }
            LinkState::Down => court.link_down = court.link_down.or(Some(now)),
            LinkState::Dialling => {}
        }
    }
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

fn serial(n: u8) -> SerialNumber {
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
struct ConfigFile {
    ttl: Duration,
    max_entries: usize,
    polls: bool,
    /// Modules that are not in it, by link number, and lamps that are not, by link number and output.
    modules_gone: BTreeSet<u8>,
    lamps_gone: BTreeSet<(u8, u8)>,
    /// How often it was written anew.
    edition: u64,
}

impl ConfigFile {
    fn parse(&self) -> Config {
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
        config::parse("simulation.toml", &text, Path::new("/")).unwrap()
    }

    /// Every lamp has another name; lamps and at times a whole module come or go.
    fn write_anew(&mut self, chance: &mut Rng) {
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
    let pace = Pace::new(BTreeSet::from([serial(99)]));
    let line = Line::new(emulator, court.clone(), pace, modules.into());
    line.sample();
    let wished = Rc::new(RefCell::default());
    let roll = Rc::new(RefCell::new(None));
    let (told, on, of) = (court.clone(), line.clone(), lamps.clone());
    let door =
        Door { court: told, line: on, lamps: of, wished: Rc::clone(&wished), roll: Rc::clone(&roll) }.start();
    let audience = Audience {
        accessories: vec![door.clone().recipient()],
        links: vec![door.recipient()],
        ..Audience::default()
    };
    let (vault, rules) = (MemoryVault::default(), knobs.rules.clone());
    let app = daemon(&config, &line, &audience, beginning(&vault, &rules, chance.u64(..)));
    let addrs = vec![None; lamps.len()];
    let looked_at = Cell::new(None);
    let actors = INSTALLED.iter().filter(|(_, kind)| kind.is_actor()).map(|(n, _)| serial(*n)).collect();
    let mut house = House {
        app,
        line,
        court,
        lamps,
        actors,
        max_entries,
        ttl,
        polls,
        wished,
        addrs,
        roll,
        looked_at,
        vault,
        file,
        audience,
        rules,
    };
    house.find();
    house
}

/// A wall clock that follows virtual time.
fn wall() -> Duration {
    Duration::from_secs(1_800_000_000) + moment().since_start()
}

fn beginning(vault: &MemoryVault, rules: &Rules, seed: u64) -> Beginning {
    let plan = KeeperPlan { keeping: KeepingPlan::default(), vault: Box::new(vault.clone()), wall };
    let restored = restore(vault, wall()).snapshot;
    Beginning { seed, rules: rules.clone(), restored, keeper: Some(plan) }
}

fn daemon(config: &Config, line: &Rc<Line>, audience: &Audience, beginning: Beginning) -> App {
    let dials = vec![Box::new(LineDial(line.clone())) as Box<dyn conbusd::transport::Dial>];
    assemble_from(config, dials, audience, beginning)
}

impl House {
    /// Looks who stands for which lamp now.
    fn find(&mut self) {
        let roll = self.app.roll();
        {
            let cards = roll.borrow();
            let addr = |point| cards.all().iter().find(|card| card.face.point == point);
            self.addrs =
                self.lamps.iter().map(|lamp| addr(Some(lamp.point)).map(|card| card.addr.clone())).collect();
        }
        *self.roll.borrow_mut() = Some(roll);
    }

    /// The config file is written anew and read, while everything goes on.
    pub(crate) async fn reload(&mut self, chance: &mut Rng) {
        self.file.write_anew(chance);
        let (connection, at) = (self.line.connection(), self.line.now());
        let reload = self.app.reload(&self.file.parse()).await;
        self.find();
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        court.act("reload");
        if reload.error.is_some() || !reload.needs_restart.is_empty() || now > at + Duration::from_secs(1) {
            court.broken(Promise::Reload, now, || format!("begun at {at:?}: {reload:?}"));
        }
        if self.line.connection() != connection {
            court.broken(Promise::Reload, now, || "it had the gateway dialled anew".into());
        }
    }

    /// The outputs of a module that are configured.
    pub(crate) fn points_of(&self, serial: SerialNumber) -> Vec<(usize, Lamp)> {
        let lamps = self.lamps.iter().copied().enumerate();
        lamps.filter(|(at, lamp)| lamp.point.serial == serial && self.addrs[*at].is_some()).collect()
    }

    /// The daemon ends and starts again after a while, in order or, with what it had written last, as killed.
    /// What is restored is stale and no event, until the bus has said it again.
    pub(crate) async fn restart(&mut self, killed: bool, away: Duration, seed: u64) {
        let kept = self.vault.0.borrow().text.clone();
        self.app.drain().await;
        if killed {
            self.vault.0.borrow_mut().text = kept;
        }
        self.court.borrow_mut().act(if killed { "killed" } else { "restarted" });
        self.court.borrow_mut().link_down = Some(self.line.now());
        self.wished.borrow_mut().clear();
        tokio::time::sleep(away).await;
        let beginning = beginning(&self.vault, &self.rules, seed);
        let restored = beginning.restored.outputs.clone();
        self.app = daemon(&self.file.parse(), &self.line, &self.audience, beginning);
        self.find();
        let now = self.line.now();
        for (index, lamp) in self.lamps.iter().enumerate() {
            let kept = restored.iter().find(|one| one.point == lamp.point).and_then(|one| one.on);
            let Some(addr) = &self.addrs[index] else { continue };
            let state = ask(addr, GetState { max_age: Want::Any }, Duration::from_secs(1)).await;
            let right = state.as_ref().is_ok_and(|state| match kept {
                Some((on, _)) if restored.len() <= self.max_entries => {
                    state.on == Some(on) && state.freshness >= Freshness::Stale
                }
                _ => state.freshness >= Freshness::Stale,
            });
            if !right {
                let what = || format!("{:?} was kept as {kept:?} and is shown as {state:?}", lamp.point);
                self.court.borrow_mut().broken(Promise::Restart, now, what);
            }
        }
    }

    /// The machine stands still, and the house does not: virtual time passes while no actor runs.
    pub(crate) async fn stall(&self, how_long: Duration) {
        let before = self.line.now();
        self.line.asleep.set(self.line.asleep.get() + how_long);
        tokio::time::advance(how_long).await;
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        court.act("stall");
        // What waited in the socket is dated from when it is read, also a reply that was late already.
        let changed: Vec<Point> = court
            .truth
            .points()
            .filter(|&point| court.truth.of(point).changed(before.saturating_sub(REPLY_LIFE), now))
            .collect();
        court.truth.excuse(now + self.ttl, |point| changed.contains(&point));
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
        let counters = self.line.emulator.counters();
        let mut court = self.court.borrow_mut();
        let (Ok(cache), Ok(connection), Ok(_), Ok(_)) = (cache, connection, listener, poller) else {
            court.broken(Promise::Alive, now, || "an actor does not answer".into());
            return;
        };
        let bounds = [
            ("entries", &cache["entries"], self.max_entries as u64),
            ("readers_waiting", &cache["readers_waiting"], 1024),
            ("queue", &connection["queue"], 200),
            ("news_lost_total", &connection["news_lost_total"], 0),
        ];
        for (name, value, bound) in bounds {
            if value.as_u64().is_none_or(|value| value > bound) {
                court.broken(Promise::Queue, now, || format!("{name} is {value}, its bound {bound}"));
            }
        }
        if counters.connections_open_max > 1 {
            court.broken(Promise::Connection, now, || "two at once".into());
        }
        if counters.connection_gap_min.is_some_and(|gap| gap < Duration::from_millis(250)) {
            let gap = counters.connection_gap_min;
            court.broken(Promise::Connection, now, || format!("dialled {gap:?} after the last one"));
        }
    }

    /// Whether every actor lives, and stops when it is told to.
    pub(crate) async fn finish(&self) {
        self.looked_at.set(None);
        self.inspect().await;
        let died = self.app.accessories.iter().filter(|one| !one.connected()).count();
        let now = self.line.now();
        if died > 0 {
            self.court.borrow_mut().broken(Promise::Alive, now, || format!("{died} accessories died"));
        }
        self.app.drain().await;
    }
}
