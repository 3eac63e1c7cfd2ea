//! The judge is judged: histories made up for it, good and bad, and what it must say of them.

use std::time::Duration;

use actix::System;
use conbusd::conbus::{OutputIndex, Percent, Point};
use conbusd::doors::Reload;
use conbusd::emulator::{Dose, Fault, FaultKind};
use conbusd::policy::store::Want;
use conbusd::policy::{Freshness, Moment, Origin};
use fastrand::Rng;

use crate::court::{Court, Promise, Shown, Window};
use crate::house::{House, Knobs, build};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lamp() -> Point {
    Point { serial: "0012345001".parse().unwrap(), output: OutputIndex::new(0).unwrap() }
}

/// A court that knows one lamp: off, on from 10 s to 20 s, then off; the wire said so each time, and more often.
fn court() -> Court {
    let mut court = Court::new(s(30));
    court.link_down = None;
    for (at, level) in [(0, 0), (10, 100), (20, 0)] {
        court.truth.sample(s(at), &[(lamp(), Percent::new(level).unwrap())]);
    }
    for at in 0..100 {
        court.truth.said_on(s(at), lamp(), (10..20).contains(&at));
    }
    court
}

fn shown(on: bool, observed: u64) -> Shown {
    Shown {
        point: lamp(),
        on: Some(on),
        level: None,
        freshness: Freshness::Fresh,
        observed_at: Some(Moment::after_start(s(observed))),
        origin: Some(Origin::Poll),
    }
}

/// What the court says when the cache shows these one after the other, each at its time.
fn verdict(history: &[(u64, Shown)]) -> Vec<Promise> {
    let mut court = court();
    for (at, shown) in history {
        court.shown(Window::Cache, shown, s(*at));
    }
    court.verdicts.into_keys().collect()
}

