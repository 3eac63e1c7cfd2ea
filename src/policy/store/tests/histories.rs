//! Claims about every history: properties of random ones.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Report(u8, bool),
    Ask,
    Reply([bool; 4]),
    Foreign([bool; 4]),
    Command(u8),
    Flap,
    Read(u8),
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        (0u8..4, any::<bool>()).prop_map(|(n, on)| Step::Report(n, on)),
        Just(Step::Ask),
        any::<[bool; 4]>().prop_map(Step::Reply),
        any::<[bool; 4]>().prop_map(Step::Foreign),
        (0u8..4).prop_map(Step::Command),
        Just(Step::Flap),
        (0u8..4).prop_map(Step::Read),
    ];
    (1u64..2500, step)
}

proptest! {
    /// S1, S4, S6 and the LRU bound against a plain list of everything ever observed.
    #[test]
    fn nothing_is_served_that_was_not_observed(steps in prop::collection::vec(step(), 1..80), room in 1usize..5) {
        let mut bench = Bench::with(|plan| plan.max_entries = NonZeroUsize::new(room).unwrap());
        bench.store.link_changed(GATEWAY, true, ms(0), &mut bench.effects);
        let mut seen: Vec<(u8, bool)> = vec![];
        let (mut now, mut asked) = (0, None);
        let mut last_report: [Option<(u64, bool)>; 4] = [None; 4];
        for (pause, step) in steps {
            now += pause;
            bench.due(now);
            match step {
                Step::Report(n, on) => {
                    seen.push((n, on));
                    last_report[usize::from(n)] = Some((now, on));
                    bench.report(point(1, n), on, now);
                }
                Step::Ask => {
                    bench.seq += 1;
                    asked = Some(Asked { seq: bench.seq, at: ms(now) });
                }
                Step::Reply(states) | Step::Foreign(states) => {
                    let asked = if matches!(step, Step::Reply(_)) { asked.take() } else { None };
                    for (n, on) in (0..).zip(states) {
                        seen.push((n, on));
                        bench.see(point(1, n), PointValue::On(on), Basis::Reply { asked }, now);
                    }
                }
                Step::Command(n) => {
                    bench.seq += 1;
                    bench.store.commanded(point(1, n), bench.seq, ms(now));
                }
                Step::Flap => {
                    bench.store.link_changed(GATEWAY, false, ms(now), &mut bench.effects);
                    bench.store.link_changed(GATEWAY, true, ms(now), &mut bench.effects);
                    asked = None;
                }
                Step::Read(n) => {
                    bench.read(point(1, n), Want::Any, now);
                }
            }
            prop_assert!(bench.store.len() <= room);
            for n in 0..4 {
                let reading = bench.store.peek(point(1, n), ms(now));
                if let Some(on) = reading.on {
                    prop_assert!(seen.contains(&(n, on)));
                    let age = ms(now).since(reading.observed_at.unwrap());
                    prop_assert!(reading.freshness != Freshness::Fresh || age <= Duration::from_secs(30));
                }
                // Within the settle time nothing but a reply asked behind it may replace a report.
                if let (Some((at, on)), Some(shown)) = (last_report[usize::from(n)], reading.on)
                    && now - at < 100
                {
                    prop_assert_eq!(shown, on);
                }
            }
        }
    }
}
