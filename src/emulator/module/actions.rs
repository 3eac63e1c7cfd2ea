//! What a module does by itself: its action table, its own inputs, ramps and timers (protocol reference 3.6, 5.4).
//!
//! What an action does is known from its name and from what its users rely on, not from captures. Actions that
//! nobody has described (scenes, fading, steps, learning) do nothing here and are counted.

use std::time::Duration;

use crate::conbus::{Action, Edge, Event, OutputIndex, Parameter, Percent, TableEntry};

use super::{Module, Pace, Utterance};

/// How long a held LEVELUP or LEVELDOWN takes for one percent: four seconds from dark to full.
const RAMP_STEP: Duration = Duration::from_millis(40);
/// The input on which event timer 1 reports that it ran out (protocol reference 5.1).
const TIMER_INPUT: u8 = 70;

/// Something a module will do by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    at: Duration,
    what: Planned,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Planned {
    SwitchOn(OutputIndex),
    /// Event timer 0 to 3 runs out.
    TimerEnd(u8),
    /// The next percent of a ramp.
    Ramp(OutputIndex, Way),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Up,
    Down,
}

impl Module {
    /// Hears an event of the bus, its own included, and does what its table says.
    pub(in super::super) fn hear(&mut self, now: Duration, event: Event) -> Vec<Utterance> {
        if self.restarting.is_some() {
            return Vec::new();
        }
        let said = self
            .reactions(event)
            .into_iter()
            .map(|(entry, begins)| self.act(now, entry.output, (entry.action, entry.parameter), begins));
        said.collect::<Vec<_>>().concat()
    }

    /// Whether its table does something on this event.
    pub(in super::super) fn reacts_to(&self, event: Event) -> bool {
        self.restarting.is_none() && !self.reactions(event).is_empty()
    }

    /// The entries that this event concerns, each with whether it begins the action or ends it.
    fn reactions(&self, event: Event) -> Vec<(TableEntry, bool)> {
        let entries = self.setup.table.entries().filter_map(|(_, entry)| entry.ok());
        entries
            .filter(|entry| entry.listens_to(event.source) && self.has(entry.output))
            .map(|entry| (entry, (event.edge == Edge::Break) == entry.inverted))
            .filter(|(entry, begins)| *begins || entry.action.is_held())
            .collect()
    }

    /// Begins an action, or ends one that is held.
    fn act(
        &mut self,
        now: Duration,
        output: OutputIndex,
        (action, parameter): (Action, Parameter),
        begins: bool,
    ) -> Vec<Utterance> {
        if action == Action::BLOCK {
            self.set_blocked(output, begins);
            return Vec::new();
        }
        if self.is_blocked(output) {
            // A ramp that was running when the block came still ends with its button.
            if !begins {
                self.stop_ramp(output);
            }
            return Vec::new();
        }
        match action {
            Action::ON => self.turn(output, true),
            Action::OFF => {
                self.cancel(Planned::SwitchOn(output));
                self.turn(output, false)
            }
            Action::TOGGLE => self.toggle(output),
            Action::AUXRELAY => self.turn(output, begins),
            Action::MUTUALEX => [self.turn(partner(output), false), self.turn(output, true)].concat(),
            Action::LEVELUP | Action::LEVELDOWN => {
                self.stop_ramp(output);
                let way = if action == Action::LEVELUP { Way::Up } else { Way::Down };
                if begins && self.module_type().is_dimmable() {
                    return self.ramp(now, output, way);
                }
                Vec::new()
            }
            Action::LEVELINC => self.step_level(output, i16::from(parameter.get())),
            Action::LEVELDEC => self.step_level(output, -i16::from(parameter.get())),
            Action::LEVELSET => Percent::new(parameter.get()).map_or_else(Vec::new, |level| {
                self.stop_ramp(output);
                self.set_level(output, level)
            }),
            Action::DELAYEDON => {
                self.plan(now + time(parameter), Planned::SwitchOn(output));
                Vec::new()
            }
            Action::EVENTTIMER1 | Action::EVENTTIMER2 | Action::EVENTTIMER3 | Action::EVENTTIMER4 => {
                let timer = action.code() - Action::EVENTTIMER1.code();
                self.plan(now + time(parameter), Planned::TimerEnd(timer));
                Vec::new()
            }
            Action::VOID => Vec::new(),
            _ => {
                self.actions_unknown += 1;
                Vec::new()
            }
        }
    }

