//! Claims about storms, on a made-up clock.

use proptest::prelude::*;

use super::*;
use crate::conbus::Function;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Moment {
    Moment::after_start(ms(millis))
}

fn serial(number: u64) -> SerialNumber {
    format!("{number:010}").parse().unwrap()
}

fn reply(number: u64, data: &[u8]) -> Reply {
    Reply::new(serial(number), Function::READ_DATAPOINT, data).unwrap()
}

/// A storm watch with a clock in milliseconds; effects are kept with their time, as short words.
struct Bench {
    storm: Storm,
    now: u64,
    told: Vec<(u64, String)>,
}

impl Bench {
    fn new() -> Self {
        Self { storm: Storm::new(StormPlan::default()), now: 0, told: Vec::new() }
    }

    fn tell(&mut self, effects: Vec<StormEffect>) {
        self.told.extend(effects.into_iter().map(|effect| {
            let word = match effect {
                StormEffect::Started { .. } => "started".to_owned(),
                StormEffect::Probe { number, .. } => format!("probe {number}"),
                StormEffect::Released { .. } => "released".to_owned(),
                StormEffect::GaveUp { .. } => "gave up".to_owned(),
            };
            (self.now, word)
        }));
    }

    fn hear(&mut self, data: &[u8], solicited: bool) -> bool {
        let mut effects = Vec::new();
        let passes = self.storm.heard_reply(&reply(3, data), solicited, at(self.now), &mut effects);
        self.tell(effects);
        passes
    }

    /// Lets time pass, waking at every deadline, with an unsolicited repeat every `gap` milliseconds.
    fn run(&mut self, span: u64, gap: Option<u64>) {
        let end = self.now + span;
        let mut next_repeat = gap.map(|gap| self.now + gap);
        loop {
            let due = self.storm.next_due().map(|due| due.since_start().as_millis() as u64);
            let Some(next) = due.into_iter().chain(next_repeat).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if next_repeat == Some(next) {
                self.hear(b"12xxxxx001", false);
                next_repeat = gap.map(|gap| next + gap);
            } else {
                let mut effects = Vec::new();
                self.storm.due(at(self.now), &mut effects);
                self.tell(effects);
            }
        }
        self.now = end;
    }

    fn told(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.told)
    }

    /// A storm at 200 a second that has just begun, at 30 ms.
    fn storming() -> Self {
        let mut bench = Self::new();
        bench.run(30, Some(5));
        assert_eq!(bench.told(), told(&[(30, "started"), (30, "probe 1")]));
        bench
    }
}

fn told(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(at, word)| (*at, (*word).to_owned())).collect()
}

#[test]
fn the_sixth_identical_reply_within_two_seconds_starts_a_storm_and_a_probe_at_once() {
    let mut bench = Bench::new();
    for time in [0, 400, 800, 1200, 1600] {
        bench.now = time;
        assert!(bench.hear(b"12xxxxx001", false));
    }
    bench.now = 2000;
    assert!(!bench.hear(b"12xxxxx001", false), "the sixth is dropped");
    assert_eq!(bench.told(), told(&[(2000, "started"), (2000, "probe 1")]));
    assert!(bench.storm.is_storming(serial(3)));
    assert_eq!((bench.storm.storms_total(), bench.storm.dropped_total()), (1, 1));
}

#[test]
fn two_a_second_are_not_a_storm_and_neither_are_our_own_answers_nor_changing_ones() {
    let mut bench = Bench::new();
    bench.run(60_000, Some(500));
    for time in 0..100 {
        bench.now = 60_000 + time;
        assert!(bench.hear(b"12xxxxx000", true));
        let changing = format!("1500:{time:03}[%]");
        assert!(bench.hear(changing.as_bytes(), false));
    }
    assert_eq!(bench.told(), []);
    assert_eq!(bench.storm.dropped_total(), 0);
}

