//! Bytes in, frames or noise out.
//!
//! Owns the framing rules of protocol reference 1.5: a frame ends at the first `>` and begins at the last `<`
//! before it, so a truncated frame never swallows its successor. Memory is bounded and nothing fails: what is
//! not a frame is a value, [`Noise`].

use serde::Serialize;

use super::checksum::{byte_letters, xor, xor_of_word};
use super::digits::{EACH, zeros};

/// The most bytes that one frame may have on the bus, brackets included; the longest seen has 87.
pub const FRAME_BYTES_MAX: usize = 128;

/// A complete frame whose checksum agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What stands between `<` and the checksum.
    pub fn payload(self) -> &'a [u8] {
        self.payload
    }
}

/// Why bytes are not a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoiseCause {
    /// A complete frame whose checksum letters do not agree.
    Checksum,
    /// A complete frame that is not one of the four telegram forms.
    Grammar,
    /// Bytes outside a complete frame.
    Framing,
}

/// Bytes that are not a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise<'a> {
    /// The bytes as heard; of a long run outside frames only the beginning.
    pub bytes: &'a [u8],
    /// How many bytes there were in all.
    pub total: usize,
    /// What is wrong with them.
    pub why: NoiseCause,
}

/// What a splitter finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A frame with a good checksum.
    Frame(Frame<'a>),
    /// Anything else.
    Noise(Noise<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Nothing,
    Noise,
    NoiseThenFrame,
    Frame,
}

/// Cuts a byte stream into [`Piece`]s; how the stream is chopped into reads makes no difference.
#[derive(Debug)]
pub struct Splitter {
    /// The frame being collected, from its `<`; empty outside a frame.
    frame: Vec<u8>,
    /// The beginning of the bytes outside frames that are not reported yet.
    stray: Vec<u8>,
    stray_total: usize,
    /// How many of `stray_total` are white space at the end.
    stray_blank: usize,
    given: Given,
    limit: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// A splitter with the limit of the bus, [`FRAME_BYTES_MAX`].
    pub fn new() -> Self {
        Self::with_limit(FRAME_BYTES_MAX)
    }

    /// A splitter that takes frames of up to `limit` bytes, brackets included.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            frame: Vec::new(),
            stray: Vec::new(),
            stray_total: 0,
            stray_blank: 0,
            given: Given::Nothing,
            limit,
        }
    }

    /// Takes bytes from the front of `input` until a piece is complete or the input is used up.
    ///
    /// Call it again until it answers `None`: that is when the input is empty.
    #[inline]
    pub fn next_piece<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Option<Piece<'a>> {
        if self.given == Given::Nothing
            && self.held_bytes() == 0
            && let Some((piece, rest)) = whole_frame(input, self.limit)
        {
            *input = rest;
            return Some(piece);
        }
        self.next_in_parts(input)
    }

    /// The same, when something was given that was held, or what is next has begun in an earlier read or is not a frame
    /// from end to end.
    fn next_in_parts<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Option<Piece<'a>> {
        match std::mem::replace(&mut self.given, Given::Nothing) {
            Given::Nothing => {}
            Given::Noise => self.clear_stray(),
            Given::NoiseThenFrame => {
                self.clear_stray();
                self.given = Given::Frame;
                return Some(judge_collected(&self.frame));
            }
            Given::Frame => {
                self.frame.clear();
                return self.next_piece(input);
            }
        }
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            if self.take(byte) {
                return Some(self.frame_complete());
            }
        }
        None
    }

    /// Takes one byte; true when it completes a frame.
    fn take(&mut self, byte: u8) -> bool {
        if byte == b'<' {
            self.abandon_frame();
            self.frame.push(byte);
        } else if self.frame.is_empty() {
            self.take_stray(byte);
        } else if self.frame.len() >= self.limit {
            self.abandon_frame();
            self.take_stray(byte);
        } else {
            self.frame.push(byte);
            return byte == b'>';
        }
        false
    }

    fn frame_complete(&mut self) -> Piece<'_> {
        if self.stray_total > self.stray_blank {
            self.given = Given::NoiseThenFrame;
            Piece::Noise(self.stray_noise())
        } else {
            self.clear_stray();
            self.given = Given::Frame;
            judge_collected(&self.frame)
        }
    }

    /// Ends the stream: what is left is noise.
    pub fn finish(&mut self) -> Option<Noise<'_>> {
        if matches!(self.given, Given::Noise | Given::NoiseThenFrame) {
            self.clear_stray();
        }
        if self.given != Given::Nothing {
            self.frame.clear();
        }
        self.abandon_frame();
        self.given = Given::Noise;
        (self.stray_total > self.stray_blank).then(|| self.stray_noise())
    }

    /// How many bytes are held back, waiting for more.
    pub fn held_bytes(&self) -> usize {
        self.frame.len() + self.stray.len()
    }

    fn abandon_frame(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        for &byte in &frame {
            self.take_stray(byte);
        }
        self.frame = frame;
        self.frame.clear();
    }

    fn take_stray(&mut self, byte: u8) {
        let blank = matches!(byte, b'\r' | b'\n' | b' ');
        if blank && self.stray_total == 0 {
            return;
        }
        self.stray_total += 1;
        self.stray_blank = if blank { self.stray_blank + 1 } else { 0 };
        if self.stray.len() < self.limit {
            self.stray.push(byte);
        }
    }

    fn stray_noise(&self) -> Noise<'_> {
        let total = self.stray_total - self.stray_blank;
        Noise { bytes: &self.stray[..total.min(self.stray.len())], total, why: NoiseCause::Framing }
    }

    fn clear_stray(&mut self) {
        self.stray.clear();
        self.stray_total = 0;
        self.stray_blank = 0;
    }
}

