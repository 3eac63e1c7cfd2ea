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

/// How often what reports, GETs and a list cost is measured.
const ROUNDS: usize = 5;

/// Requests of a measurement.
const READS: u32 = 3_000;

/// Reports of a measurement.
const REPORTS: u32 = 10_000;

/// How long the last of them may be on their way. Nothing looks meanwhile: in a large house a look costs more.
const HEARD_WITHIN: Duration = Duration::from_millis(200);

/// The modules that a person uses again and again, in a house of any size.
const USED: usize = 10;

/// How long idleness is watched: of the start once, and before what is taken off it.
const IDLE: Duration = Duration::from_secs(6);
const IDLE_BETWEEN: Duration = Duration::from_secs(2);

/// How long the levels of dimmers that went on may take until all are known again: a bus asks for ten a second.
const FRESH_WITHIN: Duration = Duration::from_secs(180);

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
    report: Spread,
    hit: Spread,
    list: f64,
    /// From the last report until the list said that all outputs are fresh, in seconds.
    until_fresh: f64,
    /// Reports that were not heard, facts that were lost on their way, outputs that are not fresh at the end or not
    /// shown as they are.
    missing: u64,
}

/// What one costs when all are of the same few modules, and when each is of another.
#[derive(Clone, Copy)]
struct Spread {
    used: f64,
    spread: f64,
}

impl Spread {
    /// Measures one on so many modules.
    fn measure(size: Size, mut one: impl FnMut(usize) -> f64) -> Self {
        let mut cost = |among| median((0..ROUNDS).map(|_| one(among)));
        Self { used: cost(USED), spread: cost(size.modules) }
    }
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
    wakes: f64,
}

impl<'a> Rested<'a> {
    /// Looks on for so long.
    fn watch(daemon: &'a Daemon, time: Duration) -> Self {
        let (before, woken) = (cpu_nanoseconds(daemon.id()), wake_ups(daemon.id()));
        std::thread::sleep(time);
        let idle = (cpu_nanoseconds(daemon.id()) - before) as f64 / time.as_nanos() as f64;
        let wakes = (wake_ups(daemon.id()) - woken) as f64 / time.as_secs_f64();
        Self { daemon, idle, wakes }
    }

    /// CPU of the daemon for one of so many, in microseconds; what it needs at rest is taken off.
    fn cost(&self, count: u32, work: impl FnOnce()) -> f64 {
        let (before, begun) = (cpu_nanoseconds(self.daemon.id()), clock());
        work();
        let used = (cpu_nanoseconds(self.daemon.id()) - before) as f64;
        let at_rest = self.idle * begun.elapsed().as_nanos() as f64;
        ((used - at_rest) / f64::from(count) / 1000.0).max(0.0)
    }
}

/// Reports of outputs that were turned by hand: what one of them costs.
fn reports(rested: &Rested<'_>, houses: &mut Other, among: usize) -> f64 {
    rested.cost(REPORTS, || {
        houses.ask(&format!("reports {REPORTS} {among}"));
        std::thread::sleep(HEARD_WITHIN);
    })
}

/// Reads of one accessory each: what one of them costs.
fn reads(rested: &Rested<'_>, client: &mut Client, (size, among): (Size, usize)) -> f64 {
    // Further apart than use is told to the poller. The state is written at most every half minute, which is in one
    // of the rounds at most.
    std::thread::sleep(Duration::from_secs(1));
    rested.cost(READS, || {
        for read in 0..READS as usize {
            let module = read * 7 % among;
            let output = read % usize::from(size.outputs_of(module));
            client.get(&format!("/api/accessories/m{module}o{output}"));
        }
    })
}

/// How many outputs the list calls fresh, and how many it shows as on. It also asks the bus for those that are stale.
fn listed(client: &mut Client) -> (usize, usize) {
    let list = String::from_utf8(client.get("/api/accessories")).unwrap();
    let count = |what: &str| list.matches(what).count();
    (count("\"freshness\":\"fresh\""), count("\"on\":true"))
}

/// What became of reports.
struct Reported {
    cost: Spread,
    until_fresh: f64,
    missing: u64,
}

