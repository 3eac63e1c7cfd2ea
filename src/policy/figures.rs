//! Figures for whoever watches: what is counted and measured, and how pieces of one figure are put together.
//!
//! Each actor notes what it knows on a [`Sheet`]; sheets add up. The names are in [`names`]. Every set of labels is
//! bounded by the config or by a list in the code, because a watcher keeps each combination for ever.

pub mod names;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// What sort of figure it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A total since the start of the daemon; its name ends in `_total`.
    Counter,
    /// What is so now.
    Gauge,
    /// A constant 1 whose labels tell something; its name ends in `_info`.
    Info,
    /// How long something took: a [`Histogram`] in seconds.
    Histogram,
}

/// A figure by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// As it is exported.
    pub name: &'static str,
    /// What sort.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence without the full stop.
    pub help: &'static str,
}

/// How much.
#[derive(Clone, PartialEq, Debug)]
pub enum Amount {
    /// A total.
    Count(u64),
    /// A total that is no whole number, as seconds.
    Sum(f64),
    /// What is so now.
    Level(f64),
    /// How long it took, each time.
    Took(Histogram),
}

/// Durations counted in fixed buckets.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    /// The upper ends of the buckets in seconds, rising; what is above the last has a bucket of its own.
    bounds: &'static [f64],
    /// How many fell into each, not added up.
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    /// Nothing was measured yet. `bounds` in seconds, rising.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    /// Something took this long.
    pub fn took(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// All that was measured, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// How often it was measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper end of each bucket in seconds and how many fell into it; the last end is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().copied().chain([f64::INFINITY]).zip(self.counts.iter().copied())
    }

    /// Adds what was measured elsewhere in the same buckets.
    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// What is known of some figures, by name and labels.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    rows: BTreeMap<&'static str, (&'static Family, BTreeMap<Vec<String>, Amount>)>,
}

impl Sheet {
    /// Notes a figure; `labels` in the order of its family. What is there already is added to: totals and times add
    /// up, and of two levels the higher counts.
    pub fn note(&mut self, family: &'static Family, labels: &[&str], amount: Amount) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.enter(family, labels, amount);
    }

    /// Notes a total.
    pub fn count(&mut self, family: &'static Family, labels: &[&str], total: u64) {
        self.note(family, labels, Amount::Count(total));
    }

    /// Notes what is so now.
    pub fn level(&mut self, family: &'static Family, labels: &[&str], level: f64) {
        self.note(family, labels, Amount::Level(level));
    }

    /// Notes whether something is so: 1 or 0.
    pub fn flag(&mut self, family: &'static Family, labels: &[&str], is_so: bool) {
        self.level(family, labels, f64::from(u8::from(is_so)));
    }

    /// Notes times.
    pub fn took(&mut self, family: &'static Family, labels: &[&str], times: &Histogram) {
        self.note(family, labels, Amount::Took(times.clone()));
    }

    /// Adds what somebody else noted.
    pub fn add(&mut self, other: Self) {
        for (family, rows) in other.rows.into_values() {
            for (labels, amount) in rows {
                self.enter(family, labels, amount);
            }
        }
    }

    /// Every figure, by name, with the values of its labels.
    pub fn families(&self) -> impl Iterator<Item = (&'static Family, &BTreeMap<Vec<String>, Amount>)> {
        self.rows.values().map(|(family, rows)| (*family, rows))
    }

    fn enter(&mut self, family: &'static Family, labels: Vec<String>, amount: Amount) {
        let (_, rows) = self.rows.entry(family.name).or_insert_with(|| (family, BTreeMap::new()));
        match rows.entry(labels) {
            Entry::Vacant(place) => {
                place.insert(amount);
            }
            Entry::Occupied(mut there) => match (there.get_mut(), amount) {
                (Amount::Count(total), Amount::Count(more)) => *total += more,
                (Amount::Sum(total), Amount::Sum(more)) => *total += more,
                (Amount::Level(level), Amount::Level(other)) => *level = level.max(other),
                (Amount::Took(times), Amount::Took(more)) => times.add(&more),
                (there, other) => *there = other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static DONE: Family = Family { name: "done_total", kind: Kind::Counter, labels: &["who"], help: "Done" };
    static AGE: Family = Family { name: "age_seconds", kind: Kind::Gauge, labels: &[], help: "Age" };
    static TIME: Family = Family { name: "time_seconds", kind: Kind::Histogram, labels: &[], help: "Time" };

    fn after(millis: &[u64]) -> Histogram {
        let mut times = Histogram::new(&[0.1, 1.0]);
        for millis in millis {
            times.took(Duration::from_millis(*millis));
        }
        times
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_reaches_it() {
        let times = after(&[0, 100, 101, 1000, 60_000]);
        let buckets: Vec<(f64, u64)> = times.buckets().collect();
        assert_eq!(buckets, [(0.1, 2), (1.0, 2), (f64::INFINITY, 1)]);
        assert_eq!(times.count(), 5);
        assert!((times.sum() - 61.201).abs() < 1e-9);
    }

    #[test]
    fn sheets_add_up() {
        let mut house = Sheet::default();
        for (who, total, age, millis) in [("a", 1, 2.0, 50), ("b", 10, 7.0, 500), ("a", 2, 3.0, 5000)] {
            let mut sheet = Sheet::default();
            sheet.count(&DONE, &[who], total);
            sheet.level(&AGE, &[], age);
            sheet.took(&TIME, &[], &after(&[millis]));
            house.add(sheet);
        }
        let shown: Vec<_> = house
            .families()
            .flat_map(|(family, rows)| {
                rows.iter().map(|(labels, amount)| (family.name, labels.join(","), amount.clone()))
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("age_seconds", String::new(), Amount::Level(7.0)),
                ("done_total", "a".into(), Amount::Count(3)),
                ("done_total", "b".into(), Amount::Count(10)),
                ("time_seconds", String::new(), Amount::Took(after(&[50, 500, 5000]))),
            ]
        );
    }

    #[test]
    fn every_name_says_its_kind_and_unit_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for family in names::ALL {
            let Family { name, kind, labels, help } = **family;
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(kind == Kind::Info, name.ends_with("_info"), "{name}");
            assert!(kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(name.starts_with("conbusd_") || name.starts_with("process_"), "{name}");
            assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
            assert!(labels.iter().all(|label| *label != "le" && !label.starts_with("__")), "{name}");
        }
    }
}
