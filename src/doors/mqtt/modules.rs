//! What is known of the modules: whether each answers, and what it tells of itself. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conbus::SerialNumber;
use crate::policy::Moment;

/// A temperature is told when it moved by this many tenths of a degree...
const TEMPERATURE_STEP: i64 = 5;

/// ... and no more often than this.
const TEMPERATURE_EVERY: Duration = Duration::from_secs(60);

/// A module that was not heard for this long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// How often one is asked that does not answer.
const ASK_SILENT_EVERY: Duration = Duration::from_secs(60);

/// What the poller knows of a module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Facts {
    /// It did not answer when it was asked last, and was not heard since.
    pub(super) silent: bool,
    /// It repeats itself, and is muted.
    pub(super) storming: bool,
    /// By its own word.
    pub(super) software_version: Option<String>,
    /// Whether it reports by itself.
    pub(super) auto_report: Option<bool>,
    /// 0 is healthy.
    pub(super) error_code: Option<u64>,
    /// In tenths of a degree Celsius.
    pub(super) temperature: Option<i64>,
    /// How long ago it was heard.
    pub(super) last_heard_ms: Option<u64>,
}

impl Facts {
    fn of(module: &Value) -> Self {
        Self {
            silent: module["silent"] == true,
            storming: module["storming"] == true,
            software_version: module["software_version"].as_str().map(str::to_owned),
            auto_report: module["auto_report"].as_bool(),
            error_code: module["error_code"].as_u64(),
            temperature: module["temperature_tenths"].as_i64(),
            last_heard_ms: module["last_heard_ms"].as_u64(),
        }
    }

    /// Whether it answers, as far as anybody knows.
    pub(super) fn is_there(&self) -> bool {
        !self.silent && !self.storming
    }

    /// As it is published. The error code is in the two digits of the bus, and `null` is not known.
    pub(super) fn telemetry(&self) -> String {
        let code = self.error_code.map(|code| format!("{code:02X}"));
        let mut fields = json!({"error_code": code, "auto_report": self.auto_report});
        if let Some(tenths) = self.temperature {
            fields["temperature"] = json!(tenths as f64 / 10.0);
        }
        fields.to_string()
    }
}

/// One module's facts, and what of them was told.
#[derive(Debug, Default)]
struct Known {
    facts: Facts,
    told_at: Option<Moment>,
    asked_at: Option<Moment>,
}

/// The facts of all modules.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeMap<SerialNumber, Known>);

impl Modules {
    /// Takes the poller's picture; gives the modules of which something is to be told anew.
    pub(super) fn look(&mut self, picture: &Value, now: Moment) -> Vec<SerialNumber> {
        let modules = picture["modules"].as_array().into_iter().flatten();
        let mut news = Vec::new();
        for module in modules {
            let Some(serial) = module["serial"].as_str().and_then(|serial| serial.parse().ok()) else {
                continue;
            };
            let known = self.0.entry(serial).or_default();
            let mut facts = Facts::of(module);
            if let (Some(before), Some(after)) = (known.facts.temperature, facts.temperature) {
                let is_early = known.told_at.is_some_and(|at| now.since(at) < TEMPERATURE_EVERY);
                if is_early || (before - after).abs() < TEMPERATURE_STEP {
                    facts.temperature = Some(before);
                }
            }
            // How long ago it was heard changes with every look, and is told to nobody.
            let heard = std::mem::replace(&mut facts.last_heard_ms, known.facts.last_heard_ms);
            if known.facts != facts || known.told_at.is_none() {
                known.told_at = Some(now);
                news.push(serial);
            }
            facts.last_heard_ms = heard;
            known.facts = facts;
        }
        news
    }

    /// Forgets those that this says no to.
    pub(super) fn keep(&mut self, is_kept: impl Fn(SerialNumber) -> bool) {
        self.0.retain(|serial, _| is_kept(*serial));
    }

    /// What is known of this one.
    pub(super) fn of(&self, serial: SerialNumber) -> Facts {
        self.0.get(&serial).map(|known| known.facts.clone()).unwrap_or_default()
    }

    /// Whether it is time to ask this one whether it is there; it is taken to be done.
    pub(super) fn is_to_be_asked(&mut self, serial: SerialNumber, now: Moment) -> bool {
        let Some(known) = self.0.get_mut(&serial) else { return false };
        let quiet = known.facts.last_heard_ms.is_none_or(|ms| Duration::from_millis(ms) > QUIET);
        let waited = known.asked_at.is_none_or(|at| now.since(at) >= ASK_SILENT_EVERY);
        let is_due = (known.facts.silent || quiet) && waited;
        if is_due {
            known.asked_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    fn serial() -> SerialNumber {
        "0012345004".parse().unwrap()
    }

    fn picture(fields: &Value) -> Value {
        let mut module = json!({"serial": "0012345004", "last_heard_ms": 5});
        for (name, value) in fields.as_object().unwrap() {
            module[name] = value.clone();
        }
        json!({"modules": [module, {"serial": "nobody"}]})
    }

    #[test]
    fn changes_are_told_once() {
        let mut modules = Modules::default();
        assert_eq!(modules.look(&picture(&json!({})), at(0)), [serial()]);
        assert_eq!(modules.look(&picture(&json!({"last_heard_ms": 5000})), at(5)), []);
        assert_eq!(modules.look(&picture(&json!({"error_code": 16})), at(10)), [serial()]);
        assert_eq!(modules.of(serial()).telemetry(), r#"{"auto_report":null,"error_code":"10"}"#);
        assert_eq!(modules.look(&picture(&json!({"error_code": 16})), at(15)), []);
        assert_eq!(modules.look(&picture(&json!({"error_code": 16, "silent": true})), at(20)), [serial()]);
        assert!(!modules.of(serial()).is_there());
    }

    #[test]
    fn a_temperature_is_told_when_it_moved_and_not_too_often() {
        let mut modules = Modules::default();
        let mut look = |tenths: i64, seconds| {
            modules.look(&picture(&json!({"temperature_tenths": tenths})), at(seconds)).len()
        };
        assert_eq!(look(215, 0), 1);
        assert_eq!((look(225, 30), look(225, 59), look(225, 60)), (0, 0, 1));
        assert_eq!((look(229, 200), look(230, 205)), (0, 1));
        assert!(modules.of(serial()).telemetry().contains(r#""temperature":23.0"#));
    }

    #[test]
    fn a_module_that_was_not_heard_for_long_is_asked_now_and_then() {
        let mut modules = Modules::default();
        modules.look(&picture(&json!({"last_heard_ms": 599_000})), at(0));
        assert!(!modules.is_to_be_asked(serial(), at(0)));
        modules.look(&picture(&json!({"last_heard_ms": 601_000})), at(2));
        assert!(modules.is_to_be_asked(serial(), at(2)));
        assert!(!modules.is_to_be_asked(serial(), at(61)));
        assert!(modules.is_to_be_asked(serial(), at(62)));
    }
}
