//! Keys, types and syntax.

use super::{HOUSE, bad, mistake, mistakes};

#[test]
fn unknown_keys_are_told_with_what_was_meant() {
    mistake("[cache]\ntll = \"30s\"", 2, 1, &["unknown key `tll` in [cache]", "did you mean `ttl`?"]);
    mistake("[poller]\nttl = \"30s\"", 2, 1, &["unknown key `ttl` in [poller]", "belongs in [cache]"]);
    mistake("[cache]\nserial = 1", 2, 1, &["belongs in [[module]]"]);
    mistake("[cache]\ncolour = 1", 2, 1, &["`enabled`, `ttl`, `max_entries`"]);
    mistake("ttl = \"30s\"", 1, 1, &["unknown key `ttl` before the first section", "belongs in [cache]"]);
    mistake("[cache.deep]\nx = 1", 1, 8, &["unknown key `deep` in [cache]"]);
    mistakes(
        "[[module]]\nlnik = 4",
        &[
            (1, 1, &["lacks `serial`"]),
            (1, 1, &["lacks `type`"]),
            (1, 1, &["modules without a gateway"]),
            (2, 1, &["did you mean `link`?"]),
        ],
    );
}

#[test]
fn unknown_sections_are_told_with_what_was_meant() {
    mistake("[chache]\nttl = 3", 1, 2, &["unknown section `chache`", "did you mean `cache`?"]);
    mistake("[[acessory]]\n", 1, 3, &["unknown section `acessory`", "did you mean `accessory`?"]);
    mistake("[lights]\n", 1, 2, &["unknown section `lights`", "`gateway`", "`mux`"]);
}

#[test]
fn several_unknown_keys_are_told_at_once() {
    mistakes(
        "[cache]\nb = 1\na = 2\n[poller]\nc = 3\n[zebra]\n",
        &[(2, 1, &["`b`"]), (3, 1, &["`a`"]), (5, 1, &["`c`"]), (6, 2, &["`zebra`"])],
    );
}

#[test]
fn sections_are_sections_and_lists_are_lists() {
    mistake(
        "[gateway]\nid = \"home\"\naddress = \"emulator\"",
        1,
        1,
        &["[[gateway]] is a list", "`[[gateway]]`"],
    );
    mistake("[[cache]]\n", 1, 1, &["[cache] stands once", "`[cache]`"]);
    mistake("cache = 3", 1, 9, &["[cache] must be a section, not a number"]);
    mistake("gateway = \"home\"", 1, 11, &["[[gateway]] must be a list of sections, not a text"]);
    mistakes("gateway = [1, \"b\"]", &[(1, 12, &["must be a section"]), (1, 15, &["must be a section"])]);
}

#[test]
fn inline_and_dotted_forms_are_the_same() {
    mistake("cache = { ttl = \"0s\" }", 1, 17, &["out of range"]);
    mistake("cache.ttl = \"0s\"", 1, 13, &["out of range"]);
    mistake("gateway = [{ id = \"a b\", address = \"emulator\" }]", 1, 19, &["not an id"]);
}

#[test]
fn switches_are_true_or_false() {
    mistake(
        "[cache]\nenabled = \"true\"",
        2,
        11,
        &["must be `true` or `false`, not a text", "without quotes: `true`"],
    );
    mistake("[cache]\nenabled = 1", 2, 11, &["must be `true` or `false`, not a number"]);
    mistake("[cache]\nenabled = yes", 2, 11, &["write `true`"]);
    mistake("[cache]\nenabled = False", 2, 11, &["write `false`"]);
}

#[test]
fn names_are_text() {
    mistake("[service]\nname = 3", 2, 8, &["must be a name in quotes, not a number", "`\"3\"`"]);
    mistake("[service]\nname = true", 2, 8, &["must be a name in quotes, not true or false"]);
    mistake("[service]\nname = Home", 2, 8, &["text is written in quotes", "`\"Home\"`"]);
    mistake("[service]\nname = “Home”", 2, 8, &["text is written in quotes", "write `\"Home\"`"]);
    mistake("[service]\nname = \"Home", 2, 13, &["the text is not closed"]);
    mistake("[service]\nstate_dir = \"C:\\state\"", 2, 17, &["begins an escape"]);
}

#[test]
fn mistakes_of_syntax_are_told_at_once_with_the_others() {
    mistakes(
        "[service]\nname = Home\n[cache]\nttl = 30s\ntll = 1\nmax_entries = 0\n[poller]\nbus_share = 0,4\ninterval =\n",
        &[
            (2, 8, &["`\"Home\"`"]),
            (4, 7, &["`\"30s\"`"]),
            (5, 1, &["unknown key `tll`"]),
            (6, 15, &["out of range"]),
            (8, 13, &["`0,4` is not a number", "`0.4`"]),
            (9, 11, &["`interval` has no value"]),
        ],
    );
}

#[test]
fn nothing_is_said_to_be_missing_where_a_line_was_not_understood() {
    mistake(&HOUSE.replacen("type = \"XP24\"", "type \"XP24\"", 1), 6, 6, &["no `=`"]);
    mistake(&HOUSE.replacen("link = 4", "link == 4", 1), 7, 7, &[]);
    mistake(&HOUSE.replacen("type = \"XP24\"", "type = XP24", 1), 6, 8, &["`\"XP24\"`"]);
}

#[test]
fn a_broken_header_blames_no_key_after_it() {
    mistake("[cache]\nttl = \"5s\"\n[poller\ninterval = \"2s\"\n", 3, 8, &["header is not closed"]);
    mistake("[cache]\nttl = \"5s\"\npoller]\ninterval = \"2s\"\n", 3, 7, &[]);
}

#[test]
fn an_open_list_is_told_once() {
    let report = bad("[poller]\nx = [1, 2\n[cache]\nttl = \"5s\"\n[mux]\naccess = \"full\"\n");
    assert_eq!(report.mistakes().len(), 1, "{report}");
    assert!(report.mistakes()[0].message().contains("not closed"), "{report}");
}

#[test]
fn what_is_written_twice_is_told() {
    mistake("[cache]\nttl = \"5s\"\nttl = \"6s\"\n", 3, 1, &["`ttl` is written twice"]);
    mistakes(
        "[cache]\nttl = \"5s\"\n[cache]\ntll = \"6s\"\n",
        &[(3, 2, &["`cache` is written twice"]), (4, 1, &["unknown key `tll`"])],
    );
}

#[test]
fn line_ends_and_byte_order_marks_do_not_move_places() {
    mistake("\u{feff}[cache]\r\n\r\nttl = \"0s\"\r\n", 3, 7, &["out of range"]);
    mistake("\u{feff}x = 1", 1, 1, &["unknown key `x`"]);
}
