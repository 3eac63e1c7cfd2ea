//! How the daemon grows with its house: from ten modules to ten thousand.

use std::time::Duration;

use crate::figures::{Bar, Section, number};
use crate::houses::{OUTPUTS, Size};
use crate::plot::{Line, growth};
use crate::programs::{Client, Daemon, clock, cpu_nanoseconds, resident_kib, wake_ups};

const SIZES: [Size; 6] = [
    Size { modules: 10, gateways: 1 },
    Size { modules: 100, gateways: 1 },
    Size { modules: 100, gateways: 10 },
    Size { modules: 1_000, gateways: 10 },
    Size { modules: 1_000, gateways: 100 },
    Size { modules: 10_000, gateways: 100 },
];

/// Requests of a measurement.
const READS: u32 = 3_000;

/// Reports of a measurement.
const REPORTS: u32 = 5_000;

/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(8);

/// Growth faster than this power of the number of modules is faster than linear, with room for measuring errors.
const LINEAR: f64 = 1.1;

struct Grown {
    size: Size,
    start: f64,
    resident_kib: f64,
    idle_cores: f64,
    wakes: f64,
    report: f64,
    hit: f64,
    list: f64,
}

fn known(client: &mut Client) -> u64 {
    client.json("/api/status")["cache"]["entries"].as_u64().unwrap_or(0)
}

fn measure(size: Size) -> Grown {
    let (mut houses, ports) = size.start("zero");
    let daemon = Daemon::start(&size.config(&ports));
    let mut client = daemon.listening();
    let outputs = (size.modules * usize::from(OUTPUTS)) as u64;
    let give_up = clock() + Duration::from_secs(300);
    while known(&mut client) < outputs {
        assert!(clock() < give_up, "{} of {outputs} outputs are known", known(&mut client));
        std::thread::sleep(Duration::from_millis(20));
    }
    let start = daemon.begun.elapsed().as_secs_f64();
    // What the identity reads and the first snapshot cost is not idleness.
    quiet(&daemon);
    let resident = resident_kib(daemon.id()) as f64;
    let (before, woken) = (cpu_nanoseconds(daemon.id()), wake_ups(daemon.id()));
    std::thread::sleep(IDLE);
    let idle = (cpu_nanoseconds(daemon.id()) - before) as f64 / IDLE.as_nanos() as f64;
    let wakes = (wake_ups(daemon.id()) - woken) as f64 / IDLE.as_secs_f64();
    let cost = |count: u32, work: &mut dyn FnMut()| {
        let before = cpu_nanoseconds(daemon.id());
        work();
        (cpu_nanoseconds(daemon.id()) - before) as f64 / f64::from(count) / 1000.0
    };
    let hit = cost(READS, &mut || {
        for read in 0..READS as usize {
            client.get(&format!("/api/accessories/m{}o{}", read * 7 % size.modules, read % 4));
        }
    });
    let report = cost(REPORTS, &mut || {
        houses.ask(&format!("reports {REPORTS}"));
        std::thread::sleep(Duration::from_millis(300));
    });
    let lists = 10;
    let list = cost(lists, &mut || {
        for _ in 0..lists {
            client.get("/api/accessories");
        }
    });
    Grown { size, start, resident_kib: resident, idle_cores: idle, wakes, report, hit, list }
}

/// Waits until the daemon has nothing left to do of its start.
fn quiet(daemon: &Daemon) {
    let mut last = cpu_nanoseconds(daemon.id());
    for _ in 0..60 {
        std::thread::sleep(Duration::from_secs(1));
        let now = cpu_nanoseconds(daemon.id());
        if now - last < 10_000_000 {
            return;
        }
        last = now;
    }
}

/// The power of the number of modules with which this grows, between two sizes.
fn power(small: &Grown, large: &Grown, of: impl Fn(&Grown) -> f64) -> f64 {
    (of(large) / of(small)).ln() / (large.size.modules as f64 / small.size.modules as f64).ln()
}

pub(crate) fn section() -> Section {
    let grown: Vec<Grown> = SIZES.into_iter().map(measure).collect();
    let mut section = Section::new("5. Scale");
    section.say(
        "XP24 modules of four outputs, an accessory each, behind emulated gateways without delays in one other \
         program; the daemon paces itself as on a real bus. CPU time is the scheduler's, of all threads.",
    );
    let rows: Vec<Vec<String>> = grown
        .iter()
        .map(|one| {
            let per_module = (one.resident_kib - grown[0].resident_kib) / one.size.modules as f64;
            vec![
                number(one.size.modules as f64),
                number(one.size.gateways as f64),
                number(one.start),
                number(one.resident_kib / 1024.0),
                number(per_module),
                number(one.idle_cores * 100.0),
                number(one.wakes),
                number(one.report),
                number(one.hit),
                number(one.list / 1000.0),
            ]
        })
        .collect();
    section.table(
        &[
            "modules",
            "gateways",
            "start to all known s",
            "RSS MiB",
            "KiB a module above the smallest",
            "idle CPU %",
            "wake-ups/s",
            "CPU µs a report",
            "CPU µs a GET",
            "CPU ms a list",
        ],
        &rows,
    );
    judge(&mut section, &grown);
    section
}

fn judge(section: &mut Section, grown: &[Grown]) {
    let (middle, large) = (&grown[3], &grown[5]);
    let per_module = (large.resident_kib - grown[0].resident_kib) / large.size.modules as f64;
    let goal = Bar::AtMost(1.0);
    let memory = section.judge("KiB of memory a module of four outputs", goal, per_module);
    let mut rows = vec![vec!["memory a module, KiB".to_owned(), number(per_module), memory]];
    let mut power_of = |what: &str, of: &dyn Fn(&Grown) -> f64, most: f64| {
        let power = power(middle, large, of);
        let verdict = section.judge(&format!("growth of {what}"), Bar::AtMost(most), power);
        rows.push(vec![format!("growth of {what}, power of the modules"), number(power), verdict]);
    };
    power_of("memory", &|one| one.resident_kib, LINEAR);
    power_of("the list", &|one| one.list, LINEAR);
    power_of("a report", &|one| one.report, 0.15);
    power_of("a GET", &|one| one.hit, 0.15);
    section.table(&["from 1,000 to 10,000 modules", "measured", "bar"], &rows);
    let line = |name: &str, of: &dyn Fn(&Grown) -> f64| Line {
        name: name.to_owned(),
        points: grown.iter().map(|one| (one.size.modules as f64, of(one).max(0.001))).collect(),
    };
    let plot = growth(
        "What grows with the house",
        "modules",
        "MiB, ms",
        &[
            line("memory, MiB", &|one| one.resident_kib / 1024.0),
            line("a list of all accessories, ms of CPU", &|one| one.list / 1000.0),
        ],
    );
    section.plot("scale-grows", "memory and the list against the number of modules", plot);
    let plot = growth(
        "What should not",
        "modules",
        "µs of CPU",
        &[
            line("a GET of one accessory", &|one| one.hit),
            line("a report, from the wire to the doors", &|one| one.report),
        ],
    );
    section.plot("scale-flat", "a hit and a report against the number of modules", plot);
}
