//! What to refresh when, over all gateways (design 5, the poller; fault rows 7, 17 and 18).
//!
//! Owns when each module was last asked, how often it deserves it and how much bus time each gateway has left
//! for that. It knows neither values nor telegrams: a [`Turn`] says only that a module should be refreshed now.
//!
//! A background turn is paid for: after one that costs `c` the gateway has none for `c / bus_share`. So the
//! share holds over every stretch of time, also after a stall, and nothing can come in a burst. When more is
//! wanted than fits, the longest overdue goes first and every period stretches alike. The reads after a connect
//! are not held back by the share, but paid for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use self::lane::{Lane, Why};
use super::{Agenda, GatewayId, Moment};
use crate::conbus::SerialNumber;

mod lane;
mod reload;

/// The longest time between two attempts at a module that does not answer.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// How many polls in a row must agree with the reports before a module is believed again (design 5).
const CLEAN_POLLS: u8 = 10;
/// How much bus time of reads after a connect may be asked for ahead.
const WARM_UP_AHEAD: Duration = Duration::from_secs(3);
/// When there was no room for a turn, how long until it is tried again.
const ROOM_AGAIN: Duration = Duration::from_millis(100);
/// The least cost of a turn: a free one could be repeated without end.
const COST_MIN: Duration = Duration::from_millis(1);
/// The least share of bus time: below it a house would be polled once an hour.
const SHARE_MIN: f64 = 0.01;

/// How often to refresh, for every module.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SchedulePlan {
    /// Whether to refresh anything at all; when not, [`Schedule::resume`] does nothing.
    pub enabled: bool,
    /// Between two polls of a used module that does not report by itself.
    pub interval: Duration,
    /// Between two polls of a used module that does.
    pub reporting_interval: Duration,
    /// A module not used for longer than this is not polled.
    pub idle_after: Duration,
    /// The part of bus time that background turns may take, 0.01 to 1; other values are brought into the range.
    pub bus_share: f64,
}

impl SchedulePlan {
    fn within_bounds(self) -> Self {
        let share = if self.bus_share > SHARE_MIN { self.bus_share.min(1.0) } else { SHARE_MIN };
        Self { bus_share: share, ..self }
    }
}

/// One configured module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModulePlan {
    /// Which module.
    pub serial: SerialNumber,
    /// Behind which gateway.
    pub gateway: GatewayId,
    /// The least time between two turns: 200 ms, 2 s for an XP33LR (protocol reference 7.3 and 7.5).
    pub spacing: Duration,
    /// The bus time that one refresh takes, about 60 ms for a relay module (protocol reference 7.2).
    pub exchange_cost: Duration,
    /// Whether it has outputs; others have nothing to refresh (protocol reference 4.3).
    pub actor: bool,
}

/// A module that should be refreshed now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which module.
    pub serial: SerialNumber,
    /// Whether it is the first read after a connect, which is more urgent than a poll.
    pub warm_up: bool,
}

/// What the schedule knows of one module.
#[derive(Debug)]
struct Module {
    plan: ModulePlan,
    /// Its place in the config.
    place: usize,
    used: Option<Moment>,
    /// Since when it is polled because of its use; `None` while idle.
    active_since: Option<Moment>,
    last_turn: Option<Moment>,
    /// Whether it reports by itself (D21); `None` when this connection has not told yet.
    reporting: Option<bool>,
    /// How many clean polls are missing before its reports count again.
    distrust: u8,
    /// Time-outs in a row and when the last one was.
    silence: Option<(u32, Moment)>,
    /// The latest moment for which an early refresh was asked.
    early_until: Option<Moment>,
    quarantined: bool,
}

/// Decides which module is refreshed when.
#[derive(Debug)]
pub struct Schedule {
    plan: SchedulePlan,
    running: bool,
    modules: BTreeMap<SerialNumber, Module>,
    lanes: BTreeMap<GatewayId, Lane>,
    /// When each gateway that is up has something due: one turn must not cost a look at a hundred gateways.
    next: Agenda<GatewayId>,
}

