//! Claims about imports: values, places, and that nothing brings it down.

use std::path::Path;

use super::*;
use crate::config::{Config, Deed};
use crate::policy::AccessoryKind;

mod traps;

/// Two relays, a dimmer and a bridge, as `export.yml` has them: serial numbers without quotes, outputs from 1.
const EXPORT: &str = "\
- name: A4
  serial_number: 0020044774
  module_type: XP24
  module_type_code: 7
  link_number: 4
  module_number: 2
  auto_report_status: PP
  action_table:
  - CP20 0 0 > 1 OFF;
  - CP20 0 0 > 2 OFF;
  - CP20 4 0 > 1 ON;
  - CP20 4 1 > 2 ON;
  - CP20 4 4 > 1 OFF;
  - CP20 4 5 > 2 OFF;
  - CP20 4 8 > 1 TOGGLE;
  - CP20 4 9 > 2 ~ON;
  xp24_msaction_table:
  - T:0 T:0 T:0 T:0 | M12:0 M34:0 C12:0 C34:0 DT:12
- name: A9
  serial_number: '0020044986'
  module_type: XP24
  module_type_code: 07
  link_number: 09
  auto_report_status: AA
- name: A12
  serial_number: 0020045056
  module_type: XP33LED
  module_type_code: 35
  link_number: 12
- name: A11
  serial_number: 0020030837
  module_type: XP130
  module_type_code: 34
  link_number: 11
";

fn accessory(name: &str, module: &str, output: &str, more: &str) -> String {
    format!(
        "- name: {name}\n  id: X\n  serial_number: {module}\n  output_number: {output}\n  description: {name}\n  service: light\n{more}"
    )
}

fn homekit(accessories: &[String]) -> String {
    format!("accessories:\n{}", accessories.concat())
}

fn import(files: &[(&str, &str)]) -> Result<Imported, ImportError> {
    let files: Vec<_> =
        files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    convert(&files, false)
}

/// The config that was made, and all that was said.
fn made(files: &[(&str, &str)]) -> (Config, String) {
    let imported = import(files).unwrap_or_else(|error| panic!("{error}"));
    let config = config::parse("made", &imported.text, Path::new("")).unwrap();
    let lines: Vec<_> = imported.remarks.into_iter().map(|(_, line)| line + "\n").collect();
    (config, lines.concat())
}

fn fault(text: &str) -> String {
    import(&[("a.yml", text)]).unwrap_err().to_string()
}

#[test]
fn serial_numbers_are_the_digits_that_were_typed() {
    let (config, _) = made(&[("export.yml", EXPORT)]);
    let modules: Vec<String> = config
        .modules
        .iter()
        .map(|module| format!("{} {} {}", module.serial, module.module_type, module.link))
        .collect();
    let expected = ["0020044774 XP24 4", "0020044986 XP24 9", "0020045056 XP33LED 12", "0020030837 XP230 11"];
    assert_eq!(modules, expected, "no octal, decimal 07 and 09, the code of the XP230");
}

#[test]
fn every_word_names_its_line() {
    let (_, said) = made(&[("export.yml", EXPORT)]);
    assert!(said.contains("export.yml:32: changed: an XP230 calls itself XP130"), "{said}");
    assert!(said.contains("export.yml:6: left out: `module_number`: the daemon asks the module"), "{said}");
    assert!(said.contains("export.yml: guessed: no file says where the bridge is"), "{said}");
    for (text, line) in
        [("`0020044774` is read as these digits, not as the octal 4213244", 2), ("`07` is read as 7", 22)]
    {
        assert!(said.contains(&format!("export.yml:{line}: changed: {text}\n")), "{text}\n{said}");
    }
    assert!(said.contains("export.yml:23: changed: `09` is read as 9\n"), "{said}");
}

