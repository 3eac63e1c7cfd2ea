//! The traps of YAML and of the files of `conson-xp`, together as a house has them (protocol reference 9).

use super::*;

/// Snapshots of a day, values that YAML 1.1 takes for something else, and a module-specific table as a text.
const TRAPS: &str = "\
root:
- name: A18
  serial_number: 0012345011
  module_type: XP24
  module_type_code: 07
  link_number: 011
  module_number: 0011
  enabled: false
  module_error_code: 00
  module_state: OFF
  temperature: -20,0\u{a7}C
  msaction_table_xp24: T:0 T:0 T:0 T:0 | M12:0 M34:0 C12:0 C34:0 DT:12
- name: on
  serial_number: '0012345012'
  module_type: XP24
  link_number: '07'
  enabled: no
  module_error_code: 00
";

#[test]
fn what_yaml_takes_for_something_else_is_read_as_it_was_typed_and_told_line_by_line() {
    let (config, said) = made(&[("conson.yml", TRAPS)]);
    let modules: Vec<String> = config
        .modules
        .iter()
        .map(|module| format!("{} {} {}", module.serial, module.module_type, module.link))
        .collect();
    assert_eq!(modules, ["0012345011 XP24 11", "0012345012 XP24 7"], "{said}");
    let lines = [
        " guessed: no file says where the bridge is: `address = \"emulator\"` runs the house emulated until you write it",
        "3: changed: `0012345011` is read as these digits, not as the octal 2738697",
        "5: changed: `07` is read as 7",
        "6: changed: `011` is read as 11, not as the octal 9",
        "7: left out: `module_number`: the daemon asks the module",
        "8: left out: `enabled`: only the emulator of conson-xp, or nothing, used it",
        "9: left out: `module_error_code`: a snapshot of that day: the daemon asks the module",
        "10: left out: `module_state`: a snapshot of that day: the daemon asks the module",
        "11: left out: `temperature`: the daemon asks the module",
        "12: left out: `msaction_table_xp24`: the module has it, the daemon does not need it",
        "17: left out: `enabled`: only the emulator of conson-xp, or nothing, used it",
        "18: left out: `module_error_code`: a snapshot of that day: the daemon asks the module",
    ];
    let about: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("conson.yml:")).collect();
    assert_eq!(about, lines, "each thing once, with its own line");
}

#[test]
fn a_table_ends_with_its_96th_entry() {
    let entries = "  - CP20 4 0 > 1 ON;\n".repeat(97);
    let text = format!(
        "- name: A4\n  serial_number: '0012345004'\n  module_type: XP24\n  link_number: 4\n  action_table:\n{entries}"
    );
    let (config, said) = made(&[("export.yml", &text)]);
    assert_eq!(config.modules[0].action_table.as_ref().map(Vec::len), Some(96));
    assert!(said.contains("export.yml:102: left out: this entry and what follows"), "{said}");
}

#[test]
fn files_for_its_terminal_and_its_reverse_proxy_are_known() {
    let protocol = "protocol:\n  '1':\n    name: Blink On\n    telegrams:\n      - S0012345008F01D01\n";
    let proxy = "conbus:\n  ip: 192.168.1.17\n  port: 10001\n  timeout: 10\n  queue_delay_max: 40\n";
    let (config, said) = made(&[("protocol.yml", protocol), ("rp.yml", proxy)]);
    assert_eq!(config.gateways[0].address.to_string(), "192.168.1.17:10001");
    for line in [
        "protocol.yml:1: left out: `protocol`: telegrams for its terminal program: `conbusd decode` explains them",
        "rp.yml:4: left out: `timeout`: the daemon has its own pace",
        "rp.yml:5: left out: `queue_delay_max`: the daemon has its own pace",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}
