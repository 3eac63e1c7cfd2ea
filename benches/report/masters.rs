//! What bridges say on the bus for the same wishes of the same controllers, counted at the emulated house of each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bridges::{Bridge, Bridges, Control};
use crate::figures::{Section, number};
use crate::hap::Session;
use crate::programs::{clock, free_port};

const CONTROLLERS: usize = 3;
const REFRESHES: usize = 4;
const REFRESH_EVERY: Duration = Duration::from_secs(10);
const REFRESHES_WITHIN: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(15);
const COMMANDS: usize = 8;
const COMMAND_EVERY: Duration = Duration::from_millis(1_500);
const SLIDER: u64 = 40;
const SLIDES_EVERY: Duration = Duration::from_millis(50);

/// The bus is quiet when nobody of ours has spoken for so long; it is waited for no longer than that.
const QUIET: Duration = Duration::from_secs(4);
const QUIET_WITHIN: Duration = Duration::from_secs(40);

/// A kind of wish: its row, and what was measured once, another day, of 2.1.15 and of 1.52.0.
const WISHES: [(&str, &str, &str); 6] = [
    ("rest, 15 s", "", ""),
    (
        "3 controllers, 24 reads each every 10 s, 40 s (288 values)",
        "0; 0 of 864 values wrong or failed, in 120 s",
        "86; 135 of 864 values wrong or failed, in 120 s",
    ),
    ("a relay switched 8 times", "2 a write", ""),
    ("a dimmer set 8 times", "2 a write", ""),
    ("a slider: 40 levels in 2 s", "500 levels: 1,000 telegrams in 248.5 s", ""),
    ("a scene of 24 outputs in one request", "12.3–13.5 s", ""),
];

/// What one wish has cost.
#[derive(Default)]
struct Cost {
    telegrams: u64,
    seconds: f64,
    /// Of values that were read: how many were not what the house is, or did not come.
    wrong: Option<(usize, usize)>,
}

/// A bridge, its controllers, and the truth.
struct Master {
    hand: Control,
    sessions: Vec<Session>,
    lamps: Vec<crate::bridges::Lamp>,
    question: String,
}

impl Master {
    fn of(bridge: &Bridge) -> Result<Self, String> {
        let sessions = (0..CONTROLLERS).map(|_| bridge.session()).collect::<Result<_, _>>()?;
        let lamps = bridge.lamps.clone();
        Ok(Self { hand: Control::of(bridge)?, sessions, question: bridge.question(lamps.len()), lamps })
    }

    /// Telegrams that the house got so far.
    fn heard(&mut self) -> Result<u64, String> {
        let said = self.hand.order(&json!({"do": "counters"}))?;
        said["counters"]["telegrams_received"].as_u64().ok_or_else(|| "the house does not count".to_owned())
    }

    /// Whether each lamp is on, in the order of the lamps.
    fn truth(&mut self) -> Result<Vec<bool>, String> {
        let said = self.hand.order(&json!({"do": "state"}))?;
        let modules = said["modules"].as_array().cloned().unwrap_or_default();
        let levels =
            modules.iter().flat_map(|module| module["levels"].as_array().cloned().unwrap_or_default());
        Ok(levels.map(|level| level.as_u64() > Some(0)).collect())
    }

    /// Waits until nothing is said any more; when the last was said.
    fn quiet(&mut self) -> Result<(u64, Instant), String> {
        let (give_up, mut last, mut at) = (clock() + QUIET_WITHIN, self.heard()?, clock());
        while at.elapsed() < QUIET && clock() < give_up {
            std::thread::sleep(Duration::from_millis(100));
            let heard = self.heard()?;
            if heard != last {
                (last, at) = (heard, clock());
            }
        }
        Ok((last, at))
    }

