//! Many emulated gateways in one other program, and the config of a daemon for them.

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::net::Ipv4Addr;
use std::time::Duration;

use conbusd::conbus::{Datapoint, Function, ModuleType, OutputIndex, Percent, Point, SerialNumber, Telegram};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use tokio::net::TcpListener;

use crate::programs::{Other, clock};

/// The types of modules on a gateway, a hundred of each at most: events name type and link number, and link numbers
/// end at 99. Those of four outputs come first.
const TYPES: [&str; 12] = [
    "XP24", "XP24P", "XP33", "XP33LED", "XP33LR", "XP31UNI", "XP31BCU", "XP31DD", "XP31LR", "XP31CR",
    "XP31BC", "XP31LED",
];

/// Time between two reports that are to be heard one by one: a daemon that lags behind hears many with one look at the
/// socket, and each costs a third.
const REPORTS_APART: Duration = Duration::from_micros(50);

/// Link numbers of a type on a gateway.
const LINKS: usize = 100;

/// Modules, spread over gateways.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) modules: usize,
    pub(crate) gateways: usize,
}

fn serial(module: usize) -> SerialNumber {
    format!("{:010}", 1_000_000 + module).parse().expect("ten digits")
}

/// Of whom a telegram with this serial number speaks.
fn number(serial: SerialNumber) -> usize {
    serial.to_string().parse::<usize>().expect("ten digits") - 1_000_000
}

impl Size {
    /// How many modules fit onto one gateway.
    pub(crate) const ON_A_GATEWAY: usize = TYPES.len() * LINKS;

    /// Which modules are behind this gateway.
    fn behind(self, gateway: usize) -> impl Iterator<Item = usize> {
        (gateway..self.modules).step_by(self.gateways)
    }

    /// The link number of a module: each type on each gateway counts its own.
    fn link(self, module: usize) -> u8 {
        (module / self.gateways % LINKS) as u8
    }

    fn type_of(self, module: usize) -> ModuleType {
        let place = module / self.gateways / LINKS;
        TYPES
            .get(place)
            .expect("no more modules than fit onto a gateway")
            .parse()
            .expect("a type of the registry")
    }

    /// How many outputs a module has.
    pub(crate) fn outputs_of(self, module: usize) -> u8 {
        self.type_of(module).outputs()
    }

    /// Outputs of all modules.
    pub(crate) fn outputs(self) -> usize {
        (0..self.modules).map(|module| usize::from(self.outputs_of(module))).sum()
    }

    /// How many of them have a level.
    pub(crate) fn levels(self) -> usize {
        let dimmers = (0..self.modules).filter(|module| self.type_of(*module).is_dimmable());
        dimmers.map(|module| usize::from(self.outputs_of(module))).sum()
    }

    fn setup(self, module: usize) -> ModuleSetup {
        ModuleSetup::new(serial(module), self.type_of(module), self.link(module))
    }

