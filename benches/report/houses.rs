//! Many emulated gateways in one other program, and the config of a daemon for them.

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::net::Ipv4Addr;

use conbusd::conbus::{ModuleType, OutputIndex, Point, SerialNumber, Telegram};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use tokio::net::TcpListener;

use crate::programs::Other;

/// Outputs of an XP24.
pub(crate) const OUTPUTS: u8 = 4;

/// XP24s, spread over gateways.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) modules: usize,
    pub(crate) gateways: usize,
}

fn serial(module: usize) -> SerialNumber {
    format!("{:010}", 1_000_000 + module).parse().expect("ten digits")
}

impl Size {
    /// Which modules are behind this gateway.
    fn behind(self, gateway: usize) -> impl Iterator<Item = usize> {
        (gateway..self.modules).step_by(self.gateways)
    }

    /// The link number of a module: each gateway counts its own.
    fn link(self, module: usize) -> u8 {
        u8::try_from(module / self.gateways).expect("at most a hundred modules of a type on a bus")
    }

    /// The config of a daemon; the gateways listen on these ports.
    pub(crate) fn config(self, ports: &[u16]) -> String {
        let mut text = String::new();
        for (gateway, port) in ports.iter().enumerate() {
            let _ = writeln!(text, "[[gateway]]\nid = \"g{gateway}\"\naddress = \"127.0.0.1:{port}\"");
        }
        for module in 0..self.modules {
            let (serial, link, gateway) = (serial(module), self.link(module), module % self.gateways);
            let _ = writeln!(
                text,
                "[[module]]\nserial = \"{serial}\"\ntype = \"XP24\"\nlink = {link}\ngateway = \"g{gateway}\""
            );
            for output in 0..OUTPUTS {
                let _ = writeln!(
                    text,
                    "[[accessory]]\nid = \"m{module}o{output}\"\nname = \"Lamp {module} {output}\"\n\
                     room = \"Room {module}\"\nkind = \"light\"\nmodule = \"{serial}\"\noutput = {output}"
                );
            }
        }
        text
    }

    /// Starts the gateways; gives their ports.
    pub(crate) fn start(self, timing: &str) -> (Other, Vec<u16>) {
        let (modules, gateways) = (self.modules.to_string(), self.gateways.to_string());
        let mut other = Other::start(&["houses", &modules, &gateways, timing]);
        let ports = other.line().split(' ').map(|port| port.parse().unwrap()).collect();
        (other, ports)
    }
}

/// The other program: serves the gateways and obeys orders, a line each, answered with a line.
///
/// `reports N`: N outputs are turned by hand, each on another module, and report it. `reads`: how often each
/// module was asked for its outputs so far. `storm N`: the first module repeats its reply so often a second.
/// `clear`: no faults any more. `telegrams`: how many were heard from clients.
pub(crate) async fn serve(modules: &str, gateways: &str, timing: &str) {
    let size = Size { modules: modules.parse().unwrap(), gateways: gateways.parse().unwrap() };
    let timing = if timing == "hardware" { Timing::hardware() } else { Timing::zero() };
    let (mut houses, mut ports) = (Vec::new(), Vec::new());
    for gateway in 0..size.gateways {
        let modules = size.behind(gateway);
        let setups =
            modules.map(|module| ModuleSetup::new(serial(module), ModuleType::XP24, size.link(module)));
        let house = Emulator::new(HouseSetup::new(setups.collect()).with_timing(timing));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        ports.push(listener.local_addr().unwrap().port().to_string());
        let serving = house.clone();
        tokio::task::spawn_local(async move { serving.serve(listener).await });
        houses.push(house);
    }
    println!("{}", ports.join(" "));
    let (told, mut orders) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| told.send(line))
    });
    let mut turn = 0;
    while let Some(order) = orders.recv().await {
        let answer = match order.split_once(' ') {
            Some(("reports", count)) => reports(size, &houses, &mut turn, count.parse().unwrap()).await,
            Some(("storm", each)) => {
                houses[0].storm(serial(0), each.parse().unwrap());
                "storm".to_owned()
            }
            _ if order == "clear" => {
                houses.iter().for_each(Emulator::clear_faults);
                "clear".to_owned()
            }
            _ if order == "reads" => reads(size, &houses),
            _ => houses.iter().map(|house| house.received().len()).sum::<usize>().to_string(),
        };
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

/// The other program: the house of 24 outputs, with the timing of hardware.
pub(crate) async fn serve_24() {
    let text = crate::house::text_of_24("emulator");
    let config = conbusd::config::parse("bench.toml", &text, std::path::Path::new("/")).unwrap();
    let house = Emulator::new(conbusd::app::run::emulated_house(&config, 0));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    house.serve(listener).await;
}

/// Turns outputs one after the other, so that no queue grows.
async fn reports(size: Size, houses: &[Emulator], turn: &mut usize, count: usize) -> String {
    for _ in 0..count {
        let module = *turn % size.modules;
        let lap = *turn / size.modules;
        let output = OutputIndex::new((lap / 2 % usize::from(OUTPUTS)) as u8).unwrap();
        houses[module % size.gateways].turn(Point { serial: serial(module), output }, lap.is_multiple_of(2));
        *turn += 1;
        tokio::task::yield_now().await;
    }
    count.to_string()
}

/// Queries for outputs, module by module.
fn reads(size: Size, houses: &[Emulator]) -> String {
    let mut counts = vec![0; size.modules];
    for house in houses {
        for (_, telegram) in house.received() {
            if let Telegram::System(system) = telegram
                && system.reads().is_some_and(|datapoint| datapoint.code() == *b"12")
            {
                let number: usize = system.serial.to_string().parse().unwrap();
                counts[number - 1_000_000] += 1;
            }
        }
    }
    counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}
