//! The setup code, and what is made of it: the `X-HM://` text, the picture for a camera, the hash in the announcement.

use std::fmt::Write as _;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use sha2::{Digest, Sha512};

use super::keys::{Draw, draw_bytes};

/// A bridge.
pub(super) const CATEGORY: u8 = 2;

/// Reached by IP.
const IP: u64 = 1 << 28;

const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A code that nobody would try first, as `ddd-dd-ddd`.
pub(super) fn random_code(draw: Draw) -> String {
    loop {
        let number = u32::from_le_bytes(draw_bytes(draw));
        // The largest multiple of 10^8 in 32 bits: above it some codes would be likelier than others.
        let digits = format!("{:08}", number % 100_000_000);
        if number < 4_200_000_000 && !is_trivial(&digits) {
            return format!("{}-{}-{}", &digits[..3], &digits[3..5], &digits[5..]);
        }
    }
}

/// Whether eight digits are among those the specification forbids.
fn is_trivial(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    bytes.windows(2).all(|pair| pair[0] == pair[1]) || matches!(digits, "12345678" | "87654321")
}

/// Four characters that tell bridges apart.
pub(super) fn random_setup_id(draw: Draw) -> String {
    // 252 is the largest multiple of 36 in a byte; above it some letters would be likelier than others.
    let fair = std::iter::repeat_with(|| draw_bytes::<1>(draw)[0]).filter(|byte| *byte < 252);
    fair.take(4).map(|byte| char::from(DIGITS[usize::from(byte % 36)])).collect()
}

/// A name that no other bridge has, as `XX:XX:XX:XX:XX:XX`.
pub(super) fn random_device_id(draw: Draw) -> String {
    draw_bytes::<6>(draw).map(|byte| format!("{byte:02X}")).join(":")
}

/// The text behind the picture.
pub(super) fn setup_uri(code: &str, setup_id: &str, category: u8) -> String {
    let number = code
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    let mut payload = u64::from(category) << 31 | IP | number;
    let mut text = [0; 9];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(payload % 36) as usize];
        payload /= 36;
    }
    format!("X-HM://{}{setup_id}", text.map(char::from).iter().collect::<String>())
}

/// What lets a camera find the bridge of its picture in the network.
pub(super) fn setup_hash(setup_id: &str, device_id: &str) -> String {
    let hash = Sha512::digest([setup_id.as_bytes(), device_id.as_bytes()].concat());
    base64_of_four([hash[0], hash[1], hash[2], hash[3]])
}

fn base64_of_four(bytes: [u8; 4]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u64::from(u32::from_be_bytes(bytes)) << 4;
    let letters = (0..6).rev().map(|place| char::from(LETTERS[(bits >> (6 * place) & 63) as usize]));
    letters.chain(['=', '=']).collect()
}

/// The picture, in half blocks of a terminal.
pub(super) fn picture(uri: &str) -> String {
    let code = QrCode::new(uri).expect("twenty characters fit");
    // Bright blocks are the light squares: most terminals are dark, and not every camera reads a negative.
    code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build()
}

/// The same as a drawing: how many squares a side has, and the dark ones as an SVG path in units of a square.
pub(super) fn drawing(uri: &str) -> (usize, String) {
    let code = QrCode::new(uri).expect("twenty characters fit");
    let side = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == qrcode::Color::Dark {
            let _ = write!(path, "M{} {}h1v1h-1z", at % side, at / side);
        }
    }
    (side, path)
}

#[cfg(test)]
mod tests {
    use super::super::keys::system_draw;
    use super::*;

    /// Those of the public examples of the vendor's own accessory kit that are of unpaired accessories reached by IP.
    #[test]
    fn the_published_payloads_come_out() {
        assert_eq!(setup_uri("518-08-582", "7OSX", 7), "X-HM://0071WK4SM7OSX");
        assert_eq!(setup_uri("000-00-000", "0000", 7), "X-HM://00711PP1C0000");
    }

    #[test]
    fn the_hash_is_four_bytes_of_base64() {
        assert_eq!(base64_of_four([0, 0, 0, 0]), "AAAAAA==");
        assert_eq!(base64_of_four(*b"Man!"), "TWFuIQ==");
        assert_eq!(base64_of_four([0xFF; 4]), "/////w==");
        assert_eq!(setup_hash("7OSX", "E1:91:1A:70:85:AA").len(), 8);
    }

    #[test]
    fn codes_are_well_formed_and_not_trivial() {
        for _ in 0..200 {
            let code = random_code(system_draw);
            let dashes: Vec<usize> = code.match_indices('-').map(|(at, _)| at).collect();
            assert_eq!((code.len(), dashes), (10, vec![3, 6]));
        }
        for digits in ["00000000", "99999999", "12345678", "87654321"] {
            assert!(is_trivial(digits));
        }
        assert!(!is_trivial("27182818"));
    }

    #[test]
    fn the_drawing_has_the_squares_of_the_picture() {
        let uri = "X-HM://0071WK4SM7OSX";
        let (side, path) = drawing(uri);
        let corner = ["M0 0h1v1h-1z", "M6 0h1v1h-1z", "M0 6h1v1h-1z"];
        assert!(corner.iter().all(|square| path.contains(square)) && !path.contains("M1 1h"), "{path}");
        // A quiet zone of four squares stands around the picture of the terminal.
        let lines = picture(uri).lines().count();
        assert_eq!((side + 8).div_ceil(2), lines);
    }

    #[test]
    fn names_are_well_formed() {
        let id = random_setup_id(system_draw);
        assert!(id.len() == 4 && id.bytes().all(|byte| DIGITS.contains(&byte)));
        assert_eq!(random_device_id(|buffer| buffer.fill(0xAB)), "AB:AB:AB:AB:AB:AB");
    }

    #[test]
    fn the_picture_is_square() {
        let picture = picture(&setup_uri("518-08-582", "7OSX", CATEGORY));
        let lines: Vec<&str> = picture.lines().collect();
        assert!(
            lines.len() > 10 && lines.iter().all(|line| line.chars().count() == lines[0].chars().count())
        );
    }
}
