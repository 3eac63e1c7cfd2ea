//! What the kernel tells of this process. Where there is no `/proc`, nothing is told.

use std::fs;

use crate::policy::figures::{Amount, Sheet, names};

/// The kernel counts time for programs in hundredths of a second, on every architecture it runs on today.
const TICKS_A_SECOND: f64 = 100.0;

/// Notes processor time, memory, open files and the start.
pub(super) fn note(sheet: &mut Sheet) {
    let read = |path| fs::read_to_string(path).ok();
    let stat = read("/proc/self/stat");
    if let Some(seconds) = stat.as_deref().and_then(cpu_seconds) {
        sheet.note(&names::CPU, &[], Amount::Sum(seconds));
    }
    let started = stat.as_deref().and_then(|stat| started(stat, read("/proc/stat")?.as_str()));
    if let Some(seconds) = started {
        sheet.level(&names::STARTED, &[], seconds);
    }
    if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident_bytes) {
        sheet.level(&names::MEMORY, &[], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        sheet.level(&names::OPEN_FILES, &[], open.count().saturating_sub(1) as f64);
    }
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5). The name of the program, which may hold anything, ends
/// with the last parenthesis.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_A_SECOND)
}

fn started(stat: &str, machine: &str) -> Option<f64> {
    let booted: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(stat, 22)? / TICKS_A_SECOND)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let stat = "42 (a) b 7 (x)) S 1 42 42 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 4 0 1200 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(started(stat, "cpu 1 2\nbtime 1000\n"), Some(1012.0));
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\nVmData:\t1 kB\n"), Some(2_097_152.0));
        for broken in ["", "42 (a", "42 (a) S"] {
            assert_eq!(cpu_seconds(broken), None);
        }
        assert_eq!(resident_bytes("VmRSS: many"), None);
    }
}
