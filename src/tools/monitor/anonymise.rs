//! Telegrams with other serial numbers: the same one for the same module, wherever it stands.
//!
//! Checksums are made anew, and a telegram whose checksum was wrong keeps a wrong one, by as much.

use std::collections::HashMap;

use crate::conbus::checksum::{byte_letters, checksum, from_letters};

/// Digits of a serial number.
const DIGITS: usize = 10;
/// Shorter runs of digits are codes and values; longer ones may be a part of a serial number.
const TELLING: usize = 5;
/// So many modules get numbers of their own; a bus has fewer.
const MODULES_MAX: usize = 9_000;

/// The names that were given.
#[derive(Debug, Default)]
pub(super) struct Anonymiser {
    names: HashMap<String, String>,
}

impl Anonymiser {
    /// The text with other serial numbers: a telegram as it stood on the bus, or bytes that are none.
    pub(super) fn rename(&mut self, text: &str) -> String {
        let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
        let payload = bytes.as_deref().and_then(|bytes| bytes.strip_prefix(b"<")?.strip_suffix(b">"));
        let Some((payload, told)) = payload.and_then(|payload| payload.split_last_chunk::<2>()) else {
            return self.without_digits(text);
        };
        let old: String = payload.iter().map(|byte| char::from(*byte)).collect();
        let new = self.payload(&old);
        let bytes: Vec<u8> = new.chars().filter_map(|letter| u8::try_from(letter).ok()).collect();
        let told = moved(*told, checksum(payload), checksum(&bytes));
        format!("<{new}{}{}>", char::from(told[0]), char::from(told[1]))
    }

    fn payload(&mut self, payload: &str) -> String {
        let Some((kind, serial)) = payload.split_at_checked(1).filter(|(kind, _)| matches!(*kind, "S" | "R"))
        else {
            return self.without_digits(payload);
        };
        match serial.split_at_checked(DIGITS) {
            Some((serial, rest)) if is_digits(serial) => {
                let name = self.name(serial);
                // D03 is the serial number again, behind the code of its datapoint (protocol reference 4).
                let rest =
                    match rest.strip_prefix("F02D03").filter(|own| own.len() == DIGITS && is_digits(own)) {
                        Some(own) => format!("F02D03{}", self.name(own)),
                        None => self.data(rest),
                    };
                format!("{kind}{name}{rest}")
            }
            _ => self.without_digits(payload),
        }
    }

    /// Values stay, but a serial number in one does not, known or not: no value has so many digits in a row.
    fn data(&mut self, text: &str) -> String {
        self.by_runs(text, |names, run| match run.len() {
            DIGITS => names.name(run),
            length if length > DIGITS => "0".repeat(length),
            _ => run.to_owned(),
        })
    }

    /// A broken telegram may hold a broken serial number.
    fn without_digits(&mut self, text: &str) -> String {
        self.by_runs(text, |names, run| match run.len() {
            DIGITS => names.name(run),
            length if length >= TELLING => "0".repeat(length),
            _ => run.to_owned(),
        })
    }