/// Turns outputs by hand, and waits until the list shows all of them as they are.
fn reported(size: Size, daemon: &Daemon, client: &mut Client, houses: &mut Other) -> Reported {
    let used = Rested::watch(daemon, IDLE_BETWEEN);
    let (before, _) = heard(client);
    let cost = Spread::measure(size, |among| reports(&used, houses, among));
    let (after, lost) = heard(client);
    let told = 2 * ROUNDS as u64 * u64::from(REPORTS);
    let unheard = (before + told).saturating_sub(after);
    let begun = clock();
    while listed(client).0 < size.outputs() && begun.elapsed() < FRESH_WITHIN {
        std::thread::sleep(Duration::from_millis(500));
    }
    let until_fresh = begun.elapsed().as_secs_f64();
    let (fresh, lit) = listed(client);
    let wrong = lit.abs_diff(houses.ask("lit").parse().unwrap());
    let missing = unheard + lost + (size.outputs() - fresh + wrong) as u64;
    Reported { cost, until_fresh, missing }
}

fn measure(size: Size) -> Grown {
    eprintln!("{} modules on {} gateways", size.modules, size.gateways);
    let (mut houses, ports) = size.start("zero");
    let (daemon, mut client, start) = start(size, &size.config(&ports));
    // What the identity reads and the first snapshot cost is not idleness.
    quiet(&daemon);
    let resident = resident_kib(daemon.id()) as f64;
    let rested = Rested::watch(&daemon, IDLE);
    let hit = Spread::measure(size, |among| reads(&rested, &mut client, (size, among)));
    let used = Rested::watch(&daemon, IDLE_BETWEEN);
    let list = median((0..ROUNDS).map(|_| used.cost(1, || drop(client.get("/api/accessories")))));
    let reported = reported(size, &daemon, &mut client, &mut houses);
    Grown {
        size,
        start,
        resident_kib: resident,
        idle_cores: rested.idle,
        wakes: rested.wakes,
        report: reported.cost,
        hit,
        list,
        until_fresh: reported.until_fresh,
        missing: reported.missing,
    }
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
         whether it is on and every dimmer its level. CPU time is the scheduler's, of all threads; medians of {ROUNDS} \
         rounds. With 100 modules on a gateway and more the identity reads go on for a minute or many: they are in \
         the idle figures, and what a daemon needs at rest is taken off what GETs, lists and reports cost. What is known \
         counts as fresh for an hour.",
        Size::ON_A_GATEWAY
    ));
    section.say(format!(
        "{READS} GETs and {REPORTS} reports, once of the same {USED} modules and once of module after module. A person \
         uses the same lamps again and again, and what that costs must not grow with the house: it has the bar. Of \
         module after module each GET is the first use of a module for a second, which the poller is told; the module is \
         polled from then on; and nothing of it is near the processor any more. Each report of a dimmer that went on \
         makes the daemon ask for its level (the 1,000 modules on one gateway and the 10,000 on ten have dimmers), and \
         until the bus has told it the accessory is honestly stale. Reports come 50 µs apart, each heard by itself, \
         and nothing asks the daemon meanwhile. After them the list is asked until it says that all outputs are fresh."
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
            "the same, module after module",
            "s until all fresh after them",
            "CPU µs a GET",
            "the same, module after module",
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
        number(one.report.used),
        number(one.report.spread),
        number(one.until_fresh),
        number(one.hit.used),
        number(one.hit.spread),
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
    for (what, figure) in [("a GET", (|one| one.hit) as fn(&Grown) -> Spread), ("a report", |one| one.report)]
    {
        let what = format!("CPU of {what} at 10,000 modules to 10");
        // Behind ten gateways in both houses: what comes on a socket of its own costs a look of its own.
        let (small, large) = (figure(of(grown, 10, 10)), figure(large));
        let judged = format!("5: {what}, of the same {USED} modules");
        rows.push(section.judged_row(&judged, Bar::AtMost(FLAT), large.used / small.used));
        rows.push(vec![
            format!("{what}, of module after module"),
            number(large.spread / small.spread),
            "none: first uses, and memory that is not near the processor".into(),
        ]);
    }
    let missing: u64 = grown.iter().map(|one| one.missing).sum();
    rows.push(section.judged_row(
        "5: reports not heard, facts lost on their way, and outputs not fresh or not true at the end, all sizes",
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
    draw("scale-report", "1,000 reports of ten modules, from the wire to the doors", "ms of CPU", |one| {
        one.report.used
    });
    draw("scale-hit", "a GET of one accessory of ten modules", "µs of CPU", |one| one.hit.used);
    draw("scale-list", "a list of all accessories", "ms of CPU", |one| one.list / 1000.0);
}