#[test]
fn zeros_that_were_lost_are_put_back_and_nobodys_serial_is_left_out() {
    let text = "- {name: A, serial_number: 20044986, module_type: XP24, module_type_code: 7, link_number: 1}\n\
                - {name: B, serial_number: '000000000', module_type: CP20, module_type_code: 02, link_number: 00}\n\
                - {name: C, module_type: XP11}\n\
                - {name: D, serial_number: '9900000001', module_type: XP11, module_type_code: 99, link_number: 1}\n\
                - {name: E, serial_number: '0012345678', module_type: XP70C, module_type_code: 5, link_number: 14}\n\
                - {name: F, serial_number: 12345678901, module_type: XP24, link_number: 1}\n";
    let (config, said) = made(&[("conson.yml", text)]);
    let serials: Vec<String> =
        config.modules.iter().map(|module| format!("{} {}", module.serial, module.module_type)).collect();
    assert_eq!(serials, ["0020044986 XP24", "0012345678 CP70C"]);
    for line in [
        "conson.yml:1: changed: serial number `20044986` is `0020044986`",
        "conson.yml:2: left out: `000000000` is no module's own",
        "conson.yml:3: left out: module `C`: it has no serial number",
        "conson.yml:4: left out: the module's type `XP11`, code `99`, is not known",
        "conson.yml:5: changed: type `XP70C` is CP70C, by its code",
        "conson.yml:6: left out: `12345678901` is not a serial number",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn outputs_of_tables_count_from_one_whichever_way_they_were_counted() {
    let table = |entries: &str| {
        format!(
            "root:\n- name: A\n  serial_number: '0012345004'\n  module_type: XP24\n  module_type_code: 7\n  \
             link_number: 4\n  action_table:\n{entries}"
        )
    };
    let entries = |text: &str| -> (Vec<String>, String) {
        let (config, said) = made(&[("conson.yml", &table(text))]);
        let table = config.modules[0].action_table.clone().unwrap_or_default();
        (table.iter().map(ToString::to_string).collect(), said)
    };
    let (zero, said) = entries("  - CP20 4 0 > 0 ON\n  - CP20 4 3 > 3 OFF\n  - XP20 1 1 > 1 T\n");
    assert_eq!(zero, ["CP20 4 0 > 1 ON", "CP20 4 3 > 4 OFF", "XP20 1 1 > 2 TOGGLE"]);
    assert!(said.contains("conson.yml:8: changed: the action table counts outputs from 0"), "{said}");
    let (one, _) = entries("  - CP20 4 0 > 1 ON;\n  - CP20 4 3 > 4 ~LEVELINC 10;\n");
    assert_eq!(one, ["CP20 4 0 > 1 ON", "CP20 4 3 > 4 ~LEVELINC 10"]);
    let (both, said) = entries("  - CP20 4 0 > 0 ON\n  - CP20 4 3 > 4 OFF\n");
    assert!(both.is_empty() && said.contains("from 0 here and from 1 on line 9"), "{said}");
    let (odd, said) = entries("  - CP20 4 0 > 1 ON\n  - hello\n  - CP20 4 0 > 7 ON\n");
    assert_eq!(odd, ["CP20 4 0 > 1 ON"]);
    assert!(said.contains(":9: left out: an entry") && said.contains("XP24 has no output 7"), "{said}");
}

#[test]
fn events_that_the_table_proves_are_replaced_by_the_direct_command() {
    let homekit = homekit(&[
        accessory("proved", "0020044774", "0", "  on_action: E02L04I00\n  off_action: E02L04I04\n"),
        accessory("kept", "0020044774", "1", "  on_action: E02L04I09\n  off_action: E02L04I05\n"),
        accessory("unknown", "0020044986", "3", "  on_action: E02L09I03\n  off_action: E02L09I07\n"),
        accessory("direct", "0020044986", "0", ""),
    ]);
    let (config, said) = made(&[("export.yml", EXPORT), ("homekit.yml", &homekit)]);
    let events = |id: &str| {
        let accessory = config.accessories.iter().find(|accessory| accessory.id == id).unwrap();
        accessory.on_event.map(|event| event.to_string())
    };
    assert_eq!(events("proved"), None);
    assert_eq!(events("kept"), Some("E02L04I09".into()), "`~ON` acts when the button is let go: not plain");
    assert_eq!(events("unknown"), Some("E02L09I03".into()));
    assert_eq!(events("direct"), None);
    assert!(said.contains("homekit.yml:8: changed: E02L04I00 and E02L04I04 are plain ON and OFF"), "{said}");
    assert!(
        said.contains("homekit.yml:24: guessed: E02L09I03 and E02L09I07 are in no known table"),
        "{said}"
    );
}

#[test]
fn a_table_with_a_line_that_is_not_understood_proves_nothing() {
    let export = EXPORT.replace("  - CP20 0 0 > 1 OFF;\n", "  - CP20 4 0 > 1 SOMETHING;\n");
    let lamp = accessory("lamp", "0020044774", "0", "  on_action: E02L04I00\n  off_action: E02L04I04\n");
    let (config, _) = made(&[("export.yml", &export), ("homekit.yml", &homekit(&[lamp]))]);
    assert!(config.accessories[0].on_event.is_some());
}

#[test]
fn what_drives_more_than_its_output_is_a_scene_and_no_lamp() {
    let homekit = homekit(&[
        accessory("all_off", "0020044774", "0", "  on_action: E02L04I08\n  off_action: E02L00I00\n"),
        accessory("lamp", "0020044774", "0", "  on_action: E02L04I00\n  off_action: E02L04I04\n"),
        accessory("panel", "0020030837", "0", "  on_action: E02L00I01\n  off_action: E02L00I01\n"),
        accessory("nothing", "0020030837", "0", ""),
    ]);
    let rooms = "bridge: {rooms: [{name: Hall, accessories: [all_off]}]}\n";
    let (config, said) = made(&[("export.yml", EXPORT), ("homekit.yml", &homekit), ("rooms.yml", rooms)]);
    let ids: Vec<&str> = config.accessories.iter().map(|accessory| accessory.id.as_str()).collect();
    assert_eq!(ids, ["lamp"]);
    let scenes: Vec<String> = (config.scenes.iter())
        .map(|scene| match scene.deed {
            Deed::Event { input, .. } => format!("{} {} {} {input}", scene.id, scene.name, scene.room),
            Deed::Targets(_) => panic!("{scene:?}"),
        })
        .collect();
    let expected = [
        "all_off all_off Hall E02L04I08",
        "all_off_off all_off (off) Hall E02L00I00",
        "panel panel  E02L00I01",
    ];
    assert_eq!(scenes, expected, "one for each event, in its room; two equal events are one scene");
    for part in [
        "homekit.yml:2: changed: accessory `all_off`: its events drive 2 outputs: scenes, `all_off`, which sends \
         E02L04I08 and `all_off_off`, which sends E02L00I00; state unknown",
        "homekit.yml:18: changed: accessory `panel`: the XP230 0020030837 has no outputs, so it is no lamp: a scene",
        "left out: accessory `nothing`: the XP230 0020030837 has no outputs, so it is no lamp, and it has no events",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn a_toggle_is_never_a_fallback() {
    let lamps = homekit(&[
        accessory("one", "0020044774", "0", "  on_action: E02L04I08\n  off_action: E02L04I04\n"),
        accessory("two", "0020044774", "1", "  on_action: E02L77I00\n  off_action: E02L77I00\n"),
        accessory("three", "0020044986", "1", "  on_action: S0012345004F03D0401\n"),
        accessory("four", "0020044986", "2", "  on_action: e02l09i00\n"),
    ]);
    let (config, said) = made(&[("export.yml", EXPORT), ("homekit.yml", &lamps)]);
    assert!(
        config.accessories.iter().all(|lamp| lamp.on_event.is_none() && lamp.off_event.is_none()),
        "{said}"
    );
    assert!(said.contains("on_action `S0012345004F03D0401` is not the stem of an event"), "{said}");
    assert!(said.contains("one event alone"), "{said}");
}

#[test]
fn an_output_has_one_accessory_the_proved_one_or_the_first_and_the_others_are_groups_of_it() {
    let twice = homekit(&[
        accessory("socket", "0020044774", "0", ""),
        accessory("lamp", "0020044774", "0", "  on_action: E02L04I00\n  off_action: E02L04I04\n"),
        accessory("first", "0020044986", "0", ""),
        accessory("second", "0020044986", "0", ""),
    ]);
    let rooms = "bridge: {rooms: [{name: Salon, accessories: [socket]}]}\n";
    let (config, said) = made(&[("export.yml", EXPORT), ("homekit.yml", &twice), ("rooms.yml", rooms)]);
    let ids: Vec<&str> = config.accessories.iter().map(|accessory| accessory.id.as_str()).collect();
    assert_eq!(ids, ["lamp", "first"]);
    let groups: Vec<String> = (config.groups.iter())
        .map(|group| format!("{} {} {} {:?}", group.id, group.name, group.room, group.members))
        .collect();
    assert_eq!(groups, ["socket socket Salon [\"lamp\"]", "second second  [\"first\"]"]);
    assert!(
        said.contains(
            "homekit.yml:2: changed: accessory `socket`: output 0 of 0020044774 is already `lamp`, and an output has \
             one accessory: it is a group of that one"
        ),
        "{said}"
    );
}

#[test]
fn names_rooms_and_kinds_come_along() {
    let homekit = "\
homekit:
  ip: 192.168.1.5
  port: 51830
  pincode: 111-22-333
bridge:
  name: Maison
  rooms:
    - name: Salle à manger
      accessories: [lampe_été, yes, nobody]
    - name: Salon
      accessories: [lampe_été]
accessories:
  - {name: lampe_été, id: A12R1, serial_number: '0020045056', output_number: 0, description: Été, service: dimminglight}
  - {name: yes, id: A9R1, serial_number: '0020044986', output_number: 0, description: On, service: dimminglight}
  - {name: plug, id: A9R2, serial_number: '0020044986', output_number: 01, description: \"\", service: outlet, hap_accessory: 3}
  - {name: far, id: A9R9, serial_number: '0020044986', output_number: 4, description: Far, service: light}
  - {name: lost, id: A1R1, serial_number: '0099999999', output_number: 0, description: Lost, service: light}
";
    let (config, said) = made(&[("homekit.yml", homekit), ("export.yml", EXPORT)]);
    assert_eq!(config.service.name, "Maison");
    let door = config.homekit.unwrap();
    assert_eq!(
        (door.listen.to_string(), door.pin),
        ("192.168.1.5:51830".into(), None),
        "the code is a secret"
    );
    let lamps: Vec<_> = config
        .accessories
        .iter()
        .map(|lamp| (lamp.id.as_str(), lamp.name.as_str(), lamp.room.as_str(), lamp.kind))
        .collect();
    assert_eq!(
        lamps,
        [
            ("lampe_ete", "Été", "Salle à manger", AccessoryKind::Dimmer),
            ("yes", "On", "Salle à manger", AccessoryKind::Light),
            ("plug", "XP24 9 output 1", "", AccessoryKind::Outlet),
        ]
    );
    for part in [
        "homekit.yml:9: left out: room `Salle à manger`: there is no accessory `nobody`",
        "homekit.yml:11: left out: `lampe_été` is already in room `Salle à manger`",
        "homekit.yml:4: left out: `pincode`: a secret",
        "the XP24 0020044986 has no output `4`",
        "its module 0099999999 is in none of the files",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn the_setup_code_comes_along_only_when_asked_and_only_a_good_one() {
    let with = |pin: &str| {
        let file = ("h.yml".to_owned(), format!("homekit:\n  pincode: {pin}\n").into_bytes());
        let text = convert(&[file], true).unwrap().text;
        config::parse("", &text, Path::new(""))
            .unwrap()
            .homekit
            .unwrap()
            .pin
            .map(|pin| pin.reveal().to_owned())
    };
    assert_eq!(with("314-15-926"), Some("314-15-926".into()));
    assert_eq!(with("123-45-678"), None);
}

#[test]
fn the_oldest_shapes_are_read_too() {
    let conson = "modules:\n  - name: A4\n    serial_number: \"0012345004\"\n    module_type: XP24\n    \
                  module_type_code: 07\n    link_number: 08\n  - name: A14\n    module_type: XP11\n";
    let homekit = "accessories:\n  - {name: lamp, id: A4R1, module: \"0012345004\", output: 01, description: Lamp, \
                   service: lightbulb}\n";
    let (config, said) = made(&[("conson.yml", conson), ("homekit.yml", homekit)]);
    assert_eq!((config.modules[0].link, config.accessories[0].point.output.get()), (8, 0));
    assert!(said.contains("homekit.yml:2: changed: `output` counts from 1: it is output 0"), "{said}");

    let server =
        "devices:\n  \"1013010000\": XP130\n  \"1302410003\": XP24\n  \"1302410004\": XP24\n  \"1\": XP99\n";
    let (config, said) = made(&[("server.yml", server)]);
    let links: Vec<u8> = config.modules.iter().map(|module| module.link).collect();
    assert_eq!(links, [1, 1, 2], "free links of their type");
    assert!(
        said.contains("server.yml:4: guessed: module 1302410004: no link number is told; link 2"),
        "{said}"
    );
}

#[test]
fn two_modules_of_a_type_with_one_link_do_not_stop_the_import() {
    let text = "- {serial_number: '0012345001', module_type: XP24, module_type_code: 7, link_number: 3}\n\
                - {serial_number: '0012345002', module_type: XP24, module_type_code: 7, link_number: 3}\n\
                - {serial_number: '0012345003', module_type: XP24, module_type_code: 7, link_number: 1}\n\
                - {serial_number: '0012345001', module_type: XP33, module_type_code: 11, link_number: 4}\n";
    let (config, said) = made(&[("conson.yml", text)]);
    let links: Vec<u8> = config.modules.iter().map(|module| module.link).collect();
    assert_eq!(links, [3, 2, 1]);
    assert!(said.contains("conson.yml:2: guessed: module 0012345002: another XP24 has link 3 too"), "{said}");
    assert!(said.contains("is a XP24 above and a XP33 here: the first counts"), "{said}");
}

#[test]
fn the_bridge_is_where_cli_yml_says_or_the_modules_or_nobody() {
    let bridges = "- {serial_number: '0012345001', module_type: XP130, module_type_code: 13, link_number: 12, \
                   conbus_ip: 10.0.0.1, conbus_port: 10001}\n\
                   - {serial_number: '0012345011', module_type: XP130, module_type_code: 34, link_number: 11, \
                   conbus_ip: 10.0.0.2}\n";
    let address = |files: &[(&str, &str)]| made(files).0.gateways[0].address.to_string();
    let cli =
        ("cli.yml", "conbus:\n  ip: 192.168.1.17\n  ip_local: 1.2.3.4\n  port: 010001\n  timeout: 10\n");
    assert_eq!(address(&[cli, ("conson.yml", bridges)]), "192.168.1.17:10001");
    assert_eq!(address(&[("conson.yml", bridges)]), "10.0.0.2:10001", "the XP230");
    assert_eq!(address(&[("h.yml", "conson:\n  ip: 10.0.0.3\n  port: 1\nhomekit: {}\n")]), "10.0.0.3:1");
    assert_eq!(address(&[("cli.yml", "conbus:\n  ip: 'fe80::1'\n")]), "[fe80::1]:10001");
    assert_eq!(address(&[("cli.yml", "conbus:\n  ip: 'not a host!'\n")]), "emulator");
    assert_eq!(address(&[("cli.yml", "conbus:\n")]), "emulator");
}

#[test]
fn a_file_that_is_none_of_these_is_told() {
    assert!(fault("a: 1\n").contains("is no file of conson-xp"));
    assert!(fault("hello\n").contains("is no file of conson-xp"));
    assert_eq!(
        fault("conbus:\n  ip: 1\n  ip: 2\n"),
        "a.yml:3: the key `ip` stands twice, first on line 2; delete one"
    );
    let bytes = b"conbus:\n  ip: \xe9\n".to_vec();
    let error = convert(&[("b.yml".into(), bytes)], false).unwrap_err().to_string();
    assert_eq!(error, "b.yml:2: this is not UTF-8 text; save the file as UTF-8");
    let (_, said) = made(&[("logger.yml", "log:\n  path: log\n"), ("empty.yml", "# nothing\n")]);
    assert!(
        said.contains("logger.yml:1: left out: `log`")
            && said.contains("empty.yml: left out: the file is empty")
    );
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Values that a file might hold at any place.
    fn word() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            "[0-9]{1,11}".prop_map(String::from),
            "00123450[0-9]{2}",
            "'[a-zA-Z0-9é ]{0,70}'",
            "E[0-9]{2}L[0-9]{2}I[0-9]{2}",
            prop_oneof![
                Just("XP24"),
                Just("XP33LED"),
                Just("XP230"),
                Just("OFF"),
                Just("~"),
                Just("[1]"),
                Just("{}")
            ]
            .prop_map(String::from),
        ]
    }

    fn row(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec(word(), keys.len()).prop_map(move |words| {
            let entries: Vec<String> =
                keys.iter().zip(words).map(|(key, word)| format!("{key}: {word}")).collect();
            format!("  - {}\n", entries.join("\n    "))
        })
    }

    const MODULE: &[&str] = &[
        "name",
        "serial_number",
        "module_type",
        "module_type_code",
        "link_number",
        "conbus_ip",
        "action_table",
    ];
    const LAMP: &[&str] =
        &["name", "serial_number", "output_number", "description", "service", "on_action", "off_action"];

    proptest! {
        #[test]
        fn whatever_stands_there_the_config_is_accepted(
            modules in prop::collection::vec(row(MODULE), 0..6),
            lamps in prop::collection::vec(row(LAMP), 0..6),
        ) {
            let modules = format!("modules:\n{}", modules.concat());
            let lamps = format!("accessories:\n{}", lamps.concat());
            let imported = import(&[("m.yml", &modules), ("h.yml", &lamps)]);
            prop_assert!(imported.is_ok(), "{}", imported.unwrap_err());
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = convert(&[("x".into(), bytes)], true);
        }

        #[test]
        fn no_yaml_brings_it_down(text in "[-:a-z0-9 \\n\\[\\]{}&*!|>'\"#,?%@]{0,200}") {
            let _ = import(&[("x", &text)]);
        }
    }
}