    /// Somebody presses or releases an input of the module's own.
    ///
    /// The inputs of an XP24 drive its outputs as its own table says; those of other modules, panels and links
    /// included, are events on the bus.
    pub(in super::super) fn input(&mut self, now: Duration, input: u8, edge: Edge) -> Vec<Utterance> {
        let edge = match (edge, self.inverts(input)) {
            (edge, false) => edge,
            (Edge::Make, true) => Edge::Break,
            (Edge::Break, true) => Edge::Make,
        };
        if let Some(held) = self.inputs_held.get_mut(usize::from(input)) {
            *held = edge == Edge::Make;
        }
        let direct = OutputIndex::new(input).zip(self.direct_action(input));
        if let Some((output, what)) = direct {
            let begins = edge == Edge::Make;
            return if begins || what.0.is_held() { self.act(now, output, what, begins) } else { Vec::new() };
        }
        vec![Utterance { telegram: self.event(input, edge).into(), pace: Pace::Report }]
    }

    fn toggle(&mut self, output: OutputIndex) -> Vec<Utterance> {
        let on = self.level(output).is_some_and(|level| level != Percent::OFF);
        self.turn(output, !on)
    }

    fn step_level(&mut self, output: OutputIndex, by: i16) -> Vec<Utterance> {
        self.stop_ramp(output);
        let Some(level) = self.level(output) else { return Vec::new() };
        let level = (i16::from(level.get()) + by).clamp(0, 100) as u8;
        Percent::new(level).map_or_else(Vec::new, |level| self.set_level(output, level))
    }

    /// One percent of a ramp, and the plan for the next.
    fn ramp(&mut self, now: Duration, output: OutputIndex, way: Way) -> Vec<Utterance> {
        let (least, most) = self.limits(output);
        let Some(level) = self.level(output) else { return Vec::new() };
        let next = match way {
            Way::Up if level == Percent::OFF => least.get().max(1),
            Way::Up => level.get().saturating_add(1),
            Way::Down => level.get().saturating_sub(1),
        };
        if next > most.get() || next < least.get() || next == level.get() {
            return Vec::new();
        }
        self.plan(now + RAMP_STEP, Planned::Ramp(output, way));
        Percent::new(next).map_or_else(Vec::new, |level| self.set_level(output, level))
    }

    fn plan(&mut self, at: Duration, what: Planned) {
        self.cancel(what);
        self.plans.push(Plan { at, what });
    }

    fn cancel(&mut self, what: Planned) {
        self.plans.retain(|plan| plan.what != what);
    }

    fn stop_ramp(&mut self, output: OutputIndex) {
        self.plans.retain(|plan| !matches!(plan.what, Planned::Ramp(ramping, _) if ramping == output));
    }

    /// Forgets everything it meant to do, as a restart does.
    pub(super) fn forget_plans(&mut self) {
        self.plans.clear();
        self.blocked = 0;
    }

    pub(super) fn next_plan(&self) -> Option<Duration> {
        self.plans.iter().map(|plan| plan.at).min()
    }

    /// Does one thing that is due, the earliest first.
    pub(super) fn carry_out(&mut self, now: Duration) -> Vec<Utterance> {
        let due = self.plans.iter().enumerate().filter(|(_, plan)| plan.at <= now);
        let Some((index, _)) = due.min_by_key(|(_, plan)| plan.at) else { return Vec::new() };
        match self.plans.remove(index).what {
            Planned::SwitchOn(output) => self.turn(output, true),
            Planned::TimerEnd(timer) => {
                let ended = self.event(TIMER_INPUT + timer, Edge::Make);
                vec![Utterance { telegram: ended.into(), pace: Pace::Report }]
            }
            Planned::Ramp(output, way) => self.ramp(now, output, way),
        }
    }

    fn is_blocked(&self, output: OutputIndex) -> bool {
        self.blocked >> output.get() & 1 == 1
    }

    fn set_blocked(&mut self, output: OutputIndex, blocked: bool) {
        let bit = 1 << output.get();
        self.blocked = if blocked { self.blocked | bit } else { self.blocked & !bit };
    }
}

/// The other output of the pair: 1 and 2, 3 and 4 (protocol reference 3.6).
fn partner(output: OutputIndex) -> OutputIndex {
    OutputIndex::new(output.get() ^ 1).unwrap_or(output)
}

/// The time of a parameter; one that is no time is none.
fn time(parameter: Parameter) -> Duration {
    parameter.time().map_or(Duration::ZERO, crate::conbus::TimeCode::duration)
}
