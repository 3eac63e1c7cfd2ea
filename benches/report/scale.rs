//! How the daemon grows with its house: from ten modules to ten thousand.

use std::time::Duration;

use crate::figures::{Bar, Section, median, number};
use crate::houses::Size;
use crate::plot::{Line, growth};
use crate::programs::{Client, Daemon, Other, clock, cpu_nanoseconds, resident_kib, wake_ups};

const fn size(modules: usize, gateways: usize) -> Size {
    Size { modules, gateways }
}

/// Ten thousand modules on one gateway cannot be: [`Size::ON_A_GATEWAY`].
const SIZES: [Size; 10] = [
    size(10, 1),
    size(10, 10),
    size(100, 1),
    size(100, 10),
    size(100, 100),
    size(1_000, 1),
    size(1_000, 10),
    size(1_000, 100),
    size(10_000, 10),
    size(10_000, 100),
];

/// Where fairness is watched: a hundred modules on each gateway want three times what polls may take of the bus.
const CROWDED: Size = size(1_000, 10);

/// How often a used module would be polled if there were room.
const CROWDED_POLLER: &str = "[poller]\nreporting_interval = \"5s\"\n";

/// A bus of a thousand modules cannot be asked anew within the usual thirty seconds: what was known first would be
/// stale before the last is known.
const TTL: &str = "[cache]\nttl = \"1h\"\n";

/// How long it is watched: four rounds of a hundred modules, 60 ms each in two fifths of the time.
const WATCH: Duration = Duration::from_secs(60);

/// Requests of a measurement.
const READS: u32 = 3_000;

/// Reports of a measurement, and how often it is made.
const REPORTS: u32 = 2_000;
const REPORTS_ROUNDS: usize = 5;

/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(6);

/// Growth faster than this power of the number of modules is faster than linear, with room for measuring errors.
const LINEAR: f64 = 1.1;

/// What a hit may grow from ten modules to ten thousand: nothing but what caches of the processor and measuring cost.
const FLAT: f64 = 1.3;

struct Grown {
    size: Size,
    start: f64,
    resident_kib: f64,
    idle_cores: f64,
    wakes: f64,
    report: f64,
    hit: f64,
    list: f64,
    /// Reports that were not heard or lost on their way, and outputs that are not fresh at the end.
    missing: u64,
}

fn known(client: &mut Client) -> u64 {
    client.json("/api/status")["cache"]["entries"].as_u64().unwrap_or(0)
}

/// Telegrams that were heard, and news that found no room, on all gateways.
fn heard(client: &mut Client) -> (u64, u64) {
    let status = client.json("/api/status");
    let sum = |name: &str| -> u64 {
        status["gateways"].as_array().unwrap().iter().map(|gateway| gateway[name].as_u64().unwrap()).sum()
    };
    (sum("telegrams_received_total"), sum("news_lost_total") + sum("facts_lost_total"))
}

/// How many outputs show whether they are on, and how many a level. Looking is not using: no poll comes of it.
fn shown(client: &mut Client) -> (usize, usize) {
    let page = String::from_utf8(client.get("/metrics")).unwrap();
    let count = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
    (count("conbusd_output_on{"), count("conbusd_output_level_ratio{"))
}

/// Starts a daemon for this house and waits until every output and every level is known; how long that took.
fn start(size: Size, config: &str) -> (Daemon, Client, f64) {
    let daemon = Daemon::start(&format!("{config}{TTL}"));
    let mut client = daemon.listening();
    let give_up = clock() + Duration::from_secs(180);
    while known(&mut client) < size.outputs() as u64 {
        assert!(clock() < give_up, "{} of {} outputs are known", known(&mut client), size.outputs());
        std::thread::sleep(Duration::from_millis(20));
    }
    while shown(&mut client) != (size.outputs(), size.levels()) {
        let seen = shown(&mut client);
        assert!(clock() < give_up, "{seen:?} of {} outputs, {} levels", size.outputs(), size.levels());
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = daemon.begun.elapsed().as_secs_f64();
    (daemon, client, took)
}

/// What a daemon needs at rest, in cores: of a bus that is still being asked who is there, not a little.
struct Rested<'a> {
    daemon: &'a Daemon,
    idle: f64,
}

impl Rested<'_> {
    /// CPU of the daemon for one of so many, in microseconds; what it needs at rest is taken off.
    fn cost(&self, count: u32, work: impl FnOnce()) -> f64 {
        let (before, begun) = (cpu_nanoseconds(self.daemon.id()), clock());
        work();
        let used = (cpu_nanoseconds(self.daemon.id()) - before) as f64;
        let at_rest = self.idle * begun.elapsed().as_nanos() as f64;
        ((used - at_rest) / f64::from(count) / 1000.0).max(0.0)
    }
}

