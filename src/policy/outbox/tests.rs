//! Claims about what is said to the bus, and when.

mod shared_port;

use proptest::prelude::*;

use super::*;
use crate::conbus::{Command, Datapoint, Edge, Event, EventBus, EventSource, OutputIndex, Reply, System};

fn ms(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

fn read(n: u8) -> Telegram {
    System::read(serial(n), Datapoint::OUTPUTS).into()
}

fn switch(n: u8) -> Telegram {
    System::command(serial(n), Command::SetOutput(OutputIndex::new(0).unwrap(), true)).into()
}

fn button() -> Telegram {
    let source = EventSource::parse_stem("E02L04I01").unwrap();
    Event { bus: EventBus::Xp, source, edge: Edge::Make }.into()
}

fn value(n: u8, text: &str) -> Telegram {
    Reply::new(serial(n), Function::READ_DATAPOINT, format!("12{text}")).unwrap().into()
}

/// What an outbox wants done, in one line each.
struct Bench {
    outbox: Outbox,
    effects: Vec<Effect>,
}

impl Bench {
    fn with(plan: OutboxPlan) -> Self {
        let mut outbox = Outbox::new(plan);
        outbox.link_came_up(ms(0));
        Self { outbox, effects: vec![] }
    }

    fn submit(&mut self, telegram: Telegram, urgency: Urgency) -> Ticket {
        self.outbox.submit(telegram, urgency, ms(1_000_000)).unwrap()
    }

    fn due(&mut self, now: u64) -> Vec<String> {
        self.outbox.due(ms(now), &mut self.effects);
        self.take()
    }

    fn heard(&mut self, telegram: &Telegram, now: u64) -> Vec<String> {
        self.outbox.heard(telegram, ms(now), &mut self.effects);
        self.take()
    }

    fn take(&mut self) -> Vec<String> {
        let lines = self.effects.drain(..).map(|effect| match effect {
            Effect::Write(telegram) => telegram.to_string(),
            Effect::Ended { ticket, outcome: Ok(_) } => format!("{} ok", ticket.0),
            Effect::Ended { ticket, outcome: Err(error) } => format!("{} {error:?}", ticket.0),
            Effect::WireFree { how, .. } => format!("wire {how:?}"),
        });
        lines.collect()
    }
}

#[test]
fn one_exchange_is_in_flight_and_the_next_waits_20_ms_after_its_reply() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Reader);
    bench.submit(read(2), Urgency::Reader);
    assert_eq!(bench.due(0), ["<S0012345001F02D12FA>"]);
    assert_eq!(bench.due(40), [""; 0]);
    assert_eq!(bench.heard(&value(1, "xxxx0000"), 50), ["wire Answered", "1 ok"]);
    assert_eq!(bench.due(69), [""; 0]);
    assert_eq!(bench.outbox.next_due(), Some(ms(70)));
    assert_eq!(bench.due(70), ["<S0012345002F02D12FD>"]);
}

#[test]
fn a_command_overtakes_everything_that_is_not_yet_written() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Poll);
    bench.submit(read(2), Urgency::Reader);
    bench.submit(read(3), Urgency::StormProbe);
    bench.submit(switch(4), Urgency::Command);
    let mut order = vec![];
    for turn in 0..4 {
        let now = turn * 100;
        let written = bench.due(now);
        order.push(written[0][1..15].to_owned());
        let n = written[0][10..12].parse().unwrap();
        let answer = if n == 4 { Reply::ack(serial(4)).into() } else { value(n, "xxxx0000") };
        bench.heard(&answer, now + 50);
    }
    assert_eq!(order, ["S0012345004F27", "S0012345003F02", "S0012345002F02", "S0012345001F02"]);
}

#[test]
fn equal_reads_are_joined_while_unwritten_and_take_the_greater_urgency() {
    let mut bench = Bench::with(OutboxPlan::default());
    let poll = bench.submit(read(1), Urgency::Poll);
    bench.submit(read(2), Urgency::Reader);
    let reader = bench.submit(read(1), Urgency::Confirm);
    assert_eq!(bench.outbox.joined_total(), 1);
    assert_eq!(bench.due(0), ["<S0012345001F02D12FA>"]);
    let late = bench.submit(read(1), Urgency::Reader);
    assert_eq!(bench.outbox.joined_total(), 1, "what is written is not joined");
    let ended = bench.heard(&value(1, "xxxx0000"), 50);
    assert_eq!(ended, ["wire Answered".into(), format!("{} ok", poll.0), format!("{} ok", reader.0)]);
    assert_ne!(late, reader);
}

