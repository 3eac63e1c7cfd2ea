//! What hits the daemon itself: its machine stands still, it is killed, its disk is full or lies, its clock jumps, it
//! is asked too much at once, and what it is told finds no room.

use std::time::Duration;

use conbusd::actors::ask;
use conbusd::actors::events::{GetState, Observe, SetTarget};
use conbusd::conbus::{Edge, Event, EventBus, EventSource, Point};
use conbusd::policy::store::Want;
use conbusd::policy::switch::{Target, Until};
use conbusd::policy::{BusError, Freshness};
use fastrand::Rng;
use tokio::task::{spawn_local, yield_now};

use crate::court::{Promise, TOLD_AGAIN};
use crate::house::{House, WALL_JUMP, beginning, daemon};
use crate::people::WRITE_WITHIN;
use crate::wire::REPLY_LIFE;

/// How many may wait for one accessory, and how many come at once here.
const WRITERS_MAX: usize = 64;
const WRITERS: usize = 100;

/// How many readers of each lamp come at once: more of all lamps together than may wait.
const READERS: usize = 40;

/// The longest pause that a connection does not tell from a busy machine.
const UNNOTICED: Duration = Duration::from_millis(500);

/// One more than fit into the mailbox of a listener.
const MAILBOX: usize = 257;

impl House {
    /// The daemon ends and starts again after a while, in order or, with what it had written last, as killed.
    /// What is restored is stale and no event, until the bus has said it again.
    pub(crate) async fn restart(&mut self, killed: bool, away: Duration, seed: u64) {
        let kept = self.vault.0.borrow().text.clone();
        if !killed {
            self.app.drain().await;
        }
        self.life.end().await;
        if killed && self.vault.0.borrow().text != kept {
            self.court
                .borrow_mut()
                .broken(Promise::Restart, self.line.now(), || "the dead have written".into());
        }
        self.court.borrow_mut().act(if killed { "killed" } else { "restarted" });
        self.court.borrow_mut().link_down = Some(self.line.now());
        tokio::time::sleep(away).await;
        let damaged = seed.is_multiple_of(4).then(|| self.damage(seed)).flatten();
        let beginning = beginning(&self.vault, &self.rules, seed);
        if damaged.as_ref().is_some_and(|text| !self.vault.0.borrow().aside.contains(text)) {
            let what = || "a state that cannot be read was not set aside".into();
            self.court.borrow_mut().broken(Promise::Restart, self.line.now(), what);
        }
        let restored = beginning.restored.outputs.clone();
        self.doors.borrow_mut().restarted();
        self.may_lose.set(false);
        (self.app, self.life, self.guest) = daemon(&self.file.parse(), &self.line, &self.audience, beginning);
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
        // A command that is obeyed meanwhile is told before anybody has looked.
        let told = |point: Point| self.line.is_commanded(point.serial);
        self.court.borrow_mut().truth.excuse(before + how_long + self.ttl, told);
        let down = self.court.borrow().link_down;
        if let Some(since) = down.filter(|since| *since + TOLD_AGAIN >= before) {
            // Who was told of it and who was not yet: for them the pause is one instant.
            self.court.borrow_mut().link_down = Some(since + how_long);
        }
        tokio::time::advance(how_long).await;
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        court.act("stall");
        if how_long > UNNOTICED {
            return;
        }
        // The connection does not notice: what waited in the socket is dated from when it is read, also a late reply.
        let changed: Vec<Point> = court
            .truth
            .points()
            .filter(|&point| court.truth.of(point).changed(before.saturating_sub(REPLY_LIFE), now))
            .collect();
        court.truth.excuse(now + self.ttl, |point| changed.contains(&point));
    }

    /// The state on the disk is no longer what was written there; gives what it is now.
    fn damage(&self, seed: u64) -> Option<Vec<u8>> {
        let mut memory = self.vault.0.borrow_mut();
        let text = memory.text.as_mut().filter(|text| !text.is_empty())?;
        let place = seed as usize % text.len();
        if seed & 8 == 0 {
            text.truncate(place);
        } else {
            text[place] ^= 4;
        }
        self.court.borrow_mut().act("corrupt_state");
        Some(text.clone())
    }

    /// The wall clock is set a day forward, back, or right again.
    pub(crate) fn jump(&self, chance: &mut Rng) {
        WALL_JUMP.set([-86_400, 0, 86_400][chance.usize(0..3)]);
        self.court.borrow_mut().act("wall_jump");
    }

    /// The disk is full, or has room again.
    pub(crate) fn disk(&self, full: bool) {
        let was = std::mem::replace(&mut self.vault.0.borrow_mut().full, full);
        if full && !was {
            self.court.borrow_mut().act("disk_full");
        }
    }

    /// More wishes for one lamp, and more readers of all, than may wait: those beyond are told so at once.
    pub(crate) fn overload(&self, chance: &mut Rng) {
        let index = chance.usize(0..self.lamps.len());
        let asked = self.line.now();
        let (point, asleep) = (self.lamps[index].point, self.line.asleep.get());
        if let Some(addr) = &self.addrs[index] {
            let waited = std::rc::Rc::new(std::cell::Cell::new(0));
            for number in 0..WRITERS {
                let target = Target { on: Some(number % 2 == 0), level: None };
                let answer =
                    ask(addr, SetTarget { target, until: Until::Confirmed, client: 2 }, WRITE_WITHIN * 2);
                let (court, line, waited) = (self.court.clone(), self.line.clone(), waited.clone());
                spawn_local(async move {
                    let answer = answer.await;
                    let now = line.now();
                    let mut court = court.borrow_mut();
                    if answer == Err(BusError::Busy) {
                        court.act("busy");
                    }
                    if now > asked {
                        waited.set(waited.get() + 1);
                        court.bounded(("writers waiting", Some(waited.get())), WRITERS_MAX as u64, now);
                    }
                    court.answered(
                        ("a wish of many for", point),
                        asked..line.awake(now, asleep),
                        WRITE_WITHIN,
                    );
                });
            }
        }
        for _ in 0..READERS {
            (0..self.lamps.len()).for_each(|index| self.read(index, Want::Since(conbusd::actors::now())));
        }
    }

    /// Reports come while the listener's mailbox is full: if one finds no room, nothing is vouched for until it is read
    /// again.
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody waits for these: they are there to fill the mailbox"
    )]
    pub(crate) async fn lose_news(&self, chance: &mut Rng) {
        self.may_lose.set(true);
        let lamp = self.lamps[chance.usize(0..self.lamps.len())];
        let Some((on, _)) = self.line.emulator.output(lamp.point) else { return };
        if self.line.is_commanded(lamp.point.serial) {
            return;
        }
        let (kind, link) = self.line.sender_of(lamp.point.serial);
        let stem = format!("E{kind:02}L{link:02}I{}", 80 + lamp.point.output.get());
        let Some(source) = EventSource::parse_stem(&stem) else { return };
        let event = Event { bus: EventBus::Xp, source, edge: Edge::of_output(on) };
        for _ in 0..6 {
            self.line.say(conbusd::conbus::Telegram::from(event).to_bytes());
            for _ in 0..3 {
                let sent = (0..MAILBOX).map(|_| self.app.listeners[0].try_send(Observe));
                if sent.filter(Result::is_err).count() > 0 {
                    self.court.borrow_mut().act("mailbox_full");
                }
                yield_now().await;
            }
        }
    }
}
