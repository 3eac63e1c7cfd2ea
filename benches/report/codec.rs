//! What decoding costs: splitter, parser and interpreter beside framing by `memchr` with the XOR only.

use conbusd::conbus::{Piece, Splitter, Telegram};

use crate::calm::{Patience, Sifted};
use crate::corpus::{Decoder, telegrams};
use crate::figures::{Bar, Paired, Section, number, pair};
use crate::programs::clock;

/// How many telegrams make about a mebibyte.
const TELEGRAMS: usize = 53_800;

const ROUNDS: Patience = Patience { wanted: 101, limit: 2_000 };

/// Passes of which the quickest counts: one takes about as long as the kernel lets another program go first, and that
/// is not what is measured.
const PASSES: usize = 5;

/// Splitter and parser alone; gives the number of telegrams.
fn parse(corpus: &[u8]) -> usize {
    let mut splitter = Splitter::new();
    let (mut input, mut count) = (corpus, 0);
    while let Some(piece) = splitter.next_piece(&mut input) {
        if let Piece::Frame(frame) = piece {
            count += usize::from(Telegram::parse(frame).is_ok());
        }
    }
    count
}

/// The floor: finds the frames and compares their checksums, and understands nothing.
pub(crate) fn frame_only(corpus: &[u8]) -> usize {
    let (mut rest, mut good) = (corpus, 0);
    while let Some(begin) = memchr::memchr(b'<', rest) {
        let Some(length) = memchr::memchr(b'>', &rest[begin..]) else { break };
        let inside = &rest[begin + 1..begin + length];
        if let Some((payload, letters)) = inside.split_last_chunk::<2>() {
            let sum = payload.iter().fold(0, |sum, byte| sum ^ byte);
            good += usize::from(*letters == [b'A' + (sum >> 4), b'A' + (sum & 15)]);
        }
        rest = &rest[begin + length + 1..];
    }
    good
}

pub(crate) fn time(work: impl Fn(&[u8]) -> usize, corpus: &[u8]) -> f64 {
    let pass = |_| {
        let begun = clock();
        let found = std::hint::black_box(work(std::hint::black_box(corpus)));
        assert!(found > 0, "nothing was decoded");
        begun.elapsed().as_secs_f64() * 1e9
    };
    (0..PASSES).map(pass).fold(f64::INFINITY, f64::min)
}

/// This work beside the floor.
fn paired(work: impl Fn(&[u8]) -> usize, corpus: &[u8]) -> (Paired, Sifted) {
    let (rounds, sifted) = ROUNDS.measure(|round| {
        let early = (round % 2 == 0).then(|| time(&work, corpus));
        let floor = time(frame_only, corpus);
        (floor, (early.unwrap_or_else(|| time(&work, corpus)), floor))
    });
    let (ours, floors): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
    (pair(&ours, &floors), sifted)
}

pub(crate) fn section() -> Section {
    let corpus = telegrams(TELEGRAMS);
    let frames = frame_only(&corpus);
    assert_eq!(frames, parse(&corpus), "the floor and the parser see the same telegrams");
    let decode = |corpus: &[u8]| Decoder::new().decode(corpus);
    let (whole, of_whole) = paired(decode, &corpus);
    let (parsed, of_parsed) = paired(parse, &corpus);
    let mut section = Section::new("3. Codec");
    section.say(format!(
        "{} bytes in {} telegrams: half reports, a quarter queries, a quarter replies that tell what was reported; \
         at least {} rounds by turns, in each the quickest of {PASSES} passes. {}",
        corpus.len(),
        frames,
        ROUNDS.wanted,
        of_whole.and(of_parsed).told()
    ));
    let speed = |nanoseconds: f64| corpus.len() as f64 / nanoseconds * 1000.0;
    let each = |nanoseconds: f64| number(nanoseconds / frames as f64);
    let row = |what: &str, time: f64, ratio: String, verdict: String| {
        vec![what.to_owned(), number(speed(time)), each(time), ratio, verdict]
    };
    let share = 1.0 / whole.ratio;
    let verdict = section.judge("codec against framing only", Bar::AtLeast(0.5), share);
    section.table(
        &["work", "MB/s", "ns a telegram", "speed to the floor", "bar"],
        &[
            row("splitter, parser, interpreter", whole.ours, number(share), verdict),
            row("splitter and parser", parsed.ours, number(1.0 / parsed.ratio), String::new()),
            row("floor: `memchr` and XOR", whole.control, "1".into(), String::new()),
        ],
    );
    section
}
