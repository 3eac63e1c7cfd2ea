//! `[[gateway]]`, `[[module]]` and `[[accessory]]`.

use std::fmt::Write;

use super::{HOUSE, good, in_house, mistake, mistakes};
use crate::conbus::ModuleType;
use crate::config::GatewayAddress;
use crate::policy::AccessoryKind;

/// An accessory whose value at `key` is this one.
fn lamp(key: &str, value: &str) -> String {
    let mut text = "[[accessory]]\n".to_owned();
    let keys =
        [("id", "\"lamp\""), ("name", "\"Lamp\""), ("kind", "\"light\""), ("module", "\"0012345004\"")];
    for (known, good) in keys.into_iter().chain([("output", "0")]) {
        writeln!(text, "{known} = {}", if known == key { value } else { good }).unwrap();
    }
    if !text.contains(&format!("\n{key} = ")) {
        writeln!(text, "{key} = {value}").unwrap();
    }
    text
}

#[test]
fn a_house_loads() {
    let config = good(&format!(
        "{HOUSE}[[accessory]]\nid = \"a\"\nname = \"Lamp\"\nroom = \"Hall\"\nkind = \"dimmer\"\n\
         module = \"0012345006\"\noutput = 2\non = \"E02L04I01\"\noff = \"E02L04I05\"\n"
    ));
    assert_eq!(config.gateways[0].address, GatewayAddress::Emulator);
    let module = &config.modules[1];
    assert_eq!((module.module_type, module.link, module.gateway), (ModuleType::XP33LED, 6, 0));
    let lamp = &config.accessories[0];
    assert_eq!((lamp.kind, lamp.room.as_str()), (AccessoryKind::Dimmer, "Hall"));
    assert_eq!(lamp.point.to_string(), "0012345006/2");
    assert_eq!(lamp.on_event.unwrap().to_string(), "E02L04I01");
    assert_eq!(good(&format!("{HOUSE}{}", lamp_without_room())).accessories[0].room, "");
}

fn lamp_without_room() -> String {
    lamp("id", "\"lamp\"")
}

#[test]
fn a_house_of_several_gateways_says_where_its_modules_are() {
    let two = "[[gateway]]\nid = \"a\"\naddress = \"emulator\"\n[[gateway]]\nid = \"b\"\naddress = \"[::1]:10001\"\n";
    let module = "[[module]]\nserial = \"0012345004\"\ntype = \"XP24\"\nlink = 4\n";
    let config = good(&format!("{two}{module}gateway = \"b\""));
    assert_eq!(config.modules[0].gateway, 1);
    assert_eq!(config.gateways[1].address.to_string(), "[::1]:10001");
    mistake(&format!("{two}{module}"), 7, 1, &["several gateways", "`gateway`", "`a`, `b`"]);
    mistake(
        &format!("{two}{module}gateway = \"bb\""),
        11,
        11,
        &["unknown gateway `bb`", "did you mean `b`?"],
    );
    mistake(&format!("{two}{module}gateway = \"attic\""), 11, 11, &["unknown gateway `attic`", "`a`, `b`"]);
    let same = "[[module]]\nserial = \"0012345005\"\ntype = \"XP24\"\nlink = 4\ngateway = \"a\"\n";
    good(&format!("{two}{module}gateway = \"b\"\n{same}"));
}

#[test]
fn modules_need_a_gateway() {
    let module = "[[module]]\nserial = \"0012345004\"\ntype = \"XP24\"\nlink = 4\n";
    mistake(module, 1, 1, &["modules without a gateway", "[[gateway]]"]);
    in_house(
        "[[module]]\nserial = \"0012345005\"\ntype = \"XP24\"\nlink = 5\ngateway = \"attic\"\n",
        5,
        11,
        &["unknown gateway `attic`", "`home`"],
    );
}

#[test]
fn a_house_without_accessories_loads() {
    assert!(good(HOUSE).accessories.is_empty());
    assert_eq!(good("[[gateway]]\nid = \"home\"\naddress = \"192.168.1.17:10001\"").gateways.len(), 1);
}

#[test]
fn gateways_are_different() {
    let gateway = |id: &str, address: &str| format!("[[gateway]]\nid = \"{id}\"\naddress = \"{address}\"\n");
    let text = gateway("a", "emulator") + &gateway("a", "emulator");
    mistake(&text, 5, 6, &["gateway id `a` is taken", "line 2"]);
    let text = gateway("a", "xp230.local:10001") + &gateway("b", "XP230.local:10001");
    mistake(&text, 6, 11, &["`XP230.local:10001` is taken", "line 3"]);
    good(
        &(gateway("a", "emulator") + &gateway("b", "emulator") + &gateway("c", "x:1") + &gateway("d", "x:2")),
    );
}

