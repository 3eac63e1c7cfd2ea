//! Claims about what lay unread in the socket while the process stood still.

use super::*;

/// The process stood still from 1 s to 60 s, twice the TTL, with a lamp known as off.
fn behind() -> Bench {
    let mut bench = Bench::up();
    bench.answer([false; 4], 500, 600);
    bench
}

#[test]
fn a_report_that_lay_unread_is_as_old_as_it_may_be_and_never_fresh_for_its_reading() {
    let mut bench = behind();
    bench.see_late(true, Basis::Report, (1_000, 60_000));
    let reading = bench.store.peek(point(1, 0), ms(60_000));
    assert_eq!((reading.on, reading.freshness), (Some(true), Freshness::Stale));
    assert_eq!(reading.observed_at, Some(ms(1_000)));
}

#[test]
fn after_a_short_gap_it_is_fresh_for_what_is_left_of_the_ttl() {
    let mut bench = behind();
    bench.see_late(true, Basis::Report, (1_000, 11_000));
    assert_eq!(bench.store.peek(point(1, 0), ms(31_000)).freshness, Freshness::Fresh);
    assert_eq!(bench.store.peek(point(1, 0), ms(31_001)).freshness, Freshness::Stale);
}

#[test]
fn a_report_that_may_have_lain_there_still_undoes_what_was_told_before_it() {
    let mut bench = behind();
    bench.answer([true; 4], 60_100, 60_150);
    bench.see_late(false, Basis::Report, (1_000, 60_200));
    let reading = bench.store.peek(point(1, 0), ms(60_200));
    assert_eq!(
        (reading.on, reading.observed_at),
        (Some(false), Some(ms(60_100))),
        "it came behind the reply"
    );
}

#[test]
fn a_reply_that_was_late_before_the_gap_is_no_less_late_behind_it() {
    let mut bench = behind();
    bench.report(point(1, 0), true, 900);
    // By the time of its reading it would be old enough to be of after the report.
    bench.see_late(false, Basis::Reply { asked: None }, (1_000, 60_000));
    assert_eq!(bench.store.peek(point(1, 0), ms(60_000)).on, Some(true));
}

#[test]
fn a_reply_to_a_query_from_before_the_gap_is_as_old_as_its_query() {
    let mut bench = behind();
    bench.seq += 1;
    let asked = Some(Asked { seq: bench.seq, at: ms(950) });
    bench.see_late(true, Basis::Reply { asked }, (1_000, 60_000));
    let reading = bench.store.peek(point(1, 0), ms(60_000));
    assert_eq!((reading.on, reading.observed_at), (Some(true), Some(ms(950))));
}