/// The frame that the input begins with, judged, and what follows it; when it is all there: most are, and need no copy
/// nor a second look.
#[inline]
fn whole_frame(input: &[u8], limit: usize) -> Option<(Piece<'_>, &[u8])> {
    let inside = input[..input.len().min(limit)].strip_prefix(b"<")?;
    let (words, rest) = inside.as_chunks();
    let mut scan = Scan { passed: 0, sum: 0 };
    let found = words.iter().any(|word| scan.ends_in(u64::from_le_bytes(*word)));
    if !found {
        // The last eight bytes, without those that were passed: zeros follow the others.
        let last = u64::from_le_bytes(*inside.last_chunk()?);
        let passed = 8 - rest.len();
        (passed < 8 && scan.ends_in(last >> (8 * passed))).then_some(())?;
    }
    let (inside, end) = inside.split_at_checked(scan.passed)?;
    end.starts_with(b">").then_some(())?;
    let (frame, rest) = input.split_at_checked(inside.len() + 2)?;
    Some((judge(frame, inside, xor_of_word(scan.sum)), rest))
}

/// The way to the next bracket: how many bytes lie before it, and their XOR in the eight bytes of a word.
struct Scan {
    passed: usize,
    sum: u64,
}

impl Scan {
    /// Goes on to the first bracket among eight bytes, the first of which is the lowest; or beyond them when there is
    /// none.
    #[inline]
    fn ends_in(&mut self, word: u64) -> bool {
        // `<` and `>` differ in one bit.
        let brackets = zeros((word | (EACH * 0b10)) ^ (EACH * u64::from(b'>')));
        if brackets == 0 {
            self.passed += 8;
            self.sum ^= word;
            return false;
        }
        let bits = brackets.trailing_zeros() & !7;
        self.passed += bits as usize / 8;
        self.sum ^= word & ((1 << bits) - 1);
        true
    }
}

/// Judges a complete `<...>` that was collected.
fn judge_collected(frame: &[u8]) -> Piece<'_> {
    let inside = &frame[1..frame.len() - 1];
    judge(frame, inside, xor(inside))
}