/// Reports of outputs that were turned by hand: what one of them costs, and how many were not heard or lost.
fn reports(rested: &Rested<'_>, client: &mut Client, houses: &mut Other) -> (f64, u64) {
    let (before, lost_before) = heard(client);
    let mut missing = 0;
    let cost = rested.cost(REPORTS, || {
        houses.ask(&format!("reports {REPORTS}"));
        let give_up = clock() + Duration::from_secs(10);
        loop {
            // Not often: the answer tells of every gateway and is not what is measured.
            std::thread::sleep(Duration::from_millis(200));
            let (after, lost) = heard(client);
            missing = (before + u64::from(REPORTS)).saturating_sub(after) + lost - lost_before;
            if after >= before + u64::from(REPORTS) || clock() > give_up {
                return;
            }
        }
    });
    (cost, missing)
}

fn measure(size: Size) -> Grown {
    eprintln!("{} modules on {} gateways", size.modules, size.gateways);
    let (mut houses, ports) = size.start("zero");
    let (daemon, mut client, start) = start(size, &size.config(&ports));
    // What the identity reads and the first snapshot cost is not idleness.
    quiet(&daemon);
    let resident = resident_kib(daemon.id()) as f64;
    let (before, woken) = (cpu_nanoseconds(daemon.id()), wake_ups(daemon.id()));
    std::thread::sleep(IDLE);
    let idle = (cpu_nanoseconds(daemon.id()) - before) as f64 / IDLE.as_nanos() as f64;
    let wakes = (wake_ups(daemon.id()) - woken) as f64 / IDLE.as_secs_f64();
    let rested = Rested { daemon: &daemon, idle };
    let told: Vec<(f64, u64)> =
        (0..REPORTS_ROUNDS).map(|_| reports(&rested, &mut client, &mut houses)).collect();
    let report = median(told.iter().map(|(cost, _)| *cost));
    // Further apart than writing the state takes: it is written at most every half minute and is not what a GET costs.
    let hit = median((0..5).map(|_| {
        std::thread::sleep(Duration::from_secs(1));
        rested.cost(READS, || {
            for read in 0..READS as usize {
                let module = read * 7 % size.modules;
                client.get(&format!(
                    "/api/accessories/m{module}o{}",
                    read % usize::from(size.outputs_of(module))
                ));
            }
        })
    }));
    let mut fresh = 0;
    let list = median((0..5).map(|_| {
        rested.cost(1, || {
            let list = String::from_utf8(client.get("/api/accessories")).unwrap();
            fresh = list.matches("\"freshness\":\"fresh\"").count();
        })
    }));
    let missing = told.iter().map(|(_, missing)| missing).sum::<u64>() + (size.outputs() - fresh) as u64;
    Grown { size, start, resident_kib: resident, idle_cores: idle, wakes, report, hit, list, missing }
}

/// Waits until the daemon has nothing left to do of its start, but not for a bus that takes minutes.
fn quiet(daemon: &Daemon) {
    let mut last = cpu_nanoseconds(daemon.id());
    for _ in 0..10 {
        std::thread::sleep(Duration::from_secs(1));
        let now = cpu_nanoseconds(daemon.id());
        if now - last < 10_000_000 {
            return;
        }
        last = now;
    }
}

/// How often each module was asked for its outputs while all of them were in use.
fn fairness(section: &mut Section) -> Vec<String> {
    let (mut houses, ports) = CROWDED.start("zero");
    let (daemon, mut client, _) = start(CROWDED, &format!("{}{CROWDED_POLLER}", CROWDED.config(&ports)));
    quiet(&daemon);
    let mut asked =
        || -> Vec<u64> { houses.ask("reads").split(' ').map(|count| count.parse().unwrap()).collect() };
    client.get("/api/accessories");
    let before = asked();
    std::thread::sleep(WATCH);
    let polls: Vec<u64> = asked().iter().zip(before).map(|(after, before)| after - before).collect();
    let (fewest, most) = (*polls.iter().min().unwrap(), *polls.iter().max().unwrap());
    assert!(fewest > 0, "a module was never polled");
    let what = format!(
        "5: polls of the most to the least polled of {} modules on {} gateways that want three times the bus, \
         {most} and {fewest} in {} s",
        CROWDED.modules,
        CROWDED.gateways,
        WATCH.as_secs()
    );
    section.judged_row(&what, Bar::AtMost(2.0), most as f64 / fewest as f64)
}

/// The power of the number of modules with which this grows, between two sizes.
fn power(small: &Grown, large: &Grown, of: impl Fn(&Grown) -> f64) -> f64 {
    (of(large) / of(small)).ln() / (large.size.modules as f64 / small.size.modules as f64).ln()
}

