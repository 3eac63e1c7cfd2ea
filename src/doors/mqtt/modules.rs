//! What is known of the modules: whether each answers, and what it tells of itself. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conbus::SerialNumber;
use crate::policy::Moment;

/// A temperature is told when it moved by this many tenths of a degree.
const TEMPERATURE_STEP: i64 = 5;

/// What a module tells of itself is told no more often than this. A fault that begins, and what was not known at all, do
/// not wait: a fault that comes and goes is told twice in this time at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// ... and no less often while it is there, so that whoever waits for a word is not left in doubt.
const TELL_AGAIN: Duration = Duration::from_secs(15 * 60);

/// After how long without a word a temperature is not believed any more: twice [`TELL_AGAIN`].
pub(super) const EXPIRE_AFTER: Duration = Duration::from_secs(30 * 60);

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

    /// What waits its turn is as it was told.
    fn held(self, told: &Self) -> Self {
        let Self { error_code, auto_report, temperature, .. } = told;
        Self { error_code: *error_code, auto_report: *auto_report, temperature: *temperature, ..self }
    }

    /// Whether this is to be told at once, after that: something was not known, or a fault begins.
    fn is_urgent(&self, told: &Self) -> bool {
        let is_faulty = |facts: &Self| facts.error_code.is_some_and(|code| code != 0);
        let known = |facts: &Self| {
            [facts.error_code.is_some(), facts.auto_report.is_some(), facts.temperature.is_some()]
        };
        let is_first = known(self).into_iter().zip(known(told)).any(|(now, before)| now && !before);
        is_first || is_faulty(self) && !is_faulty(told)
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
    /// When the telemetry was told last.
    told_at: Option<Moment>,
    asked_at: Option<Moment>,
}

impl Known {
    fn look(&mut self, mut facts: Facts, now: Moment, serial: SerialNumber) -> Option<News> {
        let since = self.told_at.map(|at| now.since(at));
        if since.is_some_and(|since| since < TELL_EVERY) && !facts.is_urgent(&self.facts) {
            facts = facts.held(&self.facts);
        }
        if let (Some(before), Some(after)) = (self.facts.temperature, facts.temperature)
            && (before - after).abs() < TEMPERATURE_STEP
        {
            facts.temperature = Some(before);
        }
        // How long ago it was heard changes with every look, and is told to nobody.
        let heard = std::mem::replace(&mut facts.last_heard_ms, self.facts.last_heard_ms);
        let is_told = facts.telemetry() != self.facts.telemetry() || since.is_none();
        let is_long = facts.is_there() && since.is_some_and(|since| since >= TELL_AGAIN);
        let news = if is_told || facts != self.facts {
            Some(News::Changed(serial))
        } else {
            is_long.then_some(News::Same(serial))
        };
        if is_told || is_long {
            self.told_at = Some(now);
        }
        facts.last_heard_ms = heard;
        self.facts = facts;
        news
    }
}

/// What is to be told of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// Something changed.
    Changed(SerialNumber),
    /// Nothing did for long: its telemetry is to be said again.
    Same(SerialNumber),
}

/// The facts of all modules.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeMap<SerialNumber, Known>);

impl Modules {
    /// Takes the poller's picture; gives the modules of which something is to be told.
    pub(super) fn look(&mut self, picture: &Value, now: Moment) -> Vec<News> {
        let modules = picture["modules"].as_array().into_iter().flatten();
        let mut news = Vec::new();
        for module in modules {
            let Some(serial) = module["serial"].as_str().and_then(|serial| serial.parse().ok()) else {
                continue;
            };
            news.extend(self.0.entry(serial).or_default().look(Facts::of(module), now, serial));
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
        let news = [News::Changed(serial())];
        assert_eq!(modules.look(&picture(&json!({})), at(0)), news);
        assert_eq!(modules.look(&picture(&json!({"last_heard_ms": 5000})), at(5)), []);
        assert_eq!(modules.look(&picture(&json!({"error_code": 16})), at(10)), news);
        assert_eq!(modules.of(serial()).telemetry(), r#"{"auto_report":null,"error_code":"10"}"#);
        assert_eq!(modules.look(&picture(&json!({"error_code": 16})), at(15)), []);
        assert_eq!(modules.look(&picture(&json!({"error_code": 16, "silent": true})), at(20)), news);
        assert!(!modules.of(serial()).is_there());
    }

    #[test]
    fn a_fault_is_told_at_once_and_all_else_once_a_minute() {
        let mut modules = Modules::default();
        let mut told = |code: u8, report: bool, seconds| {
            let fields = json!({"error_code": code, "auto_report": report});
            modules.look(&picture(&fields), at(seconds));
            modules.of(serial()).telemetry()
        };
        let telemetry =
            |code: &str, report: bool| json!({"error_code": code, "auto_report": report}).to_string();
        assert_eq!(told(0, true, 0), telemetry("00", true));
        assert_eq!(told(0, false, 5), telemetry("00", true), "a setting waits");
        assert_eq!(told(16, false, 10), telemetry("10", false), "a fault does not");
        assert_eq!(told(17, false, 15), telemetry("10", false));
        assert_eq!(told(0, false, 69), telemetry("10", false), "that it is over waits");
        assert_eq!(told(0, false, 70), telemetry("00", false));
    }

    #[test]
    fn that_a_module_is_lost_or_has_a_version_waits_for_nothing_and_delays_nothing() {
        let mut modules = Modules::default();
        let news = [News::Changed(serial())];
        assert_eq!(modules.look(&picture(&json!({"error_code": 0})), at(0)), news);
        for (seconds, fields) in [
            (5, json!({"error_code": 0, "software_version": "XP24_V0.34.03"})),
            (58, json!({"error_code": 0, "silent": true})),
            (60, json!({"error_code": 0, "silent": true, "auto_report": true})),
        ] {
            assert_eq!(modules.look(&picture(&fields), at(seconds)), news, "{fields}");
        }
    }

    #[test]
    fn what_does_not_change_is_said_again_before_it_expires_while_the_module_is_there() {
        let mut modules = Modules::default();
        let mut look = |fields: Value, seconds| modules.look(&picture(&fields), at(seconds));
        look(json!({"temperature_tenths": 215}), 0);
        assert_eq!(look(json!({"temperature_tenths": 216}), 899), []);
        assert_eq!(look(json!({"temperature_tenths": 216}), 900), [News::Same(serial())]);
        assert_eq!(look(json!({"temperature_tenths": 216}), 905), []);
        look(json!({"temperature_tenths": 216, "silent": true}), 910);
        assert_eq!(look(json!({"temperature_tenths": 216, "silent": true}), 2000), []);
        assert!(TELL_AGAIN < EXPIRE_AFTER);
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
