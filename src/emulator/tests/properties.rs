//! What holds whatever is done to the house.

use proptest::prelude::*;

use super::*;
use crate::conbus::Piece;

/// Something that is done.
#[derive(Clone, Debug)]
enum Deed {
    Bytes(Vec<u8>),
    Say(&'static str),
    Turn(&'static str, u8, bool),
    Dim(u8, u8),
    Wait(u64),
    Break(u8),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let said = prop::sample::select(vec![
        "S0012345004F27D00AB",
        "S0012345004F27D00AA",
        "S0012345004F27D03AB",
        "S0012345011F04D1500:040",
        "S0012345011F04D1500:000",
        "S0012345004F02D12",
        "S0012345011F02D15",
        "S0000000000F01D00",
        "S0012345004F11D00",
        "S0012345004F18D00",
        "S0012345004F10D00",
        "S0012345004F16D00",
        "E02L00I00M",
        "E02L00I01M",
        "S0012345001F02D10",
    ]);
    let deed = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Deed::Bytes),
        said.prop_map(Deed::Say),
        (prop::sample::select(vec![RELAY, DIMMER]), 0..3_u8, any::<bool>())
            .prop_map(|(module, output, on)| Deed::Turn(module, output, on)),
        (0..3_u8, 0..=100_u8).prop_map(|(output, level)| Deed::Dim(output, level)),
        (0..400_u64).prop_map(Deed::Wait),
        (0..12_u8).prop_map(Deed::Break),
    ];
    prop::collection::vec(deed, 0..40)
}

fn fault(number: u8) -> Fault {
    let kinds = [
        FaultKind::LostReply,
        FaultKind::LostReport,
        FaultKind::LateReply(300 * MS),
        FaultKind::LateReport(300 * MS),
        FaultKind::ReorderedReply,
        FaultKind::BadChecksum,
        FaultKind::Truncated,
        FaultKind::Doubled,
        FaultKind::Refusal,
        FaultKind::Collision,
        FaultKind::TypeCodePrefix,
        FaultKind::Silence,
    ];
    Fault::everywhere(kinds[usize::from(number)], Dose::Chance(0.5))
}

/// Does it all; the bytes that came, with their times.
fn run(deeds: &[Deed], seed: u64) -> (Visit, Vec<(u64, String)>) {
    let mut visit = Visit::new(HouseSetup { seed, ..setup() });
    let mut heard = Vec::new();
    for deed in deeds {
        match deed {
            Deed::Bytes(bytes) => visit.house.take_bytes(visit.now, visit.client, bytes),
            Deed::Say(payload) => {
                let telegram = Telegram::parse_payload(payload.as_bytes()).unwrap();
                visit.house.take_bytes(visit.now, visit.client, &telegram.to_bytes());
            }
            Deed::Turn(module, output, on) => visit.turn(module, *output, *on),
            Deed::Dim(output, level) => {
                visit.house.set_level(visit.now, point(DIMMER, *output), percent(*level));
            }
            Deed::Wait(ms) => heard.extend(visit.wait(Duration::from_millis(*ms))),
            Deed::Break(number) => visit.house.fault(fault(*number)),
        }
    }
    visit.house.clear_faults();
    heard.extend(visit.wait(Duration::from_secs(20)));
    (visit, heard)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn without_faults_every_report_and_every_read_tell_the_truth(deeds in deeds()) {
        let deeds: Vec<Deed> = deeds.into_iter().filter(|deed| !matches!(deed, Deed::Break(_))).collect();
        let (mut visit, heard) = run(&deeds, 1);
        prop_assert!(heard.iter().all(|(_, text)| !text.starts_with("noise")), "{:?}", heard);
        for (module, stem, outputs) in [(RELAY, "E07L04I8", 4), (DIMMER, "E35L11I8", 3)] {
            for output in 0..outputs {
                let on = visit.output(module, output).unwrap().0;
                let told = heard.iter().rev().find_map(|(_, text)| {
                    text.strip_prefix(&format!("{stem}{output}")).map(|edge| edge == "M")
                });
                prop_assert_eq!(told.unwrap_or(false), on, "{} {}", module, output);
            }
        }
        visit.say(&format!("S{RELAY}F02D12"));
        let read = visit.texts(Duration::from_millis(200)).join(" ");
        let bits: String = (0..4).rev().map(|output| if visit.output(RELAY, output).unwrap().0 { '1' } else { '0' }).collect();
        prop_assert!(read.ends_with(&format!("D12xxxx{bits}")), "{}", read);
    }

    #[test]
    fn with_any_faults_the_house_lives_and_the_same_seed_repeats_it(deeds in deeds(), seed in 0..4_u64) {
        let (mut visit, heard) = run(&deeds, seed);
        prop_assert_eq!(&run(&deeds, seed).1, &heard);
        prop_assert!(visit.house.next_due().is_none(), "nothing is left to be done");
        visit.say(&format!("S{RELAY}F02D10"));
        let answer = visit.texts(Duration::from_millis(200)).pop();
        prop_assert_eq!(answer, Some(format!("R{RELAY}F02D1000")));
    }

    #[test]
    fn a_module_never_answers_with_something_that_is_not_a_frame(asked in "[ -~]{0,12}") {
        let mut visit = Visit::quick(setup());
        let clean: String = asked.chars().filter(|c| !matches!(c, '<' | '>')).collect();
        for function in 0..30 {
            let request = format!("S{RELAY}F{function:02}D{clean}");
            let telegram = Telegram::parse_payload(request.as_bytes()).unwrap();
            visit.house.take_bytes(visit.now, visit.client, &telegram.to_bytes());
            let bytes = visit.house.collect(visit.client).bytes;
            let (mut input, mut splitter) = (bytes.as_slice(), Splitter::new());
            while let Some(piece) = splitter.next_piece(&mut input) {
                let Piece::Frame(frame) = piece else { panic!("{piece:?}") };
                let telegram = Telegram::parse(frame).unwrap();
                let sender = telegram.serial();
                prop_assert!(sender.is_none() || sender == Some(serial(RELAY)), "{}", telegram);
            }
        }
    }
}