#[test]
fn addresses_have_a_port() {
    let at = |address: &str| format!("[[gateway]]\nid = \"home\"\naddress = {address}\n");
    mistake(&at("\"192.168.1.17\""), 3, 11, &["lacks its port", "`192.168.1.17:10001`"]);
    mistake(&at("\"fe80::1\""), 3, 11, &["IPv6", "`[fe80::1]:10001`"]);
    mistake(&at("\"xp230:99999\""), 3, 11, &["`99999` is not a port", "from `1` to `65535`"]);
    mistake(&at("\"emulatr\""), 3, 11, &["did you mean `emulator`?"]);
    mistake(&at("10001"), 3, 11, &["must be an address in quotes, not a number", "`\"emulator\"`"]);
}

#[test]
fn ids_are_plain_and_names_are_there() {
    in_house(
        &lamp("id", "\"salon ceiling\""),
        2,
        6,
        &["`salon ceiling` is not an id", "letters, digits, `_` and `-`"],
    );
    in_house(&lamp("id", "\"\""), 2, 6, &["`` is not an id", "1 to 64"]);
    in_house(&lamp("id", &format!("\"{}\"", "x".repeat(65))), 2, 6, &["not an id", "1 to 64"]);
    in_house(&lamp("name", "\"\""), 3, 8, &["name is empty"]);
    in_house(&lamp("room", &format!("\"{}\"", "x".repeat(65))), 7, 8, &["65 characters", "at most 64"]);
    mistake("[[gateway]]\nid = \"my home\"\naddress = \"emulator\"", 2, 6, &["`my home` is not an id"]);
}

#[test]
fn serial_numbers_have_ten_digits() {
    for (serial, words) in [
        ("\"12345004\"", &["`12345004` is not a serial number", "exactly ten digits"][..]),
        ("\"001234500x\"", &["not a serial number"]),
        ("\"0000000000\"", &["addresses every module"]),
        (
            "1234567890",
            &["must be a serial number in quotes, not a number", "write it in quotes: `\"1234567890\"`"],
        ),
        ("42", &["must be a serial number in quotes", "`\"0012345004\"`"]),
        ("0012345009", &["a serial number is text", "write it in quotes: `\"0012345009\"`"]),
    ] {
        in_house(&format!("[[module]]\nserial = {serial}\ntype = \"XP20\"\nlink = 1\n"), 2, 10, words);
    }
    in_house(&lamp("module", "\"4\""), 5, 10, &["`4` is not a serial number"]);
}

#[test]
fn module_types_are_known() {
    let typed = |name: &str| format!("[[module]]\nserial = \"0012345009\"\ntype = \"{name}\"\nlink = 1\n");
    in_house(&typed("XP33LD"), 3, 8, &["unknown module type `XP33LD`", "did you mean `XP33LED`?"]);
    in_house(&typed("xp24"), 3, 8, &["did you mean `XP24`?"]);
    in_house(&typed("dimmer"), 3, 8, &["unknown module type `dimmer`", "`\"XP24\"`"]);
    in_house(&typed("NOMOD"), 3, 8, &["unknown module type `NOMOD`"]);
}

#[test]
fn links_have_two_digits() {
    let linked =
        |link: &str| format!("[[module]]\nserial = \"0012345009\"\ntype = \"XP20\"\nlink = {link}\n");
    in_house(&linked("100"), 4, 8, &["`link` is out of range: `100`", "from `0` to `99`"]);
    in_house(&linked("-1"), 4, 8, &["out of range: `-1`"]);
    in_house(&linked("\"4\""), 4, 8, &["must be a whole number, not a text", "without quotes: `4`"]);
    in_house(&linked("4.5"), 4, 8, &["must be a whole number, not a decimal number"]);
}

#[test]
fn modules_are_different() {
    let module = |serial: &str, name: &str, link: u8| {
        format!("[[module]]\nserial = \"{serial}\"\ntype = \"{name}\"\nlink = {link}\n")
    };
    in_house(&module("0012345004", "XP20", 1), 2, 10, &["`0012345004` is taken", "line 5"]);
    in_house(&module("0012345009", "XP24", 4), 4, 8, &["second XP24 with link 4", "line 7"]);
    good(&format!("{HOUSE}{}", module("0012345009", "XP20", 4)));
}

#[test]
fn accessories_stand_for_outputs_that_exist() {
    in_house(
        &lamp("module", "\"0012345014\""),
        5,
        10,
        &["unknown module `0012345014`", "did you mean `0012345004`?"],
    );
    in_house(&lamp("module", "\"9999999999\""), 5, 10, &["unknown module `9999999999`", "[[module]]"]);
    in_house(&lamp("output", "4"), 6, 10, &["an XP24 has no output 4", "`0` to `3`"]);
    in_house(&lamp("output", "-1"), 6, 10, &["has no output -1"]);
    in_house(&lamp("output", "99999"), 6, 10, &["has no output 99999"]);
    let panel = "[[module]]\nserial = \"0012345002\"\ntype = \"XP20\"\nlink = 2\n";
    in_house(
        &(panel.to_owned() + &lamp("module", "\"0012345002\"")),
        9,
        10,
        &["XP20 `0012345002` has no outputs"],
    );
}

#[test]
fn accessories_are_different() {
    let other = lamp("id", "\"other\"");
    in_house(&(lamp_without_room() + &other), 12, 10, &["output 0 of `0012345004` is taken", "line 17"]);
    let again = lamp("output", "1");
    in_house(&(lamp_without_room() + &again), 8, 6, &["accessory id `lamp` is taken", "line 13"]);
}

