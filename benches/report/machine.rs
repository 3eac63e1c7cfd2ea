//! On what it was measured, and how busy that was with other things.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// How long is watched what else goes on before the first part.
const WATCH: Duration = Duration::from_secs(5);

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What a program says in one line; nothing when it cannot be asked.
fn said(program: &str, words: &[&str]) -> String {
    let said = Command::new(program).args(words).output();
    said.map_or(String::new(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// Time of all cores since the machine was started, in ticks.
#[derive(Clone, Copy)]
struct Ticks {
    all: u64,
    idle: u64,
    /// Taken by other machines on the same host.
    stolen: u64,
}

impl Ticks {
    fn now() -> Self {
        let stat = read("/proc/stat");
        let fields: Vec<u64> = stat
            .lines()
            .next()
            .unwrap_or_default()
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or(0);
        Self { all: fields.iter().take(8).sum(), idle: field(3) + field(4), stolen: field(7) }
    }

    /// Which part of the time since then this is, in percent.
    fn percent_since(self, then: Self, of: impl Fn(Self) -> u64) -> f64 {
        of(self).saturating_sub(of(then)) as f64 * 100.0 / self.all.saturating_sub(then.all).max(1) as f64
    }
}

/// The machine as it was before the first part.
pub(crate) struct Machine {
    about: String,
    begun: Ticks,
}

impl Machine {
    /// Looks at it; takes a few seconds.
    pub(crate) fn look() -> Self {
        let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
        let before = Ticks::now();
        std::thread::sleep(WATCH);
        let begun = Ticks::now();
        let idle = begun.percent_since(before, |ticks| ticks.idle);
        let cpus = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpus.lines().find_map(|line| line.strip_prefix(name)?.split_once(": "));
            line.map_or("unknown", |(_, value)| value).to_owned()
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = read("/proc/meminfo");
        let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
        let gib = kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / f64::from(1 << 20);
        let about = format!(
            "Machine: {cores} cores of {} with {} of cache, {gib:.1} GiB, Linux {}; {}; commit {}, {}. Before the first \
             part: load {load} (the build of this run is in it), {idle:.0} % idle for {} s.",
            field("model name"),
            field("cache size"),
            read("/proc/sys/kernel/osrelease").trim(),
            said("rustc", &["--version"]),
            said("git", &["describe", "--always", "--dirty"]),
            said("date", &["-u", "+%Y-%m-%d"]),
            WATCH.as_secs()
        );
        Self { about, begun }
    }

    /// The same, and what other machines of the host took from this one until now.
    pub(crate) fn told(&self) -> String {
        let stolen = Ticks::now().percent_since(self.begun, |ticks| ticks.stolen);
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().unwrap_or_default();
        format!("{} Stolen by other machines meanwhile: {stolen:.1} %; load at the end {load}.", self.about)
    }
}
