//! Names, passwords and certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::broker::{ACCESSORIES, Broker, House};
use crate::programs::{Program, config, eventually, free_port, write_config};

const HALL: &str = "conbus/home/0012345002/output/0";

/// The password of this test, as `mosquitto_passwd` writes it.
const HASHED: &str = "conbusd:$7$101$ksJwisUTDhynsCUv$dSWiJh2zfKzwa88FvmDTKyqYf/zoeV9L7RWrytPrZDAbZGWp/3UzLyTbNu9J08GM/\
    9ZnsSxe7T/yrxldD0Wqzg==\n";

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success(), "openssl {arguments}");
}

/// An authority with certificates of a broker and of a client.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder.path(), &format!("{new} -x509 -days 2 -keyout ca.key -out ca.pem -subj /CN=authority"));
    fs::write(folder.path().join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for name in ["broker", "client"] {
        openssl(folder.path(), &format!("{new} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let sign = "x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names";
        openssl(folder.path(), &format!("{sign} -in {name}.csr -out {name}.pem"));
    }
    // mosquitto gives up its rights before it reads them.
    for name in ["broker.key", "broker.pem", "ca.pem"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn an_encrypted_broker_knows_the_daemon_by_its_certificate() {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: openssl is not installed");
        return;
    }
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let lines = format!(
        "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        path("ca.pem"),
        path("broker.pem"),
        path("broker.key")
    );
    let Some(mut broker) = Broker::start_with(|_| lines.clone()) else { return };
    broker.clients =
        ["--cafile", &path("ca.pem"), "--cert", &path("client.pem"), "--key", &path("client.key")]
            .map(str::to_owned)
            .to_vec();
    let url = format!("[mqtt]\nurl = \"mqtts://127.0.0.1:{}\"\ninstance = \"test\"\n", broker.port);
    let known = format!(
        "{url}ca_file = \"{}\"\nclient_cert = \"{}\"\nclient_key = \"{}\"\n",
        path("ca.pem"),
        path("client.pem"),
        path("client.key")
    );
    let mut house = House::start_with("home", &known, ACCESSORIES);
    let mut ear = broker.ear();
    ear.hears(HALL, r#"{"state":"OFF"}"#);
    broker.publish(&format!("{HALL}/set"), "ON");
    ear.hears(HALL, r#"{"state":"ON"}"#);
    // Without the authority nobody vouches for the broker.
    house.restart(&url, ACCESSORIES);
    let why = house.daemon.says("cannot connect broker=");
    assert!(why.contains("ertificate"), "{why}");
    eventually("it stays away", || house.mqtt()["connected"] == false);
}

#[test]
fn a_wrong_password_is_told_clearly_and_never_shown_and_a_right_one_is_let_in() {
    let Some(mut broker) = Broker::start_with(|folder| {
        let file = folder.join("names");
        fs::write(&file, HASHED).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        format!("allow_anonymous false\npassword_file {}\n", file.display())
    }) else {
        return;
    };
    broker.clients = ["-u", "conbusd", "-P", "hush-hush"].map(str::to_owned).to_vec();
    let folder = tempfile::tempdir().unwrap();
    let (wrong, right) = (folder.path().join("wrong"), folder.path().join("right"));
    private(&wrong, "not-this-one\n");
    private(&right, "hush-hush\n");
    let section = |file: &Path| {
        let url = format!("mqtt://127.0.0.1:{}", broker.port);
        format!(
            "[mqtt]\nurl = \"{url}\"\ninstance = \"test\"\nuser = \"conbusd\"\npassword_file = \"{}\"\n",
            file.display()
        )
    };
    let mut house = House::start_with("home", &section(&wrong), ACCESSORIES);
    let why = house.daemon.says("cannot connect broker=");
    assert!(why.contains("refuses the name or the password"), "{why}");
    house.restart(&section(&right), ACCESSORIES);
    house.daemon.says("connected broker=");
    let log = house.daemon.log.join("\n");
    assert!(!log.contains("hush") && !log.contains("not-this-one"), "{log}");
    let mut ear = broker.ear();
    ear.hears(HALL, r#"{"state":"OFF"}"#);
}

#[test]
fn a_password_that_others_can_read_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    private(&file, "hush-hush");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let text = config(&format!("127.0.0.1:{}", free_port()), free_port());
    let section = "[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\nuser = \"me\"\npassword_file = \"password\"\n";
    write_config(folder.path(), &format!("{section}{text}"));
    let mut daemon = Program::start(&["run"], folder.path());
    let why = daemon.says("cannot use the file");
    assert!(why.contains("chmod 600"), "{why}");
    assert_eq!(daemon.end().code(), Some(1));
}