#[test]
fn kinds_fit_the_module() {
    in_house(&lamp("kind", "\"dimmer\""), 4, 8, &["XP24", "cannot be a dimmer", "`light` or `outlet`"]);
    in_house(&lamp("kind", "\"ligth\""), 4, 8, &["unknown kind `ligth`", "did you mean `light`?"]);
    in_house(&lamp("kind", "\"fan\""), 4, 8, &["unknown kind `fan`", "`light`, `outlet`, `dimmer`"]);
    good(&format!("{HOUSE}{}", lamp("module", "\"0012345006\"")));
}

#[test]
fn event_stems_have_type_link_and_input() {
    in_house(&lamp("on", "\"E02L04I01M\""), 7, 6, &["`E02L04I01M` is not the stem", "`E02L04I01`"]);
    in_house(&lamp("off", "\"e02l04i01\""), 7, 7, &["did you mean `E02L04I01`?"]);
    in_house(&lamp("on", "\"on\""), 7, 6, &["not the stem of an event", "type, link and input"]);
    in_house(&lamp("on", "\"é02L04I0é\""), 7, 6, &["not the stem of an event"]);
    let both = lamp("on", "\"E02L04I01\"") + "off = \"E02L04I01\"\n";
    in_house(&both, 8, 7, &["`on` and `off` are the same event"]);
}

#[test]
fn what_must_be_written_is_asked_for() {
    mistakes(
        "[[gateway]]\n[[module]]\n[[accessory]]\n",
        &[
            (1, 1, &["[[gateway]] lacks `id`"]),
            (1, 1, &["[[gateway]] lacks `address`"]),
            (2, 1, &["[[module]] lacks `serial`"]),
            (2, 1, &["[[module]] lacks `type`"]),
            (2, 1, &["[[module]] lacks `link`"]),
            (3, 1, &["[[accessory]] lacks `id`"]),
            (3, 1, &["[[accessory]] lacks `name`"]),
            (3, 1, &["[[accessory]] lacks `kind`"]),
            (3, 1, &["[[accessory]] lacks `module`"]),
            (3, 1, &["[[accessory]] lacks `output`"]),
        ],
    );
}

#[test]
fn one_slip_is_one_mistake() {
    // The accessory of a module with a wrong type, of a misspelled serial, of a misspelled section.
    let broken =
        |from: &str, to: &str| format!("{}{}", HOUSE.replacen(from, to, 1), lamp("kind", "\"dimmer\""));
    mistake(&broken("XP24", "XP99Z"), 6, 8, &["unknown module type"]);
    mistake(&broken("serial =", "seral ="), 5, 1, &["did you mean `serial`?"]);
    mistake(&broken("\"0012345004\"", "\"12345004\""), 5, 10, &["exactly ten digits"]);
    mistake(&broken("\"0012345004\"", "12345004 x"), 5, 10, &["quotes"]);
    mistake(
        &format!("[[modul]]\nlink = 3\n{}", lamp("kind", "\"light\"")),
        1,
        3,
        &["did you mean `module`?"],
    );
    mistake(
        &broken("id = \"home\"", "id = \"my home\"").replace("\"dimmer\"", "\"light\""),
        2,
        6,
        &["not an id"],
    );
}

#[test]
fn an_action_table_is_read_line_by_line() {
    let entries = r#"["XP20 2 0 > 1 TOGGLE", "CP20 0 0 > 4 ~OFF;"]"#;
    let config = good(&format!(
        "{HOUSE}[[module]]\nserial = \"0012345007\"\ntype = \"XP24\"\nlink = 7\naction_table = {entries}\n"
    ));
    let table = config.modules[2].action_table.as_ref().unwrap();
    let texts: Vec<String> = table.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["XP20 2 0 > 1 TOGGLE", "CP20 0 0 > 4 ~OFF"]);
    assert_eq!(config.modules[0].action_table, None);
}

#[test]
fn each_wrong_line_of_an_action_table_is_told() {
    let lines = "action_table = [\n\"XP20 2 0 > 4 ON\",\n\"XP20 2 0 > 0 ON\",\n\"XP20 2 0 > 1 BLINK\",\n\"XP20 2\",\n7]\n";
    let module = format!("{HOUSE}[[module]]\nserial = \"0012345007\"\ntype = \"XP24\"\nlink = 7\n");
    mistakes(
        &format!("{module}{lines}"),
        &[
            (18, 1, &["`0`", "count from 1"]),
            (19, 1, &["`BLINK`"]),
            (20, 1, &["`XP20 2`", "form"]),
            (21, 1, &["in quotes"]),
        ],
    );
    mistakes(
        &format!("{HOUSE}action_table = [\"XP20 2 0 > 4 ON\"]\n"),
        &[(12, 17, &["output 4", "XP33LED"])],
    );
    mistakes(&format!("{HOUSE}action_table = \"XP20 2 0 > 1 ON\"\n"), &[(12, 16, &["list of entries"])]);
}