pub(crate) fn section() -> Section {
    let mut section = Section::new("5. Scale");
    let attempt = |size: Size| {
        let what = format!("5: {} modules on {} gateways", size.modules, size.gateways);
        section.attempt(&what, |_| measure(size))
    };
    let grown: Vec<Grown> = SIZES.into_iter().filter_map(attempt).collect();
    section.say(format!(
        "Modules with an accessory for each output, behind emulated gateways without delays in one other program; the \
         daemon paces itself as on a real bus. Up to 200 modules on a gateway all of them have four outputs (XP24 and \
         XP24P); events name type and link number, and link numbers end at 99, so more are mixed with types of three \
         and one, and {} of the twelve types with outputs are the most that fit: 10,000 modules on one gateway cannot \
         be, and a bus of 1,000 takes a minute and more to ask all of them once. Known: every output shows \
         whether it is on and every dimmer its level; afterwards the list says that all are fresh. CPU time is the \
         scheduler's, of all threads; a report costs what it takes until it was heard; medians of {} \
         rounds. With 100 modules on a gateway and more the identity reads go on for a minute or many: they are in \
         the idle figures, and what a daemon needs at rest is taken off what reports, GETs and lists cost. What is known \
         counts as fresh for an hour.",
        Size::ON_A_GATEWAY, REPORTS_ROUNDS
    ));
    let rows: Vec<Vec<String>> = grown.iter().map(row).collect();
    section.table(
        &[
            "modules",
            "outputs",
            "gateways",
            "start to all known s",
            "RSS MiB",
            "idle CPU %",
            "wake-ups/s",
            "CPU ms 1,000 reports",
            "CPU µs a GET",
            "CPU ms a list",
        ],
        &rows,
    );
    let mut rows =
        section.attempt("5: how the house grows", |section| judge(section, &grown)).unwrap_or_default();
    rows.extend(section.attempt("5: fairness of polls", fairness));
    section.table(&["growth and fairness", "measured", "bar"], &rows);
    section.attempt("5: plots", |section| plots(section, &grown));
    section
}

fn row(one: &Grown) -> Vec<String> {
    vec![
        number(one.size.modules as f64),
        number(one.size.outputs() as f64),
        number(one.size.gateways as f64),
        number(one.start),
        number(one.resident_kib / 1024.0),
        number(one.idle_cores * 100.0),
        number(one.wakes),
        number(one.report),
        number(one.hit),
        number(one.list / 1000.0),
    ]
}

/// The one of this size.
fn of(grown: &[Grown], modules: usize, gateways: usize) -> &Grown {
    let is = |one: &&Grown| (one.size.modules, one.size.gateways) == (modules, gateways);
    grown.iter().find(is).expect("a measured size")
}

fn judge(section: &mut Section, grown: &[Grown]) -> Vec<Vec<String>> {
    let (small, middle, large) = (of(grown, 10, 1), of(grown, 1_000, 10), of(grown, 10_000, 100));
    let per_module = (large.resident_kib - small.resident_kib) / large.size.modules as f64;
    let mut rows = vec![vec![
        "RSS a module of four outputs, the whole daemon, KiB".to_owned(),
        number(per_module),
        "see section 8 for what cache and accessories hold of it".into(),
    ]];
    for (what, figure) in [
        ("start to all known", (|one| one.start) as fn(&Grown) -> f64),
        ("memory", |one| one.resident_kib),
        ("idle CPU", |one| one.idle_cores),
        ("the list", |one| one.list),
    ] {
        let what = format!("5: growth of {what} from 1,000 to 10,000 modules, power of the modules");
        rows.push(section.judged_row(&what, Bar::AtMost(LINEAR), power(middle, large, figure)));
    }
    for (what, figure) in [("a GET", (|one| one.hit) as fn(&Grown) -> f64), ("a report", |one| one.report)] {
        let what = format!("5: CPU of {what} at 10,000 modules to 10");
        rows.push(section.judged_row(&what, Bar::AtMost(FLAT), figure(large) / figure(small)));
    }
    let missing: u64 = grown.iter().map(|one| one.missing).sum();
    rows.push(section.judged_row(
        "5: reports not heard or lost on their way, and outputs not fresh at the end, all sizes",
        Bar::AtMost(0.0),
        missing as f64,
    ));
    rows
}

fn plots(section: &mut Section, grown: &[Grown]) {
    let line = |name: &str, gateways: usize, figure: fn(&Grown) -> f64| Line {
        name: format!("{name}, {gateways} gateway{}", if gateways == 1 { "" } else { "s" }),
        points: grown
            .iter()
            .filter(|one| one.size.gateways == gateways)
            .map(|one| (one.size.modules as f64, figure(one).max(0.001)))
            .collect(),
    };
    let mut draw = |name: &str, title: &str, unit: &str, figure: fn(&Grown) -> f64| {
        let lines = [1, 10, 100].map(|gateways| line(title, gateways, figure));
        section.plot(
            name,
            &format!("{title} against the number of modules"),
            growth(title, "modules", unit, &lines),
        );
    };
    draw("scale-start", "start to all known", "s", |one| one.start);
    draw("scale-memory", "memory", "MiB", |one| one.resident_kib / 1024.0);
    draw("scale-idle", "CPU at rest", "% of a core", |one| one.idle_cores * 100.0);
    draw("scale-report", "1,000 reports, from the wire to the doors", "ms of CPU", |one| one.report);
    draw("scale-hit", "a GET of one accessory", "µs of CPU", |one| one.hit);
    draw("scale-list", "a list of all accessories", "ms of CPU", |one| one.list / 1000.0);
}