#[test]
fn of_two_answered_at_one_moment_only_the_one_who_asked_before_may_get_the_older_value() {
    let told = |asked_before: bool| {
        let mut court = court();
        let before = court.floor(Window::Cache, lamp());
        court.shown(Window::Cache, &shown(false, 20), s(20));
        let asked = if asked_before { before } else { court.floor(Window::Cache, lamp()) };
        court.shown_after(Window::Cache, &shown(true, 19), asked, s(20));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(told(true), []);
    assert_eq!(told(false), [Promise::Monotonic]);
}

#[test]
fn a_report_behind_a_newer_one_is_excused_and_one_that_nobody_sent_so_is_not() {
    let told = |overtaken: bool| {
        let mut court = court();
        court.shown(Window::Cache, &shown(false, 20), s(20));
        let now = s(20) + Duration::from_millis(300);
        if overtaken {
            court.came_late(lamp(), true, now);
        }
        court.truth.said_on(now, lamp(), true);
        let back = Shown { origin: Some(Origin::Report), ..shown(true, 20) };
        court.shown(Window::Cache, &back, now);
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(told(true), []);
    assert_eq!(told(false), [Promise::Monotonic]);
}

#[test]
fn what_was_true_in_its_time_is_no_offence() {
    let stale = Shown { freshness: Freshness::Stale, ..shown(true, 12) };
    assert_eq!(
        verdict(&[(11, shown(true, 11)), (21, shown(false, 21)), (50, shown(false, 30)), (60, stale)]),
        []
    );
}

#[test]
fn each_lie_is_called_by_its_name() {
    let snapshot = Shown { origin: Some(Origin::Snapshot), ..shown(false, 5) };
    let invented = Shown { freshness: Freshness::Stale, level: Some(40), ..shown(true, 11) };
    let unsaid = Shown { level: Some(40), ..shown(true, 11) };
    let lies: [(&[(u64, Shown)], Promise); 7] = [
        (&[(12, shown(false, 11))], Promise::Freshness),
        (&[(25, shown(true, 18)), (26, shown(false, 25)), (27, shown(true, 18))], Promise::Monotonic),
        (&[(45, shown(false, 1))], Promise::Expired),
        (&[(4, shown(false, 5))], Promise::Freshness),
        (&[(6, snapshot)], Promise::Restart),
        (&[(12, unsaid)], Promise::Provenance),
        (&[(12, invented)], Promise::Invention),
    ];
    for (history, promise) in lies {
        assert!(verdict(history).contains(&promise), "{promise:?}: {:?}", verdict(history));
    }
}

#[test]
fn a_link_that_is_down_and_a_command_that_did_not_happen_are_offences() {
    let mut court = court();
    court.link_down = Some(s(21));
    court.shown(Window::Cache, &shown(false, 21), s(22));
    court.confirmed(lamp(), true, None, s(30), s(31));
    assert_eq!(court.verdicts.into_keys().collect::<Vec<_>>(), [Promise::Expired, Promise::OwnWrites]);
}

#[test]
fn an_answer_that_is_late_too_old_or_too_dear_is_an_offence() {
    let took = |began, ended| {
        let mut court = court();
        court.answered(("a read of", lamp()), s(began)..s(ended), s(3));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!((took(1, 4), took(1, 5)), (vec![], vec![Promise::Deadline]));
    let since = |at| {
        let mut court = court();
        court.wanted(Want::Since(Moment::after_start(s(at))), &shown(false, 30), s(31));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!((since(30), since(31)), (vec![], vec![Promise::MaxAge]));
    let cost = |reads| {
        let mut court = court();
        court.joined(12, (reads, 2), s(30));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!((cost(2), cost(3)), (vec![], vec![Promise::SingleFlight]));
}

#[test]
fn two_connections_haste_a_full_queue_and_a_reload_that_is_felt_are_offences() {
    let connected = |at_once, gap: u64| {
        let mut court = court();
        court.connected(at_once, Some(Duration::from_millis(gap)), s(30));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(connected(1, 250), []);
    assert_eq!(connected(2, 250), [Promise::Connection]);
    assert_eq!(connected(1, 249), [Promise::Connection]);
    let bounded = |value| {
        let mut court = court();
        court.bounded(("queue", value), 200, s(30));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!((bounded(Some(200)), bounded(Some(201))), (vec![], vec![Promise::Queue]));
    assert_eq!(bounded(None), [Promise::Queue]);
    let reloaded = |error: Option<&str>, connections, ended| {
        let mut court = court();
        let reload = Reload { error: error.map(str::to_owned), ..Reload::first(Moment::START) };
        court.reloaded(&reload, connections, s(30)..s(ended));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(reloaded(None, (1, 1), 31), []);
    for felt in [reloaded(Some("no"), (1, 1), 30), reloaded(None, (1, 2), 30), reloaded(None, (1, 1), 32)] {
        assert_eq!(felt, [Promise::Reload]);
    }
}

#[test]
fn a_group_that_shows_what_its_members_are_not_is_an_offence() {
    let group = |on, observed, now| {
        let mut court = court();
        court.group(&[lamp()], on, s(observed), s(now));
        court.verdicts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!((group(Some(true), 12, 13), group(Some(false), 22, 23)), (vec![], vec![]));
    for (on, observed, now) in [(Some(false), 12, 13), (Some(true), 22, 23), (None, 22, 23)] {
        assert_eq!(group(on, observed, now), [Promise::Freshness]);
    }
}

/// What the court says of a house in which this has happened. Each has a thread: the daemon's clock begins with it.
fn after<F: AsyncFnOnce(&mut House) + Send + 'static>(happens: F) -> Vec<Promise> {
    let live = async move || {
        let _begins = conbusd::actors::now();
        let mut house = build(&mut Rng::with_seed(1), &Knobs::default());
        tokio::time::sleep(s(5)).await;
        happens(&mut house).await;
        let court = house.court.borrow();
        court.violations.iter().for_each(|violation| println!("{violation}"));
        court.verdicts.keys().copied().collect()
    };
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || System::with_tokio_rt(runtime).block_on(live())).join().unwrap()
    })
}

#[test]
fn a_house_that_is_not_well_not_asked_or_not_alive_is_an_offence() {
    assert_eq!(after(async |house| house.inspect().await), []);
    let unwell = after(async |house| {
        house.line.emulator.gateway_up(false);
        tokio::time::sleep(s(40)).await;
        house.all_well().await;
    });
    assert_eq!(unwell, [Promise::Liveness]);
    let unasked = after(async |house| {
        house.line.emulator.gateway_up(false);
        tokio::time::sleep(s(60)).await;
        house.all_polled();
    });
    assert_eq!(unasked, [Promise::Refreshed]);
    let dead = after(async |house| {
        house.life.abort();
        tokio::time::sleep(s(1)).await;
        house.inspect().await;
    });
    assert_eq!(dead, [Promise::Alive]);
}

/// Found on the first day of twenty-four hours: the repeats of a storm were lost for twenty seconds, and the judge
/// had excused only the first three.
#[test]
fn a_storm_that_comes_through_late_is_excused_until_it_can_be_known() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let told = System::with_tokio_rt(runtime).block_on(async {
        let _begins = conbusd::actors::now();
        let mut house = build(&mut Rng::with_seed(2), &Knobs::default());
        let serial = lamp().serial;
        tokio::time::sleep(s(5)).await;
        house.line.stormed.borrow_mut().push(serial);
        house.line.excuse_storms();
        house.line.emulator.fault(Fault::on(serial, FaultKind::LostReply, Dose::ALWAYS));
        house.line.emulator.storm(serial, 100);
        tokio::time::sleep(s(2)).await;
        let on = house.line.emulator.output(lamp()).is_some_and(|(on, _)| on);
        house.line.emulator.turn(lamp(), !on);
        house.line.sample();
        tokio::time::sleep(s(20)).await;
        house.line.emulator.clear_faults();
        for _ in 0..100 {
            house.read(0, Want::Any);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let verdicts = house.court.borrow().verdicts.clone();
        house.finish().await;
        let stormed = house.line.emulator.counters().faults.get("storm").copied();
        (verdicts.into_keys().collect::<Vec<_>>(), stormed)
    });
    assert_eq!(told, (vec![], Some(1)));
}