#[test]
fn a_read_is_repeated_twice_and_then_given_up() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Reader);
    assert_eq!(bench.due(0).len(), 1);
    assert_eq!(bench.due(300), ["wire TimedOut"]);
    assert_eq!(bench.due(320), ["<S0012345001F02D12FA>"]);
    assert_eq!(bench.due(620), ["wire TimedOut"]);
    assert_eq!(bench.due(640), ["<S0012345001F02D12FA>"]);
    assert_eq!(bench.due(940), ["wire TimedOut", "1 TimedOut"]);
    assert_eq!(bench.outbox.timeouts_total(), 3);
    assert!(bench.outbox.is_idle());
}

#[test]
fn a_command_is_never_repeated_by_itself() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(switch(1), Urgency::Command);
    bench.due(0);
    assert_eq!(bench.due(300), ["wire TimedOut", "1 TimedOut"]);
}

#[test]
fn only_the_answer_to_the_question_ends_it() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Reader);
    bench.due(0);
    let level = Reply::new(serial(1), Function::READ_DATAPOINT, "1500:000[%]").unwrap().into();
    for other in [value(2, "xxxx0000"), Reply::ack(serial(1)).into(), level, button()] {
        assert_eq!(bench.heard(&other, 10), [""; 0], "{other}");
    }
    assert_eq!(bench.heard(&value(1, "??"), 20), ["wire Refused", "1 Refused"]);
}

#[test]
fn a_refused_command_is_remembered_until_the_link_comes_back() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(switch(1), Urgency::Command);
    bench.due(0);
    assert_eq!(bench.heard(&Reply::nak(serial(1)).into(), 50), ["wire Refused", "1 Refused"]);
    assert_eq!(bench.outbox.submit(switch(1), Urgency::Command, ms(9000)), Err(BusError::Refused));
    assert!(bench.outbox.submit(switch(2), Urgency::Command, ms(9000)).is_ok(), "another module");
    bench.outbox.link_went_down(&mut bench.effects);
    bench.outbox.link_came_up(ms(1000));
    assert!(bench.outbox.submit(switch(1), Urgency::Command, ms(9000)).is_ok());
}

#[test]
fn an_injected_event_is_over_when_written_and_the_wire_rests_60_ms() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(button(), Urgency::Command);
    bench.submit(button(), Urgency::Command);
    assert_eq!(bench.due(0), ["<E02L04I01MAK>", "1 ok"]);
    assert_eq!(bench.due(59), [""; 0]);
    assert_eq!(bench.due(60), ["<E02L04I01MAK>", "2 ok"]);
}

#[test]
fn background_reads_of_one_module_keep_their_distance_and_let_others_pass() {
    let mut plan = OutboxPlan::default();
    plan.spacing_of.insert(serial(1), Duration::from_secs(2));
    let mut bench = Bench::with(plan);
    bench.submit(read(1), Urgency::Poll);
    bench.due(0);
    bench.heard(&value(1, "xxxx0000"), 50);
    bench.submit(read(1), Urgency::Poll);
    bench.submit(read(2), Urgency::Poll);
    assert_eq!(bench.due(100), ["<S0012345002F02D12FD>"]);
    bench.heard(&value(2, "xxxx0000"), 150);
    assert_eq!(bench.outbox.next_due(), Some(ms(2000)));
    bench.submit(read(1), Urgency::Reader);
    assert_eq!(bench.due(200), ["<S0012345001F02D12FA>"], "a reader does not wait for the spacing");
}

#[test]
fn a_nak_that_may_belong_to_something_else_does_not_end_a_read() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Reader);
    bench.due(0);
    assert_eq!(bench.heard(&Reply::nak(serial(1)).into(), 50), ["wire Refused"]);
    assert_eq!(bench.due(70), ["<S0012345001F02D12FA>"]);
    assert_eq!(bench.heard(&value(1, "xxxx0000"), 120), ["wire Answered", "1 ok"]);
    bench.submit(read(1), Urgency::Reader);
    for at in [200, 300] {
        bench.due(at);
        assert_eq!(bench.heard(&Reply::nak(serial(1)).into(), at + 50), ["wire Refused"]);
    }
    bench.due(400);
    assert_eq!(bench.heard(&Reply::nak(serial(1)).into(), 450), ["wire Refused", "2 Refused"], "it means it");
}

#[test]
fn what_is_not_written_by_its_deadline_is_not_written() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Reader);
    bench.due(0);
    bench.outbox.submit(switch(2), Urgency::Command, ms(200)).unwrap();
    assert_eq!(bench.due(200), ["2 TimedOut"]);
}