#[test]
fn a_module_that_recovers_is_released_after_a_healthy_answer_and_a_quiet_second() {
    let mut bench = Bench::storming();
    bench.run(45, Some(5));
    assert!(bench.hear(b"10FE", true), "the answer to a probe always passes");
    bench.run(275, None);
    assert_eq!(bench.told(), told(&[(330, "probe 2")]), "FE ends the storm but is a fault: ask again");
    bench.now = 380;
    assert!(bench.hear(b"1000", true));
    bench.run(2000, None);
    assert_eq!(bench.told(), told(&[(1075, "released")]), "one second after the last repeat");
    assert!(!bench.storm.is_storming(serial(3)));
    assert_eq!(bench.storm.next_due(), None);
    assert!(bench.hear(b"12xxxxx001", false), "what was muted passes again");
}

#[test]
fn a_storm_that_goes_on_is_probed_five_times_and_then_rested_from() {
    for gap in [1, 5, 300] {
        let mut bench = Bench::new();
        bench.run(5 * gap + gap, Some(gap));
        let start = bench.now;
        bench.run(20_000, Some(gap));
        let probes = [(start, "started"), (start, "probe 1"), (start + 300, "probe 2")];
        let later = [(start + 600, "probe 3"), (start + 900, "probe 4"), (start + 1200, "probe 5")];
        let expected = [&probes[..], &later[..], &[(start + 1500, "gave up")]].concat();
        assert_eq!(bench.told(), told(&expected), "a repeat every {gap} ms");
        assert!(bench.storm.is_storming(serial(3)), "it stays muted");
    }
}

#[test]
fn a_module_given_up_is_probed_again_after_rests_that_double_up_to_ten_minutes() {
    let mut bench = Bench::storming();
    bench.run(3_600_000, Some(100));
    let all = bench.told();
    assert_eq!(all.iter().filter(|(_, word)| word == "gave up").count(), 1, "told once");
    let rounds: Vec<u64> = all.iter().filter(|(_, word)| word == "probe 1").map(|(at, _)| *at).collect();
    let gaps: Vec<u64> = rounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(rounds[0], 31_530, "30 s after the probes");
    assert_eq!(gaps[..5], [61_500, 121_500, 241_500, 481_500, 601_500]);
}

#[test]
fn a_healthy_answer_amid_repeats_does_not_release() {
    let mut bench = Bench::storming();
    assert!(bench.hear(b"1000", true));
    bench.run(900, Some(100));
    assert!(bench.storm.is_storming(serial(3)));
    assert_eq!(
        bench.told(),
        told(&[(330, "probe 2"), (630, "probe 3"), (930, "probe 4")]),
        "the answer was older than the repeats"
    );
    assert!(bench.hear(b"1000", true));
    bench.run(5000, None);
    assert_eq!(bench.told(), told(&[(1930, "released")]));
}

#[test]
fn a_module_that_stays_faulty_in_silence_is_released_when_it_is_healthy_at_last() {
    let mut bench = Bench::storming();
    for _ in 0..6 {
        bench.hear(b"10FE", true);
        bench.run(300, None);
    }
    assert!(bench.told().contains(&(1530, "gave up".to_owned())));
    bench.run(5000, None);
    bench.hear(b"1000", false);
    bench.run(0, None);
    assert_eq!(bench.told().last().unwrap().1, "released", "anybody's read of D10 tells");
}

#[test]
fn only_repeats_of_the_muted_frame_are_dropped() {
    let mut bench = Bench::storming();
    assert!(!bench.hear(b"12xxxxx001", false));
    assert!(!bench.hear(b"12xxxxx001", true), "cannot be told from a repeat");
    assert!(bench.hear(b"12xxxxx000", false), "another state is news");
    assert!(bench.hear(b"1500:050[%]", true));
    let mut effects = Vec::new();
    let neighbour = reply(4, b"12xxxxx001");
    assert!(bench.storm.heard_reply(&neighbour, false, at(bench.now), &mut effects));
    assert!(!bench.storm.is_storming(serial(4)));
    bench.run(1_000, None);
    assert!(bench.hear(b"12xxxxx001", true), "the repeats have ended: an answer is an answer");
    assert!(!bench.hear(b"12xxxxx001", false), "still muted");
}

