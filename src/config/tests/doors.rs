//! `[http]`, `[homekit]`, `[mqtt]` and `[mux]`.

use std::path::Path;

use super::{bad, good, mistake, mistakes};
use crate::config::Access;

#[test]
fn a_door_is_open_when_its_section_is_there() {
    let closed = good("");
    assert_eq!((closed.http, closed.homekit, closed.mqtt, closed.mux), (None, None, None, None));
    let open = good("[http]\n[homekit]\n[mqtt]\nurl = \"mqtt://broker\"\n[mux]\n");
    assert_eq!(open.http.unwrap().listen.to_string(), "127.0.0.1:8480");
    let homekit = open.homekit.unwrap();
    assert_eq!((homekit.listen.to_string().as_str(), homekit.pin), ("127.0.0.1:51826", None));
    let mqtt = open.mqtt.unwrap();
    assert_eq!(mqtt.broker.to_string(), "mqtt://broker:1883");
    assert_eq!((mqtt.base.as_str(), mqtt.discovery_prefix.as_str()), ("conbus", "homeassistant"));
    let mux = open.mux.unwrap();
    assert_eq!((mux.listen.to_string().as_str(), mux.access), ("127.0.0.1:10101", Access::Full));
}

#[test]
fn beyond_this_machine_http_needs_a_token() {
    for listen in ["0.0.0.0:8480", "192.168.1.2:8480", "[::]:8480", "[::ffff:192.168.1.2]:8480"] {
        let text = format!("[http]\nlisten = \"{listen}\"\n");
        mistake(&text, 2, 10, &["without a token", "token_file"]);
        let http = good(&(text + "token_file = \"http.token\"")).http.unwrap();
        assert_eq!(http.token_file.as_deref(), Some(Path::new("/house/http.token")));
    }
    for listen in ["127.0.0.1:0", "127.1.2.3:8480", "[::1]:8480", "[::ffff:127.0.0.1]:8480"] {
        assert_eq!(good(&format!("[http]\nlisten = \"{listen}\"")).http.unwrap().listen.to_string(), listen);
    }
    mistake("[http]\nlisten = \"0.0.0.0:8480\"\ntoken_file = \"\"", 3, 14, &["path is empty"]);
}

#[test]
fn doors_listen_on_addresses() {
    let at = |listen: &str| format!("[http]\nlisten = {listen}");
    mistake(&at("\"localhost:8480\""), 2, 10, &["not an IP address and a port", "`127.0.0.1:8480`"]);
    mistake(&at("\":8480\""), 2, 10, &["`127.0.0.1:8480`"]);
    mistake(&at("\"*:8480\""), 2, 10, &["`0.0.0.0:8480`"]);
    mistake(&at("\"127.0.0.1\""), 2, 10, &["port is missing"]);
    mistake(&at("\"127.0.0.1:65536\""), 2, 10, &["not an IP address and a port"]);
    mistake(&at("8480"), 2, 10, &["must be an IP address and a port in quotes, not a number"]);
    mistake(&at("127.0.0.1:8480"), 2, 10, &["text is written in quotes", "`\"127.0.0.1:8480\"`"]);
}