#[test]
fn a_lost_link_ends_everything_and_a_full_queue_says_busy() {
    let mut bench = Bench::with(OutboxPlan { capacity: 4, ..OutboxPlan::default() });
    for n in 1..=3 {
        bench.submit(read(n), Urgency::Poll);
    }
    assert_eq!(bench.outbox.submit(read(9), Urgency::Poll, ms(9)), Err(BusError::Busy));
    bench.submit(read(4), Urgency::Reader);
    assert_eq!(bench.outbox.submit(switch(9), Urgency::Command, ms(9)), Err(BusError::Busy));
    bench.due(0);
    bench.outbox.link_went_down(&mut bench.effects);
    let ended = bench.take();
    assert_eq!(ended.iter().filter(|line| line.ends_with("LinkDown")).count(), 4);
    assert_eq!(bench.outbox.submit(read(1), Urgency::Reader, ms(9)), Err(BusError::LinkDown));
    assert_eq!(bench.outbox.next_due(), None);
}

#[test]
fn a_list_of_a_thousand_stale_lamps_leaves_room_for_a_command() {
    let mut bench = Bench::with(OutboxPlan { capacity: 8, ..OutboxPlan::default() });
    let taken = (1..=20).filter(|n| bench.outbox.submit(read(*n), Urgency::MuxClient, ms(9)).is_ok());
    assert_eq!(taken.count(), 6);
    assert!(bench.outbox.submit(switch(9), Urgency::Command, ms(9)).is_ok());
}

#[test]
fn draining_writes_the_commands_and_ends_the_rest() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::Reader);
    bench.submit(switch(2), Urgency::Command);
    bench.outbox.drain(&mut bench.effects);
    assert_eq!(bench.take(), ["1 Stopping"]);
    assert_eq!(bench.outbox.submit(read(1), Urgency::Reader, ms(9)), Err(BusError::Stopping));
    assert_eq!(bench.due(0), ["<S0012345002F27D00ABFE>"]);
    bench.heard(&Reply::ack(serial(2)).into(), 50);
    assert!(bench.outbox.is_idle());
}

proptest! {
    /// Whatever is asked and however the bus behaves, the gaps and spacings hold and every ticket is answered once.
    #[test]
    fn the_pacing_holds_for_any_sequence(
        steps in prop::collection::vec((0u8..5, 0u8..6, 0u64..120, any::<bool>()), 1..120),
    ) {
        let mut bench = Bench::with(OutboxPlan::default());
        let (mut now, mut last_write, mut quiet_from, mut in_flight) = (0, None::<u64>, 0, None);
        let (mut tickets, mut ended) = (0, 0);
        let urgencies = [Urgency::Command, Urgency::Reader, Urgency::Poll, Urgency::WarmUp];
        for (module, kind, pause, answer) in steps {
            let telegram = match kind { 0 => switch(module), 1 => button(), _ => read(module) };
            let urgency = if kind == 0 { Urgency::Command } else { urgencies[usize::from(kind) % 4] };
            tickets += u64::from(bench.outbox.submit(telegram, urgency, ms(now + 5000)).is_ok());
            let end = now + pause;
            while now <= end {
                bench.outbox.due(ms(now), &mut bench.effects);
                for effect in std::mem::take(&mut bench.effects) {
                    match effect {
                        Effect::Write(telegram) => {
                            prop_assert!(in_flight.is_none(), "two in flight");
                            prop_assert!(now >= quiet_from, "{now} {quiet_from} {last_write:?}");
                            last_write = Some(now);
                            if telegram.serial().is_some() {
                                in_flight = Some((telegram, now));
                            } else {
                                quiet_from = now + 60;
                            }
                        }
                        Effect::WireFree { .. } => {
                            in_flight = None;
                            quiet_from = now + 20;
                        }
                        Effect::Ended { .. } => ended += 1,
                    }
                }
                if let Some((telegram, at)) = &in_flight
                    && answer && now >= at + 50
                {
                    let n = telegram.to_string()[10..12].parse().unwrap();
                    let reply = match telegram {
                        Telegram::System(system) if system.reads().is_some() => value(n, "xxxx0000"),
                        _ => Reply::ack(serial(n)).into(),
                    };
                    bench.outbox.heard(&reply, ms(now), &mut bench.effects);
                    in_flight = None;
                    quiet_from = now + 20;
                    let answered = bench.take();
                    ended += answered.iter().filter(|line| !line.starts_with("wire")).count() as u64;
                }
                now += 5;
            }
        }
        bench.outbox.link_went_down(&mut bench.effects);
        ended += bench.take().iter().filter(|line| !line.starts_with("wire")).count() as u64;
        prop_assert_eq!(tickets, ended);
    }
}