#[test]
fn our_own_reads_do_not_keep_a_module_muted() {
    let mut bench = Bench::storming();
    bench.hear(b"1000", true);
    for _ in 0..12 {
        bench.run(100, None);
        bench.hear(b"12xxxxx001", true);
    }
    assert_eq!(bench.told(), told(&[(1030, "released")]));
}

#[test]
fn a_module_that_changes_what_it_repeats_is_still_one_storm() {
    let mut bench = Bench::storming();
    let mut passed = 0;
    for _ in 0..100 {
        bench.run(2, None);
        passed += u32::from(bench.hear(b"1500:001[%],01:000[%]", false));
    }
    assert_eq!(passed, 5);
    assert_eq!(bench.storm.storms_total(), 1);
    assert_eq!(bench.told(), []);
}

#[test]
fn a_storm_of_fault_codes_is_muted_but_the_answer_to_a_probe_passes() {
    let mut bench = Bench::new();
    let passed = (0..50)
        .filter(|step| {
            bench.now = step * 5;
            bench.hear(b"1000", false)
        })
        .count();
    assert_eq!(passed, 5);
    assert!(bench.hear(b"1000", true));
    bench.told();
    bench.run(2000, None);
    assert_eq!(bench.told(), told(&[(1245, "released")]));
}

#[test]
fn a_lost_link_ends_every_storm_and_keeps_the_counts() {
    let mut bench = Bench::storming();
    assert_eq!(bench.storm.link_lost(), [serial(3)]);
    assert!(!bench.storm.is_storming(serial(3)));
    assert_eq!((bench.storm.next_due(), bench.storm.storms_total()), (None, 1));
    for _ in 0..5 {
        assert!(bench.hear(b"12xxxxx001", false), "counted anew");
    }
    assert_eq!(bench.storm.link_lost(), []);
}

#[test]
fn strangers_do_not_take_memory_nor_the_place_of_a_storm() {
    let mut storm = Storm::new(StormPlan { tracked: 4, ..StormPlan::default() });
    let mut effects = Vec::new();
    for time in 0..6 {
        storm.heard_reply(&reply(3, b"12xxxxx001"), false, at(time), &mut effects);
    }
    for number in 100..1000 {
        assert!(storm.heard_reply(&reply(number, b"12xxxxx001"), false, at(number), &mut effects));
        assert!(storm.tracks.len() <= 4);
    }
    assert!(storm.is_storming(serial(3)));
    for number in [3, 997, 998, 999] {
        for time in 1000..1006 {
            storm.heard_reply(&reply(number, b"12xxxxx001"), false, at(time), &mut effects);
        }
        assert!(storm.is_storming(serial(number)));
    }
    assert!(
        storm.heard_reply(&reply(5, b"12xxxxx001"), false, at(1006), &mut effects),
        "no room: not watched"
    );
    assert_eq!(storm.tracks.len(), 4);
}

proptest! {
    #[test]
    fn a_frame_that_was_not_repeated_is_never_dropped_and_probes_keep_their_distance(
        steps in proptest::collection::vec((0_u64..400, 0_u8..4, any::<bool>()), 1..300),
    ) {
        let mut bench = Bench::new();
        let mut heard: Vec<(u64, u8)> = Vec::new();
        for (wait, frame, solicited) in steps {
            bench.run(wait, None);
            let data: &[u8] = [&b"12xxxxx000"[..], b"12xxxxx001", b"10FE", b"1000"][usize::from(frame)];
            let passes = bench.hear(data, solicited);
            if !solicited {
                heard.push((bench.now, frame));
            }
            let same = heard.iter().filter(|(_, other)| *other == frame).count();
            prop_assert!(passes || same > 5 , "dropped after {same}");
            prop_assert!(passes || !solicited || frame < 2, "the answer to a probe always passes");
        }
        let probes: Vec<(u64, String)> = bench.told();
        for pair in probes.windows(2) {
            if pair[0].1.starts_with("probe") && pair[1].1.starts_with("probe") {
                prop_assert!(pair[1].0 - pair[0].0 >= 300, "{probes:?}");
            }
        }
    }
}