    /// What it costs until the bus is quiet again.
    fn until_quiet(&mut self, wish: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<Cost, String> {
        let (before, begun) = (self.heard()?, clock());
        wish(self)?;
        let (last, at) = self.quiet()?;
        Ok(Cost { telegrams: last - before, seconds: (at - begun).as_secs_f64(), wrong: None })
    }

    fn rest(&mut self) -> Result<Cost, String> {
        let before = self.heard()?;
        std::thread::sleep(REST);
        Ok(Cost { telegrams: self.heard()? - before, seconds: REST.as_secs_f64(), wrong: None })
    }

    fn refreshes(&mut self) -> Result<Cost, String> {
        let (before, begun) = (self.heard()?, clock());
        let (mut wrong, mut asked) = (0, 0);
        for turn in 0..REFRESHES {
            let truth = self.truth()?;
            for at in 0..CONTROLLERS {
                // One that does not answer is not waited for again and again.
                let is_slow = begun.elapsed() > REFRESHES_WITHIN;
                let answer = if is_slow {
                    Vec::new()
                } else {
                    self.sessions[at].get(&self.question).unwrap_or_default()
                };
                let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
                asked += truth.len();
                wrong += self.wrong(&answer, &truth);
            }
            let next = begun + REFRESH_EVERY * (turn as u32 + 1);
            std::thread::sleep(next.saturating_duration_since(clock()));
        }
        let telegrams = self.heard()? - before;
        Ok(Cost { telegrams, seconds: begun.elapsed().as_secs_f64(), wrong: Some((wrong, asked)) })
    }

    fn wrong(&self, answer: &Value, truth: &[bool]) -> usize {
        let told = answer["characteristics"].as_array().cloned().unwrap_or_default();
        let shows = |aid: u64| {
            let one = told.iter().find(|one| one["aid"].as_u64() == Some(aid))?;
            one["value"].as_bool().or_else(|| one["value"].as_u64().map(|value| value > 0))
        };
        self.lamps.iter().zip(truth).filter(|(lamp, is_on)| shows(lamp.aid) != Some(**is_on)).count()
    }

    /// Somebody writes this of the first lamp that can be written so.
    fn write(&mut self, entries: &Value) -> Result<(), String> {
        self.sessions[0].put(entries).map(drop)
    }

    fn relay(&mut self) -> Result<(), String> {
        let lamp = self.lamps[0];
        for turn in 0..COMMANDS {
            self.write(&json!([{"aid": lamp.aid, "iid": lamp.on, "value": turn % 2 != 0}]))?;
            std::thread::sleep(COMMAND_EVERY);
        }
        Ok(())
    }

    fn brightness(&mut self, level: u64) -> Result<(), String> {
        let dimmer = self.lamps.iter().find_map(|lamp| Some((lamp.aid, lamp.brightness?)));
        let (aid, iid) = dimmer.ok_or("it has no dimmer")?;
        self.write(&json!([{"aid": aid, "iid": iid, "value": level}]))
    }

    fn dimmer(&mut self) -> Result<(), String> {
        for turn in 0..COMMANDS as u64 {
            self.brightness(turn * 10 + 15)?;
            std::thread::sleep(COMMAND_EVERY);
        }
        Ok(())
    }

    fn slider(&mut self) -> Result<(), String> {
        for step in 0..SLIDER {
            self.brightness(step + 41)?;
            std::thread::sleep(SLIDES_EVERY);
        }
        Ok(())
    }

    fn scene(&mut self) -> Result<(), String> {
        let lamps = self.lamps.iter();
        let off = lamps.map(|lamp| json!({"aid": lamp.aid, "iid": lamp.on, "value": false})).collect();
        self.write(&Value::Array(off))
    }

    /// Every wish, one after the other; a wish that fails has no cost.
    fn every(&mut self) -> Vec<Result<Cost, String>> {
        // What a start still has to say is no part of any wish.
        let _ = self.quiet();
        let mut costs = vec![self.rest(), self.refreshes()];
        for wish in [Self::relay, Self::dimmer, Self::slider, Self::scene] {
            costs.push(self.until_quiet(wish));
        }
        costs
    }
}

pub(crate) fn section() -> Section {
    let mut section = Section::new("6. Bus efficiency: beside the peer");
    let ports = || {
        let port = free_port();
        (port, port)
    };
    let wanted = ["conbusd", "conson-xp 2.1.15", "conson-xp 1.52.0"].map(|name| (name, ports()));
    match Bridges::start("bus", &wanted) {
        Ok(bridges) => beside(&mut section, &bridges),
        Err(why) => section.say(format!("Not measured: {why}.")),
    }
    section
}

fn beside(section: &mut Section, bridges: &Bridges) {
    section.say(
        "Each bridge has an emulated house of its own, 3 XP24 and 4 XP33LED with the timing of hardware, of whose 24 \
         outputs 5 were on when the bridge started, and is asked the same over HomeKit at the same time. *Measured in \
         this run*: telegrams of the bridge that its house got, and seconds until the last of them; of the refreshes, \
         values that were not what the house is, or did not come. The last two columns are *quoted*: `conson-xp` as \
         measured once, on another day and a gateway without delays.",
    );
    for missing in &bridges.missing {
        section.say(format!("Could not be made to run here: {missing}. What is quoted stands for it."));
    }
    let measuring: Vec<Vec<Result<Cost, String>>> = std::thread::scope(|scope| {
        let running: Vec<_> = bridges
            .there
            .iter()
            .map(|bridge| {
                scope.spawn(|| match Master::of(bridge) {
                    Ok(mut master) => master.every(),
                    Err(why) => WISHES.iter().map(|_| Err(why.clone())).collect(),
                })
            })
            .collect();
        running.into_iter().map(|master| master.join().unwrap_or_default()).collect()
    });
    let mut head = vec!["wish"];
    head.extend(bridges.there.iter().map(|bridge| &bridge.name[..]));
    head.extend(["quoted: 2.1.15", "quoted: 1.52.0"]);
    let rows: Vec<Vec<String>> = WISHES
        .iter()
        .enumerate()
        .map(|(at, &(wish, newer, older))| {
            let mut row = vec![wish.to_owned()];
            row.extend(measuring.iter().map(|costs| costs.get(at).map_or_else(String::new, told)));
            row.extend([newer.to_owned(), older.to_owned()]);
            row
        })
        .collect();
    section.table(&head, &rows);
}

fn told(cost: &Result<Cost, String>) -> String {
    match cost {
        Ok(Cost { telegrams, wrong: Some((wrong, asked)), .. }) => {
            format!("{telegrams}; {wrong} of {asked} values wrong or failed")
        }
        Ok(cost) => format!("{} in {} s", cost.telegrams, number(cost.seconds)),
        Err(why) => format!("failed: {why}"),
    }
}