/// Judges a complete frame by what is between its brackets and the XOR of that: at least a type letter and two checksum
/// letters, which must agree.
#[inline]
fn judge<'a>(frame: &'a [u8], inside: &'a [u8], sum: u8) -> Piece<'a> {
    let noise = |why| Piece::Noise(Noise { bytes: frame, total: frame.len(), why });
    match inside.split_last_chunk::<2>() {
        Some((payload, letters)) if !payload.is_empty() => {
            if byte_letters(sum ^ letters[0] ^ letters[1]) == *letters {
                Piece::Frame(Frame { payload })
            } else {
                noise(NoiseCause::Checksum)
            }
        }
        _ => noise(NoiseCause::Grammar),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checksum::checksum;
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Frame(Vec<u8>),
        Noise(Vec<u8>, usize, NoiseCause),
    }

    fn seen(piece: Piece<'_>) -> Seen {
        match piece {
            Piece::Frame(frame) => Seen::Frame(frame.payload().to_vec()),
            Piece::Noise(noise) => Seen::Noise(noise.bytes.to_vec(), noise.total, noise.why),
        }
    }

    fn split(chunks: &[&[u8]]) -> Vec<Seen> {
        let mut splitter = Splitter::new();
        let mut all = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(piece) = splitter.next_piece(&mut input) {
                all.push(seen(piece));
            }
            assert!(splitter.held_bytes() <= 2 * FRAME_BYTES_MAX);
        }
        if let Some(noise) = splitter.finish() {
            all.push(seen(Piece::Noise(noise)));
        }
        all
    }

    fn frame(payload: &str) -> Seen {
        Seen::Frame(payload.as_bytes().to_vec())
    }

    fn noise(bytes: &str, why: NoiseCause) -> Seen {
        Seen::Noise(bytes.as_bytes().to_vec(), bytes.len(), why)
    }

    #[test]
    fn a_truncated_frame_does_not_swallow_its_successor() {
        assert_eq!(
            split(&[b"<E07<E07L09I80MAL>"]),
            [noise("<E07", NoiseCause::Framing), frame("E07L09I80M")]
        );
    }

    #[test]
    fn line_ends_between_frames_are_nothing_and_other_bytes_are_one_noise() {
        assert_eq!(
            split(&[b"\r\n <E07L06I80MAE>\n x y\n<E07L06I80BAL> \n"]),
            [frame("E07L06I80M"), noise("x y", NoiseCause::Framing), frame("E07L06I80B")]
        );
        assert_eq!(split(&[b"ab<cd"]), [noise("ab<cd", NoiseCause::Framing)]);
    }

    #[test]
    fn a_bad_checksum_and_a_short_frame_say_so() {
        assert_eq!(split(&[b"<E07L06I80MAF>"]), [noise("<E07L06I80MAF>", NoiseCause::Checksum)]);
        assert_eq!(split(&[b"<><S><AB>"]), ["<>", "<S>", "<AB>"].map(|f| noise(f, NoiseCause::Grammar)));
    }

    #[test]
    fn an_endless_frame_is_given_up_and_the_next_one_found() {
        let mut bytes = vec![b'<'];
        bytes.extend([b'A'; 5000]);
        bytes.extend(b"<E07L06I80MAE>");
        let all = split(&[&bytes]);
        assert!(
            matches!(&all[0], Seen::Noise(kept, 5001, NoiseCause::Framing) if kept.len() == FRAME_BYTES_MAX)
        );
        assert_eq!(all[1], frame("E07L06I80M"));
    }

    #[test]
    fn a_frame_is_as_long_as_the_limit_and_no_longer_however_it_comes() {
        for length in FRAME_BYTES_MAX - 1..=FRAME_BYTES_MAX + 1 {
            let payload = vec![b'A'; length - 4];
            let frame = [b"<", &payload[..], &checksum(&payload), b">"].concat();
            let whole = split(&[&frame]);
            assert_eq!(matches!(whole[..], [Seen::Frame(_)]), length <= FRAME_BYTES_MAX);
            assert_eq!(whole, split(&[&frame[..1], &frame[1..]]));
        }
    }

    proptest! {
        #[test]
        fn any_chopping_gives_the_same_pieces(
            parts in prop::collection::vec(prop_oneof![
                Just(b"<E07L06I80MAE>".to_vec()),
                Just(b"<R0012345008F18DFA>".to_vec()),
                Just(b"<R0012345008F18DFB>".to_vec()),
                prop::collection::vec(prop_oneof![Just(b'<'), Just(b'>'), Just(b'\n'), any::<u8>()], 0..150),
            ], 0..12),
            cuts in prop::collection::vec(0usize..2000, 0..40),
        ) {
            let bytes: Vec<u8> = parts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(split(&chunks), split(&[&bytes]));
        }
    }
}
