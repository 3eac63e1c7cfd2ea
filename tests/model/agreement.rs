//! The abstract bus does what the daemon does: random histories of it are told to the real interpreter and the real
//! store as telegrams, and after each step both must believe the same, with the same stamp.

use std::num::NonZeroUsize;
use std::time::Duration;

use conbusd::conbus::{
    Bitmap, Command, Datapoint, Edge, Event, EventBus, EventSource, Function, ModuleType, OutputIndex, Point,
    Reply, SerialNumber, System, Telegram,
};
use conbusd::policy::interpret::{Fact, Installed, Interpreter};
use conbusd::policy::outbox::Ending;
use conbusd::policy::settle::Settle;
use conbusd::policy::store::{ModulePlan, Store, StorePlan};
use conbusd::policy::{GatewayId, Moment};
use fastrand::Rng;
use stateright::Model;

use crate::bus::{Action, FOREIGN_LAG, REPLY_LIFE, State, TIME_OUT, Told, Without, World};

/// A tick, so that the time-out of a query is the one of the interpreter for those of other masters.
const TICK: Duration = Duration::from_millis(150);

const HISTORIES: u64 = 3_000;

fn at(tick: i16) -> Moment {
    let begin = Moment::after_start(Duration::from_secs(10));
    let ticks = TICK * u32::from(tick.unsigned_abs());
    if tick < 0 { begin.before(ticks) } else { begin + ticks }
}

/// The daemon's own code over one output.
struct Built {
    interpreter: Interpreter,
    store: Store,
    point: Point,
}

impl Built {
    fn new() -> Self {
        let serial: SerialNumber = "0012345001".parse().unwrap();
        let point = Point { serial, output: OutputIndex::new(0).unwrap() };
        let plan = StorePlan {
            enabled: true,
            ttl: Duration::from_secs(3_600),
            max_entries: NonZeroUsize::new(10).unwrap(),
            max_waiters: StorePlan::WAITERS_MAX,
            patience: StorePlan::PATIENCE,
            settle: Settle {
                reply_life: TICK * u32::from(REPLY_LIFE),
                foreign_lag: TICK * u32::from(FOREIGN_LAG),
                time_out: TICK * u32::from(TIME_OUT),
            },
        };
        let module = ModulePlan { serial, gateway: GatewayId(0), outputs: 4, dimmable: false };
        let mut store = Store::new(plan, [module]);
        store.link_changed(GatewayId(0), true, at(-100), &mut Vec::new());
        let installed = Installed { serial, module_type: ModuleType::XP24, link: 1 };
        Self { interpreter: Interpreter::new([installed]), store, point }
    }

    fn read(&self) -> Telegram {
        System::read(self.point.serial, Datapoint::OUTPUTS).into()
    }

    fn reply(&self, version: u8) -> Telegram {
        let mut outputs = Bitmap::default();
        OutputIndex::first(4).for_each(|output| outputs.set(output, false));
        outputs.set(self.point.output, version % 2 == 1);
        let data = format!("12{}", outputs.to_text(4)).into_bytes();
        Reply::new(self.point.serial, Function::READ_DATAPOINT, data).unwrap().into()
    }

    fn told(&self, told: Told) -> Telegram {
        match told {
            Told::Report { version, .. } => {
                let source = EventSource::parse_stem("E07L01I80").unwrap();
                Event { bus: EventBus::Xp, source, edge: Edge::of_output(version % 2 == 1) }.into()
            }
            Told::Acknowledged { .. } => Reply::new(self.point.serial, Function::ACK, b"D").unwrap().into(),
        }
    }

