//! What a module answers to a read of a datapoint, in the characters of the wire (protocol reference 4).

use crate::conbus::{Bitmap, Category, Datapoint, Levels, ModuleType, OutputIndex, checksum};

use super::super::Dialect;
use super::Module;

/// What a module answers that does not have a datapoint.
const UNSUPPORTED: &[u8] = b"??";

/// The datapoint that a code means to the firmware: the low halves of both characters (protocol reference 2).
fn masked(code: [u8; 2]) -> u8 {
    (code[0] & 0x0F) * 10 + (code[1] & 0x0F)
}

/// The two characters of a code number below 100.
fn digits(code: u8) -> [u8; 2] {
    [b'0' + code / 10 % 10, b'0' + code % 10]
}

/// The value that follows the echoed code in the reply; `rest` is what followed the code in the request.
pub(super) fn value(module: &Module, code: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let code = masked(code);
    let Some(datapoint) = (code <= 25).then(|| Datapoint::from_wire(digits(code))).flatten() else {
        return UNSUPPORTED.to_vec();
    };
    if let Some(given) = module.setup().answers.get(&code) {
        return given.clone();
    }
    let module_type = module.module_type();
    match datapoint {
        Datapoint::TYPE_NAME => type_name(module_type),
        Datapoint::HARDWARE_VERSION => {
            text(module.setup().hardware_version.as_deref(), || hardware_version(module_type))
        }
        Datapoint::SOFTWARE_VERSION => software_version(module),
        Datapoint::SERIAL => module.serial().digits().to_vec(),
        Datapoint::LINK => digits(module.setup().link).to_vec(),
        Datapoint::MODULE_NUMBER => format!("{:04}", module.setup().module_number).into_bytes(),
        Datapoint::SYSTEM_TYPE => digits(module.system_type()).to_vec(),
        Datapoint::TYPE_CODE => digits(module_type.code()).to_vec(),
        Datapoint::TYPE_ID => b"MI".to_vec(),
        Datapoint::STATE => state(module),
        Datapoint::ERROR_CODE => format!("{:02X}", module.error_code()).into_bytes(),
        Datapoint::INPUTS if module_type.inputs() > 0 => inputs(module),
        Datapoint::TEMPERATURE => temperature(module),
        Datapoint::AUTO_REPORT => if module.setup().auto_report { b"PP" } else { b"AA" }.to_vec(),
        Datapoint::FIRMWARE_CRC => firmware_crc(module),
        Datapoint::TABLE_CRC if module.has_table() => module.table_crc().to_vec(),
        Datapoint::SECOND_TABLE_CRC if module.has_table() => Module::second_table_crc().to_vec(),
        _ if module_type.is_actor() => actor_value(module, datapoint, rest),
        _ => UNSUPPORTED.to_vec(),
    }
}

/// The datapoints that only modules with outputs have.
fn actor_value(module: &Module, datapoint: Datapoint, rest: &[u8]) -> Vec<u8> {
    let module_type = module.module_type();
    let metered = module_type != ModuleType::XP33LED;
    match datapoint {
        Datapoint::OUTPUTS => outputs(module),
        Datapoint::LEVELS => levels(module),
        Datapoint::HOURS if metered => channels(module_type, "000[H]"),
        Datapoint::ENERGY if metered => channels(module_type, "00000[NA]"),
        Datapoint::D23 => b"AA".to_vec(),
        Datapoint::D24 => vec![b'A'; 32],
        Datapoint::PAGED => [rest.get(..2).unwrap_or(b"AA"), &[b'A'; 40]].concat(),
        _ => UNSUPPORTED.to_vec(),
    }
}