    fn by_runs(&mut self, text: &str, mut rename: impl FnMut(&mut Self, &str) -> String) -> String {
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
            let (before, from) = rest.split_at(at);
            let end = from.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(from.len());
            let (run, after) = from.split_at(end);
            renamed.push_str(before);
            renamed.push_str(&rename(self, run));
            rest = after;
        }
        renamed + rest
    }

    /// The name of a serial number; the broadcast keeps its own.
    fn name(&mut self, serial: &str) -> String {
        if serial.bytes().all(|digit| digit == b'0') {
            return serial.to_owned();
        }
        if let Some(name) = self.names.get(serial) {
            return name.clone();
        }
        // Beyond any bus the names end, so that a gateway gone mad costs no memory.
        let number = (self.names.len() + 1).min(MODULES_MAX);
        let name = format!("001234{number:04}");
        if number < MODULES_MAX {
            self.names.insert(serial.to_owned(), name.clone());
        }
        name
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The checksum of the new telegram, wrong by as much as that of the old one was.
fn moved(told: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let number = |letters: [u8; 2]| from_letters(&letters).and_then(|bytes| bytes.first().copied());
    match (number(told), number(old), number(new)) {
        (Some(told), Some(old), Some(new)) => byte_letters(told ^ old ^ new),
        // Letters that no checksum has stay: they are wrong in any case.
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conbus::{Datapoint, SerialNumber, Splitter, System, Telegram, describe};

    fn is_valid(telegram: &str) -> bool {
        let bytes: Vec<u8> = telegram.chars().map(|letter| u8::try_from(letter).unwrap()).collect();
        let mut unread = &bytes[..];
        let mut splitter = Splitter::new();
        let piece = splitter.next_piece(&mut unread).unwrap();
        serde_json::to_value(describe(piece)).unwrap()["valid"] == true
    }

    #[test]
    fn a_module_has_one_name_and_the_broadcast_its_own() {
        let mut names = Anonymiser::default();
        let said = [
            "<S0000000000F01D00FA>",
            "<S0020044966F02D12FN>",
            "<R0020044966F02D12xxxx0000FK>",
            "<S0020045056F02D12FK>",
            "<E07L06I80MAE>",
        ];
        let renamed: Vec<String> = said.iter().map(|telegram| names.rename(telegram)).collect();
        assert_eq!(renamed[0], said[0]);
        assert!(renamed[1].starts_with("<S0012340001F02D12"), "{renamed:?}");
        assert!(renamed[2].starts_with("<R0012340001F02D12xxxx0000"), "{renamed:?}");
        assert!(renamed[3].starts_with("<S0012340002F02D12"), "{renamed:?}");
        assert_eq!(renamed[4], said[4], "events name no serial number");
    }

    #[test]
    fn a_serial_number_inside_a_value_is_renamed_too() {
        let mut names = Anonymiser::default();
        let read = "<R0020044966F02D030020044966FN>";
        let renamed = names.rename(read);
        assert!(renamed.starts_with("<R0012340001F02D030012340001"), "{renamed}");
        let odd = names.rename("<R0020044966F17Dx0020045056x0020044966yAA>");
        assert!(odd.starts_with("<R0012340001F17Dx0012340002x0012340001y"), "{odd}");
    }

    #[test]
    fn what_is_broken_tells_no_serial_number_and_stays_broken() {
        let mut names = Anonymiser::default();
        for (broken, renamed) in [
            ("<R002004496", "<R000000000"),
            ("0020044966F02D", "0012340001F02D"),
            ("<E07L06I80", "<E07L06I80"),
            ("<Rx020044966F02D12AA>", "<Rx000000000F02D12AA>"),
        ] {
            let told = names.rename(broken);
            assert_eq!(
                told.split_at(told.len().min(renamed.len() - 3)).0,
                &renamed[..renamed.len() - 3],
                "{broken}"
            );
            assert!(!told.contains("20044966"), "{told}");
        }
        assert!(!is_valid(&names.rename("<R0020044966F18DAA>")));
        assert!(is_valid(&names.rename("<R0020044966F02D18+28,5\u{a7}CIM>")));
    }

    proptest! {
        #[test]
        fn valid_stays_valid_and_wrong_stays_wrong(serial in 1_u64..9_999_999_999, datapoint in 0_u8..30, letters in "[A-P]{2}") {
            let mut names = Anonymiser::default();
            let serial: SerialNumber = format!("{serial:010}").parse().unwrap();
            let [tens, ones] = [b'0' + datapoint / 10, b'0' + datapoint % 10];
            let read = Telegram::from(System::read(serial, Datapoint::from_wire([tens, ones]).unwrap())).to_string();
            let renamed = names.rename(&read);
            prop_assert!(is_valid(&renamed) && !renamed.contains(&serial.to_string()), "{}", renamed);
            let wrong = format!("{}{letters}>", &read[..read.len() - 3]);
            prop_assert_eq!(is_valid(&names.rename(&wrong)), wrong == read);
        }

        #[test]
        fn no_text_brings_it_down(text in any::<String>()) {
            let _ = Anonymiser::default().rename(&text);
        }
    }
}