impl Schedule {
    /// A schedule that runs when the plan enables it; every gateway is down at first.
    pub fn new(plan: SchedulePlan, modules: Vec<ModulePlan>) -> Self {
        let mut schedule = Self {
            plan: plan.within_bounds(),
            running: plan.enabled,
            modules: BTreeMap::new(),
            lanes: BTreeMap::new(),
            next: Agenda::default(),
        };
        for (place, plan) in modules.into_iter().enumerate() {
            schedule.lanes.entry(plan.gateway).or_default();
            schedule.modules.insert(plan.serial, Module::new(plan, place));
        }
        schedule
    }

    /// Notes that somebody is interested in this module.
    pub fn used(&mut self, serial: SerialNumber, now: Moment) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        module.used = Some(now);
        if module.active_since.is_none() {
            module.active_since = Some(now);
            self.arrange(serial);
        }
    }

    /// Notes a new connection: every module of the gateway is read once, the last used first, and what earlier
    /// connections taught of reports, silence and storms counts no longer.
    pub fn link_up(&mut self, gateway: GatewayId, now: Moment) {
        let Some(lane) = self.lanes.get_mut(&gateway) else { return };
        lane.up = true;
        lane.warm_up = Agenda::default();
        lane.early = Agenda::default();
        let mut ranked: Vec<&mut Module> =
            self.modules.values_mut().filter(|module| module.plan.gateway == gateway).collect();
        ranked.sort_by_key(|module| (Reverse(module.used), module.place));
        let (mut round, mut queued) = (Duration::ZERO, Duration::ZERO);
        for (rank, module) in ranked.into_iter().enumerate() {
            module.forget_connection();
            if module.plan.actor {
                // A large house must not overflow the outbox: behind the first ones, as fast as the bus allows.
                let from = now + queued.saturating_sub(WARM_UP_AHEAD);
                lane.warm_up.set((rank, module.plan.serial), module.not_before(from));
                queued += module.plan.exchange_cost;
                round += price(module.plan.exchange_cost, self.plan.bus_share);
            }
        }
        // A link that flaps must not pile up debts: one round at most is carried over.
        lane.free_at = lane.free_at.min(now + round);
        self.arrange_lane(gateway);
        self.settle(gateway);
    }

    /// Notes that the connection is gone: nothing of this gateway is due.
    pub fn link_down(&mut self, gateway: GatewayId) {
        if let Some(lane) = self.lanes.get_mut(&gateway) {
            lane.up = false;
        }
        self.settle(gateway);
    }

    /// Notes what D21 says: whether the module reports by itself, or that it is not known.
    pub fn auto_report(&mut self, serial: SerialNumber, by_itself: Option<bool>) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        if module.reporting != by_itself {
            module.reporting = by_itself;
            self.arrange(serial);
        }
    }

    /// Notes a poll that found nothing that the reports had not told.
    pub fn polled_clean(&mut self, serial: SerialNumber) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        if module.distrust > 0 {
            module.distrust -= 1;
            self.arrange(serial);
        }
    }

    /// Notes a poll that found a change which no report announced: the module is polled every `interval` until
    /// ten polls in a row are clean, or until the next connection.
    ///
    /// Only on/off counts; levels change silently by nature (protocol reference 5.2).
    pub fn unannounced(&mut self, serial: SerialNumber, _now: Moment) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        module.distrust = CLEAN_POLLS;
        self.arrange(serial);
    }

    /// Notes that the module did not answer: it is left alone for twice its period, then four times, up to
    /// 60 s. Its neighbours are not.
    pub fn silent(&mut self, serial: SerialNumber, now: Moment) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        let times = module.silence.map_or(0, |(times, _)| times).saturating_add(1);
        module.silence = Some((times, now));
        self.arrange(serial);
    }

    /// Notes that the module answered, or was heard: its back-off ends.
    pub fn answered(&mut self, serial: SerialNumber) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        if module.silence.take().is_some() {
            let wanted = module.early_until;
            self.arrange(serial);
            if let Some(wanted) = wanted {
                self.arrange_early(serial, wanted);
            }
        }
    }

    /// Asks for a refresh this long after `now`, because something may have switched the module; used or not.
    ///
    /// Several wishes are joined: the first of them is met, and when a later one lies beyond that turn, one
    /// more turn follows it, so that the last press of a row is seen too.
    pub fn early(&mut self, serial: SerialNumber, after: Duration, now: Moment) {
        let Some(module) = self.modules.get(&serial) else { return };
        if self.is_up(module.plan.gateway) {
            self.arrange_early(serial, now + after);
        }
    }

    /// Takes a module out of the schedule because it storms, or puts it back; back, it is refreshed at once.
    pub fn quarantine(&mut self, serial: SerialNumber, quarantined: bool) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        let released = module.quarantined && !quarantined;
        module.quarantined = quarantined;
        self.arrange(serial);
        if released {
            self.arrange_early(serial, Moment::START);
        }
    }

    /// Resumes, when the plan enables refreshing. What became due in the meantime comes at the usual pace.
    pub fn resume(&mut self) {
        self.running = self.plan.enabled;
    }

    /// Pauses everything, the reads after a connect included.
    pub fn pause(&mut self) {
        self.running = false;
    }

    /// Whether the link of this gateway is up.
    pub fn is_up(&self, gateway: GatewayId) -> bool {
        self.lanes.get(&gateway).is_some_and(|lane| lane.up)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// How many modules are polled because they were used recently.
    pub fn active(&self) -> usize {
        self.modules.values().filter(|module| module.active_since.is_some()).count()
    }

    /// The modules, the last used first; those never used come last, in the order in which they were given.
    pub fn by_use(&self) -> Vec<SerialNumber> {
        let mut modules: Vec<&Module> = self.modules.values().collect();
        modules.sort_by_key(|module| (Reverse(module.used), module.place));
        modules.into_iter().map(|module| module.plan.serial).collect()
    }

    /// Takes what is due: the reads after a connect, three seconds of bus time ahead, and at most one background turn a gateway.
    pub fn due(&mut self, now: Moment) -> Vec<Turn> {
        let mut turns = Vec::new();
        if !self.running {
            return turns;
        }
        // What was given out is paid for, so that no gateway is due twice at one moment.
        while let Some(gateway) = self.next.pop_due(now) {
            while let Some(serial) = self.take_warm_up(gateway, now) {
                turns.push(self.turn(serial, true, now));
            }
            if let Some(serial) = self.take_background(gateway, now) {
                turns.push(self.turn(serial, false, now));
            }
            self.settle(gateway);
        }
        turns
    }

    /// Puts a turn back for which there was no room: it comes again in a moment. What was never read would else stay
    /// unknown until somebody uses it.
    pub fn postponed(&mut self, turn: Turn, now: Moment) {
        let Some(module) = self.modules.get(&turn.serial) else { return };
        let (gateway, place) = (module.plan.gateway, module.place);
        match self.lanes.get_mut(&gateway) {
            Some(lane) if turn.warm_up => {
                lane.warm_up.set((place, turn.serial), now + ROOM_AGAIN);
                self.settle(gateway);
            }
            _ => self.early(turn.serial, ROOM_AGAIN, now),
        }
    }

    /// When to call [`Schedule::due`] next.
    pub fn next_due(&self) -> Option<Moment> {
        self.next.next_due().filter(|_| self.running)
    }

    /// Notes when the next thing of a gateway is due.
    fn settle(&mut self, gateway: GatewayId) {
        match self.lanes.get(&gateway).and_then(Lane::next_due) {
            Some(due) => self.next.set(gateway, due),
            None => self.next.clear(gateway),
        }
    }

    fn take_warm_up(&mut self, gateway: GatewayId, now: Moment) -> Option<SerialNumber> {
        let lane = self.lanes.get_mut(&gateway)?;
        loop {
            let (_, serial) = lane.warm_up.pop_due(now)?;
            if self.modules.get(&serial).is_some_and(|module| !module.quarantined) {
                return Some(serial);
            }
        }
    }

    fn take_background(&mut self, gateway: GatewayId, now: Moment) -> Option<SerialNumber> {
        let lane = self.lanes.get_mut(&gateway)?;
        if lane.free_at > now {
            return None;
        }
        loop {
            let (serial, why) = lane.take_background(now, self.plan.interval)?;
            let module = self.modules.get_mut(&serial)?;
            if module.used.is_none_or(|used| now.since(used) > self.plan.idle_after) {
                module.active_since = None;
            }
            if why == Why::Early || module.active_since.is_some() {
                return Some(serial);
            }
        }
    }

    /// Notes that the module is asked now and arranges its next turns.
    fn turn(&mut self, serial: SerialNumber, warm_up: bool, now: Moment) -> Turn {
        if let Some(module) = self.modules.get_mut(&serial) {
            module.last_turn = Some(now);
            let again = module.early_until.filter(|until| *until > now);
            module.early_until = again;
            if let Some(lane) = self.lanes.get_mut(&module.plan.gateway) {
                lane.early.clear(serial);
                lane.free_at = lane.free_at.max(now) + price(module.plan.exchange_cost, self.plan.bus_share);
            }
            self.arrange(serial);
            if let Some(again) = again {
                self.arrange_early(serial, again);
            }
        }
        Turn { serial, warm_up }
    }

    /// Sets the next poll of a module by what is known of it now.
    fn arrange(&mut self, serial: SerialNumber) {
        let Some(module) = self.modules.get(&serial) else { return };
        let Some(lane) = self.lanes.get_mut(&module.plan.gateway) else { return };
        match module.next_poll(&self.plan) {
            Some(due) => lane.periodic.set(serial, due),
            None => lane.periodic.clear(serial),
        }
        if module.quarantined {
            lane.early.clear(serial);
        } else if let Some(wanted) = lane.early.get(serial) {
            lane.early.set(serial, wanted.max(module.not_before_silence(&self.plan)));
        }
        let gateway = module.plan.gateway;
        self.settle(gateway);
    }

    /// Sets the next early refresh of a module, unless one is due sooner.
    fn arrange_early(&mut self, serial: SerialNumber, wanted: Moment) {
        let Some(module) = self.modules.get_mut(&serial) else { return };
        let Some(lane) = self.lanes.get_mut(&module.plan.gateway) else { return };
        if module.quarantined || !module.plan.actor {
            module.early_until = None;
            return;
        }
        module.early_until = module.early_until.max(Some(wanted));
        let wanted = module.not_before(wanted).max(module.not_before_silence(&self.plan));
        if lane.early.get(serial).is_none_or(|pending| wanted < pending) {
            lane.early.set(serial, wanted);
        }
        let gateway = module.plan.gateway;
        self.settle(gateway);
    }

    fn arrange_lane(&mut self, gateway: GatewayId) {
        let serials: Vec<SerialNumber> = self
            .modules
            .values()
            .filter(|module| module.plan.gateway == gateway)
            .map(|module| module.plan.serial)
            .collect();
        for serial in serials {
            self.arrange(serial);
        }
    }
}