fn text(given: Option<&str>, by_type: impl FnOnce() -> String) -> Vec<u8> {
    // One byte a character, as everything on this bus (protocol reference 1.1).
    given.map_or_else(by_type, str::to_owned).chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

fn type_name(module_type: ModuleType) -> Vec<u8> {
    // An XP230 names itself after its predecessor (protocol reference 4, D00).
    let named = if module_type == ModuleType::XP230 { ModuleType::XP130 } else { module_type };
    named.to_string().into_bytes()
}

fn hardware_version(module_type: ModuleType) -> String {
    match module_type {
        ModuleType::XP24 | ModuleType::XP20 => module_type.to_string(),
        _ if module_type.is_bridge() => "XP130_HW_Rev B".into(),
        _ => format!("{module_type}_HW_VER1"),
    }
}

fn software_version(module: &Module) -> Vec<u8> {
    let module_type = module.module_type();
    text(module.setup().software_version.as_deref(), || {
        let version = match module_type {
            ModuleType::XP24 => "0.34.03",
            ModuleType::XP20 => "0.01.05",
            ModuleType::XP33LR => "0.04.02",
            ModuleType::XP33LED => "0.04.01",
            ModuleType::XP130 => "0.10.04",
            _ => "1.00.04",
        };
        format!("{module_type}_V{version}")
    })
}

/// The firmware image is not known, so apart from the two versions whose CRC was read from real modules the
/// name of the version stands for it.
fn firmware_crc(module: &Module) -> Vec<u8> {
    let version = software_version(module);
    match version.as_slice() {
        b"XP24_V0.34.03" => b"EIDCDONM".to_vec(),
        b"XP33LED_V0.04.01" => b"PGJALJLM".to_vec(),
        _ => checksum::crc32_letters(&version).to_vec(),
    }
}

fn state(module: &Module) -> Vec<u8> {
    if !module.module_type().is_actor() {
        return b"OK".to_vec();
    }
    let on = module.outputs_on().any(|(_, on)| on);
    if on { b"ON".to_vec() } else { b"OFF".to_vec() }
}

fn inputs(module: &Module) -> Vec<u8> {
    let mut bitmap = Bitmap::default();
    for (input, held) in module.inputs_held() {
        bitmap.set(input, held);
    }
    bitmap.to_text(module.module_type().inputs()).into_bytes()
}

fn outputs(module: &Module) -> Vec<u8> {
    let mut bitmap = Bitmap::default();
    for (output, on) in module.outputs_on() {
        bitmap.set(output, on);
    }
    let count = module.module_type().outputs();
    let mut text = bitmap.to_text(count);
    if module.dialect() == Dialect::Peer {
        let absent = usize::from(OutputIndex::COUNT_MAX - count);
        let reversed: String = text[absent..].chars().rev().collect();
        text.replace_range(absent.., &reversed);
    }
    if module.setup().type_code_before_outputs {
        text = format!("{:02}{text}", module.module_type().code());
    }
    text.into_bytes()
}

fn levels(module: &Module) -> Vec<u8> {
    let mut levels = Levels::default();
    for (output, level) in module.levels() {
        levels.set(output, level);
    }
    levels.to_string().into_bytes()
}

fn channels(module_type: ModuleType, each: &str) -> Vec<u8> {
    let channels: Vec<String> =
        (0..module_type.outputs()).map(|channel| format!("{channel:02}:{each}")).collect();
    channels.join(",").into_bytes()
}

fn temperature(module: &Module) -> Vec<u8> {
    let module_type = module.module_type();
    let tenths = module.setup().temperature_tenths.or(match module_type.category() {
        Category::Relay => Some(280),
        // What every XP33 answers for want of a sensor (protocol reference 4, D18).
        Category::Dimmer => Some(-200),
        Category::Link | Category::Bridge => Some(260),
        _ => None,
    });
    let Some(tenths) = tenths else { return UNSUPPORTED.to_vec() };
    let sign = if tenths < 0 { '-' } else { '+' };
    let mut text = format!("{sign}{:02},{}", tenths.abs() / 10, tenths.abs() % 10).into_bytes();
    text.extend(b"\xA7C");
    text
}
