//! The F codes of system telegrams and replies (protocol reference 3).

use std::fmt;

/// What a system telegram asks for, or what a reply answers: a decimal code of two digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Function(u8);

impl Function {
    /// F00: no function; answered with a NAK.
    pub const NONE: Self = Self(0);
    /// F01: who is there.
    pub const DISCOVERY: Self = Self(1);
    /// F02: read a datapoint.
    pub const READ_DATAPOINT: Self = Self(2);
    /// F03: read the configuration; never captured.
    pub const READ_CONFIG: Self = Self(3);
    /// F04: write the configuration, a light level or the auto-report flag.
    pub const WRITE_CONFIG: Self = Self(4);
    /// F05: blink the front LED.
    pub const BLINK_ON: Self = Self(5);
    /// F06: stop blinking.
    pub const BLINK_OFF: Self = Self(6);
    /// F07: firmware upload starts.
    pub const FIRMWARE_START: Self = Self(7);
    /// F08: firmware upload ends.
    pub const FIRMWARE_STOP: Self = Self(8);
    /// F09: firmware data.
    pub const FIRMWARE_DATA: Self = Self(9);
    /// F10: action-table upload starts.
    pub const TABLE_UPLOAD: Self = Self(10);
    /// F11: action-table download starts.
    pub const TABLE_DOWNLOAD: Self = Self(11);
    /// F12: upload of the module-specific table starts.
    pub const MODULE_TABLE_UPLOAD: Self = Self(12);
    /// F13: download of the module-specific table starts.
    pub const MODULE_TABLE_DOWNLOAD: Self = Self(13);
    /// F14: telegram write starts; only its name is known.
    pub const TELEGRAM_WRITE: Self = Self(14);
    /// F15: telegram read starts; only its name is known.
    pub const TELEGRAM_READ: Self = Self(15);
    /// F16: end of a table.
    pub const TABLE_END: Self = Self(16);
    /// F17: one chunk of a table.
    pub const TABLE_CHUNK: Self = Self(17);
    /// F18: accepted, or continue.
    pub const ACK: Self = Self(18);
    /// F19: refused or not supported.
    pub const NAK: Self = Self(19);
    /// F20: firmware upload to the power board starts.
    pub const TOP_FIRMWARE_START: Self = Self(20);
    /// F21: firmware upload to the power board ends.
    pub const TOP_FIRMWARE_STOP: Self = Self(21);
    /// F22: firmware data for the power board.
    pub const TOP_FIRMWARE_DATA: Self = Self(22);
    /// F23: rotation enabled; only its name is known.
    pub const ROTATE_ENABLE: Self = Self(23);
    /// F24: rotation disabled; only its name is known.
    pub const ROTATE_DISABLE: Self = Self(24);
    /// F26: sent by the vendor tool after a discovery; never answered.
    pub const AFTER_DISCOVERY: Self = Self(26);
    /// F27: switch an output.
    pub const SET_OUTPUT: Self = Self(27);

    /// The function with this decimal code, known or not; `None` above 99.
    pub fn new(code: u8) -> Option<Self> {
        (code <= 99).then_some(Self(code))
    }

    /// The decimal code, 0 to 99.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The usual name; `None` for a code that is not known.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE => "none",
            Self::DISCOVERY => "discovery",
            Self::READ_DATAPOINT => "read datapoint",
            Self::READ_CONFIG => "read configuration",
            Self::WRITE_CONFIG => "write configuration",
            Self::BLINK_ON => "blink on",
            Self::BLINK_OFF => "blink off",
            Self::FIRMWARE_START => "firmware upload start",
            Self::FIRMWARE_STOP => "firmware upload stop",
            Self::FIRMWARE_DATA => "firmware upload data",
            Self::TABLE_UPLOAD => "action table upload",
            Self::TABLE_DOWNLOAD => "action table download",
            Self::MODULE_TABLE_UPLOAD => "module table upload",
            Self::MODULE_TABLE_DOWNLOAD => "module table download",
            Self::TELEGRAM_WRITE => "telegram write start",
            Self::TELEGRAM_READ => "telegram read start",
            Self::TABLE_END => "end of table",
            Self::TABLE_CHUNK => "table chunk",
            Self::ACK => "acknowledged",
            Self::NAK => "refused",
            Self::TOP_FIRMWARE_START => "power board firmware start",
            Self::TOP_FIRMWARE_STOP => "power board firmware stop",
            Self::TOP_FIRMWARE_DATA => "power board firmware data",
            Self::ROTATE_ENABLE => "rotate enable",
            Self::ROTATE_DISABLE => "rotate disable",
            Self::AFTER_DISCOVERY => "after discovery",
            Self::SET_OUTPUT => "set output",
            _ => return None,
        })
    }

    /// Whether it belongs to the transfer of a table: the module answers it late, and restarts after the last
    /// one (protocol reference 3.6).
    pub fn is_of_table(self) -> bool {
        matches!(
            self,
            Self::TABLE_UPLOAD
                | Self::TABLE_DOWNLOAD
                | Self::MODULE_TABLE_UPLOAD
                | Self::MODULE_TABLE_DOWNLOAD
                | Self::TABLE_END
                | Self::TABLE_CHUNK
                | Self::ACK
        )
    }

    /// Whether it begins the transfer of a table.
    pub fn begins_table(self) -> bool {
        self.is_of_table() && self.0 < Self::TABLE_END.0
    }

    /// Whether it rewrites firmware: never sent unless unlocked (protocol reference 3).
    pub fn is_destructive(self) -> bool {
        matches!(
            self,
            Self::FIRMWARE_START
                | Self::FIRMWARE_STOP
                | Self::FIRMWARE_DATA
                | Self::TOP_FIRMWARE_START
                | Self::TOP_FIRMWARE_STOP
                | Self::TOP_FIRMWARE_DATA
        )
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{:02}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_decimal_and_known_ones_have_names() {
        assert_eq!(Function::new(27), Some(Function::SET_OUTPUT));
        assert_eq!(Function::new(100), None);
        assert_eq!(Function::new(5).unwrap().to_string(), "05");
        let known = (0..=99).filter(|&code| Function::new(code).unwrap().name().is_some()).count();
        assert_eq!(known, 27, "F00 to F27 without F25");
        let destructive: Vec<u8> =
            (0..=99).filter(|&code| Function::new(code).unwrap().is_destructive()).collect();
        assert_eq!(destructive, [7, 8, 9, 20, 21, 22]);
        let of = |is: fn(Function) -> bool| -> Vec<u8> {
            (0..=99).filter(|&code| is(Function::new(code).unwrap())).collect()
        };
        assert_eq!(of(Function::is_of_table), [10, 11, 12, 13, 16, 17, 18]);
        assert_eq!(of(Function::begins_table), [10, 11, 12, 13]);
    }
}