#[test]
fn two_doors_cannot_have_one_port() {
    let words = ["[homekit] cannot listen on `127.0.0.1:8480`", "[http]", "(line 2)"];
    mistake("[http]\nlisten = \"127.0.0.1:8480\"\n[homekit]\nlisten = \"127.0.0.1:8480\"", 4, 10, &words);
    // The later of two lines is the one told, in whatever order the sections stand.
    mistake("[mux]\nlisten = \"127.0.0.1:8480\"\n[http]", 3, 1, &["[http] cannot listen", "[mux]"]);
    for (one, other) in [
        ("0.0.0.0:7000", "127.0.0.1:7000"),
        ("127.0.0.1:7000", "[::]:7000"),
        ("[::ffff:127.0.0.1]:7000", "127.0.0.1:7000"),
    ] {
        mistake(
            &format!("[mux]\nallow = [\"::/0\"]\nlisten = \"{one}\"\n[homekit]\nlisten = \"{other}\""),
            5,
            10,
            &["cannot listen"],
        );
    }
    for (one, other) in [
        ("127.0.0.1:7000", "127.0.0.2:7000"),
        ("127.0.0.1:7000", "[::1]:7000"),
        ("[::1]:7000", "0.0.0.0:7000"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        good(&format!("[mux]\nallow = [\"::/0\"]\nlisten = \"{one}\"\n[homekit]\nlisten = \"{other}\""));
    }
}

#[test]
fn the_daemon_does_not_dial_itself() {
    let gateway = |address: &str| {
        format!(
            "[mux]\nallow = [\"0.0.0.0/0\"]\nlisten = \"0.0.0.0:10001\"\n[[gateway]]\nid = \"a\"\naddress = \"{address}\""
        )
    };
    mistake(&gateway("127.0.0.1:10001"), 6, 11, &["own [mux] port"]);
    mistake(&gateway("[::ffff:127.0.0.1]:10001"), 6, 11, &["own [mux] port"]);
    good(&gateway("192.168.1.17:10001"));
    good(&gateway("127.0.0.1:10002"));
}

#[test]
fn setup_codes_are_not_trivial_and_never_shown() {
    assert_eq!(good("[homekit]\npin = \"271-82-818\"").homekit.unwrap().pin.unwrap().reveal(), "271-82-818");
    for pin in ["000-00-000", "999-99-999", "123-45-678", "876-54-321"] {
        mistake(&format!("[homekit]\npin = \"{pin}\""), 2, 7, &["too easy to guess"]);
    }
    for pin in ["\"27182818\"", "\"271-82-81\"", "\"271-82-81x\"", "\"٠71-82-818\"", "27182818", "271-82-818"]
    {
        let text = format!("[homekit]\npin = {pin}");
        let report = bad(&text);
        assert_eq!((report.mistakes()[0].line(), report.mistakes()[0].column()), (2, 7), "{report}");
        assert!(!report.to_string().contains("82") && report.to_string().contains("***"), "{report}");
    }
    let config = good("[homekit]\npin = \"271-82-818\"");
    assert!(!format!("{config:?}").contains("271"));
}

#[test]
fn homekit_is_announced_where_its_owner_says() {
    let homekit = good("[homekit]\ninterface = \"eth0\"\nadvertise = \"192.168.1.5\"").homekit.unwrap();
    assert_eq!((homekit.interface.as_deref(), homekit.advertise), (Some("eth0"), "192.168.1.5".parse().ok()));
    mistake("[homekit]\ninterface = \"eth 0\"", 2, 13, &["not a network interface", "`eth0`"]);
    mistake("[homekit]\nadvertise = \"home.local\"", 2, 13, &["not an IP address"]);
    mistake("[homekit]\nadvertise = \"0.0.0.0\"", 2, 13, &["no phone can reach this address"]);
}

#[test]
fn brokers_are_urls_without_passwords() {
    mistake("[mqtt]\nurl = \"http://broker\"", 2, 7, &["not the url of a broker", "`mqtt://`"]);
    mistake("[mqtt]\nurl = \"broker:1883\"", 2, 7, &["not the url of a broker", "`mqtt://`"]);
    mistake("[mqtt]\nurl = \"mqtt://broker:99999\"", 2, 7, &["not a port"]);
    mistake("[mqtt]\nurl = \"mqtt://\"", 2, 7, &["not an address"]);
    let report = bad("[mqtt]\nurl = \"mqtt://me:hush@broker\"");
    assert!(report.to_string().contains("password_file") && !report.to_string().contains("hush"), "{report}");
    mistake("[mqtt]\n", 1, 1, &["[mqtt] lacks `url`"]);
    mistake("[mqtt]\nurl = \"mqtt://b\"\npassword_file = \"p\"", 3, 17, &["without `user`"]);
    let mqtt = good("[mqtt]\nurl = \"mqtts://b\"\nuser = \"me\"\npassword_file = \"/p\"").mqtt.unwrap();
    assert_eq!((mqtt.broker.tls, mqtt.broker.port), (true, 8883));
    assert_eq!(mqtt.password_file.as_deref(), Some(Path::new("/p")));
}

#[test]
fn certificates_belong_to_an_encrypted_broker_and_come_in_pairs() {
    let at = |rest: &str| format!("[mqtt]\nurl = \"mqtts://b\"\n{rest}");
    let mqtt = good(&at("ca_file = \"ca\"\nclient_cert = \"/c\"\nclient_key = \"k\"")).mqtt.unwrap();
    assert_eq!(mqtt.ca_file.as_deref(), Some(Path::new("/house/ca")));
    assert_eq!(mqtt.client, Some(("/c".into(), "/house/k".into())));
    mistake(&at("ca_file = \"ca\"\nclient_cert = \"c\""), 4, 15, &["without `client_key`"]);
    mistake(&at("client_key = \"k\""), 3, 14, &["without `client_cert`"]);
    mistake(&at("client_cert = \"c\"\nclient_key = \"k\""), 3, 15, &["without `ca_file`"]);
    mistake("[mqtt]\nurl = \"mqtt://b\"\nca_file = \"ca\"", 3, 11, &["not encrypted", "`mqtts://`"]);
}

#[test]
fn daemons_at_one_broker_have_names_and_their_gateways_another_than_bridge() {
    let mqtt = good("[mqtt]\nurl = \"mqtt://b\"\ninstance = \"attic\"\nwill_delay = \"10s\"").mqtt.unwrap();
    assert_eq!((mqtt.instance.as_deref(), mqtt.will_delay.as_secs()), (Some("attic"), 10));
    mistake("[mqtt]\nurl = \"mqtt://b\"\ninstance = \"a/b\"", 3, 12, &["id"]);
    mistake("[mqtt]\nurl = \"mqtt://b\"\nwill_delay = \"1h\"", 3, 14, &["5m"]);
    let gateway = "[[gateway]]\nid = \"bridge\"\naddress = \"emulator\"\n";
    good(gateway);
    mistake(&format!("{gateway}[mqtt]\nurl = \"mqtt://b\""), 2, 6, &["`bridge` cannot be the id"]);
}

#[test]
fn topics_have_no_wildcards() {
    mistakes(
        "[mqtt]\nurl = \"mqtt://b\"\nbase = \"home/#\"\ndiscovery_prefix = \"a//b\"",
        &[(3, 8, &["`home/#` cannot begin topics", "wildcards"]), (4, 20, &["`a//b`", "`/` between"])],
    );
    mistake("[mqtt]\nurl = \"mqtt://b\"\nbase = \"$SYS\"", 3, 8, &["belong to the broker"]);
    mistake("[mqtt]\nurl = \"mqtt://b\"\nbase = \"\"", 3, 8, &["cannot begin topics"]);
}

#[test]
fn access_is_one_of_three_words() {
    for (word, access) in [("full", Access::Full), ("no-write", Access::NoWrite), ("listen", Access::Listen)]
    {
        assert_eq!(good(&format!("[mux]\naccess = \"{word}\"")).mux.unwrap().access, access);
    }
    mistake(
        "[mux]\naccess = \"no_write\"",
        2,
        10,
        &["unknown access `no_write`", "did you mean `no-write`?"],
    );
    mistake("[mux]\naccess = \"read\"", 2, 10, &["unknown access `read`", "`full`, `no-write`, `listen`"]);
}

#[test]
fn a_shared_port_beyond_this_machine_says_who_may_come_in() {
    let open = "[mux]\nlisten = \"0.0.0.0:10101\"";
    mistake(open, 2, 10, &["beyond this machine", "say who may come in", "`allow = [\"192.168.1.0/24\"]`"]);
    let mux = good(&format!("{open}\nallow = [\"192.168.1.0/24\", \"10.0.0.7\", \"fd00::/8\"]")).mux.unwrap();
    let written: Vec<String> =
        mux.allow.iter().map(|network| format!("{}/{}", network.address, network.bits)).collect();
    assert_eq!(written, ["192.168.1.0/24", "10.0.0.7/32", "fd00::/8"]);
    assert_eq!(good("[mux]").mux.unwrap().allow.len(), 2, "loopback, both kinds");
}

#[test]
fn who_may_come_in_is_an_address_or_a_network() {
    let at = |allow: &str| format!("[mux]\nallow = {allow}");
    mistake(&at("[]"), 2, 9, &["nobody may come in"]);
    mistake(&at("\"10.0.0.1\""), 2, 9, &["`allow` is a list", "`[\"192.168.1.0/24\"]`"]);
    mistake(&at("[\"10.0.0.1/24\"]"), 2, 10, &["bits beyond its first 24", "`10.0.0.0/24`, or `10.0.0.1`"]);
    for text in ["10.0.0.0/33", "10.0.0.0/-1", "::/129", "home", "10.0.0.0/", ""] {
        mistake(&at(&format!("[\"{text}\"]")), 2, 10, &["is not an address or a network"]);
    }
    good(&at("[\"0.0.0.0/0\", \"::/0\"]"));
}

#[test]
fn the_shared_port_serves_one_gateway() {
    let two =
        "[[gateway]]\nid = \"a\"\naddress = \"h:1\"\n[[gateway]]\nid = \"b\"\naddress = \"h:2\"\n[mux]\n";
    mistake(two, 7, 1, &["several gateways, and [mux] does not say which one", "one of `a`, `b`"]);
    assert_eq!(good(&format!("{two}gateway = \"b\"")).mux.unwrap().gateway, 1);
    mistake(&format!("{two}gateway = \"c\""), 8, 11, &["unknown gateway `c`"]);
    mistake("[mux]\ngateway = \"c\"", 2, 11, &["unknown gateway `c`"]);
    let mux = good("[mux]\nfirmware = true\nmax_clients = 3\ntelegrams_per_second = 2").mux.unwrap();
    assert_eq!((mux.firmware, mux.max_clients, mux.telegrams_per_second), (true, 3, 2));
    mistake("[mux]\ntelegrams_per_second = 19", 2, 24, &["from `1` to `18`"]);
}