impl Module {
    fn new(plan: ModulePlan, place: usize) -> Self {
        Self {
            plan: ModulePlan { exchange_cost: plan.exchange_cost.max(COST_MIN), ..plan },
            place,
            used: None,
            active_since: None,
            last_turn: None,
            reporting: None,
            distrust: 0,
            silence: None,
            early_until: None,
            quarantined: false,
        }
    }

    fn forget_connection(&mut self) {
        self.reporting = None;
        self.distrust = 0;
        self.silence = None;
        self.early_until = None;
        self.quarantined = false;
    }

    /// How long after one poll the next is wanted, while it answers.
    fn period(&self, plan: &SchedulePlan) -> Duration {
        let trusted = self.reporting == Some(true) && self.distrust == 0;
        let period = if trusted { plan.reporting_interval } else { plan.interval };
        period.max(self.plan.spacing)
    }

    /// This moment, or later when the module's spacing asks for it.
    fn not_before(&self, wanted: Moment) -> Moment {
        self.last_turn.map_or(wanted, |last| wanted.max(last + self.plan.spacing))
    }

    /// Until when the module is left alone because it does not answer.
    fn not_before_silence(&self, plan: &SchedulePlan) -> Moment {
        self.silence.map_or(Moment::START, |(times, at)| {
            let period = self.period(plan);
            let doubled = period.saturating_mul(2_u32.checked_pow(times).unwrap_or(u32::MAX));
            at + doubled.min(SILENT_MAX).max(period)
        })
    }

    fn next_poll(&self, plan: &SchedulePlan) -> Option<Moment> {
        let active_since = self.active_since.filter(|_| self.plan.actor && !self.quarantined)?;
        let due = self.last_turn.map_or(active_since, |last| last + self.period(plan));
        Some(due.max(active_since).max(self.not_before_silence(plan)))
    }
}

/// The time that a turn of this cost takes out of the share, rounded up to a microsecond.
fn price(cost: Duration, share: f64) -> Duration {
    Duration::from_micros((cost.as_micros() as f64 / share).ceil() as u64)
}

#[cfg(test)]
mod tests;
