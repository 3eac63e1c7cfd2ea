//! Bridges side by side, brought up and paired by the script that the peers' own controller needs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::hap::{Pairing, Session};

/// A lamp of a bridge: its accessory, and the characteristics of being on and of brightness.
#[derive(Clone, Copy)]
pub(crate) struct Lamp {
    pub(crate) aid: u64,
    pub(crate) on: u64,
    pub(crate) brightness: Option<u64>,
}

/// A bridge that is there.
pub(crate) struct Bridge {
    pub(crate) name: String,
    /// Its process.
    pub(crate) id: u32,
    /// Where the house behind it takes orders.
    pub(crate) control: u16,
    at: SocketAddr,
    pairing: Pairing,
    pub(crate) lamps: Vec<Lamp>,
}

impl Bridge {
    fn read(said: &Value) -> Option<Self> {
        let port = |name: &str| u16::try_from(said["ports"][name].as_u64()?).ok();
        let lamp = |lamp: &Value| {
            let (aid, on) = (lamp["aid"].as_u64()?, lamp["on"].as_u64()?);
            Some(Lamp { aid, on, brightness: lamp["brightness"].as_u64() })
        };
        Some(Self {
            name: said["name"].as_str()?.to_owned(),
            id: u32::try_from(said["pid"].as_u64()?).ok()?,
            control: port("control")?,
            at: SocketAddr::from((said["host"].as_str()?.parse::<IpAddr>().ok()?, port("homekit")?)),
            pairing: Pairing::read(&said["pairing"])?,
            lamps: said["lamps"].as_array()?.iter().map(lamp).collect::<Option<_>>()?,
        })
    }

    pub(crate) fn session(&self) -> Result<Session, String> {
        Session::open(self.at, &self.pairing)
    }

    /// The question for so many characteristics: first whether each lamp is on, then how bright it is.
    pub(crate) fn question(&self, characteristics: usize) -> String {
        let ons = self.lamps.iter().map(|lamp| (lamp.aid, lamp.on));
        let levels = self.lamps.iter().filter_map(|lamp| Some((lamp.aid, lamp.brightness?)));
        let ids: Vec<String> =
            ons.chain(levels).take(characteristics).map(|(aid, iid)| format!("{aid}.{iid}")).collect();
        format!("/characteristics?id={}", ids.join(","))
    }
}

/// Orders for the house behind a bridge.
pub(crate) struct Control(BufReader<TcpStream>);

impl Control {
    pub(crate) fn of(bridge: &Bridge) -> Result<Self, String> {
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, bridge.control)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn order(&mut self, order: &Value) -> Result<Value, String> {
        let mut line = String::new();
        writeln!(self.0.get_mut(), "{order}")
            .and_then(|()| self.0.read_line(&mut line))
            .map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| error.to_string())
    }
}

/// Bridges that run for as long as this is kept.
pub(crate) struct Bridges {
    script: Child,
    pub(crate) there: Vec<Bridge>,
    /// A word on each that is not.
    pub(crate) missing: Vec<String>,
}

/// Where a bridge dials and where its gateway listens.
pub(crate) type Ports = (u16, u16);

impl Bridges {
    /// Brings up these on a house of the script; the reason when nothing can be brought up at all.
    pub(crate) fn start(house: &str, wanted: &[(&str, Ports)]) -> Result<Self, String> {
        let python = std::env::var("CONBUSD_HOMEKIT_PYTHON")
            .map_err(|_| "`benches/run` installs the controller and the peers".to_owned())?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/bridges.py");
        let bridges: BTreeMap<&str, Value> = wanted
            .iter()
            .map(|&(name, (bus, gateway))| (name, json!({"bus": bus, "gateway": gateway})))
            .collect();
        let plan = json!({"house": house, "bridges": bridges}).to_string();
        let mut script = Command::new(python)
            .args([script, env!("CARGO_BIN_EXE_conbusd"), &plan])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the script does not start: {error}"))?;
        let mut line = String::new();
        let said = script.stdout.take().map(BufReader::new);
        let _ = said.ok_or("nothing is heard of the script")?.read_line(&mut line);
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let listed = |what: &str| said[what].as_array().cloned().unwrap_or_default();
        let mut there: Vec<Bridge> = listed("bridges").iter().filter_map(Bridge::read).collect();
        there.sort_by_key(|bridge| wanted.iter().position(|(name, _)| bridge.name == *name));
        let word = |one: &Value| {
            format!("{}: {}", one["name"].as_str().unwrap_or("?"), one["why"].as_str().unwrap_or("?"))
        };
        let missing = listed("missing").iter().map(word).collect();
        let bridges = Self { script, there, missing };
        if bridges.there.is_empty() {
            return Err(format!("no bridge could be had. {}", bridges.missing.join("; ")));
        }
        Ok(bridges)
    }
}

impl Drop for Bridges {
    fn drop(&mut self) {
        // The script ends everything when nobody speaks to it any more.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
