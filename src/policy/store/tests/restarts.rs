//! Claims about what is known after a restart.

use super::*;
use crate::policy::Remembered;

fn remembered(point: Point, on: bool, level: Option<u8>) -> Remembered {
    let age = Duration::from_secs(60);
    let level = level.map(|level| (Percent::new(level).unwrap(), age));
    Remembered { point, on: Some((on, age)), level }
}

#[test]
fn a_restored_value_is_shown_with_its_age_and_believed_by_nobody() {
    let mut bench = Bench::with(|_| {});
    bench.store.restore(&[remembered(point(1, 0), true, None)], ms(0), &mut bench.effects);
    let reading = bench.now(point(1, 0), Want::Any, 5);
    assert_eq!((reading.on, reading.freshness), (Some(true), Freshness::Stale));
    assert_eq!(reading.origin, Some(Origin::Snapshot));
    assert_eq!(ms(5).since(reading.observed_at.unwrap()), Duration::from_millis(60_005));
    assert_eq!(bench.read(point(1, 0), Want::Since(ms(0)), 5), Outcome::Now(Err(BusError::LinkDown)));
    bench.store.link_changed(GATEWAY, true, ms(10), &mut bench.effects);
    assert_eq!(bench.now(point(1, 0), Want::Known, 10).freshness, Freshness::Stale);
    assert!(bench.fetches().contains(&(1, Aspect::Switch)), "asked for behind the answer");
    // However old a value a reader takes, it waits for the bus.
    bench.later(point(1, 0), Want::Since(ms(0).before(Duration::from_secs(3600))), 20);
}

#[test]
fn the_first_reply_after_a_restart_is_believed_whether_it_agrees_or_not() {
    for on in [true, false] {
        let mut bench = Bench::with(|_| {});
        bench.store.restore(&[remembered(point(1, 0), true, None)], ms(0), &mut bench.effects);
        bench.store.link_changed(GATEWAY, true, ms(0), &mut bench.effects);
        bench.answer([on, false, false, false], 10, 60);
        let reading = bench.now(point(1, 0), Want::Known, 70);
        assert_eq!((reading.on, reading.freshness), (Some(on), Freshness::Fresh));
        assert_ne!(reading.origin, Some(Origin::Snapshot));
    }
}

#[test]
fn a_restored_level_is_doubtful_until_the_module_tells_it() {
    let mut bench = Bench::with(|_| {});
    bench.store.restore(&[remembered(point(2, 1), true, Some(40))], ms(0), &mut bench.effects);
    bench.store.link_changed(GATEWAY, true, ms(0), &mut bench.effects);
    bench.report(point(2, 1), true, 10);
    let reading = bench.now(point(2, 1), Want::Any, 10);
    assert_eq!((reading.level, reading.freshness), (Percent::new(40), Freshness::Stale));
    bench.level(1, 70, 200, 250);
    let reading = bench.now(point(2, 1), Want::Any, 260);
    assert_eq!((reading.level, reading.freshness), (Percent::new(70), Freshness::Fresh));
}

#[test]
fn what_is_no_longer_configured_or_has_no_room_is_not_restored() {
    let mut bench = Bench::with(|plan| plan.max_entries = NonZeroUsize::new(2).unwrap());
    let kept = [
        remembered(point(9, 0), true, None),
        remembered(point(1, 3), true, None),
        remembered(point(1, 4), true, None),
        remembered(point(1, 0), false, Some(40)),
        remembered(point(1, 1), true, None),
    ];
    bench.store.restore(&kept, ms(0), &mut bench.effects);
    let known: Vec<(Point, Option<Percent>)> = bench
        .store
        .remembered(ms(0))
        .into_iter()
        .map(|known| (known.point, known.level.map(|(level, _)| level)))
        .collect();
    assert_eq!(known, [(point(1, 3), None), (point(1, 0), None)], "in their order; a relay has no level");
}

#[test]
fn what_is_remembered_is_restored_as_it_was() {
    let mut bench = Bench::up();
    bench.answer([true, false, true, false], 10, 60);
    bench.now(point(1, 2), Want::Any, 100);
    let kept = bench.store.remembered(ms(5000));
    assert_eq!(kept[0].point, point(1, 2), "the last read first");
    let mut other = Bench::with(|_| {});
    other.store.restore(&kept, ms(0), &mut other.effects);
    assert_eq!(other.store.remembered(ms(0)), kept);
}