    /// The config of a daemon; the gateways listen on these ports.
    pub(crate) fn config(self, ports: &[u16]) -> String {
        let mut text = String::new();
        for (gateway, port) in ports.iter().enumerate() {
            let _ = writeln!(text, "[[gateway]]\nid = \"g{gateway}\"\naddress = \"127.0.0.1:{port}\"");
        }
        for module in 0..self.modules {
            let (serial, link, gateway) = (serial(module), self.link(module), module % self.gateways);
            let of_type = self.type_of(module);
            let kind = if of_type.is_dimmable() { "dimmer" } else { "light" };
            let _ = writeln!(
                text,
                "[[module]]\nserial = \"{serial}\"\ntype = \"{of_type}\"\nlink = {link}\ngateway = \"g{gateway}\""
            );
            for output in 0..of_type.outputs() {
                let _ = writeln!(
                    text,
                    "[[accessory]]\nid = \"m{module}o{output}\"\nname = \"Lamp {module} {output}\"\n\
                     room = \"Room {module}\"\nkind = \"{kind}\"\nmodule = \"{serial}\"\noutput = {output}"
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
/// `reports N`: N outputs are turned by hand, each on another module, and report it; `reports N M`: the same on the first
/// M modules, again and again, and one after the other. `lit`: how many outputs are on. `reads`: how often each
/// module was asked for its outputs so far. `storm N`: the first module repeats its reply so often a second, and no
/// read of its error code ends it. `said`: how many telegrams the first gateway has sent. `clock`: its time in
/// microseconds. `commands`: when each command came to the first gateway, by that clock.
pub(crate) async fn serve(modules: &str, gateways: &str, timing: &str) {
    let size = Size { modules: modules.parse().unwrap(), gateways: gateways.parse().unwrap() };
    let timing = if timing == "hardware" { Timing::hardware() } else { Timing::zero() };
    let (mut houses, mut ports) = (Vec::new(), Vec::new());
    for gateway in 0..size.gateways {
        let setups = size.behind(gateway).map(|module| size.setup(module));
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
            Some(("reports", wanted)) => {
                let (count, among) = wanted.split_once(' ').map_or((wanted, None), |(n, m)| (n, Some(m)));
                let pause = among.map_or(Duration::ZERO, |_| REPORTS_APART);
                let modules = among.map_or(size.modules, |among| among.parse().unwrap());
                let turns = Turns { count: count.parse().unwrap(), pause };
                reports(Size { modules, ..size }, &houses, &mut turn, turns).await
            }
            Some(("storm", each)) => {
                let each = each.parse().unwrap();
                houses[0].with(|house, now| house.storm(now, serial(0), each, u32::MAX));
                order
            }
            _ => match order.as_str() {
                "lit" => lit(&houses).to_string(),
                "reads" => reads(size, &houses),
                "said" => houses[0].counters().telegrams_sent.to_string(),
                "clock" => houses[0].with(|_, now| now.as_micros()).to_string(),
                "commands" => commands(&houses[0]),
                other => panic!("no such order: {other:?}"),
            },
        };
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

/// When each command for an output came, in microseconds.
fn commands(house: &Emulator) -> String {
    let came = house.received().into_iter().filter_map(|(at, telegram)| match telegram {
        Telegram::System(system) if system.function == Function::SET_OUTPUT => {
            Some(at.as_micros().to_string())
        }
        _ => None,
    });
    came.collect::<Vec<_>>().join(" ")
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

/// How many outputs are turned, and how long after each the next one.
struct Turns {
    count: usize,
    pause: Duration,
}

/// Turns outputs one after the other, so that no queue grows.
async fn reports(size: Size, houses: &[Emulator], turn: &mut usize, turns: Turns) -> String {
    for _ in 0..turns.count {
        let next = clock() + turns.pause;
        let module = *turn % size.modules;
        let lap = *turn / size.modules;
        let outputs = usize::from(size.outputs_of(module));
        let output = OutputIndex::new((lap / 2 % outputs) as u8).unwrap();
        let (house, point) = (&houses[module % size.gateways], Point { serial: serial(module), output });
        let (is_on, _) = house.output(point).expect("an output of the house");
        house.turn(point, !is_on);
        *turn += 1;
        tokio::task::yield_now().await;
        // Shorter than a timer can be.
        while clock() < next {
            tokio::task::yield_now().await;
        }
    }
    turns.count.to_string()
}

fn lit(houses: &[Emulator]) -> usize {
    let lit = |house: &Emulator| house.with(|house, _| house.outputs());
    houses.iter().flat_map(lit).filter(|(_, level)| *level != Percent::OFF).count()
}

/// Queries for outputs, module by module.
fn reads(size: Size, houses: &[Emulator]) -> String {
    let mut counts = vec![0_u64; size.modules];
    for house in houses {
        for (_, telegram) in house.received() {
            if let Telegram::System(system) = telegram
                && system.reads() == Some(Datapoint::OUTPUTS)
            {
                counts[number(system.serial)] += 1;
            }
        }
    }
    counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}