    /// The same happens to it.
    fn step(&mut self, before: &State, action: Action, after: &State) {
        let (seq, now, mut facts) = (after.seq, at(before.now.into()), Vec::new());
        let serial = self.point.serial;
        match action {
            Action::Command => {
                let command = System::command(serial, Command::SetOutput(self.point.output, true)).into();
                self.interpreter.sent(&command, seq, now, &mut facts);
            }
            Action::Ask => self.interpreter.sent(&self.read(), seq, now, &mut facts),
            Action::OtherMaster { heard: true } => {
                self.interpreter.heard(&self.read(), seq, now, &mut facts);
            }
            Action::TimeOut => {
                if before.open.iter().any(|open| open.ours && open.at + TIME_OUT <= before.now) {
                    self.interpreter.ended(serial, seq, Ending::TimedOut, now, &mut facts);
                }
            }
            Action::Hear(place) | Action::HearTwice(place) => {
                let reply = self.reply(before.flying[place].version);
                self.interpreter.heard(&reply, seq, now, &mut facts);
            }
            Action::Event => {
                self.interpreter.heard(&self.told(before.told[0]), seq, now, &mut facts);
            }
            Action::LinkLost | Action::LinkBack => {
                let up = action == Action::LinkBack;
                if !up {
                    self.interpreter.link_lost(now, &mut facts);
                }
                self.store.link_changed(GatewayId(0), up, now, &mut Vec::new());
            }
            Action::Tick
            | Action::Switch { .. }
            | Action::Lose(_)
            | Action::Forget
            | Action::OtherMaster { heard: false } => {}
        }
        for fact in facts {
            match fact {
                Fact::Observed(seen) => self.store.observed(seen, &mut Vec::new()),
                Fact::Answered(answer) => {
                    answer.observations().for_each(|seen| self.store.observed(seen, &mut Vec::new()));
                }
                Fact::Commanded { point, seq, at } => self.store.commanded(point, seq, at),
                Fact::Doubtful { point, aspect, at, .. } => self.store.doubtful(point, aspect, at),
                _ => {}
            }
        }
    }

    fn believes(&self, tick: u8) -> Option<(bool, Moment)> {
        let reading = self.store.peek(self.point, at(tick.into()));
        reading.on.zip(reading.observed_at)
    }
}

/// One history; where the two part, and what had happened until then.
fn history(world: World, chance: &mut Rng) -> Result<usize, String> {
    let (mut state, mut built, mut past) = (world.init_states().remove(0), Built::new(), Vec::new());
    loop {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        // The interpreter forgets other masters' queries in time by itself.
        let overdue = |action: &&Action| **action == Action::TimeOut;
        let Some(&action) = actions.iter().find(overdue).or_else(|| chance.choice(&actions)) else {
            return Ok(past.len());
        };
        let next = world.next_state(&state, action).unwrap();
        built.step(&state, action, &next);
        past.push(action);
        let expected = next.cached.map(|(version, stamp)| (version % 2 == 1, at(stamp.into())));
        let believed = built.believes(next.now);
        if believed != expected {
            return Err(format!("the model believes {expected:?}, the daemon {believed:?} after {past:?}"));
        }
        state = next;
    }
}

fn worlds() -> Vec<World> {
    let all = World { late: true, evictions: 0, ticks: 12, queries: 4, ..World::QUIET };
    vec![
        World { evictions: 0, ..World::QUIET },
        World { silent: 1, foreign: 1, duplicates: 1, ..all },
        World { commands: 1, foreign: 2, ..all },
        World { link_losses: 2, duplicates: 1, commands: 1, ..all },
    ]
}

#[test]
fn the_model_and_the_daemon_believe_the_same_in_every_random_history() {
    let mut steps = 0;
    for seed in 0..HISTORIES {
        let mut chance = Rng::with_seed(seed);
        let world = *chance.choice(&worlds()).unwrap();
        steps += history(world, &mut chance).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(steps > 20 * HISTORIES as usize, "{steps} steps");
}

#[test]
fn a_model_that_lacks_a_part_of_the_rule_parts_from_the_daemon() {
    for without in
        [Without::Rule, Without::Attribution, Without::Settling, Without::DoubtAfterLoss, Without::Agreement]
    {
        let parts = (0..HISTORIES).any(|seed| {
            let mut chance = Rng::with_seed(seed);
            let world = World { without, ..*chance.choice(&worlds()).unwrap() };
            history(world, &mut chance).is_err()
        });
        assert!(parts, "{without:?} makes no difference");
    }
}
